//! Bedrock's streams as one response.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::filter::StreamEvent;

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

/// What an earlier Claude would have answered. `None` where the stream is none of its.
pub(super) fn completion(events: &[StreamEvent], texts: &BTreeMap<u64, String>) -> Option<Bytes> {
    let is_one = events.iter().any(|event| event.get("completion").is_some());
    let text = texts.values().next().filter(|_| is_one)?;
    let last = |key| {
        let mut found = events.iter().rev().filter_map(|event| event.get(key));
        found.find_map(|raw| {
            serde_json::from_str::<Value>(raw)
                .ok()
                .filter(|value| !value.is_null())
        })
    };
    let whole = json!({
        "completion": text, "stop_reason": last("stop_reason"), "stop": last("stop"),
    });
    Some(Bytes::from(whole.to_string()))
}
