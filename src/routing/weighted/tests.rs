use std::array;

use proptest::prelude::*;

use super::*;

/// How often each of `N` members is among these.
fn counts<const N: usize>(chosen: &[usize]) -> [usize; N] {
    array::from_fn(|member| chosen.iter().filter(|other| **other == member).count())
}

fn turn(wheel: &mut Wheel, weights: &[f64], times: usize) -> Vec<usize> {
    let turn = |_| wheel.next(weights).expect("one of them has a weight");
    (0..times).map(turn).collect()
}

#[test]
fn the_wheel_goes_as_nginx_says() {
    let cases: [(&[f64], &[usize]); 5] = [
        // The example of nginx's own change: a a b a c a a.
        (&[5.0, 1.0, 1.0], &[0, 0, 1, 0, 2, 0, 0, 0, 0, 1]),
        (&[1.0, 1.0, 1.0], &[0, 1, 2, 0, 1, 2, 0]),
        (&[0.1, 0.1, 0.1], &[0, 1, 2, 0, 1, 2, 0]),
        (&[0.0, 2.0, 1.0], &[1, 2, 1, 1, 2, 1]),
        (&[7.5], &[0, 0, 0]),
    ];
    for (weights, expected) in cases {
        let mut wheel = Wheel::new(weights.len());
        assert_eq!(turn(&mut wheel, weights, expected.len()), expected);
    }
}

#[test]
fn who_has_no_weight_is_not_chosen() {
    let not_now = [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let (mut wheel, mut turns, dice) = (Wheel::new(5), Turns::new(5), Dice::seeded(1));
    assert_eq!(wheel.next(&not_now), None);
    assert_eq!(turns.next(&not_now), None);
    assert_eq!(draw(&not_now, &dice), None);
    assert_eq!(draw_in_turn(&not_now, &mut turns, &dice), None);
    for weights in [&not_now[..], &[]] {
        let one = [weights, &[1e-300]].concat();
        let last = Some(weights.len());
        assert_eq!(wheel.next(&one), last);
        assert_eq!(turns.next(&one), last);
        assert_eq!(draw(&one, &dice), last);
        assert_eq!(draw_in_turn(&one, &mut turns, &dice), last);
    }
}

#[test]
fn low_weights_win_too() {
    let chosen = turn(&mut Wheel::new(2), &[0.99, 0.01], 10_000);
    assert_eq!(counts(&chosen), [9_900, 100]);
    for hundred in chosen.chunks(100) {
        assert_eq!(counts(hundred), [99, 1]);
    }
    // As far apart as can be told: the light one has its first turn, and no more.
    let chosen = turn(&mut Wheel::new(2), &[f64::MAX, 1e-9], 10_000);
    assert_eq!(counts(&chosen), [10_000, 0]);
}

#[test]
fn nobody_catches_up_on_what_was_missed() {
    let mut wheel = Wheel::new(3);
    let chosen = turn(&mut wheel, &[6.0, 3.0, 1.0], 1_003);
    assert_eq!(counts(&chosen[..1_000]), [600, 300, 100]);
    let others = turn(&mut wheel, &[0.0, 3.0, 1.0], 4_000);
    assert_eq!(counts(&others), [0, 3_000, 1_000]);
    let back = turn(&mut wheel, &[6.0, 3.0, 1.0], 1_000);
    for ten in back.chunks(10) {
        assert_eq!(counts(ten), [6, 3, 1]);
    }
}

#[test]
fn light_members_share_evenly_as_soon_as_a_heavy_one_leaves() {
    for head in 0..102 {
        let mut wheel = Wheel::new(3);
        turn(&mut wheel, &[100.0, 1.0, 1.0], head);
        let chosen = turn(&mut wheel, &[0.0, 1.0, 1.0], 20);
        let [none, first, second] = counts(&chosen);
        assert_eq!((none, first.abs_diff(second)), (0, 0), "after {head}");
    }
}

#[test]
fn who_comes_and_goes_is_not_forgotten() {
    let mut wheel = Wheel::new(3);
    let mut chosen = Vec::new();
    for _ in 0..3_000 {
        chosen.extend(turn(&mut wheel, &[1.0, 1.0, 1.0], 1));
        chosen.extend(turn(&mut wheel, &[0.0, 1.0, 1.0], 1));
    }
    // A third of the calls that it was there for.
    let [flapping, first, second] = counts(&chosen);
    assert!(flapping.abs_diff(1_000) <= 1, "{flapping}");
    assert!(first.abs_diff(second) <= 1, "{first} {second}");
}

#[test]
fn turns_are_strict_and_pass_over_who_is_not_there() {
    let mut turns = Turns::new(3);
    let mut go = |weights: [f64; 3], times| {
        let turn = |_| turns.next(&weights).expect("somebody is there");
        (0..times).map(turn).collect::<Vec<_>>()
    };
    assert_eq!(go([9.0, 0.1, 1.0], 5), [0, 1, 2, 0, 1]);
    assert_eq!(go([9.0, 0.0, 1.0], 4), [2, 0, 2, 0]);
    assert_eq!(go([9.0, 0.1, 1.0], 4), [1, 2, 0, 1]);
}

#[test]
fn chance_gives_each_its_share() {
    let (weights, dice) = ([6.0, 3.0, 0.0, 1.0], Dice::seeded(5));
    let chosen: Vec<_> = (0..10_000).filter_map(|_| draw(&weights, &dice)).collect();
    let [first, second, none, last] = counts(&chosen);
    assert_eq!((none, first + second + last), (0, 10_000));
    assert!(first.abs_diff(6_000) < 150, "{first}");
    assert!(second.abs_diff(3_000) < 150, "{second}");
    assert!(last.abs_diff(1_000) < 100, "{last}");
}

#[test]
fn groups_are_drawn_by_weight_times_size_and_take_turns_inside() {
    let (weights, dice, mut turns) = ([2.0, 1.0, 2.0, 1.0, 2.0], Dice::seeded(3), Turns::new(5));
    let next = |_| draw_in_turn(&weights, &mut turns, &dice);
    let chosen: Vec<usize> = (0..10_000).filter_map(next).collect();
    let heavy: Vec<usize> = chosen.iter().copied().filter(|key| key % 2 == 0).collect();
    let light: Vec<usize> = chosen.iter().copied().filter(|key| key % 2 == 1).collect();
    // 2 × 3 to 1 × 2.
    assert!(heavy.len().abs_diff(7_500) < 150, "{}", heavy.len());
    assert_eq!(heavy.len() + light.len(), 10_000);
    assert!(heavy.chunks_exact(3).all(|three| three == [0, 2, 4]));
    assert!(light.chunks_exact(2).all(|two| two == [1, 3]));
}

proptest! {
    #[test]
    fn any_window_holds_exact_shares(
        weights in prop::collection::vec(0_u32..12, 1..7).prop_filter("somebody", |all| all.iter().any(|weight| *weight != 0)),
        head in 0_usize..200,
    ) {
        let as_given: Vec<f64> = weights.iter().copied().map(f64::from).collect();
        let mut wheel = Wheel::new(weights.len());
        turn(&mut wheel, &as_given, head);
        let total: u32 = weights.iter().sum();
        let chosen = turn(&mut wheel, &as_given, total as usize);
        let shares = counts::<6>(&chosen);
        for (weight, share) in weights.iter().zip(shares) {
            prop_assert_eq!(*weight as usize, share);
        }
    }

    #[test]
    fn whoever_comes_and_goes_all_have_their_share_of_the_calls_they_were_there_for(
        calls in prop::collection::vec(prop::collection::vec(prop_oneof![Just(0.0), 0.01_f64..10.0], 5), 1..300),
    ) {
        let mut wheel = Wheel::new(5);
        let mut owed = [0.0_f64; 5];
        for weights in &calls {
            let total: f64 = weights.iter().sum();
            let Some(chosen) = wheel.next(weights) else {
                prop_assert!(total == 0.0);
                continue;
            };
            prop_assert!(0.0 < weights[chosen]);
            for (owed, weight) in owed.iter_mut().zip(weights) {
                *owed += weight / total;
            }
            owed[chosen] -= 1.0;
            prop_assert!(owed.iter().all(|owed| owed.abs() < 2.5), "{owed:?}");
        }
    }

    #[test]
    fn a_change_costs_nobody_more_than_one_turn(
        weights in prop::collection::vec(1_u32..12, 4),
        calls in prop::collection::vec(prop::collection::vec(prop::bool::ANY, 4), 0..60),
    ) {
        let mut wheel = Wheel::new(4);
        for there in &calls {
            let now: Vec<f64> = weights.iter().zip(there).map(|(weight, is)| if *is { f64::from(*weight) } else { 0.0 }).collect();
            wheel.next(&now);
        }
        let as_given: Vec<f64> = weights.iter().copied().map(f64::from).collect();
        let total: u32 = weights.iter().sum();
        let mut all = Vec::new();
        for windows in 1..4 {
            all.extend(turn(&mut wheel, &as_given, total as usize));
            for (weight, count) in weights.iter().zip(counts::<4>(&all)) {
                prop_assert!((*weight as usize * windows).abs_diff(count) <= 1, "{weight} {windows} {count}");
            }
        }
    }
}
