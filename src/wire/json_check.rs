//! The look at a request's body on its way through: one pass, no tree, no copies. It tells whether the body may go
//! on, finds the few values that routing and the record need, and asks for usage by splicing text. It never
//! writes JSON out again.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

pub use super::json_reader::{JsonError, MAX_DEPTH, MAX_KEYS};
use super::json_reader::{Kind, RawStr, Reader};

/// What the top level of a request's body says. Ranges are byte ranges of the body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestHead<'a> {
    /// The model; `None` when absent or not a string.
    pub model: Option<Cow<'a, str>>,
    /// Where the raw value of `model` stands, whatever its kind, quotes included.
    pub model_value: Option<Range<usize>>,
    /// `stream`; `None` when absent or not a truth value.
    pub stream: Option<bool>,
    /// `user`; `None` when absent or not a string.
    pub user: Option<Cow<'a, str>>,
    /// Where the raw value of `stream_options` stands.
    pub stream_options: Option<Range<usize>>,
    /// Where the raw value of `stream_options.include_usage` stands.
    pub include_usage: Option<Range<usize>>,
    /// Whether the client asked for usage by itself.
    pub has_include_usage: bool,
    /// Which keys tell a chat from other forms of a request.
    pub keys: FormKeys,
    /// Just after the opening brace of the body: a key and a comma may be put here.
    pub open: usize,
    /// The closing brace of the body: a comma and a key may be put before it.
    pub close: usize,
    /// Whether the object has no key at all (then no comma is due).
    pub is_empty: bool,
}

/// Keys of which a chat has the first and none of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FormKeys {
    /// `messages`.
    pub messages: bool,
    /// `input`.
    pub input: bool,
    /// `anthropic_version` or `max_tokens_to_sample`.
    pub claudes: bool,
}

impl RequestHead<'_> {
    /// The same, without a hold on the body.
    pub fn into_owned(self) -> RequestHead<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        RequestHead {
            model: self.model.map(owned),
            user: self.user.map(owned),
            ..self
        }
    }
}

/// Checks a request's body: an object in valid JSON and UTF-8, no deeper than [`MAX_DEPTH`], no object with more
/// than `max_keys` keys, `model`, `stream`, `user` and `stream_options` at most once in any spelling.
///
/// # Errors
/// [`JsonError`], with the byte offset of the first fault.
pub fn check(body: &[u8], max_keys: u32) -> Result<RequestHead<'_>, JsonError> {
    let text = std::str::from_utf8(body).map_err(|error| JsonError::Invalid {
        offset: error.valid_up_to(),
        reason: "not UTF-8",
    })?;
    let mut reader = Reader::new(text).with_max_keys(max_keys);
    if reader.peek()? != Kind::Object {
        return Err(JsonError::Invalid {
            offset: reader.offset(),
            reason: "an object must stand here",
        });
    }
    let mut head = RequestHead {
        open: reader.offset() + 1,
        is_empty: true,
        ..RequestHead::default()
    };
    let mut seen = [false; NAMES.len()];
    reader.object(|key, reader| {
        head.is_empty = false;
        let Some(place) = NAMES.iter().position(|name| key.is(name)) else {
            head.keys.see(key);
            return reader.skip();
        };
        once(&mut seen[place], NAMES[place], reader)?;
        read_value(&mut head, NAMES[place], reader)
    })?;
    head.close = reader.offset() - 1;
    reader.end()?;
    Ok(head)
}

impl FormKeys {
    fn see(&mut self, key: RawStr<'_>) {
        self.messages |= key.is("messages");
        self.input |= key.is("input");
        self.claudes |= key.is("anthropic_version") || key.is("max_tokens_to_sample");
    }
}

/// Keys that decide something: twice in one body, two readers would disagree about it.
const NAMES: [&str; 4] = ["model", "stream", "user", "stream_options"];

fn once(seen: &mut bool, name: &'static str, reader: &Reader<'_>) -> Result<(), JsonError> {
    if std::mem::replace(seen, true) {
        return Err(JsonError::DuplicateKey {
            name,
            offset: reader.offset(),
        });
    }
    Ok(())
}

fn read_value<'a>(
    head: &mut RequestHead<'a>,
    name: &str,
    reader: &mut Reader<'a>,
) -> Result<(), JsonError> {
    reader.peek()?;
    let start = reader.offset();
    match name {
        "model" => {
            head.model = reader.string()?.map(RawStr::text);
            head.model_value = Some(start..reader.offset());
        }
        "stream" => head.stream = reader.boolean()?,
        "user" => head.user = reader.string()?.map(RawStr::text),
        _ => {
            read_stream_options(head, reader)?;
            head.stream_options = Some(start..reader.offset());
        }
    }
    Ok(())
}

fn read_stream_options<'a>(
    head: &mut RequestHead<'a>,
    reader: &mut Reader<'a>,
) -> Result<(), JsonError> {
    let mut seen = false;
    reader.object(|key, reader| {
        if !key.is("include_usage") {
            return reader.skip();
        }
        once(&mut seen, "include_usage", reader)?;
        reader.peek()?;
        let start = reader.offset();
        head.has_include_usage = reader.boolean()? == Some(true);
        head.include_usage = Some(start..reader.offset());
        Ok(())
    })?;
    Ok(())
}

/// The body with `stream_options.include_usage` switched on, every other byte as it was.
///
/// `None` when nothing is to be done: no stream is asked for, the client asked for usage by itself, or
/// `stream_options` is something that only the upstream can judge. Only for chat and completions.
pub fn ask_for_usage(body: &Bytes, head: &RequestHead<'_>) -> Option<Bytes> {
    if head.stream != Some(true) || head.has_include_usage {
        return None;
    }
    let Some(options) = &head.stream_options else {
        let comma: &[u8] = if head.is_empty { b"" } else { b"," };
        let added = [comma, b"\"stream_options\":{\"include_usage\":true}"].concat();
        return splice(body, head.close..head.close, &added);
    };
    if let Some(value) = &head.include_usage {
        return matches!(body.get(value.clone())?, b"false" | b"null")
            .then(|| splice(body, value.clone(), b"true"))
            .flatten();
    }
    match body.get(options.clone())? {
        b"null" => splice(body, options.clone(), b"{\"include_usage\":true}"),
        [b'{', inside @ .., b'}'] => {
            let empty = inside.trim_ascii().is_empty();
            let added: &[u8] = if empty {
                b"\"include_usage\":true"
            } else {
                b"\"include_usage\":true,"
            };
            splice(body, options.start + 1..options.start + 1, added)
        }
        _ => None,
    }
}

/// The body with the bytes of `range` replaced by `with`: also how another model name gets in
/// ([`RequestHead::model_value`]). `None` when the range is not inside the body.
pub fn splice(body: &Bytes, range: Range<usize>, with: &[u8]) -> Option<Bytes> {
    let mut out = BytesMut::with_capacity(body.len() + with.len());
    out.extend_from_slice(body.get(..range.start)?);
    out.extend_from_slice(with);
    out.extend_from_slice(body.get(range.end..)?);
    Some(out.freeze())
}

#[cfg(test)]
mod tests;
