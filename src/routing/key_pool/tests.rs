use std::array;
use std::sync::Arc;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::clock::Clock;

const SELECTIONS: [KeySelection; 4] = [
    KeySelection::Smooth,
    KeySelection::WeightedRoundRobin,
    KeySelection::RoundRobin,
    KeySelection::Weighted,
];

const NOT_TOLD: KeyTrouble = KeyTrouble::RateLimited { retry_after: None };

fn told(retry_after: Duration) -> KeyTrouble {
    KeyTrouble::RateLimited {
        retry_after: Some(retry_after),
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A pool of `N` keys in time that a test lets pass.
struct Bench<const N: usize> {
    pool: KeyPool,
    clock: Clock,
    dice: Dice,
}

impl<const N: usize> Bench<N> {
    fn new(selection: KeySelection, keys: [(f64, u32); N]) -> Self {
        let spec = |(weight, max_rps)| KeySpec {
            name: format!("{weight} at {max_rps}"),
            weight,
            max_rps,
        };
        Self {
            pool: KeyPool::new(keys.map(spec).into(), selection),
            clock: Clock::manual(0),
            dice: Dice::seeded(11),
        }
    }

    fn smooth(keys: [(f64, u32); N]) -> Self {
        Self::new(KeySelection::Smooth, keys)
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn pick(&self, tried: &[usize], may_cool: bool) -> Pick {
        self.pool.pick(self.now(), &self.dice, tried, may_cool)
    }

    /// How often each key is given, with so much time between two picks.
    fn counts(&self, picks: usize, step: Duration) -> [usize; N] {
        let mut counts = [0; N];
        for _ in 0..picks {
            if let Pick::Key(key) = self.pick(&[], false) {
                counts[key] += 1;
            }
            self.clock.advance(step);
        }
        counts
    }

    fn cools(&self, key: usize, why: KeyTrouble) -> Duration {
        self.pool.cools(key, why, self.now()) - self.now()
    }

    fn succeeded(&self, key: usize) {
        self.pool.succeeded(key, self.now());
    }

    fn states(&self) -> [KeyState; N] {
        let states = self.pool.states(self.now());
        states.try_into().expect("one a key")
    }

    fn failures(&self) -> [u32; N] {
        self.states().map(|state| state.failures)
    }

    fn cooling(&self) -> [Option<(Duration, KeyTrouble)>; N] {
        self.states().map(|state| state.cooling)
    }
}

#[test]
fn each_selection_gives_the_shares_it_says() {
    for selection in SELECTIONS {
        let bench = Bench::new(selection, [(6.0, 0), (3.0, 0), (1.0, 0), (0.0, 0)]);
        let counts = bench.counts(10_000, ms(1));
        let (expected, slack) = match selection {
            KeySelection::Smooth => ([6_000, 3_000, 1_000, 0], 0),
            KeySelection::RoundRobin => ([3_334, 3_333, 3_333, 0], 0),
            KeySelection::WeightedRoundRobin | KeySelection::Weighted => {
                ([6_000, 3_000, 1_000, 0], 150)
            }
        };
        let is_near = |(count, share): (usize, usize)| count.abs_diff(share) <= slack;
        assert!(
            counts.into_iter().zip(expected).all(is_near),
            "{selection:?}: {counts:?}"
        );
        assert_eq!(counts.iter().sum::<usize>(), 10_000);
        let picks = bench.states().map(|state| state.picks as usize);
        assert_eq!(picks, counts);
    }
}

#[test]
fn a_benched_key_has_nothing_and_then_its_share_at_once() {
    for selection in SELECTIONS {
        let bench = Bench::new(selection, [(2.0, 0), (2.0, 0), (2.0, 0)]);
        bench.counts(100, ms(1));
        assert_eq!(bench.cools(1, told(s(7))), s(7));
        let [first, benched, last] = bench.counts(7_000, ms(1));
        assert_eq!((benched, first + last), (0, 7_000), "{selection:?}");
        // Exactly at its time it is back: no burst, no slow start.
        for _ in 0..3 {
            let [first, back, last] = bench.counts(3_000, ms(1));
            let slack = if selection == KeySelection::Weighted {
                120
            } else {
                1
            };
            for count in [first, back, last] {
                assert!(count.abs_diff(1_000) <= slack, "{selection:?}: {count}");
            }
        }
    }
}

#[test]
fn benched_smooth_shares_stay_exact_among_the_others() {
    let bench = Bench::smooth([(5.0, 0), (3.0, 0), (2.0, 0)]);
    assert_eq!(bench.counts(1_000, ms(1)), [500, 300, 200]);
    bench.cools(0, told(s(5)));
    assert_eq!(bench.counts(5_000, ms(1)), [0, 3_000, 2_000]);
    assert_eq!(bench.counts(1_000, ms(1)), [500, 300, 200]);
}

#[test]
fn each_failure_after_a_cool_down_doubles_the_next_and_a_success_clears() {
    let cases = [
        (NOT_TOLD, [1, 2, 4, 8, 16, 32, 60, 60]),
        (told(Duration::ZERO), [1, 2, 4, 8, 16, 32, 60, 60]),
        (KeyTrouble::Refused, [30, 60, 120, 240, 480, 600, 600, 600]),
        (told(s(7)), [7; 8]),
        (told(s(86_400)), [3_600; 8]),
        (told(Duration::MAX), [3_600; 8]),
    ];
    for (why, expected) in cases {
        let bench = Bench::smooth([(1.0, 0), (1.0, 0)]);
        for (seconds, row) in expected.into_iter().zip(1..) {
            assert_eq!(bench.cools(0, why), s(seconds), "{why:?} {row}");
            assert_eq!(bench.failures(), [row, 0]);
            bench.clock.advance(s(seconds));
        }
        bench.succeeded(0);
        assert_eq!(bench.failures(), [0, 0]);
        assert_eq!(bench.cools(0, why), s(expected[0]), "{why:?}");
    }
}

#[test]
fn many_failures_at_once_are_one() {
    let bench = Bench::smooth([(1.0, 0), (1.0, 0)]);
    for late in 0..50 {
        // Each tells that the key is still over its rate.
        assert_eq!(bench.cools(0, NOT_TOLD), s(1), "{late}");
        bench.clock.advance(ms(10));
    }
    assert_eq!(bench.failures(), [1, 0]);
    // So is a success that was under way before: it ends nothing.
    bench.succeeded(0);
    assert_eq!(bench.failures(), [1, 0]);
    assert_eq!(bench.cooling(), [Some((ms(990), NOT_TOLD)), None]);
    bench.clock.advance(ms(990));
    assert_eq!(bench.cools(0, NOT_TOLD), s(2));
}

#[test]
fn a_cool_down_is_never_shortened() {
    let bench = Bench::smooth([(1.0, 0), (1.0, 0)]);
    assert_eq!(bench.cools(0, told(s(20))), s(20));
    assert_eq!(bench.cools(0, NOT_TOLD), s(20));
    assert_eq!(bench.cools(0, told(s(3))), s(20));
    assert_eq!(bench.cooling()[0], Some((s(20), told(s(20)))));
    assert_eq!(bench.cools(0, KeyTrouble::Refused), s(30));
    assert_eq!(bench.cooling()[0], Some((s(30), KeyTrouble::Refused)));
}

#[test]
fn another_instance_is_believed_within_bounds() {
    let bench = Bench::smooth([(1.0, 0), (1.0, 0)]);
    let tell = |key, time| {
        let until = bench.now() + time;
        bench.pool.cools_until(key, until, NOT_TOLD, bench.now());
    };
    tell(0, s(5));
    tell(0, s(2));
    tell(1, s(1_000_000));
    tell(9, s(5));
    let cooling = bench.cooling().map(|cooling| cooling.map(|(left, _)| left));
    assert_eq!(cooling, [Some(s(5)), Some(s(3_600))]);
    assert_eq!(bench.failures(), [0, 0]);
    bench.clock.advance(s(5));
    assert_eq!(bench.pick(&[], false), Pick::Key(0));
    // What is over already is nothing.
    tell(0, Duration::ZERO);
    assert_eq!(bench.pick(&[], false), Pick::Key(0));
    // One of our own failures while it cools down for others begins the row.
    assert_eq!(bench.cools(1, NOT_TOLD), s(3_595));
    assert_eq!(bench.failures(), [0, 1]);
}

#[test]
fn the_main_key_is_the_first_that_may_be_given() {
    let bench = Bench::new(KeySelection::Smooth, [(0.0, 0), (1.0, 2), (1.0, 1)]);
    let main = || bench.pool.main(bench.now());
    let full = Pick::Busy {
        until: bench.now() + s(1),
    };
    assert_eq!(
        [main(), main(), main(), main()],
        [Pick::Key(1), Pick::Key(1), Pick::Key(2), full],
        "no key without a weight, none beyond its limit"
    );
    bench.clock.advance(s(1));
    bench.pool.cools(1, told(s(9)), bench.now());
    assert_eq!((main(), main()), (Pick::Key(2), Pick::Key(1)));
    let unused = Bench::new(KeySelection::Smooth, [(0.0, 0)]);
    assert_eq!(unused.pool.main(unused.now()), Pick::Tried);
}

#[test]
fn what_was_tried_is_not_given_again() {
    for selection in SELECTIONS {
        let bench = Bench::new(selection, [(1.0, 0), (1.0, 0), (0.0, 0)]);
        for _ in 0..20 {
            assert_eq!(bench.pick(&[0], false), Pick::Key(1), "{selection:?}");
            assert_eq!(bench.pick(&[1, 1, 7], true), Pick::Key(0), "{selection:?}");
        }
        bench.cools(0, NOT_TOLD);
        for may_cool in [false, true] {
            assert_eq!(bench.pick(&[1, 0], may_cool), Pick::Tried);
        }
    }
    let empty: Bench<0> = Bench::smooth([]);
    assert_eq!(empty.pick(&[], true), Pick::Tried);
    assert_eq!(empty.cools(0, NOT_TOLD), Duration::ZERO);
}

#[test]
fn the_last_candidate_has_the_key_that_is_ready_soonest() {
    let bench = Bench::smooth([(5.0, 0), (1.0, 0), (1.0, 1)]);
    let start = bench.now();
    for (key, seconds) in [(0, 9), (1, 4), (2, 2)] {
        bench.cools(key, told(s(seconds)));
    }
    let until = |seconds| start + s(seconds);
    assert_eq!(bench.pick(&[], false), Pick::Cooling { until: until(2) });
    assert_eq!(bench.pick(&[2], false), Pick::Cooling { until: until(4) });
    assert_eq!(bench.pick(&[], true), Pick::Key(2));
    // Its limit holds even so, and the next one goes on.
    assert_eq!(bench.pick(&[], true), Pick::Key(1));
    assert_eq!(bench.pick(&[0, 1], true), Pick::Busy { until: until(1) });
    // One that is ready goes before all of them.
    bench.clock.advance(s(4));
    assert_eq!(bench.pick(&[2], true), Pick::Key(1));
}

#[test]
fn who_waits_is_told_for_what() {
    let bench = Bench::smooth([(1.0, 1), (1.0, 1)]);
    let start = bench.now();
    assert_eq!(bench.counts(2, ms(100)), [1, 1]);
    let until = start + s(1);
    assert_eq!(bench.pick(&[], false), Pick::Busy { until });
    bench.cools(0, told(s(5)));
    let until = start + ms(1_100);
    assert_eq!(bench.pick(&[], false), Pick::Busy { until });
    bench.cools(1, told(ms(300)));
    // Cools down until 0.5 s, busy until 1.1 s: ready at the later one.
    assert_eq!(bench.pick(&[], false), Pick::Cooling { until });
    bench.clock.advance(ms(899));
    assert_eq!(bench.pick(&[], false), Pick::Busy { until });
    bench.clock.advance(ms(1));
    assert_eq!(bench.pick(&[], false), Pick::Key(1));
}

#[test]
fn no_second_holds_more_than_the_limit() {
    for (selection, limit) in [(KeySelection::Smooth, 7), (KeySelection::Weighted, 1)] {
        let bench = Bench::new(selection, [(3.0, limit), (1.0, 0)]);
        let (mut given, mut free) = (Vec::new(), 0);
        // A minute at some 200 requests a second, which come in bunches.
        for _ in 0..12_000 {
            match bench.pick(&[], false) {
                Pick::Key(0) => given.push(bench.now()),
                other => {
                    assert_eq!(other, Pick::Key(1));
                    free += 1;
                }
            }
            let pause = [0, 0, 1, 0, 29].get(bench.dice.roll(5) as usize).copied();
            bench.clock.advance(ms(pause.unwrap_or_default()));
        }
        let limit = limit as usize;
        let within = given.windows(limit + 1).map(|few| few[limit] - few[0]);
        assert!(within.min().is_some_and(|shortest| s(1) <= shortest));
        // Nor is it held below the limit.
        let seconds = (bench.now() - given[0]).as_secs() as usize;
        assert!(limit * seconds * 9 / 10 <= given.len(), "{}", given.len());
        assert_eq!(given.len() + free, 12_000);
    }
}

#[test]
fn time_that_stands_or_goes_back_lets_nothing_through() {
    let bench = Bench::smooth([(1.0, 3)]);
    assert_eq!(bench.counts(100, Duration::ZERO), [3]);
    let late = bench.now();
    bench.clock.advance(s(1));
    let start = bench.now();
    assert_eq!(bench.pick(&[], false), Pick::Key(0));
    // A thread that looked at its clock a second before the others, and comes last.
    let pick = |at| bench.pool.pick(at, &bench.dice, &[], false);
    assert_eq!((pick(late), pick(late)), (Pick::Key(0), Pick::Key(0)));
    let until = start + s(1);
    assert_eq!(pick(late), Pick::Busy { until });
    assert_eq!(pick(start + ms(999)), Pick::Busy { until });
    assert_eq!(pick(start + s(1_000_000)), Pick::Key(0));
}

#[test]
fn one_key_takes_no_lock_until_there_is_trouble() {
    let bench = Bench::smooth([(1.0, 0)]);
    let held = bench.pool.lock();
    assert_eq!(bench.counts(1_000, ms(1)), [1_000]);
    assert_eq!(bench.pick(&[0], true), Pick::Tried);
    bench.succeeded(0);
    drop(held);
    bench.cools(0, NOT_TOLD);
    let until = bench.now() + s(1);
    assert_eq!(bench.pick(&[], false), Pick::Cooling { until });
    assert_eq!(bench.pick(&[], true), Pick::Key(0));
    bench.clock.advance(s(1));
    assert_eq!(bench.pick(&[], false), Pick::Key(0));
    bench.succeeded(0);
    let _held = bench.pool.lock();
    assert_eq!(bench.pick(&[], false), Pick::Key(0));
    bench.succeeded(0);
}

#[test]
fn one_key_heeds_its_weight_and_another_instance() {
    let parked = Bench::smooth([(0.0, 0)]);
    assert_eq!(parked.pick(&[], true), Pick::Tried);
    let bench = Bench::smooth([(1.0, 0)]);
    let until = bench.now();
    bench.pool.cools_until(0, until, NOT_TOLD, bench.now());
    let held = bench.pool.lock();
    assert_eq!(bench.pick(&[], false), Pick::Key(0));
    drop(held);
    let until = bench.now() + s(5);
    bench.pool.cools_until(0, until, NOT_TOLD, bench.now());
    assert_eq!(bench.pick(&[], false), Pick::Cooling { until });
}

#[test]
fn threads_that_pick_at_once_share_exactly() {
    let bench = Arc::new(Bench::smooth([(5.0, 0), (2.0, 0), (1.0, 0)]));
    let picking = |_| {
        let bench = Arc::clone(&bench);
        thread::spawn(move || bench.counts(1_000, Duration::ZERO))
    };
    let threads: [_; 8] = array::from_fn(picking);
    let counts = threads.map(|thread| thread.join().expect("counts"));
    let sum = |key: usize| counts.iter().map(|counts| counts[key]).sum::<usize>();
    assert_eq!([sum(0), sum(1), sum(2)], [5_000, 2_000, 1_000]);
    let picks = bench.states().map(|state| state.picks);
    assert_eq!(picks, [5_000, 2_000, 1_000]);
}

#[test]
fn threads_do_not_get_past_a_limit() {
    let bench = Arc::new(Bench::smooth([(5.0, 40), (2.0, 2)]));
    let picking = |_| {
        let bench = Arc::clone(&bench);
        thread::spawn(move || bench.counts(100, Duration::ZERO))
    };
    let threads: [_; 8] = array::from_fn(picking);
    let counts = threads.map(|thread| thread.join().expect("counts"));
    let sum = |key: usize| counts.iter().map(|counts| counts[key]).sum::<usize>();
    assert_eq!([sum(0), sum(1)], [40, 2]);
}

#[test]
fn a_state_says_what_is_configured() {
    let bench = Bench::smooth([(2.5, 7)]);
    let expected = KeyState {
        name: "2.5 at 7".to_owned(),
        weight: 2.5,
        max_rps: 7,
        cooling: None,
        busy: None,
        failures: 0,
        picks: 0,
    };
    assert_eq!(bench.states(), [expected]);
}

/// What may happen to a pool of three keys.
#[derive(Debug, Clone)]
enum Step {
    Pick { tried: Vec<usize>, may_cool: bool },
    Cools { key: usize, why: KeyTrouble },
    Succeeded { key: usize },
    Passes { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let why = prop_oneof![
        Just(NOT_TOLD),
        Just(KeyTrouble::Refused),
        (0_u64..5_000).prop_map(|time| told(ms(time))),
    ];
    prop_oneof![
        6 => (prop::collection::vec(0_usize..3, 0..3), prop::bool::ANY)
            .prop_map(|(tried, may_cool)| Step::Pick { tried, may_cool }),
        1 => (0_usize..3, why).prop_map(|(key, why)| Step::Cools { key, why }),
        1 => (0_usize..3).prop_map(|key| Step::Succeeded { key }),
        2 => (0_u64..900).prop_map(|ms| Step::Passes { ms }),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_no_rule_is_broken(
        steps in prop::collection::vec(step(), 0..200),
        selection in prop::sample::select(&SELECTIONS),
    ) {
        let limits = [0_usize, 2, 5];
        let bench = Bench::new(selection, [(3.0, 0), (1.0, 2), (1.0, 5)]);
        let (mut until, mut given) = ([None::<Instant>; 3], [const { Vec::<Instant>::new() }; 3]);
        for step in steps {
            let now = bench.now();
            let cools = until.map(|until| until.is_some_and(|until| now < until));
            let full = array::from_fn::<_, 3, _>(|key| {
                let recent = given[key].iter().filter(|at| now - **at < s(1)).count();
                limits[key] != 0 && limits[key] <= recent
            });
            match step {
                Step::Pick { tried, may_cool } => {
                    let left = |key: &usize| !tried.contains(key);
                    let ready = |key: &usize| left(key) && !full[*key] && !cools[*key];
                    let is_ready = (0..3).any(|key| ready(&key));
                    let may = |key: &usize| if is_ready { ready(key) } else { may_cool && left(key) && !full[*key] };
                    match bench.pick(&tried, may_cool) {
                        Pick::Key(key) => {
                            prop_assert!(may(&key));
                            given[key].push(now);
                        }
                        Pick::Cooling { until } => {
                            prop_assert!(now < until && !may_cool);
                            prop_assert!(!(0..3).any(|key| may(&key)));
                        }
                        Pick::Busy { until } => {
                            prop_assert!(now < until && until <= now + s(1));
                            prop_assert!(!(0..3).any(|key| may(&key)));
                        }
                        Pick::Tried => prop_assert!(!(0..3).any(|key| left(&key))),
                    }
                }
                Step::Cools { key, why } => {
                    let later = bench.pool.cools(key, why, now);
                    prop_assert!(until[key].is_none_or(|before| before <= later) && now < later);
                    until[key] = Some(later);
                }
                Step::Succeeded { key } => {
                    bench.succeeded(key);
                    prop_assert!(cools[key] || bench.failures()[key] == 0);
                }
                Step::Passes { ms: time } => bench.clock.advance(ms(time)),
            }
        }
        // Time alone heals.
        bench.clock.advance(s(3_600));
        prop_assert_eq!(bench.cooling(), [None; 3]);
        prop_assert_eq!(bench.pick(&[1, 2], false), Pick::Key(0));
        prop_assert_eq!(bench.pick(&[0, 2], false), Pick::Key(1));
    }
}
