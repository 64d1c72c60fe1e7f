//! F69: Redis that is away, slow, full, a replica, emptied, or not for us. No call waits long, none fails, and what was
//! written meanwhile is there afterwards.

use std::time::{Duration, Instant};

use aiproxy::clock::Clock;
use aiproxy::shared_state::{CALL_LIMIT, Health, Redis, RedisOptions, SharedState, Taken, unix_ms};
use futures_util::FutureExt;
use futures_util::future::{join, pending};
use tokio::time::timeout;

use super::{LONG, connected, key, start, start_with, text, wait_degraded};
use crate::support::db::block_on;
use crate::support::gateway::wait_until;
use crate::support::redis::{Server, free_port};
use crate::support::signal::LIMIT;
use crate::support::tls_upstream::Authority;

/// The answer of a call that does not wait.
#[track_caller]
fn at_once<T>(call: impl Future<Output = T>) -> T {
    call.now_or_never().expect("an answer at once")
}

/// Every kind of call, answered by this instance's memory.
#[track_caller]
fn answers_from_memory(state: &Redis) {
    let (value, cool) = (key(), key());
    let until = in_30_s();
    at_once(state.set(&value, text("a"), LONG));
    assert_eq!(at_once(state.get(&value)), Some(text("a")));
    assert_eq!(at_once(state.set_if_later(&cool, until)), until);
    assert_eq!(at_once(state.set_if_later(&cool, until - 1)), until);
    let expected = [Some(text("a")), Some(text(&until.to_string()))];
    assert_eq!(at_once(state.many(&[value.clone(), cool])), expected);
    assert!(at_once(state.delete(&value)));
    assert_eq!(at_once(state.take(&value, 1)), Taken::Yes);
    assert!(matches!(at_once(state.take(&value, 1)), Taken::No { .. }));
    assert!(state.health().degraded);
}

fn in_30_s() -> i64 {
    Clock::machine().wall_us() / 1000 + 30_000
}

#[test]
fn f69_a_call_ends_in_time() {
    assert_eq!(CALL_LIMIT, Duration::from_millis(50));
    let server = Server::start(&[]);
    block_on(async {
        let state = start_with(&server.url, RedisOptions::default());
        wait_degraded(&state, false).await;
        server.pause();
        // A timer of the same length beside it: a machine that is busy delays both.
        let timer = async {
            assert!(timeout(CALL_LIMIT, pending::<()>()).await.is_err());
            Instant::now()
        };
        let call = async { (state.get("a").await, Instant::now()) };
        let ((value, call_end), timer_end) = join(call, timer).await;
        let late = call_end.saturating_duration_since(timer_end);
        assert!(late < Duration::from_millis(10), "{late:?} over its limit");
        assert_eq!(value, None);
        let expected = Health {
            degraded: true,
            errors: 1,
        };
        assert_eq!(state.health(), expected);
        answers_from_memory(&state);
    });
}

#[test]
fn f69_a_redis_that_hangs() {
    let server = Server::start(&[]);
    block_on(async {
        let options = RedisOptions {
            call_limit: Duration::from_millis(700),
            ..RedisOptions::default()
        };
        let state = start_with(&server.url, options);
        wait_degraded(&state, false).await;
        let [kept, deleted, session, cool] = [key(), key(), key(), key()];
        let until = in_30_s();
        state.set(&kept, text("before"), LONG).await;
        state.set(&deleted, text("before"), LONG).await;
        assert_eq!(state.health(), Health::default());
        server.pause();

        assert_eq!(
            state.get(&kept).await,
            Some(text("before")),
            "what this instance wrote it knows"
        );
        assert_eq!(state.health().errors, 1);
        answers_from_memory(&state);
        state.set(&session, text("meanwhile"), LONG).await;
        state.delete(&deleted).await;
        state.set_if_later(&cool, until).await;
        server.resume();
        wait_degraded(&state, false).await;
        let other = connected(&server).await;
        let keys = [kept, deleted, session, cool];
        let expected = [
            Some(text("before")),
            None,
            Some(text("meanwhile")),
            Some(text(&until.to_string())),
        ];
        assert_eq!(other.many(&keys).await, expected);
        let ttl: i64 = server.run(&format!("PTTL aiproxy:value:{}", keys[2]));
        assert!(0 < ttl && ttl <= 60_000, "{ttl}");
    });
}

#[test]
fn f69_a_redis_that_dies_and_comes_back() {
    let server = Server::start(&[]);
    block_on(async {
        let (state, other) = (connected(&server).await, connected(&server).await);
        let (lost, cool) = (key(), key());
        let until = in_30_s();
        state.set(&lost, text("a"), LONG).await;
        server.kill();
        // The end of the connection is noticed without a call.
        wait_degraded(&state, true).await;
        wait_degraded(&other, true).await;
        answers_from_memory(&state);
        assert_eq!(state.get(&lost).await, Some(text("a")));
        state.set_if_later(&cool, until).await;
        other.set_if_later(&cool, until - 5).await;
        server.restart();
        wait_degraded(&state, false).await;
        wait_degraded(&other, false).await;
        let stands = other.get(&cool).await.unwrap_or_default();
        assert_eq!(unix_ms(&stands), Some(until), "whoever was there first");
        assert_eq!(state.get(&lost).await, None, "written before it died");
        assert_ne!(state.health().errors, 0);
    });
}

#[test]
fn f69_a_redis_that_was_not_there_at_the_start() {
    let server = Server::start(&[]);
    server.kill();
    block_on(async {
        let state = start(&server.url);
        answers_from_memory(&state);
        let session = key();
        state.set(&session, text("early"), LONG).await;
        server.restart();
        wait_degraded(&state, false).await;
        let stored: String = server.run(&format!("GET aiproxy:value:{session}"));
        assert_eq!(stored, "early");
    });
}

/// More than goes out in one round trip.
#[test]
fn all_that_is_owed_is_written() {
    const COUNT: usize = 1_234;
    let server = Server::start(&[]);
    server.pause();
    block_on(async {
        let state = start(&server.url);
        for number in 0..COUNT {
            state.set(&number.to_string(), text("a"), LONG).await;
        }
        server.resume();
        wait_degraded(&state, false).await;
        let keys: Vec<String> = (0..COUNT)
            .map(|number| format!("aiproxy:value:{number}"))
            .collect();
        let stored: usize = server.run(&format!("EXISTS {}", keys.join(" ")));
        assert_eq!(stored, COUNT);
    });
}

#[test]
fn f69_a_redis_that_was_emptied() {
    let server = Server::start(&[]);
    block_on(async {
        let state = connected(&server).await;
        let (value, cool) = (key(), key());
        let until = in_30_s();
        state.set(&value, text("a"), LONG).await;
        state.set_if_later(&cool, until).await;
        assert_eq!(state.take(&value, 1).await, Taken::Yes);
        for command in ["FLUSHALL", "SCRIPT FLUSH"] {
            server.run::<()>(command);
        }
        assert_eq!(
            state.many(&[value.clone(), cool.clone()]).await,
            [None, None]
        );
        assert_eq!(state.take(&value, 1).await, Taken::Yes, "rates begin anew");
        assert_eq!(state.set_if_later(&cool, until - 9).await, until - 9);
        assert_eq!(state.health(), Health::default());
    });
}

#[test]
fn f69_a_redis_that_takes_no_writes() {
    for (wrong, right) in [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
    ] {
        let server = Server::start(&[]);
        block_on(async {
            let state = connected(&server).await;
            let session = key();
            server.run::<()>(wrong);
            state.set(&session, text("a"), LONG).await;
            assert!(state.health().degraded, "{wrong}");
            answers_from_memory(&state);
            server.run::<()>(right);
            wait_degraded(&state, false).await;
            assert_eq!(state.get(&session).await, Some(text("a")), "{wrong}");
        });
    }
}

#[test]
fn f69_a_redis_that_is_not_for_us() {
    for options in [["--cluster-enabled", "yes"], ["--requirepass", "canary"]] {
        let server = Server::start(&options);
        block_on(async {
            let state = start(&server.url);
            wait_errors(&state, 2);
            answers_from_memory(&state);
        });
    }
}

fn wait_errors(state: &Redis, count: u64) {
    wait_until("it fails", || count <= state.health().errors);
}

/// What another put under our name concerns that key alone.
#[test]
fn a_key_of_another_kind() {
    let server = Server::start(&[]);
    block_on(async {
        let state = connected(&server).await;
        let key = key();
        server.run::<()>(&format!("RPUSH aiproxy:value:{key} a"));
        server.run::<()>(&format!("SET aiproxy:rate:{key} a"));
        assert_eq!(state.get(&key).await, None);
        assert_eq!(state.take(&key, 1).await, Taken::Yes);
        let expected = Health {
            degraded: false,
            errors: 2,
        };
        assert_eq!(state.health(), expected);
    });
}

#[test]
fn tls_and_a_password() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (chain, key_file) = authority.server_files();
    let tls_port = free_port().to_string();
    let [chain, key_file, ca] =
        [&chain, &key_file, &authority.file()].map(|path| path.display().to_string());
    let server = Server::start(&[
        "--tls-port",
        &tls_port,
        "--tls-auth-clients",
        "no",
        "--requirepass",
        "canary#1",
        "--tls-cert-file",
        &chain,
        "--tls-key-file",
        &key_file,
        "--tls-ca-cert-file",
        &ca,
    ]);
    let url = |password| format!("rediss://:{password}@localhost:{tls_port}/3");
    block_on(async {
        let started = |password, authority: &Authority| {
            let options = RedisOptions {
                ca_cert: Some(authority.file()),
                call_limit: LIMIT,
            };
            start_with(&url(password), options)
        };
        let (state, session) = (started("canary%231", &authority), key());
        wait_degraded(&state, false).await;
        state.set(&session, text("a"), LONG).await;
        assert_eq!(state.take(&session, 1).await, Taken::Yes);
        assert_eq!(state.health(), Health::default());
        for refused in [
            started("canary%232", &authority),
            started("canary%231", &stranger),
        ] {
            wait_errors(&refused, 2);
            answers_from_memory(&refused);
            assert!(!format!("{refused:?}").contains("canary"));
        }
        assert!(!format!("{state:?}").contains("canary"));
        let plain = server.url.replace("//", "//:canary%231@") + "/3";
        let plain = start(&plain);
        wait_degraded(&plain, false).await;
        assert_eq!(
            plain.get(&session).await,
            Some(text("a")),
            "the same database"
        );
    });
}
