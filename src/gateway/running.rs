//! A gateway that serves: where it listens, how it is stopped, and what it holds until it has ended.

use std::sync::Arc;
use std::thread;

use tokio::signal::unix::{Signal, SignalKind};
use tokio::sync::watch;

use crate::access_log::recorder::AccessLog;
use crate::gateway::hangup::Hangup;
use crate::gateway::lock::DatabaseLock;
use crate::gateway::reload::{Cause, Reloader};
use crate::gateway::serve::StopRequest;
use crate::gateway::start::{start, system};
use crate::gateway::{Addresses, Gateway, StartError};
use crate::server::config_reload::{NotReloaded, Reloaded};
use crate::telemetry::{self, LogFormat};

/// A gateway that serves.
pub struct Running {
    pub(super) addresses: Addresses,
    pub(super) stop: watch::Sender<StopRequest>,
    pub(super) ended: watch::Receiver<bool>,
    pub(super) thread: Option<thread::JoinHandle<()>>,
    pub(super) log: Arc<AccessLog>,
    pub(super) reloader: Arc<Reloader>,
    /// The last to go: whoever waits for it finds the spool free too.
    pub(super) _lock: Option<Arc<DatabaseLock>>,
}

impl Running {
    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Counts and gauges of the access log.
    pub fn log(&self) -> &Arc<AccessLog> {
        &self.log
    }

    /// Reads the configuration anew. Requests that come after this are served by it; those that run keep the one of before.
    ///
    /// # Errors
    /// [`NotReloaded`]: all keep the one of before.
    pub async fn reload(&self) -> Result<Reloaded, NotReloaded> {
        self.reloader.reload(Cause::Asked).await
    }

    /// Has the providers asked for their lists of models now, and not only when the ones that are there get old. Returns at
    /// once.
    pub fn refresh_models(&self) {
        self.reloader.routing.now().refresher().refresh_now();
    }

    /// Stops it: no new exchanges; open ones may end within the grace period, then they are cut.
    pub async fn stop(mut self) {
        self.stop.send_replace(StopRequest::Graceful);
        self.wait().await;
        self.join();
    }

    /// Asks it to stop without waiting; a second time, everything is cut at once.
    pub fn request_stop(&self) {
        self.stop.send_modify(|stop| {
            *stop = match stop {
                StopRequest::No => StopRequest::Graceful,
                StopRequest::Graceful | StopRequest::Now => StopRequest::Now,
            };
        });
    }

    /// Waits until it has ended.
    pub async fn wait(&mut self) {
        // An error means that the thread is gone: it has ended too.
        drop(self.ended.wait_for(|ended| *ended).await);
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the server's thread panicked");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(StopRequest::Now);
        self.join();
    }
}

/// Serves until a signal. The process log is started as configured, unless the program has started one.
pub(super) fn run(mut gateway: Gateway) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| system("cannot start a runtime", source))?;
    runtime.block_on(async {
        // Before anything else: a signal that comes during the start is obeyed, not died of.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let hangup = Hangup::as_started();
        let mut hung_up = signal(SignalKind::hangup())?;
        let config = gateway.load()?;
        // An error means that the program has a log of its own.
        drop(telemetry::init(config.telemetry.log_level, LogFormat::Text));
        let mut running = start(gateway.config(config)).await?;
        loop {
            tokio::select! {
                () = running.wait() => break,
                _ = terminate.recv() => running.request_stop(),
                _ = interrupt.recv() => running.request_stop(),
                _ = hung_up.recv() => match hangup.is_the_end() {
                    true => running.request_stop(),
                    // What came of it has been told.
                    false => drop(running.reload().await),
                },
            }
        }
        running.join();
        Ok(())
    })
}

fn signal(kind: SignalKind) -> Result<Signal, StartError> {
    tokio::signal::unix::signal(kind).map_err(|source| system("cannot listen for signals", source))
}
