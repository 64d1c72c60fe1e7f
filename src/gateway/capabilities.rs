//! What the program gives to filters: time, tokens, and a bounded pool for work that keeps its thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::clock;
use crate::filter::{
    BlockingError, BlockingJob, BlockingOutput, BlockingPool, Capabilities, Clock, TokenCount,
    TokenCounter,
};
use crate::telemetry::background::Runner;
use crate::tokens;

/// Most threads for filters' blocking work.
pub(super) const BLOCKING_THREADS: usize = 4;

/// All of them; blocking work runs on the background thread's pool.
pub(super) fn capabilities(runner: Runner) -> Capabilities {
    Capabilities {
        clock: Arc::new(MachineClock(clock::Clock::machine())),
        token_counter: Arc::new(Tokenizers),
        blocking: Arc::new(Pool {
            runner,
            places: Arc::new(Semaphore::new(BLOCKING_THREADS)),
        }),
    }
}

struct MachineClock(clock::Clock);

impl Clock for MachineClock {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn unix_time(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.wall_us()).unwrap_or(0))
    }
}

struct Tokenizers;

impl TokenCounter for Tokenizers {
    fn count(&self, model: &str, text: &str) -> TokenCount {
        let count = tokens::TokenCounter::for_model(model).texts([text]);
        TokenCount {
            tokens: count.tokens(),
            exact: count.is_exact(),
        }
    }
}

struct Pool {
    runner: Runner,
    places: Arc<Semaphore>,
}

#[async_trait(?Send)]
impl BlockingPool for Pool {
    async fn run(&self, job: BlockingJob, wait: Duration) -> Result<BlockingOutput, BlockingError> {
        let place = tokio::time::timeout(wait, self.places.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else {
            return Err(BlockingError::Full);
        };
        // The place is given back when the work is over, also when nobody waits for it any more.
        let work = move || {
            let output = job();
            drop(place);
            output
        };
        self.runner
            .run_blocking(work)
            .await
            .map_err(|_| BlockingError::Panicked)
    }
}
