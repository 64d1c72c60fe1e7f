//! Clients of every format before `converse`.

use aiproxy_filters::Endpoint;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::wire::aws_event_stream::Decoder;
use crate::wire::bedrock::{error_name, frame_of, text_of};
use crate::wire::sse;
use crate::wire::translate::tests::properties::json_of;
use crate::wire::translate::{
    AnswerFacts, ClientFormat, Format, ProviderError, StreamTranslator, TranslateError, answer,
    answer_as_stream, error_of, request,
};

const CONVERSATION: &str =
    include_str!("../../../../tests/fixtures/translate/chat_conversation.json");
const SCHEMA: &str = include_str!("../../../../tests/fixtures/translate/chat_schema.json");
const MESSAGE: &str = include_str!("../../../../tests/fixtures/translate/message_tools.json");
const CONTENTS: &str = r#"{"system_instruction":{"parts":[{"text":"Be terse."}]},"contents":[{"role":"user","parts":[{"text":"Look."},{"inline_data":{"mime_type":"image/png","data":"eA=="}}]},{"role":"model","parts":[{"functionCall":{"name":"look","args":{"at":"it"}},"thoughtSignature":"c2ln"}]},{"role":"user","parts":[{"functionResponse":{"name":"look","response":{"error":"dark"}}},{"text":"So?"}]}],"tools":[{"functionDeclarations":[{"name":"look","description":"d","parameters":{"type":"OBJECT"}}]}],"generationConfig":{"maxOutputTokens":9,"topK":3,"stopSequences":["END"]}}"#;
const RESPONSES: &str = r#"{"instructions":"Be terse.","input":[{"role":"user","content":[{"type":"input_text","text":"Look."},{"type":"input_file","filename":"a.csv","file_data":"data:text/csv;base64,YSxi"}]},{"type":"function_call","call_id":"call_1","name":"look","arguments":"{}"},{"type":"function_call_output","call_id":"call_1","output":"seen"}],"tools":[{"type":"function","name":"look","parameters":{"type":"object"}}],"max_output_tokens":9,"reasoning":{"effort":"high"},"user":"ann"}"#;

const CLIENTS: [(ClientFormat, Endpoint); 4] = [
    (ClientFormat::OpenaiChat, Endpoint::ChatCompletions),
    (ClientFormat::Anthropic, Endpoint::Messages),
    (ClientFormat::OpenaiResponses, Endpoint::Responses),
    (ClientFormat::Gemini, Endpoint::GenerateContent),
];

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";
const NOVA: &str = "amazon.nova-pro-v1:0";

/// Thoughts, a text and a call, counted as 10 and 5 tokens.
pub(in crate::wire::translate) const ANSWER: &str = r#"{"metrics":{"latencyMs":5},"output":{"message":{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"Hm \"so\".","signature":"c2ln"}}},{"reasoningContent":{"redactedContent":"eA=="}},{"text":"Hällo \ud83d\ude00"},{"toolUse":{"toolUseId":"tooluse_1","name":"look","input":{"at":"it"}}},{"toolUse":{"toolUseId":"s","name":"search","input":{},"type":"server_tool_use"}},{"citationsContent":{"citations":[{}]}}]}},"stopReason":"tool_use","usage":{"inputTokens":3,"outputTokens":5,"totalTokens":15,"cacheReadInputTokens":4,"cacheWriteInputTokens":3}}"#;

/// The same as a stream.
pub(in crate::wire::translate) const EVENTS: &[&str] = &[
    r#"{"messageStart":{"role":"assistant","p":"abc"}}"#,
    r#"{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"Hm \"so\"."}}}}"#,
    r#"{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"c2ln"}}}}"#,
    r#"{"contentBlockStop":{"contentBlockIndex":0}}"#,
    r#"{"contentBlockDelta":{"contentBlockIndex":1,"delta":{"reasoningContent":{"redactedContent":"eA=="}}}}"#,
    r#"{"contentBlockStop":{"contentBlockIndex":1}}"#,
    r#"{"contentBlockDelta":{"delta":{"text":"Hällo \ud83d"},"contentBlockIndex":2}}"#,
    r#"{"contentBlockDelta":{"delta":{"text":"\ude00"},"contentBlockIndex":2}}"#,
    r#"{"contentBlockStop":{"contentBlockIndex":2}}"#,
    r#"{"contentBlockStart":{"contentBlockIndex":3,"start":{"toolUse":{"toolUseId":"tooluse_1","name":"look"}}}}"#,
    r#"{"contentBlockDelta":{"contentBlockIndex":3,"delta":{"toolUse":{"input":""}}}}"#,
    r#"{"contentBlockDelta":{"contentBlockIndex":3,"delta":{"toolUse":{"input":"{\"at\": "}}}}"#,
    r#"{"contentBlockDelta":{"contentBlockIndex":3,"delta":{"toolUse":{"input":"\"it\"}"}}}}"#,
    r#"{"contentBlockStop":{"contentBlockIndex":3}}"#,
    r#"{"contentBlockStart":{"contentBlockIndex":4,"start":{"toolUse":{"toolUseId":"s","name":"search","type":"server_tool_use"}}}}"#,
    r#"{"contentBlockDelta":{"contentBlockIndex":4,"delta":{"toolUse":{"input":"{}"}}}}"#,
    r#"{"contentBlockStop":{"contentBlockIndex":4}}"#,
    r#"{"contentBlockDelta":{"contentBlockIndex":5,"delta":{"citation":{}}}}"#,
    r#"{"somethingNew":{}}"#,
    r#"{"messageStop":{"stopReason":"tool_use"}}"#,
    r#"{"metadata":{"usage":{"inputTokens":3,"outputTokens":5,"totalTokens":15,"cacheReadInputTokens":4,"cacheWriteInputTokens":3},"metrics":{"latencyMs":5}}}"#,
];

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

fn asked(
    from: ClientFormat,
    body: &str,
    model: &str,
) -> Result<(Value, Vec<String>), TranslateError> {
    let (made, dropped) = request(from, Format::BedrockConverse, body.as_bytes(), model, false)?;
    Ok((
        serde_json::from_slice(&made).unwrap(),
        dropped.into_fields(),
    ))
}

fn pretty((body, dropped): (Value, Vec<String>)) -> String {
    format!("{body:#}\n--- dropped\n{}", dropped.join("\n"))
}

/// A chat of one message, with further fields.
fn chat(more: Value) -> Value {
    let mut body = json!({ "messages": [{ "role": "user", "content": "x" }] });
    let more = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(more);
    body
}

fn asked_chat(body: &Value, model: &str) -> (Value, Vec<String>) {
    asked(ClientFormat::OpenaiChat, &body.to_string(), model).unwrap()
}

fn frames(events: &[&str]) -> Vec<u8> {
    let frames = events
        .iter()
        .map(|event| frame_of(Endpoint::BedrockConverse, event).unwrap());
    frames.collect::<Vec<_>>().concat()
}

/// A stream that comes in pieces of so many bytes.
fn streamed(
    to: ClientFormat,
    stream: &[u8],
    bytes: usize,
) -> Result<(String, Vec<String>), TranslateError> {
    let mut translator = StreamTranslator::new(Format::BedrockConverse, to, &facts());
    let mut decoder = Decoder::new(10_000);
    let mut out = Vec::new();
    for piece in stream.chunks(bytes) {
        let mut frames = Vec::new();
        decoder
            .push(bytes::Bytes::copy_from_slice(piece), &mut frames)
            .unwrap();
        for frame in frames {
            let text = text_of(&frame.frame()).into_text().unwrap();
            translator.event(text.as_bytes(), &mut out)?;
        }
    }
    translator.end(&mut out)?;
    Ok((String::from_utf8(out).unwrap(), translator.take_dropped()))
}

#[test]
fn requests() {
    let without_url =
        CONVERSATION.replace("https://example.com/cat.png", "data:image/png;base64,eA==");
    for (name, from, body) in [
        ("chat", ClientFormat::OpenaiChat, &*without_url),
        ("schema", ClientFormat::OpenaiChat, SCHEMA),
        ("message", ClientFormat::Anthropic, MESSAGE),
        ("contents", ClientFormat::Gemini, CONTENTS),
        ("responses", ClientFormat::OpenaiResponses, RESPONSES),
    ] {
        insta::assert_snapshot!(name, pretty(asked(from, body, CLAUDE).unwrap()));
    }
}

#[test]
fn answers_and_streams() {
    let stream = frames(EVENTS);
    for (name, to) in [
        ("chat", ClientFormat::OpenaiChat),
        ("message", ClientFormat::Anthropic),
    ] {
        let from = Format::BedrockConverse;
        let (made, dropped) = answer(from, to, ANSWER.as_bytes(), &facts()).unwrap();
        let made = serde_json::from_slice(&made).unwrap();
        let answered = pretty((made, dropped.into_fields()));
        insta::assert_snapshot!(format!("answer_as_{name}"), answered);
        let (made, dropped) = streamed(to, &stream, 1_000).unwrap();
        let made = format!("{made}--- dropped\n{}", dropped.join("\n"));
        insta::assert_snapshot!(format!("stream_as_{name}"), made);
    }
}

#[test]
fn chunks_do_not_matter() {
    let stream = frames(EVENTS);
    for (to, _) in CLIENTS {
        let whole = streamed(to, &stream, usize::MAX).unwrap();
        for bytes in [1, 2, 3, 7, 100] {
            assert_eq!(streamed(to, &stream, bytes).unwrap(), whole, "{to:?}");
        }
    }
}

/// As the record's own decoders read what each client gets, and what came.
#[test]
fn every_client_gets_what_was_said() {
    let facts_of = |said: crate::wire::Decoded| {
        let usage = said.usage.unwrap();
        (said.text, usage.prompt, usage.completion, usage.cached)
    };
    let stream = frames(EVENTS);
    for (to, endpoint) in CLIENTS {
        let from = Format::BedrockConverse;
        let (whole, _) = answer(from, to, ANSWER.as_bytes(), &facts()).unwrap();
        let (made, _) = answer_as_stream(from, to, ANSWER.as_bytes(), &facts()).unwrap();
        let (translated, _) = streamed(to, &stream, 1_000).unwrap();
        let came = crate::wire::decode_stream(Endpoint::BedrockConverse, &stream);
        let expected = (Some("Hällo 😀".to_owned()), 10, Some(5), Some(4));
        for said in [
            crate::wire::decode_whole(endpoint, &whole),
            crate::wire::decode_stream(endpoint, &made),
            crate::wire::decode_stream(endpoint, translated.as_bytes()),
            came,
        ] {
            let calls = said.tool_calls.clone().unwrap();
            assert!(calls.contains("look"), "{to:?}: {calls}");
            assert_eq!(facts_of(said), expected, "{to:?}");
        }
    }
}

#[test]
fn a_stream_is_whole_once_it_says_why_it_stops() {
    let to = ClientFormat::OpenaiChat;
    let (without_metadata, _) = EVENTS.split_at(EVENTS.len() - 1);
    let (made, _) = streamed(to, &frames(without_metadata), 100).unwrap();
    assert!(made.ends_with("data: [DONE]\n\n"), "{made}");
    let (cut, _) = EVENTS.split_at(EVENTS.len() - 2);
    let error = streamed(to, &frames(cut), 100).unwrap_err();
    assert!(matches!(error, TranslateError::BrokeOff), "{error}");
    let early = [&EVENTS[EVENTS.len() - 1..], &EVENTS[..EVENTS.len() - 1]].concat();
    let (made, _) = streamed(to, &frames(&early), 100).unwrap();
    assert!(made.contains("Hällo"), "{made}");
}

#[test]
fn exceptions_are_the_providers_errors() {
    for (kind, status) in [
        ("throttlingException", Some(429)),
        ("validationException", Some(400)),
        ("modelTimeoutException", Some(504)),
        ("serviceUnavailableException", Some(503)),
        ("internalServerException", Some(500)),
        ("modelStreamErrorException", Some(502)),
        ("someOtherException", None),
    ] {
        let event = format!(r#"{{"{kind}":{{"message":"sl\u00f6w"}}}}"#);
        for before in [0, 7] {
            let events = [&EVENTS[..before], &[&event]].concat();
            let error = streamed(ClientFormat::Anthropic, &frames(&events), 9).unwrap_err();
            let expected = ProviderError {
                status,
                kind: Some(error_name(kind)),
                code: None,
                message: "slöw".to_owned(),
            };
            assert_eq!(error, TranslateError::Reported(expected));
        }
    }
}

#[test]
fn an_errors_message_is_read() {
    for (body, expected) in [
        (r#"{"message":"no"}"#, "no"),
        (r#"{"Message":"not you"}"#, "not you"),
        (r#"{"message":5}"#, ""),
        ("<html>", ""),
    ] {
        let error = error_of(Format::BedrockConverse, body.as_bytes());
        assert_eq!(error.message, expected);
    }
}

#[test]
fn what_cannot_be_asked_is_named() {
    let part = |part: Value| {
        chat(json!({ "messages": [
            { "role": "user", "content": "x" }, { "role": "user", "content": [part] },
        ] }))
    };
    let call = json!({ "role": "assistant", "tool_calls": [{ "id": "a", "function": { "name": "f", "arguments": "{}" } }] });
    let tools = json!([{ "type": "function", "function": { "name": "f" } }]);
    for (body, field) in [
        (
            part(json!({ "type": "image_url", "image_url": { "url": "https://e/x.png" } })),
            "messages[1].content[0].image_url",
        ),
        (
            part(
                json!({ "type": "image_url", "image_url": { "url": "data:image/tiff;base64,eA==" } }),
            ),
            "messages[1].content[0].image_url",
        ),
        (
            part(json!({ "type": "file", "file": { "file_data": "data:audio/wav;base64,eA==" } })),
            "messages[1].content[0].file",
        ),
        (
            chat(
                json!({ "messages": [call, { "role": "tool", "tool_call_id": "a", "content": "r" }],
                "tools": tools, "tool_choice": "none" }),
            ),
            "tool_choice",
        ),
    ] {
        let asked = asked(ClientFormat::OpenaiChat, &body.to_string(), CLAUDE);
        match asked {
            Err(TranslateError::Unsupported { field: named, .. }) => assert_eq!(named, field),
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn tools_that_may_not_be_called_are_left_out() {
    let tools = json!([{ "type": "function", "function": { "name": "f", "description": "" } }]);
    for (choice, expected) in [
        (json!("auto"), json!({ "auto": {} })),
        (json!("required"), json!({ "any": {} })),
        (Value::Null, Value::Null),
    ] {
        let body = chat(json!({ "tools": tools, "tool_choice": choice }));
        let (made, dropped) = asked_chat(&body, CLAUDE);
        assert_eq!(made["toolConfig"]["toolChoice"], expected);
        let spec = json!({ "name": "f", "inputSchema": { "json": { "type": "object", "properties": {} } } });
        assert_eq!(
            made["toolConfig"]["tools"],
            json!([{ "toolSpec": spec }]),
            "{dropped:?}"
        );
    }
    let body = chat(json!({ "tools": tools, "tool_choice": "none" }));
    assert!(asked_chat(&body, CLAUDE).0["toolConfig"].is_null());
}

#[test]
fn sides_take_turns() {
    let body = chat(json!({ "messages": [
        { "role": "user", "content": "a" }, { "role": "assistant", "content": "" },
        { "role": "user", "content": "b" }, { "role": "user", "content": " \n" },
        { "role": "assistant", "content": "c" }, { "role": "assistant", "content": "d" },
    ] }));
    let (made, dropped) = asked_chat(&body, CLAUDE);
    let texts = |first, second| json!([{ "text": first }, { "text": second }]);
    let expected = json!([
        { "role": "user", "content": texts("a", "b") },
        { "role": "assistant", "content": texts("c", "d") },
    ]);
    assert_eq!(made["messages"], expected);
    assert_eq!(dropped, ["messages[3]"]);
    let only_system = chat(json!({ "messages": [{ "role": "system", "content": "s" }] }));
    let (made, _) = asked_chat(&only_system, CLAUDE);
    assert_eq!(made["messages"][0]["role"], "user");
    assert!(made["system"].is_null(), "{made}");
}

/// Only Claude's models take the fields of Claude's.
#[test]
fn what_a_model_does_not_know_is_dropped() {
    let body = chat(
        json!({ "top_k": 5, "reasoning_effort": "low", "max_tokens": 10, "temperature": 0.5, "top_p": 0.5 }),
    );
    let thinking = json!({ "thinking": { "type": "enabled", "budget_tokens": 1024 } });
    let profile = "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc";
    for (model, own, max_tokens, expected) in [
        (
            CLAUDE,
            &thinking,
            1034,
            &["temperature", "top_k", "top_p"][..],
        ),
        (profile, &thinking, 1034, &["temperature", "top_k", "top_p"]),
        (NOVA, &Value::Null, 10, &["reasoning_effort", "top_k"]),
    ] {
        let (made, dropped) = asked_chat(&body, model);
        assert_eq!(&made["additionalModelRequestFields"], own, "{model}");
        assert_eq!(made["inferenceConfig"]["maxTokens"], max_tokens);
        let top_p = made["inferenceConfig"]["topP"].as_f64();
        assert_eq!(top_p, (model == NOVA).then_some(0.5), "{model}");
        assert_eq!(dropped, expected, "{model}");
    }
    let body = chat(json!({ "top_k": 5, "temperature": 0.5, "top_p": 0.5 }));
    let (made, dropped) = asked_chat(&body, CLAUDE);
    assert_eq!(made["additionalModelRequestFields"], json!({ "top_k": 5 }));
    assert_eq!(dropped, ["top_p"]);
}

fn any_event() -> impl Strategy<Value = Value> {
    json_of(vec![
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
        "aException",
        "contentBlockIndex",
        "start",
        "delta",
        "toolUse",
        "toolUseId",
        "name",
        "input",
        "text",
        "reasoningContent",
        "signature",
        "redactedContent",
        "stopReason",
        "usage",
        "output",
        "message",
        "content",
        "é\u{1f600}\"",
    ])
}

proptest! {
    #[test]
    fn whatever_is_said_what_is_made_is_json(events in prop::collection::vec(any_event(), 1..5)) {
        for (to, _) in CLIENTS {
            let from = Format::BedrockConverse;
            let mut translator = StreamTranslator::new(from, to, &facts());
            let mut out = Vec::new();
            for event in &events {
                let event = event.to_string();
                if let Ok((made, _)) = answer(from, to, event.as_bytes(), &facts()) {
                    prop_assert!(serde_json::from_slice::<Value>(&made).is_ok());
                }
                // Whether it is taken is not the question.
                translator.event(event.as_bytes(), &mut out).ok();
            }
            translator.end(&mut out).ok();
            for event in sse::events(&out) {
                let data = event.data.unwrap_or_default();
                let is_json = serde_json::from_slice::<Value>(&data).is_ok();
                prop_assert!(is_json || &*data == b"[DONE]", "{}", String::from_utf8_lossy(&out));
            }
        }
    }
}
