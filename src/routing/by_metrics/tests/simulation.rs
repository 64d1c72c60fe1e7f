//! Strategies at work: simulated targets with speeds and errors of their own, requests that come and wait for their
//! answers, all in simulated time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::*;
use crate::clock::Clock;
use crate::routing::figures::{Figures, Seen};

/// A target: what it costs, and how it behaves at a second.
struct Target {
    weight: f64,
    price: Option<f64>,
    first_token_ms: f64,
    fails_percent: fn(second: f64) -> u32,
}

const fn target(weight: f64, first_token_ms: f64, fails_percent: fn(f64) -> u32) -> Target {
    Target {
        weight,
        price: None,
        first_token_ms,
        fails_percent,
    }
}

fn never(_: f64) -> u32 {
    0
}

/// One of the weights by chance, in proportion.
pub(super) fn by_dice(dice: &Dice, weights: &[f64]) -> Option<usize> {
    let total: f64 = weights.iter().sum();
    let mut left = f64::from(dice.roll(u32::MAX)) / f64::from(u32::MAX) * total;
    weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    })
}

/// Smooth weighted round-robin.
fn by_turns(lead: &mut [f64], weights: &[f64]) -> Option<usize> {
    let total: f64 = weights.iter().sum();
    lead.iter_mut()
        .zip(weights)
        .for_each(|(lead, weight)| *lead += weight);
    let able = (0..weights.len()).filter(|index| weights[*index] > 0.0);
    let chosen = able.max_by(|one, other| lead[*one].total_cmp(&lead[*other]))?;
    lead[chosen] -= total;
    Some(chosen)
}

enum Pick {
    Dice,
    Turns(Vec<f64>),
}

/// An attempt on its way, known by its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Attempt {
    end_us: u64,
    target: usize,
    total_us: u64,
    is_failure: bool,
}

struct World<'a> {
    targets: &'a [Target],
    figures: Vec<Figures>,
    strategy: Strategy,
    pick: Pick,
    dice: Dice,
    base: Instant,
    order: Order,
    on_the_way: BinaryHeap<Reverse<Attempt>>,
    /// Second and target of each request.
    sent: Vec<(f64, usize)>,
}

impl<'a> World<'a> {
    fn new(strategy: Strategy, targets: &'a [Target], pick: Pick) -> Self {
        let base = Clock::manual(0).now();
        Self {
            targets,
            figures: targets.iter().map(|_| Figures::new(base)).collect(),
            strategy,
            pick,
            dice: Dice::seeded(42),
            base,
            order: Order::default(),
            on_the_way: BinaryHeap::new(),
            sent: Vec::new(),
        }
    }

    /// Requests at an even pace.
    fn run(&mut self, seconds: std::ops::Range<u32>, a_second: u32) -> &mut Self {
        for request in seconds.start * a_second..seconds.end * a_second {
            self.request(u64::from(request) * 1_000_000 / u64::from(a_second));
        }
        self
    }

    fn request(&mut self, us: u64) {
        self.answers_until(us);
        let now = self.base + Duration::from_micros(us);
        let scored = self.targets.iter().zip(&self.figures);
        let scored: Vec<_> = scored
            .map(|(target, figures)| Scored {
                weight: target.weight,
                tier: 0,
                reading: figures.read(now),
                price: target.price,
                is_cooling: false,
            })
            .collect();
        let dice = self.dice.clone();
        let mut pick = |weights: &[f64]| match &mut self.pick {
            Pick::Dice => by_dice(&dice, weights),
            Pick::Turns(lead) => by_turns(lead, weights),
        };
        self.order
            .arrange(self.strategy, &scored, &mut pick, &self.dice);
        let index = self.order.indices()[0];
        let second = us as f64 / 1e6;
        let is_failure = self.dice.roll(100) < (self.targets[index].fails_percent)(second);
        // Speeds vary by half, either way; a failure is quick. The first token comes in the middle.
        let varied_us = 500.0 + f64::from(self.dice.roll(1_000));
        let total_us = match is_failure {
            true => 20_000.0,
            false => self.targets[index].first_token_ms * varied_us * 2.0,
        };
        let total_us = total_us as u64;
        self.figures[index].starts(now);
        self.on_the_way.push(Reverse(Attempt {
            end_us: us + total_us,
            target: index,
            total_us,
            is_failure,
        }));
        self.sent.push((second, index));
    }

    fn answers_until(&mut self, us: u64) {
        while let Some(Reverse(attempt)) = self.on_the_way.peek().copied()
            && attempt.end_us <= us
        {
            self.on_the_way.pop();
            let total = Duration::from_micros(attempt.total_us);
            let seen = Seen {
                first_token: (!attempt.is_failure).then_some(total / 2),
                total: Some(total),
                is_failure: attempt.is_failure,
            };
            let now = self.base + Duration::from_micros(attempt.end_us);
            self.figures[attempt.target].observe(seen, now);
            self.figures[attempt.target].ends();
        }
    }

    /// Each target's part of the requests of some seconds, in per cent.
    fn shares(&self, seconds: std::ops::Range<u32>) -> Vec<f64> {
        let seconds = f64::from(seconds.start)..f64::from(seconds.end);
        let sent = self
            .sent
            .iter()
            .filter(|(second, _)| seconds.contains(second));
        let mut counts = vec![0.0; self.targets.len()];
        sent.for_each(|(_, index)| counts[*index] += 1.0);
        let total: f64 = counts.iter().sum();
        counts.iter().map(|count| count * 100.0 / total).collect()
    }
}

/// Five targets of unlike speed, errors and price.
fn five() -> [Target; 5] {
    let priced = |price, target| Target {
        price: Some(price),
        ..target
    };
    [
        priced(8.0, target(4.0, 200.0, never)),
        priced(2.0, target(3.0, 400.0, |_| 1)),
        priced(0.5, target(2.0, 600.0, |_| 50)),
        priced(2.0, target(1.0, 300.0, |_| 10)),
        target(0.5, 2_000.0, never),
    ]
}

/// Shares after a while, each within the bounds, in per cent.
#[test]
fn shares_of_five_unlike_targets() {
    let rows = [
        // By weight, 38 : 28 : 19 : 9.5 : 4.8, but for those with errors.
        (Strategy::Balanced, [43..51, 32..38, 1..6, 8..12, 4..8]),
        (Strategy::Priority, [43..51, 32..38, 1..6, 8..12, 4..8]),
        // The fastest has most, and what is on its way leaves work for the others.
        (Strategy::LatencyFirst, [50..85, 10..35, 0..5, 3..20, 0..3]),
        // The cheapest fails too often; the two that are next share by weight.
        (Strategy::CostFirst, [0..2, 70..85, 0..4, 18..28, 0..2]),
        // Speed and price count nothing.
        (
            Strategy::ReliabilityFirst,
            [45..65, 25..45, 0..3, 0..6, 4..10],
        ),
    ];
    let targets = five();
    for pick in [|| Pick::Dice, || Pick::Turns(vec![0.0; 5])] {
        for (strategy, bounds) in &rows {
            let mut world = World::new(*strategy, &targets, pick());
            let shares = world.run(0..300, 40).shares(60..300);
            let is_within = shares.iter().zip(bounds).all(|(share, bounds)| {
                let bounds = f64::from(bounds.start)..f64::from(bounds.end);
                bounds.contains(share)
            });
            assert!(is_within, "{strategy:?}: {shares:.1?}, not {bounds:?}");
        }
    }
}

#[test]
fn balanced_is_exact_while_all_are_well() {
    let targets = [
        target(5.0, 200.0, never),
        target(3.0, 2_000.0, never),
        target(1.5, 100.0, never),
        target(0.4, 800.0, never),
        target(0.1, 5_000.0, never),
    ];
    let mut world = World::new(Strategy::Balanced, &targets, Pick::Turns(vec![0.0; 5]));
    let shares = world.run(0..200, 50).shares(0..200);
    for (share, wanted) in shares.iter().zip([50.0, 30.0, 15.0, 4.0, 1.0]) {
        assert!((share - wanted).abs() <= 0.01, "{shares:?}");
    }
}

/// Bad for a minute, then well: less while bad, never nothing, and back to its share with time.
#[test]
fn a_target_that_was_bad_comes_back() {
    let bad_for_a_minute = |second| {
        if (60.0..120.0).contains(&second) {
            100
        } else {
            0
        }
    };
    let targets = [
        target(1.0, 300.0, bad_for_a_minute),
        target(1.0, 300.0, never),
    ];
    let rows = [
        (Strategy::Balanced, 40.0),
        (Strategy::LatencyFirst, 35.0),
        (Strategy::ReliabilityFirst, 35.0),
    ];
    for (strategy, back) in rows {
        for a_second in [2, 20, 60] {
            let mut world = World::new(strategy, &targets, Pick::Dice);
            world.run(0..330, a_second);
            let minutes = [0, 60, 90, 120, 240, 300];
            let shares = minutes.map(|from| world.shares(from..from + 30)[0]);
            let what = format!("{strategy:?} at {a_second}/s: {shares:.1?}");
            assert!(shares[0] > back, "before: {what}");
            assert!(shares[2] < 10.0, "while bad: {what}");
            let bad = world.shares(60..120)[0];
            assert!(bad > 0.3, "not even tried: {what}");
            assert!(shares[5] > back, "after: {what}");
        }
    }
}

/// The cheapest is left while it fails, and has everything again when it is well.
#[test]
fn cost_first_goes_back_to_the_cheapest() {
    let bad_for_a_minute = |second| {
        if (60.0..120.0).contains(&second) {
            100
        } else {
            0
        }
    };
    let mut targets = [
        target(1.0, 300.0, bad_for_a_minute),
        target(1.0, 300.0, never),
    ];
    targets[0].price = Some(1.0);
    targets[1].price = Some(2.0);
    let mut world = World::new(Strategy::CostFirst, &targets, Pick::Dice);
    world.run(0..360, 20);
    let shares = [0, 65, 300].map(|from| world.shares(from..from + 55)[0].round());
    assert!(
        shares[0] == 100.0 && shares[1] < 5.0 && shares[2] == 100.0,
        "{shares:?}"
    );
}

/// Two hundred requests in one moment, and a crowd that never ends: no target has them all.
#[test]
fn latency_first_makes_no_herd() {
    let equal = [const { target(1.0, 300.0, never) }; 5];
    let unlike = [100.0, 300.0, 300.0, 500.0, 1_000.0].map(|ms| target(1.0, ms, never));
    for (targets, most) in [(&equal, 0.3), (&unlike, 0.75)] {
        let mut world = World::new(Strategy::LatencyFirst, targets, Pick::Dice);
        world.run(0..20, 5);
        let in_flight = |world: &World<'_>| {
            let now = world.base + Duration::from_secs(21);
            let all = world
                .figures
                .iter()
                .map(|figures| figures.read(now).in_flight);
            all.collect::<Vec<_>>()
        };
        (0..200).for_each(|request| world.request(20_000_000 + request));
        let burst = in_flight(&world);
        let limit = f64::from(burst.iter().sum::<u32>()) * most;
        let is_herd = burst.iter().any(|count| f64::from(*count) > limit);
        assert!(!is_herd, "a burst: {burst:?}");
        assert!(burst.iter().all(|count| *count > 5), "a burst: {burst:?}");
        world.run(21..60, 400);
        let crowd = world.shares(30..60);
        let is_herd = crowd.iter().any(|share| *share > most * 100.0);
        assert!(!is_herd, "a crowd: {crowd:.1?}");
    }
}

/// Good for two seconds, bad for two: the target keeps a part, and the others the rest.
#[test]
fn a_flapping_target_has_a_small_steady_part() {
    let flaps = |second: f64| if second % 4.0 < 2.0 { 0 } else { 100 };
    let targets = [
        target(1.0, 300.0, flaps),
        target(1.0, 300.0, never),
        target(1.0, 300.0, never),
    ];
    for strategy in [
        Strategy::Balanced,
        Strategy::LatencyFirst,
        Strategy::ReliabilityFirst,
    ] {
        let mut world = World::new(strategy, &targets, Pick::Dice);
        world.run(0..300, 20);
        let minutes: Vec<_> = (1..5)
            .map(|minute| world.shares(minute * 60..minute * 60 + 60)[0])
            .collect();
        let is_steady = minutes.iter().all(|share| (0.3..15.0).contains(share));
        assert!(is_steady, "{strategy:?}: {minutes:.1?}");
    }
}

/// Takes requests and never answers: its load alone shows it, long before any limit.
#[test]
fn balanced_sends_less_to_who_is_stuck() {
    let targets = [const { target(1.0, 300.0, never) }; 3];
    let mut world = World::new(Strategy::Balanced, &targets, Pick::Dice);
    world.run(0..30, 30);
    let mut kept = 0;
    for request in 900..1_800_u64 {
        world.request(request * 1_000_000 / 30);
        // What is on its way to the first target stays there.
        world.on_the_way.retain(|Reverse(attempt)| {
            kept += u32::from(attempt.target == 0);
            attempt.target != 0
        });
    }
    assert!(kept > 10, "{kept}");
    let shares = world.shares(40..60);
    assert!(shares[0] < 15.0, "{shares:.1?}");
}

/// However small a weight, and however bad the target was: it has its turn.
#[test]
fn low_weights_win_too() {
    let rows = [
        (Strategy::Balanced, 0.9..1.1),
        (Strategy::ReliabilityFirst, 0.9..1.1),
        // Idle where the other is busy, it has somewhat more than its part.
        (Strategy::LatencyFirst, 0.9..8.0),
    ];
    let targets = [target(1.0, 100.0, never), target(0.01, 100.0, never)];
    for (strategy, bounds) in rows {
        let mut world = World::new(strategy, &targets, Pick::Turns(vec![0.0; 2]));
        let shares = world.run(0..200, 50).shares(0..200);
        assert!(bounds.contains(&shares[1]), "{strategy:?} {shares:?}");
    }
}
