//! Answers that a response filter wants to see whole: collected within limits, filtered, and sent in one burst.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::access_log::guard::RecordGuard;
use crate::filter::{ChainRun, Delivery, Endpoint, LlmResponse, ResponseOutcome, StreamEvent};
use crate::pipeline::failure::Failure;
use crate::pipeline::filtering;
use crate::upstream::provider::Provider;
use crate::upstream::transport::{BodyFailure, UpstreamBody};
use crate::wire::sse::SseDecoder;

/// The status under which a stream's response is shown to filters: streams have no other.
const GOOD: u16 = 200;

/// Reads a body to its end, within the provider's time limits and `limit` bytes.
///
/// # Errors
/// [`Failure`] when it broke off, took too long or is too long.
pub async fn read(
    mut body: UpstreamBody,
    provider: &Provider,
    started: Instant,
    limit: usize,
) -> Result<Bytes, Failure> {
    let total = tokio::time::Instant::from_std(started + provider.timeouts.total);
    let mut read = BytesMut::new();
    loop {
        let until = total.min(tokio::time::Instant::now() + provider.timeouts.idle);
        match tokio::time::timeout_at(until, body.next()).await {
            Err(_) if total <= tokio::time::Instant::now() => return Err(Failure::UpstreamTimeout),
            Err(_) => return Err(Failure::UpstreamIdleTimeout),
            Ok(None) => return Ok(read.freeze()),
            Ok(Some(Err(BodyFailure::Truncated))) => return Err(Failure::UpstreamTruncated),
            Ok(Some(Err(BodyFailure::Io(_)))) => return Err(Failure::UpstreamDisconnected),
            Ok(Some(Err(error @ BodyFailure::Framing))) => {
                return Err(Failure::UpstreamProtocol {
                    detail: error.to_string(),
                });
            }
            Ok(Some(Ok(piece))) if limit < read.len() + piece.len() => {
                return Err(Failure::UpstreamBodyTooLarge);
            }
            Ok(Some(Ok(piece))) => read.extend_from_slice(&piece),
        }
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
    match run.response(&mut response, Delivery::Whole).await {
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

/// Passes a whole event stream through the response filters that buffer streams. They see it as one response;
/// what they make of its texts goes back into its events, each text whole in the first event that had a part of it.
///
/// # Errors
/// [`Failure`] when a filter refused or failed.
pub async fn filter_stream(
    run: &mut ChainRun,
    endpoint: Endpoint,
    stream: &Bytes,
    max_event_bytes: usize,
) -> Result<Bytes, Failure> {
    let events = events(endpoint, stream, max_event_bytes)?;
    let Some(whole) = as_one_response(endpoint, stream, &events) else {
        return Ok(stream.clone());
    };
    let mut response = LlmResponse::from_body(endpoint, GOOD, whole);
    let before = response.texts();
    match run.response(&mut response, Delivery::Streamed).await {
        ResponseOutcome::Stopped(stop) => Err(filtering::failure(stop)),
        ResponseOutcome::Continue => {
            let after = response.texts();
            match after == before {
                true => Ok(stream.clone()),
                false => put_back(events, &before, &after),
            }
        }
    }
}

/// The stream as the response that would have come without streaming, as far as filters look at it.
fn as_one_response(endpoint: Endpoint, stream: &Bytes, events: &[StreamEvent]) -> Option<Bytes> {
    if endpoint == Endpoint::Responses {
        let last = events
            .iter()
            .rev()
            .find_map(|event| event.get("response"))?;
        return Some(Bytes::copy_from_slice(last.as_bytes()));
    }
    let mut texts: BTreeMap<u64, String> = BTreeMap::new();
    for (choice, delta) in events.iter().flat_map(StreamEvent::text_delta) {
        texts.entry(choice).or_default().push_str(&delta);
    }
    let decoded = crate::wire::decode_stream(endpoint, stream);
    let tool_calls: Option<Value> = decoded
        .tool_calls
        .as_deref()
        .and_then(|calls| serde_json::from_str(calls).ok());
    let is_chat = endpoint != Endpoint::Completions;
    let choices: Vec<Value> = texts
        .into_iter()
        .map(|(index, text)| {
            let mut choice = json!({ "index": index, "finish_reason": decoded.finish_reason });
            match is_chat {
                true => {
                    choice["message"] = json!({ "role": "assistant", "content": text });
                    if let Some(calls) = tool_calls
                        .as_ref()
                        .filter(|calls| index == 0 && calls.is_array())
                    {
                        choice["message"]["tool_calls"] = calls.clone();
                    }
                }
                false => choice["text"] = json!(text),
            }
            choice
        })
        .collect();
    let object = if is_chat {
        "chat.completion"
    } else {
        "text_completion"
    };
    let whole = json!({ "object": object, "model": decoded.model, "choices": choices });
    Some(Bytes::from(whole.to_string()))
}

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
    decoder
        .finish(&mut raw)
        .map_err(|_| Failure::UpstreamEventTooLarge)?;
    Ok(raw
        .into_iter()
        .map(|event| StreamEvent::from_bytes(endpoint, event.raw))
        .collect())
}

/// Puts changed texts back: the first delta of a choice gets the whole new text, later ones nothing.
fn put_back(
    events: Vec<StreamEvent>,
    before: &[(u64, String)],
    after: &[(u64, String)],
) -> Result<Bytes, Failure> {
    let changed: Vec<(u64, &str)> = after
        .iter()
        .filter(|(choice, text)| {
            !before
                .iter()
                .any(|(known, old)| known == choice && old == text)
        })
        .map(|(choice, text)| (*choice, text.as_str()))
        .collect();
    let mut begun = Vec::new();
    let mut out = BytesMut::new();
    for mut event in events {
        for (choice, delta) in event.text_delta() {
            let Some((_, text)) = changed.iter().find(|(known, _)| *known == choice) else {
                continue;
            };
            if delta.is_empty() {
                continue;
            }
            let new = if begun.contains(&choice) { "" } else { text };
            begun.push(choice);
            event
                .set_text_delta(choice, new)
                .map_err(|_| Failure::Internal)?;
        }
        event.map_whole_texts(&mut |choice, _| {
            changed
                .iter()
                .find(|(known, _)| *known == choice)
                .map(|(_, text)| (*text).to_owned())
        });
        out.extend_from_slice(&event.to_bytes());
    }
    Ok(out.freeze())
}
