//! In which order candidates are tried, by what is known of them. Pure: figures, weights, and chance are arguments.
//!
//! Each strategy turns a candidate into a share of the traffic, which is never nothing while its weight is not nothing: who gets
//! no requests cannot show that it is well again. It does not know whether a candidate may be used at all: what is
//! not allowed is left out before.

use std::cmp::Ordering;

use crate::clock::Dice;
use crate::config::Strategy;
use crate::routing::figures::Reading;

/// Least part of its weight that any candidate keeps.
const LEAST_PART: f64 = 0.02;

/// An error rate up to here is chance: shares stay exactly as the weights say.
const WELL_ERRORS: f64 = 0.05;

/// From this error rate on a cheap candidate is no longer cheap.
const DEAR_ERRORS: f64 = 0.2;

/// A target with attempts on their way that says nothing for so many times as long as an answer takes is stuck.
const STUCK: f64 = 4.0;

/// With fewer attempts on their way, silence says little.
const LEAST_WAITING: u32 = 4;

/// A candidate with all that the choice looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Its part of the traffic, against those of the others. What is not above 0 comes last of its tier.
    pub weight: f64,
    /// Lower ones are tried first.
    pub tier: u32,
    /// What is known of it now.
    pub reading: Reading,
    /// USD for a million tokens, those asked and those answered mixed; `None` when unknown.
    pub price: Option<f64>,
    /// Whether it is passed over while another one stands.
    pub is_cooling: bool,
}

/// A candidate's place in the order, with what gave it to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Which of the candidates that were given.
    pub index: usize,
    /// Its weight by this strategy at this moment.
    pub share: f64,
    /// Whether it is behind all that are not.
    pub is_cooling: bool,
    /// As given.
    pub tier: u32,
    /// Within the tier lower ones go first, whatever their shares.
    rank: f64,
    /// Decides between equals.
    lot: u64,
}

/// An order of candidates. Kept and given again, it allocates nothing.
#[derive(Debug, Default)]
pub struct Order {
    places: Vec<Place>,
    weights: Vec<f64>,
}

impl Order {
    /// The places, the first to be tried first.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Indices of the candidates, the first to be tried first.
    pub fn indices(&self) -> impl Iterator<Item = usize> {
        self.places.iter().map(|place| place.index)
    }

    /// Orders the candidates anew: lower tiers first, within the first tier the chosen one, the rest by falling share,
    /// equals by lot; those that cool down behind all others of any tier.
    ///
    /// `pick` chooses one of as many weights as there are candidates; those that cannot be chosen have 0. Where it
    /// chooses none, the one with the greatest share goes first.
    pub fn arrange(
        &mut self,
        strategy: Strategy,
        scored: &[Scored],
        pick: &mut dyn FnMut(&[f64]) -> Option<usize>,
        dice: &Dice,
    ) {
        let lots = dice.bits();
        self.places.clear();
        let places = scored.iter().enumerate().map(|(index, scored)| Place {
            index,
            share: 0.0,
            is_cooling: scored.is_cooling,
            tier: scored.tier,
            rank: 0.0,
            lot: lot(lots, index),
        });
        self.places.extend(places);
        if !self.places.is_sorted_by_key(Place::group) {
            self.places.sort_unstable_by_key(Place::group);
        }
        let is_same = |one: &Place, other: &Place| one.group() == other.group();
        for group in self.places.chunk_by_mut(is_same) {
            share(strategy, scored, group);
            group.sort_unstable_by(Place::compare);
        }
        self.choose(scored.len(), pick);
    }

    /// Lets one of those that share the first rank go first.
    fn choose(&mut self, length: usize, pick: &mut dyn FnMut(&[f64]) -> Option<usize>) {
        let Some(best) = self.places.first().copied() else {
            return;
        };
        self.weights.clear();
        self.weights.resize(length, 0.0);
        let is_equal = |place: &&Place| place.group() == best.group() && place.rank == best.rank;
        for place in self.places.iter().take_while(is_equal) {
            if let Some(weight) = self.weights.get_mut(place.index) {
                *weight = place.share;
            }
        }
        let chosen = pick(&self.weights);
        let chosen = chosen.filter(|index| self.weights.get(*index).is_some_and(|w| *w > 0.0));
        let is_chosen = |place: &Place| Some(place.index) == chosen;
        if let Some(at) = self.places.iter().position(is_chosen)
            && let Some(front) = self.places.get_mut(..=at)
        {
            front.rotate_right(1);
        }
    }
}

impl Place {
    fn group(&self) -> (bool, u32) {
        (self.is_cooling, self.tier)
    }

    /// Within a group.
    fn compare(&self, other: &Self) -> Ordering {
        let by_rank = self.rank.total_cmp(&other.rank);
        by_rank
            .then_with(|| other.share.total_cmp(&self.share))
            .then_with(|| self.lot.cmp(&other.lot))
    }
}

/// A number for a candidate that is another one at each choice.
fn lot(lots: u64, index: usize) -> u64 {
    let mixed = (lots ^ index as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

/// Gives each candidate of one group its share and its rank.
fn share(strategy: Strategy, scored: &[Scored], group: &mut [Place]) {
    let speeds = (strategy == Strategy::LatencyFirst).then(|| Speeds::of(scored, group));
    for place in group {
        let Some(one) = scored.get(place.index) else {
            continue;
        };
        let part = match strategy {
            Strategy::Balanced | Strategy::Priority => health(one) * awake(one),
            Strategy::LatencyFirst => {
                let part = speeds.as_ref().map_or(1.0, |speeds| speeds.part(one));
                health(one) * part
            }
            Strategy::CostFirst => health(one),
            Strategy::ReliabilityFirst => (1.0 - errors(one)).powi(20),
        };
        place.share = weight(one) * part.clamp(LEAST_PART, 1.0);
        if strategy == Strategy::CostFirst {
            place.rank = cost_rank(one);
        }
    }
}

fn weight(one: &Scored) -> f64 {
    // What is no number is not above 0 either.
    if one.weight > 0.0 { one.weight } else { 0.0 }
}

fn errors(one: &Scored) -> f64 {
    one.reading.error_rate.clamp(0.0, 1.0)
}

/// 1 for a candidate that is well, steeply less for one that fails.
fn health(one: &Scored) -> f64 {
    let excess = (errors(one) - WELL_ERRORS).max(0.0) / (1.0 - WELL_ERRORS);
    (1.0 - excess).powi(3)
}

/// The price where the candidate is well; unknown ones after all known ones, unwell ones after those, and ones without
/// weight.
fn cost_rank(one: &Scored) -> f64 {
    if DEAR_ERRORS <= errors(one) || weight(one) == 0.0 {
        return f64::INFINITY;
    }
    let price = one.price.filter(|price| 0.0 <= *price);
    price.map_or(f64::MAX, |price| price.min(f64::MAX / 2.0))
}

/// 1 while answers come as they use to, less the longer none comes.
fn awake(one: &Scored) -> f64 {
    let waiting_ms = one.reading.waiting.as_secs_f64() * 1_000.0;
    let Some(total_ms) = one.reading.total_ms else {
        return 1.0;
    };
    if one.reading.in_flight < LEAST_WAITING || waiting_ms <= STUCK * total_ms {
        return 1.0;
    }
    STUCK * total_ms / waiting_ms
}

/// What the speed of one candidate is measured against.
#[derive(Debug)]
struct Speeds {
    /// Whether speeds are times to the first content: as many candidates have those as have times to the end.
    is_by_first_token: bool,
    /// The best known speed, in milliseconds.
    best_ms: f64,
    /// The greatest weight.
    most_weight: f64,
    /// Attempts on their way for each candidate of the greatest weight.
    load: f64,
    /// The shortest wait for a candidate that is well.
    best_wait: f64,
}

impl Speeds {
    fn of(scored: &[Scored], places: &[Place]) -> Self {
        let members = || places.iter().filter_map(|place| scored.get(place.index));
        let mut speeds = Self {
            is_by_first_token: true,
            best_ms: f64::INFINITY,
            most_weight: 0.0,
            load: 0.0,
            best_wait: f64::INFINITY,
        };
        let (mut firsts, mut totals, mut in_flight, mut weights) = (0, 0, 0.0, 0.0);
        let mut most_health = 0.0_f64;
        for one in members() {
            firsts += usize::from(one.reading.first_token_ms.is_some());
            totals += usize::from(one.reading.total_ms.is_some());
            in_flight += f64::from(one.reading.in_flight);
            weights += weight(one);
            speeds.most_weight = speeds.most_weight.max(weight(one));
            most_health = most_health.max(health(one));
        }
        speeds.is_by_first_token = totals <= firsts;
        if weights > 0.0 {
            speeds.load = in_flight * speeds.most_weight / weights;
        }
        let known = members().filter_map(|one| speeds.known_ms(one));
        speeds.best_ms = known.fold(f64::INFINITY, f64::min);
        // One that fails has little on its way, for failures are quick: it must not look better than those that work.
        let is_well = |one: &&Scored| most_health / 2.0 <= health(one);
        let waits = members().filter(is_well).map(|one| speeds.wait(one));
        speeds.best_wait = waits.fold(f64::INFINITY, f64::min);
        speeds
    }

    /// The speed to compare by. Nothing is quicker than a tenth of a millisecond.
    fn known_ms(&self, one: &Scored) -> Option<f64> {
        let ms = match self.is_by_first_token {
            true => one.reading.first_token_ms,
            false => one.reading.total_ms,
        };
        ms.map(|ms| ms.max(0.1))
    }

    /// A measure for how long the next attempt would take. An untried candidate is taken for as fast as the best, so
    /// that it is tried. The mean load is part of everybody's, so that an idle one is preferred but not flooded.
    fn wait(&self, one: &Scored) -> f64 {
        let best_ms = if self.best_ms.is_finite() {
            self.best_ms
        } else {
            1.0
        };
        let ms = self.known_ms(one).unwrap_or(best_ms);
        let own = weight(one) / self.most_weight;
        let load = f64::from(one.reading.in_flight) / if own > 0.0 { own } else { 1.0 };
        ms * (load + self.load + 1.0)
    }

    /// 1 for the shortest wait; a wait twice as long gets an eighth. All traffic to the shortest would be a herd, which
    /// by the time it arrives makes it the longest.
    fn part(&self, one: &Scored) -> f64 {
        (self.best_wait / self.wait(one)).min(1.0).powi(3)
    }
}

#[cfg(test)]
mod tests;
