//! Clients before providers of another dialect: what is sent, what comes back, what is on record of both sides. Over 400
//! lines: every promise holds here as well.

mod bedrock;
mod bedrock_clients;
mod broken;
mod completions;
mod counts;
mod embeddings;
mod gemini;
mod gemini_clients;
mod lacking;
mod made_stream;
mod missing_model;
mod responses;

use aiproxy::access_log::record::{LogRecord, StoredBody};
use aiproxy::filter::Filter;
use serde_json::{Value, json};

use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{PROVIDER_KEY, TestGateway, Wanted};
use crate::support::raw_client::{RawResponse, post};
use crate::support::shouts::shouts;
use crate::support::signal::Signal;
use crate::support::wire::{
    DONE, FINISH, LAST_CHUNK, STREAM_HEAD, TEXT, USAGE, WHOLE, chunk, json as json_answer, stream,
};

const KEY: &str = "sk-ant-canary-0123456789abcdef";
const MESSAGE: &str = include_str!("../fixtures/anthropic/plain.json");
const MESSAGE_STREAM: &str = include_str!("../fixtures/anthropic/stream.sse");
const TOOL_STREAM: &str = include_str!("../fixtures/anthropic/stream_tools.sse");
const ERROR_STREAM: &str = include_str!("../fixtures/anthropic/stream_error.sse");
const CHAT: &str = r#"{"model":"claude-sonnet-4-5","messages":[{"role":"system","content":"Be terse."},{"role":"user","content":"Hello?"}],"seed":7}"#;
const ASKED: &str = r#"{"model":"m-1","max_tokens":20,"system":"Be terse.","messages":[{"role":"user","content":"Hello?"}]}"#;

/// A gateway with OpenAI's mock, which takes every model, and this upstream as Anthropic, which names its own.
fn before_anthropic(upstream: &FakeUpstream, filter: Option<Filter>) -> TestGateway {
    TestGateway::with(Wanted {
        provider: format!(
            "  - name: claude\n    kind: anthropic\n    base_url: http://{}\n    \
             models: {{ allow: [\"claude-*\"] }}\n    api_keys: [{{ key: {KEY}, name: primary }}]\n",
            upstream.addr()
        ),
        extend: filter.map(|filter| -> Box<dyn FnOnce(_) -> _> {
            Box::new(move |gateway: aiproxy::Gateway| gateway.with(filter))
        }),
        ..Wanted::default()
    })
}

fn chat(gateway: &TestGateway, body: &str) -> RawResponse {
    let headers = "content-type: application/json\r\nauthorization: Bearer sk-client-0123456789\r\n\
                   openai-organization: org-1\r\nuser-agent: test/1\r\n";
    gateway.send("POST", "/v1/chat/completions", headers, body.as_bytes())
}

fn message(gateway: &TestGateway, body: &str) -> RawResponse {
    let headers = "content-type: application/json\r\nx-api-key: sk-client-0123456789\r\n\
                   anthropic-version: 2023-06-01\r\nanthropic-beta: some-2026-01-01\r\n";
    gateway.send("POST", "/v1/messages", headers, body.as_bytes())
}

fn streamed(body: &str) -> String {
    body.replacen('{', r#"{"stream":true,"#, 1)
}

fn in_chunks(stream: &str, bytes: usize) -> Vec<u8> {
    let mut wire = STREAM_HEAD.as_bytes().to_vec();
    for piece in stream.as_bytes().chunks(bytes) {
        wire.extend(chunk(piece));
    }
    wire.extend_from_slice(LAST_CHUNK.as_bytes());
    wire
}

fn sent(upstream: &FakeUpstream) -> (String, Value) {
    let sent = String::from_utf8(upstream.received(0)).expect("text");
    let (head, body) = sent.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), serde_json::from_str(body).expect("JSON"))
}

fn data(stream: &str) -> Vec<Value> {
    stream
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .collect()
}

fn last(gateway: &TestGateway) -> LogRecord {
    gateway.rows().pop().expect("a row").record
}

fn stored(body: &Option<StoredBody>) -> &str {
    body.as_ref().and_then(StoredBody::as_text).unwrap_or("")
}

#[track_caller]
fn check_tokens(row: &LogRecord, prompt: i64, completion: i64) {
    let tokens = (row.prompt_tokens, row.completion_tokens);
    assert_eq!(tokens, (Some(prompt), Some(completion)));
    assert_eq!(row.usage_source.as_deref(), Some("upstream"));
}

#[test]
fn a_chat_is_answered_by_anthropic() {
    let upstream = FakeUpstream::answering(json_answer(
        200,
        "request-id: r-1\r\netag: \"1\"\r\n",
        MESSAGE,
    ));
    let gateway = before_anthropic(&upstream, None);
    let answer = chat(&gateway, CHAT);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("request-id"), Some("r-1"));
    assert!(answer.header("etag").is_none());
    let said = answer.json();
    assert_eq!(said["object"], "chat.completion");
    let message = &said["choices"][0]["message"];
    assert_eq!(message["content"], "Hello \"you\", café 😀");
    assert_eq!(said["choices"][0]["finish_reason"], "stop");
    let usage = json!({
        "prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 47,
        "prompt_tokens_details": { "cached_tokens": 20, "cache_write_tokens": 5 },
    });
    assert_eq!(said["usage"], usage);

    let (head, body) = sent(&upstream);
    assert!(head.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("x-api-key: {KEY}")), "{head}");
    assert!(head.contains("anthropic-version: 2023-06-01"), "{head}");
    assert!(
        !head.contains("sk-client") && !head.contains("org-1"),
        "{head}"
    );
    let expected = json!({
        "model": "claude-sonnet-4-5", "max_tokens": 4096, "system": "Be terse.",
        "messages": [{ "role": "user", "content": "Hello?" }],
    });
    assert_eq!(body, expected);

    let row = gateway.row().record;
    let facts = (
        &*row.endpoint,
        &*row.dialect,
        &*row.outcome,
        row.status_code,
    );
    assert_eq!(facts, ("chat.completions", "openai", "ok", 200));
    assert_eq!(row.provider.as_deref(), Some("claude"));
    assert_eq!(row.model.as_deref(), Some("claude-sonnet-4-5-20250929"));
    assert_eq!(row.response_text.as_deref(), Some("Hello \"you\", café 😀"));
    assert_eq!(row.dropped.as_deref(), Some(r#"["seed"]"#));
    check_tokens(&row, 35, 12);
    let payload = row.payload.as_ref().expect("bodies");
    assert_eq!(stored(&payload.request_body), CHAT);
    assert!(stored(&payload.upstream_request_body).contains("\"max_tokens\":4096"));
    assert_eq!(stored(&payload.response_body), answer.text());
    assert_eq!(stored(&payload.upstream_response_body), MESSAGE);
}

#[test]
fn a_chat_is_streamed_by_anthropic_whatever_the_chunks() {
    for bytes in [1, 100, MESSAGE_STREAM.len()] {
        let upstream = FakeUpstream::answering(in_chunks(MESSAGE_STREAM, bytes));
        let gateway = before_anthropic(&upstream, None);
        let asked = r#"{"stream_options":{"include_usage":true},"stream":true,"#;
        let answer = chat(&gateway, &CHAT.replacen('{', asked, 1));
        let text = answer.text();
        assert!(text.ends_with("data: [DONE]\n\n"), "by {bytes}: {text}");
        let chunks = data(&text.replace("\\ud83d\"", "\"").replace("\"\\ude00", "\""));
        let said: String = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
            .collect();
        assert_eq!(said, "Hello café !");
        assert!(
            text.contains(r"\ud83d") && text.contains(r"\ude00!"),
            "as it was spelt"
        );
        let last = chunks.last().expect("a chunk");
        assert_eq!(last["usage"]["completion_tokens"], 15);
        let row = gateway.row().record;
        assert_eq!((&*row.outcome, row.response_complete), ("ok", Some(true)));
        assert_eq!(row.response_text.as_deref(), Some("Hello café 😀!"));
        assert!(row.first_token_ms.is_some());
        check_tokens(&row, 32, 15);
        let payload = row.payload.expect("bodies");
        assert_eq!(stored(&payload.upstream_response_body), MESSAGE_STREAM);
        assert_eq!(stored(&payload.response_body), text);
    }
}

#[test]
fn signs_of_life_pass_in_both_directions() {
    let ping = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
    let upstream = FakeUpstream::answering(stream([ping, MESSAGE_STREAM].concat()));
    let gateway = before_anthropic(&upstream, None);
    let answer = chat(&gateway, &streamed(CHAT));
    assert!(answer.text().starts_with(": ping\n"), "{}", answer.text());
    let upstream = FakeUpstream::answering(stream(
        [": at work\n\n", TEXT, ": at work\n\n", FINISH, DONE].concat(),
    ));
    let gateway = TestGateway::before(upstream.base_url());
    let answer = message(&gateway, &streamed(ASKED));
    assert!(
        answer.text().starts_with(": ping\nevent: message_start\n"),
        "{}",
        answer.text()
    );
    assert_eq!(
        answer.text().matches("event: ping").count(),
        1,
        "{}",
        answer.text()
    );
    assert_eq!(gateway.row().record.response_text.as_deref(), Some("Hällo"));
}

#[test]
fn parallel_calls_of_a_stream_stay_apart() {
    let upstream = FakeUpstream::answering(in_chunks(TOOL_STREAM, 64));
    let gateway = before_anthropic(&upstream, None);
    let answer = chat(&gateway, &streamed(CHAT));
    let row = gateway.row().record;
    assert_eq!(row.finish_reason.as_deref(), Some("tool_calls"));
    let calls: Value = serde_json::from_str(&row.tool_calls.expect("calls")).expect("JSON");
    let call = |at: usize, key: &str| calls[at]["function"][key].as_str().map(str::to_owned);
    assert_eq!(
        call(0, "arguments").as_deref(),
        Some(r#"{"city": "Paris"}"#)
    );
    assert_eq!(call(1, "name").as_deref(), Some("now"));
    assert_eq!(
        call(1, "arguments").as_deref(),
        Some("{}"),
        "{}",
        answer.text()
    );
    assert_eq!(calls[0]["id"], "toolu_A");
}

#[test]
fn a_message_is_answered_by_openai() {
    let upstream = FakeUpstream::answering(json_answer(200, "", WHOLE));
    let gateway = TestGateway::before(upstream.base_url());
    let answer = message(&gateway, ASKED);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut said = answer.json();
    assert!(
        said["id"]
            .take()
            .as_str()
            .is_some_and(|id| id.starts_with("msg_"))
    );
    let expected = json!({
        "id": null, "type": "message", "role": "assistant", "model": "m-1",
        "content": [{ "type": "text", "text": "hi" }], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": { "input_tokens": 7, "output_tokens": 2 },
    });
    assert_eq!(said, expected);
    let (head, body) = sent(&upstream);
    assert!(
        head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains(&format!("authorization: Bearer {PROVIDER_KEY}")),
        "{head}"
    );
    assert!(
        !head.contains("sk-client") && !head.contains("anthropic-"),
        "{head}"
    );
    let messages = json!([
        { "role": "system", "content": "Be terse." }, { "role": "user", "content": "Hello?" },
    ]);
    assert_eq!(body["messages"], messages);
    assert_eq!(body["max_tokens"], 20);
    let row = gateway.row().record;
    let facts = (&*row.endpoint, &*row.dialect, &*row.outcome);
    assert_eq!(facts, ("messages", "anthropic", "ok"));
    check_tokens(&row, 7, 2);
    assert_eq!(row.dropped, None);
}

#[test]
fn a_message_is_streamed_by_openai_with_its_usage() {
    let events = [TEXT, FINISH, USAGE, DONE].concat();
    let upstream = FakeUpstream::answering(stream(&events));
    let gateway = TestGateway::before(upstream.base_url());
    let answer = message(&gateway, &streamed(ASKED));
    let (_, body) = sent(&upstream);
    assert_eq!(body["stream_options"]["include_usage"], true);
    let kinds: Vec<Value> = data(answer.text())
        .iter()
        .map(|data| data["type"].clone())
        .collect();
    let expected = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(kinds, expected, "{}", answer.text());
    let row = gateway.row().record;
    assert_eq!(
        (&*row.outcome, row.response_text.as_deref()),
        ("ok", Some("Hällo"))
    );
    check_tokens(&row, 7, 2);
}

#[test]
fn f31_the_first_event_goes_out_as_soon_as_the_first_is_in() {
    let go_on = Signal::new();
    let (first, rest) = MESSAGE_STREAM.split_at(
        MESSAGE_STREAM
            .find("event: content_block_stop")
            .expect("a stop"),
    );
    let upstream = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send([STREAM_HEAD.as_bytes(), &chunk(first)].concat()),
        Step::Wait(go_on.clone()),
        Step::Send([chunk(rest), LAST_CHUNK.into()].concat()),
    ]]);
    let gateway = before_anthropic(&upstream, None);
    let mut client = gateway.connect();
    let body = streamed(CHAT);
    client.send(post("/v1/chat/completions", &body));
    client.read_until(b"Hello");
    go_on.fire();
    client.read_until(b"[DONE]");
    assert_eq!(gateway.row().record.outcome, "ok");
}

#[test]
fn what_was_asked_counts_in_the_format_in_which_it_was_asked() {
    let asked = Signal::new();
    let upstream = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Fire(asked.clone()),
        Step::ReadToEnd,
    ]]);
    let gateway = before_anthropic(&upstream, None);
    let mut client = gateway.connect();
    let body = streamed(&CHAT.replacen("Be terse.", &"word ".repeat(100), 1));
    client.send(post("/v1/chat/completions", &body));
    asked.wait();
    client.reset();
    let row = gateway.row().record;
    assert_eq!(row.outcome, "client_disconnected");
    assert!(row.prompt_tokens > Some(100), "{:?}", row.prompt_tokens);
    assert_eq!(row.dropped.as_deref(), Some(r#"["seed"]"#));
}

#[test]
fn errors_of_the_provider_come_in_the_clients_shape() {
    let overloaded =
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let invalid = r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: too large"}}"#;
    let refused =
        r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#;
    for (status, headers, body, expected, message, outcome) in [
        (
            529,
            "retry-after: 3\r\n",
            overloaded,
            529,
            "Overloaded",
            "upstream_error",
        ),
        (
            400,
            "",
            invalid,
            400,
            "max_tokens: too large",
            "upstream_error",
        ),
        (
            401,
            "",
            refused,
            502,
            "the provider refused the proxy's own credentials",
            "upstream_error",
        ),
        (
            429,
            "retry-after: 3\r\n",
            "<html>no</html>",
            429,
            "the provider answered with status 429",
            "rate_limited",
        ),
    ] {
        let upstream = FakeUpstream::answering(json_answer(status, headers, body));
        let gateway = before_anthropic(&upstream, None);
        let answer = chat(&gateway, &streamed(CHAT));
        let said = answer.json();
        assert_eq!(
            (answer.status, &said["error"]["message"]),
            (expected, &json!(message))
        );
        assert_eq!(
            answer.header("retry-after").is_some(),
            headers.contains("retry-after"),
            "{status}"
        );
        let row = gateway.row().record;
        assert_eq!(
            (&*row.outcome, row.upstream_status),
            (outcome, Some(status.into()))
        );
        let payload = row.payload.expect("bodies");
        assert_eq!(stored(&payload.upstream_response_body), body);
    }
}

#[test]
fn a_key_that_the_provider_says_stays_here() {
    let error =
        format!(r#"{{"type":"error","error":{{"type":"api_error","message":"at {KEY}"}}}}"#);
    let event = format!("event: error\ndata: {error}\n\n");
    for wire in [json_answer(400, "", &error), stream(event)] {
        let upstream = FakeUpstream::answering(wire);
        let gateway = before_anthropic(&upstream, None);
        let answer = chat(&gateway, &streamed(&CHAT.replacen("seed", KEY, 1)));
        let text = answer.text();
        assert!(text.contains("at ***") && !text.contains(KEY), "{text}");
        let row = gateway.row().record;
        let payload = row.payload.as_ref().expect("bodies");
        assert!(!stored(&payload.upstream_response_body).contains(KEY));
        assert!(!format!("{row:?}").contains(KEY), "{row:?}");
    }
}

#[test]
fn f32_a_translated_stream_that_breaks_off_has_an_error_and_no_end() {
    let cut = MESSAGE_STREAM
        .split_at(MESSAGE_STREAM.find("event: message_delta").expect("an end"))
        .0;
    let garbage = "event: content_block_delta\ndata: {\"type\":\n\n";
    for (events, outcome, code) in [
        (cut.to_owned(), "upstream_truncated", "upstream_truncated"),
        (
            ERROR_STREAM.to_owned(),
            "upstream_error",
            "overloaded_error",
        ),
        (
            [cut, garbage].concat(),
            "upstream_error",
            "upstream_protocol",
        ),
    ] {
        let upstream = FakeUpstream::answering(stream(&events));
        let gateway = before_anthropic(&upstream, None);
        let answer = chat(&gateway, &streamed(CHAT));
        let text = answer.text();
        assert!(!text.contains("[DONE]"), "{text}");
        let last = data(text).pop().expect("an event");
        assert_eq!(last["error"]["code"], code, "{text}");
        let row = gateway.row().record;
        assert_eq!(
            (&*row.outcome, row.response_complete),
            (outcome, Some(false))
        );
        let payload = row.payload.expect("bodies");
        assert_eq!(stored(&payload.upstream_response_body), events);
    }
}

#[test]
fn what_cannot_be_asked_elsewhere_is_refused_by_its_name() {
    let upstream = FakeUpstream::answering(json_answer(200, "", MESSAGE));
    let gateway = before_anthropic(&upstream, None);
    for (more, field) in [
        (r#""n":2"#, "n"),
        (r#""audio":{"voice":"a"}"#, "audio"),
        (
            r#""response_format":{"type":"json_object"}"#,
            "response_format.type",
        ),
        (r#""tools":[{"type":"web_search"}]"#, "tools[0].type"),
        (r#""temperature":"warm""#, "temperature"),
    ] {
        let answer = chat(&gateway, &CHAT.replacen('{', &format!("{{{more},"), 1));
        let error = &answer.json()["error"];
        assert_eq!(
            (answer.status, &error["code"]),
            (400, &json!("unsupported_parameter"))
        );
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.starts_with(&format!("'{field}' ")), "{message}");
        assert_eq!(error["param"], field);
        assert_eq!(last(&gateway).outcome, "client_error");
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn an_answer_that_is_none_is_an_error_of_the_provider() {
    for (wire, code) in [
        (json_answer(200, "", r#"{"content":"#), "upstream_protocol"),
        (
            json_answer(200, "", r#"{"content":1}"#),
            "upstream_protocol",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nno".to_vec(),
            "upstream_bad_content_type",
        ),
        (
            b"HTTP/1.1 302 No\r\nlocation: /else\r\ncontent-length: 0\r\n\r\n".to_vec(),
            "upstream_redirect",
        ),
    ] {
        let upstream = FakeUpstream::answering(wire);
        let gateway = before_anthropic(&upstream, None);
        let answer = chat(&gateway, CHAT);
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (502, &json!(code))
        );
        assert_eq!(gateway.row().record.outcome, "upstream_error");
    }
}

#[test]
fn filters_see_the_clients_format_and_the_record_what_came() {
    for (wire, body, came) in [
        (json_answer(200, "", MESSAGE), CHAT.to_owned(), MESSAGE),
        (
            in_chunks(MESSAGE_STREAM, 100),
            streamed(CHAT),
            MESSAGE_STREAM,
        ),
    ] {
        let upstream = FakeUpstream::answering(wire);
        let filter = shouts();
        let gateway = before_anthropic(&upstream, Some(filter));
        let answer = chat(&gateway, &body);
        assert!(answer.text().contains("HELLO"), "{}", answer.text());
        let row = gateway.row().record;
        assert!(
            row.response_text
                .is_some_and(|text| text.contains("CAFÉ 😀"))
        );
        let payload = row.payload.expect("bodies");
        assert_eq!(stored(&payload.upstream_response_body), came);
    }
}

#[test]
fn who_names_the_model_goes_before_who_takes_every_one() {
    for (model, provider) in [
        ("gpt-4o", "openai"),
        ("claude-sonnet-4-5", "claude"),
        ("claude/anything", "claude"),
        ("openai/claude-x", "openai"),
    ] {
        let upstream = FakeUpstream::answering(json_answer(200, "", MESSAGE));
        let gateway = before_anthropic(&upstream, None);
        let answer = chat(&gateway, &CHAT.replacen("claude-sonnet-4-5", model, 1));
        assert_eq!(answer.status, 200, "{model}");
        assert_eq!(
            last(&gateway).provider.as_deref(),
            Some(provider),
            "{model}"
        );
    }
}

#[test]
fn a_clients_own_key_is_not_for_another_vendor() {
    let gateway = TestGateway::with(Wanted {
        provider: "  - name: claude\n    kind: anthropic\n    models: { allow: [\"claude-*\"] }\n"
            .to_owned(),
        ..Wanted::default()
    });
    chat(&gateway, CHAT);
    let row = gateway.row().record;
    assert_eq!(
        row.provider.as_deref(),
        Some("openai"),
        "nobody else has a key"
    );
}
