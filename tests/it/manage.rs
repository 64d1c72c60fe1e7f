//! The data port's paths about providers, models and choices: shapes, errors, and that nothing comes of a question.

mod decide;
mod health;
mod lists;

use serde_json::{Value, json};

use crate::client_faults::assert_error;
use crate::support::canary::assert_clean;
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{PROVIDER_KEY, TestGateway, Wanted};
use crate::support::raw_client::{RawResponse, exchange};
use crate::support::wire::WHOLE;

const SECOND_KEY: &str = "sk-canary-second-0123456789abcdef";
const HEADER_VALUE: &str = "canary-header-value-31415926";

const INVALID: &str = "invalid_request_error";

/// An answer of an upstream, on a connection of its own.
fn wire(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn well() -> FakeUpstream {
    FakeUpstream::answering(wire("200 OK", WHOLE))
}

/// Logical models over the providers `openai` (in `eu`) and `b` (in `us`), in several ways.
const MODELS: &str = "models:
  fast:
    strategy: priority
    description: quick answers
    targets:
      - { provider: openai, model: model-a, weight: 3 }
      - { provider: b, model: model-b, tier: 1 }
  fair:
    targets: [{ provider: openai, model: model-a }, { provider: b, model: model-b }]
  team/blue:
    targets:
      - { provider: openai, model: model-a, when: { headers: { x-team: \"blue*\" }, tags: { run: \"7\" } } }
      - { provider: b, model: model-b, when: { min_prompt_bytes: 100 } }
prices:
  model-a: { input_usd_per_mtok: 4, output_usd_per_mtok: 8 }
  model-b: { input_usd_per_mtok: 1, output_usd_per_mtok: 1 }
";

/// A gateway with these two upstreams behind `openai` and `b`; both have `shared`.
fn pair_at(first: &str, second: &str, more: &str) -> TestGateway {
    TestGateway::with(Wanted {
        upstream: Some(first.to_owned()),
        provider: format!(
            "    region: eu\n    models: {{ list: [model-a, shared], allow: [\"gpt-*\"], deny: [gpt-no] }}\n    headers: {{ x-fixed: {HEADER_VALUE} }}\n  - name: b\n    kind: openai\n    base_url: {second}\n    region: us\n    models: {{ list: [model-b, shared] }}\n    api_keys: [{{ key: {SECOND_KEY}, name: second, max_rps: 500 }}]\n"
        ),
        yaml: format!("{MODELS}{more}"),
        ..Wanted::default()
    })
}

fn pair(first: &FakeUpstream, second: &FakeUpstream) -> TestGateway {
    pair_at(&first.base_url(), &second.base_url(), "")
}

/// A gateway whose upstreams nobody asks.
fn quiet() -> TestGateway {
    pair_at("http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1", "")
}

/// What a path answers.
#[track_caller]
fn get(gateway: &TestGateway, path: &str) -> Value {
    let answer = gateway.get(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("x-aiproxy-request-id").is_some(), "{path}");
    answer.json()
}

/// The names of an object's members.
fn members(value: &Value) -> Vec<&str> {
    let object = value.as_object().expect("an object");
    object.keys().map(String::as_str).collect()
}

/// The texts at one member of each item of a list.
fn texts<'a>(list: &'a Value, member: &str) -> Vec<&'a str> {
    let items = list.as_array().expect("a list").iter();
    items
        .map(|item| item[member].as_str().expect("a text"))
        .collect()
}

/// Every path that is read, with what it names.
const PATHS: &[&str] = &[
    "/v1/endpoints",
    "/v1/models_detailed",
    "/providers",
    "/providers/",
    "/providers/openai",
    "/providers/b",
    "/providers/openai/models",
    "/providers/openai/health",
    "/providers/openai/metrics",
    "/providers/openai/metrics?logical_model=fast",
    "/logical-models",
    "/logical-models/fast",
    "/logical-models/fast/upstreams",
    "/logical-models/team/blue",
    "/logical-models/team%2Fblue",
    "/logical-models/team/blue/upstreams",
    "/logical-models/team%2Fblue/upstreams",
    "/logical-models/shared",
];

#[test]
fn every_path_answers_by_its_own_method_and_leaves_no_row() {
    let gateway = quiet();
    for path in PATHS {
        get(&gateway, path);
        let posted = gateway.post(path, "{}");
        assert_error(&posted, 405, INVALID, "method_not_allowed");
        assert_eq!(posted.header("allow"), Some("GET, HEAD"), "{path}");
        let head = gateway.send("HEAD", path, "connection: close\r\n", b"");
        assert_eq!(head.status, 200, "{path}");
    }
    let got = gateway.get("/routing/decide");
    assert_error(&got, 405, INVALID, "method_not_allowed");
    assert_eq!(got.header("allow"), Some("POST"));
    assert!(gateway.rows().is_empty());
}

#[test]
fn a_page_that_points_its_name_at_loopback_reads_nothing() {
    let gateway = quiet();
    let asked = |path: &str, host: &str| {
        let sent = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
        exchange(gateway.data, sent.into_bytes()).status
    };
    let port = gateway.data.port();
    for path in PATHS {
        assert_eq!(asked(path, &format!("evil.example:{port}")), 403, "{path}");
    }
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        assert_eq!(
            asked("/providers", &format!("{host}:{port}")),
            200,
            "{host}"
        );
    }
    assert_eq!(
        asked("/v1/models", "proxy.example"),
        200,
        "a call as before"
    );
}

#[test]
fn what_is_not_there_is_404_in_the_clients_words() {
    let gateway = quiet();
    for path in [
        "/providers/nobody",
        "/providers/nobody/models",
        "/providers/nobody/health",
        "/providers/nobody/metrics",
        "/providers/nobody/metrics?logical_model=fast",
        "/providers/openai/keys",
        "/providers/openai/models/model-a",
        "/logical-models/nothing",
        "/logical-models/nothing/upstreams",
        "/logical-models/gpt-no",
        "/routing",
        "/routing/else",
    ] {
        assert_error(&gateway.get(path), 404, INVALID, "not_found");
    }
    let told = gateway.get("/providers/no%20one").json();
    assert_eq!(told["error"]["message"], "there is no provider 'no one'");
    let bad = gateway.get("/logical-models/a%2F..%2Fb");
    assert_error(&bad, 400, INVALID, "invalid_target");
    assert!(gateway.rows().is_empty());
}

#[test]
fn two_different_keys_are_refused_here_too() {
    let gateway = quiet();
    let headers = "authorization: Bearer sk-one\r\nx-api-key: sk-two\r\n";
    let answer = gateway.send("GET", "/providers", headers, b"");
    assert_error(&answer, 400, INVALID, "conflicting_credentials");
}

#[test]
fn p6_no_answer_holds_a_key_or_a_header_of_a_provider() {
    let refused = FakeUpstream::answering(wire("401 No", r#"{"error":{"message":"no"}}"#));
    let good = well();
    let gateway = pair(&refused, &good);
    assert_eq!(gateway.chat("fast", "").status, 200);
    let mut answers: Vec<RawResponse> = PATHS.iter().map(|path| gateway.get(path)).collect();
    for body in [
        r#"{"logical_model":"fast"}"#,
        r#"{"logical_model":"none"}"#,
        r#"{"logical_model":"fast","exclude_providers":["openai","b"]}"#,
    ] {
        answers.push(gateway.post("/routing/decide", body));
    }
    for answer in &answers {
        for secret in [PROVIDER_KEY, SECOND_KEY, HEADER_VALUE] {
            assert_clean("an answer's head", answer.head.as_bytes(), secret);
            assert_clean("an answer", &answer.body, secret);
        }
    }
}

#[test]
fn apiproxy_providers() {
    let gateway = quiet();
    let all = get(&gateway, "/providers");
    assert_eq!(all["total"], 2);
    assert_eq!(texts(&all["providers"], "id"), ["openai", "b"]);
    let one = get(&gateway, "/providers/openai");
    assert_eq!(one, all["providers"][0]);
    let expected = json!({
        "id": "openai", "name": "openai", "kind": "openai", "dialects": ["openai", "azure"],
        "base_url": "http://127.0.0.1:1/v1", "transport": "http", "weight": 1.0, "region": "eu",
        "retryable_status_codes": [429, "500-599"], "custom_headers": ["x-fixed"],
        "static_models": ["model-a", "shared"], "allow": ["gpt-*"], "deny": ["gpt-no"],
        "keys": [{
            "label": "primary", "weight": 1.0, "max_qps": null, "status": "active",
            "cooling_down": null, "failures": 0, "picks": 0,
        }],
        "status": "unknown", "last_check": null,
    });
    assert_eq!(one, expected);
    let other = get(&gateway, "/providers/b");
    assert_eq!(other["keys"][0]["max_qps"], 500);
}

#[test]
fn apiproxy_logical_models() {
    let gateway = quiet();
    let all = get(&gateway, "/logical-models");
    assert_eq!(all["total"], 3);
    assert_eq!(
        texts(&all["models"], "logical_id"),
        ["fast", "fair", "team/blue"]
    );
    let fast = get(&gateway, "/logical-models/fast");
    assert_eq!(fast, all["models"][0]);
    for (member, value) in [
        ("logical_id", json!("fast")),
        ("display_name", json!("fast")),
        ("description", json!("quick answers")),
        ("capabilities", Value::Null),
        ("strategy", json!("priority")),
        ("sticky", json!(true)),
        ("is_configured", json!(true)),
        ("enabled", json!(true)),
        ("updated_at", Value::Null),
    ] {
        assert_eq!(fast[member], value, "{member}");
    }
    let first = json!({
        "provider_id": "openai", "model_id": "model-a", "kind": "openai",
        "endpoint": "http://127.0.0.1:1/v1/chat/completions", "base_weight": 3.0, "tier": 0,
        "region": "eu", "max_qps": null, "meta_hash": null, "updated_at": null,
        "is_translated": false, "has_conditions": false, "price_usd_per_mtok": 5.0,
    });
    assert_eq!(fast["upstreams"][0], first);
    let upstreams = get(&gateway, "/logical-models/fast/upstreams");
    assert_eq!(upstreams, json!({ "upstreams": fast["upstreams"] }));
    assert_eq!(upstreams["upstreams"][1]["max_qps"], 500);
    for path in ["/logical-models/team/blue", "/logical-models/team%2Fblue"] {
        let model = get(&gateway, path);
        assert_eq!(model["logical_id"], "team/blue");
        let upstreams = get(&gateway, &format!("{path}/upstreams"));
        assert_eq!(upstreams["upstreams"], model["upstreams"]);
        assert_eq!(upstreams["upstreams"][0]["has_conditions"], true);
    }
}

#[test]
fn apiproxy_logical_models_of_names_that_providers_list() {
    let gateway = quiet();
    for (name, providers) in [
        ("shared", &["openai", "b"][..]),
        ("model-b", &["b"]),
        ("gpt-x", &["openai"]),
    ] {
        let model = get(&gateway, &format!("/logical-models/{name}"));
        assert_eq!(model["is_configured"], false, "{name}");
        assert_eq!(texts(&model["upstreams"], "provider_id"), providers);
        assert_eq!(model["upstreams"][0]["model_id"], name);
    }
}
