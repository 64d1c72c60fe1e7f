//! Chat completions: what requests ask and what answers say, whole and streamed. Completions share the reading of
//! answers: their choices have `text` where these have `message` or `delta`.

mod assembly;
mod call_places;
mod prompt;

use super::content::Content;
use super::decoded::{Decoded, ErrorFields, SeenUsage};
use super::json_reader::{JsonError, Kind, RawStr, Reader};
use super::sse;

pub(super) use self::assembly::Assembly;
pub(super) use self::call_places::{CallPlaces, Fragment, Input};
pub use self::prompt::prompt_pieces;
pub(super) use self::prompt::{count_message, count_rest};

/// Reads a whole answer. One that breaks off, or is followed by anything, gives what could be read but no usage.
pub fn decode_whole(text: &str) -> Decoded {
    let mut reader = Reader::new(text);
    let (chunk, read) = Chunk::read(&mut reader);
    let complete = read.and_then(|()| reader.end()).is_ok();
    let mut assembly = Assembly::default();
    assembly.apply_whole(&chunk);
    let mut decoded = assembly.into_decoded();
    if !complete {
        decoded.usage = None;
    }
    decoded
}

/// Reads an event stream. Events that are not JSON teach nothing.
pub fn decode_stream(stream: &[u8]) -> Decoded {
    let mut assembly = Assembly::default();
    let event_count = sse::each_text(stream, |_, text| assembly.see(text));
    Decoded {
        event_count,
        ..assembly.into_decoded()
    }
}

/// Reads the data of events.
pub(super) fn decode_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Decoded {
    let mut assembly = Assembly::default();
    for text in texts {
        assembly.see(text);
    }
    assembly.into_decoded()
}

/// The usage object of one chunk, such as the one that was taken out of a stream.
pub fn chunk_usage(text: &str) -> (Option<super::usage::Usage>, Option<String>) {
    let (chunk, _) = Chunk::read(&mut Reader::new(text));
    let mut seen = SeenUsage::default();
    if let Some(usage) = chunk.usage {
        seen.see(usage);
    }
    (seen.usage, seen.raw)
}

/// Views of a chunk or a whole answer; nothing is copied.
#[derive(Debug, Default)]
pub(super) struct Chunk<'a> {
    model: Option<RawStr<'a>>,
    usage: Option<&'a str>,
    service_tier: Option<RawStr<'a>>,
    error: Option<&'a str>,
    choices: Vec<Choice<'a>>,
}

#[derive(Debug, Default)]
struct Choice<'a> {
    index: u64,
    finish_reason: Option<RawStr<'a>>,
    message: Message<'a>,
}

#[derive(Debug, Default)]
struct Message<'a> {
    content: Content<'a>,
    refusal: Option<RawStr<'a>>,
    /// The whole array as written.
    tool_calls: Option<&'a str>,
    calls: Vec<CallPiece<'a>>,
    /// The whole object as written.
    function_call: Option<&'a str>,
    function: CallPiece<'a>,
}

#[derive(Debug, Default)]
struct CallPiece<'a> {
    index: Option<u64>,
    id: Option<RawStr<'a>>,
    name: Option<RawStr<'a>>,
    arguments: Option<RawStr<'a>>,
    /// Arguments that are an object, as Ollama has them, and no text.
    object: Option<&'a str>,
    custom: bool,
}

type Step = Result<(), JsonError>;

impl<'a> Chunk<'a> {
    /// What could be read, and whether all of it could.
    fn read(reader: &mut Reader<'a>) -> (Self, Step) {
        let mut chunk = Self::default();
        let read = reader.object(|key, reader| {
            match key.raw {
                "model" => chunk.model = reader.string()?,
                "usage" => chunk.usage = Some(reader.raw()?),
                "service_tier" if reader.peek()? == Kind::String => {
                    chunk.service_tier = reader.string()?;
                }
                "error" => chunk.error = Some(reader.raw()?),
                "choices" => {
                    reader.array(|reader| {
                        let place = chunk.choices.len() as u64;
                        chunk.choices.push(Choice {
                            index: place,
                            ..Choice::default()
                        });
                        match chunk.choices.last_mut() {
                            Some(choice) => choice.read(reader),
                            None => reader.skip(),
                        }
                    })?;
                }
                _ => reader.skip()?,
            }
            Ok(())
        });
        (chunk, read.map(|_| ()))
    }

    fn error(&self) -> Option<ErrorFields> {
        self.error.and_then(ErrorFields::read)
    }
}

impl<'a> Choice<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Step {
        reader.object(|key, reader| {
            match key.raw {
                "index" => self.index = integer(reader)?.unwrap_or(self.index),
                "finish_reason" => self.finish_reason = reader.string()?,
                "message" | "delta" => self.message.read(reader)?,
                "text" => self.message.content = Content::read(reader)?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    }
}

impl<'a> Message<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Step {
        reader.object(|key, reader| {
            match key.raw {
                "content" => self.content = Content::read(reader)?,
                "refusal" => self.refusal = reader.string()?,
                "tool_calls" => self.read_calls(reader)?,
                "function_call" if reader.peek()? == Kind::Object => {
                    let start = reader.offset();
                    reader.object(|key, reader| self.function.function_field(key, reader))?;
                    self.function_call = Some(reader.since(start));
                }
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    }

    fn read_calls(&mut self, reader: &mut Reader<'a>) -> Step {
        reader.peek()?;
        let start = reader.offset();
        reader.array(|reader| {
            let mut call = CallPiece::default();
            let is_object = reader.object(|key, reader| call.field(key, reader))?;
            if is_object {
                self.calls.push(call);
            }
            Ok(())
        })?;
        self.tool_calls = Some(reader.since(start)).filter(|_| !self.calls.is_empty());
        Ok(())
    }
}

impl<'a> CallPiece<'a> {
    fn fragment(&self) -> Fragment<'a> {
        let raw = |text: Option<RawStr<'a>>| text.map_or("", |text| text.raw);
        let input = match self.object {
            Some(_) => Input::Whole,
            None => Input::of(raw(self.arguments)),
        };
        Fragment {
            index: self.index,
            id: raw(self.id),
            name: raw(self.name),
            input,
        }
    }

    fn field(&mut self, key: RawStr<'a>, reader: &mut Reader<'a>) -> Step {
        match key.raw {
            "index" => self.index = integer(reader)?,
            "id" => self.id = reader.string()?,
            "custom" if reader.peek()? == Kind::Object => {
                self.custom = true;
                reader.object(|key, reader| self.function_field(key, reader))?;
            }
            "function" => {
                reader.object(|key, reader| self.function_field(key, reader))?;
            }
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn function_field(&mut self, key: RawStr<'a>, reader: &mut Reader<'a>) -> Step {
        match key.raw {
            "name" => self.name = reader.string()?,
            "arguments" if reader.peek()? == Kind::Object => self.object = Some(reader.raw()?),
            "arguments" | "input" => self.arguments = reader.string()?,
            _ => reader.skip()?,
        }
        Ok(())
    }
}

/// A small whole number; `None` for anything else.
pub(super) fn integer(reader: &mut Reader<'_>) -> Result<Option<u64>, JsonError> {
    Ok(reader.raw()?.parse().ok())
}

#[cfg(test)]
mod tests;
