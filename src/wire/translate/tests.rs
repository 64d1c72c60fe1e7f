//! Over 400 lines: every format's words meet every other's here.

mod answers;
mod bedrock_clients;
mod calls;
mod carried;
mod efforts;
mod left_out;
mod logprobs;
mod old_call;
mod pairs;
pub(super) mod properties;
mod requests;
mod responses;
mod streams;
mod thinking_tokens;
mod tool_history;
mod words;

use serde_json::{Value, json};

use super::{
    AnswerFacts, ClientFormat, Dropped, Format, ProviderError, StreamTranslator, TranslateError,
    error,
};
use crate::wire::sse;
use aiproxy_filters::Endpoint;

const CONVERSATION: &str = include_str!("../../../tests/fixtures/translate/chat_conversation.json");
const SCHEMA: &str = include_str!("../../../tests/fixtures/translate/chat_schema.json");
const TOOLS: &str = include_str!("../../../tests/fixtures/translate/message_tools.json");
const MESSAGE: &str = include_str!("../../../tests/fixtures/translate/message_answer.json");
const REASONED: &str = include_str!("../../../tests/fixtures/translate/chat_reasoned.json");
const REASONED_STREAM: &str = include_str!("../../../tests/fixtures/translate/chat_reasoned.sse");
const CHAT_STREAM: &str = include_str!("../../../tests/fixtures/openai_chat/stream.sse");
const CHAT_TOOLS: &str = include_str!("../../../tests/fixtures/openai_chat/stream_tools.sse");
const MESSAGE_STREAM: &str = include_str!("../../../tests/fixtures/anthropic/stream.sse");
const MESSAGE_TOOLS: &str = include_str!("../../../tests/fixtures/anthropic/stream_tools.sse");

const GEMINI_TOOLS: &str = include_str!("../../../tests/fixtures/gemini/stream_tools.sse");
const GEMINI: &str = include_str!("../../../tests/fixtures/gemini/plain.json");
const GEMINI_STREAM: &str = include_str!("../../../tests/fixtures/gemini/stream.sse");

/// A format that has both sides.
#[derive(Clone, Copy)]
struct Both(ClientFormat, Format);

const CHAT: Both = Both(ClientFormat::OpenaiChat, Format::OpenaiChat);
const RESPONSES: ClientFormat = ClientFormat::OpenaiResponses;
const ANTHROPIC: Both = Both(ClientFormat::Anthropic, Format::Anthropic);

impl From<Both> for ClientFormat {
    fn from(both: Both) -> Self {
        both.0
    }
}

impl From<Both> for Format {
    fn from(both: Both) -> Self {
        both.1
    }
}

fn request(
    from: Both,
    to: impl Into<Format>,
    body: &[u8],
    model: &str,
) -> Result<(Vec<u8>, Dropped), TranslateError> {
    super::request(from.into(), to.into(), body, model, false)
}

fn answer(
    from: impl Into<Format>,
    to: Both,
    body: &[u8],
    facts: &AnswerFacts,
) -> Result<(Vec<u8>, Dropped), TranslateError> {
    super::answer(from.into(), to.into(), body, facts)
}

fn facts() -> AnswerFacts {
    AnswerFacts {
        request_id: "id-1".to_owned(),
        model: "a \"model\"".to_owned(),
        created_s: 1,
        include_usage: true,
        echo: serde_json::Map::new(),
        tools_in_words: false,
    }
}

fn pretty((body, dropped): (Vec<u8>, Dropped)) -> String {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let dropped = dropped.into_fields().join("\n");
    format!("{body:#}\n--- dropped\n{dropped}")
}

fn asked(from: Both, to: impl Into<Format>, body: &str) -> String {
    pretty(request(from, to, body.as_bytes(), "the-model").unwrap())
}

fn answered(from: impl Into<Format>, to: Both, body: &str) -> String {
    pretty(answer(from, to, body.as_bytes(), &facts()).unwrap())
}

fn streamed(
    from: impl Into<Format>,
    to: impl Into<ClientFormat>,
    stream: &str,
) -> Result<(String, Vec<String>), TranslateError> {
    let mut translator = StreamTranslator::new(from.into(), to.into(), &facts());
    let mut out = Vec::new();
    for event in sse::events(stream.as_bytes()) {
        translator.event(&event.data.unwrap_or_default(), &mut out)?;
    }
    translator.end(&mut out)?;
    Ok((String::from_utf8(out).unwrap(), translator.take_dropped()))
}

#[test]
fn requests() {
    insta::assert_snapshot!("chat_as_message", asked(CHAT, ANTHROPIC, CONVERSATION));
    insta::assert_snapshot!("schema_as_message", asked(CHAT, ANTHROPIC, SCHEMA));
    insta::assert_snapshot!("message_as_chat", asked(ANTHROPIC, CHAT, TOOLS));
    let without_url =
        CONVERSATION.replace("https://example.com/cat.png", "data:image/png;base64,eA==");
    insta::assert_snapshot!("chat_as_gemini", asked(CHAT, Format::Gemini, &without_url));
    insta::assert_snapshot!("schema_as_gemini", asked(CHAT, Format::Gemini, SCHEMA));
    insta::assert_snapshot!("message_as_gemini", asked(ANTHROPIC, Format::Gemini, TOOLS));
}

#[test]
fn a_stream_made_of_a_whole_answer_says_the_same() {
    for (from, whole) in [
        (ANTHROPIC.1, MESSAGE),
        (CHAT.1, REASONED),
        (Format::Gemini, GEMINI),
    ] {
        for (to, endpoint) in [
            (CHAT, Endpoint::ChatCompletions),
            (ANTHROPIC, Endpoint::Messages),
        ] {
            let (made, _) = answer(from, to, whole.as_bytes(), &facts()).unwrap();
            let whole = whole.as_bytes();
            let (stream, _) = super::answer_as_stream(from, to.0, whole, &facts()).unwrap();
            let expected = crate::wire::decode_whole(endpoint, &made);
            let got = crate::wire::decode_stream(endpoint, &stream);
            assert!(1 < got.event_count && expected.text.is_some(), "{from:?}");
            let facts = |said: crate::wire::Decoded| {
                let calls = said.tool_calls;
                (said.model, said.finish_reason, said.text, calls, said.usage)
            };
            assert_eq!(facts(got), facts(expected), "{from:?} as {endpoint:?}");
        }
    }
}

#[test]
fn thinking_is_not_asked_for_where_it_would_be_refused() {
    let thinks = |more: Value| {
        let mut body = json!({ "reasoning_effort": "low", "messages": [{ "role": "user", "content": "x" }],
            "tools": [{ "type": "function", "function": { "name": "f" } }] });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let (made, dropped) = request(CHAT, ANTHROPIC, body.to_string().as_bytes(), "m").unwrap();
        let made: Value = serde_json::from_slice(&made).unwrap();
        let is_dropped = dropped.into_fields() == ["reasoning_effort"];
        assert_eq!(made["thinking"].is_null(), is_dropped, "{made}");
        !is_dropped
    };
    let call = json!({ "role": "assistant", "tool_calls": [{ "id": "a", "function": { "name": "f", "arguments": "{}" } }] });
    let mut signed = call.clone();
    signed["thinking_blocks"] = json!([{ "type": "thinking", "thinking": "t", "signature": "s" }]);
    let result = json!({ "role": "tool", "tool_call_id": "a", "content": "r" });
    assert!(thinks(json!({})));
    assert!(!thinks(json!({ "tool_choice": "required" })));
    assert!(!thinks(json!({ "messages": [call, result] })));
    assert!(thinks(json!({ "messages": [signed, result] })));
}

#[test]
fn answers() {
    insta::assert_snapshot!("message_answer_as_chat", answered(ANTHROPIC, CHAT, MESSAGE));
    insta::assert_snapshot!(
        "chat_answer_as_message",
        answered(CHAT, ANTHROPIC, REASONED)
    );
    insta::assert_snapshot!(
        "gemini_answer_as_chat",
        answered(Format::Gemini, CHAT, GEMINI)
    );
    insta::assert_snapshot!(
        "gemini_answer_as_message",
        answered(Format::Gemini, ANTHROPIC, GEMINI)
    );
}

#[test]
fn streams() {
    let text = |from: Format, to, stream| {
        let (made, dropped) = streamed(from, to, stream).unwrap();
        format!("{made}--- dropped\n{}", dropped.join("\n"))
    };
    insta::assert_snapshot!(
        "message_stream_as_chat",
        text(Format::Anthropic, CHAT, MESSAGE_TOOLS)
    );
    insta::assert_snapshot!(
        "chat_stream_as_message",
        text(Format::OpenaiChat, ANTHROPIC, REASONED_STREAM)
    );
    insta::assert_snapshot!(
        "gemini_stream_as_chat",
        text(Format::Gemini, CHAT, GEMINI_TOOLS)
    );
    insta::assert_snapshot!(
        "gemini_stream_as_message",
        text(Format::Gemini, ANTHROPIC, GEMINI_STREAM)
    );
}

/// What a stream says when it is put together by the record's own decoder.
fn said(format: ClientFormat, stream: &str) -> (Option<String>, Option<Value>, Option<String>) {
    let endpoint = match format {
        ClientFormat::OpenaiChat => Endpoint::ChatCompletions,
        ClientFormat::Anthropic => Endpoint::Messages,
        ClientFormat::OpenaiResponses => Endpoint::Responses,
        ClientFormat::Gemini => Endpoint::GenerateContent,
        ClientFormat::BedrockConverse => Endpoint::BedrockConverse,
        ClientFormat::BedrockInvoke => Endpoint::BedrockInvoke,
        ClientFormat::OpenaiCompletions => Endpoint::Completions,
    };
    said_in(endpoint, stream.as_bytes())
}

/// The same of a stream's bytes, whatever they are.
fn said_in(endpoint: Endpoint, stream: &[u8]) -> (Option<String>, Option<Value>, Option<String>) {
    let decoded = crate::wire::decode_stream(endpoint, stream);
    let calls = decoded.tool_calls.map(|calls| {
        let mut calls: Value = serde_json::from_str(&calls).unwrap();
        // What is spelt differently says the same; nothing to pass is an empty object.
        for call in calls.as_array_mut().into_iter().flatten() {
            let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
            let value: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
            call["function"]["arguments"] = value;
        }
        calls
    });
    (decoded.text, calls, decoded.finish_reason)
}

#[test]
fn streams_say_the_same_in_every_format_and_back() {
    for (format, stream) in [
        (CHAT, CHAT_STREAM),
        (CHAT, CHAT_TOOLS),
        (CHAT, REASONED_STREAM),
        (ANTHROPIC, MESSAGE_STREAM),
        (ANTHROPIC, MESSAGE_TOOLS),
    ] {
        let other = match format.0 == CHAT.0 {
            true => ANTHROPIC,
            false => CHAT,
        };
        let there = streamed(format, other, stream).unwrap().0;
        let back = streamed(other, format, &there).unwrap().0;
        assert_eq!(said(other.0, &there), said(format.0, stream), "{there}");
        assert_eq!(said(format.0, &back), said(format.0, stream), "{back}");
    }
}

#[test]
fn a_stream_without_its_last_event_ends_and_one_without_a_reason_does_not() {
    let without_end = MESSAGE_STREAM.rsplit_once("event: message_stop").unwrap().0;
    let (made, _) = streamed(ANTHROPIC, CHAT, without_end).unwrap();
    assert!(made.ends_with("data: [DONE]\n\n"), "{made}");
    let cut = MESSAGE_STREAM
        .rsplit_once("event: message_delta")
        .unwrap()
        .0;
    assert!(streamed(ANTHROPIC, CHAT, cut).is_err());
    assert!(streamed(CHAT, ANTHROPIC, "").is_err());
}

#[test]
fn errors_are_read_in_both_shapes() {
    let ours = error(br#"{"error":{"message":"no","type":"invalid_request_error","code":"c"}}"#);
    let expected = (Some(400), "no", Some("c"));
    assert_eq!(
        (ours.status, &*ours.message, ours.code.as_deref()),
        expected
    );
    let theirs = error(br#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#);
    assert_eq!((theirs.status, &*theirs.message), (Some(529), "busy"));
    assert_eq!(error(b"<html>"), ProviderError::default());
    assert_eq!(error(br#"{"error":"plain"}"#).message, "plain");
    let stream = "data: {\"error\":{\"message\":\"no\",\"type\":\"server_error\"}}\n\n";
    let reported = streamed(CHAT, ANTHROPIC, stream).unwrap_err();
    assert!(matches!(reported, TranslateError::Reported(error) if error.status == Some(500)));
}

#[test]
fn a_refusal_of_gemini_is_a_refusal() {
    let blocked =
        br#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":3}}"#;
    let (made, _) = answer(Format::Gemini, CHAT, blocked, &facts()).unwrap();
    let made: Value = serde_json::from_slice(&made).unwrap();
    assert_eq!(made["choices"][0]["finish_reason"], "content_filter");
    let empty = br#"{"candidates":[{"finishReason":"MAX_TOKENS","index":0}]}"#;
    let (made, _) = answer(Format::Gemini, ANTHROPIC, empty, &facts()).unwrap();
    let made: Value = serde_json::from_slice(&made).unwrap();
    assert_eq!(
        (&made["stop_reason"], &made["content"]),
        (&json!("max_tokens"), &json!([]))
    );
    let stream = format!("data: {}\n\n", String::from_utf8_lossy(blocked));
    let (made, _) = streamed(Format::Gemini, CHAT, &stream).unwrap();
    assert!(
        made.contains(r#""finish_reason":"content_filter""#),
        "{made}"
    );
    let broken = streamed(
        Format::Gemini,
        CHAT,
        "data: {\"error\":{\"code\":503,\"message\":\"busy\",\"status\":\"UNAVAILABLE\"}}\n\n",
    );
    let expected = ProviderError {
        status: Some(503),
        kind: Some("UNAVAILABLE".to_owned()),
        code: Some("503".to_owned()),
        message: "busy".to_owned(),
    };
    assert_eq!(broken.unwrap_err(), TranslateError::Reported(expected));
}

#[test]
fn a_signature_of_gemini_travels_with_its_call() {
    let said = br#"{"responseId":"r9","candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a":1}},"thoughtSignature":"c2ln"}]},"finishReason":"STOP"}]}"#;
    let (made, _) = answer(Format::Gemini, CHAT, said, &facts()).unwrap();
    let made: Value = serde_json::from_slice(&made).unwrap();
    let message = &made["choices"][0]["message"];
    assert_eq!(made["choices"][0]["finish_reason"], "tool_calls");
    let id = &message["tool_calls"][0]["id"];
    assert_eq!(id, "call_id1_0", "no id of another answer's");
    let body =
        json!({ "messages": [message, { "role": "tool", "tool_call_id": id, "content": "r" }] });
    let (back, _) = request(CHAT, Format::Gemini, body.to_string().as_bytes(), "m").unwrap();
    let back: Value = serde_json::from_slice(&back).unwrap();
    assert_eq!(back["contents"][0]["parts"][0]["thoughtSignature"], "c2ln");
    assert_eq!(
        back["contents"][1]["parts"][0]["functionResponse"]["name"],
        "f"
    );
    let stream = format!("data: {}\n\n", String::from_utf8_lossy(said));
    let (streamed, _) = streamed(Format::Gemini, CHAT, &stream).unwrap();
    assert!(
        streamed.contains(r#""extra_content":{"google":{"thought_signature":"c2ln"}}"#),
        "{streamed}"
    );
}

#[track_caller]
fn refused(from: Both, to: impl Into<Format>, body: &Value, expected: &str) {
    let error = request(from, to, body.to_string().as_bytes(), "m").unwrap_err();
    match error {
        TranslateError::Unsupported { field, .. } | TranslateError::Invalid { field, .. } => {
            assert_eq!(field, expected);
        }
        other => panic!("{other}"),
    }
}

#[test]
fn what_cannot_be_asked_is_named() {
    let chat = |more: Value| {
        let mut body = json!({ "messages": [{ "role": "user", "content": "x" }] });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    let message = |more: Value| chat(json!({ "messages": [more] }));
    for (body, field) in [
        (json!({}), "messages"),
        (chat(json!({ "messages": "x" })), "messages"),
        (chat(json!({ "messages": [1] })), "messages[0]"),
        (chat(json!({ "n": 2 })), "n"),
        (chat(json!({ "functions": [{}] })), "functions"),
        (
            chat(json!({ "modalities": ["text", "audio"] })),
            "modalities",
        ),
        (chat(json!({ "stop": 1 })), "stop"),
        (chat(json!({ "tool_choice": "some" })), "tool_choice"),
        (
            chat(json!({ "reasoning_effort": "much" })),
            "reasoning_effort",
        ),
        (
            chat(json!({ "tools": [{ "type": "custom" }] })),
            "tools[0].type",
        ),
        (
            chat(json!({ "tools": [{ "type": "function" }] })),
            "tools[0].function",
        ),
        (
            chat(json!({ "response_format": { "type": "json_object" } })),
            "response_format.type",
        ),
        (
            message(json!({ "role": "function", "content": "x" })),
            "messages[0].role",
        ),
        (
            message(json!({ "role": "user", "content": 1 })),
            "messages[0].content",
        ),
        (
            message(json!({ "role": "user", "content": [{ "type": "input_audio" }] })),
            "messages[0].content[0].type",
        ),
        (
            message(
                json!({ "role": "user", "content": [{ "type": "file", "file": { "file_id": "f" } }] }),
            ),
            "messages[0].content[0].file.file_id",
        ),
        (
            message(json!({ "role": "tool", "content": "x" })),
            "messages[0].tool_call_id",
        ),
        (
            message(
                json!({ "role": "assistant", "tool_calls": [{ "id": "a", "function": { "name": "f", "arguments": "[" } }] }),
            ),
            "messages[0].tool_calls[0].function.arguments",
        ),
    ] {
        refused(CHAT, ANTHROPIC, &body, field);
    }
    for (body, field) in [
        (
            chat(json!({ "tools": [{ "type": "web_search_20250305", "name": "w" }] })),
            "tools[0].type",
        ),
        (chat(json!({ "mcp_servers": [{}] })), "mcp_servers"),
        (chat(json!({ "stop_sequences": [1] })), "stop_sequences"),
        (
            chat(json!({ "thinking": { "type": "deep" } })),
            "thinking.type",
        ),
        (
            message(json!({ "role": "tool", "content": "x" })),
            "messages[0].role",
        ),
        (
            message(json!({ "role": "user", "content": [{ "type": "search_result" }] })),
            "messages[0].content[0].type",
        ),
        (
            message(
                json!({ "role": "user", "content": [{ "type": "image", "source": { "type": "file", "file_id": "f" } }] }),
            ),
            "messages[0].content[0].source.type",
        ),
        (
            message(
                json!({ "role": "user", "content": [{ "type": "document", "source": { "type": "url", "url": "u" } }] }),
            ),
            "messages[0].content[0].source",
        ),
        (
            message(
                json!({ "role": "user", "content": [{ "type": "tool_use", "id": "a", "name": "b", "input": {} }] }),
            ),
            "messages[0]",
        ),
    ] {
        refused(ANTHROPIC, CHAT, &body, field);
    }
}
