//! Anthropic's Messages: what requests ask and what answers say, whole and streamed.
//!
//! Source: docs.anthropic.com, Messages API and its streaming events (read 2026-11).

mod assembly;
mod prompt;

use super::decoded::{Decoded, ErrorFields};
use super::json_reader::{JsonError, Kind, RawStr, Reader};
use super::openai_chat::integer;
use super::sse;

pub(super) use self::assembly::{Assembly, finish_reason};
pub use self::prompt::prompt_pieces;

/// Reads a whole answer. One that breaks off, or is followed by anything, gives what could be read but no usage.
pub fn decode_whole(text: &str) -> Decoded {
    let mut reader = Reader::new(text);
    let mut message = Message::default();
    let read = message.read(&mut reader);
    let complete = read.and_then(|()| reader.end()).is_ok();
    let mut assembly = Assembly::default();
    assembly.take_whole(&message);
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

type Step = Result<(), JsonError>;

/// A message: a whole answer, or the one with which a stream begins.
#[derive(Debug, Default)]
struct Message<'a> {
    model: Option<RawStr<'a>>,
    stop_reason: Option<RawStr<'a>>,
    usage: Option<&'a str>,
    error: Option<&'a str>,
    content: Vec<Block<'a>>,
}

/// A block of a content, or what an event adds to one.
#[derive(Debug, Default)]
pub(super) struct Block<'a> {
    kind: Option<RawStr<'a>>,
    pub(super) text: Option<RawStr<'a>>,
    pub(super) thinking: Option<RawStr<'a>>,
    pub(super) id: Option<RawStr<'a>>,
    pub(super) name: Option<RawStr<'a>>,
    /// The whole object as written.
    pub(super) input: Option<&'a str>,
    pub(super) partial_json: Option<RawStr<'a>>,
    stop_reason: Option<RawStr<'a>>,
}

/// An event of a stream.
#[derive(Debug, Default)]
struct Event<'a> {
    kind: Option<RawStr<'a>>,
    index: u64,
    message: Option<Message<'a>>,
    block: Option<Block<'a>>,
    delta: Option<Block<'a>>,
    usage: Option<&'a str>,
    error: Option<&'a str>,
}

impl<'a> Message<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Step {
        reader.object(|key, reader| {
            match key.raw {
                "model" => self.model = reader.string()?,
                "stop_reason" => self.stop_reason = reader.string()?,
                "usage" => self.usage = Some(reader.raw()?),
                "error" => self.error = Some(reader.raw()?),
                "content" => {
                    reader.array(|reader| {
                        let mut block = Block::default();
                        block.read(reader)?;
                        self.content.push(block);
                        Ok(())
                    })?;
                }
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    }

    fn error(&self) -> Option<ErrorFields> {
        self.error.and_then(ErrorFields::read)
    }
}

impl<'a> Block<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Step {
        reader.object(|key, reader| {
            match key.raw {
                "type" => self.kind = reader.string()?,
                "text" => self.text = reader.string()?,
                "thinking" => self.thinking = reader.string()?,
                "id" => self.id = reader.string()?,
                "name" => self.name = reader.string()?,
                "partial_json" => self.partial_json = reader.string()?,
                "stop_reason" => self.stop_reason = reader.string()?,
                "input" if reader.peek()? == Kind::Object => self.input = Some(reader.raw()?),
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    }
}

impl<'a> Event<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Step {
        reader.object(|key, reader| {
            match key.raw {
                "type" => self.kind = reader.string()?,
                "index" => self.index = integer(reader)?.unwrap_or(0),
                "usage" => self.usage = Some(reader.raw()?),
                "error" => self.error = Some(reader.raw()?),
                "message" => self.message.get_or_insert_default().read(reader)?,
                "content_block" => self.block.get_or_insert_default().read(reader)?,
                "delta" => self.delta.get_or_insert_default().read(reader)?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
