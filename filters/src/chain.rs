//! Runs filters: their order, when each is asked, its time limit, and what happens when it fails.
//! A chain is made once and shared; a [`ChainRun`] belongs to one exchange. Nothing here knows a
//! format's error shape or an HTTP status: the outcomes say who did what, the program does the rest.
use std::sync::Arc;
use std::time::Duration;

use crate::Endpoint;
use crate::filter::{Filter, OnError};

mod guard;
mod order;
mod policy;
mod presence;
mod report;
mod run;
mod stage;
mod stream;
mod validate;

pub use order::Selection;
pub use policy::{Glob, When};
pub use presence::Presence;
pub use report::{
    Failure, FailureKind, FilterVerdict, Phase, RequestOutcome, ResponseOutcome, Stop, StopCause,
    StreamStep, VerdictKind,
};
pub use run::{ChainRun, WholeStream};
pub use stream::StreamChain;

/// Longest a hook call may take unless configured.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

/// Most bytes of a stream that a filter may hold back unless configured.
pub const DEFAULT_HOLD_BYTES: usize = 64 * 1024;

/// Longest that a filter may hold back the first byte unless configured.
pub const DEFAULT_HOLD_TIME: Duration = Duration::from_secs(5);

/// Longest body that a filter may make unless configured.
pub const DEFAULT_MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// A filter in a chain, with the settings that every filter has.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(crate) filter: Filter,
    pub(crate) when: When,
    pub(crate) on_error: OnError,
    pub(crate) timeout: Duration,
    pub(crate) hold_bytes: usize,
    pub(crate) hold_time: Duration,
}

impl Entry {
    /// A filter that is asked for every exchange, with its own error policy and the default limits.
    pub fn new(filter: Filter) -> Self {
        Self {
            on_error: filter.on_error(),
            filter,
            when: When::default(),
            timeout: DEFAULT_TIMEOUT,
            hold_bytes: DEFAULT_HOLD_BYTES,
            hold_time: DEFAULT_HOLD_TIME,
        }
    }

    /// Which exchanges the filter is asked for.
    #[must_use]
    pub fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    /// What happens when it fails.
    #[must_use]
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// Longest that one hook call may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Most bytes that it may hold back of a stream, and the longest time for the first of them.
    #[must_use]
    pub fn hold_back(mut self, bytes: usize, time: Duration) -> Self {
        self.hold_bytes = bytes;
        self.hold_time = time;
        self
    }
}

/// Filters in the order of the configuration. Immutable; share it in an `Arc`.
#[derive(Debug)]
pub struct Chain {
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) max_body_bytes: usize,
}

impl Default for Chain {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Chain {
    /// A chain of these filters.
    pub fn new(entries: Vec<Entry>) -> Self {
        let entries = entries.into_iter().map(Arc::new).collect();
        Self {
            entries,
            max_body_bytes: DEFAULT_MAX_BODY_BYTES,
        }
    }

    /// Longest body that a filter may make; a longer one is invalid output.
    #[must_use]
    pub fn with_max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes;
        self
    }

    /// The filters that an exchange concerns, `None` when there are none: then the exchange
    /// needs no [`ChainRun`]. `model` is the model asked for, `key` the name of the caller's key.
    pub fn select(
        &self,
        endpoint: Endpoint,
        model: Option<&str>,
        key: Option<&str>,
    ) -> Option<Selection> {
        let chosen = |entry: &Arc<Entry>| entry.when.matches(endpoint, model, key);
        Selection::of(self.entries.iter().map(chosen))
    }

    /// The names of the filters, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.filter.name())
    }

    /// The names of the filters that turn streams into one burst, for the log at start.
    pub fn buffering(&self) -> impl Iterator<Item = &str> {
        let filters = self.entries.iter().map(|entry| &entry.filter);
        filters
            .filter(|filter| filter.buffers_streams)
            .map(Filter::name)
    }
}

/// How the reply reaches the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// As one body.
    Whole,
    /// As a stream of events.
    Streamed,
}

impl Delivery {
    /// Whether a filter's response hook sees such a reply.
    fn concerns(self, filter: &Filter) -> bool {
        match self {
            Self::Whole => filter.response.is_some(),
            Self::Streamed => filter.buffers_streams,
        }
    }
}
