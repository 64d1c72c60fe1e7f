//! Services that the program gives to filters. All are object safe; tests bring their own.
use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::FilterError;

/// How many tokens a text has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenCount {
    /// The number.
    pub tokens: u64,
    /// Whether it was counted with the model's own encoding, not estimated with another.
    pub exact: bool,
}

/// Counts tokens.
pub trait TokenCounter: Send + Sync {
    /// Tokens of `text` for `model`. May take milliseconds for long texts: see
    /// [`Context::blocking`](crate::Context::blocking).
    fn count(&self, model: &str, text: &str) -> TokenCount;
}

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Monotonic time.
    fn now(&self) -> Instant;
    /// Wall-clock time since 1970-01-01T00:00:00Z.
    fn unix_time(&self) -> Duration;
}

/// What a job for the pool returns.
pub type BlockingOutput = Box<dyn Any + Send>;

/// A job for the pool.
pub type BlockingJob = Box<dyn FnOnce() -> BlockingOutput + Send>;

/// Why the pool did not run a job to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockingError {
    /// No place became free in time.
    #[error("the pool for blocking work is full")]
    Full,
    /// The job panicked.
    #[error("blocking work panicked")]
    Panicked,
}

impl From<BlockingError> for FilterError {
    fn from(error: BlockingError) -> Self {
        match error {
            BlockingError::Full => Self::PoolFull,
            BlockingError::Panicked => Self::BlockingPanicked,
        }
    }
}

/// A bounded pool of threads for work that would keep a worker.
#[async_trait(?Send)]
pub trait BlockingPool: Send + Sync {
    /// Waits at most `wait` for a place, runs `job` there and returns what it returned.
    ///
    /// # Errors
    /// [`BlockingError::Full`] when no place became free, and the job then never runs.
    async fn run(&self, job: BlockingJob, wait: Duration) -> Result<BlockingOutput, BlockingError>;
}

/// The services together. A clone costs three reference counts.
#[derive(Clone)]
pub struct Capabilities {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The tokenizers.
    pub token_counter: Arc<dyn TokenCounter>,
    /// The pool for blocking work.
    pub blocking: Arc<dyn BlockingPool>,
}
