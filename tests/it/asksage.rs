//! Clients before Ask Sage: what is sent, what comes back, and the failures that it tells under a good status.

use aiproxy::access_log::record::{LogRecord, StoredBody};
use serde_json::{Value, json};

use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{TestGateway, Wanted, chat_body};
use crate::support::raw_client::RawResponse;
use crate::support::shouts::shouts;
use crate::support::wire::{STREAM, json as json_answer};

const KEY: &str = "ask-canary-0123456789abcdef";
const PLAIN: &str = include_str!("../fixtures/asksage/plain.json");
const TOOLS: &str = include_str!("../fixtures/asksage/tools.json");
const MODELS: &str = include_str!("../fixtures/asksage/models.json");
const TEXT: &str = "Hello \"you\",\n\n\tcafé 😀";
const CHAT: &str = r#"{"model":"gpt-4.1-gov","messages":[{"role":"system","content":"Be terse."},{"role":"user","content":"Hello?"}],"max_tokens":5}"#;
const ASKED: &str =
    r#"{"model":"gpt-4.1-gov","max_tokens":20,"messages":[{"role":"user","content":"Hello?"}]}"#;

fn wanted(upstream: &FakeUpstream, more: &str) -> Wanted {
    Wanted {
        provider: format!(
            "  - name: sage\n    kind: asksage\n    base_url: http://{}/server\n{more}    \
             models: {{ allow: [\"gpt-*-gov\", \"o3\"] }}\n    api_keys: [{{ key: {KEY}, name: primary }}]\n",
            upstream.addr()
        ),
        ..Wanted::default()
    }
}

fn answering(wire: impl Into<Vec<u8>>) -> (FakeUpstream, TestGateway) {
    let upstream = FakeUpstream::answering(wire);
    let gateway = TestGateway::with(wanted(&upstream, ""));
    (upstream, gateway)
}

fn chat(gateway: &TestGateway, body: &str) -> RawResponse {
    let headers =
        "content-type: application/json\r\nauthorization: Bearer sk-client-0123456789\r\n";
    gateway.send("POST", "/v1/chat/completions", headers, body.as_bytes())
}

fn streamed(body: &str) -> String {
    body.replacen(
        '{',
        r#"{"stream":true,"stream_options":{"include_usage":true},"#,
        1,
    )
}

fn sent(upstream: &FakeUpstream) -> (String, Value) {
    let sent = String::from_utf8(upstream.received(0)).expect("text");
    let (head, body) = sent.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), serde_json::from_str(body).expect("JSON"))
}

fn last(gateway: &TestGateway) -> LogRecord {
    gateway.rows().pop().expect("a row").record
}

fn stored(body: &Option<StoredBody>) -> &str {
    body.as_ref().and_then(StoredBody::as_text).unwrap_or("")
}

fn data(stream: &str) -> Vec<Value> {
    let data = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str(data).ok())
        .collect()
}

#[track_caller]
fn error(answer: &RawResponse) -> (u16, String) {
    let code = answer.json()["error"]["code"].clone();
    (answer.status, code.as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_chat_is_asked_and_answered() {
    let (upstream, gateway) = answering(json_answer(200, "", PLAIN));
    let answer = chat(&gateway, CHAT);
    let said = answer.json();
    assert_eq!(answer.status, 200, "{said}");
    assert_eq!(said["choices"][0]["message"]["content"], TEXT);
    assert_eq!(said["choices"][0]["finish_reason"], "stop");
    assert_eq!(said["model"], "gpt-4.1-gov");
    let usage = json!({ "prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 47 });
    assert_eq!(said["usage"], usage);

    let (head, body) = sent(&upstream);
    assert!(
        head.starts_with("POST /server/query HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains(&format!("x-access-tokens: {KEY}\r\n")),
        "{head}"
    );
    assert!(!head.contains("sk-client"), "{head}");
    let expected = json!({
        "dataset": "none", "persona": "default", "model": "gpt-4.1-gov",
        "message": [{ "user": "me", "message": "Hello?" }], "system_prompt": "Be terse.",
        "live": 0, "limit_references": 0, "usage": true,
    });
    assert_eq!(body, expected);

    let row = last(&gateway);
    assert_eq!(
        (&*row.endpoint, &*row.dialect, &*row.outcome),
        ("chat.completions", "openai", "ok")
    );
    assert_eq!(row.provider.as_deref(), Some("sage"));
    assert_eq!(row.response_text.as_deref(), Some(TEXT));
    assert_eq!(row.dropped.as_deref(), Some(r#"["max_tokens"]"#));
    let tokens = (
        row.prompt_tokens,
        row.completion_tokens,
        row.usage_source.as_deref(),
    );
    assert_eq!(tokens, (Some(35), Some(12), Some("upstream")));
    let raw: Value = serde_json::from_str(&row.usage_raw.expect("usage")).expect("JSON");
    assert_eq!(raw["asksage_tokens"], 63);
    let payload = row.payload.expect("bodies");
    assert_eq!(stored(&payload.request_body), CHAT);
    assert_eq!(stored(&payload.upstream_response_body), PLAIN);
    let kept: Value = serde_json::from_str(stored(&payload.upstream_request_body)).expect("JSON");
    assert_eq!(kept, expected);
}

#[test]
fn dataset_and_persona_are_the_configurations() {
    let upstream = FakeUpstream::answering(json_answer(200, "", PLAIN));
    let more = "    dataset: \"user \\\"x\\\" docs\"\n    persona: 5\n";
    let gateway = TestGateway::with(wanted(&upstream, more));
    assert_eq!(chat(&gateway, CHAT).status, 200);
    let (_, body) = sent(&upstream);
    let named = (&body["dataset"], &body["persona"]);
    assert_eq!(named, (&json!("user \"x\" docs"), &json!(5)));
}

#[test]
fn a_stream_is_made_of_the_answer_character_by_character() {
    let long = format!(
        "{TEXT}\n```rust\nfn main() {{\n    let  x = 1;\n}}\n```\n{}",
        "é😀 word  ".repeat(900)
    );
    let mut whole: Value = serde_json::from_str(PLAIN).expect("JSON");
    whole["message"] = json!(long);
    let whole = whole.to_string();
    let (_upstream, gateway) = answering(json_answer(200, "", &whole));
    let answer = chat(&gateway, &streamed(CHAT));
    let text = answer.text();
    assert_eq!(
        answer.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    assert!(text.ends_with("data: [DONE]\n\n"));
    let chunks = data(text);
    assert!(50 < chunks.len(), "{}", chunks.len());
    let said: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(said, long);
    assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]));
    let reasons: Vec<&Value> = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0]["finish_reason"])
        .filter(|reason| !reason.is_null())
        .collect();
    assert_eq!(reasons, ["stop"], "once, at the end");
    assert_eq!(chunks.last().expect("a chunk")["usage"]["total_tokens"], 47);
    let row = last(&gateway);
    assert_eq!(
        (row.response_complete, row.stream),
        (Some(true), Some(true))
    );
    assert_eq!(row.response_text.as_deref(), Some(&*long));
    assert_eq!(
        (row.prompt_tokens, row.completion_tokens),
        (Some(35), Some(12))
    );
    let payload = row.payload.expect("bodies");
    assert_eq!(stored(&payload.upstream_response_body), whole);
    assert_eq!(stored(&payload.response_body), text);
}

#[test]
fn calls_of_tools_come_whole_and_streamed() {
    let calls = |row: &LogRecord| {
        serde_json::from_str::<Value>(row.tool_calls.as_deref().expect("calls")).expect("JSON")
    };
    let tools =
        r#","tools":[{"type":"function","function":{"name":"get_weather"}}],"tool_choice":"auto""#;
    let mut rows = Vec::new();
    for more in ["", STREAM] {
        let (upstream, gateway) = answering(json_answer(200, "", TOOLS));
        let body = chat_body("gpt-4.1-gov", &format!("{tools}{more}"));
        let answer = chat(&gateway, &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let (_, sent) = sent(&upstream);
        assert_eq!(sent["tools"][0]["function"]["name"], "get_weather");
        assert_eq!(sent["tool_choice"], "auto");
        assert!(sent.get("stream").is_none());
        let row = last(&gateway);
        assert_eq!(row.finish_reason.as_deref(), Some("tool_calls"));
        rows.push(calls(&row));
    }
    for calls in rows {
        assert_eq!(calls[0]["id"], "call_1");
        assert_eq!(calls[0]["function"]["arguments"], r#"{"city":"Paris"}"#);
        // It came without an id.
        assert_ne!(calls[1]["id"], "");
        assert_eq!(calls[1]["function"]["name"], "now");
    }
}

#[test]
fn a_message_is_answered_whole_and_streamed() {
    for (body, is_stream) in [(ASKED.to_owned(), false), (streamed(ASKED), true)] {
        let (_upstream, gateway) = answering(json_answer(200, "", PLAIN));
        let headers = "content-type: application/json\r\nx-api-key: theirs\r\nanthropic-version: 2023-06-01\r\n";
        let answer = gateway.send("POST", "/v1/messages", headers, body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        match is_stream {
            true => assert!(
                answer.text().contains("event: message_stop\n"),
                "{}",
                answer.text()
            ),
            false => assert_eq!(answer.json()["content"][0]["text"], TEXT),
        }
        let row = last(&gateway);
        assert_eq!((&*row.endpoint, &*row.outcome), ("messages", "ok"));
        assert_eq!(row.response_text.as_deref(), Some(TEXT));
    }
}

#[test]
fn failures_under_a_good_status_are_errors() {
    let told = |said: &str| {
        json!({ "message": said, "response": "OK", "status": 200, "usage": null, "tool_calls": null }).to_string()
    };
    for (body, status, code, shows) in [
        (
            told("Sorry, this model is no longer available. Please use a more recent version"),
            404,
            "model_not_found",
            true,
        ),
        (
            told("Sorry, the model is overloaded, please try again in a few seconds."),
            503,
            "upstream_overloaded",
            true,
        ),
        (
            told("You are not authorized to use this model."),
            502,
            "upstream_auth",
            false,
        ),
        (
            told("Sorry, an error occurred."),
            502,
            "upstream_error",
            true,
        ),
        (
            r#"{"error":"no such dataset","status":400,"details":"x"}"#.to_owned(),
            400,
            "upstream_error",
            true,
        ),
        (
            r#"{"response":"Token is invalid","status":401}"#.to_owned(),
            502,
            "upstream_auth",
            false,
        ),
    ] {
        for ask in [CHAT.to_owned(), streamed(CHAT)] {
            let (_upstream, gateway) = answering(json_answer(200, "", &body));
            let answer = chat(&gateway, &ask);
            assert_eq!(error(&answer), (status, code.to_owned()), "{body}");
            let message = answer.json()["error"]["message"].clone();
            let words = ["Sorry", "no such dataset: x"];
            let is_shown = words
                .iter()
                .any(|word| message.as_str().is_some_and(|said| said.contains(word)));
            assert_eq!(is_shown, shows, "{message}");
            let row = last(&gateway);
            assert_eq!(
                (&*row.outcome, row.upstream_status),
                ("upstream_error", Some(200))
            );
            assert_eq!(
                (row.prompt_tokens, row.usage_source.as_deref()),
                (None, Some("none"))
            );
            assert_eq!(row.response_text, None);
            let [only] = &*row.tries else {
                panic!("{:?}", row.tries)
            };
            assert_eq!(
                (only.outcome.as_str(), only.status_code),
                ("upstream_error", Some(200))
            );
            assert!(
                only.error_message
                    .as_deref()
                    .is_some_and(|said| !said.is_empty())
            );
            let payload = row.payload.expect("bodies");
            assert_eq!(stored(&payload.upstream_response_body), body);
        }
    }
}

#[test]
fn a_models_own_words_are_an_answer() {
    let gone = "Sorry, this model is no longer available. Please use a more recent version";
    for (said, usage) in [
        (
            gone.to_owned(),
            json!({ "model_tokens": { "prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12 } }),
        ),
        (format!("The API said: \"{gone}\""), Value::Null),
        (
            "Unauthorized access is what this door is for.".to_owned(),
            Value::Null,
        ),
        (String::new(), Value::Null),
    ] {
        let body = json!({ "message": said, "response": "OK", "status": 200, "usage": usage });
        let (_upstream, gateway) = answering(json_answer(200, "", &body.to_string()));
        let answer = chat(&gateway, CHAT);
        assert_eq!(answer.status, 200, "{said}");
        assert_eq!(answer.json()["choices"][0]["message"]["content"], said);
        let row = last(&gateway);
        assert_eq!(row.outcome, "ok");
        if usage.is_null() {
            assert!(answer.json().get("usage").is_none(), "unknown is not 0");
            assert_ne!(row.usage_source.as_deref(), Some("upstream"));
            assert_eq!(row.usage_raw, None);
            assert!(row.prompt_tokens.is_some_and(|count| 0 < count), "{row:?}");
        }
    }
}

#[test]
fn errors_with_a_status_of_their_own_keep_it() {
    for (status, body, expected, code) in [
        (
            400,
            r#"{"error":"bad","status":400,"details":"why"}"#,
            400,
            "upstream_error",
        ),
        (
            413,
            r#"{"response":"too long","status":413}"#,
            413,
            "upstream_error",
        ),
        (
            401,
            r#"{"response":"Token is invalid","status":401}"#,
            502,
            "upstream_auth",
        ),
        (500, r#"{"error":"x","status":500}"#, 500, "upstream_error"),
        (504, "{}", 504, "upstream_error"),
    ] {
        let (_upstream, gateway) = answering(json_answer(status, "", body));
        let answer = chat(&gateway, CHAT);
        assert_eq!(error(&answer), (expected, code.to_owned()), "{body}");
    }
    let (_upstream, gateway) = answering(json_answer(
        400,
        "",
        &format!(r#"{{"error":"no {KEY}","status":400}}"#),
    ));
    let answer = chat(&gateway, CHAT);
    assert!(!answer.text().contains("canary"), "{}", answer.text());
}

#[test]
fn wrong_answers_are_told() {
    let html = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>";
    for (wire, code) in [
        (html.as_bytes().to_vec(), "upstream_bad_content_type"),
        (json_answer(200, "", "<html>"), "upstream_protocol"),
        (json_answer(200, "", ""), "upstream_protocol"),
        (json_answer(200, "", "null"), "upstream_protocol"),
        (json_answer(200, "", r#"{"response":"OK","status":200}"#), "upstream_protocol"),
        (json_answer(200, "", r#"{"message":"cut"#), "upstream_protocol"),
        (json_answer(200, "", r#"{"message":["a"]}"#), "upstream_protocol"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 12\r\n\r\ndata: {\"a\"}\n".to_vec(), ""),
    ] {
        let (_upstream, gateway) = answering(wire);
        let answer = chat(&gateway, CHAT);
        match code {
            // A stream that nobody knows breaks off with an error inside.
            "" => assert!(answer.text().contains("\"error\""), "{}", answer.text()),
            code => assert_eq!(error(&answer), (502, code.to_owned())),
        }
        assert!(last(&gateway).outcome.starts_with("upstream_"));
    }
    let cut = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"message\":\"a\"}";
    let upstream = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send(cut.into()),
        Step::Fin,
    ]]);
    let gateway = TestGateway::with(wanted(&upstream, ""));
    assert_eq!(
        error(&chat(&gateway, &streamed(CHAT))),
        (502, "upstream_truncated".to_owned())
    );
}

#[test]
fn what_it_cannot_be_asked_is_refused_by_its_name() {
    let (upstream, gateway) = answering(json_answer(200, "", PLAIN));
    for (body, field) in [
        (
            r#"{"model":"o3","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a/b"}}]}]}"#,
            "messages[0].content[0].image_url",
        ),
        (
            r#"{"model":"o3","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{}}}}"#,
            "response_format",
        ),
        (r#"{"model":"o3","messages":[]}"#, "messages"),
        (
            r#"{"model":"o3","messages":[{"role":"user","content":"x"}],"n":2}"#,
            "n",
        ),
    ] {
        let answer = chat(&gateway, body);
        assert_eq!(
            error(&answer),
            (400, "unsupported_parameter".to_owned()),
            "{body}"
        );
        assert!(
            answer.text().contains(&format!("'{field}'")),
            "{}",
            answer.text()
        );
    }
    assert_eq!(upstream.requests(), 0);
    assert_eq!(last(&gateway).outcome, "client_error");
}

#[test]
fn filters_see_the_clients_format() {
    for body in [CHAT.to_owned(), streamed(CHAT)] {
        let upstream = FakeUpstream::answering(json_answer(200, "", PLAIN));
        let gateway = TestGateway::with(Wanted {
            extend: Some(Box::new(|gateway: aiproxy::Gateway| gateway.with(shouts()))),
            ..wanted(&upstream, "")
        });
        let answer = chat(&gateway, &body);
        assert!(answer.text().contains("HELLO"), "{}", answer.text());
    }
}

#[test]
fn a_path_that_names_it_is_translated_and_the_rest_of_it_passes() {
    let (upstream, gateway) = answering(json_answer(200, "", PLAIN));
    let answer = gateway.post("/sage/v1/chat/completions", &chat_body("any-model", ""));
    assert_eq!(answer.json()["choices"][0]["message"]["content"], TEXT);
    assert_eq!(sent(&upstream).1["model"], "any-model");
    let (upstream, gateway) = answering(json_answer(200, "", r#"{"response":["a"],"status":200}"#));
    let answer = gateway.post("/sage/get-datasets", "{}");
    assert_eq!(answer.text(), r#"{"response":["a"],"status":200}"#);
    let (head, _) = sent(&upstream);
    assert!(head.starts_with("POST /server/get-datasets "), "{head}");
    assert!(head.contains(KEY), "{head}");
}

#[test]
fn models_of_text_are_listed() {
    let (upstream, gateway) = answering(json_answer(200, "connection: close\r\n", MODELS));
    let listed = gateway.get("/sage/v1/models").json();
    let expected = json!({ "object": "list", "data": [
        { "id": "gpt-4.1-gov", "object": "model", "created": 0, "owned_by": "organization-owner" },
        { "id": "o3", "object": "model", "created": 1_700_000_000, "owned_by": "asksage" },
    ] });
    assert_eq!(listed, expected, "those that it takes");
    let (head, body) = sent(&upstream);
    assert!(head.starts_with("POST /server/get-models "), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert_eq!(body, json!({}));
    let one = gateway.get("/v1/models/sage%2Fo3").json();
    assert_eq!(one["id"], "o3");
    let merged = gateway.get("/v1/models").json();
    let ids: Vec<&str> = merged["data"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|model| model["id"].as_str())
        .collect();
    assert!(
        ids.contains(&"mock") && ids.contains(&"o3") && !ids.contains(&"google-veo-3"),
        "{ids:?}"
    );

    for (body, status, code) in [
        (
            r#"{"response":"Token is invalid","status":401}"#,
            502,
            "upstream_auth",
        ),
        (r#"{"error":"x","status":500}"#, 500, "upstream_error"),
        ("null", 502, "upstream_protocol"),
    ] {
        let (_upstream, gateway) = answering(json_answer(200, "", body));
        assert_eq!(
            error(&gateway.get("/sage/v1/models")),
            (status, code.to_owned())
        );
        assert_eq!(last(&gateway).outcome, "upstream_error");
    }
}
