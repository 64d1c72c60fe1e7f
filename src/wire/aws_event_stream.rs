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

pub use self::encode::{EncodeError, encode, event, exception};
pub use self::header::{Header, HeaderValue};
use bytes::{Bytes, BytesMut};

/// The media type of such a stream.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// The longest frame the specification allows: 24 MiB of payload, 128 KiB of headers, 16 bytes around them.
pub const MAX_FRAME_BYTES: usize = (24 << 20) + (128 << 10) + OVERHEAD;

/// Bytes of the two lengths and their checksum.
const PRELUDE: usize = 12;
/// Bytes of the checksum at the end.
const TRAILER: usize = 4;
const OVERHEAD: usize = PRELUDE + TRAILER;

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
        if crc32fast::hash(&bytes[..8]) != crc {
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
            crc_holds: number(trailer, 0) == Some(crc32fast::hash(body)),
            headers: prelude.headers,
        }
    }

    /// Its headers in their order; `None` where they are not what they should be.
    pub fn headers(&self) -> Option<Vec<Header<'a>>> {
        self.each_header().collect()
    }

    /// The text of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.first_texts([name]).and_then(|[text]| text)
    }

    /// What kind of message it is. `None` where its headers are not what they should be.
    pub fn kind(&self) -> Option<FrameKind<'a>> {
        let names = [":message-type", ":event-type", ":exception-type"];
        let [message, event, exception] = self.first_texts(names)?;
        Some(FrameKind {
            message,
            event,
            exception,
        })
    }

    /// The texts of the first headers of these names, in one pass and with no list of them: this is asked of each frame.
    fn first_texts<const N: usize>(&self, names: [&str; N]) -> Option<[Option<&'a str>; N]> {
        let mut first = [None; N];
        for header in self.each_header() {
            let header = header?;
            for (name, first) in names.iter().zip(&mut first) {
                if *name == header.name && first.is_none() {
                    *first = Some(header.value);
                }
            }
        }
        Some(first.map(|value| match value? {
            HeaderValue::Text(text) => Some(text),
            _ => None,
        }))
    }

    fn each_header(&self) -> header::Headers<'a> {
        let end = PRELUDE + self.headers;
        header::Headers::new(self.raw.get(PRELUDE..end).unwrap_or_default())
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

/// What the headers of a frame say about its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameKind<'a> {
    /// `:message-type`: `event`, `exception` or `error`.
    pub message: Option<&'a str>,
    /// `:event-type`, of an event.
    pub event: Option<&'a str>,
    /// `:exception-type`, of an exception.
    pub exception: Option<&'a str>,
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

    /// Takes the next bytes and appends the frames that they complete to `out`. Frames that came whole share the
    /// chunk's memory.
    ///
    /// # Errors
    /// When the next frame's lengths say nothing that can be followed. Frames before it are in `out`; the decoder takes
    /// no more bytes then and says the same again.
    pub fn push(&mut self, mut chunk: Bytes, out: &mut Vec<RawFrame>) -> Result<(), FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if !self.pending.is_empty() {
            self.pending.extend_from_slice(&chunk);
            // A long frame in many chunks is not copied for each of them.
            chunk = match Prelude::read(&self.pending, self.max_frame_bytes) {
                Ok(prelude) if prelude.is_none_or(|next| self.pending.len() < next.total) => {
                    return Ok(());
                }
                _ => self.pending.split().freeze(),
            };
        }
        let drained = self.drain(&mut chunk, out);
        self.pending.extend_from_slice(&chunk);
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

    /// Takes the whole frames from the front of `bytes`.
    fn drain(&mut self, bytes: &mut Bytes, out: &mut Vec<RawFrame>) -> Result<(), FrameError> {
        while let Some(prelude) = Prelude::read(bytes, self.max_frame_bytes)? {
            if bytes.len() < prelude.total {
                break;
            }
            let raw = bytes.split_to(prelude.total);
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
