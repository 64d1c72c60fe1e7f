//! Bodies and events of `converse`: blocks of text, calls and thoughts, as in Claude's Messages, in other words.

use std::borrow::Cow;

use crate::wire::PromptPieces;
use crate::wire::anthropic::{Assembly, Block, finish_reason};
use crate::wire::content::joined;
use crate::wire::decoded::Decoded;
use crate::wire::json_reader::{JsonError, Kind, RawStr, Reader};
use crate::wire::openai_chat::integer;
use crate::wire::usage;

use super::makers::within;

type Step = Result<(), JsonError>;

/// Reads a whole answer. One that breaks off, or is followed by anything, gives what could be read but no usage.
pub(super) fn decode_whole(text: &str) -> Decoded {
    let mut answer = Answer::default();
    let mut reader = Reader::new(text);
    let read = reader.object(|key, reader| answer.member(key, reader));
    let is_complete = read.is_ok() && reader.end().is_ok();
    let decoded = answer.into_decoded();
    Decoded {
        usage: decoded.usage.filter(|_| is_complete),
        ..decoded
    }
}

/// Reads the events of a stream.
pub(super) fn decode_events(events: &[String]) -> Decoded {
    let mut answer = Answer::default();
    for event in events {
        // An event of another shape teaches what stands before its oddness.
        let _odd = Reader::new(event).object(|key, reader| answer.event(key, reader));
    }
    answer.into_decoded()
}

/// An answer as far as it was seen.
#[derive(Debug, Default)]
struct Answer {
    blocks: Assembly,
    stop_reason: Option<String>,
    usage: Option<String>,
}

impl Answer {
    fn member(&mut self, key: RawStr<'_>, reader: &mut Reader<'_>) -> Step {
        match key.raw {
            "output" => within(reader, "message", |reader| {
                within(reader, "content", |reader| self.content(reader))
            }),
            "stopReason" => self.stopped(reader),
            "usage" => self.used(reader),
            _ => reader.skip(),
        }
    }

    fn event(&mut self, key: RawStr<'_>, reader: &mut Reader<'_>) -> Step {
        match key.raw {
            "contentBlockStart" | "contentBlockDelta" => self.block_event(reader),
            "messageStop" => within(reader, "stopReason", |reader| self.stopped(reader)),
            "metadata" => within(reader, "usage", |reader| self.used(reader)),
            _ => reader.skip(),
        }
    }

    fn stopped(&mut self, reader: &mut Reader<'_>) -> Step {
        let reason = reader.string()?;
        self.stop_reason = reason.map(|reason| reason.text().into_owned());
        Ok(())
    }

    fn used(&mut self, reader: &mut Reader<'_>) -> Step {
        self.usage = Some(reader.raw()?.to_owned());
        Ok(())
    }

    fn content(&mut self, reader: &mut Reader<'_>) -> Step {
        let mut index = 0;
        reader.array(|reader| {
            self.block(index, reader)?;
            index += 1;
            Ok(())
        })?;
        Ok(())
    }

    /// What an event begins or adds. Its index may stand behind the rest.
    fn block_event(&mut self, reader: &mut Reader<'_>) -> Step {
        let (mut index, mut said) = (0, None);
        reader.object(|key, reader| {
            match key.raw {
                "contentBlockIndex" => index = integer(reader)?.unwrap_or(0),
                "start" | "delta" => said = Some(reader.raw()?),
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        match said {
            Some(said) => self.block(index, &mut Reader::new(said)),
            None => Ok(()),
        }
    }

    /// A block, or what is added to one.
    fn block(&mut self, index: u64, reader: &mut Reader<'_>) -> Step {
        let (mut block, mut is_call_begun) = (Block::default(), false);
        reader.object(|key, reader| {
            match key.raw {
                "text" => block.text = reader.string()?,
                "reasoningContent" => block.thinking = thought(reader)?,
                "toolUse" => {
                    reader.object(|key, reader| {
                        match key.raw {
                            "toolUseId" => {
                                is_call_begun = true;
                                block.id = reader.string()?;
                            }
                            "name" => block.name = reader.string()?,
                            // A piece of it in a stream, all of it in a whole answer.
                            "input" if reader.peek()? == Kind::String => {
                                block.partial_json = reader.string()?;
                            }
                            "input" => block.input = Some(reader.raw()?),
                            _ => reader.skip()?,
                        }
                        Ok(())
                    })?;
                }
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        if is_call_begun {
            self.blocks.begin_call(index, &block);
        }
        self.blocks.add(index, &block);
        Ok(())
    }

    fn into_decoded(self) -> Decoded {
        Decoded {
            finish_reason: self.stop_reason.map(|reason| match reason.as_str() {
                "guardrail_intervened" | "content_filtered" => "content_filter".to_owned(),
                _ => finish_reason(reason),
            }),
            usage: self.usage.as_deref().and_then(usage::read_bedrock),
            usage_raw: self.usage,
            ..self.blocks.into_decoded()
        }
    }
}

/// The text of a thought: in a whole answer one object deeper than in a stream.
fn thought<'a>(reader: &mut Reader<'a>) -> Result<Option<RawStr<'a>>, JsonError> {
    let mut text = None;
    reader.object(|key, reader| match key.raw {
        "text" => {
            text = reader.string()?;
            Ok(())
        }
        "reasoningText" => within(reader, "text", |reader| {
            text = reader.string()?;
            Ok(())
        }),
        _ => reader.skip(),
    })?;
    Ok(text)
}

/// The text of the last message: its texts, one a line, or the JSON of its content. `None` without one.
pub fn request_text(text: &str) -> Option<String> {
    let mut last = None;
    // What breaks off gives what stands before.
    let _broken = within(&mut Reader::new(text), "messages", |reader| {
        reader.array(|reader| {
            last = Some(reader.raw()?);
            Ok(())
        })?;
        Ok(())
    });
    let (mut texts, mut content) = (Vec::new(), None);
    let read = within(&mut Reader::new(last?), "content", |reader| {
        let start = reader.offset();
        reader.array(|reader| {
            within(reader, "text", |reader| {
                texts.extend(reader.string()?);
                Ok(())
            })
        })?;
        content = Some(reader.since(start).trim_start().to_owned());
        Ok(())
    });
    read.ok()?;
    match texts.is_empty() {
        true => content,
        false => Some(joined(&texts).into_owned()),
    }
}

/// What is counted as prompt: texts, calls, results and definitions of tools. A body that breaks off gives those before.
pub fn prompt_pieces(text: &str) -> PromptPieces<'_> {
    let mut pieces = PromptPieces {
        chat: true,
        ..PromptPieces::default()
    };
    let read = Reader::new(text).object(|key, reader| {
        match key.raw {
            "system" => count_blocks(&mut pieces, reader)?,
            "messages" => {
                reader.array(|reader| {
                    pieces.messages += 1;
                    within(reader, "content", |reader| {
                        count_blocks(&mut pieces, reader)
                    })
                })?;
            }
            "toolConfig" => within(reader, "tools", |reader| {
                pieces.texts.push(Cow::Borrowed(reader.raw()?));
                Ok(())
            })?,
            _ => reader.skip()?,
        }
        Ok(())
    });
    pieces.broken = read.is_err();
    pieces
}

fn count_blocks<'a>(pieces: &mut PromptPieces<'a>, reader: &mut Reader<'a>) -> Step {
    reader.array(|reader| {
        reader.object(|key, reader| {
            match key.raw {
                "text" => pieces.texts.extend(reader.string()?.map(RawStr::text)),
                "toolUse" | "toolResult" | "reasoningContent" => {
                    pieces.texts.push(Cow::Borrowed(reader.raw()?));
                }
                // Images and documents are for the upstream to count.
                _ => {
                    pieces.odd = true;
                    reader.skip()?;
                }
            }
            Ok(())
        })?;
        Ok(())
    })?;
    Ok(())
}
