//! What a chain tells the program.
use std::sync::Arc;
use std::time::Duration;

use crate::{BodyError, FilterError, LlmResponse, Refusal, StreamEvent};

/// Which hook spoke; its text is the column `phase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// A request filter.
    Request,
    /// A response filter.
    Response,
    /// A stream filter.
    Stream,
}

impl Phase {
    /// The word of the column `phase`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
            Self::Stream => "stream",
        }
    }
}

/// What a filter did; its text is the column `verdict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VerdictKind {
    /// Looked, and changed nothing.
    Passed,
    /// Changed something.
    Changed,
    /// Answered in the upstream's place.
    Answered,
    /// Refused.
    Refused,
    /// Cut a stream.
    Cut,
    /// Failed, and the exchange with it.
    Failed,
    /// Failed, and the exchange went on without it.
    Skipped,
}

impl VerdictKind {
    /// The word of the column `verdict`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Changed => "changed",
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Cut => "cut",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What one filter did in one phase of one exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterVerdict {
    /// The filter's name.
    pub filter: Arc<str>,
    /// Which of its hooks.
    pub phase: Phase,
    /// What it did.
    pub verdict: VerdictKind,
    /// Why, where it refused, cut or failed.
    pub detail: Option<String>,
    /// Time that its hook took; of a stream, over all events.
    pub duration: Duration,
}

/// How a filter failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// It returned an error.
    Error,
    /// It panicked.
    Panic,
    /// It took longer than its time limit.
    Timeout,
    /// It kept the thread longer than its time limit.
    Blocked,
    /// What it made of the body or the event cannot be sent.
    Invalid,
    /// It held back more of a stream, or for longer, than it may.
    HoldLimit,
    /// The pool for blocking work had no place for it.
    PoolFull,
}

impl FailureKind {
    /// The word in details and in the metric `aiproxy_filter_errors_total`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Timeout => "timeout",
            Self::Blocked => "blocked",
            Self::Invalid => "invalid",
            Self::HoldLimit => "hold_limit",
            Self::PoolFull => "pool_full",
        }
    }
}

/// A filter's failure. The client does not see the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How it failed.
    pub kind: FailureKind,
    /// Why, for the record. Never a panic's text.
    pub reason: String,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, reason: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
        }
    }

    pub(crate) fn detail(&self) -> String {
        format!("{}: {}", self.kind.as_str(), self.reason)
    }
}

impl From<FilterError> for Failure {
    fn from(error: FilterError) -> Self {
        let kind = match error {
            FilterError::Failed(_) | FilterError::Body(_) => FailureKind::Error,
            FilterError::PoolFull => FailureKind::PoolFull,
            FilterError::BlockingPanicked => FailureKind::Panic,
        };
        Self::new(kind, error.to_string())
    }
}

/// Why an exchange must not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopCause {
    /// The filter said so.
    Refused(Refusal),
    /// The filter failed, and its error policy is `refuse`.
    Failed(Failure),
}

/// Who stopped an exchange, where and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The filter's name.
    pub by: Arc<str>,
    /// Which of its hooks.
    pub phase: Phase,
    /// Why.
    pub cause: StopCause,
}

/// What became of a request.
#[derive(Debug)]
pub enum RequestOutcome {
    /// Send it on, as it is now.
    Continue,
    /// Send this to the client instead; response filters have seen it.
    Answered {
        /// The filter's name.
        by: Arc<str>,
        /// The answer.
        response: LlmResponse,
    },
    /// Send an error.
    Stopped(Stop),
    /// The request names a key twice, so that filters and upstream may read different values.
    Malformed(BodyError),
}

/// What became of a whole response.
#[derive(Debug)]
pub enum ResponseOutcome {
    /// Send it, as it is now.
    Continue,
    /// Send an error in its place.
    Stopped(Stop),
}

/// What to send after an event went through the stream filters.
#[derive(Debug, Default)]
pub struct StreamStep {
    /// Events for the client, in order.
    pub events: Vec<StreamEvent>,
    /// After them, an error event and the end; the upstream is to be cancelled.
    pub cut: Option<Stop>,
}
