//! Live figures of one target: how fast, how often wrong, how busy. Pure: the time is an argument.
//!
//! What the choice among targets reads lies in a few atomics; what is only shown to people lies behind a short lock.
//! Nothing stays for ever: without traffic a target becomes unknown again, so that one that was bad is tried again.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use self::recent::Recent;
pub use self::recent::{Status, Summary};

mod recent;

/// How long a slow answer is remembered: what is left of it is halved in this time, in seconds. About that of the peak-sensitive
/// average of Finagle and linkerd (<https://twitter.github.io/finagle/guide/Clients.html>).
const SPEED_HALF_LIFE_S: f32 = 10.0;

/// After so long without an answer, in seconds, a target's speed is unknown.
const SPEED_FORGOTTEN_S: f32 = 60.0;

/// How long a failure is remembered, in seconds.
const ERRORS_HALF_LIFE_S: f32 = 30.0;

/// After so long without an answer, in seconds, no failure is remembered.
const ERRORS_FORGOTTEN_S: f32 = 300.0;

/// Least that one answer counts in the error rate, so that many at once count at all.
const LEAST_SHARE: f32 = 0.01;

/// Most that one answer counts in the error rate, so that one failure after a quiet hour is not "all fails".
const MOST_SHARE: f32 = 1.0 / 3.0;

/// The silence that gives the next answer this share, in seconds: −30 log₂ ⅔.
const MOST_SHARE_AFTER_S: f32 = 17.548_876;

/// What was seen of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// From sending to the first content; `None` when none came or nobody looked.
    pub first_token: Option<Duration>,
    /// From sending to the end of the answer; `None` when it was cut.
    pub total: Option<Duration>,
    /// Whether the target is to blame: not for what the client did wrong.
    pub is_failure: bool,
}

/// The figures as they stand at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reading {
    /// Milliseconds to the first content, the slowest of late counting most; fades without traffic, then `None`.
    pub first_token_ms: Option<f64>,
    /// Milliseconds to the end of an answer, in the same way.
    pub total_ms: Option<f64>,
    /// Failures among the latest attempts, 0 to 1; fades to 0 without traffic.
    pub error_rate: f64,
    /// Attempts that are on their way.
    pub in_flight: u32,
    /// How long attempts have been on their way without one that came to an end; zero when none is.
    pub waiting: Duration,
}

/// What has come of a target's attempts since the start. No choice looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Attempts since the start that came to an end.
    pub requests: u64,
    /// Failures among them.
    pub failures: u64,
    /// Since the last one ended; `None` when there was none.
    pub last_seen_ago: Option<Duration>,
}

/// A time, counted from a base.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    base: Instant,
    tick: u32,
    since_us: u64,
}

/// The figures of one target (provider and model). Shared by all threads.
#[derive(Debug)]
pub struct Figures {
    base: Instant,
    first_token_ms: Stamped,
    total_ms: Stamped,
    error_rate: Stamped,
    in_flight: AtomicU32,
    requests: AtomicU64,
    failures: AtomicU64,
    /// Microseconds since `base`, and one; 0 for never.
    last_seen: AtomicU64,
    /// When attempts began to be on their way, in microseconds since `base`.
    busy_since: AtomicU64,
    recent: Mutex<Recent>,
}

// === impl Figures ===

impl Figures {
    /// Figures of a target nothing is known of. `base` is about when they are made; times before it count as it.
    pub fn new(base: Instant) -> Self {
        Self {
            base,
            first_token_ms: Stamped::empty(),
            total_ms: Stamped::empty(),
            error_rate: Stamped::empty(),
            in_flight: AtomicU32::new(0),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            last_seen: AtomicU64::new(0),
            busy_since: AtomicU64::new(0),
            recent: Mutex::default(),
        }
    }

    /// An attempt is on its way.
    pub fn starts(&self, now: Instant) {
        if self.in_flight.fetch_add(1, Ordering::Relaxed) == 0 {
            let since = now.saturating_duration_since(self.base);
            self.busy_since.store(micros(since), Ordering::Relaxed);
        }
    }

    /// An attempt that was on its way is no more, whatever came of it.
    pub fn ends(&self) {
        let less = |count: u32| count.checked_sub(1);
        // At zero there is nothing to take away, which is as it should be.
        let _changed = self
            .in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Counts what came of an attempt.
    pub fn observe(&self, seen: Seen, now: Instant) {
        let since = now.saturating_duration_since(self.base);
        let tick = Stamped::tick(since);
        let speeds = [
            (&self.first_token_ms, seen.first_token),
            (&self.total_ms, seen.total),
        ];
        for (figure, sample) in speeds {
            if let Some(sample) = sample {
                let sample_ms = sample.as_secs_f32() * 1_000.0;
                figure.change(tick, |before| speed(before, sample_ms, seen.is_failure));
            }
        }
        let known = self.requests.fetch_add(1, Ordering::Relaxed);
        self.error_rate
            .change(tick, |before| Some(errors(before, known, seen.is_failure)));
        self.failures
            .fetch_add(u64::from(seen.is_failure), Ordering::Relaxed);
        self.last_seen
            .fetch_max(micros(since) + 1, Ordering::Relaxed);
        self.recent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .observe(seen, since);
    }

    /// The figures now. A few atomic loads.
    pub fn read(&self, now: Instant) -> Reading {
        self.read_at(self.moment(now))
    }

    /// A time, as figures with the same base count it: taken once where many are read.
    pub fn moment(&self, now: Instant) -> Moment {
        let since = now.saturating_duration_since(self.base);
        Moment {
            base: self.base,
            tick: Stamped::tick(since),
            since_us: micros(since),
        }
    }

    /// Whether a moment is one of these figures'.
    pub fn counts_from(&self, moment: Moment) -> bool {
        self.base == moment.base
    }

    /// The figures at a moment that is theirs, see [`Figures::counts_from`].
    pub fn read_at(&self, moment: Moment) -> Reading {
        let Moment { tick, since_us, .. } = moment;
        let last_seen_us = self.last_seen.load(Ordering::Relaxed);
        let ago = |then_us| Duration::from_micros(since_us.saturating_sub(then_us));
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        let busy_us = self.busy_since.load(Ordering::Relaxed);
        let speed = |figure: &Stamped| figure.get(tick).and_then(faded_speed).map(f64::from);
        Reading {
            first_token_ms: speed(&self.first_token_ms),
            total_ms: speed(&self.total_ms),
            error_rate: f64::from(self.error_rate.get(tick).map_or(0.0, faded_errors)),
            in_flight,
            waiting: match in_flight {
                0 => Duration::ZERO,
                _ => ago(busy_us.max(last_seen_us.saturating_sub(1))),
            },
        }
    }

    /// What has been counted until now.
    pub fn count(&self, now: Instant) -> Count {
        let since_us = self.moment(now).since_us;
        let last_seen_us = self.last_seen.load(Ordering::Relaxed).checked_sub(1);
        Count {
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            last_seen_ago: last_seen_us
                .map(|then_us| Duration::from_micros(since_us.saturating_sub(then_us))),
        }
    }

    /// The last minutes, for people and for the management API.
    pub fn summary(&self, now: Instant) -> Summary {
        self.recent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .summary(now.saturating_duration_since(self.base))
    }
}

/// Without the 128 bits of [`Duration::as_micros`], which cost more than all the rest of a reading.
fn micros(since: Duration) -> u64 {
    let whole = since.as_secs().saturating_mul(1_000_000);
    whole.saturating_add(u64::from(since.subsec_micros()))
}

/// What is left of 1 that is halved so many times, within 0.1 %. A hundred candidates are read for each request, and the
/// exact function is slow.
fn halved(times: f32) -> f32 {
    let times = times.clamp(0.0, 126.0);
    let whole = times as u32;
    let part = times - whole as f32;
    // A cubic near 2⁻ˣ from 0 to 1, exact at both ends; then a power of two by its exponent's bits.
    let of_part = 1.0 + part * (-0.69 + part * (0.2262 - part * 0.0362));
    of_part * f32::from_bits((127 - whole) << 23)
}

/// A figure, and for how many seconds nothing has come to it.
type Aged = (f32, f32);

/// The new speed: a slower answer counts at once and whole, a faster one by the time since the last.
fn speed(before: Option<Aged>, sample_ms: f32, is_failure: bool) -> Option<f32> {
    let known = before.filter(|aged| faded_speed(*aged).is_some());
    let Some((value, silent_s)) = known else {
        // A quick refusal is no quick answer.
        return (!is_failure).then_some(sample_ms);
    };
    if value <= sample_ms {
        return Some(sample_ms);
    }
    let kept = halved(silent_s / SPEED_HALF_LIFE_S);
    (!is_failure).then_some(sample_ms + (value - sample_ms) * kept)
}

/// What a speed is worth after a time without answers; `None` when it is worth nothing.
fn faded_speed((value_ms, silent_s): Aged) -> Option<f32> {
    // A target that takes a minute cannot say anything new within the minute.
    let silent_s = (silent_s - value_ms / 1_000.0).max(0.0);
    if silent_s == 0.0 {
        return Some(value_ms);
    }
    let is_known = silent_s < SPEED_FORGOTTEN_S;
    is_known.then(|| value_ms * halved(silent_s / SPEED_HALF_LIFE_S))
}

/// The new error rate, after so many attempts that are `known`.
fn errors(before: Option<Aged>, known: u64, is_failure: bool) -> f32 {
    let sample = if is_failure { 1.0 } else { 0.0 };
    let Some(aged) = before else {
        return sample * MOST_SHARE;
    };
    // The first ones come at once, and would be learnt from too slowly by time: they count as in a mean.
    let of_mean = 1.0 / (known.saturating_add(1) as f32);
    let share = (1.0 - halved(aged.1 / ERRORS_HALF_LIFE_S)).max(of_mean);
    let rate = faded_errors(aged);
    rate + (sample - rate) * share.clamp(LEAST_SHARE, MOST_SHARE)
}

/// What an error rate is worth after a time without answers.
fn faded_errors((rate, silent_s): Aged) -> f32 {
    // A shorter silence is made up for by the share of the answer that ends it.
    let quiet_s = silent_s - MOST_SHARE_AFTER_S;
    if quiet_s <= 0.0 || rate == 0.0 {
        return rate;
    }
    if ERRORS_FORGOTTEN_S <= quiet_s {
        return 0.0;
    }
    rate * halved(quiet_s / ERRORS_HALF_LIFE_S)
}

// === impl Stamped ===

/// A number with the time of its last change. Both lie in one word, so that they always belong together: the number's bits
/// above, the time below, in ticks.
#[derive(Debug)]
struct Stamped {
    word: AtomicU64,
}

impl Stamped {
    /// A tick is 2¹⁴ microseconds: fine enough for half-lives of seconds, and 32 bits of them last for two years. Then
    /// they begin anew; only a figure that was silent for all of the time between could be taken for a young one.
    const TICK_BITS: u32 = 14;
    const TICK_S: f32 = 0.016_384;

    fn empty() -> Self {
        Self {
            word: AtomicU64::new(u64::from(f32::NAN.to_bits()) << 32),
        }
    }

    fn tick(since: Duration) -> u32 {
        let ticks = (micros(since) >> Self::TICK_BITS) & u64::from(u32::MAX);
        u32::try_from(ticks).unwrap_or(0)
    }

    fn get(&self, now: u32) -> Option<Aged> {
        Self::aged(self.word.load(Ordering::Relaxed), now)
    }

    /// Changes the number; `None` leaves it, and its time, as they are.
    fn change(&self, now: u32, change: impl Fn(Option<Aged>) -> Option<f32>) {
        let next = |word| {
            let value = change(Self::aged(word, now))?;
            // Another thread may have been here with a later time, which stays.
            let tick = match Self::is_later(Self::then(word), now) && !Self::value(word).is_nan() {
                true => Self::then(word),
                false => now,
            };
            Some((u64::from(value.to_bits()) << 32) | u64::from(tick))
        };
        // Declined means left as it is.
        let _changed = self
            .word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    fn aged(word: u64, now: u32) -> Option<Aged> {
        let (value, then) = (Self::value(word), Self::then(word));
        let ticks = match Self::is_later(then, now) {
            true => 0,
            false => now.wrapping_sub(then),
        };
        (!value.is_nan()).then_some((value, ticks as f32 * Self::TICK_S))
    }

    fn value(word: u64) -> f32 {
        f32::from_bits(u32::try_from(word >> 32).unwrap_or(0))
    }

    fn then(word: u64) -> u32 {
        u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0)
    }

    fn is_later(then: u32, now: u32) -> bool {
        then != now && then.wrapping_sub(now) < 1 << 31
    }
}

#[cfg(test)]
mod tests;
