//! What some formats have and others do not: carried, or dropped and told, or refused.

use serde_json::{Value, json};

use super::{CHAT, RESPONSES, facts, streamed};
use crate::wire::translate::{
    ClientFormat, Dropped, Format, TranslateError, answer, answer_as_stream, request,
};

/// Any JSON, as it is asked for before those who know it, and before those who know schemas alone or neither.
#[test]
fn json_without_a_schema() {
    let chat = json!({ "messages": [{ "role": "user", "content": "x" }], "response_format": { "type": "json_object" } });
    let responses = json!({ "input": "x", "text": { "format": { "type": "json_object" } } });
    let gemini = json!({ "contents": [{ "parts": [{ "text": "x" }] }],
        "generationConfig": { "responseMimeType": "application/json" } });
    for (from, body, path) in [
        (CHAT.0, &chat, "response_format.type"),
        (RESPONSES, &responses, "text.format.type"),
        (
            ClientFormat::Gemini,
            &gemini,
            "generationConfig.responseMimeType",
        ),
    ] {
        let body = body.to_string();
        let asked = |to| request(from, to, body.as_bytes(), "m", false);
        for (to, member, expected) in [
            (CHAT.1, "response_format", &chat["response_format"]),
            (
                Format::Gemini,
                "generationConfig",
                &gemini["generationConfig"],
            ),
        ] {
            let (made, dropped) = asked(to).unwrap();
            let made: Value = serde_json::from_slice(&made).unwrap();
            assert_eq!(&made[member], expected, "{body}");
            assert_eq!(dropped.into_fields(), Vec::<String>::new());
        }
        let whole = path.strip_suffix(".type").unwrap_or(path);
        for (to, path) in [
            (Format::Anthropic, path),
            (Format::BedrockConverse, path),
            (Format::Argo, whole),
            (Format::Asksage, whole),
        ] {
            let refused = asked(to).unwrap_err();
            assert!(
                matches!(&refused, TranslateError::Unsupported { field, .. } if field == path),
                "{to:?}: {refused}"
            );
        }
    }
}

#[test]
fn thoughts_that_nobody_may_read_are_carried_or_dropped() {
    let whole = r#"{"content":[{"type":"redacted_thinking","data":"eA=="},{"type":"text","text":"x"}],"stop_reason":"end_turn"}"#;
    let stream = [
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"redacted_thinking","data":"eA=="}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
    ];
    let stream = stream.map(|data| format!("data: {data}\n\n")).concat();
    for (to, carried, expected) in [
        (CHAT.0, "eA==", ""),
        (RESPONSES, "redacted_thinking:eA==", ""),
        (ClientFormat::Gemini, "", "redacted_thinking"),
    ] {
        let from = Format::Anthropic;
        let answered = answer(from, to, whole.as_bytes(), &facts()).unwrap();
        let made = answer_as_stream(from, to, whole.as_bytes(), &facts()).unwrap();
        let (translated, dropped) = streamed(from, to, &stream).unwrap();
        let read = |(body, dropped): (Vec<u8>, Dropped)| {
            (String::from_utf8(body).unwrap(), dropped.into_fields())
        };
        for (body, dropped) in [read(answered), read(made), (translated, dropped)] {
            assert!(body.contains(carried), "{to:?}: {body}");
            assert_eq!(dropped.join(" "), expected, "{to:?}: {body}");
        }
    }
}
