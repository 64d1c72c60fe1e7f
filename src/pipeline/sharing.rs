//! What instances tell each other while they choose: rates of keys, cool-downs, targets that are left alone. Sessions are in
//! [`sessions`](crate::pipeline::sessions). Alone, an instance has nobody to tell, and its own pools and breakers know all of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::routing::Routing;
use crate::routing::health::TargetState;
use crate::routing::key_pool::{KeyPool, KeyTrouble};
use crate::shared_state::{SharedState, Taken, unix_ms};

/// Most targets of whose troubles elsewhere an instance hears.
const MOST_TARGETS: usize = 1_000;

/// See the module. Clones share.
#[derive(Debug, Clone)]
pub struct Sharing {
    state: Arc<dyn SharedState>,
    clock: Clock,
    /// The moments that were told or heard already, by name: each is heeded once, so that it does not undo what was learnt since.
    known: Arc<Mutex<HashMap<String, i64>>>,
}

/// Whose trouble a name in the shared state tells.
enum Whose<'a> {
    Key {
        pool: &'a KeyPool,
        key: usize,
        why: KeyTrouble,
    },
    Target(Arc<TargetState>),
}

impl Sharing {
    /// Through this state.
    pub fn new(state: Arc<dyn SharedState>, clock: Clock) -> Self {
        Self {
            state,
            clock,
            known: Arc::default(),
        }
    }

    /// Where it is kept.
    pub fn state(&self) -> &Arc<dyn SharedState> {
        &self.state
    }

    /// The time that counts here.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Takes one of a key's requests of this second, over all instances. `Some`: there is none until then.
    pub(super) async fn full_until(
        &self,
        provider: &str,
        key: &str,
        max_rps: u32,
    ) -> Option<Instant> {
        if max_rps == 0 || !self.state.is_shared() {
            return None;
        }
        let name = format!("{provider}/{key}");
        match self.state.take(&name, max_rps).await {
            Taken::Yes => None,
            Taken::No { retry_in } => Some(self.clock.now() + retry_in),
        }
    }

    /// Tells that a key cools down.
    pub(super) fn key_cools(&self, provider: &str, key: &str, why: KeyTrouble, until: Instant) {
        if self.state.is_shared() {
            self.tell(key_name(provider, key, why), until);
        }
    }

    /// Tells that a target is left alone.
    pub(super) fn target_rests(&self, target: &TargetState, until: Instant) {
        if self.state.is_shared() {
            self.tell(target_name(target), until);
        }
    }

    fn tell(&self, name: String, until: Instant) {
        let until_ms = self.wall_ms(until);
        // Before anybody can hear it: our own word is no news to us.
        self.known().insert(name.clone(), until_ms);
        self.state.tell_if_later(&name, until_ms);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, i64>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears what others told since: their keys cool down here, too, and targets that they leave alone are passed over while
    /// another one stands.
    pub async fn hear(&self, routing: &Routing) {
        if !self.state.is_shared() || self.state.health().degraded {
            return;
        }
        let (names, whose): (Vec<String>, Vec<Whose<'_>>) = all(routing).into_iter().unzip();
        let values = self.state.many(&names).await;
        let (now, now_ms) = (self.clock.now(), self.clock.wall_us().div_euclid(1000));
        let mut known = self.known();
        known.retain(|_, until_ms| now_ms < *until_ms);
        for ((name, whose), value) in names.into_iter().zip(whose).zip(values) {
            let Some(until_ms) = value.and_then(|value| unix_ms(&value)) else {
                continue;
            };
            let left = u64::try_from(until_ms.saturating_sub(now_ms)).unwrap_or(0);
            let is_news = known.get(&name) != Some(&until_ms);
            if left == 0 || !is_news {
                continue;
            }
            let until = now + Duration::from_millis(left).min(LONGEST);
            match whose {
                Whose::Key { pool, key, why } => pool.cools_until(key, until, why, now),
                Whose::Target(target) => target.breaker.cools_until(until, now),
            }
            known.insert(name, until_ms);
        }
    }

    /// A moment by the clocks that instances have in common, rounded down.
    fn wall_ms(&self, at: Instant) -> i64 {
        let left = at.saturating_duration_since(self.clock.now());
        let left_us = i64::try_from(left.as_micros()).unwrap_or(i64::MAX);
        self.clock
            .wall_us()
            .saturating_add(left_us)
            .div_euclid(1000)
    }
}

/// Longest that another instance's word holds.
const LONGEST: Duration = Duration::from_secs(3600);

/// Both troubles of a key, told apart by name so that it is known here why it cools down.
const TROUBLES: [KeyTrouble; 2] = [
    KeyTrouble::RateLimited { retry_after: None },
    KeyTrouble::Refused,
];

/// Everything of which others may tell.
fn all(routing: &Routing) -> Vec<(String, Whose<'_>)> {
    let mut all = Vec::new();
    for (index, provider) in routing.providers().iter().enumerate() {
        let pool = routing.pool(index);
        for (key, spec) in pool.specs().enumerate() {
            for why in TROUBLES {
                let name = key_name(&provider.name, &spec.name, why);
                all.push((name, Whose::Key { pool, key, why }));
            }
        }
    }
    let targets = routing.health.states(MOST_TARGETS).into_iter();
    all.extend(targets.map(|target| (target_name(&target), Whose::Target(target))));
    all
}

fn key_name(provider: &str, key: &str, why: KeyTrouble) -> String {
    let why = match why {
        KeyTrouble::RateLimited { .. } => "limited",
        KeyTrouble::Refused => "refused",
    };
    format!("key/{why}/{provider}/{key}")
}

fn target_name(target: &TargetState) -> String {
    format!("target/{}/{}", target.provider, target.model)
}

#[cfg(test)]
mod tests;
