//! Shared state: the same promises in memory and in Redis, and between two instances.

mod faults;

use std::time::{Duration, Instant};

use aiproxy::clock::Clock;
use aiproxy::shared_state::{Memory, Redis, RedisOptions, SharedState, Taken, unix_ms};
use bytes::Bytes;
use futures_util::future::pending;

use crate::support::db::block_on;
use crate::support::redis::{self, Server};
use crate::support::signal::LIMIT;

const LONG: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// A state and the clock by which it goes.
struct Place {
    state: Box<dyn SharedState>,
    clock: Clock,
}

impl Place {
    fn now_ms(&self) -> i64 {
        self.clock.wall_us() / 1000
    }

    /// Lets time pass until something is so.
    async fn until(&self, what: &str, happened: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !happened().await {
            assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
            // Of the machine's clock time passes by itself.
            self.clock.advance(Duration::from_millis(5));
            let pause = tokio::time::timeout(Duration::from_millis(2), pending::<()>());
            assert!(pause.await.is_err());
        }
    }
}

/// Runs a test in memory and in Redis.
fn on_both(test: impl AsyncFn(&Place)) {
    let clock = Clock::manual(1_700_000_000_000_000);
    let state = Box::new(Memory::new(clock.clone()));
    block_on(test(&Place { state, clock }));
    block_on(async {
        let place = Place {
            state: Box::new(connected(redis::shared()).await),
            clock: Clock::machine(),
        };
        test(&place).await;
        assert!(!place.state.health().degraded, "Redis answered");
    });
}

/// A state that gives a busy machine its time.
fn start(url: &str) -> Redis {
    start_with(
        url,
        RedisOptions {
            call_limit: LIMIT,
            ..RedisOptions::default()
        },
    )
}

fn start_with(url: &str, options: RedisOptions) -> Redis {
    Redis::start(url, options, Clock::machine()).expect("a URL")
}

async fn connected(server: &Server) -> Redis {
    let state = start(&server.url);
    wait_degraded(&state, false).await;
    state
}

async fn wait_degraded(state: &Redis, degraded: bool) {
    let came = tokio::time::timeout(LIMIT, state.changes_to(degraded)).await;
    came.expect("it changes in time");
}

/// A key that no other test has.
fn key() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

fn text(value: &str) -> Bytes {
    Bytes::copy_from_slice(value.as_bytes())
}

#[test]
fn values_are_kept_and_forgotten() {
    on_both(async |place| {
        let (state, key, other) = (&place.state, key(), key());
        assert_eq!(state.get(&key).await, None);
        assert!(!state.delete(&key).await);
        state.set(&key, text("a"), LONG).await;
        state.set(&key, Bytes::from_static(b"\xff\0b"), LONG).await;
        let value = Some(Bytes::from_static(b"\xff\0b"));
        assert_eq!(state.get(&key).await, value);
        let keys = [other.clone(), key.clone(), key.clone()];
        assert_eq!(state.many(&keys).await, [None, value.clone(), value]);
        assert_eq!(state.many(&[]).await, []);
        assert!(state.delete(&key).await);
        assert_eq!(state.get(&key).await, None);
        state.set(&other, text("a"), Duration::MAX).await;
        assert_eq!(state.get(&other).await, Some(text("a")));
        state.set(&other, text("b"), Duration::ZERO).await;
        assert_eq!(state.get(&other).await, None, "a time of zero deletes");
    });
}

#[test]
fn values_expire() {
    on_both(async |place| {
        let (state, short, long) = (&place.state, key(), key());
        state.set(&long, text("a"), LONG).await;
        state.set(&short, text("b"), LONG).await;
        state
            .set(&short, text("b"), Duration::from_millis(30))
            .await;
        place
            .until("it expires", async || state.get(&short).await.is_none())
            .await;
        let keys = [short.clone(), long];
        assert_eq!(state.many(&keys).await, [None, Some(text("a"))]);
        assert!(!state.delete(&short).await, "what expired is not there");
    });
}

#[test]
fn cool_downs_are_never_shortened() {
    on_both(async |place| {
        let (state, key, now) = (&place.state, key(), place.now_ms());
        let stands = async || unix_ms(&state.get(&key).await.unwrap_or_default());
        let (soon, late) = (now + 40_000, now + 50_000);
        assert_eq!(state.set_if_later(&key, now - 1).await, now - 1);
        assert_eq!(stands().await, None, "it has passed");
        for (until, expected) in [(soon, soon), (late, late), (soon, late), (now - 1, late)] {
            assert_eq!(state.set_if_later(&key, until).await, expected, "{until}");
            assert_eq!(stands().await, Some(expected), "{until}");
        }
        let far = state.set_if_later(&key, i64::MAX).await;
        assert!(late < far && far < i64::MAX, "bounded: {far}");
        state.set(&key, text("0x7fffffffffff"), LONG).await;
        assert_eq!(
            state.set_if_later(&key, soon).await,
            soon,
            "no moment stands there"
        );
    });
}

#[test]
fn what_is_told_arrives_though_nobody_waits() {
    on_both(async |place| {
        let (state, value, cool) = (&place.state, key(), key());
        let until = place.now_ms() + 40_000;
        state.tell(&value, text("a"), LONG);
        state.tell_if_later(&cool, until);
        state.tell_if_later(&cool, until - 1);
        state.tell_if_later(&cool, until + 1);
        let expected = [Some(text("a")), Some(text(&(until + 1).to_string()))];
        let keys = [value, cool];
        place
            .until("it is there", async || state.many(&keys).await == expected)
            .await;
    });
}

#[test]
fn cool_downs_end_by_themselves() {
    on_both(async |place| {
        let (state, key, until) = (&place.state, key(), place.now_ms() + 30);
        state.set_if_later(&key, until).await;
        place
            .until("it ends", async || state.get(&key).await.is_none())
            .await;
        assert!(until <= place.now_ms());
    });
}

#[test]
fn rates_are_held() {
    on_both(async |place| {
        let (state, key) = (&place.state, key());
        state
            .set(&key, text("a value of the same name"), LONG)
            .await;
        for number in 0..3 {
            assert_eq!(state.take(&key, 3).await, Taken::Yes, "{number}");
        }
        let Taken::No { retry_in } = state.take(&key, 3).await else {
            panic!("a fourth in one second");
        };
        assert!(
            Duration::ZERO < retry_in && retry_in <= SECOND,
            "{retry_in:?}"
        );
        assert_eq!(state.take(&key, 4).await, Taken::Yes, "a higher limit");
        assert_eq!(state.take(&key, 0).await, Taken::Yes, "no limit");
        let refused_at = place.clock.now();
        place
            .until("it is free", async || {
                state.take(&key, 3).await == Taken::Yes
            })
            .await;
        assert!(place.clock.now() - refused_at <= SECOND + LIMIT / 4);
    });
}

/// Threads of two instances take what they can. What Redis gave at a moment was asked for before and known after it.
#[test]
fn two_instances_agree_on_rates() {
    const PER_SECOND: usize = 20;
    let server = redis::shared();
    let key = key();
    let deadline = Instant::now() + LIMIT;
    let given = std::sync::Mutex::new(Vec::new());
    let count = || given.lock().expect("no holder panics").len();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (given, key) = (&given, &key);
            scope.spawn(move || {
                block_on(async {
                    let state = connected(server).await;
                    while count() <= PER_SECOND && Instant::now() < deadline {
                        let asked = Instant::now();
                        if state.take(key, 20).await == Taken::Yes {
                            let span = (asked, Instant::now());
                            given.lock().expect("no holder panics").push(span);
                        }
                    }
                    assert_eq!(state.health().errors, 0);
                });
            });
        }
    });
    let mut given = given.into_inner().expect("no holder panics");
    given.sort_by_key(|(_, known)| *known);
    assert!(PER_SECOND < given.len(), "{} given", given.len());
    for span in given.windows(PER_SECOND + 1) {
        let asked = span.iter().map(|(asked, _)| *asked).min().expect("some");
        let known = span[PER_SECOND].1;
        assert!(SECOND <= known - asked, "{:?}", known - asked);
    }
}

#[test]
fn two_instances_agree_on_cool_downs_and_values() {
    block_on(async {
        let (one, other) = (
            connected(redis::shared()).await,
            connected(redis::shared()).await,
        );
        let (key, session) = (key(), key());
        let now = Clock::machine().wall_us() / 1000;
        let times: Vec<i64> = (1..=20)
            .map(|number| now + 30_000 + number * 7_919 % 20_000)
            .collect();
        let set = times.iter().enumerate().map(|(number, until)| {
            let state = if number % 2 == 0 { &one } else { &other };
            state.set_if_later(&key, *until)
        });
        futures_util::future::join_all(set).await;
        one.set(&session, text("one"), LONG).await;
        let latest = times.iter().max().expect("some").to_string();
        let expected = [Some(text(&latest)), Some(text("one"))];
        assert_eq!(other.many(&[key, session.clone()]).await, expected);
        assert!(other.delete(&session).await);
        assert_eq!(one.get(&session).await, None);
    });
}

#[test]
fn an_empty_url_is_memory_and_others_say_what_is_wrong() {
    let open = |url| aiproxy::shared_state::open(url, RedisOptions::default(), Clock::machine());
    assert!(!open("").expect("memory").health().degraded);
    let error = open("http://u:canary@h").expect_err("no Redis").to_string();
    assert!(
        error.contains("redis://") && !error.contains("canary"),
        "{error}"
    );
}
