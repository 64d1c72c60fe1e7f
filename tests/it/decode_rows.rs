//! What rows say of answers of all kinds: texts, calls, refusals, parts, tokens.

use aiproxy::access_log::record::LogRecord;
use serde_json::{Value, json};

use crate::support::db;
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{TestGateway, chat_body};
use crate::support::raw_client::RawResponse;
use crate::support::wire::{STREAM, json as answer, mocked};

fn posted(path: &str, body: &Value) -> (RawResponse, LogRecord) {
    let gateway = TestGateway::start();
    let answer = gateway.post(path, &body.to_string());
    (answer, gateway.row().record)
}

fn calls(row: &LogRecord) -> Value {
    serde_json::from_str(row.tool_calls.as_deref().expect("calls")).expect("JSON")
}

#[test]
fn parallel_tool_calls_stay_apart() {
    for more in ["", STREAM] {
        let row = mocked("mock-tools", more).row;
        let calls = calls(&row);
        let of = |index: usize| {
            let call = &calls[index];
            (
                call["id"].clone(),
                call["function"]["name"].clone(),
                call["function"]["arguments"].clone(),
            )
        };
        assert_eq!(calls.as_array().map(Vec::len), Some(2));
        assert_eq!(
            of(0),
            (
                json!("call_mock_0"),
                json!("get_weather"),
                json!(r#"{"city":"Paris"}"#)
            )
        );
        assert_eq!(
            of(1),
            (
                json!("call_mock_1"),
                json!("get_weather"),
                json!(r#"{"city":"Oslo"}"#)
            )
        );
        assert_eq!(
            (row.finish_reason.as_deref(), row.outcome.as_str()),
            (Some("tool_calls"), "ok")
        );
        assert_eq!(row.response_text, None);
    }
}

#[test]
fn legacy_function_calls_stand_in_the_older_systems_view() {
    let stream = include_str!("../fixtures/openai_chat/stream_function_call.sse");
    let called = r#"{"name":"weather","arguments":"{\"a\":1}"}"#;
    let whole = format!(
        r#"{{"model":"m-1","choices":[{{"index":0,"message":{{"role":"assistant","content":null,"function_call":{called}}},"finish_reason":"function_call"}}]}}"#
    );
    for (wire, more) in [
        (crate::support::wire::stream(stream), STREAM),
        (answer(200, "", &whole), ""),
    ] {
        let upstream = FakeUpstream::answering(wire);
        let gateway = TestGateway::before(upstream.base_url());
        gateway.chat("m-1", more);
        assert_eq!(gateway.row().record.outcome, "ok");
        let found = db::with_database(gateway.database_url(), async |database| {
            let sql = "SELECT function_call || '|' || COALESCE(tool_calls, '-') FROM accesslog \
                       WHERE direction = 'response'";
            db::texts(database, sql).await
        });
        assert_eq!(found, [format!("{called}|-")], "{more}");
    }
}

#[test]
fn refusals_and_nothing_at_all() {
    for more in ["", STREAM] {
        let refusal = mocked("mock-refusal", more).row;
        assert_eq!(refusal.outcome, "ok");
        assert_eq!(refusal.finish_reason.as_deref(), Some("stop"));
        let nothing = mocked("mock-null", more).row;
        assert_eq!((nothing.outcome.as_str(), nothing.tool_calls), ("ok", None));
        assert_eq!(nothing.response_text.unwrap_or_default(), "");
        assert_eq!(nothing.prompt_tokens, Some(21));
    }
}

#[test]
fn structured_output() {
    for more in ["", STREAM] {
        let row = mocked("mock-json", more).row;
        let text = row.response_text.as_deref().expect("a text");
        assert_eq!(
            serde_json::from_str::<Value>(text).expect("JSON"),
            json!({"name": "Ada", "age": 36})
        );
    }
}

#[test]
fn images_and_parts_of_a_request() {
    let url = format!("data:image/png;base64,{}", "iVBORw0KGgo".repeat(2_000));
    let image = json!({"type": "image_url", "image_url": {"url": url}});
    let text = json!({"type": "text", "text": "what is this?"});
    let body = |parts: Value| json!({"model": "mock-vision", "messages": [{"role": "user", "content": parts}]});
    let (answer, row) = posted("/v1/chat/completions", &body(json!([text, image])));
    assert_eq!(
        (answer.status, row.request_text.as_deref()),
        (200, Some("what is this?"))
    );
    assert_eq!(
        row.response_text.as_deref(),
        Some(&*format!("images: 1, url bytes: [{}]", url.len()))
    );
    let (_, row) = posted("/v1/chat/completions", &body(json!([image])));
    assert!(
        row.request_text
            .is_some_and(|text| text.starts_with("[{\"type\":\"image_url\""))
    );
}

#[test]
fn odd_requests_break_no_row() {
    for messages in [
        json!([]),
        json!(null),
        json!("text"),
        json!([{"role": "user"}]),
        json!([{"role": "user", "content": null}]),
        json!([7, null, [], {"content": {"a": 1}}]),
    ] {
        let body = json!({"model": "mock-usage-none", "messages": messages, "tools": 7});
        let (answer, row) = posted("/v1/chat/completions", &body);
        assert_eq!((answer.status, row.outcome.as_str()), (200, "ok"), "{body}");
        assert_eq!(
            row.payload
                .and_then(|payload| payload.request_body)
                .expect("a body")
                .bytes,
            body.to_string().as_bytes()
        );
    }
}

#[test]
fn responses_whole_and_streamed() {
    for stream in [false, true] {
        let body = json!({"model": "mock-s4", "input": "hello", "stream": stream});
        let (answer, row) = posted("/v1/responses", &body);
        assert!(answer.status == 200 && answer.complete);
        assert_eq!(
            (row.endpoint.as_str(), row.outcome.as_str(), row.stream),
            ("responses", "ok", Some(stream))
        );
        assert_eq!(
            (
                row.prompt_tokens,
                row.completion_tokens,
                row.cached_tokens,
                row.reasoning_tokens
            ),
            (Some(21), Some(4), Some(4), Some(2))
        );
        assert_eq!(
            (row.usage_source.as_deref(), row.request_text.as_deref()),
            (Some("upstream"), Some("hello"))
        );
        let text = row.response_text.expect("a text");
        assert!(
            answer.text().contains(text.get(..40).unwrap_or(&text)),
            "{text}"
        );
        assert_eq!((row.repairs, row.response_complete), (None, Some(true)));
        let sent = row
            .payload
            .and_then(|payload| payload.response_body)
            .expect("a body");
        assert_eq!(sent.bytes, answer.body);
    }
}

#[test]
fn responses_with_tools_refusals_and_cuts() {
    let (_, row) = posted(
        "/v1/responses",
        &json!({"model": "mock-tools", "input": "x", "stream": true}),
    );
    let calls = calls(&row);
    assert_eq!(calls.as_array().map(Vec::len), Some(2), "{calls}");
    assert!(calls.to_string().contains("Paris") && calls.to_string().contains("Oslo"));
    let (_, row) = posted(
        "/v1/responses",
        &json!({"model": "mock-refusal", "input": "x", "stream": true}),
    );
    assert_eq!(row.outcome, "ok");
    for (model, code) in [
        ("mock-s4-eof-2", "upstream_truncated"),
        ("mock-s4-cut-2", "upstream_disconnected"),
    ] {
        let (answer, row) = posted(
            "/v1/responses",
            &json!({"model": model, "input": "x", "stream": true}),
        );
        assert_eq!(
            (row.outcome.as_str(), row.error_code.as_deref()),
            ("upstream_truncated", Some(code))
        );
        assert!(
            answer.complete && answer.text().contains(code),
            "{}",
            answer.text()
        );
        assert!(row.response_text.is_some_and(|text| !text.is_empty()));
        assert_eq!(row.usage_source.as_deref(), Some("partial"));
    }
}

#[test]
fn completions_whole_and_streamed() {
    for stream in [false, true] {
        let body = json!({"model": "mock-s4", "prompt": "once upon", "stream": stream});
        let (answer, row) = posted("/v1/completions", &body);
        assert_eq!(
            (answer.status, row.endpoint.as_str(), row.outcome.as_str()),
            (200, "completions", "ok")
        );
        assert_eq!(
            (row.prompt_tokens, row.completion_tokens),
            (Some(21), Some(4))
        );
        assert_eq!(row.request_text.as_deref(), Some("once upon"));
        assert!(row.response_text.is_some_and(|text| !text.is_empty()));
    }
}

#[test]
fn embeddings() {
    let (answer, row) = posted(
        "/v1/embeddings",
        &json!({"model": "mock", "input": ["a", "b"]}),
    );
    assert_eq!(answer.json()["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (row.endpoint.as_str(), row.outcome.as_str()),
        ("embeddings", "ok")
    );
    assert_eq!(
        (row.prompt_tokens, row.completion_tokens, row.total_tokens),
        (Some(6), None, Some(6))
    );
    assert_eq!(
        (row.usage_source.as_deref(), row.response_text),
        (Some("upstream"), None)
    );
    let (_, row) = posted(
        "/v1/embeddings",
        &json!({"model": "mock-usage-none", "input": "some words"}),
    );
    assert!(
        row.prompt_tokens.is_some_and(|tokens| 0 < tokens) && row.completion_tokens.is_none(),
        "{row:?}"
    );
}

#[test]
fn models_of_one_provider_are_its_own_answer() {
    let gateway = TestGateway::start();
    let mock = gateway.mock.as_ref().expect("a mock").addr();
    let get = |path: &str| crate::support::gateway::get(path);
    let own = crate::support::raw_client::exchange(mock, get("/v1/models"));
    assert_eq!(gateway.get("/v1/models").body, own.body);
    assert_eq!(
        gateway.get("/v1/models/acme%2Fmock").json()["id"],
        "acme/mock"
    );
    let rows = gateway.rows();
    assert!(
        rows.iter()
            .all(|row| row.record.endpoint == "models" && row.record.outcome == "ok")
    );
    assert!(rows.iter().all(|row| row.record.prompt_tokens.is_none()));
}

/// Counted with the model's own encoding when the upstream says nothing: 8 for the message's frame and text.
#[test]
fn tokens_are_counted_when_usage_is_absent() {
    let body = r#"{"id":"c","object":"chat.completion","created":1,"model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant","content":"Hello world"},"finish_reason":"stop"}]}"#;
    for (model, source) in [("gpt-4o-2024-08-06", "counted"), ("llama-9", "estimated")] {
        let body = body.replace("gpt-4o-2024-08-06", model);
        let upstream = FakeUpstream::answering(answer(200, "", &body));
        let gateway = TestGateway::before(upstream.base_url());
        gateway.post("/v1/chat/completions", &chat_body(model, ""));
        let row = gateway.row().record;
        assert_eq!(row.usage_source.as_deref(), Some(source), "{row:?}");
        assert_eq!(
            (row.prompt_tokens, row.completion_tokens, row.total_tokens),
            (Some(8), Some(2), Some(10))
        );
        assert_eq!((row.usage_raw, row.cached_tokens), (None, None));
    }
}
