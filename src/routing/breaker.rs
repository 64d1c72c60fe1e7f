//! Whether a target is worth an attempt: its circuit breaker and its cool-down. Pure: the time is an argument.
//!
//! The breaker is for targets that cannot be reached or never begin to answer; while it is open they are not tried. The
//! cool-down is for targets that answer "not now"; they are passed over only while another one stands. Neither
//! knows who else could be asked: that is for the caller.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures of attempts that ran side by side count once in this time. A whole process that stood still finds all its
/// time limits passed at the same moment: that is one thing that happened, not many.
const SAME_MOMENT: Duration = Duration::from_millis(250);

/// Longest that a target's own `Retry-After` keeps it away.
const LONGEST_COOLING: Duration = Duration::from_secs(60);

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open the first time; doubled each time its probe fails.
    pub open_for: Duration,
    /// Longest it stays open.
    pub longest_open: Duration,
    /// Statuses of 500 and above in a row that make the target cool down.
    pub overloads: u32,
    /// How long it cools down then.
    pub cool_for: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 5,
            open_for: Duration::from_secs(10),
            longest_open: Duration::from_secs(60),
            overloads: 3,
            cool_for: Duration::from_secs(10),
        }
    }
}

/// Whether an attempt may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// As any other.
    Yes,
    /// As the only one, to see whether the target is well again. Its end must be told; a place that is never given
    /// back is free again after as long as the breaker was open.
    Probe,
    /// No.
    No {
        /// When to ask again.
        until: Instant,
    },
}

/// What a breaker looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Attempts go through.
    Closed,
    /// None does.
    Open {
        /// The earliest time of a probe.
        until: Instant,
    },
    /// One does, as a probe.
    HalfOpen {
        /// Whether it is on its way.
        is_probing: bool,
    },
}

/// The breaker and the cool-down of one target. Shared by all threads; while all is well, each call is one atomic load.
///
/// Every attempt is known by the time it started, which is the `now` that [`Breaker::allows`] was asked with: what an
/// attempt from before an opening brings does not speak for the probe.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    /// Set while there is anything to look at under the lock.
    is_troubled: AtomicBool,
    trouble: Mutex<Trouble>,
}

#[derive(Debug)]
struct Trouble {
    phase: Phase,
    /// Counted failures in a row.
    failures: u32,
    /// When the last of them was counted.
    failed_at: Option<Instant>,
    /// Statuses of 500 and above in a row.
    overloads: u32,
    cooling: Option<Cooling>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed,
    Open {
        until: Instant,
        length: Duration,
    },
    Probing {
        /// When the first probe since the opening started: answers take their time, and its own still counts.
        first: Instant,
        /// When the one started that has the place.
        since: Instant,
        until: Instant,
        length: Duration,
    },
}

#[derive(Debug, Clone, Copy)]
struct Cooling {
    since: Instant,
    until: Instant,
}

// === impl Breaker ===

impl Breaker {
    /// One that knows what this one does of whether it is reached, for another target at the same place.
    pub fn like(&self) -> Self {
        let made = Self::new(self.settings.clone());
        {
            let (known, mut trouble) = (self.locked(), made.locked());
            trouble.phase = match known.phase {
                // The probe is this one's.
                Phase::Probing { until, length, .. } => Phase::Open { until, length },
                phase => phase,
            };
            trouble.failures = known.failures;
            trouble.failed_at = known.failed_at;
            made.settle(&trouble);
        }
        made
    }

    /// A closed one.
    pub fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            is_troubled: AtomicBool::new(false),
            trouble: Mutex::new(Trouble {
                phase: Phase::Closed,
                failures: 0,
                failed_at: None,
                overloads: 0,
                cooling: None,
            }),
        }
    }

    /// Whether an attempt may start now. [`Allowed::Probe`] takes the only place.
    pub fn allows(&self, now: Instant) -> Allowed {
        if !self.is_troubled() {
            return Allowed::Yes;
        }
        let mut trouble = self.locked();
        match trouble.phase {
            Phase::Closed => Allowed::Yes,
            Phase::Open { until, .. } | Phase::Probing { until, .. } if now < until => {
                Allowed::No { until }
            }
            Phase::Open { length, .. } => {
                trouble.phase = Phase::Probing {
                    first: now,
                    since: now,
                    until: now + length,
                    length,
                };
                Allowed::Probe
            }
            Phase::Probing { first, length, .. } => {
                trouble.phase = Phase::Probing {
                    first,
                    since: now,
                    until: now + length,
                    length,
                };
                Allowed::Probe
            }
        }
    }

    /// The target answered, and not with a status of 500 or above.
    pub fn succeeded(&self, started: Instant) {
        if !self.is_troubled() {
            return;
        }
        let mut trouble = self.locked();
        trouble.reached(started);
        let is_news = trouble
            .cooling
            .is_none_or(|cooling| cooling.since <= started);
        if is_news {
            trouble.overloads = 0;
            trouble.cooling = None;
        }
        self.settle(&trouble);
    }

    /// The target answered with a status of 500 or above, perhaps saying when to come back. It can be reached, so
    /// this never opens the breaker, and a probe has found it well.
    pub fn overloaded(&self, started: Instant, now: Instant, retry_after: Option<Duration>) {
        let mut trouble = self.locked();
        trouble.reached(started);
        trouble.overloads = trouble.overloads.saturating_add(1);
        let is_over = self.settings.overloads <= trouble.overloads;
        let own = is_over.then_some(self.settings.cool_for);
        let longest = own.max(retry_after.map(|wait| wait.min(LONGEST_COOLING)));
        if let Some(wait) = longest.filter(|wait| !wait.is_zero()) {
            let until = now + wait;
            let later = trouble
                .cooling
                .map_or(until, |cooling| cooling.until.max(until));
            trouble.cooling = Some(Cooling {
                since: now,
                until: later,
            });
        }
        self.settle(&trouble);
    }

    /// The target could not be reached, or did not begin to answer within the limit.
    pub fn failed(&self, started: Instant, now: Instant) {
        let mut trouble = self.locked();
        match trouble.phase {
            Phase::Closed => {
                let is_another = trouble
                    .failed_at
                    .is_none_or(|counted| counted <= started || counted + SAME_MOMENT <= now);
                if is_another {
                    trouble.failures = trouble.failures.saturating_add(1);
                    trouble.failed_at = Some(now);
                }
                if self.settings.failures <= trouble.failures {
                    trouble.open(now, self.settings.open_for);
                }
            }
            Phase::Probing { first, length, .. } if first <= started => {
                let length = length.saturating_mul(2).min(self.settings.longest_open);
                trouble.open(now, length.max(self.settings.open_for));
            }
            // From before the opening, which says nothing new.
            Phase::Open { .. } | Phase::Probing { .. } => {}
        }
        self.settle(&trouble);
    }

    /// The attempt ended and says nothing of the target: the client left, or a filter stopped it. A probe's place is
    /// free at once.
    pub fn gave_up(&self, started: Instant) {
        if !self.is_troubled() {
            return;
        }
        let mut trouble = self.locked();
        if let Phase::Probing { since, length, .. } = trouble.phase
            && since <= started
        {
            let until = since;
            trouble.phase = Phase::Open { until, length };
        }
    }

    /// Another instance leaves the target alone until then: it is passed over while another one stands. A later moment
    /// that is known already stays.
    pub fn cools_until(&self, until: Instant, now: Instant) {
        let mut trouble = self.locked();
        let is_later = trouble.cooling.is_none_or(|known| known.until < until);
        if now < until && is_later {
            let until = until.min(now + LONGEST_COOLING);
            trouble.cooling = Some(Cooling { since: now, until });
        }
        self.settle(&trouble);
    }

    /// When the target may be tried again as ever; `None` when it may now.
    pub fn rests_until(&self, now: Instant) -> Option<Instant> {
        let open = match self.state(now) {
            BreakerState::Open { until } => Some(until),
            BreakerState::Closed | BreakerState::HalfOpen { .. } => None,
        };
        open.max(self.cooling_until(now))
    }

    /// Until when the target is to be passed over while another one stands; `None` when it is not.
    pub fn cooling_until(&self, now: Instant) -> Option<Instant> {
        if !self.is_troubled() {
            return None;
        }
        let until = self.locked().cooling?.until;
        (now < until).then_some(until)
    }

    /// How it looks now, to be shown. Takes no place.
    pub fn state(&self, now: Instant) -> BreakerState {
        if !self.is_troubled() {
            return BreakerState::Closed;
        }
        match self.locked().phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open { until, .. } if now < until => BreakerState::Open { until },
            Phase::Open { .. } => BreakerState::HalfOpen { is_probing: false },
            Phase::Probing { until, .. } => BreakerState::HalfOpen {
                is_probing: now < until,
            },
        }
    }

    fn is_troubled(&self) -> bool {
        self.is_troubled.load(Ordering::Acquire)
    }

    fn locked(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says for all threads whether there is anything to look at.
    fn settle(&self, trouble: &Trouble) {
        let is_closed = matches!(trouble.phase, Phase::Closed);
        let is_well = is_closed && trouble.failures == 0 && trouble.overloads == 0;
        let is_troubled = !is_well || trouble.cooling.is_some();
        self.is_troubled.store(is_troubled, Ordering::Release);
    }
}

// === impl Trouble ===

impl Trouble {
    /// The target gave some answer to the attempt that started then.
    fn reached(&mut self, started: Instant) {
        match self.phase {
            Phase::Closed => {}
            Phase::Probing { first, .. } if first <= started => self.phase = Phase::Closed,
            // Only the probe closes: an answer to an older attempt may have been on its way long before.
            Phase::Open { .. } | Phase::Probing { .. } => return,
        }
        self.failures = 0;
        self.failed_at = None;
    }

    fn open(&mut self, now: Instant, length: Duration) {
        let until = now + length;
        self.phase = Phase::Open { until, length };
        self.failures = 0;
        self.failed_at = None;
    }
}

#[cfg(test)]
mod tests;
