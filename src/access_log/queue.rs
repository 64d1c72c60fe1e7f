//! The bounded way from the request threads to the writer: bounded in records and in bytes.
//!
//! A push never waits: a full queue says no, and the exchange then waits in the spool. Only the recovery of an
//! earlier process's records waits for room, on a thread of its own.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::access_log::draft::{Bodies, Captured, Finished};
use crate::access_log::spool::format::Position;
use crate::access_log::spool::payload::PartAt;
use crate::access_log::spool::segment::SegmentPin;
use crate::access_log::sync::locked;

/// What a record takes besides its bodies, in bytes: about what its texts and structs weigh.
const RECORD_BYTES: usize = 2048;

/// A finished exchange on its way to the writer.
#[derive(Debug)]
pub struct Item {
    /// The exchange.
    pub finished: Finished,
    /// The begin record, where the request's body stands in it only.
    pub begin: Option<Position>,
    /// Pieces of its bodies that are still in the spool only.
    pub parts: Vec<PartAt>,
    /// The files that hold it. Empty when none does.
    pub pins: Vec<SegmentPin>,
    /// Whether its end stands in the spool, so that the next start would find it.
    pub durable: bool,
    /// When it was over.
    pub since: Instant,
    /// About what it weighs in memory.
    pub bytes: usize,
    /// How often the writer has tried to make it into a record, or to store it alone.
    pub tries: u8,
    /// Whether what is in the spool was read before.
    pub read: bool,
    /// Whether observers have seen its record.
    pub observed: bool,
}

impl Item {
    /// An exchange that is over now.
    pub fn new(
        finished: Finished,
        parts: Vec<PartAt>,
        pins: Vec<SegmentPin>,
        durable: bool,
    ) -> Self {
        let bytes = RECORD_BYTES + bodies_bytes(&finished.bodies);
        Self {
            finished,
            begin: None,
            parts,
            pins,
            durable,
            since: Instant::now(),
            bytes,
            tries: 0,
            read: false,
            observed: false,
        }
    }

    /// How many bytes of its bodies are in the spool only.
    pub fn spooled_bytes(&self) -> usize {
        let bodies = bodies_of(&self.finished.bodies);
        bodies.map(spooled_bytes).fold(0, usize::saturating_add)
    }

    /// It is stored, or dropped and counted: its files need not be kept for it.
    pub fn release(self) {
        self.pins.into_iter().for_each(SegmentPin::release);
    }
}

fn bodies_of(bodies: &Bodies) -> impl Iterator<Item = &Captured> {
    let Bodies {
        request,
        upstream_request,
        response,
        upstream_response,
    } = bodies;
    [request, upstream_request, response, upstream_response]
        .into_iter()
        .flatten()
}

fn spooled_bytes(body: &Captured) -> usize {
    usize::try_from(body.begun_bytes + body.spilled_bytes).unwrap_or(usize::MAX)
}

fn bodies_bytes(bodies: &Bodies) -> usize {
    let bodies = bodies_of(bodies).map(|body| {
        let pieces: usize = body.pieces.iter().map(bytes::Bytes::len).sum();
        pieces.saturating_add(spooled_bytes(body))
    });
    bodies.sum()
}

/// Bounds of a queue, and the point from which the reader need not wait for more.
#[derive(Debug, Clone, Copy)]
pub struct QueueBounds {
    /// Most records.
    pub records: usize,
    /// Most bytes. One record alone may weigh more.
    pub bytes: usize,
    /// A batch is full at so many records.
    pub batch_records: usize,
    /// A batch is full at so many bytes.
    pub batch_bytes: usize,
}

/// What waits in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Nothing.
    Empty,
    /// Less than a batch; the oldest waits since then.
    Some(Instant),
    /// A batch or more; the oldest waits since then.
    Batch(Instant),
}

/// A bounded queue with one reader.
#[derive(Debug)]
pub struct Queue {
    bounds: QueueBounds,
    inner: Mutex<Inner>,
    room: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    items: VecDeque<Box<Item>>,
    bytes: usize,
    closed: bool,
}

impl Inner {
    fn push(&mut self, item: Box<Item>) {
        self.bytes += item.bytes;
        self.items.push_back(item);
    }
}

impl Queue {
    /// An empty queue.
    pub fn new(bounds: QueueBounds) -> Self {
        Self {
            bounds,
            inner: Mutex::default(),
            room: Condvar::new(),
        }
    }

    /// Appends the item, or gives it back when there is no room. `counted` runs before the reader can see it.
    /// The reader is woken when the queue was empty and when a batch is full, not in between.
    ///
    /// # Errors
    /// The item, when there is no room.
    pub fn try_push(
        &self,
        item: Box<Item>,
        wake: &Notify,
        counted: impl FnOnce(),
    ) -> Result<(), Box<Item>> {
        let mut inner = locked(&self.inner);
        if inner.closed || !self.has_room(&inner, &item) {
            return Err(item);
        }
        let was_batch = self.is_batch(&inner);
        let tell = inner.items.is_empty() || {
            let bytes = inner.bytes + item.bytes;
            let batch = self.bounds.batch_records <= inner.items.len() + 1
                || self.bounds.batch_bytes <= bytes;
            batch && !was_batch
        };
        counted();
        inner.push(item);
        drop(inner);
        if tell {
            wake.notify_one();
        }
        Ok(())
    }

    /// Appends the item as soon as there is room. Gives it back when `stopped` says so first.
    ///
    /// # Errors
    /// The item, when stopped.
    pub fn push_waiting(
        &self,
        item: Box<Item>,
        wake: &Notify,
        stopped: impl Fn() -> bool,
    ) -> Result<(), Box<Item>> {
        let mut inner = locked(&self.inner);
        while !self.has_room(&inner, &item) {
            if stopped() {
                return Err(item);
            }
            let waited = self.room.wait_timeout(inner, Duration::from_millis(50));
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        inner.push(item);
        drop(inner);
        wake.notify_one();
        Ok(())
    }

    /// Takes items from the front, up to a number and a weight, but at least one.
    pub fn take(&self, records: usize, bytes: usize, into: &mut VecDeque<Box<Item>>) {
        let mut inner = locked(&self.inner);
        let mut taken_bytes = 0;
        for taken in 0..records {
            let fits = |item: &Item| taken == 0 || taken_bytes + item.bytes <= bytes;
            if !inner.items.front().is_some_and(|item| fits(item)) {
                break;
            }
            let Some(item) = inner.items.pop_front() else {
                break;
            };
            taken_bytes += item.bytes;
            inner.bytes -= item.bytes;
            into.push_back(item);
        }
        drop(inner);
        self.room.notify_all();
    }

    /// Takes no more: the reader goes.
    pub fn close(&self) {
        locked(&self.inner).closed = true;
    }

    /// Whether the reader has gone.
    pub fn is_closed(&self) -> bool {
        locked(&self.inner).closed
    }

    /// How full it is.
    pub fn fill(&self) -> Fill {
        let inner = locked(&self.inner);
        match inner.items.front() {
            None => Fill::Empty,
            Some(oldest) if self.is_batch(&inner) => Fill::Batch(oldest.since),
            Some(oldest) => Fill::Some(oldest.since),
        }
    }

    fn has_room(&self, inner: &Inner, item: &Item) -> bool {
        inner.items.is_empty()
            || (inner.items.len() < self.bounds.records
                && inner.bytes + item.bytes <= self.bounds.bytes)
    }

    fn is_batch(&self, inner: &Inner) -> bool {
        self.bounds.batch_records <= inner.items.len() || self.bounds.batch_bytes <= inner.bytes
    }
}
