//! Bodies in one piece, their hashes, and the row of `exchange_bodies`.

use std::fmt::Write;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::masking::says;
use super::{Exchange, any_truncated};
use crate::access_log::draft::{Bodies, Captured, ChunkTime, Keep};
use crate::access_log::record::{LogRecord, Payload, StoredBody};
use crate::access_log::redact::Secrets;

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
            bytes: captured.joined(),
            size: Some(captured.size),
            truncated: captured.truncated,
        }
    }

    pub(super) fn is_present(&self) -> bool {
        self.size.is_some_and(|size| 0 < size)
    }

    /// Whether credentials in it were marked, which changed its length. Of a body that is cut this is not known.
    fn is_masked(&self) -> bool {
        !self.truncated
            && self
                .size
                .is_some_and(|size| size != self.bytes.len() as u64)
    }

    /// The body as it is stored; without its bytes where they say a secret that cannot be marked in them.
    fn stored(&self, captured: Option<&Captured>, says_secret: bool) -> Option<StoredBody> {
        let captured = captured?;
        let sha256 = match captured.sha256 {
            Some(sha256) => hex(&sha256),
            // Without the whole body there is no hash of it.
            None if captured.truncated => String::new(),
            None => hex(&Sha256::digest(&self.bytes)),
        };
        let size = i64::try_from(captured.size).unwrap_or(i64::MAX);
        let bytes = match says_secret {
            true => Bytes::new(),
            false => self.bytes.clone(),
        };
        Some(StoredBody {
            bytes,
            size,
            sha256,
        })
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
    /// Fills what is stored of the bodies and the word for it.
    pub(super) fn fill_payload(&self, record: &mut LogRecord, bodies: &Bodies, secrets: &Secrets) {
        let request_says = self.request_says(secrets);
        let answer_says = says(&self.answer, secrets);
        let upstream_says = self
            .upstream_answer
            .as_ref()
            .is_some_and(|answer| says(answer, secrets));
        let is_redacted = [
            &self.request,
            &self.upstream_request,
            &self.response,
            &self.upstream_response,
        ]
        .into_iter()
        .any(BodyBytes::is_masked);
        let state = match self.opened.keep {
            Keep::Full if request_says || answer_says || upstream_says || is_redacted => "redacted",
            Keep::Full if any_truncated(bodies) => "truncated",
            Keep::Full => "stored",
            Keep::Metadata => "metadata_only",
            Keep::Nothing => "off",
        };
        record.body_state = state.to_owned();
        if self.opened.keep != Keep::Full {
            return;
        }
        let stored = |body: &BodyBytes, captured: &Option<Captured>, says_secret| {
            body.stored(captured.as_ref(), says_secret)
        };
        record.payload = Some(Payload {
            request_headers: self.opened.request_headers.clone(),
            request_body: stored(&self.request, &bodies.request, request_says),
            upstream_request_body: stored(
                &self.upstream_request,
                &bodies.upstream_request,
                request_says,
            ),
            response_headers: self
                .closed
                .and_then(|closed| closed.response_headers.clone()),
            response_body: stored(&self.response, &bodies.response, answer_says),
            upstream_response_body: stored(
                &self.upstream_response,
                &bodies.upstream_response,
                upstream_says,
            ),
            chunk_times: self.closed.and_then(|closed| chunk_times(&closed.chunks)),
        });
    }
}
