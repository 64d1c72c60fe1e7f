//! What an answer says, in one shape for all formats, and how it is put together from the pieces of a stream.

use super::json_reader::{JsonError, Kind, RawStr, Reader};
use super::json_text;
use super::usage::{self, Usage};

/// What an answer says. A part that is absent, or of a shape nobody knows, is `None`; the rest stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decoded {
    /// The model that answered.
    pub model: Option<String>,
    /// Why the first choice ended, in OpenAI's words.
    pub finish_reason: Option<String>,
    /// Text of the first choice; its refusal when it has no text.
    pub text: Option<String>,
    /// Tool calls of the first choice: a JSON array in OpenAI's shape.
    pub tool_calls: Option<String>,
    /// The legacy function call of the first choice: a JSON object with `name` and `arguments`.
    pub function_call: Option<String>,
    /// Checked usage; `None` when there was none that can be believed.
    pub usage: Option<Usage>,
    /// The usage object as received, believed or not.
    pub usage_raw: Option<String>,
    /// The service tier that OpenAI's answers name: others than the default one have other prices.
    pub service_tier: Option<String>,
    /// The error that the answer reports.
    pub error: Option<ErrorFields>,
    /// Texts and tool calls of the other choices, to be counted.
    pub other_texts: Vec<String>,
    /// Events with data; 0 when the answer was no stream.
    pub event_count: u64,
}

/// An error object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrorFields {
    /// `type`, else a `status` that is a word.
    pub kind: Option<String>,
    /// `code`, a number as its text.
    pub code: Option<String>,
    /// `message`.
    pub message: Option<String>,
}

impl ErrorFields {
    /// Reads the value of `error`: an object, or a bare text. `None` for null.
    pub(super) fn read(raw: &str) -> Option<Self> {
        let mut reader = Reader::new(raw);
        let mut error = Self::default();
        match reader.peek().ok()? {
            Kind::Null => return None,
            Kind::Object => {}
            Kind::String | Kind::Number | Kind::Bool | Kind::Array => {
                error.message = scalar(&mut reader).ok()?;
                return Some(error);
            }
        }
        // An object that breaks off gives what stands before.
        let _broken = reader
            .object(|key, reader| error.field(key, reader))
            .is_err();
        Some(error)
    }

    pub(super) fn field(
        &mut self,
        key: RawStr<'_>,
        reader: &mut Reader<'_>,
    ) -> Result<(), JsonError> {
        match key.raw {
            "type" => self.kind = scalar(reader)?,
            "code" => self.code = scalar(reader)?,
            "message" => self.message = scalar(reader)?,
            // Gemini's word for what others call the type.
            "status" if reader.peek()? == Kind::String && self.kind.is_none() => {
                self.kind = scalar(reader)?;
            }
            _ => reader.skip()?,
        }
        Ok(())
    }
}

/// A value as text: what a string says, else as written. `None` for null.
fn scalar(reader: &mut Reader<'_>) -> Result<Option<String>, JsonError> {
    Ok(match reader.peek()? {
        Kind::String => reader.string()?.map(|text| text.text().into_owned()),
        Kind::Null => reader.skip().map(|()| None)?,
        Kind::Object | Kind::Array | Kind::Number | Kind::Bool => Some(reader.raw()?.to_owned()),
    })
}

/// A text put together from the raw insides of JSON strings. Escapes are undone at the end only: a surrogate pair
/// may be split over two pieces.
#[derive(Debug, Clone, Default)]
pub(super) struct RawText {
    raw: String,
    escaped: bool,
    present: bool,
}

impl RawText {
    pub(super) fn push(&mut self, piece: RawStr<'_>) {
        self.raw.push_str(piece.raw);
        self.escaped |= piece.escaped;
        self.present = true;
    }

    /// Adds what is no JSON string itself.
    pub(super) fn push_text(&mut self, text: &str) {
        let quoted = serde_json::Value::from(text).to_string();
        let inside = quoted.get(1..quoted.len() - 1).unwrap_or_default();
        self.push(RawStr {
            raw: inside,
            escaped: inside.contains('\\'),
        });
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// `None` when nothing was ever pushed.
    pub(super) fn into_text(self) -> Option<String> {
        match (self.present, self.escaped) {
            (false, _) => None,
            (true, false) => Some(self.raw),
            (true, true) => Some(json_text::unescape(&self.raw)),
        }
    }

    fn push_to(&self, json: &mut String) {
        json.push('"');
        json.push_str(&self.raw);
        json.push('"');
    }
}

/// One tool call, or the legacy function call, as it is put together.
#[derive(Debug, Clone, Default)]
pub(super) struct Call {
    pub(super) id: RawText,
    pub(super) name: RawText,
    pub(super) arguments: RawText,
    /// Whether it is of type `custom`, with free text as input.
    pub(super) custom: bool,
}

impl Call {
    fn push_to(&self, json: &mut String) {
        json.push_str("{\"id\":");
        self.id.push_to(json);
        let kind = if self.custom { "custom" } else { "function" };
        json.push_str(",\"type\":\"");
        json.push_str(kind);
        json.push_str("\",\"");
        json.push_str(kind);
        json.push_str("\":");
        self.push_function_to(json);
        json.push('}');
    }

    fn push_function_to(&self, json: &mut String) {
        json.push_str("{\"name\":");
        self.name.push_to(json);
        json.push_str(if self.custom {
            ",\"input\":"
        } else {
            ",\"arguments\":"
        });
        self.arguments.push_to(json);
        json.push('}');
    }

    pub(super) fn function_json(&self) -> String {
        let mut json = String::new();
        self.push_function_to(&mut json);
        json
    }
}

/// Calls as a JSON array; `None` when there are none.
pub(super) fn calls_json<'a>(calls: impl IntoIterator<Item = &'a Call>) -> Option<String> {
    let mut json = String::new();
    for call in calls {
        json.push(if json.is_empty() { '[' } else { ',' });
        call.push_to(&mut json);
    }
    if json.is_empty() {
        return None;
    }
    json.push(']');
    Some(json)
}

/// Usage seen so far: the last one that says something wins.
#[derive(Debug, Clone, Default)]
pub(super) struct SeenUsage {
    pub(super) usage: Option<Usage>,
    pub(super) raw: Option<String>,
}

impl SeenUsage {
    pub(super) fn see(&mut self, raw: &str) {
        let read = usage::read(raw);
        let nothing_new = read.is_none_or(|usage| usage.is_zero());
        if nothing_new && self.usage.is_some() || raw == "null" {
            return;
        }
        self.usage = read;
        self.raw = Some(raw.to_owned());
    }
}
