//! Why nobody was asked, and when somebody may be.

use std::time::{Duration, Instant};

use crate::pipeline::failure::Failure;

/// Why nobody was asked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Nobody {
    /// No target is for this request.
    NotFor,
    /// The circuits are open.
    Open {
        /// Until when.
        until: Instant,
    },
    /// The keys have no room.
    Busy {
        /// Until when.
        until: Instant,
    },
}

impl Nobody {
    /// The one that ends sooner.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::NotFor, other) | (other, Self::NotFor) => other,
            (
                Self::Open { until } | Self::Busy { until },
                Self::Open { until: other_until } | Self::Busy { until: other_until },
            ) => match until <= other_until {
                true => self,
                false => other,
            },
        }
    }

    /// What the client is told.
    pub(super) fn failure(self, now: Instant) -> Failure {
        let seconds = |until: Instant| {
            let left = until.saturating_duration_since(now).as_secs_f64().ceil();
            (left as u32).clamp(1, LONGEST_WAIT.as_secs() as u32)
        };
        match self {
            Self::NotFor => Failure::NoTarget,
            Self::Open { until } => Failure::NoUpstream {
                retry_after_s: seconds(until),
            },
            Self::Busy { until } => Failure::KeysBusy {
                retry_after_s: seconds(until),
            },
        }
    }
}

/// Longest time that a client is told to wait where several candidates were tried.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(60);
