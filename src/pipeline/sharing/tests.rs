//! Two instances that tell each other, in time that stands still.

use std::path::Path;
use std::sync::OnceLock;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;

use super::*;
use crate::clock::Dice;
use crate::config::{Environment, Rules, load_text};
use crate::routing::key_pool::Pick;
use crate::shared_state::{Health, Memory};
use crate::upstream::registry;

/// Memory that several instances see.
#[derive(Debug)]
struct Common(Memory);

/// Knows what its only user has to know of a word before others can hear it.
#[derive(Debug, Default)]
struct Listener {
    user: OnceLock<Sharing>,
    heard: Mutex<Vec<(String, bool)>>,
}

#[async_trait]
impl SharedState for Listener {
    async fn get(&self, _: &str) -> Option<Bytes> {
        None
    }
    async fn set(&self, _: &str, _: Bytes, _: Duration) {}
    async fn delete(&self, _: &str) -> bool {
        false
    }
    async fn set_if_later(&self, _: &str, until_unix_ms: i64) -> i64 {
        until_unix_ms
    }
    async fn many(&self, keys: &[String]) -> Vec<Option<Bytes>> {
        vec![None; keys.len()]
    }
    async fn take(&self, _: &str, _: u32) -> Taken {
        Taken::Yes
    }
    fn tell(&self, _: &str, _: Bytes, _: Duration) {}
    fn tell_if_later(&self, key: &str, until_unix_ms: i64) {
        let user = self.user.get().expect("a user");
        let is_known = user.known().get(key) == Some(&until_unix_ms);
        let mut heard = self.heard.lock().expect("a lock");
        heard.push((key.to_owned(), is_known));
    }
    fn is_shared(&self) -> bool {
        true
    }
    async fn shares(&self, _limit: Duration) -> bool {
        true
    }
    fn health(&self) -> Health {
        Health::default()
    }
}

#[async_trait]
impl SharedState for Common {
    async fn get(&self, key: &str) -> Option<Bytes> {
        self.0.get(key).await
    }
    async fn set(&self, key: &str, value: Bytes, ttl: Duration) {
        self.0.set(key, value, ttl).await;
    }
    async fn delete(&self, key: &str) -> bool {
        self.0.delete(key).await
    }
    async fn set_if_later(&self, key: &str, until_unix_ms: i64) -> i64 {
        self.0.set_if_later(key, until_unix_ms).await
    }
    async fn many(&self, keys: &[String]) -> Vec<Option<Bytes>> {
        self.0.many(keys).await
    }
    async fn take(&self, key: &str, per_second: u32) -> Taken {
        self.0.take(key, per_second).await
    }
    fn tell(&self, key: &str, value: Bytes, ttl: Duration) {
        self.0.tell(key, value, ttl);
    }
    fn tell_if_later(&self, key: &str, until_unix_ms: i64) {
        self.0.tell_if_later(key, until_unix_ms);
    }
    fn is_shared(&self) -> bool {
        true
    }
    async fn shares(&self, _limit: Duration) -> bool {
        true
    }
    fn health(&self) -> Health {
        Health::default()
    }
}

struct Instance {
    sharing: Sharing,
    routing: Routing,
    target: Arc<TargetState>,
}

const YAML: &str = "providers:\n  - { name: p, kind: openai, base_url: 'http://h/v1', api_keys: [{ key: sk-one-1234567890, name: one, max_rps: 2 }, { key: sk-two-1234567890, name: two }] }\n";

const LIMITED: KeyTrouble = KeyTrouble::RateLimited { retry_after: None };

fn two() -> (Clock, [Instance; 2]) {
    let clock = Clock::manual(1_700_000_000_000_000);
    let common: Arc<dyn SharedState> = Arc::new(Common(Memory::new(clock.clone())));
    let instances = [(); 2].map(|()| Instance::new(common.clone(), &clock));
    (clock, instances)
}

impl Instance {
    fn new(state: Arc<dyn SharedState>, clock: &Clock) -> Self {
        let rules = Rules {
            filters: &(),
            built_in_columns: &[],
        };
        let config = load_text(Path::new("t.yaml"), YAML, &Environment::default(), &rules);
        let config = config.unwrap_or_else(|problems| panic!("{problems}"));
        let providers = registry::build(&config.providers).expect("providers");
        let routing = Routing::new(&config, providers, clock, None);
        Self {
            sharing: Sharing::new(state, clock.clone()),
            target: routing.health.of_target("p", "m"),
            routing,
        }
    }

    fn hear(&self) {
        let heard = self.sharing.hear(&self.routing).now_or_never();
        heard.expect("memory does not wait");
    }

    fn full_until(&self, key: &str, most: u32) -> Option<Instant> {
        let taken = self.sharing.full_until("p", key, most).now_or_never();
        taken.expect("memory does not wait")
    }
}

#[test]
fn a_rate_is_that_of_all() {
    let (clock, [one, other]) = two();
    assert_eq!(one.full_until("one", 2), None);
    assert_eq!(other.full_until("one", 2), None);
    let free = clock.now() + Duration::from_secs(1);
    assert_eq!(one.full_until("one", 2), Some(free));
    assert_eq!(one.full_until("two", 2), None, "each key has its own");
    assert_eq!(one.full_until("one", 0), None, "no limit");
    clock.advance(Duration::from_secs(1));
    assert_eq!(other.full_until("one", 2), None);
}

#[test]
fn alone_nobody_is_asked() {
    let clock = Clock::manual(0);
    let alone = Instance::new(Arc::new(Memory::new(clock.clone())), &clock);
    assert!((0..9).all(|_| alone.full_until("one", 1).is_none()));
}

#[test]
fn keys_cool_down_everywhere() {
    let (clock, [one, other]) = two();
    let until = one.routing.pool(0).cools(0, LIMITED, clock.now());
    one.sharing.key_cools("p", "one", LIMITED, until);
    other.hear();
    let states = other.routing.pool(0).states(clock.now());
    let cooling: Vec<_> = states.iter().map(|state| state.cooling).collect();
    assert_eq!(cooling, [Some((until - clock.now(), LIMITED)), None]);
    assert_eq!(states[0].failures, 0, "it is none of its own");
    let pick = other
        .routing
        .pool(0)
        .pick(clock.now(), &Dice::seeded(1), &[], false);
    assert_eq!(pick, Pick::Key(1));
    clock.advance(until - clock.now());
    assert_eq!(other.routing.pool(0).states(until)[0].cooling, None);
}

#[test]
fn a_word_is_heard_once_and_ones_own_never() {
    let (clock, [one, other]) = two();
    let until = clock.now() + Duration::from_secs(9);
    one.sharing.target_rests(&one.target, until);
    let cools = |instance: &Instance| instance.target.breaker.cooling_until(clock.now());
    one.hear();
    other.hear();
    assert_eq!([&one, &other].map(cools), [None, Some(until)]);
    clock.advance(Duration::from_secs(1));
    other.target.breaker.succeeded(clock.now());
    other.hear();
    assert_eq!(cools(&other), None, "what was learnt since stays");
    let later = clock.now() + Duration::from_secs(30);
    one.sharing.target_rests(&one.target, later);
    other.hear();
    assert_eq!(cools(&other), Some(later), "this is news");
}

/// Cool-downs and rates are counted by monotonic time: each ends when it would have, and is not begun anew.
#[test]
fn f92_a_wall_clock_that_is_set_neither_ends_nor_repeats_anything() {
    for by_s in [3_600, -3_600, -1_700_000_000] {
        let (clock, [one, other]) = two();
        let until = one.routing.pool(0).cools(0, LIMITED, clock.now());
        one.sharing.key_cools("p", "one", LIMITED, until);
        other.hear();
        assert_eq!(one.full_until("two", 1), None);
        clock.jump(by_s * 1_000_000);
        for instance in [&one, &other] {
            instance.hear();
            let cooling = |now: Instant| instance.routing.pool(0).states(now)[0].cooling;
            let left = until - clock.now();
            assert_eq!(cooling(clock.now()), Some((left, LIMITED)), "{by_s}");
            assert_eq!(cooling(until), None, "{by_s}");
            let free = clock.now() + Duration::from_secs(1);
            assert_eq!(instance.full_until("two", 1), Some(free), "{by_s}");
        }
        clock.advance(Duration::from_secs(1));
        assert_eq!(other.full_until("two", 1), None, "{by_s}");
    }
}

#[test]
fn our_own_word_is_known_before_it_can_be_heard() {
    let clock = Clock::manual(0);
    let listener = Arc::new(Listener::default());
    let sharing = Sharing::new(listener.clone(), clock.clone());
    listener.user.set(sharing.clone()).expect("the first user");
    sharing.key_cools("p", "one", LIMITED, clock.now() + Duration::from_secs(1));
    let heard = listener.heard.lock().expect("a lock").clone();
    assert_eq!(heard, [("key/limited/p/one".to_owned(), true)]);
}
