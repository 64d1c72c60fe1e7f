//! What streams say in every client's format, whatever the order or the end of what the provider says.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::answers::{CLIENTS, chat, shaped, streamed, whole};
use crate::wire::sse;
use crate::wire::translate::{ClientFormat, Format, TranslateError};
use crate::wire::{decode_stream, decode_whole};
use aiproxy_filters::Endpoint;

fn call(index: u64, id: &str, arguments: &str) -> Value {
    let mut call = json!({ "index": index, "function": { "arguments": arguments } });
    if !id.is_empty() {
        call["id"] = json!(id);
        call["function"]["name"] = json!("f");
    }
    json!({ "tool_calls": [call] })
}

/// The parts of a stream that are open at once, at most, and how many there were.
fn open_at_once(to: ClientFormat, stream: &[u8]) -> (usize, usize) {
    let (mut open, mut most, mut count) = (HashSet::new(), 0, 0);
    for event in sse::events(stream) {
        let event: Value = serde_json::from_slice(&event.data.unwrap_or_default()).unwrap();
        let (begun, ended, goes_on) = match to {
            ClientFormat::BedrockConverse => {
                let of = |kind: &str| event[kind]["contentBlockIndex"].as_u64();
                let delta = of("contentBlockDelta");
                (
                    of("contentBlockStart").or(delta),
                    of("contentBlockStop"),
                    delta,
                )
            }
            ClientFormat::OpenaiResponses => {
                let of = |kinds: &[&str]| {
                    let is = kinds.iter().any(|kind| event["type"] == *kind);
                    event["output_index"].as_u64().filter(|_| is)
                };
                (
                    of(&["response.output_item.added"]),
                    of(&["response.output_item.done"]),
                    of(&[
                        "response.output_text.delta",
                        "response.function_call_arguments.delta",
                    ]),
                )
            }
            _ => {
                let of = |kind: &str| event["index"].as_u64().filter(|_| event["type"] == kind);
                (
                    of("content_block_start"),
                    of("content_block_stop"),
                    of("content_block_delta"),
                )
            }
        };
        count += usize::from(begun.is_some_and(|part| open.insert(part)));
        most = most.max(open.len());
        assert!(goes_on.is_none_or(|part| open.contains(&part)), "{event}");
        assert!(ended.is_none_or(|part| open.remove(&part)), "{event}");
    }
    assert!(open.is_empty(), "{open:?}");
    (most, count)
}

/// However the pieces of several calls, and texts, come between each other.
#[test]
fn one_part_is_open_at_a_time() {
    let text = |text: &str| json!({ "content": text });
    let calls = [
        call(0, "a", "{\"n\":"),
        call(1, "b", "{\"m\":"),
        call(0, "", "1}"),
        call(1, "", "2}"),
    ];
    let [first, second, first_rest, second_rest] = calls;
    for (deltas, parts) in [
        (vec![&first, &first_rest, &second, &second_rest], 2),
        (vec![&first, &second, &first_rest, &second_rest], 2),
        (vec![&first, &second, &second_rest, &first_rest], 2),
        (
            vec![
                &text("x"),
                &first,
                &second,
                &first_rest,
                &text("y"),
                &second_rest,
                &text("z"),
            ],
            4,
        ),
        (
            vec![
                &first,
                &text("xy"),
                &second,
                &second_rest,
                &text("z"),
                &first_rest,
            ],
            4,
        ),
    ] {
        let deltas: Vec<Value> = deltas.into_iter().cloned().collect();
        let texts: String = deltas
            .iter()
            .filter_map(|delta| delta["content"].as_str())
            .collect();
        let (_, events) = chat(&json!({}), &deltas, "tool_calls");
        for (to, endpoint) in CLIENTS {
            let (made, dropped) = streamed(Format::OpenaiChat, to, &events).unwrap();
            assert_eq!(dropped, Vec::<String>::new());
            let said = decode_stream(endpoint, &shaped(endpoint, &made));
            assert_eq!(said.text.unwrap_or_default(), texts, "{to:?}");
            let calls: Value = serde_json::from_str(&said.tool_calls.unwrap()).unwrap();
            let inputs = [0, 1].map(|at| calls[at]["function"]["arguments"].clone());
            assert_eq!(inputs, ["{\"n\":1}", "{\"m\":2}"], "{to:?}");
            assert_eq!(said.finish_reason.as_deref(), Some("tool_calls"));
            if !matches!(to, ClientFormat::OpenaiChat | ClientFormat::Gemini) {
                assert_eq!(open_at_once(to, &made), (1, parts), "{to:?}: {deltas:?}");
            }
        }
    }
}

pub(super) const COMPLETIONS: (ClientFormat, Endpoint) =
    (ClientFormat::OpenaiCompletions, Endpoint::Completions);

/// As whole answers that do not say why they end.
#[test]
fn a_stream_that_ends_without_a_reason_has_one_by_what_it_said() {
    let word = |said: &str| json!({ "content": said });
    let called = call(0, "a", "{}");
    for (message, deltas, expected) in [
        (word("Hm."), vec![word("Hm.")], Some("stop")),
        (called.clone(), vec![called.clone()], Some("tool_calls")),
        (
            word(""),
            vec![json!({ "role": "assistant", "content": "" })],
            None,
        ),
        (word(""), vec![], None),
        // Thoughts alone are no answer.
        (
            json!({ "reasoning": "Hm." }),
            vec![json!({ "reasoning": "Hm." })],
            None,
        ),
    ] {
        let (mut body, mut events) = chat(&json!({ "message": message }), &deltas, "");
        body["choices"][0]["finish_reason"] = Value::Null;
        events.pop();
        for (to, endpoint) in CLIENTS.into_iter().chain([COMPLETIONS]) {
            let reason = match (expected, to) {
                (Some(_), ClientFormat::OpenaiCompletions) => Some("stop"),
                (expected, _) => expected,
            };
            let streamed = streamed_to_the_end(to, &events)
                .map(|made| decode_stream(endpoint, &shaped(endpoint, &made)).finish_reason);
            let whole = whole(Format::OpenaiChat, to, &body)
                .map(|[(answered, _), _]| decode_whole(endpoint, &answered).finish_reason);
            match reason {
                Some(reason) => {
                    let reason = Some(reason.to_owned());
                    assert_eq!(streamed.as_ref(), Ok(&reason), "{to:?}: {deltas:?}");
                    assert_eq!(whole, streamed, "{to:?}: {deltas:?}");
                }
                None => {
                    let is_broken = matches!(streamed, Err(TranslateError::Malformed(_)));
                    assert!(is_broken, "{to:?}: {streamed:?}");
                    assert_eq!(whole, streamed, "{to:?}: {deltas:?}");
                }
            }
        }
    }
}

/// A stream of chunks, which says itself that it is over.
fn streamed_to_the_end(to: ClientFormat, events: &[Value]) -> Result<Vec<u8>, TranslateError> {
    let mut translator = super::StreamTranslator::new(Format::OpenaiChat, to, &super::facts());
    let mut out = Vec::new();
    for event in events {
        translator.event(event.to_string().as_bytes(), &mut out)?;
    }
    translator.event(b"[DONE]", &mut out)?;
    translator.end(&mut out)?;
    Ok(out)
}

/// What waits for its turn is known, for it counts against a limit.
#[test]
fn what_waits_is_counted() {
    let begun = [call(0, "a", ""), call(1, "b", "{\"m\":2}")];
    let (_, events) = chat(&json!({}), &begun, "tool_calls");
    for (to, _) in CLIENTS {
        let mut translator = super::StreamTranslator::new(Format::OpenaiChat, to, &super::facts());
        let mut kept = Vec::new();
        for event in &events {
            let mut out = Vec::new();
            translator
                .event(event.to_string().as_bytes(), &mut out)
                .unwrap();
            kept.push(translator.kept_bytes());
        }
        match to {
            ClientFormat::OpenaiChat | ClientFormat::Gemini => assert_eq!(kept, [0, 0, 0]),
            // It keeps what it has said besides.
            ClientFormat::OpenaiResponses => assert!(kept[0] < kept[1], "{kept:?}"),
            _ => assert!(
                kept[1] > 0 && [kept[0], kept[2]] == [0, 0],
                "{to:?}: {kept:?}"
            ),
        }
    }
}

/// What is said again, or not yet, is known too.
#[test]
fn what_is_kept_is_counted() {
    let (_, thought) = chat(
        &json!({}),
        &[
            json!({ "reasoning_content": "Hm." }),
            json!({ "thinking_blocks": [{ "type": "thinking", "thinking": "", "signature": "s" }] }),
        ],
        "stop",
    );
    let block = json!({ "type": "tool_use", "id": "a", "name": "f", "input": { "x": 1 } });
    let called = vec![
        json!({ "type": "content_block_start", "index": 0, "content_block": block }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "ping" }),
    ];
    for (from, events, expected) in [
        (Format::OpenaiChat, thought, [3, 0, 0]),
        (Format::Anthropic, called, ["{\\\"x\\\":1}".len(), 0, 0]),
    ] {
        let to = ClientFormat::OpenaiChat;
        let mut translator = super::StreamTranslator::new(from, to, &super::facts());
        let kept = events.iter().map(|event| {
            let event = event.to_string();
            translator.event(event.as_bytes(), &mut Vec::new()).unwrap();
            translator.kept_bytes()
        });
        assert_eq!(kept.collect::<Vec<_>>(), expected, "{from:?}");
    }
}

#[test]
fn what_waits_is_given_where_a_stream_breaks_off() {
    let begun = [
        call(0, "a", "{\"n\":"),
        call(1, "b", "{\"m\":2}"),
        json!({ "content": "later" }),
    ];
    let (_, mut events) = chat(&json!({}), &begun, "");
    events.pop();
    let reported = &br#"{"error":{"message":"x"}}"#[..];
    for (to, _) in CLIENTS {
        for last in [None, Some(reported), Some(b"{"), Some(b"\xff")] {
            let (from, facts) = (Format::OpenaiChat, super::facts());
            let mut translator = super::StreamTranslator::new(from, to, &facts);
            let mut out = Vec::new();
            for event in &events {
                let event = event.to_string();
                translator.event(event.as_bytes(), &mut out).unwrap();
            }
            let ended = match last {
                None => translator.end(&mut out),
                Some(last) => translator.event(last, &mut out),
            };
            let made = String::from_utf8(out).unwrap();
            assert!(ended.is_err() && made.contains("later"), "{to:?}: {made}");
        }
    }
}
