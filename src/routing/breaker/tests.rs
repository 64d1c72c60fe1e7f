//! A breaker by the calls that are made and the seconds at which they are made.

use super::*;
use crate::clock::{Clock, Dice};

struct Case {
    breaker: Breaker,
    base: Instant,
}

impl Case {
    fn new() -> Self {
        Self {
            breaker: Breaker::new(BreakerSettings::default()),
            base: Clock::manual(0).now(),
        }
    }

    /// A breaker that five refusals one after the other have opened, until second 10.
    fn opened() -> Self {
        let case = Self::new();
        (0..5).for_each(|_| case.refused(0.0));
        case
    }

    fn at(&self, seconds: f64) -> Instant {
        self.base + Duration::from_secs_f64(seconds)
    }

    /// An attempt that is refused at once.
    fn refused(&self, seconds: f64) {
        self.breaker.failed(self.at(seconds), self.at(seconds));
    }

    fn allows(&self, seconds: f64) -> Allowed {
        self.breaker.allows(self.at(seconds))
    }

    fn no_until(&self, seconds: f64) -> Allowed {
        let until = self.at(seconds);
        Allowed::No { until }
    }
}

#[test]
fn five_failures_in_a_row_open_it() {
    let case = Case::new();
    for _ in 0..4 {
        case.refused(1.0);
        assert_eq!(case.allows(1.0), Allowed::Yes);
    }
    case.breaker.succeeded(case.at(1.0));
    (0..4).for_each(|_| case.refused(2.0));
    assert_eq!(case.allows(2.0), Allowed::Yes, "a success resets");
    case.refused(2.0);
    assert_eq!(case.allows(2.0), case.no_until(12.0));
    assert_eq!(case.allows(11.9), case.no_until(12.0));
}

#[test]
fn one_probe_at_a_time_and_its_success_closes() {
    let case = Case::opened();
    assert_eq!(case.allows(10.0), Allowed::Probe);
    assert_eq!(case.allows(10.0), case.no_until(20.0));
    case.breaker.succeeded(case.at(10.0));
    assert_eq!(case.allows(10.5), Allowed::Yes);
    assert_eq!(case.breaker.state(case.at(10.5)), BreakerState::Closed);
}

#[test]
fn failed_probes_double_the_time_up_to_a_minute() {
    let case = Case::opened();
    let mut second = 10.0;
    for length in [20.0, 40.0, 60.0, 60.0] {
        assert_eq!(case.allows(second), Allowed::Probe);
        case.refused(second);
        second += length;
        assert_eq!(case.allows(second - 0.1), case.no_until(second));
    }
    assert_eq!(case.allows(second), Allowed::Probe);
    case.breaker.succeeded(case.at(second));
    (0..5).for_each(|_| case.refused(second));
    let first = case.no_until(second + 10.0);
    assert_eq!(case.allows(second), first, "closed means short again");
}

#[test]
fn a_probe_that_says_nothing_frees_its_place() {
    let case = Case::opened();
    assert_eq!(case.allows(10.0), Allowed::Probe);
    assert_eq!(case.allows(19.9), case.no_until(20.0));
    assert_eq!(case.allows(20.0), Allowed::Probe, "never reported back");
    case.breaker.gave_up(case.at(20.0));
    assert_eq!(case.allows(20.1), Allowed::Probe, "gave up");
}

#[test]
fn attempts_from_before_the_opening_decide_nothing() {
    let case = Case::opened();
    let probe = || {
        assert_eq!(case.allows(10.0), Allowed::Probe);
    };
    probe();
    case.breaker.failed(case.at(0.0), case.at(11.0));
    case.breaker.succeeded(case.at(9.0));
    case.breaker.overloaded(case.at(9.0), case.at(11.0), None);
    case.breaker.gave_up(case.at(9.0));
    assert_eq!(case.allows(11.0), case.no_until(20.0));
    case.breaker.failed(case.at(10.0), case.at(11.0));
    assert_eq!(case.allows(12.0), case.no_until(31.0), "its own does");
    case.breaker.succeeded(case.at(12.0));
    assert_eq!(
        case.allows(12.0),
        case.no_until(31.0),
        "only a probe closes"
    );
}

#[test]
fn a_status_of_500_never_opens_it_and_closes_it_as_a_probe() {
    let case = Case::opened();
    assert_eq!(case.allows(10.0), Allowed::Probe);
    case.breaker.overloaded(case.at(10.0), case.at(10.0), None);
    assert_eq!(case.allows(10.0), Allowed::Yes);
    for _ in 0..100 {
        case.breaker.overloaded(case.at(11.0), case.at(11.0), None);
    }
    assert_eq!(case.allows(11.0), Allowed::Yes);
}

#[test]
fn cooling_down() {
    let wait = |seconds| Some(Duration::from_secs(seconds));
    type Row<'a> = (&'a str, &'a [Option<Duration>], Option<f64>);
    let rows: [Row<'_>; 7] = [
        ("two in a row are chance", &[None, None], None),
        ("three are not", &[None, None, None], Some(10.0)),
        ("as long as it says", &[wait(7)], Some(7.0)),
        ("a minute at most", &[wait(3_600)], Some(60.0)),
        ("the longest wait counts", &[wait(30), wait(1)], Some(30.0)),
        ("no wait at all", &[wait(0)], None),
        ("short but in a row", &[None, None, wait(2)], Some(10.0)),
    ];
    for (name, answers, expected) in rows {
        let case = Case::new();
        for retry_after in answers {
            case.breaker
                .overloaded(case.at(0.0), case.at(0.0), *retry_after);
        }
        let until = expected.map(|seconds| case.at(seconds));
        assert_eq!(case.breaker.cooling_until(case.at(0.0)), until, "{name}");
        if let Some(until) = until {
            assert_eq!(case.breaker.cooling_until(until), None, "{name}");
        }
    }
}

#[test]
fn a_good_answer_ends_the_cooling_down() {
    let case = Case::new();
    let cooling = |seconds| case.breaker.cooling_until(case.at(seconds));
    (0..3).for_each(|_| case.breaker.overloaded(case.at(1.0), case.at(2.0), None));
    case.breaker.succeeded(case.at(1.5));
    assert!(cooling(3.0).is_some(), "an answer to an older attempt");
    case.breaker.succeeded(case.at(3.0));
    assert_eq!(cooling(3.0), None);
    (0..2).for_each(|_| case.breaker.overloaded(case.at(4.0), case.at(4.0), None));
    assert_eq!(cooling(4.0), None, "the count begins anew");
}

#[test]
fn after_its_time_one_more_overload_cools_again() {
    let case = Case::new();
    (0..3).for_each(|_| case.breaker.overloaded(case.at(0.0), case.at(0.0), None));
    case.breaker.overloaded(case.at(11.0), case.at(11.0), None);
    let until = case.breaker.cooling_until(case.at(11.0));
    assert_eq!(until, Some(case.at(21.0)));
}

/// A process that stood still for a minute: hundreds of attempts find their limit passed at the same moment.
#[test]
fn time_that_jumps_opens_nothing() {
    let case = Case::new();
    for attempt in 0..200_u32 {
        let started = case.at(f64::from(attempt) / 100.0);
        let noticed = case.at(62.0 + f64::from(attempt) / 1_000.0);
        case.breaker.failed(started, noticed);
    }
    assert_eq!(case.allows(62.2), Allowed::Yes);
    case.breaker.succeeded(case.at(62.2));
    assert_eq!(case.breaker.state(case.at(62.3)), BreakerState::Closed);
}

/// A target that takes connections and never answers, with attempts all the time that are given up after ten seconds.
#[test]
fn silence_opens_it_soon_after_the_first_limit() {
    let case = Case::new();
    let opened = (0..200_u32).find_map(|attempt| {
        let started = f64::from(attempt) / 10.0;
        case.breaker
            .failed(case.at(started), case.at(started + 10.0));
        let state = case.breaker.state(case.at(started + 10.0));
        (state != BreakerState::Closed).then_some(started + 10.0)
    });
    let opened = opened.expect("it opens");
    assert!((10.5..12.0).contains(&opened), "{opened}");
}

/// Reachable for two seconds, not for two, and so on, with ten attempts a second.
#[test]
fn a_flapping_target_costs_few_attempts() {
    let case = Case::new();
    let (mut lost, mut served) = (0, 0);
    for step in 0..6_000_u32 {
        let second = f64::from(step) / 10.0;
        if matches!(case.allows(second), Allowed::No { .. }) {
            continue;
        }
        if (step / 20) % 2 == 0 {
            case.breaker.succeeded(case.at(second));
            served += 1;
        } else {
            case.refused(second);
            lost += 1;
        }
    }
    assert!(lost < 400, "of 3000 attempts in bad time {lost} were made");
    assert!(
        served > 300,
        "of 3000 attempts in good time {served} were made"
    );
}

/// Shortest time that a probe has to report back.
const SHORTEST: Duration = Duration::from_secs(10);

/// Whatever happens in whatever order: never two probes within the time that a probe has, and never closed while open
/// without a probe's success.
#[test]
fn any_history_has_one_probe_at_a_time() {
    for seed in 0..50 {
        let (case, dice) = (Case::new(), Dice::seeded(seed));
        let (mut ms, mut on_the_way) = (0_u32, Vec::new());
        let (mut probe, mut first, mut probes) = (None, None, 0);
        for _ in 0..2_000 {
            ms += dice.roll(500);
            let now = case.at(f64::from(ms) / 1_000.0);
            let allowed = case.breaker.allows(now);
            match allowed {
                Allowed::No { until } => assert!(now < until, "seed {seed}"),
                Allowed::Yes => assert_eq!(first, None, "seed {seed}: closed by nobody"),
                Allowed::Probe => {
                    let is_free = probe.is_none_or(|since| since + SHORTEST <= now);
                    assert!(is_free, "seed {seed}: a second probe");
                    probe = Some(now);
                    first = first.or(probe);
                    probes += 1;
                }
            }
            if !matches!(allowed, Allowed::No { .. }) {
                on_the_way.push(now);
            }
            if dice.roll(3) == 0 && !on_the_way.is_empty() {
                let sides = u32::try_from(on_the_way.len()).expect("few");
                let started = on_the_way.swap_remove(dice.roll(sides) as usize);
                // Who speaks of the opening is whoever started since its first probe.
                let speaks = match dice.roll(8) {
                    0 => {
                        case.breaker.succeeded(started);
                        first.is_some_and(|first| first <= started)
                    }
                    1 => {
                        case.breaker.gave_up(started);
                        probe.is_some_and(|since: Instant| since <= started)
                    }
                    2 => continue, // Never heard of again.
                    _ => {
                        case.breaker.failed(started, now);
                        first.is_some_and(|first| first <= started)
                    }
                };
                if speaks {
                    (probe, first) = (None, None);
                }
            }
        }
        assert!(probes > 0, "seed {seed}: it never opened");
    }
}

#[test]
fn threads_share_one_probe() {
    let case = Case::opened();
    let probes = std::thread::scope(|scope| {
        let asks = || {
            (0..1_000)
                .filter(|_| case.allows(10.0) == Allowed::Probe)
                .count()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(asks)).collect();
        let counts = threads
            .into_iter()
            .map(|thread| thread.join().expect("done"));
        counts.sum::<usize>()
    });
    assert_eq!(probes, 1);
}

#[test]
fn what_is_shown() {
    let case = Case::opened();
    let state = |seconds| case.breaker.state(case.at(seconds));
    let until = case.at(10.0);
    assert_eq!(state(9.0), BreakerState::Open { until });
    assert_eq!(state(10.0), BreakerState::HalfOpen { is_probing: false });
    assert_eq!(case.allows(10.0), Allowed::Probe);
    assert_eq!(state(11.0), BreakerState::HalfOpen { is_probing: true });
    assert_eq!(state(20.0), BreakerState::HalfOpen { is_probing: false });
    assert_eq!(Case::new().breaker.state(until), BreakerState::Closed);
}

#[test]
fn another_target_of_its_place_is_as_open_as_it_is() {
    let case = Case::opened();
    let other = case.breaker.like();
    assert_eq!(other.allows(case.at(9.0)), case.no_until(10.0));
    assert_eq!(case.allows(10.0), Allowed::Probe);
    // Each has a probe of its own.
    let other = case.breaker.like();
    assert_eq!(other.allows(case.at(20.0)), Allowed::Probe);
    other.succeeded(case.at(20.0));
    assert_eq!(other.allows(case.at(20.0)), Allowed::Yes);
    // Failures count on, statuses are its own.
    let case = Case::new();
    (0..4).for_each(|_| case.refused(0.0));
    case.breaker
        .overloaded(case.at(0.0), case.at(0.0), Some(Duration::from_secs(9)));
    let other = case.breaker.like();
    assert_eq!(other.cooling_until(case.at(1.0)), None);
    let case = Case::new();
    (0..4).for_each(|_| case.refused(0.0));
    let other = case.breaker.like();
    other.failed(case.at(1.0), case.at(1.0));
    assert_eq!(other.allows(case.at(2.0)), case.no_until(11.0));
}

#[test]
fn another_instances_word_makes_it_cool_and_nothing_more() {
    let case = Case::new();
    let (now, until) = (case.at(1.0), case.at(9.0));
    case.breaker.cools_until(until, now);
    assert_eq!(case.allows(2.0), Allowed::Yes);
    assert_eq!(case.breaker.cooling_until(now), Some(until));
    assert_eq!(case.breaker.rests_until(now), Some(until));
    // Neither one that has passed nor a sooner one changes it, and it is bounded.
    case.breaker.cools_until(case.at(0.5), now);
    case.breaker.cools_until(case.at(5.0), now);
    assert_eq!(case.breaker.cooling_until(now), Some(until));
    assert_eq!(case.breaker.cooling_until(until), None);
    case.breaker.cools_until(case.at(9_000.0), now);
    assert_eq!(case.breaker.cooling_until(now), Some(case.at(61.0)));
}

#[test]
fn what_started_after_another_instances_word_disproves_it() {
    let case = Case::new();
    case.breaker.cools_until(case.at(9.0), case.at(1.0));
    case.breaker.succeeded(case.at(0.5));
    assert_eq!(case.breaker.rests_until(case.at(2.0)), Some(case.at(9.0)));
    case.breaker.succeeded(case.at(1.5));
    assert_eq!(case.breaker.rests_until(case.at(2.0)), None);
}

#[test]
fn an_open_one_rests_until_its_probe() {
    let case = Case::opened();
    assert_eq!(case.breaker.rests_until(case.at(1.0)), Some(case.at(10.0)));
    assert_eq!(case.breaker.rests_until(case.at(10.0)), None);
}

#[test]
fn a_probe_that_takes_longer_than_its_place_still_closes() {
    let case = Case::opened();
    assert_eq!(case.allows(10.0), Allowed::Probe);
    // Its place is free after ten seconds, and the next one has it.
    assert_eq!(case.allows(20.0), Allowed::Probe);
    case.breaker.succeeded(case.at(10.0));
    assert_eq!(case.allows(25.0), Allowed::Yes);
    // The same for one that fails; one from before the opening still says nothing.
    let case = Case::opened();
    assert_eq!(case.allows(10.0), Allowed::Probe);
    assert_eq!(case.allows(20.0), Allowed::Probe);
    case.breaker.succeeded(case.at(0.0));
    assert_eq!(case.allows(21.0), case.no_until(30.0));
    case.breaker.failed(case.at(10.0), case.at(22.0));
    assert_eq!(case.allows(23.0), case.no_until(42.0));
}
