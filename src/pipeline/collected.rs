//! Answers that a response filter wants to see whole: collected within limits, filtered, and sent in one burst.
//! Over 400 lines: each format of streams becomes one response and back here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::access_log::guard::RecordGuard;
use crate::filter::{
    ChainRun, Endpoint, LlmResponse, ResponseOutcome, StreamEvent, WholeStream, read_spelling,
};
use crate::pipeline::Worker;
use crate::pipeline::answer::Asked;
use crate::pipeline::events::dialect;
use crate::pipeline::failure::Failure;
use crate::pipeline::filtering;
use crate::pipeline::whole::broken;
use crate::upstream::provider::Provider;
use crate::upstream::transport::UpstreamBody;
use crate::wire::gemini::array;
use crate::wire::relay_scanner::{Piece, ScanOptions, Scanner, StreamEnd};
use crate::wire::sse::SseDecoder;

/// The status under which a stream's response is shown to filters: streams have no other.
const GOOD: u16 = 200;

/// Why a body could not be read whole, and what came of it.
pub struct Unread {
    /// Why.
    pub failure: Failure,
    /// What came.
    pub came: Bytes,
}

/// Reads a body to its end, within the provider's time limits and the longest body that is held.
///
/// # Errors
/// [`Unread`] when it broke off, took too long, is too long, or the server stops.
pub async fn read(
    mut body: UpstreamBody,
    provider: &Provider,
    started: Instant,
    worker: &Worker,
) -> Result<Bytes, Unread> {
    let limit = worker.settings.max_body_bytes;
    let total = tokio::time::Instant::from_std(started + provider.timeouts.total);
    let mut cutting = std::pin::pin!(worker.lifecycle.cutting());
    let mut read = BytesMut::new();
    let failure = loop {
        let until = total.min(tokio::time::Instant::now() + provider.timeouts.idle);
        let next = tokio::select! {
            biased;
            next = tokio::time::timeout_at(until, body.next()) => next,
            () = &mut cutting => break Failure::ShuttingDown,
        };
        match next {
            Err(_) if total <= tokio::time::Instant::now() => break Failure::UpstreamTimeout,
            Err(_) => break Failure::UpstreamIdleTimeout,
            Ok(None) => return Ok(read.freeze()),
            Ok(Some(Err(error))) => break broken(&error),
            Ok(Some(Ok(piece))) if limit < read.len() + piece.len() => {
                break Failure::UpstreamBodyTooLarge;
            }
            Ok(Some(Ok(piece))) => read.extend_from_slice(&piece),
        }
    };
    Err(Unread {
        failure,
        came: read.freeze(),
    })
}

/// A whole event stream, as a client would get it piece by piece.
pub struct Mended {
    /// Mended, and without the usage chunk that only we asked for.
    pub bytes: Bytes,
    /// Whether the upstream reported an error in it.
    pub has_error: bool,
    end: StreamEnd,
}

/// Mends a stream as the relay would, and puts on record what was done.
pub fn mend(stream: Bytes, asked: &Asked, repair: bool, guard: &mut RecordGuard) -> Mended {
    let mut scanner = Scanner::new(ScanOptions {
        dialect: dialect(asked.endpoint),
        strip_usage: asked.usage_asked,
        repair,
        max_event_bytes: usize::MAX,
    });
    let mut pieces = Vec::new();
    // Without a limit there is no event too large.
    scanner.push(stream, &mut pieces).ok();
    let end = scanner.finish(&mut pieces);
    let mut bytes = BytesMut::new();
    for piece in pieces {
        match piece {
            Piece::Send(kept) | Piece::Terminal(kept) => bytes.extend_from_slice(&kept),
            Piece::Stripped(data) => guard.usage_chunk(data),
        }
    }
    let repairs = scanner.facts().repairs.words();
    guard.closed_mut().repairs = repairs.map(str::to_owned).collect();
    Mended {
        bytes: bytes.freeze(),
        has_error: scanner.facts().saw_error_event,
        end,
    }
}

/// Passes a whole answer through the response filters.
///
/// # Errors
/// [`Failure`] when a filter refused or failed; the answer as it came is on record then.
pub async fn filter_whole(
    run: &mut ChainRun,
    endpoint: Endpoint,
    status: u16,
    body: Bytes,
    guard: &mut RecordGuard,
) -> Result<Bytes, Failure> {
    let mut response = LlmResponse::from_body(endpoint, status, body.clone());
    match run.response(&mut response).await {
        ResponseOutcome::Stopped(stop) => {
            guard.upstream_response_piece(body);
            Err(filtering::failure(stop))
        }
        ResponseOutcome::Continue => {
            let made = response.body().cloned().unwrap_or_default();
            if made != body {
                guard.upstream_response_piece(body);
            }
            Ok(made)
        }
    }
}

/// Passes a whole event stream through the filters of answers: those that buffer streams see it as one response,
/// the others event by event.
///
/// # Errors
/// [`Failure`] when the stream has no end, or a filter refused or failed.
pub async fn filter_stream(
    run: &mut ChainRun,
    endpoint: Endpoint,
    stream: &Mended,
    max_event_bytes: usize,
) -> Result<Bytes, Failure> {
    if stream.end == StreamEnd::Truncated {
        return Err(Failure::UpstreamTruncated);
    }
    let events = events(endpoint, &stream.bytes, max_event_bytes)?;
    let before = joined(&events);
    let made = run
        .whole_stream(events, &Folding { endpoint })
        .await
        .map_err(filtering::failure)?;
    let after = joined(&made);
    Ok(if after == before {
        stream.bytes.clone()
    } else {
        after
    })
}

/// Passes a stream that came as one array through the filters, as [`filter_stream`] does.
///
/// # Errors
/// As with [`filter_stream`]; what came is on record then.
pub async fn filter_array(
    run: &mut ChainRun,
    asked: &Asked,
    status: u16,
    body: Bytes,
    guard: &mut RecordGuard,
) -> Result<Bytes, Failure> {
    let Some(events) = array::to_events(&body) else {
        let mut end = array::ArrayEnd::default();
        end.see(&body);
        if end.is_open() {
            guard.upstream_response_piece(body);
            return Err(Failure::UpstreamTruncated);
        }
        return filter_whole(run, asked.endpoint, status, body, guard).await;
    };
    let stream = mend(events, asked, false, guard);
    let made = filter_stream(run, asked.endpoint, &stream, usize::MAX).await;
    match made {
        Ok(made) if made == stream.bytes => Ok(body),
        Ok(made) => {
            guard.upstream_response_piece(body);
            Ok(array::of_events(&made))
        }
        Err(failure) => {
            guard.upstream_response_piece(body);
            Err(failure)
        }
    }
}

fn joined(events: &[StreamEvent]) -> Bytes {
    let bytes: Vec<Bytes> = events.iter().map(StreamEvent::to_bytes).collect();
    Bytes::from(bytes.concat())
}

/// The events of a stream; what stands behind the last empty line counts as one too.
fn events(
    endpoint: Endpoint,
    stream: &Bytes,
    max_event_bytes: usize,
) -> Result<Vec<StreamEvent>, Failure> {
    let mut raw = Vec::new();
    let mut decoder = SseDecoder::new(max_event_bytes);
    decoder
        .push(stream, &mut raw)
        .map_err(|_| Failure::UpstreamEventTooLarge)?;
    let has_rest = decoder
        .finish(&mut raw)
        .map_err(|_| Failure::UpstreamEventTooLarge)?;
    let rest = has_rest.then(|| decoder.take_rest());
    let raw = raw.into_iter().map(|event| event.raw).chain(rest);
    Ok(raw
        .map(|raw| StreamEvent::from_bytes(endpoint, raw))
        .collect())
}

/// Streams as one response, and back. What filters make of its texts goes back into the events, each text whole in
/// the first event that had a part of it.
struct Folding {
    endpoint: Endpoint,
}

impl WholeStream for Folding {
    fn fold(&self, events: &[StreamEvent]) -> LlmResponse {
        let texts = texts(events);
        let whole = match self.endpoint {
            Endpoint::Responses => reported(events, &texts).unwrap_or_else(|| messages(&texts)),
            Endpoint::Messages => blocks(events, &texts),
            Endpoint::GenerateContent => candidates(events, &texts),
            endpoint => choices(endpoint, events, texts),
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

fn choices(endpoint: Endpoint, events: &[StreamEvent], texts: BTreeMap<u64, String>) -> Bytes {
    let decoded = crate::wire::decode_stream(endpoint, &joined(events));
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
