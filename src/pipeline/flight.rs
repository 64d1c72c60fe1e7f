//! A try while it runs: counted among what is in flight, and how it went is told to the figures of its target.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::access_log::draft::Closed;
use crate::access_log::guard::RecordGuard;
use crate::clock::Clock;
use crate::filter::Outcome;
use crate::pipeline::Worker;
use crate::pipeline::sessions::Binding;
use crate::routing::figures::Seen;
use crate::routing::health::TargetState;
use crate::routing::target::Target;

/// See the module.
pub(super) struct Flight {
    target: Arc<TargetState>,
    provider: Option<Arc<TargetState>>,
    clock: Clock,
    started: Instant,
}

impl Flight {
    /// One more is in flight.
    pub(super) fn start(worker: &Worker, target: &Target, now: Instant) -> Self {
        let provider = worker.routing.provider_state(target.provider);
        let flight = Self {
            provider: (!Arc::ptr_eq(provider, &target.state)).then(|| provider.clone()),
            target: target.state.clone(),
            clock: worker.clock.clone(),
            started: now,
        };
        flight.states().for_each(|state| state.figures.starts(now));
        flight
    }

    /// When it started.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// It came to nothing by the target's doing.
    pub(super) fn failed(self, now: Instant) {
        let total = Some(now.saturating_duration_since(self.started));
        self.observe(total, None, true, now);
    }

    /// It answers: how that went is known at the exchange's end.
    /// Then the session is bound, too.
    pub(super) fn goes_on_in(self, guard: &mut RecordGuard, binding: Option<Binding>) {
        let before = self.started.saturating_duration_since(guard.started());
        guard.when_closed(Box::new(move |closed| {
            if let Some(binding) = binding {
                binding.closed(closed);
            }
            self.closed(closed, before);
        }));
    }

    /// `before`: from the exchange's start to this try's.
    fn closed(self, closed: &Closed, before: Duration) {
        let now = self.clock.now();
        let is_failure = match closed.outcome {
            Outcome::Ok => false,
            Outcome::UpstreamError | Outcome::UpstreamTimeout | Outcome::UpstreamTruncated => true,
            // How it would have gone on is not known.
            _ => return,
        };
        let first_token = closed.times.first_token_ms;
        let first_token = first_token.map(|ms| Duration::from_secs_f64(ms.max(0.0) / 1000.0));
        let first_token = first_token.map(|time| time.saturating_sub(before));
        let total = now.saturating_duration_since(self.started);
        self.observe(Some(total), first_token, is_failure, now);
    }

    fn observe(
        &self,
        total: Option<Duration>,
        first_token: Option<Duration>,
        is_failure: bool,
        now: Instant,
    ) {
        let seen = Seen {
            first_token,
            total,
            is_failure,
        };
        self.states()
            .for_each(|state| state.figures.observe(seen, now));
    }

    fn states(&self) -> impl Iterator<Item = &Arc<TargetState>> {
        std::iter::once(&self.target).chain(&self.provider)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.states().for_each(|state| state.figures.ends());
    }
}
