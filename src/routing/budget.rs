//! How many extra attempts the process may make. Pure: the time is an argument, nothing waits.
//!
//! Without a bound, every failure at the providers doubles or trebles their load just when they can bear it least.
//! It does not know which target is tried again: the bound is one for all of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Seconds that count, one bucket each.
const BUCKETS: u64 = 10;

/// Most requests that a bucket can count: more than a process can serve in a second.
const MOST_REQUESTS: u64 = (1 << 22) - 1;

/// Most extra attempts that a bucket can count; further ones are refused.
const MOST_EXTRA: u64 = (1 << 20) - 1;

/// Extra attempts against requests, over the last ten seconds. Shared by all threads; no locks.
#[derive(Debug)]
pub struct RetryBudget {
    base: Instant,
    percent: u64,
    at_least: u64,
    buckets: [AtomicU64; BUCKETS as usize],
}

/// One second. It travels as one word, so that a bucket is taken over for a new second and counted up in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bucket {
    /// How often the ring had gone round: with the bucket's place, which second this is.
    round: u64,
    requests: u64,
    extra: u64,
}

impl Bucket {
    /// 22 bits last for more than a year of rounds of ten seconds. Then they begin anew, which could be noticed only
    /// where nothing was asked for a whole year.
    const ROUNDS: u64 = 1 << 22;

    fn unpack(word: u64) -> Self {
        Self {
            round: word >> 42,
            requests: (word >> 20) & MOST_REQUESTS,
            extra: word & MOST_EXTRA,
        }
    }

    fn pack(self) -> u64 {
        (self.round << 42) | (self.requests << 20) | self.extra
    }

    /// This bucket when the ring is in `round`: empty if it still holds an older one. A newer one stays: the caller's
    /// time was read a moment ago.
    fn at(self, round: u64) -> Self {
        if self.round == round || Self::age(self.round, round) > Self::ROUNDS / 2 {
            return self;
        }
        Self {
            round,
            requests: 0,
            extra: 0,
        }
    }

    /// Rounds from `then` to `now`.
    fn age(then: u64, now: u64) -> u64 {
        now.wrapping_sub(then) % Self::ROUNDS
    }
}

impl RetryBudget {
    /// `percent` of the requests of the last ten seconds, but `at_least` so many. `base` is about when it is made; times
    /// before it count as it.
    pub fn new(base: Instant, percent: u32, at_least: u32) -> Self {
        Self {
            base,
            percent: u64::from(percent),
            at_least: u64::from(at_least),
            buckets: Default::default(),
        }
    }

    /// Counts a request, once, however often it is tried.
    pub fn requested(&self, now: Instant) {
        self.change(self.second(now), |bucket| Bucket {
            requests: (bucket.requests + 1).min(MOST_REQUESTS),
            ..bucket
        });
    }

    /// Whether one more attempt may be made, which is then counted. Of threads that ask for the last one at the same
    /// moment, at most one gets it.
    pub fn may_retry(&self, now: Instant) -> bool {
        let second = self.second(now);
        // First taken, then counted: whoever takes later sees those who took before.
        let is_full = |bucket: Bucket| bucket.extra == MOST_EXTRA;
        let taken = self.change(second, |bucket| Bucket {
            extra: bucket.extra + u64::from(!is_full(bucket)),
            ..bucket
        });
        if is_full(taken) {
            return false;
        }
        let (requests, extra) = self.counted(second);
        let may = extra <= self.at_least.max(requests * self.percent / 100);
        if !may {
            // Given back, unless the ring has gone round meanwhile.
            let round = Self::round(second);
            self.change(second, |bucket| Bucket {
                extra: bucket
                    .extra
                    .saturating_sub(u64::from(bucket.round == round)),
                ..bucket
            });
        }
        may
    }

    /// Requests and extra attempts of the ten seconds that end with `second`.
    fn counted(&self, second: u64) -> (u64, u64) {
        let oldest = second.saturating_sub(BUCKETS - 1);
        (oldest..oldest + BUCKETS).fold((0, 0), |(requests, extra), second| {
            let word = self.bucket(second).load(Ordering::SeqCst);
            let bucket = Bucket::unpack(word).at(Self::round(second));
            (requests + bucket.requests, extra + bucket.extra)
        })
    }

    /// Changes the bucket of a second, and gives what it was before.
    fn change(&self, second: u64, change: impl Fn(Bucket) -> Bucket) -> Bucket {
        let round = Self::round(second);
        let next = |word| Some(change(Bucket::unpack(word).at(round)).pack());
        let word = self.bucket(second);
        let before = word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        Bucket::unpack(before.unwrap_or_else(|same| same)).at(round)
    }

    fn bucket(&self, second: u64) -> &AtomicU64 {
        let [first, ..] = &self.buckets;
        let place = usize::try_from(second % BUCKETS).unwrap_or(0);
        self.buckets.get(place).unwrap_or(first)
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.base).as_secs()
    }

    fn round(second: u64) -> u64 {
        (second / BUCKETS) % Bucket::ROUNDS
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock, Dice};

    fn budget() -> (RetryBudget, Instant) {
        let base = Clock::manual(0).now();
        (RetryBudget::new(base, 20, 10), base)
    }

    fn granted(budget: &RetryBudget, now: Instant, asked: u32) -> u32 {
        (0..asked).map(|_| u32::from(budget.may_retry(now))).sum()
    }

    #[test]
    fn a_part_of_the_requests_and_never_less_than_the_least() {
        for (requests, expected) in [(0, 10), (1, 10), (54, 10), (55, 11), (1_000, 200)] {
            let (budget, now) = budget();
            (0..requests).for_each(|_| budget.requested(now));
            assert_eq!(granted(&budget, now, 500), expected, "{requests} requests");
        }
    }

    #[test]
    fn what_is_ten_seconds_old_counts_no_more() {
        let (budget, base) = budget();
        let at = |seconds| base + Duration::from_secs(seconds);
        (0..100).for_each(|_| budget.requested(at(3)));
        assert_eq!(granted(&budget, at(3), 50), 20);
        assert_eq!(granted(&budget, at(12), 50), 0, "still in the window");
        assert_eq!(
            granted(&budget, at(13), 50),
            10,
            "requests and attempts gone"
        );
        assert_eq!(
            granted(&budget, at(10_000_000), 50),
            10,
            "after a long sleep"
        );
    }

    #[test]
    fn a_time_read_a_moment_ago_takes_nothing_back() {
        let (budget, base) = budget();
        let (early, late) = (base, base + Duration::from_secs(10));
        assert_eq!(granted(&budget, late, 50), 10);
        assert_eq!(granted(&budget, early, 50), 0);
        assert_eq!(granted(&budget, late, 50), 0);
    }

    /// Any traffic: at the moment of each grant, the attempts of the last ten seconds are within the bound, counted
    /// from a plain list; and what the bound allows is granted.
    #[test]
    fn never_above_never_stingy() {
        for seed in 0..40 {
            let (budget, base) = budget();
            let dice = Dice::seeded(seed);
            let most_pause_ms = [1, 20, 300, 4_000][dice.roll(4) as usize];
            let (mut ms, mut requests, mut extra) = (0_u64, Vec::new(), Vec::new());
            for step in 0..3_000 {
                ms += u64::from(dice.roll(most_pause_ms + 1));
                let now = base + Duration::from_millis(ms);
                let oldest = (ms / 1_000).saturating_sub(9);
                let recent =
                    |times: &Vec<u64>| times.iter().filter(|second| oldest <= **second).count();
                if dice.roll(3) > 0 {
                    budget.requested(now);
                    requests.push(ms / 1_000);
                } else {
                    let may = recent(&extra) < (recent(&requests) * 20 / 100).max(10);
                    assert_eq!(budget.may_retry(now), may, "seed {seed} step {step}");
                    if may {
                        extra.push(ms / 1_000);
                    }
                }
            }
            assert!(extra.len() >= 10, "seed {seed}: the bound was never near");
        }
    }

    #[test]
    fn threads_together_get_no_more() {
        let (budget, now) = budget();
        (0..1_000).for_each(|_| budget.requested(now));
        let total = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| total.fetch_add(granted(&budget, now, 500), Ordering::Relaxed));
            }
        });
        let total = total.into_inner();
        assert!((1..=200).contains(&total), "{total}");
        assert_eq!(granted(&budget, now, 500), 200 - total, "nothing is lost");
    }

    #[test]
    fn a_bucket_is_one_word() {
        let bucket = Bucket {
            round: Bucket::ROUNDS - 1,
            requests: MOST_REQUESTS,
            extra: 5,
        };
        assert_eq!(Bucket::unpack(bucket.pack()), bucket);
        assert_eq!(bucket.at(0).requests, 0, "the rounds begin anew");
    }
}
