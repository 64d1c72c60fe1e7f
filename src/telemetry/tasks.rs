//! Starts tasks and sees to their end: a panic is logged once and harms nobody else, and shutdown can wait for
//! what is still running.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;

/// Tasks that belong together.
#[derive(Debug, Clone)]
pub struct Tasks {
    running: Arc<watch::Sender<usize>>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            running: Arc::new(watch::Sender::new(0)),
        }
    }
}

/// Counts a task until it is dropped, however that happens.
struct Running(Arc<watch::Sender<usize>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0
            .send_modify(|running| *running = running.saturating_sub(1));
    }
}

impl Tasks {
    /// How many are running.
    pub fn running(&self) -> usize {
        *self.running.borrow()
    }

    /// Starts a task on this thread.
    #[expect(clippy::disallowed_methods, reason = "this is where tasks are started")]
    pub fn spawn_local(&self, name: &'static str, task: impl Future<Output = ()> + 'static) {
        self.running.send_modify(|running| *running += 1);
        let running = Running(self.running.clone());
        actix_rt::spawn(async move {
            let _running = running;
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                tracing::error!(task = name, "a task panicked");
            }
        });
    }

    /// Waits until none is running, or `within` has passed. Returns whether none is.
    pub async fn ended(&self, within: Duration) -> bool {
        let mut running = self.running.subscribe();
        let ended = running.wait_for(|running| *running == 0);
        tokio::time::timeout(within, ended).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_counted_and_panics_stay_theirs() {
        actix_rt::System::new().block_on(async {
            let tasks = Tasks::default();
            tasks.spawn_local("fails", async { panic!("on purpose") });
            tasks.spawn_local("works", async {});
            assert_eq!(tasks.running(), 2);
            assert!(tasks.ended(Duration::from_secs(5)).await);
            tasks.spawn_local("never", std::future::pending());
            assert!(!tasks.ended(Duration::ZERO).await);
        });
    }
}
