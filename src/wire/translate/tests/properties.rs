//! What holds of whatever is said.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ANTHROPIC, CHAT, RESPONSES, answer, facts, request};
use crate::wire::sse;
use crate::wire::translate::{ClientFormat, Format, StreamTranslator};

fn any_json() -> impl Strategy<Value = Value> {
    json_of(vec![
        "model",
        "messages",
        "role",
        "content",
        "type",
        "text",
        "user",
        "assistant",
        "tool",
        "system",
        "tool_calls",
        "function",
        "arguments",
        "{}",
        "name",
        "id",
        "choices",
        "delta",
        "index",
        "usage",
        "message_start",
        "content_block_delta",
        "content_block",
        "text_delta",
        "tool_use",
        "input",
        "message",
        "finish_reason",
        "stop",
        "error",
        "tool_result",
        "image",
        "source",
        "logprobs",
        "token",
        "logprob",
        "top_logprobs",
        "candidates",
        "logprobsResult",
        "chosenCandidates",
        "é\u{1f600}\"",
    ])
}

/// Any JSON whose texts and keys are of these.
pub(in crate::wire::translate) fn json_of(
    words: Vec<&'static str>,
) -> impl Strategy<Value = Value> {
    let word = prop::sample::select(words);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((word.clone(), inner), 0..6).prop_map(|members| {
                let members = members.into_iter();
                Value::Object(
                    members
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_panics_and_what_is_made_is_json(body in any_json()) {
        let text = body.to_string();
        for (to, from) in [(ANTHROPIC, CHAT.1), (CHAT, ANTHROPIC.1), (CHAT, Format::Gemini), (ANTHROPIC, Format::Gemini), (CHAT, Format::BedrockConverse), (ANTHROPIC, Format::BedrockConverse)] {
            for made in [
                request(to, from, text.as_bytes(), "m"),
                answer(from, to, text.as_bytes(), &facts()),
            ].into_iter().flatten() {
                prop_assert!(serde_json::from_slice::<Value>(&made.0).is_ok());
            }
            drop(crate::wire::translate::request(RESPONSES, from, text.as_bytes(), "m", false));
            for to in [to.into(), RESPONSES] {
            let mut translator = StreamTranslator::new(from, to, &facts());
            let mut out = Vec::new();
            // Whether it is taken is not the question.
            translator.event(text.as_bytes(), &mut out).ok();
            translator.end(&mut out).ok();
            for event in sse::events(&out) {
                let data = event.data.unwrap_or_default();
                let is_json = serde_json::from_slice::<Value>(&data).is_ok();
                prop_assert!(is_json || &*data == b"[DONE]", "{}", String::from_utf8_lossy(&out));
            }
            }
        }
    }

    #[test]
    fn texts_and_calls_come_back_as_they_were(
        texts in prop::collection::vec("[a-zäß😀\"\\\\\n ]{1,12}", 1..5),
        input in any_json().prop_filter("an object", Value::is_object),
    ) {
        let messages: Vec<Value> = texts.iter().enumerate().map(|(at, text)| {
            let role = ["user", "assistant"][at % 2];
            json!({ "role": role, "content": text })
        }).chain([json!({ "role": "assistant", "content": null, "tool_calls": [
            { "id": "a", "type": "function", "function": { "name": "f", "arguments": input.to_string() } },
        ] }), json!({ "role": "tool", "tool_call_id": "a", "content": "done" })]).collect();
        let body = json!({ "model": "m", "messages": messages, "max_tokens": 5 });
        let there = request(CHAT, ANTHROPIC, body.to_string().as_bytes(), "m").unwrap().0;
        let back = request(ANTHROPIC, CHAT, &there, "m").unwrap().0;
        let again = request(CHAT, ANTHROPIC, &back, "m").unwrap().0;
        prop_assert_eq!(String::from_utf8(there).unwrap(), String::from_utf8(again).unwrap());
    }

    #[test]
    fn what_both_know_comes_back_as_it_was(logprobs in any::<bool>(), top in 1..=20, json in any::<bool>()) {
        let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "x" }] });
        if logprobs {
            body["logprobs"] = json!(true);
            body["top_logprobs"] = json!(top);
        }
        if json {
            body["response_format"] = json!({ "type": "json_object" });
        }
        let there = request(CHAT, Format::Gemini, body.to_string().as_bytes(), "m").unwrap().0;
        let back = crate::wire::translate::request(ClientFormat::Gemini, CHAT.1, &there, "m", false).unwrap().0;
        prop_assert_eq!(serde_json::from_slice::<Value>(&back).unwrap(), body);
    }
}
