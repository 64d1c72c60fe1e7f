//! Events of Bedrock's streams as JSON texts, and back into frames. An event of `converse-stream` is an object of one
//! member, its type with its payload, as AWS's own clients show it; a chunk of `invoke-with-response-stream` is what the
//! model's maker sends; an exception, in either, is an object of one member too.

use aiproxy_filters::Endpoint;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::wire::aws_event_stream::{self, Frame, Header, HeaderValue};
use crate::wire::json_reader::Reader;
use crate::wire::sse;

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventText {
    /// This, which is a JSON object.
    Json(String),
    /// Nothing that can be relied on: its checksum does not hold, or it is of no known shape.
    Unreadable,
}

impl EventText {
    /// The text, where there is one.
    pub fn into_text(self) -> Option<String> {
        match self {
            Self::Json(text) => Some(text),
            Self::Unreadable => None,
        }
    }
}

/// Reads a frame.
pub fn text_of(frame: &Frame<'_>) -> EventText {
    read(frame).map_or(EventText::Unreadable, EventText::Json)
}

fn read(frame: &Frame<'_>) -> Option<String> {
    if !frame.crc_holds {
        return None;
    }
    let payload = std::str::from_utf8(frame.payload()).ok()?;
    let of_kind = |kind: &str| {
        let payload = payload.trim();
        let payload = if payload.is_empty() { "{}" } else { payload };
        is_object(payload).then(|| format!("{{\"{kind}\":{payload}}}"))
    };
    let kind = frame.kind()?;
    match kind.message? {
        "event" => match kind.event? {
            "chunk" => chunk(payload),
            kind => of_kind(kind),
        },
        "exception" => of_kind(kind.exception?),
        "error" => {
            let message = frame.header(":error-message").unwrap_or_default();
            Some(json!({ "internalServerException": { "message": message } }).to_string())
        }
        _ => None,
    }
}

/// The JSON in the `bytes` of a chunk.
fn chunk(payload: &str) -> Option<String> {
    let mut bytes = None;
    Reader::new(payload)
        .object(|key, reader| {
            match key.raw {
                "bytes" => bytes = reader.string()?,
                _ => reader.skip()?,
            }
            Ok(())
        })
        .ok()?;
    let text = String::from_utf8(STANDARD.decode(bytes?.raw).ok()?).ok()?;
    is_object(&text).then_some(text)
}

fn is_object(text: &str) -> bool {
    let mut reader = Reader::new(text);
    let read = reader.object(|_, reader| reader.skip());
    read == Ok(true) && reader.end().is_ok()
}

/// The frame of an event, as this API sends it. `None` for what is no event, or too long for a frame.
pub fn frame_of(endpoint: Endpoint, text: &str) -> Option<Vec<u8>> {
    let member = only_member(text);
    let (message, name, kind, payload) = match member {
        Some((kind, payload)) if kind.ends_with("Exception") => {
            ("exception", ":exception-type", kind, payload.to_owned())
        }
        Some((kind, payload)) if endpoint == Endpoint::BedrockConverse => {
            ("event", ":event-type", kind, payload.to_owned())
        }
        _ if endpoint == Endpoint::BedrockConverse || !is_object(text) => return None,
        _ => {
            let payload = format!("{{\"bytes\":\"{}\"}}", STANDARD.encode(text));
            ("event", ":event-type", "chunk", payload)
        }
    };
    let header = |name, text| Header {
        name,
        value: HeaderValue::Text(text),
    };
    let headers = [
        header(name, kind),
        header(":content-type", "application/json"),
        header(":message-type", message),
    ];
    aws_event_stream::encode(&headers, payload.as_bytes()).ok()
}

/// The frames of an event stream; what has no data has none. `None` when an event is none of this API's.
pub fn frames_of(endpoint: Endpoint, events: &[u8]) -> Option<Vec<u8>> {
    let mut frames = Some(Vec::new());
    sse::each_text(events, |_, data| {
        if !data.is_empty() {
            match (&mut frames, frame_of(endpoint, data)) {
                (Some(frames), Some(frame)) => frames.extend_from_slice(&frame),
                _ => frames = None,
            }
        }
    });
    frames
}

/// The key and the value of an object that has no more.
fn only_member(text: &str) -> Option<(&str, &str)> {
    let mut members = Vec::new();
    let mut reader = Reader::new(text);
    reader
        .object(|key, reader| {
            members.push((key.raw, reader.raw()?));
            Ok(())
        })
        .ok()?;
    reader.end().ok()?;
    match members.as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}
