//! Responses: what requests ask and what answers say, whole and streamed. A stream's terminal event carries the whole
//! response; its pieces matter only when the stream was cut before it.

mod assembly;

use super::PromptPieces;
use super::content::Content;
use super::decoded::{Decoded, ErrorFields};
use super::json_reader::{JsonError, Kind, RawStr, Reader};
use super::openai_chat::{count_message, count_rest, integer};
use super::sse;

use self::assembly::Assembly;

/// Reads a whole answer. One that breaks off, or is followed by anything, gives what could be read but no usage.
pub fn decode_whole(text: &str) -> Decoded {
    let mut reader = Reader::new(text);
    let mut response = Response::default();
    let read = response.read(&mut reader);
    let complete = read.and_then(|()| reader.end()).is_ok();
    let mut assembly = Assembly::default();
    assembly.take(&response);
    let mut decoded = assembly.into_decoded();
    if !complete {
        decoded.usage = None;
    }
    decoded
}

/// Reads an event stream. Events that are not JSON teach nothing.
pub fn decode_stream(stream: &[u8]) -> Decoded {
    let mut assembly = Assembly::default();
    let event_count = sse::each_text(stream, |name, text| {
        let mut event = Event::default();
        let mut reader = Reader::new(text);
        let read = reader.object(|key, reader| event.field(key, reader));
        let kind = event.kind.map(|kind| kind.raw).or(name);
        if read.and_then(|_| reader.end()).is_ok()
            && let Some(kind) = kind
        {
            assembly.apply(kind, &event);
        }
    });
    Decoded {
        event_count,
        ..assembly.into_decoded()
    }
}

/// Text of the input: of a list, the text of its last item.
pub fn input_text(raw: &str) -> Option<String> {
    let mut reader = Reader::new(raw);
    if reader.peek().ok()? != Kind::Array {
        return Content::read(&mut reader).ok()?.text();
    }
    let mut last = None;
    // A list that breaks off gives the last item before.
    let read = reader.array(|reader| {
        last = Some(reader.raw()?);
        Ok(())
    });
    let _broken = read.is_err();
    let last = last?;
    let mut content = None;
    let is_object = Reader::new(last).object(|key, reader| {
        match key.raw {
            "content" | "output" => content = Some(Content::read(reader)?),
            _ => reader.skip()?,
        }
        Ok(())
    });
    match (is_object, content) {
        (Ok(true), Some(content)) => content.text(),
        (Ok(true), None) => Some(last.to_owned()),
        _ => Content::read(&mut Reader::new(last)).ok()?.text(),
    }
}

/// The texts of a request that are to be counted. A body that breaks off gives those before.
pub fn prompt_pieces(text: &str) -> PromptPieces<'_> {
    let mut pieces = PromptPieces {
        chat: true,
        ..PromptPieces::default()
    };
    let read = Reader::new(text).object(|key, reader| match (key.raw, reader.peek()?) {
        ("input", Kind::Array) => reader
            .array(|reader| count_message(&mut pieces, reader))
            .map(|_| ()),
        ("input" | "instructions", Kind::String) => {
            pieces.messages += 1;
            pieces.texts.extend(reader.string()?.map(RawStr::text));
            Ok(())
        }
        ("previous_response_id" | "conversation" | "prompt", Kind::String | Kind::Object) => {
            // What it stands for is with the upstream only.
            pieces.odd = true;
            reader.skip()
        }
        _ => count_rest(&mut pieces, key, reader),
    });
    pieces.broken = read.is_err();
    pieces
}

/// Views of one event of a stream.
#[derive(Debug, Default)]
struct Event<'a> {
    kind: Option<RawStr<'a>>,
    output_index: u64,
    delta: Option<RawStr<'a>>,
    item: Option<Item<'a>>,
    response: Option<Response<'a>>,
    /// Of an `error` event; its own `type` is `kind`.
    error: ErrorFields,
    error_object: Option<&'a str>,
}

/// Views of a response object.
#[derive(Debug, Default)]
struct Response<'a> {
    service_tier: Option<RawStr<'a>>,
    model: Option<RawStr<'a>>,
    status: Option<RawStr<'a>>,
    incomplete_reason: Option<RawStr<'a>>,
    usage: Option<&'a str>,
    error: Option<&'a str>,
    output: Vec<Item<'a>>,
}

/// Views of an item of `output`.
#[derive(Debug, Default)]
struct Item<'a> {
    kind: Option<RawStr<'a>>,
    content: Content<'a>,
    id: Option<RawStr<'a>>,
    call_id: Option<RawStr<'a>>,
    name: Option<RawStr<'a>>,
    arguments: Option<RawStr<'a>>,
}

type Step = Result<(), JsonError>;

impl<'a> Event<'a> {
    fn field(&mut self, key: RawStr<'a>, reader: &mut Reader<'a>) -> Step {
        match key.raw {
            "type" => self.kind = reader.string()?,
            "output_index" => self.output_index = integer(reader)?.unwrap_or_default(),
            "delta" => self.delta = reader.string()?,
            "item" => self.item.insert(Item::default()).read(reader)?,
            "response" => self.response.insert(Response::default()).read(reader)?,
            "error" => self.error_object = Some(reader.raw()?),
            "code" | "message" => self.error.field(key, reader)?,
            _ => reader.skip()?,
        }
        Ok(())
    }
}

impl<'a> Response<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Step {
        reader.object(|key, reader| {
            match key.raw {
                "model" => self.model = reader.string()?,
                "status" => self.status = reader.string()?,
                "usage" => self.usage = Some(reader.raw()?),
                "service_tier" if reader.peek()? == Kind::String => {
                    self.service_tier = reader.string()?;
                }
                "error" => self.error = Some(reader.raw()?),
                "incomplete_details" => {
                    reader.object(|key, reader| {
                        match key.raw {
                            "reason" => self.incomplete_reason = reader.string()?,
                            _ => reader.skip()?,
                        }
                        Ok(())
                    })?;
                }
                "output" => {
                    reader.array(|reader| {
                        let mut item = Item::default();
                        item.read(reader)?;
                        self.output.push(item);
                        Ok(())
                    })?;
                }
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    }
}

impl<'a> Item<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Step {
        reader.object(|key, reader| {
            match key.raw {
                "type" => self.kind = reader.string()?,
                "content" => self.content = Content::read(reader)?,
                "id" => self.id = reader.string()?,
                "call_id" => self.call_id = reader.string()?,
                "name" => self.name = reader.string()?,
                "arguments" | "input" => self.arguments = reader.string()?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
