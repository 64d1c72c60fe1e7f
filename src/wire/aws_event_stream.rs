//! Frames of `application/vnd.amazon.eventstream`, in which Bedrock streams. Bytes in, frames out, whatever the chunks;
//! nothing here knows what a payload means, and nothing is repaired: a frame whose checksum does not hold is handed on
//! as it came and says so.
//!
//! A frame is a prelude (length of all, length of the headers, CRC-32 of these eight bytes), headers, payload, and the
//! CRC-32 of everything before; numbers are big-endian. Source: "Event stream encoding" in the documentation of Amazon
//! Transcribe and the Smithy specification "application/vnd.amazon.eventstream", read 2026-11.

mod encode;
mod header;

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use crc::{CRC_32_ISO_HDLC, Crc, Table};

pub use self::encode::{EncodeError, encode, event, exception};
pub use self::header::{Header, HeaderValue};

/// The media type of such a stream.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// The longest frame the specification allows: 24 MiB of payload, 128 KiB of headers, 16 bytes around them.
pub const MAX_FRAME_BYTES: usize = (24 << 20) + (128 << 10) + OVERHEAD;

/// Bytes of the two lengths and their checksum.
const PRELUDE: usize = 12;
/// Bytes of the checksum at the end.
const TRAILER: usize = 4;
const OVERHEAD: usize = PRELUDE + TRAILER;

/// IEEE CRC-32, as in zip files.
const CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

/// Why a stream cannot be cut into frames any further: nobody knows where the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The checksum of the lengths does not hold.
    #[error("the checksum of a frame's lengths does not hold")]
    PreludeCrc,
    /// The lengths contradict each other.
    #[error("the lengths of a frame contradict each other")]
    Lengths,
    /// The frame would be longer than the limit.
    #[error("frame longer than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

/// The lengths a frame begins with, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Prelude {
    total: usize,
    headers: usize,
}

impl Prelude {
    /// `None` when `bytes` is too short to tell.
    fn read(bytes: &[u8], limit: usize) -> Result<Option<Self>, FrameError> {
        let (Some(total), Some(headers), Some(crc)) =
            (number(bytes, 0), number(bytes, 4), number(bytes, 8))
        else {
            return Ok(None);
        };
        if CRC.checksum(&bytes[..8]) != crc {
            return Err(FrameError::PreludeCrc);
        }
        let length = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let (total, headers) = (length(total), length(headers));
        if total
            .checked_sub(OVERHEAD)
            .is_none_or(|rest| rest < headers)
        {
            return Err(FrameError::Lengths);
        }
        if limit < total {
            return Err(FrameError::TooLarge { limit });
        }
        Ok(Some(Self { total, headers }))
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let (four, _) = bytes.get(at..)?.split_first_chunk()?;
    Some(u32::from_be_bytes(*four))
}

/// One frame, seen over its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// All its bytes, both checksums included.
    pub raw: &'a [u8],
    /// Whether the checksum at its end holds. If not, any byte behind the lengths may be wrong.
    pub crc_holds: bool,
    headers: usize,
}

impl<'a> Frame<'a> {
    /// The frame that `raw` is, whose lengths were checked.
    fn new(raw: &'a [u8], prelude: Prelude) -> Self {
        let (body, trailer) = raw.split_at(raw.len().saturating_sub(TRAILER));
        Self {
            raw,
            crc_holds: number(trailer, 0) == Some(CRC.checksum(body)),
            headers: prelude.headers,
        }
    }

    /// Its headers in their order; `None` where they are not what they should be.
    pub fn headers(&self) -> Option<Vec<Header<'a>>> {
        header::read(self.raw.get(PRELUDE..PRELUDE + self.headers)?)
    }

    /// The text of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let headers = self.headers()?;
        let header = headers.into_iter().find(|header| header.name == name)?;
        match header.value {
            HeaderValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// `:message-type`: `event`, `exception` or `error`.
    pub fn message_type(&self) -> Option<&'a str> {
        self.header(":message-type")
    }

    /// `:event-type`, of an event.
    pub fn event_type(&self) -> Option<&'a str> {
        self.header(":event-type")
    }

    /// `:exception-type`, of an exception.
    pub fn exception_type(&self) -> Option<&'a str> {
        self.header(":exception-type")
    }

    /// `:content-type`, of the payload.
    pub fn content_type(&self) -> Option<&'a str> {
        self.header(":content-type")
    }

    /// Its payload.
    pub fn payload(&self) -> &'a [u8] {
        let end = self.raw.len().saturating_sub(TRAILER);
        self.raw.get(self.payload_start()..end).unwrap_or_default()
    }

    fn payload_start(&self) -> usize {
        PRELUDE + self.headers
    }
}

/// One frame of a stream with the bytes it stood in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFrame {
    /// Where it stands in the stream.
    pub range: Range<u64>,
    /// Its bytes.
    pub raw: Bytes,
    /// Whether the checksum at its end holds.
    pub crc_holds: bool,
    headers: usize,
}

impl RawFrame {
    /// The view of it.
    pub fn frame(&self) -> Frame<'_> {
        Frame {
            raw: &self.raw,
            crc_holds: self.crc_holds,
            headers: self.headers,
        }
    }

    /// Its payload, which shares the frame's memory.
    pub fn payload(&self) -> Bytes {
        self.raw.slice_ref(self.frame().payload())
    }
}

/// The frames of a whole body. It ends at the first byte that is no whole frame; [`Frames::rest`] has it from there.
pub fn frames(body: &[u8]) -> Frames<'_> {
    Frames { rest: body }
}

/// Iterator of [`frames`].
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    /// What came behind the last frame: empty after a whole stream.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let prelude = Prelude::read(self.rest, self.rest.len()).ok()??;
        let (raw, rest) = self.rest.split_at_checked(prelude.total)?;
        self.rest = rest;
        Some(Frame::new(raw, prelude))
    }
}

/// Cuts a stream into frames, however it was chunked. It holds at most one frame and the chunk it was given.
#[derive(Debug)]
pub struct Decoder {
    pending: BytesMut,
    offset: u64,
    max_frame_bytes: usize,
    failed: Option<FrameError>,
}

impl Decoder {
    /// For a stream from its first byte on.
    pub fn new(max_frame_bytes: usize) -> Self {
        Self {
            pending: BytesMut::new(),
            offset: 0,
            max_frame_bytes,
            failed: None,
        }
    }

    /// Takes the next bytes and appends the frames that they complete to `out`.
    ///
    /// # Errors
    /// When the next frame's lengths say nothing that can be followed. Frames before it are in `out`; the decoder takes
    /// no more bytes then and says the same again.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<RawFrame>) -> Result<(), FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.pending.extend_from_slice(chunk);
        let drained = self.drain(out);
        self.failed = drained.err();
        drained
    }

    /// Whether nothing stands behind the last whole frame.
    pub fn is_at_border(&self) -> bool {
        self.pending.is_empty()
    }

    /// What came behind the last whole frame, up to where decoding stopped; it is taken away.
    pub fn take_rest(&mut self) -> Bytes {
        let rest = self.pending.split().freeze();
        self.offset += rest.len() as u64;
        rest
    }

    fn drain(&mut self, out: &mut Vec<RawFrame>) -> Result<(), FrameError> {
        while let Some(prelude) = Prelude::read(&self.pending, self.max_frame_bytes)? {
            if self.pending.len() < prelude.total {
                break;
            }
            let raw = self.pending.split_to(prelude.total).freeze();
            let end = self.offset + raw.len() as u64;
            out.push(RawFrame {
                range: self.offset..end,
                crc_holds: Frame::new(&raw, prelude).crc_holds,
                headers: prelude.headers,
                raw,
            });
            self.offset = end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
