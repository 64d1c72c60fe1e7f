//! The times of one exchange while it runs, all from the monotonic clock, and what tells the record of them.

use std::time::{Duration, Instant};

use crate::access_log::draft::Times;
use crate::access_log::guard::Recording;

/// When what happened.
pub(super) struct Stopwatch {
    pub(super) started: Instant,
    pub(super) read_at: Instant,
    /// Time that the proxy itself was at work.
    pub(super) busy: Duration,
    upstream_since: Option<Instant>,
    upstream_until: Option<Instant>,
    last_piece: Option<Instant>,
    longest_gap: Option<Duration>,
}

impl Stopwatch {
    /// For a request whose head was read at `started`.
    pub(super) fn new(started: Instant) -> Self {
        Self {
            started,
            read_at: started,
            busy: Duration::ZERO,
            upstream_since: None,
            upstream_until: None,
            last_piece: None,
            longest_gap: None,
        }
    }

    /// From the start to `now`.
    pub(super) fn at(&self, now: Instant) -> Duration {
        now.duration_since(self.started)
    }

    /// A piece of a stream passes.
    pub(super) fn piece(&mut self, now: Instant) {
        if let Some(last) = self.last_piece.replace(now) {
            let gap = now.duration_since(last);
            self.longest_gap = Some(self.longest_gap.map_or(gap, |longest| longest.max(gap)));
        }
    }

    /// The first attempt starts; later ones change nothing.
    pub(super) fn upstream_starts(&mut self, now: Instant) {
        self.upstream_since.get_or_insert(now);
    }

    /// Another attempt follows: what ended was not the answer.
    pub(super) fn upstream_goes_on(&mut self) {
        self.upstream_until = None;
    }

    /// The upstream's answer ends.
    pub(super) fn upstream_ends(&mut self, now: Instant) {
        self.upstream_until = Some(now);
    }

    /// From the first attempt to the end of the answer, or to `now` where it has none; `None` without an attempt.
    pub(super) fn upstream(&self, now: Instant) -> Option<Duration> {
        let until = self.upstream_until.unwrap_or(now);
        self.upstream_since.map(|since| until.duration_since(since))
    }

    /// Writes down what stands at `now`; returns the time since the start.
    pub(super) fn close(&self, now: Instant, times: &mut Times) -> Duration {
        let duration = self.at(now);
        times.duration_ms = millis(duration);
        times.upstream_ms = self.upstream(now).map(millis);
        times.overhead_ms = Some(millis(self.busy));
        times.longest_gap_ms = self.longest_gap.map(millis);
        duration
    }
}

impl Recording {
    /// When the request's head had been read.
    pub fn started(&self) -> Instant {
        self.times.started
    }

    /// Notes when the first body byte was handed to the client's socket.
    pub fn first_byte(&mut self, now: Instant) {
        if self.closed.times.first_byte_ms.is_none() {
            self.closed.times.first_byte_ms = Some(millis(self.times.at(now)));
        }
    }

    /// Notes when the first event with content went by.
    pub fn first_token(&mut self, now: Instant) {
        if self.closed.times.first_token_ms.is_none() {
            self.closed.times.first_token_ms = Some(millis(self.times.at(now)));
        }
    }

    /// Notes the start of the first attempt.
    pub fn upstream_starts(&mut self, now: Instant) {
        self.times.upstream_starts(now);
    }

    /// Notes the end of the upstream's answer.
    pub fn upstream_ends(&mut self, now: Instant) {
        self.times.upstream_ends(now);
    }

    /// Notes that the request was read: the wait for its body is the client's time, not ours.
    pub fn request_is_read(&mut self) {
        self.times.read_at = Instant::now();
    }

    /// When the request had been read.
    pub fn read_at(&self) -> Instant {
        self.times.read_at
    }

    /// Adds time that the proxy itself was at work on this exchange.
    pub fn worked(&mut self, time: Duration) {
        self.times.busy += time;
    }

    /// Time since the first attempt began; `None` before.
    pub fn upstream_time(&self) -> Option<Duration> {
        self.times.upstream(Instant::now())
    }

    /// Time that the proxy itself was at work so far.
    pub fn busy(&self) -> Duration {
        self.times.busy
    }
}

/// Whole microseconds.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Milliseconds and their fractions.
pub(super) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
