//! In which order the targets of a route are tried for one request. Pure: what is known of the request, time and chance
//! are given.

use std::sync::PoisonError;
use std::time::Instant;

use crate::clock::Dice;
use crate::config::Strategy;
use crate::filter::Headers;
use crate::routing::by_metrics::{Order, Scored};
use crate::routing::target::{Route, Target};
use crate::upstream::provider::Provider;

/// What of a request decides.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The client's headers.
    pub headers: &'a Headers,
    /// Its tags.
    pub tags: &'a [(String, String)],
    /// Length of its body in bytes.
    pub prompt_bytes: u64,
    /// Where the answer should come from, if anybody there takes it.
    pub region: Option<&'a str>,
    /// Names of the providers that are not to be asked.
    pub excluded: &'a [String],
    /// The target that its session is bound to: provider and model.
    pub bound: Option<(&'a str, &'a str)>,
    /// A hash of how the prompt begins.
    pub prefix: Option<u64>,
}

/// Why a target is no candidate of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// Its provider is excluded.
    Excluded,
    /// Its conditions do not hold.
    Condition,
}

impl LeftOut {
    /// Its word in answers and rows.
    pub fn word(self) -> &'static str {
        match self {
            Self::Excluded => "excluded",
            Self::Condition => "condition",
        }
    }
}

/// Whether a target is for this request.
///
/// # Errors
/// Why it is not.
pub fn is_for(target: &Target, facts: &Facts<'_>, providers: &[Provider]) -> Result<(), LeftOut> {
    if !facts.excluded.is_empty() && facts.excluded.contains(&providers[target.provider].name) {
        return Err(LeftOut::Excluded);
    }
    match &target.when {
        Some(when) if !when.fits(facts.headers, facts.tags, facts.prompt_bytes) => {
            Err(LeftOut::Condition)
        }
        Some(_) | None => Ok(()),
    }
}

/// The indices of the route's targets in the order in which they are to be tried. Empty where none is for this request.
///
/// The target of the session goes first while it is well; else, with affinity, the one that the prompt's beginning
/// stands for; else the strategy's choice. Those of the wanted region go before all others, if there is one.
pub fn candidates(
    route: &Route,
    facts: &Facts<'_>,
    providers: &[Provider],
    now: Instant,
    dice: &Dice,
) -> Vec<usize> {
    if let [only] = route.targets.as_slice() {
        return match is_for(only, facts, providers) {
            Ok(()) => vec![0],
            Err(_) => Vec::new(),
        };
    }
    // The lock is held for the choice alone.
    let mut turn = |weights: &[f64]| {
        let mut wheel = route.wheel.lock().unwrap_or_else(PoisonError::into_inner);
        wheel.next(weights)
    };
    let strategy = route.strategy;
    arrange(route, strategy, facts, providers, now, dice, &mut turn).ordered
}

/// An order, with what it was made of.
#[derive(Debug)]
pub struct Arranged {
    /// The indices of the route's targets, as they are to be tried.
    pub ordered: Vec<usize>,
    /// Those of them that are for the request, in the order of the route.
    pub eligible: Vec<usize>,
    /// How the strategy put those into order.
    pub order: Order,
    /// Whether the session's target goes first.
    pub is_bound: bool,
    /// Whether the one goes first that the prompt's beginning stands for.
    pub is_alike: bool,
}

/// As [`candidates`], for any strategy. `turn` chooses by the weights of all targets of the route.
pub fn arrange(
    route: &Route,
    strategy: Strategy,
    facts: &Facts<'_>,
    providers: &[Provider],
    now: Instant,
    dice: &Dice,
    turn: &mut dyn FnMut(&[f64]) -> Option<usize>,
) -> Arranged {
    // As long as it can be: it would grow again and again.
    let mut eligible = Vec::with_capacity(route.targets.len());
    let targets = route.targets.iter().enumerate();
    eligible.extend(targets.filter_map(|(index, target)| {
        let is_for = is_for(target, facts, providers);
        is_for.is_ok().then_some(index)
    }));
    let in_region = |index: usize| route.targets[index].region.as_deref() == facts.region;
    let has_region = facts.region.is_some() && eligible.iter().any(|index| in_region(*index));
    let mut moment = route.first().state.figures.moment(now);
    let scored: Vec<Scored> = eligible
        .iter()
        .map(|index| {
            let target = &route.targets[*index];
            let is_far = has_region && !in_region(*index);
            let figures = &target.state.figures;
            if !figures.counts_from(moment) {
                moment = figures.moment(now);
            }
            Scored {
                weight: target.weight,
                tier: target
                    .tier
                    .saturating_mul(2)
                    .saturating_add(u32::from(is_far)),
                reading: figures.read_at(moment),
                price: target.price,
                is_cooling: target.state.is_passed_over(now),
            }
        })
        .collect();
    let mut order = Order::default();
    // The wheel knows the targets by their places in the route.
    let mut pick = |weights: &[f64]| {
        if eligible.len() == route.targets.len() {
            return turn(weights);
        }
        let mut all = vec![0.0; route.targets.len()];
        for (index, weight) in eligible.iter().zip(weights) {
            all[*index] = *weight;
        }
        let chosen = turn(&all)?;
        eligible.iter().position(|index| *index == chosen)
    };
    order.arrange(strategy, &scored, &mut pick, dice);
    let mut ordered: Vec<usize> = order
        .indices()
        .iter()
        .map(|place| eligible[*place])
        .collect();
    let bound = facts.bound.filter(|_| route.is_sticky);
    let bound = bound.and_then(|(provider, model)| {
        ordered.iter().position(|index| {
            let target = &route.targets[*index];
            let asked = target.model.as_deref();
            providers[target.provider].name == provider
                && asked.is_none_or(|asked| asked == model)
                && !target.state.is_passed_over(now)
        })
    });
    let alike = facts
        .prefix
        .filter(|_| route.has_prefix_affinity && bound.is_none());
    let alike = alike.and_then(|prefix| stands_for(prefix, &ordered, &scored, &eligible));
    if let Some(place) = bound.or(alike) {
        let first = ordered.remove(place);
        ordered.insert(0, first);
    }
    Arranged {
        ordered,
        eligible,
        order,
        is_bound: bound.is_some(),
        is_alike: alike.is_some(),
    }
}

/// Which of the first tier's targets a prompt's beginning stands for: the one with the highest of hashes that are weighted,
/// so that all instances find the same and few move when one comes or goes (rendezvous hashing).
fn stands_for(
    prefix: u64,
    ordered: &[usize],
    scored: &[Scored],
    eligible: &[usize],
) -> Option<usize> {
    let score_of = |index: usize| {
        let place = eligible.iter().position(|known| *known == index)?;
        Some(&scored[place])
    };
    let first = score_of(*ordered.first()?)?;
    let (tier, is_cooling) = (first.tier, first.is_cooling);
    let mut best: Option<(usize, f64)> = None;
    for (place, index) in ordered.iter().enumerate() {
        let Some(score) = score_of(*index) else {
            continue;
        };
        if score.tier != tier || score.is_cooling != is_cooling || score.weight <= 0.0 {
            continue;
        }
        let hash = Dice::seeded(prefix ^ (*index as u64).wrapping_mul(0x9e37_79b9)).bits();
        // In (0, 1): the logarithm makes shares follow weights.
        let part = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        let height = -score.weight / part.ln();
        if best.is_none_or(|(_, highest)| highest < height) {
            best = Some((place, height));
        }
    }
    best.map(|(place, _)| place)
}

#[cfg(test)]
mod tests;
