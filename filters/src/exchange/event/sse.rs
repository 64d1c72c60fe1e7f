//! The lines of one server-sent event.
use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::exchange::document::Document;

/// What an event says, and where.
#[derive(Debug, Clone)]
pub(super) struct Parsed {
    pub(super) name: Option<Range<usize>>,
    pub(super) data: Option<Document>,
    /// Where the data stands, when it is one line of the event.
    pub(super) place: Option<Range<usize>>,
}

pub(super) fn write_data(out: &mut String, data: &str) {
    for line in data.split('\n') {
        out.push_str("data: ");
        out.push_str(line.strip_suffix('\r').unwrap_or(line));
        out.push('\n');
    }
}

pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

pub(super) struct Line<'a> {
    pub(super) content: &'a [u8],
    start: usize,
    pub(super) ended: bool,
}

/// The lines of an event, which may end in LF, CRLF or CR.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let start = at;
        let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            at = bytes.len();
            return Some(Line {
                content: rest,
                start,
                ended: false,
            });
        };
        let (content, ending) = rest.split_at(end);
        at += end + if ending.starts_with(b"\r\n") { 2 } else { 1 };
        Some(Line {
            content,
            start,
            ended: true,
        })
    })
}

/// A line's field name and value; `None` for a comment.
pub(super) fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .unwrap_or(line.len());
    let (name, value) = line.split_at(colon);
    let value = value.strip_prefix(b":").unwrap_or(value);
    (!name.is_empty()).then_some((name, value.strip_prefix(b" ").unwrap_or(value)))
}

pub(super) fn parse(bytes: &Bytes) -> Parsed {
    let mut parsed = Parsed {
        name: None,
        data: None,
        place: None,
    };
    let mut several: Cow<'_, [u8]> = Cow::Borrowed(b"");
    let mut count = 0;
    for line in lines(bytes) {
        let Some((name, value)) = field(line.content) else {
            continue;
        };
        let end = line.start + line.content.len();
        let place = end - value.len()..end;
        match name {
            b"event" => parsed.name = Some(place),
            b"data" => {
                count += 1;
                match count {
                    1 => several = Cow::Borrowed(value),
                    _ => {
                        several.to_mut().push(b'\n');
                        several.to_mut().extend_from_slice(value);
                    }
                }
                parsed.place = Some(place);
            }
            _ => {}
        }
    }
    parsed.data = match (count, &parsed.place) {
        (0, _) | (_, None) => None,
        (1, Some(place)) => Some(Document::new(bytes.slice(place.clone()))),
        (_, Some(_)) => Some(Document::new(Bytes::from(several.into_owned()))),
    };
    if count > 1 {
        parsed.place = None;
    }
    parsed
}
