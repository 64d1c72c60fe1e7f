//! An answer before it goes out: status, headers, and a body that is whole, a
//! stream of events, or filler that is made while it is sent.

/// One answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// `None` sends no content type.
    pub(super) content_type: Option<&'static str>,
    /// Further headers, in their order.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Body,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Body {
    /// Sent with its length.
    Whole(Vec<u8>),
    /// Sent without a length.
    Unsized(Vec<u8>),
    /// Made while it is sent, without a length.
    Filler(Filler),
    /// An event stream.
    Stream(EventScript),
}

/// So many bytes of filler between two fixed parts.
#[derive(Debug, Clone)]
pub(super) struct Filler {
    pub(super) before: Vec<u8>,
    pub(super) fill_bytes: u64,
    pub(super) after: Vec<u8>,
}

/// The events of a stream, each with its blank line.
#[derive(Debug)]
pub(super) struct EventScript {
    pub(super) before: Vec<Vec<u8>>,
    pub(super) content: ContentEvents,
    /// A giant event that comes after the first content event.
    pub(super) line: Option<Filler>,
    pub(super) after: Vec<Vec<u8>>,
    /// Stands in place of what follows the first half of the content.
    pub(super) error: Option<Vec<u8>>,
}

/// The content events: a list, or one event repeated with a running number.
#[derive(Debug)]
pub(super) enum ContentEvents {
    List(Vec<Vec<u8>>),
    Numbered { template: Numbered, count: u32 },
}

/// One event as a pattern; cheap to fill in.
#[derive(Debug)]
pub(super) struct Numbered {
    bytes: Vec<u8>,
    /// Where the six digits of the text's number stand.
    number_at: usize,
    /// Where the field of the event's sequence number ends, and its first value.
    sequence: Option<(usize, u32)>,
    /// Whether the last four bytes are the checksum of those before, as in an event stream's frames.
    has_checksum: bool,
}

/// The text that [`Numbered`] looks for.
pub(super) const NUMBER_MARK: &str = "w000000 ";
/// The field that [`Numbered::with_sequence`] looks for, its number right-aligned.
pub(super) const SEQUENCE_MARK: &str = "\"sequence_number\":       0";

impl Reply {
    pub(super) fn json(status: u16, value: &serde_json::Value) -> Self {
        Self::whole(status, "application/json", value.to_string().into_bytes())
    }

    pub(super) fn whole(status: u16, content_type: &'static str, body: Vec<u8>) -> Self {
        Self {
            status,
            content_type: Some(content_type),
            headers: Vec::new(),
            body: Body::Whole(body),
        }
    }

    pub(super) fn with_body(content_type: &'static str, body: Body) -> Self {
        Self {
            status: 200,
            content_type: Some(content_type),
            headers: Vec::new(),
            body,
        }
    }

    /// Adds a header.
    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

impl Filler {
    /// Filler behind the first occurrence of `mark`.
    pub(super) fn inside(frame: &[u8], mark: &str, fill_bytes: u64) -> Self {
        let at = memchr::memmem::find(frame, mark.as_bytes()).map_or(0, |at| at + mark.len());
        let (before, after) = frame.split_at(at);
        Self {
            before: before.to_vec(),
            fill_bytes,
            after: after.to_vec(),
        }
    }
}

impl EventScript {
    /// Events of the stream, the giant one and the error not counted.
    pub(super) fn event_count(&self) -> usize {
        self.before.len() + self.content.count() + self.after.len()
    }

    /// Edits each event, but for the giant one and the error. Sequence numbers are not kept.
    pub(super) fn edit_events(&mut self, edit: impl Fn(&mut Vec<u8>)) {
        self.before
            .iter_mut()
            .chain(&mut self.after)
            .for_each(&edit);
        match &mut self.content {
            ContentEvents::List(events) => events.iter_mut().for_each(edit),
            ContentEvents::Numbered { template, .. } => {
                let mut bytes = std::mem::take(&mut template.bytes);
                edit(&mut bytes);
                // The number may stand elsewhere now.
                *template = Numbered::new(bytes);
            }
        }
    }
}

impl ContentEvents {
    pub(super) fn count(&self) -> usize {
        match self {
            Self::List(events) => events.len(),
            Self::Numbered { count, .. } => usize::try_from(*count).unwrap_or(usize::MAX),
        }
    }

    /// Puts event `index` at the end of `out`.
    pub(super) fn write(&self, index: usize, out: &mut Vec<u8>) {
        match self {
            Self::List(events) => out.extend_from_slice(events.get(index).map_or(&[], |e| e)),
            Self::Numbered { template, .. } => template.write(index, out),
        }
    }
}

impl Numbered {
    /// An event that contains [`NUMBER_MARK`].
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let number_at = memchr::memmem::find(&bytes, NUMBER_MARK.as_bytes()).map_or(0, |at| at + 1);
        Self {
            bytes,
            number_at,
            sequence: None,
            has_checksum: false,
        }
    }

    /// Of a frame, whose checksum goes with the number.
    pub(super) fn with_checksum(self) -> Self {
        let has_checksum = true;
        Self {
            has_checksum,
            ..self
        }
    }

    /// Fills in [`SEQUENCE_MARK`] too, counting from `first`.
    pub(super) fn with_sequence(mut self, first: u32) -> Self {
        let mark = SEQUENCE_MARK.as_bytes();
        self.sequence = memchr::memmem::find(&self.bytes, mark).map(|at| (at + mark.len(), first));
        self
    }

    fn write(&self, index: usize, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let event = &mut out[start..];
        if let Some((end, first)) = self.sequence {
            let number = usize::try_from(first).unwrap_or_default() + index;
            write_digits(&mut event[..end], number, 1);
        }
        write_digits(&mut event[..self.number_at + 6], index % 1_000_000, 6);
        if self.has_checksum
            && let Some((before, checksum)) = event.split_last_chunk_mut()
        {
            *checksum = crc32fast::hash(before).to_be_bytes();
        }
    }
}

/// Writes a number right-aligned at the end of a field, with at least so many digits.
fn write_digits(field: &mut [u8], mut number: usize, least: usize) {
    for (place, byte) in field.iter_mut().rev().enumerate() {
        if place >= least && number == 0 {
            return;
        }
        *byte = b"0123456789"[number % 10];
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::aws_event_stream;

    #[test]
    fn numbers_are_filled_in() {
        let event = format!("data: {{{SEQUENCE_MARK},\"delta\":\"{NUMBER_MARK}x\"}}\n\n");
        let template = Numbered::new(event.into_bytes()).with_sequence(4);
        let content = ContentEvents::Numbered {
            template,
            count: 200,
        };
        let mut out = Vec::new();
        content.write(0, &mut out);
        content.write(123, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "data: {\"sequence_number\":       4,\"delta\":\"w000000 x\"}\n\n\
             data: {\"sequence_number\":     127,\"delta\":\"w000123 x\"}\n\n",
        );
    }

    #[test]
    fn a_frame_has_the_checksum_of_its_number() {
        let frame = aws_event_stream::event("chunk", NUMBER_MARK.as_bytes());
        let template = Numbered::new(frame).with_checksum();
        let content = ContentEvents::Numbered { template, count: 8 };
        let mut out = Vec::new();
        content.write(7, &mut out);
        let frames: Vec<_> = aws_event_stream::frames(&out).collect();
        let [frame] = frames.as_slice() else {
            panic!("{frames:?}");
        };
        assert!(frame.crc_holds);
        assert_eq!(frame.payload(), b"w000007 ");
    }
}
