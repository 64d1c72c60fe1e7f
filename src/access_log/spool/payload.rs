//! What stands in a record: metas as JSON, body bytes as they are, positions and sizes in little-endian binary.

mod decode;

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::access_log::draft::{Bodies, BodyKind, Captured, Closed, Opened};
use crate::access_log::spool::format::{HEAD_BYTES, Position};

/// Body bytes up to this many are copied beside the meta, so that the record is one `write(2)`; longer ones are
/// written from where they are.
const COPIED_BYTES: usize = 256 * 1024;
/// Capacity that a buffer keeps between records.
const KEPT_BYTES: usize = 320 * 1024;

/// Stands for the length of a text that is not there.
const NO_TEXT: u32 = u32::MAX;

/// The four bodies, in the order in which an end record holds them.
pub(super) const BODY_KINDS: [BodyKind; 4] = [
    BodyKind::Request,
    BodyKind::UpstreamRequest,
    BodyKind::Response,
    BodyKind::UpstreamResponse,
];

pub(super) use decode::decode_part;

/// A piece of a body that stands in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartAt {
    /// Whose piece it is.
    pub kind: BodyKind,
    /// Where its record stands.
    pub at: Position,
}

/// A record being made: reused from one to the next, so that the usual exchange allocates nothing.
#[derive(Debug, Default)]
pub struct RecordBuffer {
    /// Room for the head, then the payload's beginning.
    pub(super) bytes: Vec<u8>,
    /// The payload's rest.
    pub(super) tail: Vec<Bytes>,
}

/// A payload that cannot be read: damaged, or written by another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a payload of the spool cannot be read")]
pub struct BadPayload;

/// What a begin record holds.
#[derive(Debug, Clone)]
pub struct BeginPayload {
    /// The first half.
    pub opened: Opened,
    /// The request's body, as far as it was read by then.
    pub request: Option<StoredBody>,
}

/// What an end record holds.
#[derive(Debug, Clone)]
pub struct EndPayload {
    /// The second half.
    pub closed: Closed,
    /// Where the exchange's begin record stands.
    pub begin: Position,
    /// Where its parts stand, in order.
    pub parts: Vec<PartAt>,
    /// In the order of `BODY_KINDS`.
    pub(super) bodies: [Option<StoredBody>; 4],
}

/// A body in a record: what is known of it, and those bytes that stand in this very record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredBody {
    /// True size of the body.
    pub size: u64,
    /// Bytes in part records.
    pub spilled: u64,
    /// Bytes in the begin record.
    pub from_begin: u64,
    /// Hash of the whole body.
    pub sha256: Option<[u8; 32]>,
    /// Whether bytes are missing at the end.
    pub truncated: bool,
    /// Bytes in this record.
    pub inline: Bytes,
}

/// What a gap record holds: what an earlier run could not keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapPayload {
    /// Exchanges dropped since the process started.
    pub dropped: u64,
}

// === impl RecordBuffer ===

impl RecordBuffer {
    /// Makes a begin record; returns how many body bytes stand in it.
    pub fn begin(
        &mut self,
        opened: &Opened,
        request: Option<&Captured>,
    ) -> Result<u64, serde_json::Error> {
        self.start();
        self.put_json(opened)?;
        self.put_text(opened.request_headers.as_deref());
        self.put_body_meta(request, 0);
        self.put_bodies(&[(request, 0)]);
        Ok(request.map_or(0, memory_bytes))
    }

    /// Makes a part record.
    pub fn part(&mut self, kind: BodyKind, pieces: &[Bytes]) {
        self.start();
        self.bytes.push(body_code(kind));
        let len = pieces.iter().map(Bytes::len).sum::<usize>();
        for piece in pieces {
            self.put_bytes(piece, len);
        }
    }

    /// Makes an end record. `begin_bytes` of the request's body stand in the begin record already.
    pub fn end(
        &mut self,
        closed: &Closed,
        bodies: &Bodies,
        begin: Position,
        begin_bytes: u64,
        parts: &[PartAt],
    ) -> Result<(), serde_json::Error> {
        self.start();
        self.put_json(&*finite(closed))?;
        self.put_text(closed.response_headers.as_deref());
        self.put_position(begin);
        self.bytes
            .extend_from_slice(&(parts.len() as u32).to_le_bytes());
        for part in parts {
            self.bytes.push(body_code(part.kind));
            self.put_position(part.at);
        }
        let in_begin = bodies.request.as_ref().map_or(0, |body| {
            if 0 < body.begun_bytes {
                body.begun_bytes
            } else if memory_bytes(body) < begin_bytes {
                0
            } else {
                begin_bytes
            }
        });
        let bodies = [
            (bodies.request.as_ref(), in_begin),
            (bodies.upstream_request.as_ref(), 0),
            (bodies.response.as_ref(), 0),
            (bodies.upstream_response.as_ref(), 0),
        ];
        for (body, in_begin) in bodies {
            self.put_body_meta(body, in_begin);
        }
        self.put_bodies(&bodies);
        Ok(())
    }

    /// Makes a gap record.
    pub fn gap(&mut self, gap: &GapPayload) -> Result<(), serde_json::Error> {
        self.start();
        self.put_json(gap)
    }

    /// A checksum of what the record says, wherever it will stand.
    pub fn fingerprint(&self) -> u32 {
        self.payload_crc(0)
    }

    pub(super) fn payload_crc(&self, salt: u32) -> u32 {
        let said = self.bytes.get(HEAD_BYTES..).unwrap_or_default();
        let crc = crc32c::crc32c_append(salt, said);
        self.tail
            .iter()
            .fold(crc, |crc, piece| crc32c::crc32c_append(crc, piece))
    }

    pub(super) fn record_len(&self) -> u64 {
        self.bytes.len() as u64
            + self
                .tail
                .iter()
                .map(|piece| piece.len() as u64)
                .sum::<u64>()
    }

    /// Lets go of body bytes and of an unusually large buffer.
    pub(super) fn reset(&mut self) {
        self.tail.clear();
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
    }

    fn start(&mut self) {
        self.reset();
        self.bytes.resize(HEAD_BYTES, 0);
    }

    fn put_json(&mut self, value: &impl Serialize) -> Result<(), serde_json::Error> {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        serde_json::to_writer(&mut self.bytes, value)?;
        let len = (self.bytes.len() - at - 4) as u32;
        if let Some(prefix) = self.bytes.get_mut(at..at + 4) {
            prefix.copy_from_slice(&len.to_le_bytes());
        }
        Ok(())
    }

    /// A text that is JSON already: escaping it into another JSON would cost more than all the rest.
    fn put_text(&mut self, text: Option<&str>) {
        let len = text.map_or(NO_TEXT, |text| text.len() as u32);
        self.bytes.extend_from_slice(&len.to_le_bytes());
        self.bytes
            .extend_from_slice(text.unwrap_or_default().as_bytes());
    }

    fn put_position(&mut self, position: Position) {
        self.bytes
            .extend_from_slice(&position.segment.to_le_bytes());
        self.bytes.extend_from_slice(&position.offset.to_le_bytes());
    }

    fn put_body_meta(&mut self, body: Option<&Captured>, in_begin: u64) {
        let Some(body) = body else {
            return self.bytes.push(0);
        };
        let flags = 1 | u8::from(body.truncated) << 1 | u8::from(body.sha256.is_some()) << 2;
        self.bytes.push(flags);
        let inline = memory_bytes(body).saturating_sub(in_begin);
        for number in [body.size, body.spilled_bytes, in_begin, inline] {
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
        self.bytes
            .extend_from_slice(body.sha256.as_ref().map_or(&[], |hash| hash.as_slice()));
    }

    fn put_bodies(&mut self, bodies: &[(Option<&Captured>, u64)]) {
        let given = || {
            bodies
                .iter()
                .filter_map(|(body, skip)| Some(((*body)?, *skip)))
        };
        let inline = given()
            .map(|(body, skip)| memory_bytes(body).saturating_sub(skip))
            .sum::<u64>();
        for (body, skip) in given() {
            let mut skip = usize::try_from(skip).unwrap_or(usize::MAX);
            for piece in &body.pieces {
                let from = skip.min(piece.len());
                skip -= from;
                self.put_bytes(
                    &piece.slice(from..),
                    usize::try_from(inline).unwrap_or(usize::MAX),
                );
            }
        }
    }

    fn put_bytes(&mut self, piece: &Bytes, of_all: usize) {
        if of_all <= COPIED_BYTES {
            self.bytes.extend_from_slice(piece);
        } else if !piece.is_empty() {
            self.tail.push(piece.clone());
        }
    }
}

/// Bytes of a body that are in memory.
pub(super) fn memory_bytes(body: &Captured) -> u64 {
    body.pieces.iter().map(|piece| piece.len() as u64).sum()
}

/// JSON has no infinities: a duration that is no number becomes 0.
fn finite(closed: &Closed) -> Cow<'_, Closed> {
    let fine = closed.times.duration_ms.is_finite()
        && closed
            .tries
            .iter()
            .all(|attempt| attempt.duration_ms.is_finite());
    if fine {
        return Cow::Borrowed(closed);
    }
    let mut closed = closed.clone();
    let durations = closed
        .tries
        .iter_mut()
        .map(|attempt| &mut attempt.duration_ms);
    for duration in durations.chain([&mut closed.times.duration_ms]) {
        *duration = if duration.is_finite() { *duration } else { 0.0 };
    }
    Cow::Owned(closed)
}

fn body_code(kind: BodyKind) -> u8 {
    match kind {
        BodyKind::Request => 0,
        BodyKind::UpstreamRequest => 1,
        BodyKind::Response => 2,
        BodyKind::UpstreamResponse => 3,
    }
}
