//! Azure OpenAI: its clients' paths, and Azure as a provider of anybody who speaks OpenAI's formats.

use aiproxy::access_log::record::LogRecord;

use aiproxy::cli::mock::Mock;

use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{PROVIDER_KEY, TestGateway, Wanted, chat_body};
use crate::support::raw_client::RawResponse;
use crate::support::wire::{DONE, FINISH, STREAM, TEXT, USAGE, WHOLE, json, stream};

/// As Azure begins a stream.
const FIRST: &str = "data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\",\"prompt_filter_results\":[{\"prompt_index\":0,\"content_filter_results\":{\"hate\":{\"filtered\":false,\"severity\":\"safe\"}}}]}\n\n";

/// A gateway whose only provider for chat is Azure.
fn on_azure(upstream: &FakeUpstream, yaml: &str) -> TestGateway {
    TestGateway::with(Wanted {
        provider: format!(
            "    models: {{ list: [nothing] }}\n  - name: az\n    kind: azure\n    base_url: http://{}\n    \
             api_keys: [{{ key: azure-key-0123456789, name: primary }}]\n    deployments: {{ gpt-4o: my-4o }}\n",
            upstream.addr()
        ),
        yaml: yaml.to_owned(),
        ..Wanted::default()
    })
}

fn azure_ask(gateway: &TestGateway, deployment: &str, body: &str) -> RawResponse {
    let path =
        format!("/openai/deployments/{deployment}/chat/completions?api-version=2025-01-01-preview");
    let headers = "content-type: application/json\r\napi-key: client-key-0123456789\r\n";
    gateway.send("POST", &path, headers, body.as_bytes())
}

fn sent(upstream: &FakeUpstream) -> String {
    String::from_utf8(upstream.received(0)).expect("text")
}

#[track_caller]
fn check_row(row: &LogRecord, dialect: &str, asked: &str) {
    let facts = (&*row.endpoint, &*row.dialect, &*row.outcome);
    assert_eq!(facts, ("chat.completions", dialect, "ok"));
    assert_eq!(row.requested_model.as_deref(), Some(asked));
}

#[test]
fn openais_clients_reach_azure_by_deployment() {
    let upstream = FakeUpstream::answering(json(200, "", WHOLE));
    let gateway = on_azure(&upstream, "");
    let answer = gateway.chat("gpt-4o", "");
    assert_eq!((answer.status, answer.text()), (200, WHOLE));
    let sent = sent(&upstream);
    let target =
        "POST /openai/deployments/my-4o/chat/completions?api-version=2024-10-21 HTTP/1.1\r\n";
    assert!(sent.starts_with(target), "{sent}");
    assert!(
        sent.contains("api-key: azure-key-0123456789\r\n") && !sent.contains("authorization"),
        "{sent}"
    );
    assert!(sent.ends_with(&chat_body("gpt-4o", "")), "{sent}");
    let row = gateway.row().record;
    check_row(&row, "openai", "gpt-4o");
    assert_eq!(row.provider.as_deref(), Some("az"));
    let changed = row
        .payload
        .and_then(|payload| payload.upstream_request_body);
    assert!(changed.is_none());
}

#[test]
fn azures_first_chunk_passes_and_our_usage_chunk_does_not() {
    let wire = stream([FIRST, TEXT, FINISH, USAGE, DONE].concat());
    let upstream = FakeUpstream::answering(wire);
    let gateway = on_azure(&upstream, "");
    let answer = gateway.chat("gpt-4o", STREAM);
    assert_eq!(answer.text(), [FIRST, TEXT, FINISH, DONE].concat());
    assert!(sent(&upstream).contains(r#""include_usage":true"#));
    let row = gateway.row().record;
    check_row(&row, "openai", "gpt-4o");
    assert_eq!(row.usage_source.as_deref(), Some("upstream"));
}

#[test]
fn a_body_that_is_no_json_passes_to_a_deployment_as_it_is() {
    let upstream = FakeUpstream::answering(json(400, "", "{}"));
    let gateway = TestGateway::with(Wanted {
        upstream: Some(upstream.base_url()),
        ..Wanted::default()
    });
    let path = "/openai/deployments/draws/images/generations?api-version=2024-10-21";
    let headers = "content-type: application/json\r\n";
    let answer = gateway.send("POST", path, headers, b"not json");
    assert_eq!(answer.status, 400);
    let sent = sent(&upstream);
    assert!(sent.ends_with("\r\n\r\nnot json"), "{sent}");
}

#[test]
fn azures_clients_keep_their_paths_and_versions() {
    let upstream = FakeUpstream::answering(json(200, "", WHOLE));
    let gateway = on_azure(&upstream, "");
    let body = r#"{"messages":[{"role":"user","content":"hello"}]}"#;
    let answer = azure_ask(&gateway, "free%20name", body);
    assert_eq!((answer.status, answer.text()), (200, WHOLE));
    let sent = sent(&upstream);
    let target = "POST /openai/deployments/free%20name/chat/completions?api-version=2025-01-01-preview HTTP/1.1\r\n";
    assert!(sent.starts_with(target), "{sent}");
    assert!(
        sent.ends_with(body) && !sent.contains("client-key"),
        "{sent}"
    );
    let row = gateway.row().record;
    check_row(&row, "azure", "free name");
    let headers = row.payload.and_then(|payload| payload.request_headers);
    assert!(!headers.unwrap_or_default().contains("client-key"));
}

#[test]
fn azures_clients_reach_openai_with_the_deployment_as_the_model() {
    for (body, expected) in [
        (r#"{"messages":[]}"#, r#"{"model":"mock","messages":[]}"#),
        (
            r#"{"model":"other","messages":[]}"#,
            r#"{"model":"mock","messages":[]}"#,
        ),
        (
            r#"{"model": "mock", "messages":[]}"#,
            r#"{"model": "mock", "messages":[]}"#,
        ),
        ("{}", r#"{"model":"mock"}"#),
    ] {
        let gateway = TestGateway::start();
        let answer = azure_ask(&gateway, "mock", body);
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        let seen = gateway.last_request();
        assert_eq!(seen.path(), "/v1/chat/completions");
        assert_eq!(String::from_utf8_lossy(&seen.body), expected);
        let key = format!("Bearer {PROVIDER_KEY}");
        assert_eq!(seen.header("authorization"), Some(&*key));
        let row = gateway.row().record;
        check_row(&row, "azure", "mock");
        // The name that the path gives is no change of the body: the row tells it.
        assert_eq!(row.requested_model.as_deref(), Some("mock"));
        assert_eq!(row.target_model, None);
        let payload = row.payload.expect("bodies");
        assert!(payload.upstream_request_body.is_none(), "{body}");
    }
}

#[test]
fn a_filters_model_counts_more_than_the_paths() {
    let upstream = FakeUpstream::answering(json(200, "", WHOLE));
    let gateway = on_azure(
        &upstream,
        "filters: [{ kind: model_override, model: gpt-4o }]",
    );
    azure_ask(&gateway, "dear", &chat_body("dear", ""));
    assert!(
        sent(&upstream).starts_with("POST /openai/deployments/my-4o/"),
        "{}",
        sent(&upstream)
    );
    check_row(&gateway.row().record, "azure", "dear");
}

#[test]
fn a_refusal_by_azures_content_filter_passes() {
    let body = r#"{"error":{"message":"The response was filtered","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#;
    let upstream = FakeUpstream::answering(json(400, "", body));
    let gateway = on_azure(&upstream, "");
    let answer = gateway.chat("gpt-4o", "");
    assert_eq!((answer.status, answer.text()), (400, body));
    let row = gateway.row().record;
    assert_eq!(
        (&*row.outcome, row.error_code.as_deref()),
        ("upstream_error", Some("content_filter"))
    );
}

#[test]
fn a_deployment_may_name_a_provider() {
    let upstream = FakeUpstream::answering(json(200, "connection: close\r\n", WHOLE));
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).expect("a mock");
    let gateway = TestGateway::with(Wanted {
        provider: format!(
            "  - {{ name: az, kind: azure, base_url: \"http://{}\" }}\n  \
             - {{ name: anthropic, kind: anthropic, base_url: \"http://{}\" }}\n",
            upstream.addr(),
            mock.addr()
        ),
        ..Wanted::default()
    });
    let body = r#"{"messages":[{"role":"user","content":"Hello?"}]}"#;
    for deployment in ["anthropic%2Fmock", "anthropic%2fmock", "anthropic/mock"] {
        let answer = azure_ask(&gateway, deployment, body);
        assert_eq!(answer.status, 200, "{deployment}: {}", answer.text());
        assert_eq!(answer.json()["object"], "chat.completion", "{deployment}");
    }
    assert_eq!(azure_ask(&gateway, "az%2Fmy%2F4o", body).status, 200);
    let sent = sent(&upstream);
    let target = "POST /openai/deployments/my%2F4o/chat/completions?";
    assert!(sent.starts_with(target), "{sent}");
    for row in gateway.rows() {
        let record = row.record;
        assert_eq!((&*record.outcome, &*record.dialect), ("ok", "azure"));
        let provider = record.provider.expect("a provider");
        assert_eq!(
            record.requested_model,
            Some(match &*provider {
                "az" => "az/my/4o".to_owned(),
                _ => "anthropic/mock".to_owned(),
            })
        );
    }
}

#[test]
fn wrong_paths_and_bodies_of_azures_clients() {
    let gateway = TestGateway::start();
    for (path, status, code) in [
        ("/openai/deployments/d", 404, "not_found"),
        (
            "/openai/deployments//chat/completions",
            400,
            "invalid_target",
        ),
        (
            "/openai/deployments/..%2Fadmin/chat/completions",
            400,
            "invalid_target",
        ),
        ("/openai/deployments/%ff/chat/completions", 404, "not_found"),
    ] {
        let answer = gateway.send("POST", path, "content-type: application/json\r\n", b"{}");
        assert_eq!(
            (answer.status, &*crate::support::wire::code(&answer.body)),
            (status, code),
            "{path}"
        );
    }
    let answer = azure_ask(&gateway, "mock", "{");
    assert_eq!(
        (answer.status, &*crate::support::wire::code(&answer.body)),
        (400, "invalid_json")
    );
}
