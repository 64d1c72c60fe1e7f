//! Several gateways with one Redis: they agree on sessions, rates and cool-downs, and none needs it.

mod lists;

use std::time::{Duration, Instant};

use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{TestGateway, Wanted, wait_until};
use crate::support::redis::{Server, shared};
use crate::support::two_targets::{PRIORITY, answer, answering, ask, gateway, seen, well};

/// The section of a gateway that shares through this server.
fn section(server: &Server) -> String {
    format!("redis: {{ url: \"{}\" }}\n", server.url)
}

fn wait_shares(gateway: &TestGateway, shares: bool) {
    wait_until("the gateway says whether it shares", || {
        (gateway.metric("shared_state_degraded") == 0.0) == shares
    });
}

/// An id or name that no other test has on the same server.
fn own_name() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// Two gateways that share, in front of the same targets.
fn two(server: &Server, a: &FakeUpstream, b: &FakeUpstream) -> [TestGateway; 2] {
    let more = section(server);
    let both = [(); 2].map(|()| gateway(a, b, PRIORITY, &more));
    both.iter().for_each(|gateway| wait_shares(gateway, true));
    both
}

#[test]
fn gateways_agree_on_sessions() {
    let (no, yes) = (answer("500 No", ""), answer("200 OK", ""));
    let (a, b) = (answering(&[&no, &yes]), well());
    let server = Server::start(&[]);
    let [one, other] = two(&server, &a, &b);
    let session = own_name();
    assert_eq!(seen(&ask(&one, &session)), (200, Some("b"), Some("2")));
    let path = format!("/routing/sessions/{session}");
    wait_until("the other knows the session", || {
        other.get(&path).status == 200
    });
    assert_eq!(seen(&ask(&other, &session)), (200, Some("b"), Some("1")));
    let unknown = ask(&other, &own_name());
    assert_eq!(seen(&unknown), (200, Some("openai"), Some("1")));
    assert_eq!(other.send("DELETE", &path, "", b"").status, 204);
    assert_eq!(seen(&ask(&one, &session)).1, Some("openai"));
}

#[test]
fn gateways_keep_a_keys_rate_together() {
    let upstream = well();
    let key = own_name();
    let start = || {
        let gateway = TestGateway::with(Wanted {
            upstream: Some(upstream.base_url()),
            no_key: true,
            provider: format!(
                "    api_keys: [{{ key: sk-limited-0123456789, name: {key}, max_rps: 3 }}]\n"
            ),
            yaml: section(shared()),
            ..Wanted::default()
        });
        wait_shares(&gateway, true);
        gateway
    };
    let both = [start(), start()];
    let before = Instant::now();
    let mut answered = 0;
    for _ in 0..6 {
        for gateway in &both {
            match gateway.chat("m", "").status {
                200 => answered += 1,
                status => assert_eq!(status, 429),
            }
        }
    }
    let seconds = before.elapsed().as_secs();
    assert!(
        (3..=3 * (seconds + 1)).contains(&answered),
        "{answered} in {seconds} s"
    );
    assert_eq!(upstream.requests() as u64, answered);
}

#[test]
fn gateways_tell_each_other_of_keys_that_cool_down() {
    let limited = answer("429 No", "retry-after: 60\r\n");
    let upstream = answering(&[&limited, &answer("200 OK", "")]);
    let (first, spare) = (own_name(), own_name());
    let start = || {
        TestGateway::with(Wanted {
            upstream: Some(upstream.base_url()),
            no_key: true,
            provider: format!(
                "    key_selection: round_robin\n    api_keys:\n      - {{ key: sk-first-0123456789, name: {first} }}\n      - {{ key: sk-spare-0123456789, name: {spare} }}\n"
            ),
            yaml: section(shared()),
            ..Wanted::default()
        })
    };
    let both = [start(), start()];
    both.iter().for_each(|gateway| wait_shares(gateway, true));
    let [one, other] = &both;
    let states = |gateway: &TestGateway| {
        let keys = gateway.get("/providers/openai").json()["keys"].clone();
        let keys = keys.as_array().expect("keys").iter();
        let states = keys.map(|key| key["status"].as_str().expect("a word").to_owned());
        states.collect::<Vec<_>>()
    };
    assert_eq!(states(other), ["active", "active"]);
    assert_eq!(one.chat("m", "").status, 200);
    assert_eq!(states(one), ["cooling_down", "active"]);
    wait_until("the other hears of it", || {
        states(other) == ["cooling_down", "active"]
    });
    for _ in 0..2 {
        assert_eq!(other.chat("m", "").status, 200);
    }
    for row in other.rows() {
        assert_eq!(row.record.provider_key.as_ref(), Some(&spare));
    }
}

#[test]
fn gateways_tell_each_other_of_targets_that_rest() {
    let down = answer("503 No", "retry-after: 60\r\n");
    let (a, b) = (answering(&[&down, &answer("200 OK", "")]), well());
    let server = Server::start(&[]);
    let [one, other] = two(&server, &a, &b);
    assert_eq!(seen(&other.chat("fast", "")).1, Some("b"), "it fails there");
    // The other one's own trouble is known; this one has none but what it hears.
    wait_until("it hears of it", || {
        seen(&one.chat("fast", "")) == (200, Some("b"), Some("1"))
    });
}

/// Asks in a session again and again until told to stop, and gives the slowest time. Every answer is well.
fn load(gateway: &TestGateway, faults: impl FnOnce()) -> Duration {
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let asks = || {
        let mut slowest = Duration::ZERO;
        while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
            let before = Instant::now();
            assert_eq!(seen(&ask(gateway, "s")), (200, Some("openai"), Some("1")));
            slowest = slowest.max(before.elapsed());
        }
        slowest
    };
    std::thread::scope(|scope| {
        let clients = [scope.spawn(asks), scope.spawn(asks)];
        faults();
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        let slowest = clients.map(|client| client.join().expect("a client's end"));
        slowest.into_iter().max().unwrap_or_default()
    })
}

#[test]
fn f69_nobody_waits_for_redis() {
    let upstream = well();
    let server = Server::start(&[]);
    // Each request asks for its session and for one of its key's rate.
    let gateway = TestGateway::with(Wanted {
        upstream: Some(upstream.base_url()),
        no_key: true,
        provider: "    api_keys: [{ key: sk-limited-0123456789, name: k, max_rps: 5000 }]\n"
            .to_owned(),
        yaml: section(&server),
        ..Wanted::default()
    });
    wait_shares(&gateway, true);
    let slowest = load(&gateway, || {
        server.pause();
        wait_shares(&gateway, false);
        let before = upstream.requests();
        wait_until("requests go on", || before + 20 < upstream.requests());
        server.resume();
        wait_shares(&gateway, true);
        server.kill();
        wait_shares(&gateway, false);
        server.restart();
        wait_shares(&gateway, true);
        let (): () = server.run("FLUSHALL");
        let before = upstream.requests();
        wait_until("requests go on", || before + 20 < upstream.requests());
    });
    // The limit is 50 ms (`shared_state::faults`); a busy machine adds some of its own.
    assert!(slowest < Duration::from_millis(750), "{slowest:?}");
    assert!(0.0 < gateway.metric("shared_state_errors_total"));
    assert!(gateway.rows().iter().all(|row| row.record.outcome == "ok"));
}

#[test]
fn f69_a_gateway_starts_without_redis() {
    let (a, b) = (well(), well());
    let server = Server::start(&[]);
    server.kill();
    let gateway = gateway(&a, &b, PRIORITY, &section(&server));
    assert_eq!(gateway.metric("shared_state_degraded"), 1.0);
    assert_eq!(seen(&ask(&gateway, "s")).1, Some("openai"));
    wait_until("the session is bound here", || {
        gateway.get("/routing/sessions/s").status == 200
    });
    server.restart();
    wait_shares(&gateway, true);
    assert_eq!(
        gateway.get("/routing/sessions/s").status,
        200,
        "it was written"
    );
}

#[test]
fn s9_what_is_shared_has_no_keys_in_it() {
    let no = answer("429 No", "retry-after: 60\r\n");
    let (a, b) = (answering(&[&no]), well());
    let server = Server::start(&[]);
    let gateway = gateway(&a, &b, PRIORITY, &section(&server));
    wait_shares(&gateway, true);
    assert_eq!(seen(&ask(&gateway, "who-am-i")).1, Some("b"));
    let names = || -> Vec<String> { server.run("KEYS *") };
    wait_until("session and cool-down are there", || {
        let names = names();
        let has = |part: &str| names.iter().any(|name| name.contains(part));
        has(":session/") && has(":bound/") && has(":key/limited/openai/primary")
    });
    for name in names() {
        assert!(
            !name.contains("who-am-i") && !name.contains("sk-"),
            "{name}"
        );
    }
}
