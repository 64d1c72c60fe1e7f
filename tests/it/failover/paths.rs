//! Calls without a body of ours: whom they go to by the model in the path, and what a redirect is to whoever gave it.

use super::{seen, wire};
use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{TestGateway, Wanted, wait_until};
use crate::support::wire::json;

#[test]
fn each_target_is_asked_by_its_own_name_of_the_model_in_the_path() {
    let bad = || wire("500 No", "", "{}").into_bytes();
    let list = json(200, "connection: close\r\n", r#"{"data":[{"id":"m"}]}"#);
    let script = |answer| vec![Step::ReadRequest, Step::Send(answer), Step::ReadToEnd];
    let first = FakeUpstream::answering(bad());
    let second = FakeUpstream::start([list, bad()].map(script).into());
    let third = FakeUpstream::answering(wire("200 OK", "", "{}"));
    let entry = |name: &str, upstream: &FakeUpstream, more: &str| {
        let url = upstream.base_url();
        format!(
            "  - {{ name: {name}, kind: openai, base_url: \"{url}\", {more}, api_keys: [{{ key: sk-other-0123456789 }}] }}\n"
        )
    };
    let listed = "models: { list: [lab/m] }";
    let discovered = "prefix: lab, models: { discover: true }";
    let others = entry("b", &second, discovered) + &entry("c", &third, listed);
    let gateway = TestGateway::with(Wanted {
        upstream: Some(first.base_url()),
        provider: format!("    {listed}\n{others}"),
        yaml: "routing: { strategy: priority }\n".to_owned(),
        ..Wanted::default()
    });
    wait_until("the list is there", || {
        gateway.metric("discovery_models{provider=\"b\"}") == 1.0
    });
    let answer = gateway.get("/v1/models/lab%2Fm");
    assert_eq!(seen(&answer), (200, Some("c"), Some("3")));
    for (upstream, connection, path) in [
        (&first, 0, "/v1/models/lab%2Fm"),
        (&second, 1, "/v1/models/m"),
        (&third, 0, "/v1/models/lab%2Fm"),
    ] {
        let sent = String::from_utf8(upstream.received(connection)).expect("text");
        assert!(sent.starts_with(&format!("GET {path} ")), "{sent}");
    }
    assert_eq!(gateway.row().record.path, "/v1/models/lab%2Fm");
}

/// What is called may be elsewhere, which says nothing of whoever says so. A text that is elsewhere is none.
#[test]
fn f27_a_redirect_of_a_passing_call_harms_nobody() {
    for (path, health) in [("/v1/files", 1.0), ("/v1/chat/completions", 0.5)] {
        let upstream = FakeUpstream::answering(wire("302 No", "location: /else\r\n", "{}"));
        let gateway = TestGateway::with(Wanted {
            upstream: Some(upstream.base_url()),
            ..Wanted::default()
        });
        for _ in 0..4 {
            let answer = gateway.post(path, r#"{"model":"m","messages":[]}"#);
            assert_eq!(answer.status, 502, "{path}");
        }
        let metric = r#"upstream_health{upstream="openai"}"#;
        assert_eq!(gateway.metric(metric), health, "{path}");
        let mut rows = gateway.rows().into_iter();
        assert!(rows.all(|row| row.record.outcome == "upstream_error"));
    }
}
