//! Gemini's clients before other providers.

use serde_json::Value;

use super::{
    ERROR_STREAM, MESSAGE, MESSAGE_STREAM, before_anthropic, check_tokens, in_chunks, sent,
};
use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::TestGateway;
use crate::support::raw_client::{RawResponse, post};
use crate::support::signal::Signal;
use crate::support::wire::{LAST_CHUNK, STREAM_HEAD, chunk, json as json_answer};

const ASKED: &str = r#"{"contents":[{"role":"user","parts":[{"text":"Hello?"}]}]}"#;

fn ask(gateway: &TestGateway, path: &str, body: &str) -> RawResponse {
    let headers = "content-type: application/json\r\nx-goog-api-key: sk-client-0123456789\r\n";
    gateway.send("POST", path, headers, body.as_bytes())
}

#[test]
fn a_gemini_client_is_answered_by_anthropic() {
    let upstream = FakeUpstream::answering(json_answer(200, "", MESSAGE));
    let gateway = before_anthropic(&upstream, None);
    let path = "/v1beta/models/claude-x:generateContent";
    let answer = ask(&gateway, path, ASKED);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let candidate = &answer.json()["candidates"][0];
    assert_eq!(candidate["finishReason"], "STOP");
    let parts = candidate["content"]["parts"].as_array().expect("parts");
    let text: String = parts
        .iter()
        .filter_map(|part| part["text"].as_str())
        .collect();
    assert_eq!(text, "Hello \"you\", café 😀");
    let (head, body) = sent(&upstream);
    assert!(head.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{head}");
    assert!(!head.contains("sk-client"), "{head}");
    assert_eq!(body["model"], "claude-x");
    let row = gateway.row().record;
    assert_eq!((&*row.endpoint, &*row.outcome), ("generate_content", "ok"));
}

#[test]
fn its_streams_are_events_or_one_array() {
    for (query, bytes) in [("?alt=sse", 7), ("", 7), ("?alt=sse", 5000), ("", 5000)] {
        let upstream = FakeUpstream::answering(in_chunks(MESSAGE_STREAM, bytes));
        let gateway = before_anthropic(&upstream, None);
        let path = format!("/v1beta/models/claude-x:streamGenerateContent{query}");
        let answer = ask(&gateway, &path, ASKED);
        // Half a surrogate pair, as it came, is no text of ours; every client joins them.
        let text = answer.text().replace("\\ud83d", "").replace("\\ude00", "");
        let chunks: Vec<Value> = match query {
            "" => serde_json::from_str(&text).expect("an array"),
            _ => super::data(&text),
        };
        let is_json = answer.header("content-type") == Some("application/json");
        assert_eq!(is_json, query.is_empty());
        let last = chunks.last().expect("a chunk");
        assert_eq!(last["candidates"][0]["finishReason"], "STOP");
        assert_eq!(sent(&upstream).1["stream"], true);
        let row = gateway.row().record;
        assert_eq!((&*row.outcome, row.response_complete), ("ok", Some(true)));
        check_tokens(&row, 32, 15);
    }
}

#[test]
fn an_array_that_fails_ends_with_an_error_item() {
    let at = ERROR_STREAM.find("event: error").expect("an error");
    let (begun, error) = ERROR_STREAM.split_at(at);
    let ended = LAST_CHUNK.as_bytes().to_vec();
    for (end, reason, outcome) in [
        (
            Step::Send(chunk(error)),
            "overloaded_error",
            "upstream_error",
        ),
        (
            Step::Send(ended),
            "upstream_truncated",
            "upstream_truncated",
        ),
        (Step::Rst, "upstream_disconnected", "upstream_truncated"),
    ] {
        let go = Signal::default();
        let script = vec![
            Step::ReadRequest,
            Step::Send([STREAM_HEAD.as_bytes(), &chunk(begun)].concat()),
            Step::Wait(go.clone()),
            end,
        ];
        let upstream = FakeUpstream::start(vec![script]);
        let gateway = before_anthropic(&upstream, None);
        let mut client = gateway.connect();
        client.send(post("/v1beta/models/claude-x:streamGenerateContent", ASKED));
        client.read_at_least(1);
        go.fire();
        let answer = client.read_response();
        assert!(
            (answer.status, answer.complete) == (200, true),
            "{answer:?}"
        );
        let items = answer.json();
        let items = items.as_array().expect("an array");
        let said = &items[0]["candidates"][0]["content"]["parts"][0]["text"];
        assert_eq!(said, "Half", "{items:?}");
        let error = &items.last().expect("an item")["error"];
        let told = error["code"].is_u64() && error["status"].is_string();
        assert!(told && error["message"].is_string(), "{error}");
        assert_eq!(error["details"][0]["reason"], reason, "{error}");
        let row = gateway.row().record;
        assert_eq!(
            (&*row.outcome, row.response_complete, row.repairs.as_deref()),
            (outcome, Some(false), Some(r#"["error_event"]"#))
        );
        let payload = row.payload.expect("bodies");
        let stored = payload.response_body.expect("a body");
        assert_eq!(&*stored.bytes, &*answer.body);
    }
}
