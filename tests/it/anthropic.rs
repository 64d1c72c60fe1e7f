//! Anthropic's clients before Anthropic's API: everything as it came, on record in the same columns as the rest. Over 400
//! lines: one dialect, every promise that holds for it.

use aiproxy::access_log::record::LogRecord;
use serde_json::{Value, json};

use crate::support::canary::assert_clean_files;
use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{TestGateway, Wanted};
use crate::support::raw_client::RawResponse;
use crate::support::records::tags_of;
use crate::support::shouts::shouts;
use crate::support::wire::{LAST_CHUNK, STREAM_HEAD, chunk, json as json_answer};

const KEY: &str = "sk-ant-canary-0123456789abcdef";
const VERSION: &str = "anthropic-version: 2023-06-01\r\nx-api-key: sk-client-0123456789\r\n";
const REQUEST: &str = include_str!("../fixtures/anthropic/request.json");
const PLAIN: &str = include_str!("../fixtures/anthropic/plain.json");
const STREAM: &str = include_str!("../fixtures/anthropic/stream.sse");
const TOOLS: &str = include_str!("../fixtures/anthropic/stream_tools.sse");
const ERROR: &str = include_str!("../fixtures/anthropic/stream_error.sse");

/// A gateway with OpenAI's mock first and this upstream as Anthropic.
fn before(upstream: &FakeUpstream, yaml: &str) -> TestGateway {
    at(&format!("http://{}", upstream.addr()), yaml)
}

fn at(base_url: &str, yaml: &str) -> TestGateway {
    TestGateway::with(wanted(base_url, yaml))
}

fn wanted(base_url: &str, yaml: &str) -> Wanted {
    Wanted {
        provider: format!(
            "  - name: anthropic\n    kind: anthropic\n    base_url: {base_url}\n    \
             api_keys: [{{ key: {KEY}, name: primary }}]\n"
        ),
        yaml: yaml.to_owned(),
        ..Wanted::default()
    }
}

fn ask(gateway: &TestGateway, body: &str) -> RawResponse {
    let headers = format!("{VERSION}content-type: application/json\r\n");
    gateway.send("POST", "/v1/messages", &headers, body.as_bytes())
}

fn streamed() -> String {
    REQUEST.replacen('{', r#"{"stream":true,"#, 1)
}

/// A stream in chunks of so many bytes.
fn in_chunks(stream: &str, bytes: usize) -> Vec<u8> {
    let mut wire = STREAM_HEAD.as_bytes().to_vec();
    for piece in stream.as_bytes().chunks(bytes) {
        wire.extend(chunk(piece));
    }
    wire.extend_from_slice(LAST_CHUNK.as_bytes());
    wire
}

/// One answer to one request, and its row.
#[track_caller]
fn answered(wire: impl Into<Vec<u8>>, yaml: &str, body: &str) -> (RawResponse, LogRecord) {
    let upstream = FakeUpstream::answering(wire);
    let gateway = before(&upstream, yaml);
    let answer = ask(&gateway, body);
    let row = gateway.row().record;
    (answer, row)
}

fn error(answer: &RawResponse) -> (String, String) {
    let body = answer.json();
    assert_eq!(body["type"], "error", "{body}");
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (
        word(&body["error"]["type"]),
        word(&body["error"]["message"]),
    )
}

#[test]
fn p1_a_message_passes_byte_for_byte_and_is_on_record() {
    let upstream = FakeUpstream::answering(json_answer(200, "request-id: req_1\r\n", PLAIN));
    let gateway = before(&upstream, "");
    let answer = ask(&gateway, REQUEST);
    assert_eq!((answer.status, answer.text()), (200, PLAIN));
    assert_eq!(answer.header("request-id"), Some("req_1"));
    assert_eq!(answer.header("x-aiproxy-provider"), Some("anthropic"));

    let sent = String::from_utf8(upstream.received(0)).expect("text");
    assert!(sent.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{sent}");
    assert!(sent.ends_with(REQUEST), "{sent}");
    assert!(sent.contains(&format!("x-api-key: {KEY}\r\n")), "{sent}");
    assert!(
        !sent.contains("sk-client") && !sent.contains("authorization"),
        "{sent}"
    );
    assert!(sent.contains("anthropic-version: 2023-06-01\r\n"), "{sent}");

    let row = gateway.row().record;
    let facts = (
        &*row.endpoint,
        &*row.dialect,
        &*row.outcome,
        row.status_code,
    );
    assert_eq!(facts, ("messages", "anthropic", "ok", 200));
    assert_eq!(row.provider.as_deref(), Some("anthropic"));
    assert_eq!(row.requested_model.as_deref(), Some("claude-sonnet-4-5"));
    assert_eq!(row.model.as_deref(), Some("claude-sonnet-4-5-20250929"));
    assert_eq!(row.end_user.as_deref(), Some("ann"));
    assert_eq!(row.request_text.as_deref(), Some("And in words?"));
    assert_eq!(row.response_text.as_deref(), Some("Hello \"you\", café 😀"));
    assert_eq!(row.finish_reason.as_deref(), Some("stop"));
    let tokens = (row.prompt_tokens, row.completion_tokens, row.total_tokens);
    assert_eq!(tokens, (Some(35), Some(12), Some(47)));
    let parts = (
        row.cached_tokens,
        row.cache_write_tokens,
        row.reasoning_tokens,
    );
    assert_eq!(parts, (Some(20), Some(5), None));
    assert_eq!(row.usage_source.as_deref(), Some("upstream"));
    assert_eq!(
        (row.stream, row.response_complete),
        (Some(false), Some(true))
    );
}

#[test]
fn f31_streams_pass_byte_for_byte_whatever_their_chunks() {
    for bytes in [1, 7, STREAM.len()] {
        let (answer, row) = answered(in_chunks(STREAM, bytes), "", &streamed());
        assert_eq!((answer.status, answer.text()), (200, STREAM), "by {bytes}");
        assert!(answer.complete);
        let facts = (&*row.outcome, row.response_complete, row.chunk_count);
        assert_eq!(facts, ("ok", Some(true), Some(9)), "by {bytes}");
        assert_eq!(row.response_text.as_deref(), Some("Hello café 😀!"));
        assert_eq!(
            (row.prompt_tokens, row.completion_tokens),
            (Some(32), Some(15))
        );
        assert_eq!((row.cached_tokens, row.repairs), (Some(7), None));
        assert!(row.first_token_ms.is_some());
    }
}

#[test]
fn tool_calls_of_a_stream_are_in_one_column() {
    let (answer, row) = answered(in_chunks(TOOLS, 50), "", &streamed());
    assert_eq!(answer.text(), TOOLS);
    let calls: Value = serde_json::from_str(row.tool_calls.as_deref().unwrap()).unwrap();
    let calls: Vec<(&str, &str)> = calls
        .as_array()
        .into_iter()
        .flatten()
        .map(|call| (&call["id"], &call["function"]["arguments"]))
        .filter_map(|(id, arguments)| Some((id.as_str()?, arguments.as_str()?)))
        .collect();
    assert_eq!(
        calls,
        [("toolu_A", r#"{"city": "Paris"}"#), ("toolu_B", "{}")]
    );
    assert_eq!(row.finish_reason.as_deref(), Some("tool_calls"));
}

#[test]
fn f29_an_upstreams_own_error_passes() {
    let body = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#;
    let (answer, row) = answered(json_answer(529, "retry-after: 3\r\n", body), "", REQUEST);
    assert_eq!((answer.status, answer.text()), (529, body));
    assert_eq!(answer.header("retry-after"), Some("3"));
    assert_eq!((&*row.outcome, row.status_code), ("upstream_error", 529));
    assert_eq!(row.error_type.as_deref(), Some("overloaded_error"));
    assert_eq!(row.error_message.as_deref(), Some("Overloaded"));
    let (_, row) = answered(json_answer(429, "", body), "", REQUEST);
    assert_eq!(row.outcome, "rate_limited");
}

#[test]
fn errors_of_ours_have_anthropics_shape() {
    let upstream = |wire: Vec<u8>| answered(wire, "", REQUEST);
    let refused = r#"{"type":"error","error":{"type":"authentication_error","message":"bad key"}}"#;
    let (answer, row) = upstream(json_answer(401, "", refused));
    assert_eq!(
        (answer.status, error(&answer).0),
        (502, "api_error".to_owned())
    );
    assert_eq!(row.error_code.as_deref(), Some("upstream_auth"));
    let html =
        b"HTTP/1.1 503 Any\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>".to_vec();
    let (answer, row) = upstream(html);
    assert_eq!(
        (answer.status, error(&answer).0),
        (503, "overloaded_error".to_owned())
    );
    assert_eq!(
        (&*row.outcome, row.error_type.as_deref()),
        ("upstream_error", Some("overloaded_error"))
    );
    let request_id = answer.header("x-aiproxy-request-id").map(str::to_owned);
    assert_eq!(answer.json()["request_id"].as_str(), request_id.as_deref());

    let gateway = at("http://127.0.0.1:9", "");
    for (body, status, kind) in [
        ("{", 400, "invalid_request_error"),
        ("[]", 400, "invalid_request_error"),
        (r#"{"model":"a","model":"b"}"#, 400, "invalid_request_error"),
        (REQUEST, 502, "api_error"),
    ] {
        let answer = ask(&gateway, body);
        assert_eq!(
            (answer.status, &*error(&answer).0),
            (status, kind),
            "{body}"
        );
    }
    let missing = gateway.send("GET", "/v1/", VERSION, b"");
    assert_eq!(
        (missing.status, &*error(&missing).0),
        (404, "not_found_error")
    );
    let stranger = gateway.send("GET", "/wp-login.php", VERSION, b"");
    assert_eq!(
        (stranger.status, &*error(&stranger).0),
        (404, "not_found_error")
    );
    let trick = gateway.send("GET", "/v1/a/../b", VERSION, b"");
    assert_eq!(
        (trick.status, &*error(&trick).0),
        (400, "invalid_request_error")
    );
}

#[test]
fn f36_f37_f38_f44_streams_that_end_badly() {
    let (begun, _) = STREAM.split_once("event: message_delta").expect("an end");
    let (unstopped, _) = STREAM.split_once("event: message_stop").expect("a stop");
    let event = |message: &str| {
        let data = json!({"type": "error", "error": {"type": "api_error", "message": message}});
        format!("event: error\ndata: {data}\n\n")
    };
    let truncated = event("the provider's answer ended before its end");
    let broken = event("the connection to the provider broke");

    let (answer, row) = answered(in_chunks(unstopped, 64), "", &streamed());
    assert_eq!(
        answer.text(),
        STREAM,
        "the end is added after a stop reason"
    );
    assert_eq!(
        (&*row.outcome, row.repairs.as_deref()),
        ("ok", Some(r#"["done"]"#))
    );

    let (answer, row) = answered(in_chunks(begun, 64), "", &streamed());
    assert_eq!(answer.text(), [begun, &truncated].concat());
    let facts = (
        &*row.outcome,
        row.response_complete,
        row.usage_source.as_deref(),
    );
    assert_eq!(facts, ("upstream_truncated", Some(false), Some("partial")));
    // The prompt's is told at the beginning; what is told there of the answer is a placeholder.
    assert_eq!(
        (row.prompt_tokens, row.completion_tokens),
        (Some(32), Some(4))
    );
    assert_eq!(row.response_text.as_deref(), Some("Hello café 😀!"));

    let mut wire = STREAM_HEAD.as_bytes().to_vec();
    wire.extend(chunk(begun));
    let reset = [Step::ReadRequest, Step::Send(wire), Step::Fin].to_vec();
    let upstream = FakeUpstream::start(vec![reset]);
    let gateway = before(&upstream, "");
    let answer = ask(&gateway, &streamed());
    assert_eq!(answer.text(), [begun, &broken].concat());
    assert_eq!(gateway.row().record.outcome, "upstream_truncated");

    let (answer, row) = answered(in_chunks(ERROR, 64), "", &streamed());
    assert_eq!(answer.text(), ERROR);
    let facts = (
        &*row.outcome,
        row.error_type.as_deref(),
        row.response_complete,
    );
    assert_eq!(
        facts,
        ("upstream_error", Some("overloaded_error"), Some(false))
    );
}

#[test]
fn filters_answer_in_anthropics_form() {
    let yaml = "filters: [{ kind: banned_users, users: [ann], message: \"no, \\\"ann\\\"\" }]";
    let gateway = at("http://127.0.0.1:9", yaml);
    let whole = ask(&gateway, REQUEST).json();
    assert_eq!(
        whole["content"],
        json!([{"type": "text", "text": "no, \"ann\""}])
    );
    let rest = (&whole["type"], &whole["model"], &whole["stop_reason"]);
    assert_eq!(
        rest,
        (
            &json!("message"),
            &json!("request_filter"),
            &json!("end_turn")
        )
    );
    assert_eq!(
        whole["usage"],
        json!({"input_tokens": 0, "output_tokens": 0})
    );
    let stream = ask(&gateway, &streamed());
    assert_eq!(
        stream.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    assert!(
        stream.text().starts_with("event: message_start\n"),
        "{}",
        stream.text()
    );
    assert!(
        stream
            .text()
            .ends_with("data: {\"type\":\"message_stop\"}\n\n")
    );
    let rows = gateway.rows();
    for row in rows {
        assert_eq!(row.record.outcome, "filter_answered");
        assert_eq!(row.record.response_text.as_deref(), Some("no, \"ann\""));
    }
    let refusing = "filters: [{ kind: banned_users, users: [ann], message: no, status: 403 }]";
    let answer = ask(&at("http://127.0.0.1:9", refusing), REQUEST);
    assert_eq!(
        (answer.status, error(&answer)),
        (403, ("request_filter_error".to_owned(), "no".to_owned()))
    );
}

#[test]
fn filters_see_streams_and_mask_across_events() {
    let split = STREAM.replace("\"text\":\"Hello\"", "\"text\":\"Hello sec\"");
    let split = split.replace("\"text\":\" caf", "\"text\":\"ret caf");
    let yaml = "filters: [{ kind: block_patterns, words: [secret], on: [response], action: mask }]";
    let (answer, row) = answered(in_chunks(&split, 30), yaml, &streamed());
    assert!(!answer.text().contains("\"ret caf"), "{}", answer.text());
    assert_eq!(row.response_text.as_deref(), Some("Hello *** café 😀!"));
    assert_eq!(row.outcome, "ok");
    let borders = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with("event: "))
            .count()
    };
    assert_eq!(borders(answer.text()), borders(STREAM), "{}", answer.text());

    let yaml = "filters: [{ kind: block_patterns, words: [secret], on: [response], message: \"not that\" }]";
    let (answer, row) = answered(in_chunks(&split, 30), yaml, &streamed());
    let last =
        r#"data: {"type":"error","error":{"type":"response_filter_error","message":"not that"}}"#;
    assert!(
        answer
            .text()
            .ends_with(&format!("event: error\n{last}\n\n")),
        "{}",
        answer.text()
    );
    assert!(!answer.text().contains("message_stop"));
    assert_eq!(row.outcome, "filter_blocked");

    let yaml = "filters: [{ kind: block_patterns, words: [you], on: [response], action: mask }]";
    let (answer, _) = answered(json_answer(200, "", PLAIN), yaml, REQUEST);
    assert_eq!(answer.text(), PLAIN.replace("you", "***"));
    let yaml = "filters: [{ kind: block_patterns, words: [Paris], action: mask }]";
    let upstream = FakeUpstream::answering(json_answer(200, "", PLAIN));
    let gateway = before(&upstream, yaml);
    ask(&gateway, REQUEST);
    let sent = String::from_utf8(upstream.received(0)).expect("text");
    assert!(
        sent.contains("Weather in ***?") && sent.contains("\"data\":\"*** is mild.\""),
        "{sent}"
    );
    assert!(
        sent.contains(r#""input":{"city":"Paris"}"#),
        "a tool's input is no text: {sent}"
    );
}

#[test]
fn p9_an_exchange_replays_byte_for_byte() {
    for (wire, body, expected) in [
        (json_answer(200, "", PLAIN), REQUEST.to_owned(), PLAIN),
        (in_chunks(STREAM, 100), streamed(), STREAM),
    ] {
        let upstream = FakeUpstream::answering(wire);
        let gateway = before(&upstream, "");
        ask(&gateway, &body);
        let id = gateway.row().record.request_id;
        let headers = format!("{VERSION}x-aiproxy-replay: {id}\r\n");
        let replayed = gateway.send("POST", "/v1/messages", &headers, b"");
        assert_eq!((replayed.status, replayed.text()), (200, expected));
        let row = gateway.rows().pop().expect("a row").record;
        assert_eq!((&*row.outcome, row.replay_of), ("replayed", Some(id)));
        let unknown = headers.replace("replay: 0", "replay: f");
        let unknown = gateway.send("POST", "/v1/messages", &unknown, b"");
        assert_eq!(
            (unknown.status, &*error(&unknown).0),
            (404, "not_found_error")
        );
    }
}

#[test]
fn p6_no_key_is_in_any_sink_even_when_it_is_echoed() {
    let error = json!({"type": "error", "error": {"type": "x", "message": KEY}}).to_string();
    for wire in [
        json_answer(500, "", &error),
        json_answer(200, "", &PLAIN.replace("Hello", KEY)),
        in_chunks(&STREAM.replace("Hello", KEY), 50),
    ] {
        let upstream = FakeUpstream::answering(wire);
        let gateway = before(&upstream, "");
        let answer = ask(&gateway, REQUEST);
        assert!(answer.status == 200 || !answer.text().contains(KEY));
        gateway.settle();
        for secret in [KEY, "sk-client-0123456789"] {
            let seen = assert_clean_files(gateway.dir.path(), secret, &["aiproxy.yaml"]);
            assert!(1_000 < seen, "there was something to see");
        }
    }
}

#[test]
fn other_paths_of_anthropics_reach_it() {
    let cases = [
        (
            "POST",
            "/v1/messages/count_tokens",
            "/v1/messages/count_tokens",
            "messages.count_tokens",
        ),
        (
            "POST",
            "/v1/messages/batches",
            "/v1/messages/batches",
            "passthrough",
        ),
        ("GET", "/v1/models?limit=2", "/v1/models?limit=2", "models"),
        ("GET", "/v1/files/f_1", "/v1/files/f_1", "passthrough"),
        ("POST", "/anthropic/v1/messages", "/v1/messages", "messages"),
    ];
    for (method, path, target, endpoint) in cases {
        let upstream = FakeUpstream::answering(json_answer(200, "", r#"{"input_tokens":21}"#));
        let gateway = before(&upstream, "");
        let body = if method == "POST" { REQUEST } else { "" };
        let headers = format!("{VERSION}content-type: application/json\r\n");
        let answer = gateway.send(method, path, &headers, body.as_bytes());
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let sent = String::from_utf8(upstream.received(0)).expect("text");
        assert!(
            sent.starts_with(&format!("{method} {target} HTTP/1.1\r\n")),
            "{sent}"
        );
        let row = gateway.row().record;
        assert_eq!(
            (&*row.endpoint, &*row.dialect),
            (endpoint, "anthropic"),
            "{path}"
        );
        let is_counted = row.usage_source.as_deref() != Some("none");
        assert_eq!(is_counted, endpoint == "messages", "{path}");
    }
}

#[test]
fn its_prefix_means_the_first_of_its_kind() {
    let upstream = FakeUpstream::answering(json_answer(200, "", PLAIN));
    let gateway = TestGateway::with(Wanted {
        provider: format!(
            "  - name: claude\n    kind: anthropic\n    base_url: http://{}\n    api_keys: [{{ key: {KEY} }}]\n",
            upstream.addr()
        ),
        ..Wanted::default()
    });
    let headers = format!("{VERSION}content-type: application/json\r\n");
    let answer = gateway.send(
        "POST",
        "/anthropic/v1/messages",
        &headers,
        REQUEST.as_bytes(),
    );
    assert_eq!((answer.status, answer.text()), (200, PLAIN));
    let row = gateway.row().record;
    assert_eq!(row.provider.as_deref(), Some("claude"));
    let alone = TestGateway::start();
    let answer = alone.send(
        "POST",
        "/anthropic/v1/messages",
        &headers,
        REQUEST.as_bytes(),
    );
    assert_eq!(
        (answer.status, &*error(&answer).0),
        (404, "not_found_error")
    );
}

#[test]
fn nobody_is_sent_what_he_does_not_understand() {
    let upstream = FakeUpstream::answering(json_answer(200, "", PLAIN));
    let gateway = before(&upstream, "");
    assert_eq!(
        gateway.chat("claude-sonnet-4-5", "").status,
        200,
        "the mock takes every model"
    );
    assert_eq!(upstream.connections(), 0);
    let openai_alone = TestGateway::start();
    let headers = format!("{VERSION}content-type: application/json\r\n");
    let path = "/v1/messages/count_tokens";
    let answer = openai_alone.send("POST", path, &headers, REQUEST.as_bytes());
    assert_eq!(
        (answer.status, &*error(&answer).0),
        (400, "invalid_request_error")
    );
    let row = openai_alone.row().record;
    assert_eq!((&*row.outcome, row.attempts), ("client_error", 0));
}

#[test]
fn without_a_key_of_ours_the_clients_own_travels() {
    for credential in [
        "x-api-key: sk-client-0123456789",
        "authorization: Bearer sk-client-0123456789",
    ] {
        let upstream = FakeUpstream::answering(json_answer(200, "", PLAIN));
        let gateway = TestGateway::with(Wanted {
            provider: format!(
                "  - name: claude\n    kind: anthropic\n    base_url: http://{}\n",
                upstream.addr()
            ),
            ..Wanted::default()
        });
        let headers = format!("{credential}\r\ncontent-type: application/json\r\n");
        let answer = gateway.send("POST", "/v1/messages", &headers, REQUEST.as_bytes());
        assert_eq!(answer.status, 200);
        let sent = String::from_utf8(upstream.received(0)).expect("text");
        assert!(sent.contains(&format!("{credential}\r\n")), "{sent}");
        assert!(sent.contains("anthropic-version: 2023-06-01\r\n"), "{sent}");
        let row = gateway.row().record;
        let headers = row.payload.and_then(|payload| payload.request_headers);
        assert!(!headers.unwrap_or_default().contains("sk-client"));
    }
}

#[test]
fn a_filter_that_wants_the_whole_answer_sees_and_changes_a_stream() {
    // The surrogate pair in it comes apart between two events.
    let upstream = FakeUpstream::answering(in_chunks(STREAM, 100));
    let filter = shouts();
    let gateway = TestGateway::with(Wanted {
        extend: Some(Box::new(|gateway| gateway.with(filter))),
        ..wanted(&format!("http://{}", upstream.addr()), "")
    });
    let text = ask(&gateway, &streamed()).text().to_owned();
    let seen: String = text
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .filter_map(|data: Value| Some(data["delta"]["text"].as_str()?.to_owned()))
        .collect();
    assert_eq!(seen, "HELLO CAFÉ 😀!");
    assert_eq!(text.matches("event: message_stop").count(), 1, "{text}");
    assert!(
        text.ends_with("data: {\"type\":\"message_stop\"}\n\n"),
        "{text}"
    );
    let row = gateway.row().record;
    assert_eq!(tags_of(&row)["saw"], "Hello café 😀!");
    assert_eq!(row.outcome, "ok");
}
