//! Shares by weight: in turn and smooth ([`Wheel`]), in turn and equal ([`Turns`]), by chance ([`draw`]), and both
//! ([`draw_in_turn`]). Pure: what may be chosen now comes with each call, as weights. It does not know what it chooses.
//!
//! In each of them a weight that is 0, negative or no finite number means: not now. Others count in billionths: smaller ones as
//! one billionth, and those above a billion as a billion.

use crate::clock::Dice;

/// Weights are counted as whole numbers of this part of one, so that shares do not drift.
const UNITS_IN_ONE: f64 = 1e9;

/// Larger weights count as this one.
const MOST_WEIGHT: f64 = 1e9;

/// Smooth weighted round-robin: exact shares, as evenly spread as they can be.
///
/// The way of nginx (`ngx_http_upstream_round_robin.c`): each member earns its weight, the one with most is taken and pays what
/// all have earned. With whole weights every run of as many calls as their sum holds each member exactly as often as its
/// weight says; equal weights take turns strictly.
///
/// Who is there may change from call to call. Who is not earns nothing and keeps what it has, which is about one call at
/// most: when it comes back there is no burst of what it missed, and one that comes and goes is not forgotten either. What
/// members have is counted in calls: when the sum of the weights changes it is scaled with it, so that what was little beside a
/// heavy member is not much among light ones.
#[derive(Debug, Clone, Default)]
pub struct Wheel {
    /// What each member has earned and not been paid; a whole call is worth `total`.
    credits: Vec<i128>,
    /// Sum of the weights at the last call; 0 before the first one.
    total: i128,
    /// The weights of this call, as whole numbers.
    units: Vec<i64>,
}

impl Wheel {
    /// For so many members.
    pub fn new(members: usize) -> Self {
        Self {
            credits: vec![0; members],
            total: 0,
            units: Vec::with_capacity(members),
        }
    }

    /// The member whose turn it is; `None` when no weight says that one may be chosen. Members that were not there before begin
    /// with nothing.
    pub fn next(&mut self, weights: &[f64]) -> Option<usize> {
        self.units.clear();
        self.units
            .extend(weights.iter().map(|weight| units(*weight)));
        let total: i128 = self.units.iter().copied().map(i128::from).sum();
        if total == 0 {
            return None;
        }
        if self.credits.len() < weights.len() {
            self.credits.resize(weights.len(), 0);
        }
        self.scale_to(total);
        let mut chosen: Option<(usize, &mut i128)> = None;
        for (member, (credit, units)) in self.credits.iter_mut().zip(&self.units).enumerate() {
            if *units == 0 {
                continue;
            }
            *credit += i128::from(*units);
            if chosen.as_ref().is_none_or(|(_, most)| **most < *credit) {
                chosen = Some((member, credit));
            }
        }
        let (member, credit) = chosen?;
        *credit -= total;
        Some(member)
    }

    /// Makes a call worth `total`. What rounding loses is far below a billionth of a call.
    fn scale_to(&mut self, total: i128) {
        if self.total != 0 && self.total != total {
            let ratio = total as f64 / self.total as f64;
            for credit in &mut self.credits {
                *credit = scaled(*credit, ratio);
            }
        }
        self.total = total;
    }
}

/// Plain round-robin: whose last turn is longest ago, and of those who had none the first.
///
/// Who comes back is next, once.
#[derive(Debug, Clone, Default)]
pub struct Turns {
    /// Turns so far.
    count: u64,
    /// Which turn was the last one of each member; 0 for none.
    last: Vec<u64>,
}

impl Turns {
    /// For so many members.
    pub fn new(members: usize) -> Self {
        Self {
            count: 0,
            last: vec![0; members],
        }
    }

    /// The member whose turn it is, whatever the weights that are not 0; `None` when all are.
    pub fn next(&mut self, weights: &[f64]) -> Option<usize> {
        self.next_of(weights, |_| true)
    }

    fn next_of(&mut self, weights: &[f64], is_in: impl Fn(i64) -> bool) -> Option<usize> {
        if self.last.len() < weights.len() {
            self.last.resize(weights.len(), 0);
        }
        let members = self.last.iter_mut().zip(weights).enumerate();
        let there = members.filter(|(_, (_, weight))| {
            let units = units(**weight);
            units != 0 && is_in(units)
        });
        let (member, (last, _)) = there.min_by_key(|(_, (last, _))| **last)?;
        self.count += 1;
        *last = self.count;
        Some(member)
    }
}

/// A member by chance, each as likely as its weight says; `None` when none may be chosen.
pub fn draw(weights: &[f64], dice: &Dice) -> Option<usize> {
    let total: i128 = weights
        .iter()
        .map(|weight| i128::from(units(*weight)))
        .sum();
    let mut left = share(dice.bits(), total);
    weights.iter().position(|weight| {
        let units = i128::from(units(*weight));
        let is_hit = left < units;
        left -= units;
        is_hit
    })
}

/// A member by chance and in turn: members of equal weight are a group, a group is as likely as its weight times its size, and
/// inside it they take turns. `None` when none may be chosen.
pub fn draw_in_turn(weights: &[f64], turns: &mut Turns, dice: &Dice) -> Option<usize> {
    // A group is as likely as all its members together, so any of them may draw it.
    let drawn = draw(weights, dice)?;
    let group = units(*weights.get(drawn)?);
    turns.next_of(weights, |units| units == group)
}

/// A weight as a whole number; 0 when it says that a member may not be chosen.
fn units(weight: f64) -> i64 {
    if !weight.is_finite() || weight <= 0.0 {
        return 0;
    }
    // At most 10¹⁸, which fits. Numbers of 128 bits are converted slowly, and rounding is a call: a hundred weights are read
    // for each request.
    let units = (weight.min(MOST_WEIGHT) * UNITS_IN_ONE + 0.5) as i64;
    units.max(1)
}

/// What a credit is worth when a call is worth so many times as much.
fn scaled(credit: i128, ratio: f64) -> i128 {
    match i64::try_from(credit) {
        Ok(0) => 0,
        Ok(credit) if ratio < 1.0 => i128::from((credit as f64 * ratio) as i64),
        _ => (credit as f64 * ratio) as i128,
    }
}

/// A number from 0 to below `total`, each as likely as the next.
fn share(bits: u64, total: i128) -> i128 {
    // The upper and the lower half one by one: the product of both with a large total would not fit.
    let (high, low) = (i128::from(bits >> 32), i128::from(bits & 0xffff_ffff));
    (high * total + ((low * total) >> 32)) >> 32
}

#[cfg(test)]
mod tests;
