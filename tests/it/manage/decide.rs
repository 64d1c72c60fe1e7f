//! `POST /routing/decide`: what it answers, that a request then goes where it said, and that asking changes nothing.

use serde_json::{Value, json};

use super::{INVALID, get, members, pair, pair_at, quiet, texts, well, wire};
use crate::client_faults::assert_error;
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{TestGateway, chat_body};
use crate::support::raw_client::RawResponse;

fn ask(gateway: &TestGateway, question: &Value) -> RawResponse {
    gateway.post("/routing/decide", &question.to_string())
}

#[track_caller]
fn decide(gateway: &TestGateway, question: &Value) -> Value {
    let answer = ask(gateway, question);
    assert_eq!(answer.status, 200, "{question}: {}", answer.text());
    answer.json()
}

/// Provider, and the reasons of those left out.
fn chosen(decision: &Value) -> (&str, Vec<&str>) {
    let selected = decision["selected_upstream"]["provider_id"].as_str();
    (
        selected.expect("a provider"),
        texts(&decision["left_out"], "reason"),
    )
}

#[test]
fn apiproxy_routing_decide() {
    let gateway = quiet();
    let decision = decide(&gateway, &json!({ "logical_model": "fast" }));
    assert_eq!(
        members(&decision),
        [
            "logical_model",
            "selected_upstream",
            "decision_time",
            "reasoning",
            "alternative_upstreams",
            "strategy_used",
            "all_candidates",
            "left_out",
            "endpoint",
        ]
    );
    assert_eq!(decision["logical_model"], "fast");
    assert_eq!(decision["strategy_used"], "priority");
    assert_eq!(chosen(&decision), ("openai", vec![]));
    let upstreams = get(&gateway, "/logical-models/fast/upstreams");
    assert_eq!(decision["selected_upstream"], upstreams["upstreams"][0]);
    assert_eq!(
        decision["alternative_upstreams"],
        json!([upstreams["upstreams"][1]])
    );
    assert!(
        decision["decision_time"]
            .as_f64()
            .is_some_and(|ms| (0.0..5_000.0).contains(&ms))
    );
    let reasoning = decision["reasoning"].as_str().expect("a text");
    assert!(reasoning.contains("'model-a' of the provider 'openai'"));
    let candidates = &decision["all_candidates"];
    assert_eq!(candidates[0]["upstream"], upstreams["upstreams"][0]);
    assert_eq!(candidates[0]["score"], 3.0);
    assert_eq!(candidates[0]["metrics"]["provider_id"], "openai");
    assert_eq!(candidates[0]["metrics"]["latency_p95_ms"], Value::Null);
    assert_eq!(candidates[0]["skipped"], Value::Null);
    assert_eq!(candidates[0]["keys"][0]["label"], "primary");
}

#[test]
fn apiproxy_routing_decide_takes_every_wish() {
    let gateway = quiet();
    for (question, provider, left_out) in [
        (
            json!({ "logical_model": "shared", "preferred_region": "us" }),
            "b",
            &[][..],
        ),
        (
            json!({ "logical_model": "shared", "preferred_region": "eu" }),
            "openai",
            &[],
        ),
        (
            json!({ "logical_model": "fair", "strategy": "cost_first" }),
            "b",
            &[],
        ),
        (
            json!({ "logical_model": "fast", "exclude_providers": ["openai"] }),
            "b",
            &["excluded"],
        ),
        (
            json!({ "logical_model": "fast", "exclude_providers": null, "user_id": null }),
            "openai",
            &[],
        ),
        (
            json!({ "logical_model": "team/blue", "prompt_bytes": 200 }),
            "b",
            &["condition"],
        ),
        (
            json!({ "logical_model": "team/blue", "headers": { "X-Team": "blues" }, "tags": { "run": "7" } }),
            "openai",
            &["condition"],
        ),
        (json!({ "logical_model": "b/whatever" }), "b", &[]),
        (
            json!({ "logical_model": "gpt-x", "endpoint": "embeddings" }),
            "openai",
            &[],
        ),
        (
            json!({ "logical_model": "model-b", "conversation_id": "c", "user_id": "ann" }),
            "b",
            &[],
        ),
    ] {
        let decision = decide(&gateway, &question);
        assert_eq!(
            chosen(&decision),
            (provider, left_out.to_vec()),
            "{question}"
        );
    }
    let decision = decide(
        &gateway,
        &json!({ "logical_model": "fast", "strategy": "latency_first" }),
    );
    assert_eq!(decision["strategy_used"], "latency_first");
    let decision = decide(
        &gateway,
        &json!({ "logical_model": "gpt-x", "endpoint": "embeddings" }),
    );
    let endpoint = decision["selected_upstream"]["endpoint"].as_str();
    assert!(endpoint.is_some_and(|url| url.ends_with("/v1/embeddings")));
}

#[test]
fn apiproxy_routing_decide_refuses_what_it_cannot_understand() {
    let gateway = quiet();
    for body in ["", "{", "[]", "{} {}"] {
        let answer = gateway.post("/routing/decide", body);
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.json()["error"]["type"], INVALID, "{body}");
    }
    for (question, param) in [
        (json!({}), "logical_model"),
        (json!({ "logical_model": 5 }), "logical_model"),
        (json!({ "logical_model": "" }), "logical_model"),
        (
            json!({ "logical_model": "fast", "strategy": "best" }),
            "strategy",
        ),
        (
            json!({ "logical_model": "fast", "endpoint": "files" }),
            "endpoint",
        ),
        (
            json!({ "logical_model": "fast", "exclude_providers": "openai" }),
            "exclude_providers",
        ),
        (
            json!({ "logical_model": "fast", "exclude_providers": [1] }),
            "exclude_providers",
        ),
        (
            json!({ "logical_model": "fast", "headers": ["a"] }),
            "headers",
        ),
        (
            json!({ "logical_model": "fast", "tags": { "a": 1 } }),
            "tags",
        ),
        (
            json!({ "logical_model": "fast", "prompt_bytes": -1 }),
            "prompt_bytes",
        ),
        (
            json!({ "logical_model": "fast", "preferred_region": 1 }),
            "preferred_region",
        ),
        (
            json!({ "logical_model": "fast", "messages": "a" }),
            "messages",
        ),
        (
            json!({ "logical_model": "fast", "contents": {} }),
            "contents",
        ),
        (json!({ "logical_model": "fast", "prompt": 1 }), "prompt"),
        (json!({ "logical_model": "fast", "input": {} }), "input"),
        (json!({ "logical_model": "fast", "system": 1 }), "system"),
        (
            json!({ "logical_model": "fast", "instructions": [] }),
            "instructions",
        ),
        (
            json!({ "logical_model": "fast", "systemInstruction": "a" }),
            "systemInstruction",
        ),
        (
            json!({ "logical_model": "fast", "system_instruction": [] }),
            "system_instruction",
        ),
    ] {
        let answer = ask(&gateway, &question);
        let error = &answer.json()["error"];
        assert_eq!(
            (answer.status, &error["param"]),
            (400, &json!(param)),
            "{question}"
        );
        assert_eq!(error["code"], "invalid_value");
    }
    let unknown = ask(&gateway, &json!({ "logical_model": "fasst" }));
    assert_error(&unknown, 404, INVALID, "model_not_found");
    assert!(unknown.text().contains("fast"), "{}", unknown.text());
    let long = json!({ "logical_model": "x".repeat(70_000) });
    assert_error(&ask(&gateway, &long), 413, INVALID, "body_too_large");
    assert!(gateway.rows().is_empty());
}

#[test]
fn apiproxy_routing_decide_says_who_was_left_out_where_nobody_is_left() {
    let gateway = quiet();
    let question = json!({ "logical_model": "fast", "exclude_providers": ["openai", "b"] });
    let answer = ask(&gateway, &question);
    assert_error(&answer, 503, "api_error", "no_upstream_available");
    assert_eq!(answer.header("retry-after"), None);
    let told = answer.json();
    let told = told["error"]["message"].as_str().expect("words");
    assert_eq!(
        told,
        "nobody would be asked: 'model-a' of 'openai' is left out (excluded); 'model-b' of 'b' is left out (excluded)"
    );
}

#[test]
fn open_circuits_and_keys_that_cool_down_are_left_out_with_their_time() {
    let (refused, good) = (FakeUpstream::answering(wire("429 No", "{}")), well());
    let gateway = pair(&refused, &good);
    let fast = json!({ "logical_model": "fast" });
    assert_eq!(gateway.chat("fast", "").status, 200);
    let decision = decide(&gateway, &fast);
    assert_eq!(chosen(&decision), ("b", vec!["key_cooling_down"]));
    assert!(
        decision["left_out"][0]["for_s"]
            .as_f64()
            .is_some_and(|left| left <= 1.0)
    );
    assert_eq!(decision["all_candidates"][0]["skipped"], "key_cooling_down");

    let nobody = "http://127.0.0.1:1/v1";
    let gateway = pair_at(nobody, nobody, "routing: { breaker_failures: 1 }\n");
    assert_eq!(gateway.chat("fast", "").status, 502);
    let answer = ask(&gateway, &fast);
    assert_error(&answer, 503, "api_error", "no_upstream_available");
    let wait: u32 = answer
        .header("retry-after")
        .expect("a wait")
        .parse()
        .expect("a number");
    assert!((1..=10).contains(&wait));
    assert_eq!(answer.text().matches("circuit_open").count(), 2);
}

#[test]
fn a_request_goes_where_the_decision_said_however_often_it_was_asked() {
    let (first, second) = (well(), well());
    let gateway = pair(&first, &second);
    let mut went = Vec::new();
    for round in 0..6 {
        let mut said = Vec::new();
        for _ in 0..5 {
            let decision = decide(&gateway, &json!({ "logical_model": "fair" }));
            said.push(chosen(&decision).0.to_owned());
        }
        let answer = gateway.chat("fair", "");
        let provider = answer.header("x-aiproxy-provider").expect("a provider");
        // What is equal by weight is drawn by lot, until a turn was taken.
        if round != 0 {
            assert_eq!(said, [provider; 5]);
        }
        went.push(provider.to_owned());
    }
    let of_first = went.iter().filter(|provider| *provider == "openai");
    assert_eq!(of_first.count(), 3, "{went:?}");
    let picks = &get(&gateway, "/providers/openai")["keys"][0]["picks"];
    assert_eq!(*picks, 3);
    assert_eq!(gateway.rows().len(), 6);
}

#[test]
fn a_request_wishes_for_a_region_and_against_providers() {
    let (first, second) = (well(), well());
    let gateway = pair(&first, &second);
    let chat = |model: &str, headers: &str| {
        let head = format!("content-type: application/json\r\n{headers}");
        let body = chat_body(model, "");
        gateway.send("POST", "/v1/chat/completions", &head, body.as_bytes())
    };
    for (headers, provider) in [
        ("x-aiproxy-region: us\r\n", "b"),
        ("x-aiproxy-region: eu\r\n", "openai"),
        ("x-aiproxy-exclude-providers: openai\r\n", "b"),
        ("x-aiproxy-exclude-providers: nobody, b ,\r\n", "openai"),
        (
            "x-aiproxy-region: us\r\nx-aiproxy-exclude-providers: b\r\n",
            "openai",
        ),
    ] {
        for _ in 0..3 {
            let answer = chat("shared", headers);
            assert_eq!(
                answer.header("x-aiproxy-provider"),
                Some(provider),
                "{headers}"
            );
        }
    }
    let sent = [first.received(0), second.received(0)].concat();
    let sent = String::from_utf8(sent).expect("text");
    assert!(
        sent.contains("POST") && !sent.contains("x-aiproxy"),
        "{sent}"
    );
    let nobody = chat("shared", "x-aiproxy-exclude-providers: openai,b\r\n");
    assert_error(&nobody, 403, INVALID, "no_target");
    let row = gateway.rows().pop().expect("a row").record;
    assert_eq!((&*row.outcome, row.attempts), ("rejected", 0));
}

#[test]
fn with_affinity_the_prompt_decides_as_it_does_for_a_request() {
    let (first, second) = (well(), well());
    let affinity = "routing: { prefix_affinity: true }\n";
    let gateway = pair_at(&first.base_url(), &second.base_url(), affinity);
    let mut used = std::collections::BTreeSet::new();
    for prompt in 0..8 {
        let begins = format!("{prompt}").repeat(2_048);
        // Spelt alike in both, with a blank.
        let messages = format!(r#""messages": [ {{"role":"user","content":"{begins}"}}]"#);
        let question = format!(r#"{{"logical_model":"fair",{messages}}}"#);
        let decide = || gateway.post("/routing/decide", &question).json();
        let decision = decide();
        let reasoning = decision["reasoning"].as_str().expect("a text");
        assert!(reasoning.contains("prompts that begin so"), "{reasoning}");
        let said = chosen(&decision).0;
        assert_eq!(chosen(&decide()).0, said);
        let body = format!(r#"{{"model":"fair",{messages}}}"#);
        let answer = gateway.post("/v1/chat/completions", &body);
        assert_eq!(answer.header("x-aiproxy-provider"), Some(said), "{prompt}");
        used.insert(said.to_owned());
    }
    assert_eq!(used.len(), 2, "both targets have some");
    assert_eq!(gateway.rows().len(), 8);
}
