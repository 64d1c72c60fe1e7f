//! Exactly one record for each accepted request, by construction: the guard writes it on success, refusal,
//! error, a client that left, and panic alike.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::access_log::capture::{Capture, SPILL_BYTES};
use crate::access_log::draft::{
    Bodies, BodyKind, Captured, ChunkTime, Closed, Keep, Opened, RecordedError, Times,
};
use crate::access_log::recorder::{Recorder, Ticket};
use crate::access_log::redact::Secrets;
use crate::filter::{Endpoint, Outcome};

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
    started: Instant,
    state: State,
    closed: Closed,
    request: Capture,
    upstream_request: Option<Capture>,
    response: Capture,
    upstream_response: Option<Capture>,
    upstream_since: Option<Instant>,
    upstream_until: Option<Instant>,
    last_piece: Option<Instant>,
    longest_gap: Option<Duration>,
    busy: Duration,
    read_at: Instant,
    body_limit: u64,
    keeps_headers: bool,
    head_lost: HeadLost,
}

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
        let capture = || match wanted {
            true => Capture::new(body_limit),
            false => Capture::only_size(),
        };
        Self(Box::new(Recording {
            recorder,
            secrets,
            started,
            request: capture(),
            response: capture(),
            keeps_headers: opened.request_headers.is_some(),
            state: State::Opening(opened),
            closed: empty_closed(),
            upstream_request: None,
            upstream_response: None,
            upstream_since: None,
            upstream_until: None,
            last_piece: None,
            longest_gap: None,
            busy: Duration::ZERO,
            read_at: started,
            body_limit,
            head_lost: HeadLost::default(),
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

    /// What is known of the answer.
    pub fn closed_mut(&mut self) -> &mut Closed {
        &mut self.closed
    }

    /// By which the server says that no head reached the client, whatever else came of the exchange.
    pub fn head_lost(&self) -> HeadLost {
        self.head_lost.clone()
    }

    /// Whether the client's headers are on record, and the answer's are wanted too.
    pub fn keeps_headers(&self) -> bool {
        self.keeps_headers
    }

    /// When the request's head had been read.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// A credential of this request's own, to be masked wherever it occurs.
    pub fn add_secret(&mut self, secret: &[u8]) {
        Rc::make_mut(&mut self.secrets).add(secret);
    }

    /// The texts that this record masks.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Takes a piece of the request's body as read from the client.
    pub fn request_piece(&mut self, piece: Bytes) {
        self.closed.request_bytes += piece.len() as u64;
        self.request.push(piece);
        spill(
            &mut self.state,
            BodyKind::Request,
            &mut self.request,
            &self.secrets,
        );
    }

    /// Takes what came of a body that is not read to its end: its first `kept_bytes` are stored, size and hash
    /// are of all that came.
    pub fn request_cut(&mut self, came: &[u8], kept_bytes: usize) {
        self.closed.request_bytes += came.len() as u64;
        self.request = Capture::new(self.body_limit.min(kept_bytes as u64));
        self.request.push(Bytes::copy_from_slice(came));
    }

    /// Takes the whole body as it goes upstream, when it differs from the client's.
    pub fn upstream_request(&mut self, body: Bytes) {
        self.upstream_request = Some(Capture::of(body, self.body_limit));
    }

    /// Takes a piece of the answer as the upstream sent it, when the client gets something else.
    pub fn upstream_response_piece(&mut self, piece: Bytes) {
        let limit = self.body_limit;
        let capture = self
            .upstream_response
            .get_or_insert_with(|| Capture::new(limit));
        capture.push(piece);
        spill(
            &mut self.state,
            BodyKind::UpstreamResponse,
            capture,
            &self.secrets,
        );
    }

    /// Takes a piece of the answer as the client gets it.
    pub fn response_piece(&mut self, piece: Bytes) {
        self.response.push(piece);
        spill(
            &mut self.state,
            BodyKind::Response,
            &mut self.response,
            &self.secrets,
        );
    }

    /// As [`Recording::response_piece`], for a piece of a stream: its time is kept too.
    pub fn stream_piece(&mut self, piece: Bytes, now: Instant) {
        if let Some(last) = self.last_piece.replace(now) {
            let gap = now.duration_since(last);
            self.longest_gap = Some(self.longest_gap.map_or(gap, |longest| longest.max(gap)));
        }
        self.closed.chunks.push(ChunkTime {
            offset: self.response.size(),
            length: u32::try_from(piece.len()).unwrap_or(u32::MAX),
            at_us: micros(now.duration_since(self.started)),
        });
        self.response_piece(piece);
    }

    /// Notes when the first body byte was handed to the client's socket.
    pub fn first_byte(&mut self, now: Instant) {
        if self.closed.times.first_byte_ms.is_none() {
            self.closed.times.first_byte_ms = Some(millis(now.duration_since(self.started)));
        }
    }

    /// Notes when the first event with content went by.
    pub fn first_token(&mut self, now: Instant) {
        if self.closed.times.first_token_ms.is_none() {
            self.closed.times.first_token_ms = Some(millis(now.duration_since(self.started)));
        }
    }

    /// Notes the start of the first attempt.
    pub fn upstream_starts(&mut self, now: Instant) {
        self.upstream_since.get_or_insert(now);
    }

    /// Notes the end of the upstream's answer.
    pub fn upstream_ends(&mut self, now: Instant) {
        self.upstream_until = Some(now);
    }

    /// Notes that the request was read: the wait for its body is the client's time, not ours.
    pub fn request_is_read(&mut self) {
        self.read_at = Instant::now();
    }

    /// When the request had been read.
    pub fn read_at(&self) -> Instant {
        self.read_at
    }

    /// Adds time that the proxy itself was at work on this exchange.
    pub fn worked(&mut self, time: Duration) {
        self.busy += time;
    }

    /// Time since the first attempt began; `None` before.
    pub fn upstream_time(&self) -> Option<Duration> {
        let until = self.upstream_until.unwrap_or_else(Instant::now);
        self.upstream_since.map(|since| until.duration_since(since))
    }

    /// Time that the proxy itself was at work so far.
    pub fn busy(&self) -> Duration {
        self.busy
    }

    /// Puts the request on record. Must stand before the upstream is called. Does nothing the second time.
    pub fn begin(&mut self) {
        if !matches!(self.state, State::Opening(_)) {
            return;
        }
        if let State::Opening(opened) = std::mem::replace(&mut self.state, State::Gone) {
            let keep = opened.keep;
            let created_at_us = opened.created_at_us;
            let mut captured = self.request.captured(&self.secrets);
            let has_body = 0 < captured.size;
            let for_disk = (has_body && keep == Keep::Full).then_some(&captured);
            let ticket = self.recorder.open(opened, for_disk);
            if SPILL_BYTES as u64 <= ticket.begun_bytes() {
                captured.pieces.clear();
                captured.begun_bytes = ticket.begun_bytes();
                self.request.let_go();
            }
            self.state = State::Open(OpenRecord {
                ticket,
                keep,
                created_at_us,
                begun_with_request: has_body.then_some(captured),
                ended_response_bytes: None,
            });
        }
    }

    /// Puts the end on record. Must stand before the bytes that complete the answer go out. When bytes came
    /// after it, calling it again puts the longer end on record.
    pub fn end(&mut self, outcome: Outcome) {
        self.begin();
        self.closed.outcome = outcome;
        self.close_times();
        if self.head_lost.0.get() {
            self.closed.outcome = Outcome::ClientDisconnected;
            self.closed.status_code = 499;
            self.closed.times.first_byte_ms = None;
        }
        if let State::Open(open) = &mut self.state
            && open.ended_response_bytes != Some(self.response.size())
        {
            open.ended_response_bytes = Some(self.response.size());
            let mut bodies = Bodies::default();
            if open.keep == Keep::Full {
                bodies = collect(
                    &self.secrets,
                    &mut self.upstream_request,
                    &mut self.response,
                    &mut self.upstream_response,
                );
                bodies.request = request_left(open, &mut self.request, &self.secrets);
            }
            open.ticket.end(&self.closed, &bodies);
        }
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
        self.close_times();
        if let State::Open(open) = std::mem::replace(&mut self.state, State::Gone) {
            let mut bodies = collect(
                &self.secrets,
                &mut self.upstream_request,
                &mut self.response,
                &mut self.upstream_response,
            );
            bodies.request = match open.begun_with_request {
                Some(body) => Some(body),
                None if 0 < self.request.size() => Some(self.request.captured(&self.secrets)),
                None => None,
            };
            let closed = std::mem::replace(&mut self.closed, empty_closed());
            open.ticket.finish(closed, bodies);
        }
    }

    fn response_grew(&self) -> bool {
        match &self.state {
            State::Open(open) => open.ended_response_bytes != Some(self.response.size()),
            State::Opening(_) | State::Gone => false,
        }
    }

    fn close_times(&mut self) {
        let now = Instant::now();
        let duration = now.duration_since(self.started);
        let created_at_us = match &self.state {
            State::Opening(opened) => opened.created_at_us,
            State::Open(open) => open.created_at_us,
            State::Gone => return,
        };
        self.closed.finished_at_us =
            created_at_us.saturating_add(i64::try_from(micros(duration)).unwrap_or(i64::MAX));
        let times = &mut self.closed.times;
        times.duration_ms = millis(duration);
        times.upstream_ms = self
            .upstream_since
            .map(|since| millis(self.upstream_until.unwrap_or(now).duration_since(since)));
        times.overhead_ms = Some(millis(self.busy));
        times.longest_gap_ms = self.longest_gap.map(millis);
        if self.closed.response_bytes.is_some() || 0 < self.response.size() {
            self.closed.response_bytes = Some(self.response.size());
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if !self.has_ended() {
            if std::thread::panicking() {
                self.closed.outcome = Outcome::InternalError;
                self.closed.status_code = if self.response.size() == 0 {
                    500
                } else {
                    self.closed.status_code
                };
            }
            if self.closed.response_complete.is_none() && 0 < self.response.size() {
                self.closed.response_complete = Some(false);
            }
        }
        self.hand_over();
    }
}

/// Until anything else is known: the client left before a head was sent.
fn empty_closed() -> Closed {
    Closed {
        finished_at_us: 0,
        outcome: Outcome::ClientDisconnected,
        status_code: 499,
        upstream_status: None,
        error: None,
        provider: None,
        provider_key: None,
        sent_model: None,
        attempts: 0,
        tries: Vec::new(),
        verdicts: Vec::new(),
        filtered_by: None,
        replay_of: None,
        repairs: Vec::new(),
        tags: Vec::new(),
        columns: Vec::new(),
        response_complete: None,
        response_is_stream: false,
        usage_asked: false,
        usage_chunk: None,
        times: Times::default(),
        request_bytes: 0,
        response_bytes: None,
        response_headers: None,
        chunks: Vec::new(),
    }
}

/// Moves what a long body holds in memory to the spool, where bodies may be kept at all.
fn spill(state: &mut State, kind: BodyKind, capture: &mut Capture, secrets: &Secrets) {
    if let State::Open(open) = state
        && open.keep == Keep::Full
    {
        capture.spill(secrets, |part| open.ticket.part(kind, &[part]));
    }
}

/// What of the request's body is not in the `begin` record.
fn request_left(open: &OpenRecord, request: &mut Capture, secrets: &Secrets) -> Option<Captured> {
    let begun_bytes = open
        .begun_with_request
        .as_ref()
        .map(|captured| captured.size);
    (begun_bytes.is_none() && 0 < request.size()).then(|| request.captured(secrets))
}

fn collect(
    secrets: &Secrets,
    upstream_request: &mut Option<Capture>,
    response: &mut Capture,
    upstream_response: &mut Option<Capture>,
) -> Bodies {
    let mut bodies = Bodies {
        request: None,
        upstream_request: upstream_request
            .as_mut()
            .map(|capture| capture.captured(secrets)),
        response: (0 < response.size()).then(|| response.captured(secrets)),
        upstream_response: upstream_response
            .as_mut()
            .map(|capture| capture.captured(secrets)),
    };
    // Stream filters may have let everything through as it came: then there is one answer, not two.
    if let (Some(sent), Some(came)) = (&bodies.response, &bodies.upstream_response)
        && sent.size == came.size
        && sent.spilled_bytes == came.spilled_bytes
        && sent.sha256 == came.sha256
        && sent.pieces == came.pieces
    {
        bodies.upstream_response = None;
    }
    bodies
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
