//! Bodies in one piece, their hashes, and the row of `exchange_bodies`.

use std::fmt::Write;

use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

use super::{Exchange, any_truncated};
use crate::access_log::draft::{Bodies, Captured, ChunkTime, Keep};
use crate::access_log::record::{LogRecord, Payload, StoredBody};

/// What was captured of a body, in one piece.
#[derive(Debug, Default)]
pub(super) struct BodyBytes {
    pub(super) bytes: Bytes,
    /// True size in bytes; `None` when there was no body.
    pub(super) size: Option<u64>,
    /// Whether bytes are missing at the end.
    pub(super) truncated: bool,
}

impl BodyBytes {
    pub(super) fn of(captured: Option<&Captured>) -> Self {
        let Some(captured) = captured else {
            return Self::default();
        };
        Self {
            bytes: joined(&captured.pieces),
            size: Some(captured.size),
            truncated: captured.truncated,
        }
    }

    pub(super) fn is_present(&self) -> bool {
        self.size.is_some_and(|size| 0 < size)
    }

    fn stored(&self, captured: Option<&Captured>) -> Option<StoredBody> {
        let captured = captured?;
        let sha256 = match captured.sha256 {
            Some(sha256) => hex(&sha256),
            // Without the whole body there is no hash of it.
            None if captured.truncated => String::new(),
            None => hex(&Sha256::digest(&self.bytes)),
        };
        let size = i64::try_from(captured.size).unwrap_or(i64::MAX);
        Some(StoredBody {
            bytes: self.bytes.clone(),
            size,
            sha256,
        })
    }
}

fn joined(pieces: &[Bytes]) -> Bytes {
    match pieces {
        [] => Bytes::new(),
        [one] => one.clone(),
        many => {
            let mut joined = BytesMut::with_capacity(many.iter().map(Bytes::len).sum());
            many.iter()
                .for_each(|piece| joined.extend_from_slice(piece));
            joined.freeze()
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// `offset,length,microseconds` of each piece, joined by `;`. `None` without pieces.
fn chunk_times(chunks: &[ChunkTime]) -> Option<String> {
    let mut text = String::with_capacity(chunks.len() * 20);
    for chunk in chunks {
        if !text.is_empty() {
            text.push(';');
        }
        // Writing to a String cannot fail.
        write!(text, "{},{},{}", chunk.offset, chunk.length, chunk.at_us).ok()?;
    }
    (!text.is_empty()).then_some(text)
}

impl Exchange<'_> {
    pub(super) fn fill_payload(&self, record: &mut LogRecord, bodies: &Bodies) {
        let state = match self.opened.keep {
            Keep::Full if any_truncated(bodies) => "truncated",
            Keep::Full => "stored",
            Keep::Metadata => "metadata_only",
            Keep::Nothing => "off",
        };
        record.body_state = state.to_owned();
        if self.opened.keep != Keep::Full {
            return;
        }
        record.payload = Some(Payload {
            request_headers: self.opened.request_headers.clone(),
            request_body: self.request.stored(bodies.request.as_ref()),
            upstream_request_body: self
                .upstream_request
                .stored(bodies.upstream_request.as_ref()),
            response_headers: self
                .closed
                .and_then(|closed| closed.response_headers.clone()),
            response_body: self.response.stored(bodies.response.as_ref()),
            upstream_response_body: self
                .upstream_response
                .stored(bodies.upstream_response.as_ref()),
            chunk_times: self.closed.and_then(|closed| chunk_times(&closed.chunks)),
        });
    }
}
