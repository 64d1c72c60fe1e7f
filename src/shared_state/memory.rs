//! Shared state of a single instance, and what answers where Redis cannot be had. Bounded; reads time from a clock
//! that is passed in.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;

use super::bounded::Bounded;
use super::{Health, SharedState, Taken, ahead, unix_ms, whole_ms};
use crate::clock::Clock;

/// Most values that are kept, and most keys with a rate.
const MOST: usize = 10_000;

/// Most bytes of all values together, and of what rates remember.
const MOST_BYTES: usize = 64 << 20;

/// The span in which rates are counted.
const SPAN: Duration = Duration::from_secs(1);

/// State in this process.
#[derive(Debug)]
pub struct Memory {
    clock: Clock,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    values: Bounded<Bytes>,
    /// When the last ones were taken, the newest first.
    taken: Bounded<VecDeque<Instant>>,
}

impl Memory {
    /// An empty one.
    pub fn new(clock: Clock) -> Self {
        let held = Held {
            values: Bounded::new(MOST, MOST_BYTES),
            taken: Bounded::new(MOST, MOST_BYTES),
        };
        Self {
            clock,
            held: Mutex::new(held),
        }
    }

    /// Nothing that holds the lock leaves the maps half-changed when it panics.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value and how long it stays.
    pub(super) fn value(&self, key: &str) -> Option<(Bytes, Duration)> {
        let now = self.clock.now();
        let held = self.held();
        let (value, until) = held.values.get(key, now)?;
        Some((value.clone(), until.saturating_duration_since(now)))
    }

    pub(super) fn put(&self, key: &str, value: Bytes, ttl: Duration) {
        let now = self.clock.now();
        let ttl = Duration::from_millis(whole_ms(ttl));
        let mut held = self.held();
        if ttl.is_zero() {
            drop(held.values.remove(key, now));
        } else {
            let bytes = value.len();
            held.values.insert(key, value, bytes, now + ttl, now);
        }
    }

    pub(super) fn remove(&self, key: &str) -> bool {
        let now = self.clock.now();
        self.held().values.remove(key, now).is_some()
    }

    pub(super) fn put_if_later(&self, key: &str, until_unix_ms: i64) -> i64 {
        let now = self.clock.now();
        let mut held = self.held();
        let stands = held.values.get(key, now);
        let stands = stands.and_then(|(value, _)| unix_ms(value));
        let Some((left, until)) = ahead(&self.clock, until_unix_ms) else {
            return stands.map_or(until_unix_ms, |stands| stands.max(until_unix_ms));
        };
        if let Some(stands) = stands
            && until <= stands
        {
            return stands;
        }
        let text = Bytes::from(until.to_string());
        let bytes = text.len();
        held.values.insert(key, text, bytes, now + left, now);
        until
    }

    pub(super) fn take_one(&self, key: &str, per_second: u32) -> Taken {
        let Some(last) = per_second.checked_sub(1) else {
            return Taken::Yes;
        };
        let last = usize::try_from(last).unwrap_or(usize::MAX);
        let now = self.clock.now();
        let mut held = self.held();
        if let Some((taken, _)) = held.taken.get(key, now)
            && let Some(before) = taken.get(last)
            && now < *before + SPAN
        {
            let retry_in = (*before + SPAN).saturating_duration_since(now);
            return Taken::No { retry_in };
        }
        let mut taken = held.taken.remove(key, now).unwrap_or_default();
        taken.truncate(last);
        taken.push_front(now);
        let bytes = taken.len().saturating_mul(size_of::<Instant>());
        held.taken.insert(key, taken, bytes, now + SPAN, now);
        Taken::Yes
    }
}

#[async_trait]
impl SharedState for Memory {
    async fn get(&self, key: &str) -> Option<Bytes> {
        self.value(key).map(|(value, _)| value)
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) {
        self.put(key, value, ttl);
    }

    async fn delete(&self, key: &str) -> bool {
        self.remove(key)
    }

    async fn set_if_later(&self, key: &str, until_unix_ms: i64) -> i64 {
        self.put_if_later(key, until_unix_ms)
    }

    async fn many(&self, keys: &[String]) -> Vec<Option<Bytes>> {
        let now = self.clock.now();
        let held = self.held();
        let value = |key: &String| held.values.get(key, now).map(|(value, _)| value.clone());
        keys.iter().map(value).collect()
    }

    async fn take(&self, key: &str, per_second: u32) -> Taken {
        self.take_one(key, per_second)
    }

    fn tell(&self, key: &str, value: Bytes, ttl: Duration) {
        self.put(key, value, ttl);
    }

    fn tell_if_later(&self, key: &str, until_unix_ms: i64) {
        self.put_if_later(key, until_unix_ms);
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn shares(&self, _limit: Duration) -> bool {
        false
    }

    fn health(&self) -> Health {
        Health::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_stay_bounded() {
        let memory = Memory::new(Clock::manual(0));
        for number in 0..=MOST {
            memory.put(&number.to_string(), Bytes::new(), SPAN);
            memory.take_one(&number.to_string(), 1);
        }
        assert_eq!(memory.value("0"), None);
        assert!(memory.value("1").is_some());
        assert_eq!(memory.take_one("0", 1), Taken::Yes, "forgotten");
        let full = Taken::No { retry_in: SPAN };
        assert_eq!(memory.take_one(&MOST.to_string(), 1), full);
    }

    proptest! {
        /// Whatever the moments: no span of one second has more, and a refusal says when to come.
        #[test]
        fn no_second_has_more_than_its_share(
            per_second in 1_u32..6,
            steps in prop::collection::vec(0_u64..400, 1..200),
        ) {
            let clock = Clock::manual(0);
            let memory = Memory::new(clock.clone());
            let mut given = Vec::new();
            for step in steps {
                clock.advance(Duration::from_millis(step));
                match memory.take_one("k", per_second) {
                    Taken::Yes => given.push(clock.now()),
                    Taken::No { retry_in } => {
                        prop_assert!(!retry_in.is_zero() && retry_in <= SPAN);
                        let before = given.len() - usize::try_from(per_second).unwrap();
                        prop_assert_eq!(given[before] + SPAN, clock.now() + retry_in);
                    }
                }
            }
            let wide = usize::try_from(per_second).unwrap() + 1;
            for span in given.windows(wide) {
                prop_assert!(span[0] + SPAN <= span[wide - 1], "{span:?}");
            }
        }
    }
}
