//! Writes frames: those of our own errors, and the mock's.

use super::OVERHEAD;
use super::header::{self, Header, HeaderValue};

/// What cannot be said in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A header has no name, or its name or value is longer than its length field can say.
    #[error("header {index} is empty or too long for a frame")]
    Header {
        /// Which one.
        index: usize,
    },
    /// All of it is longer than 4 GiB.
    #[error("too long for a frame")]
    TooLong,
}

/// One frame of these headers and this payload.
///
/// # Errors
/// When the lengths of the format cannot say it.
pub fn encode(headers: &[Header<'_>], payload: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let mut written = Vec::new();
    for (index, header) in headers.iter().enumerate() {
        header::write(&mut written, header).ok_or(EncodeError::Header { index })?;
    }
    let total = OVERHEAD + written.len() + payload.len();
    let length = |length: usize| u32::try_from(length).map_err(|_| EncodeError::TooLong);
    let mut frame = Vec::with_capacity(total);
    frame.extend_from_slice(&length(total)?.to_be_bytes());
    frame.extend_from_slice(&length(written.len())?.to_be_bytes());
    let crc = crc32fast::hash(&frame);
    frame.extend_from_slice(&crc.to_be_bytes());
    frame.extend_from_slice(&written);
    frame.extend_from_slice(payload);
    let crc = crc32fast::hash(&frame);
    frame.extend_from_slice(&crc.to_be_bytes());
    Ok(frame)
}

/// A frame of an event with a JSON payload. Empty where the payload is longer than a frame can be.
pub fn event(event_type: &'static str, payload: &[u8]) -> Vec<u8> {
    json_frame("event", ":event-type", event_type, payload)
}

/// A frame of an exception with a JSON payload. Empty where the payload is longer than a frame can be.
pub fn exception(exception_type: &'static str, payload: &[u8]) -> Vec<u8> {
    json_frame("exception", ":exception-type", exception_type, payload)
}

/// With the headers in the order in which Bedrock sends them.
fn json_frame(message: &str, name: &str, kind: &'static str, payload: &[u8]) -> Vec<u8> {
    let header = |name, text| Header {
        name,
        value: HeaderValue::Text(text),
    };
    let headers = [
        header(name, kind),
        header(":content-type", "application/json"),
        header(":message-type", message),
    ];
    encode(&headers, payload).unwrap_or_default()
}
