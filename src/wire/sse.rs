//! Server-sent events, by the rules of the WHATWG (HTML, section 9.2): lines end in LF, CRLF or a lone CR, an empty
//! line ends an event, comments are ignored, `data` lines add up. Bytes in, events out; nothing here knows JSON.
//! Event names and data are bytes: whether they are UTF-8 is the reader's affair.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr2;

pub(crate) const BOM: &[u8] = b"\xef\xbb\xbf";

/// An event without a dispatch: its fields as they stand between two empty lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields<'a> {
    /// The last `event:` line.
    pub name: Option<&'a [u8]>,
    /// The last `id:` line.
    pub id: Option<&'a [u8]>,
    /// All `data:` lines joined by LF; `None` without such a line: then no client sees an event.
    pub data: Option<Cow<'a, [u8]>>,
    /// Number of `data:` lines.
    pub data_lines: u32,
}

/// The fields of one event, given its bytes with or without the empty line at the end.
pub fn fields(event: &[u8]) -> Fields<'_> {
    let mut fields = Fields::default();
    for line in lines(event) {
        if let Some(value) = field(line, b"data") {
            fields.data_lines += 1;
            fields.data = Some(match fields.data.take() {
                None => Cow::Borrowed(value),
                Some(before) => {
                    let mut joined = before.into_owned();
                    joined.push(b'\n');
                    joined.extend_from_slice(value);
                    Cow::Owned(joined)
                }
            });
        } else if let Some(value) = field(line, b"event") {
            fields.name = Some(value);
        } else if let Some(value) = field(line, b"id") {
            fields.id = Some(value);
        }
    }
    fields
}

/// The lines of `bytes`, their ends left out; a last line without an end is one too.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(end) = memchr2(b'\n', b'\r', rest) else {
            return Some(std::mem::take(&mut rest));
        };
        let line = &rest[..end];
        let crlf = rest[end] == b'\r' && rest.get(end + 1) == Some(&b'\n');
        rest = &rest[end + 1 + usize::from(crlf)..];
        Some(line)
    })
}

/// The value of a line if its field is `name`: after the colon, less one space.
pub(crate) fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(name)? {
        [] => Some(b""),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

/// Looks for the empty line that ends an event, chunk by chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BorderFinder {
    /// Nothing stands on the current line yet.
    line_start: bool,
    /// The byte before was a CR that ended a line which was not empty: an LF may follow.
    after_cr: bool,
    /// Lines of the event that ended so far, the empty one left out.
    lines: u32,
}

/// An event's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventEnd {
    /// Index just after the empty line, with the LF of its CRLF if that is there.
    pub(crate) at: usize,
    /// Number of lines before the empty one, over all chunks.
    pub(crate) lines: u32,
}

impl BorderFinder {
    pub(crate) const START: Self = Self {
        line_start: true,
        after_cr: false,
        lines: 0,
    };

    /// The end of the event, if it is in `bytes`; the finder is then at `START` again.
    #[inline]
    pub(crate) fn event_end(&mut self, bytes: &[u8]) -> Option<EventEnd> {
        let mut at = 0;
        if self.after_cr && !bytes.is_empty() {
            at = usize::from(bytes[0] == b'\n');
            self.after_cr = false;
        }
        loop {
            if self.line_start {
                match bytes.get(at)? {
                    b'\n' => return self.found(at + 1),
                    b'\r' => {
                        let crlf = bytes.get(at + 1) == Some(&b'\n');
                        return self.found(at + 1 + usize::from(crlf));
                    }
                    _ => self.line_start = false,
                }
            }
            let end = at + memchr2(b'\n', b'\r', &bytes[at..])?;
            self.line_start = true;
            self.lines = self.lines.saturating_add(1);
            at = end + 1;
            if bytes[end] == b'\r' {
                match bytes.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
        }
    }

    fn found(&mut self, at: usize) -> Option<EventEnd> {
        let end = EventEnd {
            at,
            lines: self.lines,
        };
        *self = Self::START;
        Some(end)
    }
}

/// The events of a whole text that are ended by an empty line and carry data. What stands after the last empty line
/// is no event: a client would not see it either.
pub fn events(text: &[u8]) -> Events<'_> {
    Events {
        rest: text.strip_prefix(BOM).unwrap_or(text),
    }
}

/// Shows the name and the data of each of these events, and counts them. What is not UTF-8 is counted only.
pub(super) fn each_text(text: &[u8], mut show: impl FnMut(Option<&str>, &str)) -> u64 {
    let mut count = 0;
    for event in events(text) {
        count += 1;
        let data = event.data.unwrap_or_default();
        if let Ok(data) = std::str::from_utf8(&data) {
            let name = event.name.and_then(|name| std::str::from_utf8(name).ok());
            show(name, data);
        }
    }
    count
}

/// Iterator of [`events`].
#[derive(Debug, Clone)]
pub struct Events<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Events<'a> {
    type Item = Fields<'a>;

    fn next(&mut self) -> Option<Fields<'a>> {
        loop {
            let mut finder = BorderFinder::START;
            let end = finder.event_end(self.rest)?;
            let (event, rest) = self.rest.split_at(end.at);
            self.rest = rest;
            let fields = fields(event);
            if fields.data.is_some() {
                return Some(fields);
            }
        }
    }
}

/// One event of a stream with the bytes it stood in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawEvent {
    /// Where it stands in the stream, from the byte after the event before to its empty line inclusive. A BOM
    /// belongs to the first event.
    pub range: Range<u64>,
    /// These bytes, the BOM left out.
    pub raw: Bytes,
}

impl RawEvent {
    /// Whether a BOM stood before it.
    pub fn has_bom(&self) -> bool {
        (self.raw.len() as u64) < self.range.end - self.range.start
    }

    /// Its fields.
    pub fn fields(&self) -> Fields<'_> {
        fields(&self.raw)
    }
}

/// An event is longer than the limit: the stream cannot be decoded any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("event longer than {limit} bytes")]
pub struct EventTooLarge {
    /// The limit in bytes.
    pub limit: usize,
}

/// Cuts a stream into events, however it was chunked. Events without data (comments) come too: [`RawEvent::fields`]
/// tells. When a chunk ends in the CR of an empty line, the event waits for the next byte, which may be its LF.
#[derive(Debug)]
pub struct SseDecoder {
    pending: BytesMut,
    /// How much of `pending` the finder has seen.
    searched: usize,
    finder: BorderFinder,
    offset: u64,
    at_start: bool,
    max_event_bytes: usize,
}

impl SseDecoder {
    /// For a stream from its first byte on.
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            pending: BytesMut::new(),
            searched: 0,
            finder: BorderFinder::START,
            offset: 0,
            at_start: true,
            max_event_bytes,
        }
    }

    /// Takes the next bytes and appends the events that they complete to `out`.
    ///
    /// # Errors
    /// When an event is longer than the limit; the decoder is of no use then.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<RawEvent>) -> Result<(), EventTooLarge> {
        self.pending.extend_from_slice(chunk);
        self.drain(out, false)
    }

    /// The stream is over: the event that waited for an LF, and whether anything is left that is no whole event.
    ///
    /// # Errors
    /// When an event is longer than the limit.
    pub fn finish(&mut self, out: &mut Vec<RawEvent>) -> Result<bool, EventTooLarge> {
        self.drain(out, true)?;
        Ok(!self.pending.is_empty())
    }

    /// What came behind the last whole event; it is taken away.
    pub fn take_rest(&mut self) -> Bytes {
        let rest = self.pending.split().freeze();
        self.offset += rest.len() as u64;
        self.searched = 0;
        self.finder = BorderFinder::START;
        rest
    }

    fn drain(&mut self, out: &mut Vec<RawEvent>, last: bool) -> Result<(), EventTooLarge> {
        loop {
            // A BOM is not looked at by the finder: a line begins after it.
            let bom = if self.at_start && self.pending.starts_with(BOM) {
                BOM.len()
            } else {
                0
            };
            if self.at_start && bom == 0 && BOM.starts_with(&self.pending) && !last {
                return Ok(());
            }
            let searched = self.searched.max(bom);
            let before = self.finder;
            let Some(end) = self.finder.event_end(&self.pending[searched..]) else {
                self.searched = self.pending.len();
                return self.check_length(self.pending.len());
            };
            let end = searched + end.at;
            if !last && end == self.pending.len() && self.pending.ends_with(b"\r") {
                self.finder = before;
                return self.check_length(end);
            }
            self.check_length(end)?;
            let mut raw = self.pending.split_to(end).freeze();
            raw.advance(bom);
            self.at_start = false;
            self.searched = 0;
            out.push(RawEvent {
                range: self.offset..self.offset + end as u64,
                raw,
            });
            self.offset += end as u64;
        }
    }

    fn check_length(&self, length: usize) -> Result<(), EventTooLarge> {
        if length > self.max_event_bytes {
            return Err(EventTooLarge {
                limit: self.max_event_bytes,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
