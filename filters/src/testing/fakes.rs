//! Capabilities without a program.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::{
    BlockingError, BlockingJob, BlockingOutput, BlockingPool, Capabilities, Clock, TokenCount,
    TokenCounter,
};

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct FakeClock {
    start: Instant,
    moved_us: AtomicU64,
}

impl FakeClock {
    /// A clock that begins now, and at 2026-01-01T00:00:00Z by the wall.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            moved_us: AtomicU64::new(0),
        })
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.moved_us.fetch_add(by, Ordering::Relaxed);
    }

    fn moved(&self) -> Duration {
        Duration::from_micros(self.moved_us.load(Ordering::Relaxed))
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Instant {
        self.start + self.moved()
    }

    fn unix_time(&self) -> Duration {
        Duration::from_secs(1_767_225_600) + self.moved()
    }
}

/// Counts words, as an estimate.
#[derive(Debug)]
pub struct WordCounter;

impl TokenCounter for WordCounter {
    fn count(&self, _: &str, text: &str) -> TokenCount {
        TokenCount {
            tokens: text.split_whitespace().count() as u64,
            exact: false,
        }
    }
}

/// Runs blocking work at once, on the caller's thread.
#[derive(Debug)]
pub struct SameThreadPool;

#[async_trait(?Send)]
impl BlockingPool for SameThreadPool {
    async fn run(&self, job: BlockingJob, _: Duration) -> Result<BlockingOutput, BlockingError> {
        catch_unwind(AssertUnwindSafe(job)).map_err(|_| BlockingError::Panicked)
    }
}

/// All fakes together.
pub fn capabilities(clock: Arc<FakeClock>) -> Capabilities {
    Capabilities {
        clock,
        token_counter: Arc::new(WordCounter),
        blocking: Arc::new(SameThreadPool),
    }
}
