//! Bedrock's clients before other providers.

use serde_json::{Value, json};

use super::{
    ERROR_STREAM, KEY, MESSAGE, MESSAGE_STREAM, before_anthropic, check_tokens, in_chunks, last,
    sent, stored,
};
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::TestGateway;
use crate::support::raw_client::RawResponse;
use crate::support::shouts::shouts;
use crate::support::wire::{events_of, json as json_answer};

const FRAMES: &str = "application/vnd.amazon.eventstream";
const CONVERSE: &str = r#"{"messages":[{"role":"user","content":[{"text":"Hello?"}]}],"inferenceConfig":{"maxTokens":20},"requestMetadata":{"team":"t"}}"#;
const INVOKE: &str = r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":20,"messages":[{"role":"user","content":"Hello?"}]}"#;

/// Signed for us, as AWS's own clients do it.
fn ask(gateway: &TestGateway, path: &str, body: &str) -> RawResponse {
    let headers = "content-type: application/json\r\n\
                   authorization: AWS4-HMAC-SHA256 Credential=AKIDCLIENT0123456789/x, Signature=abc\r\n\
                   x-amz-date: 20261130T000000Z\r\namz-sdk-invocation-id: i-1\r\n";
    gateway.send("POST", path, headers, body.as_bytes())
}

fn events(answer: &RawResponse) -> Vec<Value> {
    assert_eq!(answer.header("content-type"), Some(FRAMES));
    let texts = events_of(&answer.body).into_iter();
    texts
        .map(|text| serde_json::from_str(&halved(&text)).expect("JSON"))
        .collect()
}

/// Half a surrogate pair, as it came, is no text of ours; every client joins them.
fn halved(text: &str) -> String {
    text.replace("\\ud83d", "").replace("\\ude00", "")
}

#[test]
fn converse_is_answered_by_anthropic() {
    let upstream = FakeUpstream::answering(json_answer(200, "", MESSAGE));
    let gateway = before_anthropic(&upstream, None);
    // The first part of a name is a provider's, its slash part of one step of the path.
    let answer = ask(&gateway, "/model/claude%2Fclaude-x/converse", CONVERSE);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let said = answer.json();
    assert_eq!(said["stopReason"], "end_turn");
    assert_eq!(said["usage"]["outputTokens"], 12);
    let parts = said["output"]["message"]["content"].as_array();
    let texts = parts.expect("parts").iter();
    let text: String = texts.filter_map(|part| part["text"].as_str()).collect();
    assert_eq!(text, "Hello \"you\", café 😀");
    let (head, body) = sent(&upstream);
    assert!(head.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(KEY), "{head}");
    for foreign in ["AKIDCLIENT", "x-amz-date", "amz-sdk"] {
        assert!(!head.contains(foreign), "{head}");
    }
    assert_eq!(
        (&body["model"], &body["max_tokens"]),
        (&json!("claude-x"), &json!(20))
    );
    let row = gateway.row().record;
    assert_eq!((&*row.endpoint, &*row.outcome), ("bedrock.converse", "ok"));
    assert_eq!(row.dropped.as_deref(), Some(r#"["requestMetadata"]"#));
}

#[test]
fn its_streams_are_frames() {
    for bytes in [7, 5000] {
        let upstream = FakeUpstream::answering(in_chunks(MESSAGE_STREAM, bytes));
        let gateway = before_anthropic(&upstream, None);
        let answer = ask(&gateway, "/model/claude-x/converse-stream", CONVERSE);
        let events = events(&answer);
        assert_eq!(
            events[0],
            json!({ "messageStart": { "role": "assistant" } })
        );
        let [.., stop, metadata] = events.as_slice() else {
            panic!("{events:?}");
        };
        assert_eq!(stop["messageStop"]["stopReason"], "end_turn");
        assert_eq!(metadata["metadata"]["usage"]["outputTokens"], 15);
        assert_eq!(sent(&upstream).1["stream"], true);
        let row = gateway.row().record;
        assert_eq!((&*row.outcome, row.response_complete), ("ok", Some(true)));
        check_tokens(&row, 32, 15);
        let payload = row.payload.expect("bodies");
        assert_eq!(stored(&payload.upstream_response_body), MESSAGE_STREAM);
        let kept = payload.response_body.expect("a body").bytes;
        assert_eq!(&*kept, &*answer.body);
    }
}

#[test]
fn invoke_is_a_message_and_its_stream_frames_of_one() {
    let upstream = FakeUpstream::answering(json_answer(200, "", MESSAGE));
    let gateway = before_anthropic(&upstream, None);
    let answer = ask(&gateway, "/model/claude-x/invoke", INVOKE);
    assert_eq!(answer.json()["stop_reason"], "end_turn");
    let (_, body) = sent(&upstream);
    assert_eq!(
        (&body["model"], &body["anthropic_version"]),
        (&json!("claude-x"), &Value::Null)
    );
    let row = gateway.row().record;
    assert_eq!((&*row.endpoint, &*row.outcome), ("bedrock.invoke", "ok"));
    assert_eq!(row.dropped, None);

    let upstream = FakeUpstream::answering(in_chunks(MESSAGE_STREAM, 7));
    let gateway = before_anthropic(&upstream, None);
    let path = "/model/claude-x/invoke-with-response-stream";
    let events = events(&ask(&gateway, path, INVOKE));
    assert_eq!(events[0]["type"], "message_start");
    let last = events.last().expect("an event");
    assert_eq!(last["type"], "message_stop");
    let metrics = &last["amazon-bedrock-invocationMetrics"];
    assert_eq!(metrics["outputTokenCount"], 15);
    check_tokens(&gateway.row().record, 32, 15);
}

#[test]
fn a_whole_answer_becomes_frames_and_filters_see_both() {
    let whole = json_answer(200, "", MESSAGE);
    for wire in [whole, in_chunks(MESSAGE_STREAM, 5000)] {
        let upstream = FakeUpstream::answering(wire);
        let gateway = before_anthropic(&upstream, Some(shouts()));
        let answer = ask(&gateway, "/model/claude-x/converse-stream", CONVERSE);
        let events = events(&answer);
        let texts = events
            .iter()
            .map(|event| &event["contentBlockDelta"]["delta"]["text"]);
        let text: String = texts.filter_map(Value::as_str).collect();
        assert!(text.contains("HELLO"), "{events:?}");
        assert!(
            events
                .last()
                .is_some_and(|last| last.get("metadata").is_some())
        );
    }
}

#[test]
fn what_cannot_be_asked_and_what_fails_is_said_as_bedrock_says_it() {
    let upstream = FakeUpstream::answering(in_chunks(ERROR_STREAM, 5000));
    let gateway = before_anthropic(&upstream, None);
    for (path, body, field) in [
        (
            "/model/claude-x/invoke",
            r#"{"prompt":"Human: x","max_tokens_to_sample":9}"#,
            "prompt",
        ),
        (
            "/model/claude-x/converse",
            r#"{"messages":[],"guardrailConfig":{"guardrailIdentifier":"g"}}"#,
            "guardrailConfig",
        ),
    ] {
        let answer = ask(&gateway, path, body);
        assert_eq!(answer.status, 400, "{}", answer.text());
        let kind = answer.header("x-amzn-errortype");
        assert_eq!(kind, Some("ValidationException"));
        let said = answer.json();
        let message = said["message"].as_str().expect("a message");
        assert!(message.contains(&format!("'{field}'")), "{message}");
        let code = last(&gateway).error_code;
        assert_eq!(code.as_deref(), Some("unsupported_parameter"));
    }
    let answer = ask(&gateway, "/model/claude-x/converse-stream", CONVERSE);
    let events = events(&answer);
    let ending = events.last().expect("an event").as_object();
    let mut names = ending.expect("an object").keys();
    assert!(names.all(|name| name.ends_with("Exception")), "{events:?}");
    assert!(events.iter().all(|event| event.get("metadata").is_none()));
    assert_eq!(last(&gateway).outcome, "upstream_error");
}
