//! Orders of hand-made candidates; what whole strategies do over time is in `simulation`.

use std::time::Duration;

use super::*;

mod simulation;

fn well(weight: f64) -> Scored {
    Scored {
        weight,
        tier: 0,
        reading: Reading::default(),
        price: None,
        is_cooling: false,
    }
}

fn failing(error_rate: f64) -> Scored {
    let mut one = well(1.0);
    one.reading.error_rate = error_rate;
    one
}

fn fast(first_token_ms: f64, in_flight: u32) -> Scored {
    let mut one = well(1.0);
    one.reading.first_token_ms = Some(first_token_ms);
    one.reading.in_flight = in_flight;
    one
}

fn costs(usd: f64) -> Scored {
    Scored {
        price: Some(usd),
        ..well(1.0)
    }
}

fn tier(tier: u32, one: Scored) -> Scored {
    Scored { tier, ..one }
}

fn cooling(one: Scored) -> Scored {
    Scored {
        is_cooling: true,
        ..one
    }
}

/// Arranges with a pick that takes the greatest weight, so that the order is that of the shares.
fn arranged(strategy: Strategy, scored: &[Scored]) -> Order {
    let mut order = Order::default();
    let mut greatest = |weights: &[f64]| {
        let all = weights.iter().enumerate();
        all.max_by(|(_, one), (_, other)| one.total_cmp(other))
            .map(|(index, _)| index)
    };
    order.arrange(strategy, scored, &mut greatest, &Dice::seeded(1));
    order
}

#[track_caller]
fn check(strategy: Strategy, scored: &[Scored], expected: &[usize]) {
    let order = arranged(strategy, scored);
    assert_eq!(order.indices(), expected, "{order:#?}");
}

#[test]
fn nobody_and_one() {
    check(Strategy::Balanced, &[], &[]);
    check(Strategy::CostFirst, &[cooling(well(0.0))], &[0]);
}

#[test]
fn balanced() {
    check(
        Strategy::Balanced,
        &[well(1.0), well(3.0), well(2.0)],
        &[1, 2, 0],
    );
    let one_fails = [failing(0.5), well(0.2), well(0.1)];
    check(Strategy::Balanced, &one_fails, &[1, 0, 2]);
    let mut stuck = well(1.0);
    stuck.reading.total_ms = Some(1_000.0);
    stuck.reading.in_flight = 4;
    stuck.reading.waiting = Duration::from_secs(10);
    check(Strategy::Balanced, &[stuck, well(0.5)], &[1, 0]);
}

#[test]
fn a_few_errors_and_a_slow_target_change_no_share() {
    let mut slow = failing(0.05);
    slow.reading.total_ms = Some(10_000.0);
    slow.reading.in_flight = 100;
    slow.reading.waiting = Duration::from_secs(40);
    let mut quick = well(1.0);
    quick.reading.total_ms = Some(1_000.0);
    quick.reading.in_flight = 10;
    let order = arranged(Strategy::Balanced, &[slow, quick]);
    assert_eq!(order.shares(), [1.0, 1.0]);
}

#[test]
fn latency_first() {
    let scored = [fast(900.0, 0), fast(300.0, 0), fast(500.0, 0)];
    check(Strategy::LatencyFirst, &scored, &[1, 2, 0]);
    let busy = [fast(300.0, 3), fast(500.0, 0)];
    check(Strategy::LatencyFirst, &busy, &[1, 0]);
    let untried = [fast(500.0, 0), well(1.5), fast(900.0, 0)];
    check(Strategy::LatencyFirst, &untried, &[1, 0, 2]);
}

/// Where only whole answers are seen, or by most, those times are compared, and never one kind with the other.
#[test]
fn latency_first_compares_like_with_like() {
    let whole = |total_ms| {
        let mut one = well(1.0);
        one.reading.total_ms = Some(total_ms);
        one
    };
    let totals = [whole(4_000.0), whole(3_000.0)];
    check(Strategy::LatencyFirst, &totals, &[1, 0]);
    let mut both = fast(100.0, 0);
    both.reading.total_ms = Some(9_000.0);
    check(
        Strategy::LatencyFirst,
        &[both, totals[0], totals[1]],
        &[2, 1, 0],
    );
}

#[test]
fn cost_first() {
    let scored = [costs(9.0), well(100.0), costs(0.0), costs(1.0)];
    check(Strategy::CostFirst, &scored, &[2, 3, 0, 1]);
    let mut cheap_but_failing = failing(0.3);
    cheap_but_failing.price = Some(0.1);
    check(
        Strategy::CostFirst,
        &[cheap_but_failing, costs(5.0), well(1.0)],
        &[1, 2, 0],
    );
    let equal = [
        Scored {
            weight: 1.0,
            ..costs(2.0)
        },
        Scored {
            weight: 4.0,
            ..costs(2.0)
        },
        Scored {
            weight: 0.0,
            ..costs(1.0)
        },
        costs(3.0),
    ];
    check(Strategy::CostFirst, &equal, &[1, 0, 3, 2]);
    let odd = [
        costs(f64::NAN),
        costs(f64::INFINITY),
        costs(-1.0),
        costs(7.0),
    ];
    let first = arranged(Strategy::CostFirst, &odd);
    assert_eq!(first.indices()[..2], [3, 1]);
}

#[test]
fn reliability_first() {
    let scored = [failing(0.1), failing(0.01), failing(0.6), failing(0.0)];
    check(Strategy::ReliabilityFirst, &scored, &[3, 1, 0, 2]);
    let order = arranged(Strategy::ReliabilityFirst, &[failing(0.0), failing(0.1)]);
    let shares = order.shares();
    assert!(shares[0] > 8.0 * shares[1], "{shares:?}");
}

#[test]
fn tiers_come_first_and_cooling_ones_last() {
    let scored = [
        tier(2, well(9.0)),
        tier(1, well(1.0)),
        cooling(tier(0, well(9.0))),
        tier(1, well(2.0)),
        cooling(tier(0, well(1.0))),
        cooling(tier(9, well(1.0))),
    ];
    for strategy in [
        Strategy::Priority,
        Strategy::Balanced,
        Strategy::ReliabilityFirst,
    ] {
        check(strategy, &scored, &[3, 1, 0, 2, 4, 5]);
    }
    let listed = [
        tier(0, failing(0.4)),
        tier(1, well(9.0)),
        tier(2, well(99.0)),
    ];
    check(Strategy::Priority, &listed, &[0, 1, 2]);
}

#[test]
fn speeds_are_compared_within_a_tier() {
    let slow_tier = [fast(5.0, 0), fast(20_000.0, 0), fast(10_000.0, 0)];
    let [quick, slowest, slow] = slow_tier;
    let scored = [tier(1, quick), slowest, slow];
    check(Strategy::LatencyFirst, &scored, &[2, 1, 0]);
    let order = arranged(Strategy::LatencyFirst, &scored);
    let shares = order.shares();
    assert_eq!(shares, [1.0, 0.125, 1.0]);
}

#[test]
fn the_pick_goes_first_and_sees_only_who_can_be_chosen() {
    let scored = [
        tier(1, well(5.0)),
        well(1.0),
        cooling(well(7.0)),
        well(2.0),
        well(0.0),
        well(f64::NAN),
    ];
    let rows = [
        (Some(1), [1, 3]),
        (Some(3), [3, 1]),
        (None, [3, 1]),
        (Some(0), [3, 1]),
        (Some(4), [3, 1]),
        (Some(77), [3, 1]),
    ];
    for (picked, expected) in rows {
        let mut order = Order::default();
        let mut pick = |weights: &[f64]| {
            assert_eq!(weights, [0.0, 1.0, 0.0, 2.0, 0.0, 0.0]);
            picked
        };
        order.arrange(Strategy::Balanced, &scored, &mut pick, &Dice::seeded(1));
        let indices = order.indices();
        assert_eq!(indices[..2], expected, "{picked:?}");
        assert_eq!(indices[4..], [0, 2], "{picked:?}");
    }
}

/// Who goes second among equals is spread as well, so that one target's load does not fall on one other when it fails.
#[test]
fn equals_stand_in_for_one_another_by_lot() {
    let (dice, mut order) = (Dice::seeded(5), Order::default());
    let mut seconds = [0; 5];
    for _ in 0..4_000 {
        order.arrange(Strategy::Balanced, &[well(1.0); 5], &mut |_| Some(2), &dice);
        seconds[order.indices()[1]] += 1;
    }
    for (index, count) in seconds.into_iter().enumerate() {
        let expected = if index == 2 { 0..1 } else { 850..1_150 };
        assert!(expected.contains(&count), "{seconds:?}");
    }
}

/// Any candidates: each has one place; tiers and cooling are kept; who has weight has a share.
#[test]
fn any_candidates_are_ordered() {
    let dice = Dice::seeded(11);
    let some = |sides: u32| (dice.roll(2) == 0).then(|| f64::from(dice.roll(sides)));
    let mut order = Order::default();
    for round in 0..2_000 {
        let strategy = [
            Strategy::Balanced,
            Strategy::LatencyFirst,
            Strategy::CostFirst,
            Strategy::ReliabilityFirst,
            Strategy::Priority,
        ][dice.roll(5) as usize];
        let any = |_| Scored {
            weight: some(100).unwrap_or(0.01),
            tier: dice.roll(3),
            reading: Reading {
                first_token_ms: some(5_000),
                total_ms: some(50_000),
                error_rate: some(101).unwrap_or(0.0) / 100.0,
                in_flight: dice.roll(50),
                ..Reading::default()
            },
            price: some(3),
            is_cooling: dice.roll(4) == 0,
        };
        let scored: Vec<_> = (0..dice.roll(12)).map(any).collect();
        let mut by_dice = |weights: &[f64]| simulation::by_dice(&dice, weights);
        order.arrange(strategy, &scored, &mut by_dice, &dice);
        let what = || format!("round {round}, {strategy:?}: {scored:#?} {order:#?}");
        assert!(order.keys.is_sorted(), "{}", what());
        let mut indices = order.indices().to_vec();
        indices.sort_unstable();
        assert!(indices.into_iter().eq(0..scored.len()), "{}", what());
        for (one, share) in scored.iter().zip(order.shares()) {
            let shares = one.weight * LEAST_PART..=one.weight;
            assert!(shares.contains(share), "{}", what());
        }
    }
}

#[test]
fn of_a_hundred_those_that_can_be_tried_are_in_order() {
    // Weights that no place in the list tells: 37 and 101 have no factor in common.
    let scored: Vec<Scored> = (0..100)
        .map(|index| well(f64::from(1 + index * 37 % 101)))
        .collect();
    let order = arranged(Strategy::Balanced, &scored);
    let mut expected: Vec<usize> = (0..100).collect();
    expected.sort_by(|one, other| scored[*other].weight.total_cmp(&scored[*one].weight));
    assert_eq!(
        order.indices()[..MOST_SORTED - 1],
        expected[..MOST_SORTED - 1]
    );
    let mut all = order.indices().to_vec();
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
}
