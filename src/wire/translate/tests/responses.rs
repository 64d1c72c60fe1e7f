//! Responses, of a client before every provider's format.

use serde_json::{Value, json};

use super::{
    GEMINI_STREAM, GEMINI_TOOLS, MESSAGE_STREAM, MESSAGE_TOOLS, REASONED_STREAM, RESPONSES, facts,
    streamed,
};
use crate::wire::sse;
use crate::wire::translate::fields::parse;
use crate::wire::translate::{Format, TranslateError, answer, request};

#[test]
fn a_responses_stream_ends_with_the_whole_answer() {
    for (from, stream) in [
        (Format::Anthropic, MESSAGE_TOOLS),
        (Format::Anthropic, MESSAGE_STREAM),
        (Format::OpenaiChat, REASONED_STREAM),
        (Format::Gemini, GEMINI_TOOLS),
        (Format::Gemini, GEMINI_STREAM),
    ] {
        let (made, _) = streamed(from, RESPONSES, stream).unwrap();
        let events: Vec<Value> = sse::events(made.as_bytes())
            .map(|event| parse(&event.data.unwrap()).unwrap())
            .collect();
        for (number, event) in events.iter().enumerate() {
            assert_eq!(event["sequence_number"], number, "{event}");
        }
        let last = events.last().unwrap();
        let done: Vec<&Value> = last["response"]["output"]
            .as_array()
            .unwrap()
            .iter()
            .collect();
        assert!(
            !done.is_empty() && done.iter().all(|item| item.is_object()),
            "{last}"
        );
        for (index, item) in done.into_iter().enumerate() {
            let said = events.iter().find(|event| {
                event["type"] == "response.output_item.done" && event["output_index"] == index
            });
            assert_eq!(said.map(|event| &event["item"]), Some(item), "{made}");
        }
    }
}

#[test]
fn what_responses_think_and_call_goes_back() {
    let said = json!({ "content": [
        { "type": "thinking", "thinking": "hm", "signature": "sig" },
        { "type": "redacted_thinking", "data": "dark" },
        { "type": "text", "text": "Look:" },
        { "type": "tool_use", "id": "a", "name": "f", "input": { "b": 1 } },
    ], "stop_reason": "tool_use", "usage": { "input_tokens": 3, "output_tokens": 4 } });
    let (made, _) = answer(
        Format::Anthropic,
        RESPONSES,
        said.to_string().as_bytes(),
        &facts(),
    )
    .unwrap();
    let made: Value = serde_json::from_slice(&made).unwrap();
    assert_eq!(
        (&made["status"], &made["usage"]["total_tokens"]),
        (&json!("completed"), &json!(7))
    );
    let mut input = made["output"].as_array().unwrap().clone();
    input.push(json!({ "type": "function_call_output", "call_id": "a", "output": "r" }));
    let body = json!({ "instructions": "Be terse.", "input": input }).to_string();
    let (back, dropped) =
        request(RESPONSES, Format::Anthropic, body.as_bytes(), "m", false).unwrap();
    let back: Value = serde_json::from_slice(&back).unwrap();
    assert_eq!(back["system"], "Be terse.");
    assert_eq!(back["messages"][0]["content"], said["content"]);
    assert_eq!(back["messages"][1]["content"][0]["tool_use_id"], "a");
    assert_eq!(dropped.into_fields(), Vec::<String>::new());
}

#[test]
fn what_responses_cannot_ask_is_named() {
    for (body, expected) in [
        (json!({}), "input"),
        (json!({ "input": 1 }), "input"),
        (
            json!({ "input": "x", "previous_response_id": "r" }),
            "previous_response_id",
        ),
        (json!({ "input": "x", "conversation": "c" }), "conversation"),
        (json!({ "input": "x", "background": true }), "background"),
        (json!({ "input": "x", "prompt": { "id": "p" } }), "prompt"),
        (
            json!({ "input": "x", "tools": [{ "type": "web_search" }] }),
            "tools[0].type",
        ),
        (
            json!({ "input": "x", "reasoning": { "effort": "much" } }),
            "reasoning.effort",
        ),
        (
            json!({ "input": "x", "text": { "format": { "type": "grammar" } } }),
            "text.format.type",
        ),
        (
            json!({ "input": "x", "tool_choice": { "type": "mcp" } }),
            "tool_choice.type",
        ),
        (
            json!({ "input": "x", "tool_choice": { "type": "allowed_tools", "mode": "auto",
                "tools": [{ "type": "function", "name": "g" }] } }),
            "tool_choice.tools[0].name",
        ),
        (
            json!({ "input": [{ "type": "item_reference", "id": "i" }] }),
            "input[0].type",
        ),
        (
            json!({ "input": [{ "role": "user", "content": [{ "type": "input_image", "file_id": "f" }] }] }),
            "input[0].content[0].file_id",
        ),
        (
            json!({ "input": [{ "type": "function_call", "call_id": "a", "name": "f", "arguments": "[" }] }),
            "input[0].arguments",
        ),
    ] {
        let error = request(
            RESPONSES,
            Format::Gemini,
            body.to_string().as_bytes(),
            "m",
            false,
        )
        .unwrap_err();
        match error {
            TranslateError::Unsupported { field, .. } | TranslateError::Invalid { field, .. } => {
                assert_eq!(field, expected);
            }
            other => panic!("{other}"),
        }
    }
}
