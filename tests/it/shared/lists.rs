//! Lists of models that gateways show each other: a provider is asked by one of them, and what stands in the shared place
//! is nobody's trouble.

use super::{section, wait_shares};
use crate::discovery::served::{DISCOVER, gateway, list, names, wait_for};
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{TestGateway, wait_until};
use crate::support::redis::{Server, free_port};

/// The lists that stand there.
fn shown(server: &Server) -> Vec<String> {
    server.run("KEYS aiproxy:value:models:*")
}

fn asking(upstream: &FakeUpstream, server: &Server) -> TestGateway {
    gateway(upstream, DISCOVER, "", &section(server))
}

/// An upstream that gives each of these lists in turn, and the last one from then on.
fn listing(lists: &[&[&str]]) -> FakeUpstream {
    FakeUpstream::start(lists.iter().map(|names| list(names)).collect())
}

#[test]
fn one_asks_for_all() {
    let upstream = listing(&[&["a", "b"], &["c"]]);
    let server = Server::start(&[]);
    let one = asking(&upstream, &server);
    wait_for(&one, "openai", 2);
    wait_until("it is shown", || shown(&server).len() == 1);
    let key = &shown(&server)[0];
    let ttl_ms: i64 = server.run(&format!("PTTL {key}"));
    assert!((1..=300_000).contains(&ttl_ms), "{ttl_ms}");
    assert!(!key.contains("sk-") && !server.run::<String>(&format!("GET {key}")).contains("sk-"));
    let others = [(); 2].map(|()| asking(&upstream, &server));
    for other in &others {
        wait_for(other, "openai", 2);
        assert_eq!(names(other, "/v1/models", ""), ["a", "b"]);
    }
    assert_eq!(upstream.connections(), 1);
    // Who asks out of turn asks the provider, and shows the others.
    others[0].running().refresh_models();
    wait_for(&others[0], "openai", 1);
    assert_eq!(upstream.connections(), 2);
    wait_until("the newer one is shown", || {
        server
            .run::<String>(&format!("GET {key}"))
            .contains(r#""id":"c""#)
    });
}

#[test]
fn what_is_no_list_of_this_provider_is_passed_over() {
    let server = Server::start(&[]);
    let first = listing(&[&["a", "b"]]);
    wait_for(&asking(&first, &server), "openai", 2);
    wait_until("it is shown", || shown(&server).len() == 1);
    let key = shown(&server).remove(0);
    let ours: String = server.run(&format!("GET {key}"));
    for foreign in [
        "nonsense".to_owned(),
        "{}".to_owned(),
        ours.replace("http://", "http://elsewhere."),
        ours.replace(r#""kind":"openai""#, r#""kind":"gemini""#),
        ours.replace(r#""id":"b""#, r#""id":"b\u0000""#),
        ours.replace(r#""fetched_at_us":1"#, r#""fetched_at_us":0"#),
        ours.replace(r#""models":[{"#, r#""models":[],"before":[{"#),
    ] {
        assert_ne!(foreign, ours);
        let before = first.connections();
        let (): () = server.run(&format!("SET {key} {foreign}"));
        let gateway = asking(&first, &server);
        wait_for(&gateway, "openai", 2);
        assert_eq!(first.connections(), before + 1, "{foreign}");
    }
}

#[test]
fn f69_lists_come_without_redis() {
    let (upstream, server) = (listing(&[&["a"]]), Server::start(&[]));
    let away = format!("redis: {{ url: \"redis://127.0.0.1:{}\" }}\n", free_port());
    let alone = gateway(&upstream, DISCOVER, "", &away);
    wait_for(&alone, "openai", 1);
    server.pause();
    let slow = asking(&upstream, &server);
    wait_for(&slow, "openai", 1);
    server.resume();
    wait_shares(&slow, true);
    assert_eq!(upstream.connections(), 2);
}
