//! What the request threads, the writer and the side threads share.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::access_log::ledger::Ledger;
use crate::access_log::queue::{Fill, Item, Queue, QueueBounds};
use crate::access_log::recorder::{AccessLogOptions, AccessLogStats};
use crate::access_log::spool::Spool;
use crate::access_log::spool::read::Loaded;
use crate::access_log::spool::recovery::{OldLane, RecoveryTarget};
use crate::access_log::sync::locked;

/// Whether the access log is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// No.
    Run,
    /// When all is stored, at the latest then.
    Drain(Instant),
    /// At once.
    Now,
}

/// What all threads of the access log share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) ledger: Ledger,
    pub(crate) queue: Queue,
    pub(crate) recovered: Queue,
    pub(crate) bounds: QueueBounds,
    pub(crate) flush_after: Duration,
    pub(crate) spool: Option<Spool>,
    pub(crate) unfinished: Unfinished,
    pub(crate) wake: Notify,
    pub(crate) stop: watch::Sender<Stop>,
    /// Whether the writer has gone.
    pub(crate) ended: watch::Sender<bool>,
    pub(crate) db_up: AtomicBool,
    pub(crate) recovering: AtomicU64,
    pub(crate) recovery_over: AtomicBool,
    pub(crate) in_hand_since: Mutex<Option<Instant>>,
    /// When the insert that is under way began.
    pub(crate) inserting_since: Mutex<Option<Instant>>,
}

/// An insert that takes longer than this counts as a database that is away.
const SLOW_INSERT: Duration = Duration::from_secs(3);

impl Shared {
    pub(crate) fn new(options: &AccessLogOptions, spool: Option<Spool>) -> Self {
        let bounds = options.queue_bounds();
        // What an earlier process left is read in small pieces: a batch in hand, a batch ahead.
        let ahead = QueueBounds {
            records: bounds.batch_records,
            bytes: bounds.batch_bytes,
            ..bounds
        };
        Self {
            ledger: Ledger::default(),
            queue: Queue::new(bounds),
            recovered: Queue::new(ahead),
            bounds,
            flush_after: options.flush_after,
            spool,
            unfinished: Unfinished::default(),
            wake: Notify::new(),
            stop: watch::Sender::new(Stop::Run),
            ended: watch::Sender::new(false),
            db_up: AtomicBool::new(true),
            recovering: AtomicU64::new(0),
            recovery_over: AtomicBool::new(false),
            in_hand_since: Mutex::new(None),
            inserting_since: Mutex::new(None),
        }
    }

    /// Whether exchanges of this process wait in the spool alone.
    pub(crate) fn is_lagging(&self) -> bool {
        let lagging = |spool: &Spool| spool.lanes().iter().any(|lane| lane.is_lagging());
        self.spool.as_ref().is_some_and(lagging)
    }

    /// Reads what of an exchange's bodies is in the spool only.
    pub(crate) fn read_whole(&self, item: &mut Item) {
        let (begin, parts) = (item.begin.take(), std::mem::take(&mut item.parts));
        if let Some(spool) = &self.spool
            && (begin.is_some() || !parts.is_empty())
        {
            let (id, bodies) = (item.finished.opened.request_id, &mut item.finished.bodies);
            let damaged = spool.read_bodies(id, bodies, begin, &parts);
            self.note_read(item, damaged);
        }
    }

    /// An exchange was read from the spool, which is damaged in so many places. Each counts once, though some are read
    /// again.
    pub(crate) fn note_read(&self, item: &mut Item, damaged: u64) {
        if !std::mem::replace(&mut item.read, true)
            && let Some(spool) = &self.spool
        {
            spool.count_corrupt(damaged);
        }
    }

    /// Whether all that an earlier process left has been handed to the writer and taken by it.
    pub(crate) fn is_recovery_over(&self) -> bool {
        self.recovery_over.load(Ordering::Acquire) && self.recovered.fill() == Fill::Empty
    }

    /// Whether side threads are to end without finishing what they do.
    pub(crate) fn is_over(&self) -> bool {
        *self.ended.borrow()
            || match *self.stop.borrow() {
                Stop::Run => false,
                Stop::Drain(deadline) => deadline <= Instant::now(),
                Stop::Now => true,
            }
    }

    /// Hands the writer what earlier processes left. Blocks until it has taken all, or the process ends.
    pub(crate) fn recover(&self, lanes: Vec<OldLane>) {
        if let Some(spool) = &self.spool {
            spool.recover(lanes, &mut IntoQueue(self));
        }
        self.recovery_over.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    pub(crate) fn stats(&self) -> AccessLogStats {
        let spool = self.spool.as_ref();
        AccessLogStats {
            ledger: self.ledger.snapshot(),
            spool_bytes: spool.map_or(0, Spool::bytes),
            spool_corrupt_total: spool.map_or(0, Spool::corrupt_total),
            spool_failing: spool.is_some_and(Spool::is_failing),
            recovering: self.recovering.load(Ordering::Relaxed),
            oldest_unpersisted: self.oldest_unpersisted(),
            db_up: self.db_up.load(Ordering::Relaxed) && !self.is_insert_slow(),
        }
    }

    fn is_insert_slow(&self) -> bool {
        locked(&self.inserting_since).is_some_and(|since| SLOW_INSERT < since.elapsed())
    }

    fn oldest_unpersisted(&self) -> Duration {
        let queued = match self.queue.fill() {
            Fill::Empty => None,
            Fill::Some(since) | Fill::Batch(since) => Some(since.elapsed()),
        };
        let in_hand = locked(&self.in_hand_since).map(|since| since.elapsed());
        let waiting = self.spool.as_ref().and_then(|spool| {
            let lanes = spool.lanes();
            let oldest = lanes
                .iter()
                .filter_map(|lane| lane.oldest_unread_s())
                .min()?;
            Some(Duration::from_secs(
                spool.age_s().saturating_sub(oldest).into(),
            ))
        });
        [queued, in_hand, waiting]
            .into_iter()
            .flatten()
            .max()
            .unwrap_or_default()
    }
}

/// Recovered exchanges go into the queue for them, and wait for room there.
struct IntoQueue<'a>(&'a Shared);

impl RecoveryTarget for IntoQueue<'_> {
    fn expect(&mut self, count: u64) {
        self.0.recovering.fetch_add(count, Ordering::Relaxed);
    }

    fn take(&mut self, loaded: Loaded) -> bool {
        let item = Box::new(Item::new(loaded.finished, Vec::new(), loaded.pins, true));
        self.0
            .recovered
            .push_waiting(item, &self.0.wake, || self.0.is_over())
            .is_ok()
    }

    fn miss(&mut self) {
        self.0.recovering.fetch_sub(1, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.0.is_over()
    }
}

const SHARDS: usize = 16;
/// Ids for which each shard keeps room.
const KEPT_IDS: usize = 256;

/// Ids of exchanges that are open, or finished and neither stored nor dropped: those that a query cannot find yet. One that waits
/// in the spool costs some 60 bytes here and in its lane's list.
#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    shards: [Mutex<HashSet<Uuid>>; SHARDS],
}

impl Unfinished {
    pub(crate) fn insert(&self, id: Uuid) {
        if let Some(shard) = self.shard(id) {
            locked(shard).insert(id);
        }
    }

    pub(crate) fn remove(&self, id: Uuid) {
        if let Some(shard) = self.shard(id) {
            let mut ids = locked(shard);
            ids.remove(&id);
            // The room of a long backlog is given back.
            if ids.len() < ids.capacity() / 8 {
                let room = KEPT_IDS.max(2 * ids.len());
                ids.shrink_to(room);
            }
        }
    }

    pub(crate) fn contains(&self, id: Uuid) -> bool {
        self.shard(id)
            .is_some_and(|shard| locked(shard).contains(&id))
    }

    /// By the last bits, which are random in a UUIDv7.
    fn shard(&self, id: Uuid) -> Option<&Mutex<HashSet<Uuid>>> {
        self.shards.get(id.as_u128() as usize % SHARDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_s_ids_give_their_room_back() {
        let unfinished = Unfinished::default();
        let ids = || (0..100_000).map(Uuid::from_u128);
        let room = || {
            let shards = unfinished.shards.iter();
            shards.map(|ids| locked(ids).capacity()).sum::<usize>()
        };
        ids().for_each(|id| unfinished.insert(id));
        assert!(100_000 <= room());
        ids().for_each(|id| unfinished.remove(id));
        assert!(room() <= SHARDS * 2 * KEPT_IDS, "{}", room());
    }
}
