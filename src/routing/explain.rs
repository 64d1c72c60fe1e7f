//! What a choice would be and why, for who asks. Nothing comes of it: no turn is taken, no key counted, no breaker's place held,
//! nothing bound. It goes by the same order as a request, [`arrange`], and by the same reasons for passing over a target.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::clock::Dice;
use crate::config::Strategy;
use crate::routing::Routing;
use crate::routing::breaker::BreakerState;
use crate::routing::candidates::{Facts, arrange, is_for};
use crate::routing::key_pool::KeyState;
use crate::routing::target::{Route, Target};

/// Why a target would not be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// The word, as in the column `skip_reason`.
    pub word: &'static str,
    /// How long that lasts; `None` when it is not a matter of time.
    pub lasts: Option<Duration>,
}

/// A target in a choice.
#[derive(Debug)]
pub struct Judged {
    /// Its index in the route.
    pub index: usize,
    /// What it weighs by the strategy now; `None` where it is not for the request.
    pub share: Option<f64>,
    /// Why it would not be asked; `None` where it would.
    pub passed: Option<Passed>,
    /// How its provider's keys stand.
    pub keys: Vec<KeyState>,
}

/// A choice.
#[derive(Debug)]
pub struct Explained {
    /// All targets of the route: those for the request as they would be tried, then the others.
    pub targets: Vec<Judged>,
    /// The strategy that was used.
    pub strategy: Strategy,
    /// Whether the session's target goes first.
    pub is_bound: bool,
    /// Whether the one goes first that the prompt's beginning stands for.
    pub is_alike: bool,
}

impl Explained {
    /// Those that would be asked, the first one first.
    pub fn asked(&self) -> impl Iterator<Item = &Judged> {
        self.targets.iter().filter(|judged| judged.passed.is_none())
    }

    /// Those that would not be asked now.
    pub fn left_out(&self) -> impl Iterator<Item = (&Judged, Passed)> {
        let targets = self.targets.iter();
        targets.filter_map(|judged| Some((judged, judged.passed?)))
    }
}

/// Explains the choice among the targets of a route. `strategy`: another one than the route's.
pub fn explain(
    routing: &Routing,
    route: &Route,
    facts: &Facts<'_>,
    strategy: Option<Strategy>,
    now: Instant,
) -> Explained {
    let providers = routing.providers();
    let strategy = strategy.unwrap_or(route.strategy);
    let wheel = route.wheel.lock().unwrap_or_else(PoisonError::into_inner);
    let mut wheel = wheel.clone();
    let mut turn = |weights: &[f64]| wheel.next(weights);
    // Lots of our own: those of the requests stay as they would have come.
    let dice = Dice::machine();
    let arranged = arrange(route, strategy, facts, providers, now, &dice, &mut turn);
    let mut is_any_asked = false;
    let mut targets = Vec::with_capacity(route.targets.len());
    for (place, index) in arranged.ordered.iter().enumerate() {
        let target = &route.targets[*index];
        let keys = routing.pool(target.provider).states(now);
        let is_last = place + 1 == arranged.ordered.len();
        let passed = of_keys(&keys, is_last && !is_any_asked).or_else(|| of_breaker(target, now));
        is_any_asked |= passed.is_none();
        let known = arranged.eligible.iter().zip(arranged.order.shares());
        let share = known
            .into_iter()
            .find_map(|(known, share)| (known == index).then_some(*share));
        targets.push(Judged {
            index: *index,
            share,
            passed,
            keys,
        });
    }
    for (index, target) in route.targets.iter().enumerate() {
        if let Err(why) = is_for(target, facts, providers) {
            let passed = Passed {
                word: why.word(),
                lasts: None,
            };
            targets.push(Judged {
                index,
                share: None,
                passed: Some(passed),
                keys: routing.pool(target.provider).states(now),
            });
        }
    }
    Explained {
        targets,
        strategy,
        is_bound: arranged.is_bound,
        is_alike: arranged.is_alike,
    }
}

/// Whether no key can be given. `may_cool`: nobody else is left, so that one that cools down will do.
fn of_keys(keys: &[KeyState], may_cool: bool) -> Option<Passed> {
    let mut waits: Option<(Duration, &'static str)> = None;
    let mut wait = |lasts, word| {
        if waits.is_none_or(|(least, _)| lasts < least) {
            waits = Some((lasts, word));
        }
    };
    for key in keys.iter().filter(|key| 0.0 < key.weight) {
        let cooling = key.cooling.map(|(left, _)| left);
        match (cooling, key.busy) {
            (None, None) => return None,
            (Some(_), None) if may_cool => return None,
            (None, Some(busy)) => wait(busy, "key_rate"),
            (Some(_), Some(busy)) if may_cool => wait(busy, "key_rate"),
            (Some(left), busy) => wait(left.max(busy.unwrap_or_default()), "key_cooling_down"),
        }
    }
    waits.map(|(lasts, word)| Passed {
        word,
        lasts: Some(lasts),
    })
}

/// Whether the breaker lets no attempt through.
fn of_breaker(target: &Target, now: Instant) -> Option<Passed> {
    let word = "circuit_open";
    match target.state.breaker.state(now) {
        BreakerState::Closed | BreakerState::HalfOpen { is_probing: false } => None,
        BreakerState::Open { until } => Some(Passed {
            word,
            lasts: Some(until.saturating_duration_since(now)),
        }),
        BreakerState::HalfOpen { is_probing: true } => Some(Passed { word, lasts: None }),
    }
}

#[cfg(test)]
mod tests;
