//! What a client calls and the kind of its model's provider does not have: every kind, every call.

use serde_json::{Value, json};

use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{TestGateway, Wanted};
use crate::support::wire::json as json_answer;

/// Every kind beside OpenAI's, what its base URL ends with and what else it wants, and whether it has embeddings of its own.
const KINDS: &[(&str, &str, &str, bool)] = &[
    ("anthropic", "", "", false),
    ("gemini", "", "", true),
    ("azure", "", "", true),
    ("ocf", "", "", true),
    ("argo", "/argoapi", "    user: alice\n", true),
    ("asksage", "/server", "", false),
    ("bedrock", "", "    region: us-east-1\n", false),
];

/// A call, its body, and what providers lack for it. `MODEL` is the model.
const CALLS: &[(&str, &str, &str)] = &[
    (
        "/v1/embeddings",
        r#"{"model":"MODEL","input":"a"}"#,
        "embeddings",
    ),
    (
        "/v1beta/models/MODEL:embedContent",
        r#"{"content":{"parts":[{"text":"a"}]}}"#,
        "embeddings",
    ),
    (
        "/v1/images/generations",
        r#"{"model":"MODEL","prompt":"a"}"#,
        "such call",
    ),
];

/// A gateway before an upstream of this kind, which takes these models, and nobody else.
fn before(kind: &str, upstream: &FakeUpstream, allow: &str) -> TestGateway {
    let (_, path, more, _) = KINDS.iter().find(|(known, ..)| *known == kind).expect(kind);
    TestGateway::with(Wanted {
        provider: format!(
            "    models: {{ list: [other-1] }}\n  - name: only\n    kind: {kind}\n    base_url: http://{}{path}\n{more}    \
             models: {{ allow: [\"{allow}\"] }}\n    api_keys: [{{ key: sk-lacking-0123456789 }}]\n",
            upstream.addr()
        ),
        upstream: None,
        ..Wanted::default()
    })
}

fn ask(gateway: &TestGateway, path: &str, model: &str, body: &str) -> (u16, Value) {
    let path = path.replace("MODEL", &model.replace('/', "%2F"));
    let body = body.replace("MODEL", model);
    let headers = "content-type: application/json\r\n";
    let answer = gateway.send("POST", &path, headers, body.as_bytes());
    (answer.status, answer.json())
}

/// Whether clients of the path reach the kind as they are.
fn is_native(kind: &str, path: &str) -> bool {
    match path.starts_with("/v1beta") {
        true => kind == "gemini",
        false => matches!(kind, "azure" | "ocf"),
    }
}

#[test]
fn a_call_that_a_kind_does_not_have_names_the_kind_and_what_it_lacks() {
    for (kind, _, _, has_embeddings) in KINDS {
        let upstream = FakeUpstream::answering(json_answer(200, "", "{}"));
        let gateway = before(kind, &upstream, "m-*");
        let mut refused = 0;
        for (path, body, lacks) in CALLS {
            if is_native(kind, path) || *has_embeddings && *lacks == "embeddings" {
                continue;
            }
            for model in ["m-1", "only/other"] {
                let (status, said) = ask(&gateway, path, model, body);
                let message = said["error"]["message"].as_str().unwrap_or_default();
                let expected = format!(
                    "the model '{model}' is of a provider of the kind '{kind}', which has no {lacks}"
                );
                assert_eq!(
                    (status, message),
                    (400, &*expected),
                    "{kind} {path}: {said}"
                );
                match path.starts_with("/v1beta") {
                    true => assert_eq!(said["error"]["status"], "INVALID_ARGUMENT", "{said}"),
                    false => assert_eq!(
                        (&said["error"]["code"], &said["error"]["param"]),
                        (&json!("unsupported_parameter"), &json!("model")),
                        "{said}"
                    ),
                }
                refused += 1;
            }
        }
        let rows = gateway.rows();
        assert_eq!(rows.len(), refused, "{kind}");
        for row in rows {
            assert_eq!(
                (&*row.record.outcome, row.record.attempts),
                ("client_error", 0)
            );
        }
        assert_eq!(upstream.connections(), 0, "{kind}");
    }
}

#[test]
fn models_that_nobody_has_and_calls_that_others_take_are_told_as_before() {
    let upstream = FakeUpstream::answering(json_answer(200, "", "{}"));
    let gateway = before("anthropic", &upstream, "m-*");
    for (path, body, _) in CALLS {
        let (status, said) = ask(&gateway, path, "nobodys", body);
        assert_eq!(status, 404, "{path}: {said}");
    }
    assert_eq!(upstream.connections(), 0);

    // One that takes every name is asked for those that nobody says, and one that says a name for that.
    let vectors = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"m-1"}"#;
    let upstream = FakeUpstream::answering(json_answer(200, "connection: close\r\n", vectors));
    let unasked = FakeUpstream::answering(json_answer(200, "", "{}"));
    let claude = format!(
        "    models: {{ allow: [\"*\"], list: [m-2] }}\n  - name: claude\n    kind: anthropic\n    base_url: http://{}\n    \
         models: {{ allow: [\"m-*\"] }}\n    api_keys: [{{ key: sk-lacking-0123456789 }}]\n",
        unasked.addr()
    );
    let gateway = TestGateway::with(Wanted {
        upstream: Some(upstream.base_url()),
        provider: claude,
        ..Wanted::default()
    });
    let (path, body, _) = CALLS[0];
    for (model, expected) in [("e-1", 200), ("m-2", 200), ("m-1", 400)] {
        let (status, said) = ask(&gateway, path, model, body);
        assert_eq!(status, expected, "{model}: {said}");
    }
    assert_eq!(unasked.connections(), 0);
}

#[test]
fn a_provider_without_clients_is_not_sent_what_its_kind_does_not_have() {
    let upstream = FakeUpstream::answering(json_answer(200, "", "{}"));
    let gateway = before("asksage", &upstream, "m-*");
    let (path, body, _) = CALLS[0];
    let (status, said) = ask(&gateway, &format!("/only{path}"), "m-1", body);
    assert_eq!(
        (status, &said["error"]["param"]),
        (400, &json!("model")),
        "{said}"
    );
    assert_eq!(upstream.connections(), 0);
    // Its own calls are nobody else's.
    let (status, said) = ask(&gateway, "/only/get-personas", "m-1", "{}");
    assert_eq!(status, 200, "{said}");
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn argos_own_call_is_argos() {
    let upstream = FakeUpstream::answering(json_answer(200, "", "{}"));
    let argo = format!(
        "    models: {{ allow: [\"*\"], list: [m-1] }}\n  - name: argo\n    kind: argo\n    base_url: http://{}/argoapi\n    \
         user: alice\n    models: {{ allow: [\"argo:*\"] }}\n",
        upstream.addr()
    );
    let gateway = TestGateway::with(Wanted {
        upstream: Some(upstream.base_url()),
        provider: argo,
        ..Wanted::default()
    });
    for (model, expected, code) in [
        ("m-1", 400, "unsupported_parameter"),
        ("openai/any", 400, "unsupported_parameter"),
        ("gpt4o", 404, "model_not_found"),
    ] {
        let (status, said) = ask(
            &gateway,
            "/v1/chat",
            model,
            r#"{"model":"MODEL","prompt":["a"]}"#,
        );
        assert_eq!(
            (status, &said["error"]["code"]),
            (expected, &json!(code)),
            "{model}: {said}"
        );
    }
    assert_eq!(upstream.connections(), 0);
}
