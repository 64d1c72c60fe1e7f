//! How what is known of targets and keys is shown: times in seconds or milliseconds as the name says, moments in seconds since
//! the Unix epoch, and null for what is not known.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::routing::breaker::{Breaker, BreakerState};
use crate::routing::figures::Status;
use crate::routing::health::TargetState;
use crate::routing::key_pool::KeyState;
use crate::server::state::DataState;

/// The moment of an answer, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// For durations.
    pub(super) instant: Instant,
    wall_us: i64,
}

impl Now {
    /// That of this call.
    pub(super) fn of(state: &DataState) -> Self {
        let clock = &state.worker.clock;
        Self {
            instant: clock.now(),
            wall_us: clock.wall_us(),
        }
    }

    /// Seconds since the Unix epoch.
    pub(super) fn epoch_s(&self) -> f64 {
        self.wall_us as f64 / 1e6
    }

    /// So long ago, in seconds since the Unix epoch.
    pub(super) fn ago(&self, ago: Duration) -> f64 {
        self.epoch_s() - ago.as_secs_f64()
    }

    fn left_s(&self, until: Instant) -> f64 {
        rounded(until.saturating_duration_since(self.instant).as_secs_f64())
    }
}

/// A moment in microseconds as seconds since the Unix epoch.
pub(super) fn epoch_s(at_us: i64) -> f64 {
    at_us as f64 / 1e6
}

/// Three places are enough for whoever reads it.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

/// The figures of one target. `model`: the name by which it was found.
pub(super) fn metrics(now: &Now, model: &str, provider: &str, state: &TargetState) -> Value {
    let summary = state.figures.summary(now.instant);
    let reading = state.figures.read(now.instant);
    let count = state.figures.count(now.instant);
    let has_any = 0 < summary.total_requests_1m;
    json!({
        "logical_model": model,
        "provider_id": provider,
        "latency_avg_ms": summary.average_ms.map(rounded),
        "latency_p50_ms": summary.p50_ms.map(rounded),
        "latency_p95_ms": summary.p95_ms.map(rounded),
        "latency_p99_ms": summary.p99_ms.map(rounded),
        "first_token_ms": reading.first_token_ms.map(rounded),
        "error_rate": has_any.then(|| rounded(summary.error_rate)),
        "success_qps_1m": rounded(summary.success_qps_1m),
        "total_requests_1m": summary.total_requests_1m,
        "total_requests": count.requests,
        "total_failures": count.failures,
        "in_flight": reading.in_flight,
        "last_updated": count.last_seen_ago.map(|ago| now.ago(ago)),
        "last_success": summary.last_success_ago.map(|ago| now.ago(ago)),
        "status": status(now, state).word(),
        "breaker": breaker(now, &state.breaker),
    })
}

/// A target in a word: its last minute, and its breaker.
pub(super) fn status(now: &Now, state: &TargetState) -> Status {
    let of_breaker = match state.breaker.state(now.instant) {
        BreakerState::Open { .. } | BreakerState::HalfOpen { .. } => Status::Down,
        BreakerState::Closed if state.breaker.cooling_until(now.instant).is_some() => {
            Status::Degraded
        }
        BreakerState::Closed => Status::Unknown,
    };
    state.figures.summary(now.instant).status.max(of_breaker)
}

/// A circuit breaker, and the cool-down of its target.
pub(super) fn breaker(now: &Now, breaker: &Breaker) -> Value {
    let (word, open_for_s) = match breaker.state(now.instant) {
        BreakerState::Closed => ("closed", None),
        BreakerState::Open { until } => ("open", Some(now.left_s(until))),
        BreakerState::HalfOpen { .. } => ("half_open", None),
    };
    let cooling = breaker.cooling_until(now.instant);
    json!({
        "state": word,
        "open_for_s": open_for_s,
        "cooling_for_s": cooling.map(|until| now.left_s(until)),
    })
}

/// A key by its label: never the key.
pub(super) fn key(state: &KeyState) -> Value {
    let word = match (&state.cooling, &state.busy) {
        (Some(_), _) => "cooling_down",
        (None, Some(_)) => "busy",
        (None, None) => "active",
    };
    let cooling = state
        .cooling
        .map(|(left, why)| json!({ "for_s": rounded(left.as_secs_f64()), "reason": why.word() }));
    json!({
        "label": state.name,
        "weight": state.weight,
        "max_qps": (state.max_rps != 0).then_some(state.max_rps),
        "status": word,
        "cooling_down": cooling,
        "failures": state.failures,
        "picks": state.picks,
    })
}
