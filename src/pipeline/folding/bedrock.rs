//! Bedrock's streams as one response.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::filter::{Endpoint, StreamEvent};
use crate::wire::bedrock::frames_of;
use crate::wire::decode_stream;

/// What `converse` would have answered: texts, then calls.
pub(super) fn converse(events: &[StreamEvent], texts: &BTreeMap<u64, String>) -> Bytes {
    let mut calls: BTreeMap<u64, Map<String, Value>> = BTreeMap::new();
    let mut inputs: BTreeMap<u64, String> = BTreeMap::new();
    let mut whole = json!({});
    for event in events {
        let Some(Value::Object(event)) = event
            .data()
            .and_then(|data| serde_json::from_str(data).ok())
        else {
            continue;
        };
        for (kind, payload) in event {
            let index = payload["contentBlockIndex"].as_u64().unwrap_or(0);
            match kind.as_str() {
                "contentBlockStart" => {
                    if let Some(call) = payload["start"]["toolUse"].as_object() {
                        calls.insert(index, call.clone());
                    }
                }
                "contentBlockDelta" => {
                    if let Some(piece) = payload["delta"]["toolUse"]["input"].as_str() {
                        inputs.entry(index).or_default().push_str(piece);
                    }
                }
                "messageStop" => whole["stopReason"] = payload["stopReason"].clone(),
                "metadata" => whole["usage"] = payload["usage"].clone(),
                _ => {}
            }
        }
    }
    let texts = texts.values().map(|text| json!({ "text": text }));
    let calls = calls.into_iter().map(|(index, mut call)| {
        let input = inputs
            .get(&index)
            .and_then(|input| serde_json::from_str(input).ok());
        call.insert("input".to_owned(), input.unwrap_or_else(|| json!({})));
        json!({ "toolUse": call })
    });
    let content: Vec<Value> = texts.chain(calls).collect();
    whole["output"] = json!({ "message": { "role": "assistant", "content": content } });
    Bytes::from(whole.to_string())
}

/// A form that no other API has.
struct Form {
    /// The member by which its events are known.
    known_by: &'static str,
    /// The list of a whole answer that has the texts; without one there is one text, at the top.
    list: Option<&'static str>,
    text: &'static str,
    reason: &'static str,
}

const fn form(
    known_by: &'static str,
    list: Option<&'static str>,
    text: &'static str,
    reason: &'static str,
) -> Form {
    Form {
        known_by,
        list,
        text,
        reason,
    }
}

/// Those of earlier Claudes, Llama's, Titan's, Mistral's and Cohere's. The first that fits is it.
const FORMS: &[Form] = &[
    form("completion", None, "completion", "stop_reason"),
    form("generation", None, "generation", "stop_reason"),
    form(
        "outputText",
        Some("results"),
        "outputText",
        "completionReason",
    ),
    form("outputs", Some("outputs"), "text", "stop_reason"),
    form("event_type", None, "text", "finish_reason"),
    form("generations", Some("generations"), "text", "finish_reason"),
    form("is_finished", Some("generations"), "text", "finish_reason"),
];

/// What `invoke` would have answered, in the form of the model's maker.
pub(super) fn invoked(events: &[StreamEvent], texts: BTreeMap<u64, String>) -> Bytes {
    let has = |name: &str| events.iter().any(|event| event.get(name).is_some());
    if has("type") {
        return super::blocks(events, &texts);
    }
    if has("messageStart") || has("contentBlockDelta") {
        return converse(events, &texts);
    }
    if has("choices") {
        let frames = frames_of(Endpoint::BedrockInvoke, &super::joined(events));
        let decoded = decode_stream(Endpoint::BedrockInvoke, &frames.unwrap_or_default());
        let lists = events.iter().filter_map(|event| event.get("choices"));
        let mut lists = lists.filter_map(|raw| serde_json::from_str::<Value>(raw).ok());
        let endpoint = match lists.any(|list| list[0].get("text").is_some()) {
            true => Endpoint::Completions,
            false => Endpoint::ChatCompletions,
        };
        return super::choices(endpoint, &decoded, texts);
    }
    match FORMS.iter().find(|form| has(form.known_by)) {
        Some(form) => own(form, events, &texts),
        None => super::blocks(events, &texts),
    }
}

fn own(form: &Form, events: &[StreamEvent], texts: &BTreeMap<u64, String>) -> Bytes {
    // What is told last holds, be it at the top or of the first answer in the list.
    let last = |name: &str| {
        events.iter().rev().find_map(|event| {
            let event: Value = serde_json::from_str(event.data()?).ok()?;
            let listed = form.list.map(|list| &event[list][0][name]);
            let mut told = [Some(&event[name]), listed].into_iter().flatten();
            told.find(|value| !value.is_null()).cloned()
        })
    };
    let answer = |text: &String| json!({ form.text: text, form.reason: last(form.reason) });
    let mut whole = match form.list {
        Some(list) => json!({ list: texts.values().map(answer).collect::<Vec<Value>>() }),
        None => texts.values().next().map_or_else(|| json!({}), answer),
    };
    for name in ["stop", "tool_calls"] {
        if let Some(value) = last(name) {
            whole[name] = value;
        }
    }
    Bytes::from(whole.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::WholeStream;
    use crate::pipeline::folding::Folding;

    /// The whole answer as which a stream is shown.
    #[track_caller]
    fn check(events: &[&str], expected: &str) {
        let endpoint = Endpoint::BedrockInvoke;
        let shown = events
            .iter()
            .map(|event| StreamEvent::from_data(endpoint, event));
        let whole = Folding { endpoint }.fold(&shown.collect::<Vec<_>>());
        let body = whole.body().expect("a body");
        let read = |text: &[u8]| serde_json::from_slice::<Value>(text).expect("JSON");
        assert_eq!(read(body), read(expected.as_bytes()), "{events:?}");
    }

    #[test]
    fn streams_of_every_maker_are_shown_in_its_form() {
        for (events, expected) in [
            (
                &[
                    r#"{"completion":"a","stop_reason":null,"stop":null}"#,
                    r#"{"completion":"b","stop_reason":"stop_sequence","stop":"Human:"}"#,
                ][..],
                r#"{"completion":"ab","stop_reason":"stop_sequence","stop":"Human:"}"#,
            ),
            (
                &[
                    r#"{"index":0,"outputText":"a","completionReason":null}"#,
                    r#"{"index":1,"outputText":"b","completionReason":"FINISH"}"#,
                ],
                r#"{"results":[{"outputText":"ab","completionReason":"FINISH"}]}"#,
            ),
            (
                &[
                    r#"{"messageStart":{"role":"assistant"}}"#,
                    r#"{"contentBlockDelta":{"delta":{"text":"ab"},"contentBlockIndex":0}}"#,
                    r#"{"messageStop":{"stopReason":"end_turn"}}"#,
                ],
                r#"{"output":{"message":{"role":"assistant","content":[{"text":"ab"}]}},"stopReason":"end_turn"}"#,
            ),
            (
                &[
                    r#"{"generation":"a","stop_reason":null}"#,
                    r#"{"generation":"b","stop_reason":"length"}"#,
                ],
                r#"{"generation":"ab","stop_reason":"length"}"#,
            ),
            (
                &[
                    r#"{"outputs":[{"text":"a","stop_reason":null}]}"#,
                    r#"{"outputs":[{"text":"b","stop_reason":"stop"}]}"#,
                ],
                r#"{"outputs":[{"text":"ab","stop_reason":"stop"}]}"#,
            ),
            (
                &[
                    r#"{"choices":[{"index":0,"message":{"content":"a"},"stop_reason":null}]}"#,
                    r#"{"choices":[{"index":0,"message":{"content":"b"},"stop_reason":"stop"}]}"#,
                ],
                r#"{"object":"chat.completion","model":null,"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"ab"}}]}"#,
            ),
            (
                &[r#"{"choices":[{"text":"ab","stop_reason":"stop"}]}"#],
                r#"{"object":"text_completion","model":null,"choices":[{"index":0,"finish_reason":"stop","text":"ab"}]}"#,
            ),
            (
                &[
                    r#"{"event_type":"text-generation","is_finished":false,"text":"ab"}"#,
                    r#"{"event_type":"tool-calls-generation","is_finished":false,"tool_calls":[{"name":"look"}]}"#,
                    r#"{"event_type":"stream-end","is_finished":true,"finish_reason":"COMPLETE","response":{"text":"ab"}}"#,
                ],
                r#"{"text":"ab","finish_reason":"COMPLETE","tool_calls":[{"name":"look"}]}"#,
            ),
            (
                &[
                    r#"{"is_finished":false,"index":0,"text":"a"}"#,
                    r#"{"is_finished":false,"index":1,"text":"b"}"#,
                    r#"{"is_finished":true,"finish_reason":"COMPLETE"}"#,
                ],
                r#"{"generations":[{"text":"a","finish_reason":"COMPLETE"},{"text":"b","finish_reason":"COMPLETE"}]}"#,
            ),
            (
                &[r#"{"other":1}"#],
                r#"{"type":"message","role":"assistant","model":null,"content":[],"stop_reason":null}"#,
            ),
        ] {
            check(events, expected);
        }
    }
}
