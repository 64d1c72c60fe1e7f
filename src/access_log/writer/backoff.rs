//! How long to wait before the next try: from 0.1 to 5 s, anywhere below the ceiling (full jitter).

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
const SHORTEST: Duration = Duration::from_millis(10);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    dice: RandomState,
}

impl Backoff {
    /// After a success.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait before the next try.
    pub(super) fn next(&mut self) -> Duration {
        let roll = self.dice.hash_one(self.failures) as u32;
        let wait = wait(self.failures, roll);
        self.failures = self.failures.saturating_add(1);
        self.dice = RandomState::new();
        wait
    }
}

fn wait(failures: u32, roll: u32) -> Duration {
    let ceiling = FIRST.saturating_mul(1 << failures.min(10)).min(LONGEST);
    ceiling
        .mul_f64(f64::from(roll) / f64::from(u32::MAX))
        .max(SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_five_seconds() {
        let ceilings = [0, 1, 2, 5, 6, 60].map(|failures| wait(failures, u32::MAX).as_millis());
        assert_eq!(ceilings, [100, 200, 400, 3200, 5000, 5000]);
        assert_eq!(wait(3, 0), SHORTEST);
    }

    #[test]
    fn rolls_differ_and_a_success_begins_anew() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..20).map(|_| backoff.next()).collect();
        assert!(waits.windows(2).any(|pair| pair[0] != pair[1]));
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
