//! The access log as the rest of the program sees it: started once, shared by all, with a recorder for each worker.

pub(crate) mod shared;
#[cfg(test)]
mod tests;
mod ticket;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::access_log::draft::{Captured, Opened};
use crate::access_log::ledger::LedgerSnapshot;
use crate::access_log::observer::Observer;
use crate::access_log::queue::QueueBounds;
use crate::access_log::recorder::shared::{Shared, Stop};
use crate::access_log::spool::lane::Lane;
use crate::access_log::spool::payload::RecordBuffer;
use crate::access_log::spool::{Spool, SpoolError, SpoolOptions};
use crate::access_log::sync::locked;
use crate::access_log::writer::sink::Sink;
use crate::access_log::writer::{Digest, Writer, supervise};

pub use crate::access_log::recorder::ticket::Ticket;

/// How the access log is kept.
#[derive(Debug, Clone)]
pub struct AccessLogOptions {
    /// The spool; `None` is durability `memory`: no file is touched.
    pub spool: Option<SpoolOptions>,
    /// Most bytes of finished exchanges in memory.
    pub queue_bytes: usize,
    /// Most finished exchanges in memory.
    pub queue_records: usize,
    /// Most records in one insert.
    pub batch_records: usize,
    /// Most bytes in one insert, save for a single record.
    pub batch_bytes: usize,
    /// Longest time that a record waits for its batch to fill.
    pub flush_after: Duration,
}

impl Default for AccessLogOptions {
    /// Durability `memory`, 32 MiB and 20,000 records in memory, 400 records and 4 MiB a batch, 200 ms.
    fn default() -> Self {
        Self {
            spool: None,
            queue_bytes: 32 << 20,
            queue_records: 20_000,
            batch_records: 400,
            batch_bytes: 4 << 20,
            flush_after: Duration::from_millis(200),
        }
    }
}

impl AccessLogOptions {
    fn queue_bounds(&self) -> QueueBounds {
        QueueBounds {
            records: self.queue_records.max(1),
            bytes: self.queue_bytes,
            batch_records: self.batch_records.max(1),
            batch_bytes: self.batch_bytes,
        }
    }
}

/// Counts and gauges at one moment.
#[derive(Debug, Clone, Copy)]
pub struct AccessLogStats {
    /// Where the exchanges are.
    pub ledger: LedgerSnapshot,
    /// Bytes of all spool files: `log_spool_bytes`.
    pub spool_bytes: u64,
    /// Damaged places found: `log_spool_corrupt_total`.
    pub spool_corrupt_total: u64,
    /// Whether new exchanges cannot be written to the spool at present.
    pub spool_failing: bool,
    /// Exchanges of earlier processes that are not resolved yet; those found so far.
    pub recovering: u64,
    /// Age of the oldest finished exchange of this process that is not stored.
    pub oldest_unpersisted: Duration,
    /// Whether the last insert succeeded and none takes long at present; `true` before the first.
    pub db_up: bool,
}

/// What was left when the access log ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Exchanges of this process that wait in the spool for the next start.
    pub left_in_spool: u64,
    /// Exchanges of earlier processes that still wait there.
    pub left_recovering: u64,
    /// Exchanges dropped since the start, for whatever reason.
    pub dropped: u64,
}

/// The access log of this process. Dropped without `drain`, it ends at once; what stands in the spool stays.
#[derive(Debug)]
pub struct AccessLog {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// A worker's way to record. Made on its own thread and not sent to another.
#[derive(Debug, Clone)]
pub struct Recorder {
    worker: Rc<Worker>,
}

/// What the exchanges of one worker share.
#[derive(Debug)]
pub(super) struct Worker {
    shared: Arc<Shared>,
    lane: Option<Arc<Lane>>,
    record: RefCell<RecordBuffer>,
}

impl AccessLog {
    /// Opens the spool and starts the writer, the spool's upkeep and the recovery of what earlier processes left.
    ///
    /// # Errors
    /// When the spool cannot be opened (`Locked`: another instance holds it) or a thread not started.
    pub fn start(
        options: &AccessLogOptions,
        digest: Digest,
        sink: Box<dyn Sink>,
        observers: Vec<Arc<dyn Observer>>,
    ) -> Result<Self, SpoolError> {
        let (spool, old_lanes) = match &options.spool {
            Some(options) => {
                let (spool, old_lanes) = Spool::open(options.clone())?;
                (Some(spool), old_lanes)
            }
            None => (None, Vec::new()),
        };
        let shared = Arc::new(Shared::new(options, spool));
        let writer = Writer::new(Arc::clone(&shared), digest, sink, observers);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(thread_error)?;
        let log = Self {
            shared: Arc::clone(&shared),
            threads: Mutex::default(),
        };
        log.spawn("log-writer", move || supervise(&runtime, writer))?;
        let of_recovery = Arc::clone(&shared);
        log.spawn("log-recovery", move || of_recovery.recover(old_lanes))?;
        if shared.spool.is_some() {
            log.spawn("log-upkeep", move || keep_up(&shared))?;
        }
        Ok(log)
    }

    /// A recorder for the calling worker thread.
    pub fn recorder(&self) -> Recorder {
        Recorder::new(Arc::clone(&self.shared))
    }

    /// Whether new requests are to be served: `false` with `on_spool_full: refuse` and a spool that takes no more.
    pub fn accepts(&self) -> bool {
        self.shared.spool.as_ref().is_none_or(Spool::accepts)
    }

    /// Whether this process knows the exchange and it cannot be in the database yet.
    pub fn is_unfinished(&self, request_id: Uuid) -> bool {
        self.shared.unfinished.contains(request_id)
    }

    /// Counts and gauges at this moment.
    pub fn stats(&self) -> AccessLogStats {
        self.shared.stats()
    }

    /// Stores all that is finished, first from the queue, then from the spool, until `within` has passed. What then
    /// is left stays in the spool for the next start. To be called when no request is served any more.
    pub async fn drain(&self, within: Duration) -> Drained {
        let deadline = Instant::now()
            .checked_add(within)
            .unwrap_or_else(Instant::now);
        self.shared.stop.send_replace(Stop::Drain(deadline));
        let mut ended = self.shared.ended.subscribe();
        if ended.wait_for(|ended| *ended).await.is_err() {
            tracing::error!("the log writer was lost");
        }
        self.join_threads();
        if let Some(spool) = &self.shared.spool {
            spool.seal_all();
            spool.upkeep();
        }
        let stats = self.stats();
        Drained {
            left_in_spool: stats.ledger.spooled,
            left_recovering: stats.recovering,
            dropped: stats.ledger.dropped_total(),
        }
    }

    fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), SpoolError> {
        let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
        locked(&self.threads).push(thread.map_err(thread_error)?);
        Ok(())
    }

    fn join_threads(&self) {
        for thread in locked(&self.threads).drain(..) {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("a thread of the access log panicked");
            }
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.shared.stop.send_replace(Stop::Now);
        self.join_threads();
    }
}

impl Recorder {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let lane = shared.spool.as_ref().map(Spool::lane);
        Self {
            worker: Rc::new(Worker {
                shared,
                lane,
                record: RefCell::default(),
            }),
        }
    }

    /// Whether new requests are to be served. See `AccessLog::accepts`.
    pub fn accepts(&self) -> bool {
        self.worker.shared.spool.as_ref().is_none_or(Spool::accepts)
    }

    /// Opens an exchange, before the upstream is called. `request_body` is the body as far as it was read, which
    /// for a JSON request is all of it.
    pub fn open(&self, opened: Opened, request_body: Option<&Captured>) -> Ticket {
        Ticket::open(Rc::clone(&self.worker), opened, request_body)
    }
}

impl Worker {
    fn spool(&self) -> Option<(&Spool, &Lane)> {
        Some((self.shared.spool.as_ref()?, self.lane.as_deref()?))
    }
}

fn keep_up(shared: &Shared) {
    let Some(spool) = &shared.spool else { return };
    while !shared.is_over() {
        spool.upkeep();
        thread::park_timeout(spool.sync_every());
    }
}

fn thread_error(source: io::Error) -> SpoolError {
    SpoolError::Io {
        path: "a thread of its own".to_owned(),
        source,
    }
}
