//! Reads exchanges back: from the place of an end record, or of a begin record that never got one.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::access_log::draft::{Bodies, BodyKind, Captured, Finished};
use crate::access_log::pages;
use crate::access_log::spool::Spool;
use crate::access_log::spool::disk::{SpoolFile, read_full_at};
use crate::access_log::spool::format::{HEAD_BYTES, Head, Position, RecordKind};
use crate::access_log::spool::payload::{
    BODY_KINDS, BadPayload, BeginPayload, EndPayload, PartAt, StoredBody, decode_part,
};
use crate::access_log::spool::segment::{Segment, SegmentPin};

/// An exchange read back.
#[derive(Debug)]
pub struct Loaded {
    /// The exchange, with its bodies in memory.
    pub finished: Finished,
    /// The files it stands in.
    pub pins: Vec<SegmentPin>,
}

/// Why an exchange cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file it stands in is gone, as files go whose exchanges are all committed.
    #[error("the spool file is gone")]
    Gone,
    /// What stands there is not what was written.
    #[error("the record is damaged")]
    Damaged,
    /// The disk cannot be read.
    #[error("the spool cannot be read")]
    Io(#[from] io::Error),
}

impl From<BadPayload> for LoadError {
    fn from(_: BadPayload) -> Self {
        Self::Damaged
    }
}

/// How a reader comes to its pins.
pub(super) type TakePin = fn(&Arc<Segment>) -> SegmentPin;

impl Spool {
    /// An exchange of this process that waits in the spool alone; its pins, left before, are taken up again.
    ///
    /// # Errors
    /// When its records cannot be read.
    pub fn load_waiting(&self, end: Position) -> Result<Loaded, LoadError> {
        self.load_ended(self.boot(), end, Segment::adopt)
    }

    /// The bodies of an exchange of this process that is still open, as far as they stand in the spool.
    ///
    /// # Errors
    /// When its records cannot be read.
    pub(crate) fn load_open(
        &self,
        begin: Position,
        parts: &[Position],
    ) -> Result<Bodies, LoadError> {
        let mut reader = Reader::new(self, self.boot(), Segment::adopt);
        Ok(reader.unended(begin, parts)?.bodies)
    }

    pub(super) fn load_ended(
        &self,
        boot: Uuid,
        end: Position,
        take_pin: TakePin,
    ) -> Result<Loaded, LoadError> {
        let mut reader = Reader::new(self, boot, take_pin);
        let finished = reader.ended(end);
        reader.done(finished)
    }

    pub(super) fn load_unended(
        &self,
        boot: Uuid,
        begin: Position,
        parts: &[Position],
        take_pin: TakePin,
    ) -> Result<Loaded, LoadError> {
        let mut reader = Reader::new(self, boot, take_pin);
        let finished = reader.unended(begin, parts);
        reader.done(finished)
    }

    /// Puts what of an exchange's bodies stands in the spool only in front of the pieces that stayed in memory:
    /// the request's body in the begin record, where it is there, and parts. The exchange is one of this process. Says
    /// in how many places it is damaged.
    #[must_use]
    pub fn read_bodies(
        &self,
        id: Uuid,
        bodies: &mut Bodies,
        begin: Option<Position>,
        parts: &[PartAt],
    ) -> u64 {
        let mut damaged = 0;
        let mut reader = Reader::new(self, self.boot(), Segment::adopt);
        if let Some(begin) = begin
            && let Some(body) = &mut bodies.request
        {
            let piece = reader.begun(begin, id);
            if (piece.len() as u64) < body.begun_bytes {
                damaged += 1;
                body.truncated = true;
            }
            body.pieces.insert(0, piece);
            body.begun_bytes = 0;
        }
        let places: Vec<Position> = parts.iter().map(|part| part.at).collect();
        let found = reader.parts(&places, id);
        for kind in BODY_KINDS {
            let Some(body) = body_mut(bodies, kind) else {
                continue;
            };
            let pieces = pieces_of(&found, kind);
            let len = pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
            if len < body.spilled_bytes {
                damaged += 1;
                *body = Captured {
                    pieces,
                    spilled_bytes: 0,
                    truncated: true,
                    ..body.clone()
                };
            } else {
                body.pieces.splice(0..0, pieces);
                body.spilled_bytes = 0;
            }
            // Whoever needs it in one piece would hold it twice.
            body.pieces = vec![body.joined()];
        }
        damaged
    }
}

/// Reads records of one process, and collects a pin for each file it meets.
struct Reader<'a> {
    spool: &'a Spool,
    boot: Uuid,
    take_pin: TakePin,
    pins: Vec<SegmentPin>,
}

impl<'a> Reader<'a> {
    fn new(spool: &'a Spool, boot: Uuid, take_pin: TakePin) -> Self {
        Self {
            spool,
            boot,
            take_pin,
            pins: Vec::new(),
        }
    }

    fn record(
        &mut self,
        at: Position,
        kind: RecordKind,
        id: Option<Uuid>,
    ) -> Result<(Head, Bytes), LoadError> {
        let segment = self
            .spool
            .segment(self.boot, at.segment)
            .ok_or(LoadError::Gone)?;
        if !self.pins.iter().any(|pin| pin.is_of(&segment)) {
            self.pins.push((self.take_pin)(&segment));
        }
        let (head, payload) = read_payload(
            segment.file(),
            segment.salt,
            u64::from(at.offset),
            segment.len(),
        )?;
        if head.kind != kind || id.is_some_and(|id| id != head.id) {
            return Err(LoadError::Damaged);
        }
        Ok((head, payload))
    }

    /// The bytes of the request's body in the begin record; none when it cannot be read.
    fn begun(&mut self, begin: Position, id: Uuid) -> Bytes {
        self.record(begin, RecordKind::Begin, Some(id))
            .and_then(|(_, payload)| Ok(BeginPayload::decode(payload)?))
            .ok()
            .and_then(|begin| begin.request)
            .map(|body| body.inline)
            .unwrap_or_default()
    }

    /// The exchange with its pins. One that cannot be read gives up its pins, and damaged files are marked.
    fn done(self, finished: Result<Finished, LoadError>) -> Result<Loaded, LoadError> {
        match finished {
            Ok(finished) => Ok(Loaded {
                finished,
                pins: self.pins,
            }),
            Err(error) => {
                for pin in self.pins {
                    if !matches!(error, LoadError::Gone) {
                        pin.mark_damaged();
                    }
                    pin.release();
                }
                Err(error)
            }
        }
    }

    fn ended(&mut self, end: Position) -> Result<Finished, LoadError> {
        let (head, payload) = self.record(end, RecordKind::End, None)?;
        let end = EndPayload::decode(payload)?;
        let (_, payload) = self.record(end.begin, RecordKind::Begin, Some(head.id))?;
        let begin = BeginPayload::decode(payload)?;
        let parts: Vec<Position> = end.parts.iter().map(|part| part.at).collect();
        let parts = self.parts(&parts, head.id);
        let first = begin.request.map(|body| body.inline).unwrap_or_default();
        let [request, upstream_request, response, upstream_response] = end.bodies;
        let whole =
            |body: Option<StoredBody>, kind| body.map(|body| assemble(body, &first, kind, &parts));
        let bodies = Bodies {
            request: whole(request, BodyKind::Request),
            upstream_request: whole(upstream_request, BodyKind::UpstreamRequest),
            response: whole(response, BodyKind::Response),
            upstream_response: whole(upstream_response, BodyKind::UpstreamResponse),
        };
        Ok(Finished {
            opened: begin.opened,
            closed: Some(end.closed),
            bodies,
        })
    }

    /// An exchange without an end: what was found of it.
    fn unended(&mut self, begin: Position, parts: &[Position]) -> Result<Finished, LoadError> {
        let (head, payload) = self.record(begin, RecordKind::Begin, None)?;
        let begin = BeginPayload::decode(payload)?;
        let parts = self.parts(parts, head.id);
        let mut bodies = Bodies::default();
        for kind in BODY_KINDS {
            let slot = body_mut(&mut bodies, kind);
            let pieces = pieces_of(&parts, kind);
            let stored = begin.request.clone().filter(|_| kind == BodyKind::Request);
            *slot = match stored {
                Some(body) => {
                    let first = body.inline.clone(); // reference-counted
                    let body = StoredBody {
                        from_begin: first.len() as u64,
                        inline: Bytes::new(),
                        ..body
                    };
                    Some(assemble(body, &first, kind, &[]))
                }
                None if pieces.is_empty() => None,
                None => Some(cut_body(pieces)),
            };
        }
        Ok(Finished {
            opened: begin.opened,
            closed: None,
            bodies,
        })
    }

    /// The parts up to the first that cannot be read.
    fn parts(&mut self, places: &[Position], id: Uuid) -> Vec<(BodyKind, Bytes)> {
        let mut parts = Vec::with_capacity(places.len());
        for place in places {
            let part = self.record(*place, RecordKind::Part, Some(id));
            match part.and_then(|(_, payload)| Ok(decode_part(payload)?)) {
                Ok(part) => parts.push(part),
                Err(_) => break,
            }
        }
        parts
    }
}

/// Reads one record and checks all of it. `end` is where the file's records end.
pub(super) fn read_payload(
    file: &dyn SpoolFile,
    salt: u32,
    offset: u64,
    end: u64,
) -> Result<(Head, Bytes), LoadError> {
    let mut head = [0; HEAD_BYTES];
    let read = read_full_at(file, &mut head, offset)?;
    let head = head
        .get(..read)
        .and_then(|head| Head::from_bytes(head, salt, offset));
    let head = head
        .filter(|head| offset + head.record_len() <= end)
        .ok_or(LoadError::Damaged)?;
    let (payload, read) = pages::filled(head.payload_len as usize, |payload| {
        read_full_at(file, payload, offset + HEAD_BYTES as u64)
    });
    if read? < payload.len() || crc32c::crc32c_append(salt, &payload) != head.payload_crc {
        return Err(LoadError::Damaged);
    }
    Ok((head, payload))
}

/// A body whole again: from the begin record, from parts, from the end record, in this order.
fn assemble(
    body: StoredBody,
    first: &Bytes,
    kind: BodyKind,
    parts: &[(BodyKind, Bytes)],
) -> Captured {
    let from_begin = usize::try_from(body.from_begin)
        .unwrap_or(usize::MAX)
        .min(first.len());
    let mut pieces = vec![first.slice(..from_begin)];
    pieces.extend(pieces_of(parts, kind));
    let found = pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
    let missing = found < body.from_begin + body.spilled;
    if !missing {
        pieces.push(body.inline);
    }
    pieces.retain(|piece| !piece.is_empty());
    Captured {
        pieces,
        begun_bytes: 0,
        spilled_bytes: 0,
        size: body.size,
        sha256: body.sha256,
        truncated: body.truncated || missing,
    }
}

/// What a crash left of a body.
fn cut_body(pieces: Vec<Bytes>) -> Captured {
    let size = pieces.iter().map(|piece| piece.len() as u64).sum();
    Captured {
        pieces,
        begun_bytes: 0,
        spilled_bytes: 0,
        size,
        sha256: None,
        truncated: true,
    }
}

fn pieces_of(parts: &[(BodyKind, Bytes)], kind: BodyKind) -> Vec<Bytes> {
    parts
        .iter()
        .filter(|(of, _)| *of == kind)
        .map(|(_, piece)| piece.clone())
        .collect()
}

/// The body of a kind.
pub(crate) fn body_mut(bodies: &mut Bodies, kind: BodyKind) -> &mut Option<Captured> {
    match kind {
        BodyKind::Request => &mut bodies.request,
        BodyKind::UpstreamRequest => &mut bodies.upstream_request,
        BodyKind::Response => &mut bodies.response,
        BodyKind::UpstreamResponse => &mut bodies.upstream_response,
    }
}
