//! A map whose entries expire and which never grows beyond its bounds. Knows no clock and no lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

/// Entries with a time to live. Where there are too many, expired ones go first, then those written longest ago.
#[derive(Debug)]
pub(super) struct Bounded<V> {
    most: usize,
    most_bytes: usize,
    bytes: usize,
    written: u64,
    entries: HashMap<Arc<str>, Entry<V>>,
    by_age: BTreeMap<u64, Arc<str>>,
    by_end: BTreeMap<(Instant, u64), Arc<str>>,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    until: Instant,
    bytes: usize,
    number: u64,
}

impl<V> Bounded<V> {
    /// An empty one of at most so many entries, which have at most so many bytes together.
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        Self {
            most,
            most_bytes,
            bytes: 0,
            written: 0,
            entries: HashMap::new(),
            by_age: BTreeMap::new(),
            by_end: BTreeMap::new(),
        }
    }

    /// The value and its end, unless that has come.
    pub(super) fn get(&self, key: &str, now: Instant) -> Option<(&V, Instant)> {
        let entry = self.entries.get(key)?;
        (now < entry.until).then_some((&entry.value, entry.until))
    }

    /// Takes the value out; `None` where it had expired.
    pub(super) fn remove(&mut self, key: &str, now: Instant) -> Option<V> {
        let entry = self.take_out(key)?;
        (now < entry.until).then_some(entry.value)
    }

    /// Puts a value in the place of the one before. One that is larger than all may be is not kept.
    pub(super) fn insert(
        &mut self,
        key: &str,
        value: V,
        bytes: usize,
        until: Instant,
        now: Instant,
    ) {
        drop(self.take_out(key));
        let bytes = bytes.saturating_add(key.len());
        if self.most_bytes < bytes {
            return;
        }
        self.written += 1;
        let (key, number) = (Arc::<str>::from(key), self.written);
        self.bytes += bytes;
        self.by_age.insert(number, key.clone());
        self.by_end.insert((until, number), key.clone());
        self.entries.insert(
            key,
            Entry {
                value,
                until,
                bytes,
                number,
            },
        );
        while self.most < self.entries.len() || self.most_bytes < self.bytes {
            let ended = self.by_end.first_key_value();
            let ended = ended.filter(|((until, _), _)| *until <= now);
            let oldest = ended.map(|(_, key)| key).or(self.by_age.values().next());
            let Some(key) = oldest.cloned() else { break };
            drop(self.take_out(&key));
        }
    }

    fn take_out(&mut self, key: &str) -> Option<Entry<V>> {
        let entry = self.entries.remove(key)?;
        self.by_age.remove(&entry.number);
        self.by_end.remove(&(entry.until, entry.number));
        self.bytes -= entry.bytes;
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn keys(held: &Bounded<u32>) -> Vec<&str> {
        let mut keys: Vec<&str> = held.entries.keys().map(|key| &**key).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn expired_ones_go_first_and_then_the_oldest() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut held = Bounded::new(2, 1_000);
        held.insert("long", 1, 4, at(900), start);
        held.insert("short", 2, 4, at(10), start);
        held.insert("next", 3, 4, at(500), at(10));
        assert_eq!(keys(&held), ["long", "next"]);
        held.insert("last", 4, 4, at(20), at(11));
        assert_eq!(keys(&held), ["last", "next"], "though it ends soonest");
        held.insert("next", 5, 4, at(500), at(11));
        held.insert("more", 6, 4, at(500), at(11));
        assert_eq!(keys(&held), ["more", "next"], "written again is young");
    }

    #[test]
    fn bytes_are_bounded_too() {
        let now = Instant::now();
        let until = now + Duration::from_secs(1);
        let mut held = Bounded::new(9, 10);
        held.insert("a", 1, 5, until, now);
        held.insert("b", 2, 4, until, now);
        assert_eq!(keys(&held), ["b"]);
        held.insert("b", 3, 10, until, now);
        assert_eq!((keys(&held), held.bytes), (vec![], 0));
    }

    proptest! {
        #[test]
        fn bounds_hold_and_orders_agree(steps in prop::collection::vec((0_u8..12, 0_usize..9, 0_u64..50), 1..200)) {
            let start = Instant::now();
            let mut held = Bounded::new(5, 20);
            for (number, (key, bytes, ttl)) in steps.into_iter().enumerate() {
                let now = start + Duration::from_millis(number as u64);
                let key = key.to_string();
                if bytes == 8 {
                    held.remove(&key, now);
                } else {
                    held.insert(&key, 0, bytes, now + Duration::from_millis(ttl), now);
                }
                let sum: usize = held.entries.values().map(|entry| entry.bytes).sum();
                prop_assert!(held.entries.len() <= 5 && held.bytes <= 20 && sum == held.bytes);
                prop_assert_eq!(held.by_age.len(), held.entries.len());
                prop_assert_eq!(held.by_end.len(), held.entries.len());
            }
        }
    }
}
