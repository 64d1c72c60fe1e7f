//! Gemini's `generateContent` and its kin: what paths say, what requests ask, what answers say, whole and streamed.
//!
//! Source: ai.google.dev, Gemini API reference (read 2026-11).

pub mod array;
mod assembly;
mod path;
mod prompt;

use self::assembly::Assembly;
use super::decoded::{Decoded, ErrorFields};
use super::json_reader::{JsonError, Kind, RawStr, Reader};
use super::openai_chat::integer;
use super::sse;

pub use self::path::{ModelPath, OPENAI, asks_for_events, behind_openai, is_stream, rename};
pub use self::prompt::{prompt_pieces, request_text};

/// Reads a whole answer, or a stream that came as one array. One that breaks off, or is followed by anything, gives
/// what could be read; the usage of a whole answer is not believed then.
pub fn decode_whole(text: &str) -> Decoded {
    let mut assembly = Assembly::default();
    let mut reader = Reader::new(text);
    if reader.peek() == Ok(Kind::Array) {
        let _broken = reader.array(|reader| {
            let mut chunk = Chunk::default();
            let read = chunk.read(reader);
            assembly.apply(&chunk);
            read
        });
        return assembly.into_decoded();
    }
    let mut whole = Chunk::default();
    let read = whole.read(&mut reader);
    let complete = read.and_then(|()| reader.end()).is_ok();
    assembly.apply(&whole);
    let mut decoded = assembly.into_decoded();
    if !complete {
        decoded.usage = None;
    }
    decoded
}

/// Reads an event stream. Events that are not JSON teach nothing.
pub fn decode_stream(stream: &[u8]) -> Decoded {
    let mut assembly = Assembly::default();
    let event_count = sse::each_text(stream, |_, text| {
        let mut reader = Reader::new(text);
        let mut chunk = Chunk::default();
        let read = chunk.read(&mut reader);
        if read.and_then(|()| reader.end()).is_ok() {
            assembly.apply(&chunk);
        }
    });
    Decoded {
        event_count,
        ..assembly.into_decoded()
    }
}

/// Whether a chunk ends an answer: a candidate has its reason, or the prompt was refused.
pub fn ends_answer(text: &str) -> bool {
    let mut reader = Reader::new(text);
    let mut chunk = Chunk::default();
    let said = |reason: Option<RawStr<'_>>| reason.is_some_and(|reason| !is_unspecified(reason));
    chunk.read(&mut reader).is_ok()
        && (said(chunk.block_reason)
            || chunk
                .candidates
                .iter()
                .any(|candidate| said(candidate.finish_reason)))
}

/// Whether a reason says nothing.
fn is_unspecified(reason: RawStr<'_>) -> bool {
    reason.raw.is_empty() || reason.raw.ends_with("_UNSPECIFIED")
}

type Step = Result<(), JsonError>;

/// An answer, or a chunk of one: they have the same shape.
#[derive(Debug, Default)]
struct Chunk<'a> {
    model: Option<RawStr<'a>>,
    usage: Option<&'a str>,
    block_reason: Option<RawStr<'a>>,
    error: Option<&'a str>,
    candidates: Vec<Candidate<'a>>,
}

#[derive(Debug, Default)]
struct Candidate<'a> {
    /// Its number, where it says one.
    index: Option<u64>,
    finish_reason: Option<RawStr<'a>>,
    parts: Vec<Part<'a>>,
}

#[derive(Debug, Default)]
struct Part<'a> {
    text: Option<RawStr<'a>>,
    thought: bool,
    call: Option<FunctionCall<'a>>,
}

#[derive(Debug, Default)]
struct FunctionCall<'a> {
    id: Option<RawStr<'a>>,
    name: Option<RawStr<'a>>,
    /// The object as written.
    args: Option<&'a str>,
}

impl<'a> Chunk<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Step {
        reader.object(|key, reader| {
            match key.raw {
                "modelVersion" => self.model = reader.string()?,
                "usageMetadata" => self.usage = Some(reader.raw()?),
                "error" => self.error = Some(reader.raw()?),
                "promptFeedback" => {
                    reader.object(|key, reader| {
                        match key.raw {
                            "blockReason" => self.block_reason = reader.string()?,
                            _ => reader.skip()?,
                        }
                        Ok(())
                    })?;
                }
                "candidates" => {
                    reader.array(|reader| {
                        let mut candidate = Candidate::default();
                        let read = candidate.read(reader);
                        self.candidates.push(candidate);
                        read
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

impl<'a> Candidate<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Step {
        reader.object(|key, reader| {
            match key.raw {
                "index" => self.index = integer(reader)?,
                "finishReason" => self.finish_reason = reader.string()?,
                "content" => {
                    reader.object(|key, reader| match key.raw {
                        "parts" => self.read_parts(reader),
                        _ => reader.skip(),
                    })?;
                }
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    }

    fn read_parts(&mut self, reader: &mut Reader<'a>) -> Step {
        reader.array(|reader| {
            let mut part = Part::default();
            let read = part.read(reader);
            self.parts.push(part);
            read
        })?;
        Ok(())
    }
}

impl<'a> Part<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Step {
        reader.object(|key, reader| {
            match key.raw {
                "text" => self.text = reader.string()?,
                "thought" => self.thought = reader.boolean()?.unwrap_or(false),
                "functionCall" => {
                    let mut call = FunctionCall::default();
                    reader.object(|key, reader| {
                        match key.raw {
                            "id" => call.id = reader.string()?,
                            "name" => call.name = reader.string()?,
                            "args" if reader.peek()? == Kind::Object => {
                                call.args = Some(reader.raw()?);
                            }
                            _ => reader.skip()?,
                        }
                        Ok(())
                    })?;
                    self.call = Some(call);
                }
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
