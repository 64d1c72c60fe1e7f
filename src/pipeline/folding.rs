//! Streams as one response for filters that want to see them whole, and back: each format in its own shape.

mod bedrock;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::filter::{Endpoint, LlmResponse, StreamEvent, WholeStream, read_spelling};
use crate::wire::Decoded;

/// The status under which a stream's response is shown to filters: streams have no other.
const GOOD: u16 = 200;

/// Streams as one response, and back. What filters make of its texts goes back into the events, each text whole in
/// the first event that had a part of it.
pub(super) struct Folding {
    /// The API that the stream answers.
    pub(super) endpoint: Endpoint,
}

impl WholeStream for Folding {
    fn fold(&self, events: &[StreamEvent]) -> LlmResponse {
        let texts = texts(events);
        let whole = match self.endpoint {
            Endpoint::Responses => reported(events, &texts).unwrap_or_else(|| messages(&texts)),
            Endpoint::Messages => blocks(events, &texts),
            Endpoint::GenerateContent => candidates(events, &texts),
            Endpoint::BedrockConverse => bedrock::converse(events, &texts),
            Endpoint::BedrockInvoke => bedrock::invoked(events, texts),
            endpoint => {
                let decoded = crate::wire::decode_stream(endpoint, &joined(events));
                choices(endpoint, &decoded, texts)
            }
        };
        LlmResponse::from_body(self.endpoint, GOOD, whole)
    }

    fn unfold(
        &self,
        events: Vec<StreamEvent>,
        before: &LlmResponse,
        after: &LlmResponse,
    ) -> Vec<StreamEvent> {
        // The texts of the response stand in the order of their numbers; a text that a filter took out is empty.
        let numbers = texts(&events).into_keys();
        let mut after = after.texts().into_iter().map(|(_, text)| text);
        let changed: BTreeMap<u64, String> = numbers
            .zip(before.texts())
            .filter_map(|(number, (_, before))| {
                let after = after.next().unwrap_or_default();
                (after != before).then_some((number, after))
            })
            .collect();
        match changed.is_empty() {
            true => events,
            false => put_back(events, &changed),
        }
    }
}

/// The texts of a stream by their numbers: put together from their pieces, else as they are repeated.
fn texts(events: &[StreamEvent]) -> BTreeMap<u64, String> {
    let mut texts: BTreeMap<u64, String> = BTreeMap::new();
    // Joined before escapes are undone: a surrogate pair may come apart between two events.
    for (number, delta) in events.iter().flat_map(StreamEvent::spelt_text_delta) {
        texts.entry(number).or_default().push_str(&delta);
    }
    for text in texts.values_mut() {
        if text.contains('\\') {
            *text = read_spelling(text);
        }
    }
    for (number, whole) in events.iter().flat_map(StreamEvent::whole_texts) {
        let text = texts.entry(number).or_default();
        if text.is_empty() {
            *text = whole;
        }
    }
    texts
}

/// The last response that the stream itself reports, if it has these very texts.
fn reported(events: &[StreamEvent], texts: &BTreeMap<u64, String>) -> Option<Bytes> {
    let last = events
        .iter()
        .rev()
        .find_map(|event| event.get("response"))?;
    let body = Bytes::copy_from_slice(last.as_bytes());
    let response = LlmResponse::from_body(Endpoint::Responses, GOOD, body.clone());
    response
        .texts()
        .iter()
        .map(|(number, text)| (number, text))
        .eq(texts)
        .then_some(body)
}

fn messages(texts: &BTreeMap<u64, String>) -> Bytes {
    let output: Vec<Value> = texts
        .values()
        .map(|text| json!({ "type": "message", "content": [{ "type": "output_text", "text": text }] }))
        .collect();
    Bytes::from(json!({ "object": "response", "output": output }).to_string())
}

/// Anthropic's message: its texts, then its calls.
fn blocks(events: &[StreamEvent], texts: &BTreeMap<u64, String>) -> Bytes {
    let decoded = crate::wire::decode_stream(Endpoint::Messages, &joined(events));
    let calls: Option<Vec<Value>> = decoded
        .tool_calls
        .as_deref()
        .and_then(|calls| serde_json::from_str(calls).ok());
    let block = |call: &Value| {
        let input = call["function"]["arguments"]
            .as_str()
            .and_then(|input| serde_json::from_str::<Value>(input).ok());
        json!({ "type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": input })
    };
    let texts = texts.values();
    let content: Vec<Value> = texts
        .map(|text| json!({ "type": "text", "text": text }))
        .chain(calls.iter().flatten().map(block))
        .collect();
    let last = events.iter().rev().find_map(|event| event.get("delta"));
    let end = last.and_then(|delta| serde_json::from_str::<Value>(delta).ok());
    let stop_reason = end.map(|end| end["stop_reason"].clone());
    let whole = json!({
        "type": "message", "role": "assistant", "model": decoded.model, "content": content,
        "stop_reason": stop_reason,
    });
    Bytes::from(whole.to_string())
}

/// Gemini's answer: its texts, the calls of the first candidate, its reason.
fn candidates(events: &[StreamEvent], texts: &BTreeMap<u64, String>) -> Bytes {
    let mut parts: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    for (number, text) in texts {
        parts.insert(*number, vec![json!({ "text": text })]);
    }
    let mut reasons: BTreeMap<u64, Value> = BTreeMap::new();
    let found = events.iter().filter_map(|event| event.get("candidates"));
    for list in found.filter_map(|raw| serde_json::from_str::<Vec<Value>>(raw).ok()) {
        for (at, candidate) in (0..).zip(&list) {
            let number = candidate["index"].as_u64().unwrap_or(at);
            let others = candidate["content"]["parts"]
                .as_array()
                .into_iter()
                .flatten();
            let others = others.filter(|part| part.get("text").is_none()).cloned();
            parts.entry(number).or_default().extend(others);
            if let Some(reason) = candidate.get("finishReason") {
                reasons.insert(number, reason.clone());
            }
        }
    }
    let candidate = |(number, parts): (u64, Vec<Value>)| {
        let content = json!({ "parts": parts, "role": "model" });
        let mut candidate = json!({ "index": number, "content": content });
        if let Some(reason) = reasons.get(&number) {
            candidate["finishReason"] = reason.clone();
        }
        candidate
    };
    let candidates: Vec<Value> = parts.into_iter().map(candidate).collect();
    let last = |key| {
        let mut found = events.iter().rev().filter_map(|event| event.get(key));
        found.find_map(|raw| serde_json::from_str::<Value>(raw).ok())
    };
    let mut whole = json!({ "candidates": candidates });
    for key in ["usageMetadata", "modelVersion", "promptFeedback"] {
        if let Some(value) = last(key) {
            whole[key] = value;
        }
    }
    Bytes::from(whole.to_string())
}

/// A chat's answer, or that of completions.
fn choices(endpoint: Endpoint, decoded: &Decoded, texts: BTreeMap<u64, String>) -> Bytes {
    let tool_calls: Option<Value> = decoded
        .tool_calls
        .as_deref()
        .and_then(|calls| serde_json::from_str(calls).ok())
        .filter(Value::is_array);
    let is_chat = endpoint != Endpoint::Completions;
    let mut texts: BTreeMap<u64, Option<String>> = texts
        .into_iter()
        .map(|(index, text)| (index, Some(text)))
        .collect();
    if tool_calls.is_some() {
        texts.entry(0).or_default();
    }
    let choice = |(index, text): (u64, Option<String>)| {
        let mut choice = json!({ "index": index, "finish_reason": decoded.finish_reason });
        match is_chat {
            true => {
                choice["message"] = json!({ "role": "assistant", "content": text });
                if let Some(calls) = tool_calls.as_ref().filter(|_| index == 0) {
                    choice["message"]["tool_calls"] = calls.clone();
                }
            }
            false => choice["text"] = json!(text),
        }
        choice
    };
    let choices: Vec<Value> = texts.into_iter().map(choice).collect();
    let object = if is_chat {
        "chat.completion"
    } else {
        "text_completion"
    };
    let whole = json!({ "object": object, "model": decoded.model, "choices": choices });
    Bytes::from(whole.to_string())
}

/// Puts changed texts back: the first piece of a text becomes the whole new one, later pieces nothing.
fn put_back(events: Vec<StreamEvent>, changed: &BTreeMap<u64, String>) -> Vec<StreamEvent> {
    let mut begun = BTreeSet::new();
    let put = |mut event: StreamEvent| {
        event.map_text_deltas(&mut |number, piece| {
            let text = changed.get(&number).filter(|_| !piece.is_empty())?;
            Some(match begun.insert(number) {
                true => text.clone(),
                false => String::new(),
            })
        });
        event.map_whole_texts(&mut |number, whole| {
            changed.get(&number).filter(|_| !whole.is_empty()).cloned()
        });
        event
    };
    events.into_iter().map(put).collect()
}

fn joined(events: &[StreamEvent]) -> Bytes {
    let bytes: Vec<Bytes> = events.iter().map(StreamEvent::to_bytes).collect();
    Bytes::from(bytes.concat())
}
