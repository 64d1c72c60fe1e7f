//! A thread with a runtime of its own for work that must never run on a request thread: reading SQL, retention,
//! filters' blocking work.

use std::future::Future;
use std::io;
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Runs futures beside the request threads. Ends when it is dropped; what is running then is dropped too.
#[derive(Debug)]
pub struct Background {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// The work was dropped or panicked before it had a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("background work broke off")]
pub struct BrokeOff;

/// A way to run futures there that can be given around.
#[derive(Debug, Clone)]
pub struct Runner {
    handle: Handle,
}

impl Background {
    /// Starts the thread. At most `blocking_threads` further ones are started for blocking work.
    ///
    /// # Errors
    /// When the machine has no thread or no epoll left.
    pub fn start(blocking_threads: usize) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(blocking_threads)
            .thread_name("background-blocking")
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("background".to_owned())
            .spawn(move || {
                // An error means that the sender is gone: that is the sign to stop, too.
                runtime.block_on(async { drop(stopped.await) });
                runtime.shutdown_background();
            })?;
        Ok(Self {
            handle,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// A way in.
    pub fn runner(&self) -> Runner {
        Runner {
            handle: self.handle.clone(),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the background thread panicked");
        }
    }
}

impl Runner {
    /// Runs a future there and hands its result back here. Dropping the call drops the work.
    ///
    /// # Errors
    /// [`BrokeOff`] when the work panicked or the thread has ended.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, BrokeOff> {
        let task = AbortOnDrop(self.handle.spawn(work));
        task.join().await
    }

    /// Starts a future there that nobody waits for.
    pub fn start(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let task = self.handle.spawn(work);
        self.handle.spawn(async move {
            if task.await.is_err_and(|error| error.is_panic()) {
                tracing::error!(task = name, "a background task panicked");
            }
        });
    }

    /// Runs a closure that keeps its thread, on one of the few threads for that.
    ///
    /// # Errors
    /// [`BrokeOff`] when it panicked or the thread has ended.
    pub async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BrokeOff> {
        self.handle.spawn_blocking(work).await.map_err(|_| BrokeOff)
    }
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> AbortOnDrop<T> {
    async fn join(mut self) -> Result<T, BrokeOff> {
        (&mut self.0).await.map_err(|_| BrokeOff)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn work_runs_on_the_other_thread_and_panics_stay_there() {
        let background = Background::start(1).unwrap();
        let runner = background.runner();
        let here_id = thread::current().id();
        let there = here(runner.run(async { thread::current().id() })).unwrap();
        assert_ne!(here_id, there);
        assert_eq!(
            here(runner.run(async { panic!("on purpose") })),
            Err::<(), _>(BrokeOff)
        );
        assert_eq!(here(runner.run_blocking(|| 7)), Ok(7));
        drop(background);
        assert_eq!(here(runner.run(async { 1 })), Err(BrokeOff));
    }
}
