//! Time and chance as values that are passed in, so that a test can hold both still. The only place that reads
//! the machine's clocks.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What time it is. Clones of a clock tell the same time.
#[derive(Debug, Clone)]
pub struct Clock {
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Machine,
    Manual {
        start: Instant,
        start_us: i64,
        passed_us: Arc<AtomicI64>,
        jumped_us: Arc<AtomicI64>,
    },
}

impl Clock {
    /// The machine's clocks.
    pub fn machine() -> Self {
        Self {
            source: Source::Machine,
        }
    }

    /// A clock that stands still at `wall_us` (microseconds since the Unix epoch) until it is advanced.
    pub fn manual(wall_us: i64) -> Self {
        let source = Source::Manual {
            start: Instant::now(),
            start_us: wall_us,
            passed_us: Arc::default(),
            jumped_us: Arc::default(),
        };
        Self { source }
    }

    /// Lets time pass on a manual clock and its clones; the machine's clocks go on by themselves.
    pub fn advance(&self, by: Duration) {
        match &self.source {
            Source::Machine => {}
            Source::Manual { passed_us, .. } => {
                let by_us = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
                passed_us.fetch_add(by_us, Ordering::Relaxed);
            }
        }
    }

    /// Sets the wall clock of a manual clock and its clones forth or back, as happens to machines. Monotonic time does not
    /// notice; the machine's clocks are left alone.
    pub fn jump(&self, by_us: i64) {
        if let Source::Manual { jumped_us, .. } = &self.source {
            jumped_us.fetch_add(by_us, Ordering::Relaxed);
        }
    }

    /// Wall-clock time: microseconds since the Unix epoch, UTC. It may jump when the machine's clock is set.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place that reads the wall clock"
    )]
    pub fn wall_us(&self) -> i64 {
        match &self.source {
            Source::Machine => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
                // A clock before 1970 counts backwards.
                Err(before) => {
                    i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us)
                }
            },
            Source::Manual {
                start_us,
                passed_us,
                jumped_us,
                ..
            } => start_us
                .saturating_add(passed_us.load(Ordering::Relaxed))
                .saturating_add(jumped_us.load(Ordering::Relaxed)),
        }
    }

    /// Monotonic time, for durations: it never goes back.
    pub fn now(&self) -> Instant {
        match &self.source {
            Source::Machine => Instant::now(),
            Source::Manual {
                start, passed_us, ..
            } => {
                let passed_us = u64::try_from(passed_us.load(Ordering::Relaxed)).unwrap_or(0);
                *start + Duration::from_micros(passed_us)
            }
        }
    }
}

/// Chance. Clones go on from the same place; it is not for keys or anything that must not be guessed.
#[derive(Debug, Clone)]
pub struct Dice {
    state: Arc<AtomicU64>,
}

impl Dice {
    /// The same rolls for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self {
            state: Arc::new(AtomicU64::new(seed)),
        }
    }

    /// Other rolls in every process.
    pub fn machine() -> Self {
        Self::seeded(RandomState::new().hash_one(std::process::id()))
    }

    /// Any 64 bits: the generator `SplitMix64` (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
    pub fn bits(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self
            .state
            .fetch_add(STEP, Ordering::Relaxed)
            .wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to below `sides`, each as likely as the next to within one in 2³²; 0 when `sides` is 0.
    pub fn roll(&self, sides: u32) -> u32 {
        let scaled = (self.bits() >> 32) * u64::from(sides);
        u32::try_from(scaled >> 32).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_goes_only_when_told() {
        let clock = Clock::manual(1_000);
        let (before, twin) = (clock.now(), clock.clone());
        assert_eq!((clock.wall_us(), clock.now()), (1_000, before));
        clock.advance(Duration::from_millis(2));
        assert_eq!(twin.wall_us(), 3_000);
        assert_eq!(twin.now() - before, Duration::from_millis(2));
    }

    #[test]
    fn f92_a_wall_clock_that_is_set_back_moves_no_duration_and_no_id() {
        let clock = Clock::manual(5_000_000_000);
        let (before, ids) = (clock.now(), uuid::ContextV7::new());
        // As requests get theirs.
        let id = || {
            let s = u64::try_from(clock.wall_us() / 1_000_000).unwrap();
            uuid::Uuid::new_v7(uuid::Timestamp::from_unix(&ids, s, 0))
        };
        let first = id();
        clock.jump(-3_600_000_000);
        assert_eq!(clock.clone().wall_us(), 1_400_000_000);
        assert_eq!(clock.now(), before);
        let later = [(); 3].map(|()| id());
        assert!(first < later[0] && later.is_sorted(), "{first} {later:?}");
    }

    #[test]
    fn the_machine_has_left_the_year_2020() {
        let clock = Clock::machine();
        assert!(clock.wall_us() > 1_577_836_800_000_000);
        assert!(clock.now() <= clock.now());
    }

    #[test]
    fn the_same_seed_rolls_the_same() {
        // First outputs of `SplitMix64` for the seed 1234567, as in the generator's published test values.
        let dice = Dice::seeded(1_234_567);
        assert_eq!(dice.bits(), 6_457_827_717_110_365_317);
        assert_eq!(dice.bits(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn every_side_comes_up() {
        let dice = Dice::seeded(7);
        let mut seen = [0_u32; 6];
        for _ in 0..6_000 {
            seen[dice.roll(6) as usize] += 1;
        }
        assert!(
            seen.iter().all(|count| (800..1_200).contains(count)),
            "{seen:?}"
        );
        assert_eq!((dice.roll(0), dice.roll(1)), (0, 0));
    }
}
