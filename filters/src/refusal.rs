//! What a filter says when it refuses, and when it fails.
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::BodyError;

/// A filter's decision that an exchange must not go on. The client gets it as an error in its
/// own dialect.
///
/// ```
/// use aiproxy_filters::Refusal;
///
/// let refusal = Refusal::new("come back in the morning").with_status(403).with_reason("closed");
/// assert_eq!(refusal.code(), "blocked_by_filter");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    message: String,
    status: Option<u16>,
    code: Cow<'static, str>,
    reason: Option<String>,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal with this message for the client, code `blocked_by_filter`.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            status: None,
            code: Cow::Borrowed("blocked_by_filter"),
            reason: None,
            retry_after: None,
        }
    }

    /// The HTTP status. One that is not 400 to 599 is not taken: a refusal is an error.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status)
            .filter(|status| is_error_status(*status))
            .or(self.status);
        self
    }

    /// The code in the error.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = code.into();
        self
    }

    /// Why, for the record; the client does not see it. It should not repeat what was matched.
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// When the client may try again.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// What the client reads.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The HTTP status, `None` when the program is to choose.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// The code in the error.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Why, for the record.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// When the client may try again, `None` when it need not.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

fn is_error_status(status: u16) -> bool {
    (400..=599).contains(&status)
}

/// A filter could not do its work. What then happens is for the filter's error policy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The reason, for the record; the client does not see it.
    #[error("{0}")]
    Failed(String),
    /// An edit was not possible.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// No place in the pool for blocking work became free in time.
    #[error("the pool for blocking work is full")]
    PoolFull,
    /// Work in that pool panicked.
    #[error("blocking work panicked")]
    BlockingPanicked,
}

impl FilterError {
    /// A failure with a reason for the record.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self::Failed(reason.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_error_statuses_are_taken() {
        for (status, taken) in [
            (200, None),
            (399, None),
            (400, Some(400)),
            (599, Some(599)),
            (600, None),
        ] {
            assert_eq!(Refusal::new("no").with_status(status).status(), taken);
        }
    }
}
