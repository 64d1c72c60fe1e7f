//! The writer: takes finished exchanges from the queue, the spool and an earlier process's leavings, makes records
//! of them and stores them in batches, for as long as it takes. The only place that waits for SQL.
//!
//! It has a thread and runtime of its own. What it holds outlives a panic: the supervisor starts it again and the
//! record that was in its hands is tried again, three times at most.

mod backoff;
mod intake;
mod long;
pub mod sink;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::access_log::draft::Finished;
use crate::access_log::ledger::{DropReason, Place};
use crate::access_log::observer::Observer;
use crate::access_log::queue::{Fill, Item};
use crate::access_log::record::LogRecord;
use crate::access_log::recorder::shared::{Shared, Stop};
use crate::access_log::sync::locked;
use crate::access_log::writer::backoff::Backoff;
use crate::access_log::writer::sink::{Sink, SinkError, SinkReport};

/// Makes a record of an exchange: decoding, counting, pricing. Runs on the writer's thread.
pub type Digest = Box<dyn Fn(&Finished) -> LogRecord + Send>;

/// How often a record may take the writer down before it is put aside.
const MOST_TRIES: u8 = 3;
const RESTART_AFTER: Duration = Duration::from_millis(50);

/// Whose exchanges are in hand. A batch holds one kind only, because they are counted differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    ThisProcess,
    EarlierProcess,
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// There was nothing to do.
    Idle,
    /// Records were stored, or dropped and counted.
    Progress,
    /// The store did not take them; they are still in hand.
    Away,
}

/// The writer's state.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    digest: Digest,
    sink: Box<dyn Sink>,
    observers: Vec<Arc<dyn Observer>>,
    origin: Origin,
    /// Not yet made into records.
    taken: VecDeque<Box<Item>>,
    /// Made into records: `items` and `records` run in step.
    items: VecDeque<Box<Item>>,
    records: Vec<LogRecord>,
    /// Bodies in the spool that are long: read and stored one exchange at a time, when the others are.
    long: VecDeque<Box<Item>>,
    /// Most records in one insert; small for a while after an insert panicked.
    limit: usize,
    /// Records in the insert that is under way.
    inserting: usize,
    turns: u32,
    away_since: Option<Instant>,
}

/// Runs the writer until it is told to stop, and starts it again after a panic.
pub(crate) fn supervise(runtime: &Runtime, mut writer: Writer) {
    while catch_unwind(AssertUnwindSafe(|| runtime.block_on(writer.run()))).is_err() {
        tracing::error!("the log writer panicked; it starts again and tries the record once more");
        std::thread::sleep(RESTART_AFTER);
        writer.after_panic();
    }
    writer.leave();
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        digest: Digest,
        sink: Box<dyn Sink>,
        observers: Vec<Arc<dyn Observer>>,
    ) -> Self {
        let limit = shared.bounds.batch_records;
        Self {
            shared,
            digest,
            sink,
            observers,
            origin: Origin::ThisProcess,
            taken: VecDeque::new(),
            items: VecDeque::new(),
            records: Vec::new(),
            long: VecDeque::new(),
            limit,
            inserting: 0,
            turns: 0,
            away_since: None,
        }
    }

    async fn run(&mut self) {
        let mut stop = self.shared.stop.subscribe();
        let mut backoff = Backoff::default();
        loop {
            if self.is_empty_handed() && !self.wait_for_work(&mut stop).await {
                return;
            }
            let turn = tokio::select! {
                turn = self.turn() => turn,
                () = time_is_up(stop.clone()) => return,
            };
            match turn {
                Turn::Idle => {}
                Turn::Progress => backoff.reset(),
                Turn::Away => tokio::select! {
                    () = tokio::time::sleep(backoff.next()) => {}
                    () = time_is_up(stop.clone()) => return,
                },
            }
        }
    }

    /// Waits until there is a batch, or less but long enough. `false`: there is no more work, or no more time.
    async fn wait_for_work(&self, stop: &mut watch::Receiver<Stop>) -> bool {
        loop {
            let draining = match *stop.borrow_and_update() {
                Stop::Run => false,
                Stop::Drain(deadline) if Instant::now() < deadline => true,
                Stop::Drain(_) | Stop::Now => return false,
            };
            let rest = match self.shared.queue.fill() {
                Fill::Batch(_) => return true,
                Fill::Some(_) if draining => return true,
                Fill::Some(since) => {
                    let rest = self.shared.flush_after.saturating_sub(since.elapsed());
                    if rest.is_zero() {
                        return true;
                    }
                    Some(rest)
                }
                Fill::Empty => None,
            };
            if self.shared.is_lagging() || self.shared.recovered.fill() != Fill::Empty {
                return true;
            }
            if draining && rest.is_none() && self.shared.is_recovery_over() {
                return false;
            }
            // While draining, the end of the recovery is looked for; it has no wake-up of its own.
            let longest = if draining {
                Duration::from_millis(20)
            } else {
                Duration::from_secs(60)
            };
            tokio::select! {
                () = self.shared.wake.notified() => {}
                () = tokio::time::sleep(rest.unwrap_or(longest)) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// One step: take a batch up, make records of it, insert once.
    pub(crate) async fn turn(&mut self) -> Turn {
        if self.is_empty_handed() {
            self.take_up();
        }
        let put_aside = self.make_records();
        if self.records.is_empty() {
            return match put_aside {
                true => Turn::Progress,
                false => self.turn_long().await,
            };
        }
        let count = self.limit.clamp(1, self.records.len());
        self.inserting = count;
        *locked(&self.shared.inserting_since) = Some(Instant::now());
        let result = self
            .sink
            .insert(self.records.get(..count).unwrap_or_default())
            .await;
        self.inserting = 0;
        *locked(&self.shared.inserting_since) = None;
        match result {
            Ok(report) => {
                self.note_up();
                self.resolve(count, report);
                self.limit = (self.limit * 2).min(self.shared.bounds.batch_records);
                Turn::Progress
            }
            Err(error) => {
                self.note_away(&error);
                Turn::Away
            }
        }
    }

    fn is_empty_handed(&self) -> bool {
        self.taken.is_empty() && self.records.is_empty() && self.long.is_empty()
    }

    // === making records ===

    /// Makes records of all that was taken up. Returns whether one was put aside instead.
    fn make_records(&mut self) -> bool {
        let mut put_aside = false;
        while let Some(item) = self.taken.front_mut() {
            if item.tries == MOST_TRIES {
                put_aside = true;
                let item = self.taken.pop_front();
                item.into_iter().for_each(|item| self.put_aside(*item));
                continue;
            }
            item.tries += 1; // counted first: the digest may panic
            let record = (self.digest)(&item.finished);
            if self.origin == Origin::ThisProcess && !item.observed {
                show(&self.observers, &record);
            }
            if let Some(mut item) = self.taken.pop_front() {
                item.tries = 0;
                self.items.push_back(item);
                self.records.push(record);
            }
        }
        put_aside
    }

    /// Puts an exchange that takes the writer down into quarantine.
    fn put_aside(&self, item: Item) {
        let id = item.finished.opened.request_id;
        let kept = self
            .shared
            .spool
            .as_ref()
            .map(|spool| spool.quarantine(&item.finished));
        match kept {
            Some(Ok(())) => tracing::error!(exchange.id = %id, "a record is put into quarantine"),
            Some(Err(error)) => {
                tracing::error!(exchange.id = %id, "a record is at fault and could not be kept: {error}");
            }
            None => tracing::error!(exchange.id = %id, "a record is at fault and is dropped"),
        }
        self.count(0, 0, 1);
        self.release(item);
    }

    // === after an insert ===

    fn resolve(&mut self, count: usize, report: SinkReport) {
        let count = count.min(self.records.len());
        self.records.drain(..count);
        let quarantined = report.quarantined.min(count as u64);
        self.count(
            report.new.min(count as u64),
            count as u64 - quarantined,
            quarantined,
        );
        for _ in 0..count {
            let item = self.items.pop_front();
            item.into_iter().for_each(|item| self.release(*item));
        }
        self.note_emptiness();
    }

    fn note_emptiness(&self) {
        if self.is_empty_handed() {
            *locked(&self.shared.in_hand_since) = None;
        }
    }

    /// Enters into the books: `there` are in the store now, `new` of them since now.
    fn count(&self, new: u64, there: u64, quarantined: u64) {
        match self.origin {
            Origin::ThisProcess => {
                self.shared.ledger.stored(there);
                self.shared
                    .ledger
                    .dropped(Place::Queued, DropReason::Quarantined, quarantined);
            }
            Origin::EarlierProcess => {
                self.shared.ledger.recovered(new, quarantined);
                self.shared
                    .recovering
                    .fetch_sub(there + quarantined, Ordering::Relaxed);
            }
        }
    }

    fn release(&self, item: Item) {
        self.shared
            .unfinished
            .remove(item.finished.opened.request_id);
        item.release();
    }

    fn note_up(&mut self) {
        self.shared.db_up.store(true, Ordering::Relaxed);
        if let Some(since) = self.away_since.take() {
            tracing::info!(
                away_ms = since.elapsed().as_millis() as u64,
                "the log database takes records again"
            );
        }
    }

    fn note_away(&mut self, error: &SinkError) {
        self.shared.db_up.store(false, Ordering::Relaxed);
        if self.away_since.is_none() {
            self.away_since = Some(Instant::now());
            tracing::warn!("{error}; records wait until it is back");
        }
    }

    // === after a panic, and at the end ===

    /// An insert that panicked is given again in halves, until the record at fault is alone; that one is put aside after three tries.
    pub(crate) fn after_panic(&mut self) {
        *locked(&self.shared.inserting_since) = None;
        match std::mem::take(&mut self.inserting) {
            0 => {}
            1 => {
                let poison = self.items.front_mut().is_some_and(|item| {
                    item.tries += 1;
                    item.tries == MOST_TRIES
                });
                self.limit = 1;
                if poison && let Some(item) = self.items.pop_front() {
                    self.records.drain(..1);
                    self.put_aside(*item);
                }
            }
            count => self.limit = count / 2,
        }
    }

    /// The process ends. What stands in the spool is found by the next start; what does not is lost, and counted.
    pub(crate) fn leave(&mut self) {
        self.shared.queue.close();
        let mut left = VecDeque::new();
        if self.origin == Origin::ThisProcess {
            left.append(&mut self.items);
            left.append(&mut self.taken);
            left.append(&mut self.long);
        }
        self.shared.queue.take(usize::MAX, usize::MAX, &mut left);
        for item in left {
            if item.durable {
                self.shared.ledger.left_in_spool(1);
            } else {
                self.shared
                    .ledger
                    .dropped(Place::Queued, DropReason::Shutdown, 1);
            }
        }
        self.shared.ended.send_replace(true);
    }
}

fn show(observers: &[Arc<dyn Observer>], record: &LogRecord) {
    for observer in observers {
        if catch_unwind(AssertUnwindSafe(|| observer.on_complete(record))).is_err() {
            tracing::error!("an observer of the access log panicked");
        }
    }
}

/// Ends when the process must, be everything stored or not.
async fn time_is_up(mut stop: watch::Receiver<Stop>) {
    loop {
        let now = *stop.borrow_and_update();
        match now {
            Stop::Now => return,
            Stop::Drain(deadline) => {
                tokio::select! {
                    () = tokio::time::sleep_until(deadline.into()) => return,
                    _ = stop.changed() => {}
                }
            }
            Stop::Run => {
                if stop.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}
