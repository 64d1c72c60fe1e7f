//! A target's last minutes, counted: attempts by the second, times of answers by the minute. Of fixed size.

use std::time::Duration;

use super::Seen;

/// Seconds that are counted one by one.
const SECONDS: usize = 60;

/// Minutes whose times are kept, the present one among them.
const MINUTES: usize = 5;

/// Buckets of times: single milliseconds up to 4, then four to each doubling, up to two hours.
const BUCKETS: usize = 88;

/// A target's state in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// No attempt ended within the last minute.
    Unknown,
    /// At most one attempt of ten failed.
    Healthy,
    /// At most half of them did.
    Degraded,
    /// Most of them did.
    Down,
}

/// The last minutes of a target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Mean milliseconds to the end of an answer, over five minutes, the present one among them; failures do not
    /// count. `None` when there was no answer.
    pub average_ms: Option<f64>,
    /// So long took the middle one of them at most, within a few per cent.
    pub p50_ms: Option<f64>,
    /// The same for 95 of 100.
    pub p95_ms: Option<f64>,
    /// The same for 99 of 100.
    pub p99_ms: Option<f64>,
    /// Failures among the attempts of the last minute, 0 to 1.
    pub error_rate: f64,
    /// Successes of the last minute, a second.
    pub success_qps_1m: f64,
    /// Attempts that ended within the last minute.
    pub total_requests_1m: u64,
    /// Since an attempt ended well; `None` when none did.
    pub last_success_ago: Option<Duration>,
    /// The last minute in a word.
    pub status: Status,
}

#[derive(Debug)]
pub(super) struct Recent {
    seconds: [Second; SECONDS],
    minutes: [Minute; MINUTES],
    last_success: Option<Duration>,
}

/// The counts of one second; `number` says which one, counted from 1, and 0 is none.
#[derive(Debug, Clone, Copy, Default)]
struct Second {
    number: u64,
    requests: u32,
    failures: u32,
}

/// The times of one minute's answers.
#[derive(Debug, Clone, Copy)]
struct Minute {
    number: u64,
    sum_ms: f64,
    counts: [u32; BUCKETS],
}

impl Minute {
    const fn empty(number: u64) -> Self {
        Self {
            number,
            sum_ms: 0.0,
            counts: [0; BUCKETS],
        }
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            seconds: [Second::default(); SECONDS],
            minutes: [Minute::empty(0); MINUTES],
            last_success: None,
        }
    }
}

impl Status {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

impl Recent {
    pub(super) fn observe(&mut self, seen: Seen, since: Duration) {
        let (number, minute_number) = numbers(since);
        if let Some(second) = place(&mut self.seconds, number) {
            if second.number < number {
                *second = Second {
                    number,
                    ..Second::default()
                };
            }
            second.requests = second.requests.saturating_add(1);
            second.failures = second.failures.saturating_add(u32::from(seen.is_failure));
        }
        if !seen.is_failure {
            self.last_success = self.last_success.max(Some(since));
        }
        let Some(total) = seen.total.filter(|_| !seen.is_failure) else {
            return;
        };
        if let Some(minute) = place(&mut self.minutes, minute_number) {
            if minute.number < minute_number {
                *minute = Minute::empty(minute_number);
            }
            minute.sum_ms += total.as_secs_f64() * 1_000.0;
            if let Some(count) = minute.counts.get_mut(bucket_of(total)) {
                *count = count.saturating_add(1);
            }
        }
    }

    pub(super) fn summary(&self, since: Duration) -> Summary {
        let (second, minute) = numbers(since);
        let (mut requests, mut failures) = (0_u64, 0_u64);
        let is_young = |number: u64, now: u64, kept: usize| now < number + kept as u64;
        for one in &self.seconds {
            if is_young(one.number, second, SECONDS) {
                requests += u64::from(one.requests);
                failures += u64::from(one.failures);
            }
        }
        let (mut sum_ms, mut counts) = (0.0, [0_u64; BUCKETS]);
        for one in &self.minutes {
            if is_young(one.number, minute, MINUTES) {
                sum_ms += one.sum_ms;
                for (all, count) in counts.iter_mut().zip(one.counts) {
                    *all += u64::from(count);
                }
            }
        }
        let answers: u64 = counts.iter().sum();
        let error_rate = failures as f64 / requests.max(1) as f64;
        Summary {
            average_ms: (answers > 0).then(|| sum_ms / answers as f64),
            p50_ms: percentile(&counts, answers, 50),
            p95_ms: percentile(&counts, answers, 95),
            p99_ms: percentile(&counts, answers, 99),
            error_rate,
            success_qps_1m: (requests - failures) as f64 / SECONDS as f64,
            total_requests_1m: requests,
            last_success_ago: self.last_success.map(|then| since.saturating_sub(then)),
            status: match requests {
                0 => Status::Unknown,
                _ if error_rate > 0.5 => Status::Down,
                _ if error_rate > 0.1 => Status::Degraded,
                _ => Status::Healthy,
            },
        }
    }
}

/// The numbers of the second and of the minute.
fn numbers(since: Duration) -> (u64, u64) {
    (since.as_secs() + 1, since.as_secs() / 60 + 1)
}

/// A ring's place for a number.
fn place<T>(ring: &mut [T], number: u64) -> Option<&mut T> {
    let length = ring.len() as u64;
    let index = number.checked_rem(length)?;
    ring.get_mut(usize::try_from(index).ok()?)
}

fn bucket_of(total: Duration) -> usize {
    let ms = u64::try_from(total.as_millis()).unwrap_or(u64::MAX);
    let bucket = match ms.checked_ilog2() {
        None | Some(0 | 1) => ms,
        Some(doublings) => u64::from(doublings - 1) * 4 + ((ms >> (doublings - 2)) & 3),
    };
    usize::try_from(bucket).map_or(BUCKETS - 1, |bucket| bucket.min(BUCKETS - 1))
}

/// Where a bucket begins and how wide it is, in milliseconds.
fn bounds_ms(bucket: usize) -> (f64, f64) {
    if bucket < 4 {
        return (bucket as f64, 1.0);
    }
    let width = 2_f64.powf((bucket / 4) as f64 - 1.0);
    ((4 + bucket % 4) as f64 * width, width)
}

/// The time that `percent` of the answers took at most, taken as spread evenly within a bucket.
fn percentile(counts: &[u64; BUCKETS], answers: u64, percent: u64) -> Option<f64> {
    let rank = (answers * percent).div_ceil(100);
    let mut before = 0;
    for (bucket, count) in counts.iter().enumerate() {
        if before < rank && rank <= before + count {
            let (from_ms, width_ms) = bounds_ms(bucket);
            let part = ((rank - before) as f64 - 0.5) / *count as f64;
            return Some(from_ms + width_ms * part);
        }
        before += count;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(total: Duration) -> Seen {
        Seen {
            first_token: None,
            total: Some(total),
            is_failure: false,
        }
    }

    #[test]
    fn buckets_touch_and_hold_what_is_put_in() {
        let mut end = 0.0;
        for bucket in 0..BUCKETS {
            let (from_ms, width_ms) = bounds_ms(bucket);
            assert_eq!(from_ms, end, "{bucket}");
            end = from_ms + width_ms;
            let first = Duration::from_millis(from_ms as u64);
            let last = Duration::from_millis(end as u64) - Duration::from_nanos(1);
            assert_eq!((bucket_of(first), bucket_of(last)), (bucket, bucket));
        }
        assert!(end > 7_200_000.0, "{end}");
        assert_eq!(bucket_of(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_within_a_few_per_cent() {
        let mut recent = Recent::default();
        assert_eq!(recent.summary(Duration::ZERO).p50_ms, None);
        for ms in 1..=10_000 {
            recent.observe(answer(Duration::from_millis(ms)), Duration::from_secs(1));
        }
        let summary = recent.summary(Duration::from_secs(2));
        let wanted = [
            (summary.average_ms, 5_000.5),
            (summary.p50_ms, 5_000.0),
            (summary.p95_ms, 9_500.0),
            (summary.p99_ms, 9_900.0),
        ];
        for (got, wanted) in wanted {
            let got = got.expect("known");
            assert!((got / wanted - 1.0).abs() < 0.04, "{got} {wanted}");
        }
    }

    #[test]
    fn seconds_and_minutes_go_by() {
        let mut recent = Recent::default();
        let at = Duration::from_secs;
        recent.observe(answer(at(2)), at(0));
        let failed = Seen {
            is_failure: true,
            ..answer(at(30))
        };
        recent.observe(failed, at(30));
        let rows = [
            (0, 2, 0.5, Status::Degraded, true),
            (59, 2, 0.5, Status::Degraded, true),
            (60, 1, 1.0, Status::Down, true),
            (90, 0, 0.0, Status::Unknown, true),
            (299, 0, 0.0, Status::Unknown, true),
            (300, 0, 0.0, Status::Unknown, false),
        ];
        for (second, requests, error_rate, status, is_known) in rows {
            let summary = recent.summary(at(second));
            assert_eq!(summary.total_requests_1m, requests, "{second}");
            assert_eq!(summary.error_rate, error_rate, "{second}");
            assert_eq!(summary.status, status, "{second}");
            assert_eq!(summary.average_ms, is_known.then_some(2_000.0), "{second}");
            assert_eq!(summary.p99_ms.is_some(), is_known, "{second}");
        }
        recent.observe(answer(at(1)), at(360));
        let summary = recent.summary(at(360));
        assert_eq!(summary.average_ms, Some(1_000.0), "the ring has gone round");
        assert_eq!(summary.success_qps_1m, 1.0 / 60.0);
        assert_eq!(summary.status, Status::Healthy);
    }
}
