//! Serves until it is told to stop, then brings everything down: listeners, exchanges, connections, queue and spool.

use std::io;
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use crate::access_log::recorder::AccessLog;
use crate::gateway::discovery::{self, Keeper};
use crate::gateway::lock::DatabaseLock;
use crate::pipeline::link::Stage;
use crate::server::admin::AdminState;
use crate::server::listen::{self, HttpSettings, MakeState};
use crate::server::state::Unrecorded;
use crate::shared_state::SharedState;
use crate::telemetry::tasks::Tasks;

/// Before the grace period ends, streams get this long to take their error event.
const CUT_BEFORE_END: Duration = Duration::from_secs(2);

/// Time for the listener's thread to let go of it.
const LET_GO: Duration = Duration::from_millis(20);

/// Time between two looks at what is still open.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Time for the last bytes of an exchange to leave the worker's buffer.
const FLUSH: Duration = Duration::from_millis(50);

/// Longest wait for connections that are ended by force.
const FORCED_END: Duration = Duration::from_millis(300);

/// Longest wait at the end for a database that is away, and where nobody wants to wait.
const DRAIN_SPOOLED: Duration = Duration::from_millis(1_500);

/// Longest wait where there is no spool, and what is not stored is lost.
const DRAIN_MEMORY: Duration = Duration::from_secs(10);

/// Whether it is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StopRequest {
    No,
    /// Open exchanges may end within the grace period.
    Graceful,
    /// Everything is cut.
    Now,
}

/// Both ports and what they stand on.
pub(super) struct Server {
    pub(super) settings: HttpSettings,
    pub(super) grace: Duration,
    pub(super) listener: TcpListener,
    pub(super) admin: Option<(TcpListener, AdminState)>,
    pub(super) make: MakeState,
    /// Counts of what never becomes an exchange.
    pub(super) unrecorded: Arc<Unrecorded>,
    pub(super) log: Arc<AccessLog>,
    /// Whether finished records stand in the spool.
    pub(super) is_spooled: bool,
    pub(super) stage: watch::Sender<Stage>,
    pub(super) stop: watch::Receiver<StopRequest>,
    pub(super) tasks: Tasks,
    /// Who keeps lists of models, as long as there are new exchanges: for each configuration another one.
    pub(super) keepers: mpsc::UnboundedReceiver<Keeper>,
    /// Where instances show each other their lists.
    pub(super) shared_state: Arc<dyn SharedState>,
    /// Tells the next instance on this database that this one is ending.
    pub(super) lock: Option<Arc<DatabaseLock>>,
}

impl Server {
    /// Serves; says through `ready` when it does, or why it cannot.
    pub(super) async fn serve(mut self, ready: oneshot::Sender<io::Result<()>>) {
        let (settings, make) = (self.settings, self.make.clone());
        let counts = self.unrecorded.clone();
        let started = self
            .listener
            .try_clone()
            .and_then(|listener| listen::data_port(listener, settings, make, counts));
        let (data, data_server) = match started {
            Ok(started) => started,
            Err(error) => return drop(ready.send(Err(error))),
        };
        self.tasks
            .spawn_local("data port", async { drop(data_server.await) });
        let admin = match self.admin.take() {
            None => None,
            Some((listener, state)) => match listen::admin_port(listener, state) {
                Ok((handle, server)) => {
                    self.tasks
                        .spawn_local("admin port", async { drop(server.await) });
                    Some(handle)
                }
                Err(error) => return drop(ready.send(Err(error))),
            },
        };
        drop(ready.send(Ok(())));
        let mut stops = self.stop.clone();
        let keep_lists = discovery::keep_lists(self.tasks.clone(), self.shared_state, self.keepers);
        self.tasks.spawn_local("lists of models", async move {
            tokio::select! {
                () = keep_lists => {}
                _ = stops.wait_for(|stop| *stop != StopRequest::No) => {}
            }
        });
        // An error means that nobody can ask for a stop any more: then it is time to.
        drop(self.stop.wait_for(|stop| *stop != StopRequest::No).await);
        self.stage.send_replace(Stage::Draining);
        if let Some(lock) = &self.lock {
            lock.say_ending();
        }
        // New connections are refused; those that are there stay, and their next request is refused with words.
        data.pause().await;
        tokio::time::sleep(LET_GO).await;
        listen::refuse_connections(&self.listener);
        tracing::info!("stopping: open exchanges may end");
        let mut ending = pin!(async {
            no_open_exchange(&self.log).await;
            // Requests that are still read and answers that are still written end; idle connections do at once.
            data.stop(true).await;
        });
        let end_at = Instant::now() + self.grace;
        let cut_at = end_at - CUT_BEFORE_END.min(self.grace);
        let mut stop = self.stop.clone();
        tokio::select! {
            () = &mut ending => {}
            () = tokio::time::sleep_until(cut_at) => {
                self.stage.send_replace(Stage::Cutting);
                // What does not take its error event by then never will.
                drop(timeout(CUT_BEFORE_END - FORCED_END * 2, ending).await);
            }
            _ = stop.wait_for(|stop| *stop == StopRequest::Now) => {
                self.stage.send_replace(Stage::Cutting);
                drop(timeout(CUT_BEFORE_END / 2, no_open_exchange(&self.log)).await);
                tokio::time::sleep(FLUSH).await;
            }
        }
        drop(timeout(FORCED_END, data.stop(false)).await);
        if let Some(admin) = admin {
            drop(timeout(FORCED_END, admin.stop(false)).await);
        }
        let longest = match self.is_spooled {
            true => end_at
                .saturating_duration_since(Instant::now())
                .max(DRAIN_SPOOLED),
            false => DRAIN_MEMORY,
        };
        let drained = tokio::select! {
            drained = self.log.drain(longest) => drained,
            () = nobody_waits(&mut self.stop, self.is_spooled, &self.log) => {
                self.log.drain(DRAIN_SPOOLED).await
            }
        };
        tracing::info!(?drained, "stopped");
    }
}

async fn no_open_exchange(log: &AccessLog) {
    while log.stats().ledger.open != 0 {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Returns when the drain is no reason to stay on: a second signal has come, or the database is away and what is not
/// stored is found in the spool by the next start.
async fn nobody_waits(stop: &mut watch::Receiver<StopRequest>, is_spooled: bool, log: &AccessLog) {
    let told = stop.wait_for(|stop| *stop == StopRequest::Now);
    if is_spooled {
        tokio::select! {
            _ = told => {}
            () = database_is_away(log) => {}
        }
    } else {
        // An error means that nobody can tell us any more: then it is time to go.
        drop(told.await);
    }
}

async fn database_is_away(log: &AccessLog) {
    while log.stats().db_up {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
