//! A breaker's place for a probe, which is given back where the try says nothing of its target: it was not made, or its
//! future was dropped.

use std::sync::Arc;
use std::time::Instant;

use crate::routing::health::TargetState;
use crate::routing::target::Target;

/// See the module. Costs one look at a flag where the target is well.
pub(super) struct Probe {
    state: Option<Arc<TargetState>>,
    started: Instant,
}

impl Probe {
    /// What a breaker has allowed at that time.
    pub(super) fn new(target: &Target, started: Instant) -> Self {
        Self {
            state: Some(target.state.clone()),
            started,
        }
    }

    /// The breaker was told what came of it.
    pub(super) fn judged(mut self) {
        self.state = None;
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            state.breaker.gave_up(self.started);
        }
    }
}
