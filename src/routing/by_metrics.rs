//! In which order candidates are tried, by what is known of them. Pure: figures, weights, and chance are arguments.
//!
//! Each strategy turns a candidate into a share of the traffic, which is never nothing while its weight is not nothing: who gets
//! no requests cannot show that it is well again. It does not know whether a candidate may be used at all: what is
//! not allowed is left out before.

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

/// Nothing is quicker than this, in milliseconds.
const LEAST_MS: f64 = 0.1;

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

/// An order of candidates. Kept and given again, it allocates nothing.
#[derive(Debug, Default)]
pub struct Order {
    indices: Vec<usize>,
    shares: Vec<f64>,
    keys: Vec<Key>,
    weights: Vec<f64>,
}

impl Order {
    /// Indices of the candidates, the first to be tried first.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// What each candidate weighs by the strategy at this moment, in the order in which they were given.
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// Orders the candidates anew: lower tiers first, within the first tier the chosen one, the next by falling share,
    /// equals by lot, and those that are hardly ever tried in no order; those that cool down behind all others of any tier.
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
        self.keys.clear();
        let groups = scored.iter().enumerate();
        self.keys
            .extend(groups.map(|(index, one)| Key::new(one, index)));
        if !self.keys.is_sorted() {
            self.keys.sort_unstable();
        }
        self.shares.clear();
        self.shares.resize(scored.len(), 0.0);
        let mut lots = dice.bits();
        for keys in self
            .keys
            .chunk_by_mut(|one, other| one.group() == other.group())
        {
            // Until its share is known, a candidate's slot holds its wait.
            let speeds = (strategy == Strategy::LatencyFirst)
                .then(|| Speeds::of(scored, keys, &mut self.shares));
            for key in keys.iter_mut() {
                let index = key.index();
                let slot = self.shares.get_mut(index);
                let (Some(one), Some(slot)) = (scored.get(index), slot) else {
                    continue;
                };
                let part = speeds.as_ref().map_or(1.0, |speeds| speeds.part(*slot));
                *slot = share(strategy, one, part);
                let rank = match strategy {
                    Strategy::CostFirst => cost_rank(one),
                    _ => 0.0,
                };
                lots = lots.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                *key = key.with(rank, *slot, lots);
            }
            sort_first(keys);
        }
        self.indices.clear();
        self.indices.extend(self.keys.iter().map(|key| key.index()));
        self.choose(pick);
    }

    /// Lets one of those that share the first rank go first.
    fn choose(&mut self, pick: &mut dyn FnMut(&[f64]) -> Option<usize>) {
        let Some(first) = self.keys.first() else {
            return;
        };
        self.weights.clear();
        self.weights.resize(self.shares.len(), 0.0);
        let equals = self.keys.iter().filter(|key| key.rank() == first.rank());
        for index in equals.map(|key| key.index()) {
            if let (Some(weight), Some(share)) =
                (self.weights.get_mut(index), self.shares.get(index))
            {
                *weight = *share;
            }
        }
        let chosen = pick(&self.weights);
        let chosen = chosen.filter(|index| self.weights.get(*index).is_some_and(|w| *w > 0.0));
        if let Some(at) = self.indices.iter().position(|index| Some(*index) == chosen)
            && let Some(front) = self.indices.get_mut(..=at)
        {
            front.rotate_right(1);
        }
    }
}

/// All that a candidate's place depends on, in one number, for a hundred of them are ordered for each request. From above: 1 bit
/// whether it cools down, 31 its tier, 32 its rank within the tier (lower first), 32 its share (greater first), 16 a
/// lot between equals, 16 which one it is (nobody configures more for one model).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u128);

/// More candidates of a group than can be tried for one request, even where some are passed over.
const MOST_SORTED: usize = 16;

/// Sorts as many as can be tried: sorting a hundred would be most of what a choice costs.
fn sort_first(keys: &mut [Key]) {
    if keys.len() <= MOST_SORTED {
        return keys.sort_unstable();
    }
    let (first, _, _) = keys.select_nth_unstable(MOST_SORTED - 1);
    first.sort_unstable();
}

impl Key {
    const INDEX_BITS: u32 = 16;

    /// Without rank, share and lot. Tiers above two thousand millions are one.
    fn new(one: &Scored, index: usize) -> Self {
        let cooling = u128::from(one.is_cooling) << 127;
        let tier = u128::from(one.tier.min(u32::MAX >> 1)) << 96;
        Self(cooling | tier | index as u128 & Self::index_mask())
    }

    /// The bits of numbers that are not below 0 are in the order of the numbers.
    fn with(self, rank: f32, share: f64, lot: u64) -> Self {
        let rank = u128::from(rank.to_bits()) << 64;
        let share = u128::from(!(share as f32).to_bits()) << 32;
        let lot = u128::from(lot >> 48) << Self::INDEX_BITS;
        Self(self.0 | rank | share | lot)
    }

    fn index(self) -> usize {
        usize::try_from(self.0 & Self::index_mask()).unwrap_or(usize::MAX)
    }

    fn index_mask() -> u128 {
        (1 << Self::INDEX_BITS) - 1
    }

    fn group(self) -> u128 {
        self.0 >> 96
    }

    /// With the group.
    fn rank(self) -> u128 {
        self.0 >> 64
    }
}

/// A candidate's weight by the strategy; `speed` is what its speed leaves of it, where the strategy looks at speeds.
fn share(strategy: Strategy, one: &Scored, speed: f64) -> f64 {
    let part = match strategy {
        Strategy::Balanced | Strategy::Priority => health(one) * awake(one),
        Strategy::LatencyFirst => health(one) * speed,
        Strategy::CostFirst => health(one),
        Strategy::ReliabilityFirst => (1.0 - errors(one)).powi(20),
    };
    weight(one) * part.clamp(LEAST_PART, 1.0)
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
    const STEP: f64 = 1.0 / (1.0 - WELL_ERRORS);
    let excess = (errors(one) - WELL_ERRORS).max(0.0) * STEP;
    (1.0 - excess).powi(3)
}

/// The price where the candidate is well; unknown ones after all known ones, unwell ones after those, and ones without
/// weight.
fn cost_rank(one: &Scored) -> f32 {
    if DEAR_ERRORS <= errors(one) || weight(one) == 0.0 {
        return f32::INFINITY;
    }
    let price = one.price.filter(|price| 0.0 <= *price);
    price.map_or(f32::MAX, |price| (price as f32).min(f32::MAX / 2.0))
}

/// 1 while answers come as they use to, less the longer none comes.
fn awake(one: &Scored) -> f64 {
    let Some(total_ms) = one.reading.total_ms else {
        return 1.0;
    };
    let waiting_ms = one.reading.waiting.as_secs_f64() * 1_000.0;
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
    /// The best known speed, in milliseconds; any, where none is known.
    best_ms: f64,
    /// The greatest weight.
    most_weight: f64,
    /// Attempts on their way for each candidate of the greatest weight.
    load: f64,
    /// The shortest wait for a candidate that is well.
    best_wait: f64,
}

impl Speeds {
    /// Of the candidates with these keys. `waits` has a place for each of all, and gets theirs.
    fn of(scored: &[Scored], keys: &[Key], waits: &mut [f64]) -> Self {
        let members = || keys.iter().filter_map(|key| scored.get(key.index()));
        let mut speeds = Self {
            is_by_first_token: true,
            best_ms: 1.0,
            most_weight: 0.0,
            load: 0.0,
            best_wait: f64::INFINITY,
        };
        let (mut firsts, mut totals, mut in_flight, mut weights) = (0, 0, 0.0, 0.0);
        let (mut first_ms, mut total_ms, mut most_health) = (f64::INFINITY, f64::INFINITY, 0.0_f64);
        for one in members() {
            if let Some(ms) = one.reading.first_token_ms {
                firsts += 1;
                first_ms = first_ms.min(ms);
            }
            if let Some(ms) = one.reading.total_ms {
                totals += 1;
                total_ms = total_ms.min(ms);
            }
            in_flight += f64::from(one.reading.in_flight);
            weights += weight(one);
            speeds.most_weight = speeds.most_weight.max(weight(one));
            most_health = most_health.max(health(one));
        }
        speeds.is_by_first_token = totals <= firsts;
        let best_ms = match speeds.is_by_first_token {
            true => first_ms,
            false => total_ms,
        };
        if best_ms.is_finite() {
            speeds.best_ms = best_ms.max(LEAST_MS);
        }
        if weights > 0.0 {
            speeds.load = in_flight * speeds.most_weight / weights;
        }
        // One that fails has little on its way, for failures are quick: it must not look better than those that work.
        let well = most_health / 2.0;
        for index in keys.iter().map(|key| key.index()) {
            if let (Some(one), Some(slot)) = (scored.get(index), waits.get_mut(index)) {
                *slot = speeds.wait(one);
                if well <= health(one) {
                    speeds.best_wait = speeds.best_wait.min(*slot);
                }
            }
        }
        speeds
    }

    /// A measure for how long the next attempt would take. An untried candidate is taken for as fast as the best, so
    /// that it is tried. The mean load is part of everybody's, so that an idle one is preferred but not flooded.
    fn wait(&self, one: &Scored) -> f64 {
        let known_ms = match self.is_by_first_token {
            true => one.reading.first_token_ms,
            false => one.reading.total_ms,
        };
        let ms = known_ms.map_or(self.best_ms, |ms| ms.max(LEAST_MS));
        let in_flight = f64::from(one.reading.in_flight);
        let load = match weight(one) {
            0.0 => in_flight,
            weight => in_flight * self.most_weight / weight,
        };
        ms * (load + self.load + 1.0)
    }

    /// 1 for the shortest wait; a wait twice as long gets an eighth. All traffic to the shortest would be a herd, which
    /// by the time it arrives makes it the longest.
    fn part(&self, wait: f64) -> f64 {
        (self.best_wait / wait).min(1.0).powi(3)
    }
}

#[cfg(test)]
mod tests;
