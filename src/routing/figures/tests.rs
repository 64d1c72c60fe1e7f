//! The figures of one target through simulated time.

use super::*;
use crate::clock::{Clock, Dice};

struct Case {
    figures: Figures,
    base: Instant,
}

impl Case {
    fn new() -> Self {
        let base = Clock::manual(0).now();
        let figures = Figures::new(base);
        Self { figures, base }
    }

    fn at(&self, seconds: f64) -> Instant {
        self.base + Duration::from_secs_f64(seconds)
    }

    fn answered(&self, seconds: f64, ms: u64) {
        let seen = Seen {
            first_token: Some(Duration::from_millis(ms / 2)),
            total: Some(Duration::from_millis(ms)),
            is_failure: false,
        };
        self.figures.observe(seen, self.at(seconds));
    }

    fn failed(&self, seconds: f64, ms: Option<u64>) {
        let seen = Seen {
            first_token: None,
            total: ms.map(Duration::from_millis),
            is_failure: true,
        };
        self.figures.observe(seen, self.at(seconds));
    }

    fn read(&self, seconds: f64) -> Reading {
        self.figures.read(self.at(seconds))
    }

    fn count(&self, seconds: f64) -> Count {
        self.figures.count(self.at(seconds))
    }

    fn total_ms(&self, seconds: f64) -> f64 {
        self.read(seconds).total_ms.expect("known")
    }

    fn error_rate(&self, seconds: f64) -> f64 {
        self.read(seconds).error_rate
    }
}

/// Within a hundredth.
#[track_caller]
fn near(got: f64, wanted: f64) {
    assert!(
        (got - wanted).abs() <= wanted.abs() * 0.01,
        "{got} is not {wanted}"
    );
}

#[test]
fn halved_is_a_power_of_two() {
    for hundredth in 0..12_600_u16 {
        let times = f32::from(hundredth) / 100.0;
        let (got, wanted) = (halved(times), (-times).exp2());
        assert!(
            (got / wanted - 1.0).abs() < 0.001,
            "{times}: {got} {wanted}"
        );
    }
    assert_eq!((halved(0.0), halved(-1.0)), (1.0, 1.0));
    assert!((0.0..1e-30).contains(&halved(1e9)));
}

#[test]
fn nothing_is_known_at_first() {
    assert_eq!(Case::new().read(5.0), Reading::default());
}

#[test]
fn up_at_once_down_by_half_in_ten_seconds() {
    let case = Case::new();
    case.answered(0.0, 1_000);
    near(case.total_ms(0.0), 1_000.0);
    case.answered(0.1, 9_000);
    near(case.total_ms(0.1), 9_000.0);
    near(case.read(0.1).first_token_ms.expect("known"), 4_500.0);
    for tenth in 2..=101 {
        case.answered(f64::from(tenth) / 10.0, 1_000);
    }
    near(case.total_ms(10.1), 5_000.0);
}

#[test]
fn how_many_answers_there_are_makes_no_difference_to_the_half_life() {
    for a_second in [1, 10, 1_000] {
        let case = Case::new();
        case.answered(0.0, 9_000);
        for answer in 1..=10 * a_second {
            case.answered(f64::from(answer) / f64::from(a_second), 1_000);
        }
        near(case.total_ms(10.0), 5_000.0);
    }
}

#[test]
fn without_answers_a_speed_fades_and_is_forgotten() {
    let case = Case::new();
    case.answered(0.0, 4_000);
    near(case.total_ms(4.0), 4_000.0);
    near(case.total_ms(14.0), 2_000.0);
    near(case.total_ms(63.9), 63.0);
    assert_eq!(case.read(64.1).total_ms, None);
    case.answered(100.0, 1_000);
    near(case.total_ms(100.0), 1_000.0);
}

#[test]
fn a_quick_refusal_is_no_quick_answer_but_a_slow_failure_is_slow() {
    let case = Case::new();
    case.failed(0.0, Some(5));
    assert_eq!(case.read(0.0).total_ms, None);
    case.answered(1.0, 1_000);
    case.failed(1.5, Some(5));
    near(case.total_ms(1.5), 1_000.0);
    case.failed(2.0, Some(30_000));
    near(case.total_ms(2.0), 30_000.0);
}

#[test]
fn the_error_rate_follows_what_happens() {
    for (percent, a_second) in [(1, 10), (5, 10), (50, 10), (20, 100), (50, 1), (100, 10)] {
        let (case, dice) = (Case::new(), Dice::seeded(3));
        let (mut sum, mut count) = (0.0, 0.0);
        for step in 0..300 * a_second {
            let second = f64::from(step) / f64::from(a_second);
            match dice.roll(100) < percent {
                true => case.failed(second, None),
                false => case.answered(second, 100),
            }
            if second > 100.0 {
                sum += case.error_rate(second);
                count += 1.0;
            }
        }
        let (mean, wanted) = (sum / count, f64::from(percent) / 100.0);
        let distance = (mean - wanted).abs();
        assert!(distance < 0.03, "{percent} % at {a_second}/s: {mean}");
    }
}

#[test]
fn one_failure_is_not_all_and_a_burst_is_seen() {
    let case = Case::new();
    case.failed(0.0, None);
    near(case.error_rate(0.0), 1.0 / 3.0);
    (0..100).for_each(|_| case.failed(1.0, None));
    assert!(case.error_rate(1.0) > 0.7, "{}", case.error_rate(1.0));
}

#[test]
fn failures_are_forgotten_with_and_without_traffic() {
    let bad = || {
        let case = Case::new();
        (0..600).for_each(|tenth| case.failed(f64::from(tenth) / 10.0, None));
        assert!(case.error_rate(60.0) > 0.95);
        case
    };
    let silent = bad();
    assert!((0.5..0.8).contains(&silent.error_rate(95.0)));
    assert!(silent.error_rate(200.0) < 0.1);
    assert_eq!(silent.error_rate(400.0), 0.0);
    let busy = bad();
    (600..1_200).for_each(|tenth| busy.answered(f64::from(tenth) / 10.0, 100));
    assert!(busy.error_rate(120.0) < 0.1, "{}", busy.error_rate(120.0));
}

#[test]
fn counts() {
    let case = Case::new();
    case.figures.starts(case.at(0.0));
    case.figures.starts(case.at(0.5));
    case.figures.ends();
    case.answered(1.0, 100);
    case.failed(2.0, None);
    let (reading, count) = (case.read(5.0), case.count(5.0));
    assert_eq!(
        (reading.in_flight, count.requests, count.failures),
        (1, 2, 1)
    );
    assert_eq!(count.last_seen_ago, Some(Duration::from_secs(3)));
    case.figures.ends();
    case.figures.ends();
    assert_eq!(case.read(5.0).in_flight, 0, "never below");
    let summary = case.figures.summary(case.at(5.0));
    assert_eq!(summary.total_requests_1m, 2);
    assert_eq!(summary.average_ms, Some(100.0));
}

#[test]
fn waiting_is_since_an_answer_or_since_there_was_nothing_to_wait_for() {
    let case = Case::new();
    let waiting = |seconds| case.read(seconds).waiting.as_secs_f64();
    assert_eq!(waiting(5.0), 0.0);
    case.figures.starts(case.at(10.0));
    case.figures.starts(case.at(11.0));
    assert_eq!(waiting(13.0), 3.0);
    case.answered(14.0, 4_000);
    case.figures.ends();
    assert_eq!(waiting(16.0), 2.0);
    case.figures.ends();
    assert_eq!(waiting(17.0), 0.0);
    case.figures.starts(case.at(90.0));
    assert_eq!(waiting(91.0), 1.0, "an idle time is no waiting");
}

#[test]
fn times_before_the_last_change_nothing_back() {
    let case = Case::new();
    case.answered(20.0, 1_000);
    case.answered(10.0, 500);
    near(case.total_ms(20.0), 1_000.0);
    near(case.total_ms(10.0), 1_000.0);
    assert_eq!(case.count(10.0).last_seen_ago, Some(Duration::ZERO));
}

#[test]
fn ticks_go_round() {
    let figure = Stamped::empty();
    assert_eq!(figure.get(7), None);
    figure.change(u32::MAX - 1, |_| Some(3.0));
    let (value, silent_s) = figure.get(2).expect("known");
    assert_eq!((value, silent_s), (3.0, 4.0 * Stamped::TICK_S));
    figure.change(2, |_| None);
    assert_eq!(figure.get(2), Some((3.0, 4.0 * Stamped::TICK_S)));
}

/// Threads at once lose nothing that is counted.
#[test]
fn threads_count_together() {
    let case = Case::new();
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let case = &case;
            scope.spawn(move || {
                for step in 0..2_500_u32 {
                    let second = f64::from(step) / 100.0;
                    case.figures.starts(case.at(second));
                    match (step + thread) % 5 {
                        0 => case.failed(second, None),
                        _ => case.answered(second, 200),
                    }
                    case.figures.ends();
                }
            });
        }
    });
    let (reading, count) = (case.read(25.0), case.count(25.0));
    assert_eq!(
        (reading.in_flight, count.requests, count.failures),
        (0, 10_000, 2_000)
    );
    near(reading.total_ms.expect("known"), 200.0);
    assert!(
        (0.1..0.3).contains(&reading.error_rate),
        "{}",
        reading.error_rate
    );
    assert_eq!(
        case.figures.summary(case.at(25.0)).total_requests_1m,
        10_000
    );
}
