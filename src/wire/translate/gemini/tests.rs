//! Gemini's clients before other providers.

use serde_json::{Value, json};

use crate::wire::sse;
use crate::wire::translate::{
    AnswerFacts, ClientFormat, Format, StreamTranslator, TranslateError, answer, request,
};

const CHAT_TOOLS: &str = include_str!("../../../../tests/fixtures/openai_chat/stream_tools.sse");
const MESSAGE_TOOLS: &str = include_str!("../../../../tests/fixtures/anthropic/stream_tools.sse");
const MESSAGE: &str = include_str!("../../../../tests/fixtures/translate/message_answer.json");
const REASONED: &str = include_str!("../../../../tests/fixtures/translate/chat_reasoned.json");

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

fn asked(to: Format, body: &Value) -> Result<(Value, Vec<String>), TranslateError> {
    let body = body.to_string();
    let (made, dropped) = request(ClientFormat::Gemini, to, body.as_bytes(), "m", true)?;
    Ok((
        serde_json::from_slice(&made).unwrap(),
        dropped.into_fields(),
    ))
}

fn conversation() -> Value {
    json!({
        "system_instruction": { "parts": [{ "text": "Be terse." }] },
        "contents": [
            { "role": "user", "parts": [{ "text": "Look." }, { "inline_data": { "mime_type": "image/png", "data": "eA==" } }] },
            { "role": "model", "parts": [
                { "functionCall": { "name": "f", "args": { "snake_case": 1 } } },
                { "functionCall": { "name": "f", "args": {} } },
            ] },
            { "role": "user", "parts": [
                { "functionResponse": { "name": "f", "response": { "output": "one" } } },
                { "functionResponse": { "name": "f", "response": { "error": "two" } } },
            ] },
        ],
        "tools": [{ "functionDeclarations": [{ "name": "f", "description": "d", "parameters": {
            "type": "OBJECT", "properties": { "type": { "type": "STRING", "nullable": true }, "n": { "type": "ARRAY", "items": { "type": "INTEGER" }, "minItems": "1" } },
        } }] }],
        "toolConfig": { "functionCallingConfig": { "mode": "ANY", "allowedFunctionNames": ["f"] } },
        "generationConfig": {
            "maxOutputTokens": 9, "temperature": 0.5, "stopSequences": ["x"], "responseMimeType": "application/json",
            "responseSchema": { "type": "OBJECT", "properties": { "a": { "type": "STRING" } } }, "seed": 3,
        },
        "safetySettings": [{ "category": "c", "threshold": "t" }],
    })
}

#[test]
fn requests() {
    for (name, to) in [
        ("gemini_as_chat", Format::OpenaiChat),
        ("gemini_as_message", Format::Anthropic),
    ] {
        let (made, dropped) = asked(to, &conversation()).unwrap();
        insta::assert_snapshot!(
            name,
            format!("{made:#}\n--- dropped\n{}", dropped.join("\n"))
        );
    }
}

#[test]
fn answers() {
    for (name, from, body) in [
        ("message_answer_as_gemini", Format::Anthropic, MESSAGE),
        ("chat_answer_as_gemini", Format::OpenaiChat, REASONED),
    ] {
        let (made, _) = answer(from, ClientFormat::Gemini, body.as_bytes(), &facts()).unwrap();
        let made: Value = serde_json::from_slice(&made).unwrap();
        insta::assert_snapshot!(name, format!("{made:#}"));
    }
}

fn streamed(from: Format, stream: &str) -> Result<String, TranslateError> {
    let mut translator = StreamTranslator::new(from, ClientFormat::Gemini, &facts());
    let mut out = Vec::new();
    for event in sse::events(stream.as_bytes()) {
        translator.event(&event.data.unwrap_or_default(), &mut out)?;
    }
    translator.end(&mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn streams() {
    insta::assert_snapshot!(
        "chat_stream_as_gemini",
        streamed(Format::OpenaiChat, CHAT_TOOLS).unwrap()
    );
    insta::assert_snapshot!(
        "message_stream_as_gemini",
        streamed(Format::Anthropic, MESSAGE_TOOLS).unwrap()
    );
}

#[test]
fn the_input_of_a_call_is_whole_and_keeps_its_digits_or_ends_the_stream() {
    let call = |arguments: &str| {
        let delta = json!({ "tool_calls": [{ "index": 0, "id": "a", "function": { "name": "f", "arguments": arguments } }] });
        let chunk =
            json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": "tool_calls" }] });
        format!("data: {chunk}\n\ndata: [DONE]\n\n")
    };
    let made = streamed(
        Format::OpenaiChat,
        &call("{\n\"n\": 123456789012345678901234567890}"),
    )
    .unwrap();
    assert!(
        made.contains(r#""args":{ "n": 123456789012345678901234567890}"#),
        "{made}"
    );
    let empty = streamed(Format::OpenaiChat, &call("")).unwrap();
    assert!(empty.contains(r#""args":{}"#), "{empty}");
    for wrong in ["{\"a\":", "[1]", "x"] {
        let failed = streamed(Format::OpenaiChat, &call(wrong));
        assert!(
            matches!(failed, Err(TranslateError::Malformed(_))),
            "{wrong}"
        );
    }
}

#[test]
fn what_cannot_be_asked_is_named() {
    let with = |more: Value| {
        let mut body = json!({ "contents": [{ "parts": [{ "text": "x" }] }] });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    let part = |part: Value| json!({ "contents": [{ "parts": [part] }] });
    for (body, expected) in [
        (json!({}), "contents"),
        (json!({ "contents": [1] }), "contents[0]"),
        (
            with(json!({ "tools": [{ "googleSearch": {} }] })),
            "tools[0].googleSearch",
        ),
        (
            with(json!({ "tools": [{ "code_execution": {} }] })),
            "tools[0].codeExecution",
        ),
        (with(json!({ "cachedContent": "c" })), "cachedContent"),
        (
            with(json!({ "generationConfig": { "candidateCount": 2 } })),
            "generationConfig.candidateCount",
        ),
        (
            with(json!({ "generationConfig": { "responseModalities": ["IMAGE"] } })),
            "generationConfig.responseModalities",
        ),
        (
            with(json!({ "generationConfig": { "responseMimeType": "text/x.enum" } })),
            "generationConfig.responseMimeType",
        ),
        (
            with(json!({ "generationConfig": { "temperature": "hot" } })),
            "generationConfig.temperature",
        ),
        (
            part(json!({ "executableCode": {} })),
            "contents[0].parts[0].executableCode",
        ),
        (
            part(json!({ "fileData": { "fileUri": "gs://b/f" } })),
            "contents[0].parts[0].fileData.fileUri",
        ),
        (
            part(json!({ "functionResponse": { "name": "f" } })),
            "contents[0].parts[0].functionResponse",
        ),
    ] {
        match asked(Format::OpenaiChat, &body).unwrap_err() {
            TranslateError::Unsupported { field, .. } | TranslateError::Invalid { field, .. } => {
                assert_eq!(field, expected, "{body}");
            }
            other => panic!("{other}"),
        }
    }
}
