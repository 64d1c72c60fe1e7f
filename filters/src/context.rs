//! What a filter may know and use beside the body: who calls, when, where to, and a few services
//! of the program. A context lives for one hook call.
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Endpoint, FilterError, Headers};

mod capabilities;
mod more_time;
mod notes;

pub use capabilities::{
    BlockingError, BlockingJob, BlockingOutput, BlockingPool, Capabilities, Clock, TokenCount,
    TokenCounter,
};
pub(crate) use more_time::MoreTime;
pub(crate) use notes::Notes;

/// How long work may wait for a place in the pool for blocking work.
pub const POOL_WAIT: Duration = Duration::from_secs(1);

/// Who sent the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The name of the caller's key, `None` where keys are not asked for.
    pub key_name: Option<String>,
    /// The client's address.
    pub client_ip: Option<IpAddr>,
    /// The end user: the header `x-aiproxy-user`, else what the body says.
    pub end_user: Option<String>,
}

/// Where the request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The model that the provider is asked for.
    pub model: String,
}

/// What is known of an exchange when its filters begin.
#[derive(Debug, Clone)]
pub struct ExchangeInfo {
    /// The request id (UUIDv7).
    pub request_id: String,
    /// Which API is called.
    pub endpoint: Endpoint,
    /// Who calls.
    pub caller: Caller,
    /// The client's headers.
    pub headers: Headers,
    /// When the exchange must be over, `None` as long as that is not known.
    pub deadline: Option<Instant>,
}

/// One hook call's view of the exchange.
pub struct Context<'a> {
    pub(crate) info: &'a ExchangeInfo,
    pub(crate) target: Option<&'a Target>,
    pub(crate) attempts: u32,
    pub(crate) notes: &'a mut Notes,
    pub(crate) capabilities: &'a Capabilities,
    pub(crate) filter: usize,
    pub(crate) more_time: &'a MoreTime,
}

impl Context<'_> {
    /// The request id, as the client gets it in `x-aiproxy-request-id`.
    pub fn request_id(&self) -> &str {
        &self.info.request_id
    }

    /// Which API is called.
    pub fn endpoint(&self) -> Endpoint {
        self.info.endpoint
    }

    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.info.caller
    }

    /// The client's headers.
    pub fn headers(&self) -> &Headers {
        &self.info.headers
    }

    /// Where the request goes; `None` before that is decided, as in request filters.
    pub fn target(&self) -> Option<&Target> {
        self.target
    }

    /// How many times an upstream was tried so far.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// When the exchange must be over: the provider's total time limit. `None` before the provider is
    /// known, as in request filters.
    pub fn deadline(&self) -> Option<Instant> {
        self.info.deadline
    }

    /// Adds a value to the row's `tags`. The last value under a key stands; one that is `None`
    /// or null is not added.
    pub fn tag(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.notes.tag(key.into(), value.into());
    }

    /// A value of this filter's own that lives as long as the exchange: one per type, made by
    /// `Default` when first asked for, and not shared with another filter.
    pub fn scratch<T: Default + 'static>(&mut self) -> &mut T {
        self.notes.scratch(self.filter)
    }

    /// The program's time.
    pub fn clock(&self) -> &dyn Clock {
        &*self.capabilities.clock
    }

    /// The program's tokenizers.
    pub fn token_counter(&self) -> &dyn TokenCounter {
        &*self.capabilities.token_counter
    }

    /// Runs work that would keep the thread on the program's bounded pool. Waiting for a place
    /// does not count against the filter's time limit.
    ///
    /// # Errors
    /// When no place becomes free within [`POOL_WAIT`], or the work panics.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, FilterError> {
        let clock = &self.capabilities.clock;
        let (asked, started) = (clock.now(), Arc::new(OnceLock::new()));
        let (job_clock, job_started) = (Arc::clone(clock), Arc::clone(&started));
        let job: BlockingJob = Box::new(move || {
            // Only this sets it, and once.
            let _first = job_started.set(job_clock.now());
            Box::new(work())
        });
        self.more_time.grant(POOL_WAIT);
        let ran = self.capabilities.blocking.run(job, POOL_WAIT).await;
        if let Some(started) = started.get() {
            let waited = started.saturating_duration_since(asked);
            self.more_time.give_back(POOL_WAIT.saturating_sub(waited));
        }
        let output = ran?;
        let other = |_| FilterError::new("the pool returned another job's output");
        output.downcast::<T>().map(|value| *value).map_err(other)
    }
}
