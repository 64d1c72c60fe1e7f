//! Exactly one record for each accepted request, by construction: the guard writes it on success, refusal,
//! error, a client that left, and panic alike. Over 400 lines: one type, every way in
//! which a record can end.

mod copies;
mod masking;
mod stopwatch;
mod tap;

pub use self::tap::UpstreamTap;

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;

use crate::access_log::capture::{Capture, SPILL_BYTES};
use crate::access_log::draft::{
    Bodies, BodyKind, Captured, ChunkTime, Closed, Keep, Opened, RecordedError,
};
use crate::access_log::guard::copies::Copies;
use crate::access_log::guard::masking::{mask_closed, mask_opened};
use crate::access_log::guard::stopwatch::{Stopwatch, micros};
use crate::access_log::recorder::{Recorder, Ticket};
use crate::access_log::redact::Secrets;
use crate::filter::{Dialect, Endpoint, Outcome};

/// The record of one exchange while it runs.
///
/// Steps, in this order: [`Recording::begin`] before the upstream is called, [`Recording::end`] before the
/// bytes that complete the answer go out, [`RecordGuard::finish`] when all is over. Dropping it in between
/// writes what is known, as `client_disconnected`, or `internal_error` when a panic unwinds.
///
/// It is handed from step to step by value, so what it holds lies in a box: over a thousand bytes, which every step
/// and every future on the way would copy otherwise.
pub struct RecordGuard(Box<Recording>);

/// What a [`RecordGuard`] holds, and what can be told it.
pub struct Recording {
    recorder: Rc<Recorder>,
    secrets: Rc<Secrets>,
    dialect: Dialect,
    state: State,
    closed: Closed,
    copies: Copies,
    times: Stopwatch,
    keeps_headers: bool,
    /// Bytes of a stream whose pieces' times are kept: those that are stored, for nothing else is replayed.
    timed_bytes: u64,
    head_lost: HeadLost,
    /// Of a translated answer: what was read of it, until the record takes it.
    tap: Option<UpstreamTap>,
    /// Told how the exchange ended.
    on_close: Option<OnClose>,
}

/// Told how an exchange ended, once.
pub type OnClose = Box<dyn FnOnce(&Closed)>;

/// Says to a record, from outside, that its client left before a head could be sent to it.
#[derive(Debug, Clone, Default)]
pub struct HeadLost(Rc<Cell<bool>>);

impl HeadLost {
    /// Says so, for good.
    pub fn mark(&self) {
        self.0.set(true);
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "one guard an exchange, which is open for nearly all of its life"
)]
enum State {
    /// Not on record yet.
    Opening(Opened),
    /// `begin` is on record.
    Open(OpenRecord),
    /// Handed over.
    Gone,
}

struct OpenRecord {
    ticket: Ticket,
    keep: Keep,
    created_at_us: i64,
    begun_with_request: Option<Captured>,
    ended_response_bytes: Option<u64>,
}

// === impl RecordGuard ===

impl RecordGuard {
    /// A guard for a request whose head was read at `started`.
    pub fn new(
        recorder: Rc<Recorder>,
        secrets: Rc<Secrets>,
        opened: Opened,
        started: Instant,
        body_limit: u64,
    ) -> Self {
        // Without bodies only the digest looks at them, and it knows nothing of what just passes through.
        let wanted = opened.keep == Keep::Full || opened.endpoint != Endpoint::Passthrough;
        let timed_bytes = match opened.keep {
            Keep::Full => body_limit,
            Keep::Metadata | Keep::Nothing => 0,
        };
        Self(Box::new(Recording {
            recorder,
            secrets,
            keeps_headers: opened.request_headers.is_some(),
            dialect: opened.dialect,
            state: State::Opening(opened),
            closed: empty_closed(),
            copies: Copies::new(body_limit, wanted),
            times: Stopwatch::new(started),
            timed_bytes,
            head_lost: HeadLost::default(),
            tap: None,
            on_close: None,
        }))
    }

    /// Hands the record to the writer; puts the end on record first where that has not happened.
    pub fn finish(mut self) {
        self.0.hand_over();
    }
}

impl Deref for RecordGuard {
    type Target = Recording;

    fn deref(&self) -> &Recording {
        &self.0
    }
}

impl DerefMut for RecordGuard {
    fn deref_mut(&mut self) -> &mut Recording {
        &mut self.0
    }
}

// === impl Recording ===

impl Recording {
    /// What is known of the request, until [`Recording::begin`].
    pub fn opened_mut(&mut self) -> Option<&mut Opened> {
        match &mut self.state {
            State::Opening(opened) => Some(opened),
            State::Open(_) | State::Gone => None,
        }
    }

    /// Says that the request is of another API than its path names, until [`Recording::begin`].
    pub fn is_of(&mut self, endpoint: Endpoint, dialect: Dialect) {
        self.dialect = dialect;
        if let Some(opened) = self.opened_mut() {
            opened.endpoint = endpoint;
            opened.dialect = dialect;
        }
    }

    /// What is known of the answer.
    pub fn closed_mut(&mut self) -> &mut Closed {
        &mut self.closed
    }

    /// Which family of clients this one is of.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// By which the server says that no head reached the client, whatever else came of the exchange.
    pub fn head_lost(&self) -> HeadLost {
        self.head_lost.clone()
    }

    /// Whether the client's headers are on record, and the answer's are wanted too.
    pub fn keeps_headers(&self) -> bool {
        self.keeps_headers
    }

    /// A credential of this request's own, to be masked wherever it occurs. Comes before [`Recording::begin`].
    pub fn add_secret(&mut self, secret: &[u8]) {
        Rc::make_mut(&mut self.secrets).add(secret);
        // The headers were written down before anybody knew that this one is passed on.
        if let State::Opening(opened) = &mut self.state
            && let Some(headers) = &mut opened.request_headers
        {
            self.secrets.mask_in(headers);
        }
    }

    /// The texts that this record masks.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// At most so many bytes of the request's body are stored; size and hash are of all of it. Comes before its first piece.
    pub fn store_less_of_request(&mut self, bytes: u64) {
        self.copies.request.lower_limit(bytes);
    }

    /// Takes the request's body, read whole from the client into a buffer of its own.
    pub fn request_body(&mut self, body: Bytes) {
        self.closed.request_bytes += body.len() as u64;
        self.copies.request.push_whole(body);
    }

    /// Takes a piece of the request's body as read from the client.
    pub fn request_piece(&mut self, piece: Bytes) {
        self.closed.request_bytes += piece.len() as u64;
        self.copies.request.push(piece);
        let copy = &mut self.copies.request;
        spill(&mut self.state, BodyKind::Request, copy, &self.secrets);
    }

    /// Takes what came of a body that is not read to its end: its first `kept_bytes` are stored, size and hash
    /// are of all that came.
    pub fn request_cut(&mut self, came: &[u8], kept_bytes: usize) {
        self.closed.request_bytes += came.len() as u64;
        self.copies.cut_request(came, kept_bytes);
    }

    /// Takes the whole body as it goes upstream, when it differs from the client's.
    pub fn upstream_request(&mut self, body: Bytes) {
        self.copies.set_upstream_request(body);
    }

    /// Takes a piece of the answer as the upstream sent it, when the client gets something else. Of a translated
    /// answer the tap has it: what comes here is in the client's format already, and is not what the client gets.
    pub fn upstream_response_piece(&mut self, piece: Bytes) {
        if self.tap.is_none() {
            self.untranslated_piece(piece);
        }
    }

    /// Takes a piece of the answer as the client gets it.
    pub fn response_piece(&mut self, piece: Bytes) {
        self.drain_tap();
        self.copies.response.push(piece);
        let copy = &mut self.copies.response;
        spill(&mut self.state, BodyKind::Response, copy, &self.secrets);
    }

    /// As [`Recording::response_piece`], for a piece of a stream: its time is kept too.
    pub fn stream_piece(&mut self, piece: Bytes, now: Instant) {
        self.times.piece(now);
        let offset = self.copies.response.size();
        if offset < self.timed_bytes {
            self.closed.chunks.push(ChunkTime {
                offset,
                length: u32::try_from(piece.len()).unwrap_or(u32::MAX),
                at_us: micros(self.times.at(now)),
            });
        }
        self.response_piece(piece);
    }

    /// Takes the usage chunk that only we asked for and that the client does not get.
    pub fn usage_chunk(&mut self, data: Bytes) {
        let masked = self.secrets.mask(data);
        self.closed.usage_chunk = std::str::from_utf8(&masked).ok().map(str::to_owned);
    }

    /// Puts the request on record. Must stand before the upstream is called. Does nothing the second time.
    pub fn begin(&mut self) {
        if !matches!(self.state, State::Opening(_)) {
            return;
        }
        if let State::Opening(mut opened) = std::mem::replace(&mut self.state, State::Gone) {
            mask_opened(&mut opened, &self.secrets);
            let keep = opened.keep;
            let created_at_us = opened.created_at_us;
            let mut request = self.copies.captured_request(&self.secrets);
            let for_disk = request.as_ref().filter(|_| keep == Keep::Full);
            let ticket = self.recorder.open(opened, for_disk);
            if let Some(request) = &mut request
                && SPILL_BYTES as u64 <= ticket.begun_bytes()
            {
                request.pieces.clear();
                request.begun_bytes = ticket.begun_bytes();
                self.copies.request.let_go();
            }
            self.state = State::Open(OpenRecord {
                ticket,
                keep,
                created_at_us,
                begun_with_request: request,
                ended_response_bytes: None,
            });
        }
    }

    /// Puts the end on record. Must stand before the bytes that complete the answer go out. When bytes came
    /// after it, calling it again puts the longer end on record.
    pub fn end(&mut self, outcome: Outcome) {
        self.begin();
        self.closed.outcome = outcome;
        self.settle();
        if self.head_lost.0.get() {
            self.closed.outcome = Outcome::ClientDisconnected;
            self.closed.status_code = 499;
            self.closed.times.first_byte_ms = None;
        }
        self.closed.cut_try();
        if let State::Open(open) = &mut self.state
            && open.ended_response_bytes != Some(self.copies.response.size())
        {
            open.ended_response_bytes = Some(self.copies.response.size());
            if open.keep != Keep::Full {
                open.ticket.end(&self.closed, &Bodies::default());
                return;
            }
            let mut bodies = self.copies.collect(&self.secrets);
            // Lent: that its bytes stand in the begin record is said in the end record.
            let begun = open.begun_with_request.take();
            let is_begun = begun.is_some();
            bodies.request = begun.or_else(|| self.copies.captured_request(&self.secrets));
            open.ticket.end(&self.closed, &bodies);
            if is_begun {
                open.begun_with_request = bodies.request;
            }
        }
    }

    /// Calls this when the exchange is over, however it ends.
    pub fn when_closed(&mut self, on_close: OnClose) {
        self.on_close = Some(on_close);
    }

    /// Whether [`Recording::end`] was called.
    pub fn has_ended(&self) -> bool {
        match &self.state {
            State::Open(open) => open.ended_response_bytes.is_some(),
            State::Opening(_) => false,
            State::Gone => true,
        }
    }

    /// Notes the error that the client was given.
    pub fn error(&mut self, kind: &str, code: &str, message: &str) {
        self.closed.error = Some(RecordedError {
            kind: Some(kind.to_owned()),
            code: Some(code.to_owned()),
            message: Some(self.secrets.mask_text(message)),
        });
    }

    fn hand_over(&mut self) {
        if matches!(self.state, State::Gone) {
            return;
        }
        if !self.has_ended() || self.response_grew() {
            self.end(self.closed.outcome);
        }
        self.settle();
        if let Some(on_close) = self.on_close.take() {
            on_close(&self.closed);
        }
        if let State::Open(open) = std::mem::replace(&mut self.state, State::Gone) {
            let mut bodies = self.copies.collect(&self.secrets);
            bodies.request = open
                .begun_with_request
                .or_else(|| self.copies.captured_request(&self.secrets));
            let closed = std::mem::replace(&mut self.closed, empty_closed());
            open.ticket.finish(closed, bodies);
        }
    }

    fn response_grew(&self) -> bool {
        match &self.state {
            State::Open(open) => open.ended_response_bytes != Some(self.copies.response.size()),
            State::Opening(_) | State::Gone => false,
        }
    }

    /// Makes what is known of the end fit for the record.
    fn settle(&mut self) {
        self.drain_tap();
        self.close_times();
        mask_closed(&mut self.closed, &self.secrets);
    }

    fn close_times(&mut self) {
        let created_at_us = match &self.state {
            State::Opening(opened) => opened.created_at_us,
            State::Open(open) => open.created_at_us,
            State::Gone => return,
        };
        let duration = self.times.close(Instant::now(), &mut self.closed.times);
        self.closed.finished_at_us =
            created_at_us.saturating_add(i64::try_from(micros(duration)).unwrap_or(i64::MAX));
        if self.closed.response_bytes.is_some() || 0 < self.copies.response.size() {
            self.closed.response_bytes = Some(self.copies.response.size());
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if !self.has_ended() {
            if std::thread::panicking() {
                self.closed.outcome = Outcome::InternalError;
                self.closed.status_code = if self.copies.response.size() == 0 {
                    500
                } else {
                    self.closed.status_code
                };
            }
            if self.closed.response_complete.is_none() && 0 < self.copies.response.size() {
                self.closed.response_complete = Some(false);
            }
        }
        self.hand_over();
    }
}

/// Until anything else is known: the client left before a head was sent.
fn empty_closed() -> Closed {
    Closed::new(Outcome::ClientDisconnected, 499)
}

/// Moves what a long body holds in memory to the spool, where bodies may be kept at all.
fn spill(state: &mut State, kind: BodyKind, capture: &mut Capture, secrets: &Secrets) {
    if let State::Open(open) = state
        && open.keep == Keep::Full
    {
        capture.spill(secrets, |part| open.ticket.part(kind, &[part]));
    }
}

#[cfg(test)]
mod tests;
