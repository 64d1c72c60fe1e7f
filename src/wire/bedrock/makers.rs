//! Answers of `invoke` by models whose makers have forms of their own: Amazon's Titan, Meta's Llama, Mistral, Cohere, and
//! the completions of earlier Claudes. A stream's event has the members of a whole answer or a part of them, so that one
//! table reads both. What a form is is seen from its members: a model's id may be that of a profile, which names no maker.
//!
//! Source: docs.aws.amazon.com, Amazon Bedrock user guide, inference request parameters and response fields (read 2026-11).

use crate::wire::anthropic::{self, Assembly, Block};
use crate::wire::decoded::{Decoded, RawText};
use crate::wire::json_reader::{JsonError, Kind, RawStr, Reader};
use crate::wire::usage;

type Step = Result<(), JsonError>;

/// In which form an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Claude's Messages.
    Messages,
    /// Nova's, which is that of `converse`.
    Converse,
    /// Choices, as in OpenAI's chats: newer models of Mistral's, Jamba, `DeepSeek`, gpt-oss, Qwen and others.
    Choices,
    /// One that is read here.
    Own,
}

/// The members that only one form has.
const FORMS: &[(&str, Form)] = &[
    ("type", Form::Messages),
    ("choices", Form::Choices),
    ("output", Form::Converse),
    ("messageStart", Form::Converse),
    ("contentBlockStart", Form::Converse),
    ("contentBlockDelta", Form::Converse),
    ("messageStop", Form::Converse),
    ("completion", Form::Own),
    ("results", Form::Own),
    ("outputText", Form::Own),
    ("inputTextTokenCount", Form::Own),
    ("generation", Form::Own),
    ("outputs", Form::Own),
    ("generations", Form::Own),
    ("text", Form::Own),
    ("is_finished", Form::Own),
];

impl Form {
    /// That of an answer or an event. `None` where no member tells.
    pub(super) fn of(text: &str) -> Option<Self> {
        let mut found = None;
        // What breaks off says what stands before.
        let _broken = Reader::new(text).object(|key, reader| {
            let known = FORMS.iter().find(|(name, _)| *name == key.raw);
            found = found.or(known.map(|(_, form)| *form));
            reader.skip()
        });
        found
    }
}

/// Reads a whole answer. One that breaks off, or is followed by anything, gives what could be read but no usage.
pub(super) fn decode_whole(text: &str) -> Decoded {
    let mut answer = Answer::default();
    let mut reader = Reader::new(text);
    let read = reader.object(|key, reader| answer.member(0, key, reader));
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
        let _odd = Reader::new(event).object(|key, reader| answer.member(0, key, reader));
    }
    answer.into_decoded()
}

/// An answer as far as it was seen.
#[derive(Debug, Default)]
struct Answer<'a> {
    /// One for each answer that was asked for; mostly one.
    texts: Vec<RawText>,
    stop_reason: Option<RawStr<'a>>,
    /// Numbers of tokens under their own names: what is told last is what holds.
    counts: Vec<(&'a str, &'a str)>,
    calls: Assembly,
    call_count: u64,
}

impl<'a> Answer<'a> {
    /// A member of the answer, of an event, or of one of the answers in a list: `place`.
    fn member(&mut self, place: usize, key: RawStr<'a>, reader: &mut Reader<'a>) -> Step {
        match key.raw {
            "completion" | "outputText" | "generation" | "text" => self.said(place, reader),
            "stop_reason" | "completionReason" | "finish_reason" => {
                let reason = reader.string()?;
                if place == 0 {
                    self.stop_reason = reason.or(self.stop_reason);
                }
                Ok(())
            }
            "inputTextTokenCount"
            | "totalOutputTextTokenCount"
            | "tokenCount"
            | "prompt_token_count"
            | "generation_token_count"
            | "input_tokens"
            | "output_tokens" => self.counted(key.raw, reader),
            "results" | "outputs" | "generations" => {
                let mut place = 0;
                reader.array(|reader| {
                    reader.object(|key, reader| self.member(place, key, reader))?;
                    place += 1;
                    Ok(())
                })?;
                Ok(())
            }
            "meta" => within(reader, "billed_units", |reader| {
                reader.object(|key, reader| self.member(0, key, reader))?;
                Ok(())
            }),
            // The last event has the whole answer once more; its numbers stand nowhere else.
            "response" => within(reader, "meta", |reader| {
                within(reader, "billed_units", |reader| {
                    reader.object(|key, reader| self.member(0, key, reader))?;
                    Ok(())
                })
            }),
            "tool_calls" => {
                reader.array(|reader| self.call(reader))?;
                Ok(())
            }
            _ => reader.skip(),
        }
    }

    fn said(&mut self, place: usize, reader: &mut Reader<'a>) -> Step {
        let Some(said) = reader.string()? else {
            return Ok(());
        };
        if self.texts.len() <= place {
            self.texts.resize_with(place + 1, RawText::default);
        }
        if let Some(text) = self.texts.get_mut(place) {
            text.push(said);
        }
        Ok(())
    }

    fn counted(&mut self, name: &'a str, reader: &mut Reader<'a>) -> Step {
        let kind = reader.peek()?;
        let number = reader.raw()?;
        if kind != Kind::Null {
            self.counts.retain(|(known, _)| *known != name);
            self.counts.push((name, number));
        }
        Ok(())
    }

    /// A call of Cohere's, which has no id.
    fn call(&mut self, reader: &mut Reader<'a>) -> Step {
        let mut block = Block::default();
        let is_object = reader.object(|key, reader| {
            match key.raw {
                "name" => block.name = reader.string()?,
                "parameters" => block.input = Some(reader.raw()?),
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        if is_object {
            self.calls.begin_call(self.call_count, &block);
            self.call_count += 1;
        }
        Ok(())
    }

    fn into_decoded(self) -> Decoded {
        let members: Vec<String> = self
            .counts
            .iter()
            .map(|(name, number)| format!("\"{name}\":{number}"))
            .collect();
        let counts = (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")));
        let mut texts = self.texts.into_iter();
        Decoded {
            text: texts.next().and_then(RawText::into_text),
            other_texts: texts.filter_map(RawText::into_text).collect(),
            finish_reason: self.stop_reason.map(|reason| finish_reason(&reason.text())),
            tool_calls: self.calls.into_decoded().tool_calls,
            usage: counts.as_deref().and_then(usage::read_bedrock),
            usage_raw: counts,
            ..Decoded::default()
        }
    }
}

/// Reads one member of an object, and steps over the others.
pub(super) fn within<'a>(
    reader: &mut Reader<'a>,
    name: &str,
    mut read: impl FnMut(&mut Reader<'a>) -> Step,
) -> Step {
    reader.object(|key, reader| match key.raw == name {
        true => read(reader),
        false => reader.skip(),
    })?;
    Ok(())
}

/// Why the first choice of some ended, where its maker does not say so in OpenAI's word. Told last is what holds.
pub(super) fn choice_stop_reason<'a>(events: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut last = None;
    for event in events {
        let mut is_first = true;
        let mut read = |reader: &mut Reader<'a>| {
            reader.array(|reader| {
                if !std::mem::take(&mut is_first) {
                    return reader.skip();
                }
                within(reader, "stop_reason", |reader| {
                    last = reader.string()?.or(last);
                    Ok(())
                })
            })?;
            Ok(())
        };
        let _odd = within(&mut Reader::new(event), "choices", &mut read);
    }
    last.map(|reason| finish_reason(&reason.text()))
}

/// A maker's word for why an answer ended, in OpenAI's; one that nobody knows as it is.
fn finish_reason(word: &str) -> String {
    let known = match word {
        "FINISH" | "FINISHED" | "STOP_CRITERIA_MET" | "COMPLETE" | "STOP_SEQUENCE" => "stop",
        "LENGTH" | "MAX_TOKENS" => "length",
        "CONTENT_FILTERED" | "ERROR_TOXIC" => "content_filter",
        _ => return anthropic::finish_reason(word.to_owned()),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests;
