//! One exchange on its way through a worker: begin, parts, end, hand-over.

use std::rc::Rc;

use bytes::Bytes;
use uuid::Uuid;

use aiproxy_filters::Outcome;

use crate::access_log::draft::{Bodies, BodyKind, Captured, Closed, Finished, Opened};
use crate::access_log::ledger::{DropReason, Place};
use crate::access_log::queue::Item;
use crate::access_log::recorder::Worker;
use crate::access_log::spool::Spool;
use crate::access_log::spool::format::{Position, RecordKind};
use crate::access_log::spool::lane::{Lane, Unread};
use crate::access_log::spool::payload::PartAt;
use crate::access_log::spool::read::body_mut;
use crate::access_log::spool::segment::SegmentPin;

/// An open exchange. Dropped without `finish`, it is handed over as one that broke off (`internal_error`): no exchange is without a row.
#[derive(Debug)]
#[must_use = "an exchange is over when its ticket is finished"]
pub struct Ticket {
    worker: Rc<Worker>,
    id: Uuid,
    /// `None` once handed over.
    opened: Option<Opened>,
    begin: Option<Position>,
    /// Bytes of the request's body in the begin record.
    begin_bytes: u64,
    parts: Vec<PartAt>,
    end: Option<Position>,
    /// How many of the parts the last end record names.
    parts_at_end: usize,
    /// Checksum of what the last end record says.
    end_said: u32,
    pins: Vec<SegmentPin>,
}

impl Ticket {
    /// Opens an exchange: counts it, and appends its begin record where there is a spool.
    pub(super) fn open(
        worker: Rc<Worker>,
        opened: Opened,
        request_body: Option<&Captured>,
    ) -> Self {
        worker.shared.ledger.opened();
        worker.shared.unfinished.insert(opened.request_id);
        let mut ticket = Self {
            worker,
            id: opened.request_id,
            opened: Some(opened),
            begin: None,
            begin_bytes: 0,
            parts: Vec::new(),
            end: None,
            parts_at_end: 0,
            end_said: 0,
            pins: Vec::new(),
        };
        ticket.append_begin(request_body);
        ticket
    }

    /// The exchange's id.
    pub fn request_id(&self) -> Uuid {
        self.id
    }

    /// Bytes of the request's body that stand in the begin record.
    pub fn begun_bytes(&self) -> u64 {
        self.begin_bytes
    }

    /// Appends pieces of a body to the spool, so that they can leave memory. Call it for a body that has grown
    /// beyond some 256 KiB, with the pieces in order.
    ///
    /// Returns whether the pieces stand in the spool: the caller then lets go of them and adds their bytes to
    /// `Captured::spilled_bytes`. `false` (no spool, spool full, or the request's body stands in the begin record): they
    /// stay in memory.
    #[must_use = "pieces that were not taken stay with the caller"]
    pub fn part(&mut self, kind: BodyKind, pieces: &[Bytes]) -> bool {
        let in_begin = kind == BodyKind::Request && self.begin_bytes > 0;
        if self.begin.is_none() || in_begin {
            return false;
        }
        let worker = Rc::clone(&self.worker);
        let Some((spool, lane)) = worker.spool() else {
            return false;
        };
        let mut record = worker.record.borrow_mut();
        record.part(kind, pieces);
        let Some((pin, at)) = spool.append(lane, RecordKind::Part, self.id, &mut record) else {
            return false;
        };
        self.keep(pin);
        self.parts.push(PartAt { kind, at });
        true
    }

    /// Forgets the parts of a body that is none any more: what follows is another one. Comes before the end record.
    pub fn forget_parts(&mut self, kind: BodyKind) {
        self.parts.retain(|part| part.kind != kind);
    }

    /// Appends the end record: from here on the exchange survives the death of the process. Returns whether it does.
    ///
    /// May be called again when more is known; the last end holds.
    pub fn end(&mut self, closed: &Closed, bodies: &Bodies) -> bool {
        if self.begin.is_none() {
            self.append_begin(None);
        }
        let worker = Rc::clone(&self.worker);
        let (Some((spool, lane)), Some(begin)) = (worker.spool(), self.begin) else {
            return false;
        };
        let mut record = worker.record.borrow_mut();
        if let Err(error) = record.end(closed, bodies, begin, self.begin_bytes, &self.parts) {
            tracing::error!(exchange.id = %self.id, "an end record cannot be made: {error}");
            return false;
        }
        let said = record.fingerprint();
        if self.end.is_some() && self.end_said == said {
            return true;
        }
        let Some((pin, at)) = spool.append(lane, RecordKind::End, self.id, &mut record) else {
            return false;
        };
        self.keep(pin);
        let moved = self.end.is_some_and(|before| before.segment != at.segment);
        self.end = Some(at);
        self.end_said = said;
        self.parts_at_end = self.parts.len();
        if moved {
            self.release_unneeded();
        }
        true
    }

    /// The exchange is over: hands it to the writer. Appends the end record if that was not done yet.
    pub fn finish(mut self, closed: Closed, bodies: Bodies) {
        if self.end.is_none() {
            self.end(&closed, &bodies);
        }
        self.hand_over(Some(closed), bodies);
    }

    fn append_begin(&mut self, request_body: Option<&Captured>) {
        let worker = Rc::clone(&self.worker);
        let (Some((spool, lane)), Some(opened)) = (worker.spool(), &self.opened) else {
            return;
        };
        let mut record = worker.record.borrow_mut();
        let begin_bytes = match record.begin(opened, request_body) {
            Ok(begin_bytes) => begin_bytes,
            Err(error) => {
                tracing::error!(exchange.id = %self.id, "a begin record cannot be made: {error}");
                return;
            }
        };
        if let Some((pin, at)) = spool.append(lane, RecordKind::Begin, self.id, &mut record) {
            self.begin = Some(at);
            self.begin_bytes = begin_bytes;
            self.keep(pin);
        }
    }

    fn hand_over(&mut self, closed: Option<Closed>, bodies: Bodies) {
        let Some(opened) = self.opened.take() else {
            return;
        };
        let worker = Rc::clone(&self.worker);
        let shared = &worker.shared;
        let durable = self.end.is_some();
        // Behind those that wait already; and where only the spool knows how it ended.
        let lagging = || worker.spool().is_some_and(|(_, lane)| lane.is_lagging());
        let must_wait = durable && (closed.is_none() || lagging());
        let finished = Finished {
            opened,
            closed,
            bodies,
        };
        let parts = self.parts.clone(); // positions
        let is_begun = |body: &Captured| 0 < body.begun_bytes;
        let begin = self
            .begin
            .filter(|_| finished.bodies.request.as_ref().is_some_and(is_begun));
        let pins = std::mem::take(&mut self.pins);
        let mut item = Box::new(Item {
            begin,
            ..Item::new(finished, parts, pins, durable)
        });
        if !must_wait {
            match shared
                .queue
                .try_push(item, &shared.wake, || shared.ledger.queued())
            {
                Ok(()) => return,
                Err(back) => item = back,
            }
        }
        self.pins = std::mem::take(&mut item.pins);
        match (worker.spool(), self.end) {
            (Some((spool, lane)), Some(_)) => self.wait_in_spool(spool, lane, &item.finished),
            (spool, _) => {
                let reason = if shared.queue.is_closed() {
                    DropReason::Shutdown
                } else if let Some((spool, _)) = spool {
                    spool.count_unkept();
                    DropReason::SpoolFull
                } else {
                    DropReason::QueueFull
                };
                shared.ledger.dropped(Place::Open, reason, 1);
                self.pins.drain(..).for_each(SegmentPin::release);
                shared.unfinished.remove(self.id);
            }
        }
    }

    /// Leaves the exchange to the spool; the writer reads it from there.
    fn wait_in_spool(&mut self, spool: &Spool, lane: &Lane, finished: &Finished) {
        if let Some(closed) = &finished.closed {
            self.end(closed, &finished.bodies); // nothing is written unless more is known than at the last end
        }
        let Some(end) = self.end else { return };
        self.parts.truncate(self.parts_at_end);
        self.release_unneeded();
        self.pins.drain(..).for_each(SegmentPin::leave);
        let shared = &self.worker.shared;
        let unread = Unread {
            id: self.id,
            end,
            since_s: spool.age_s(),
        };
        if lane.push_unread(unread, || shared.ledger.spooled()) {
            shared.wake.notify_one();
        }
    }

    /// One pin for each file is enough.
    fn keep(&mut self, pin: SegmentPin) {
        if self.pins.iter().any(|held| held.number() == pin.number()) {
            pin.release();
        } else {
            self.pins.push(pin);
        }
    }

    /// Lets go of files in which only an end record stands that no longer holds.
    fn release_unneeded(&mut self) {
        let places = self
            .parts
            .iter()
            .map(|part| part.at)
            .chain(self.begin)
            .chain(self.end);
        let needed: Vec<u32> = places.map(|place| place.segment).collect();
        let (kept, unneeded) = self
            .pins
            .drain(..)
            .partition(|pin| needed.contains(&pin.number()));
        self.pins = kept;
        let unneeded: Vec<SegmentPin> = unneeded;
        unneeded.into_iter().for_each(SegmentPin::release);
    }
}

impl Drop for Ticket {
    /// Does nothing after `finish`.
    fn drop(&mut self) {
        let Some(opened) = &self.opened else { return };
        if self.end.is_some() {
            return self.hand_over(None, Bodies::default());
        }
        let closed = broken_off(opened.created_at_us);
        let bodies = self.bodies_so_far();
        self.end(&closed, &bodies);
        self.hand_over(Some(closed), bodies);
    }
}

impl Ticket {
    /// The bodies as far as they stand in the spool.
    fn bodies_so_far(&self) -> Bodies {
        let (Some((spool, _)), Some(begin)) = (self.worker.spool(), self.begin) else {
            return Bodies::default();
        };
        let parts: Vec<Position> = self.parts.iter().map(|part| part.at).collect();
        let Ok(mut bodies) = spool.load_open(begin, &parts) else {
            return Bodies::default();
        };
        for part in &self.parts {
            if let Some(body) = body_mut(&mut bodies, part.kind) {
                body.pieces.clear(); // they stay in the spool
                body.spilled_bytes = body.size;
            }
        }
        bodies
    }
}

/// The second half of an exchange whose ticket was dropped: nobody said how it ended, so it is a defect of ours.
fn broken_off(created_at_us: i64) -> Closed {
    Closed {
        finished_at_us: created_at_us,
        response_complete: Some(false),
        ..Closed::new(Outcome::InternalError, 500)
    }
}
