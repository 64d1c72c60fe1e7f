//! Bodies of `invoke`: Claude's Messages, and the completions of earlier Claudes. Of other makers' requests the prompts are
//! read (`prompt` of Llama's, `inputText` of Titan's, messages), their answers only as far as the numbers that Bedrock
//! itself adds.

use crate::wire::PromptPieces;
use crate::wire::decoded::{Decoded, RawText};
use crate::wire::json_reader::{RawStr, Reader};
use crate::wire::usage;
use crate::wire::{anthropic, openai_completions, valid_prefix};

/// Reads a whole answer.
pub(super) fn decode_whole(text: &str) -> Decoded {
    let mut completion = Completion::default();
    match completion.read(text) {
        Some(()) if completion.text.is_some() => completed(&[completion]),
        _ => anthropic::decode_whole(text),
    }
}

/// Reads the events of a stream.
pub(super) fn decode_events(events: &[String]) -> Decoded {
    let mut completions = Vec::new();
    for event in events {
        let mut completion = Completion::default();
        if completion.read(event).is_some() {
            completions.push(completion);
        }
    }
    let metrics = completions
        .iter()
        .rev()
        .find_map(|completion| completion.metrics);
    let is_completed = completions
        .iter()
        .any(|completion| completion.text.is_some());
    let mut decoded = match is_completed {
        true => completed(&completions),
        false => anthropic::decode_texts(events.iter().map(String::as_str)),
    };
    if let Some(metrics) = metrics
        && decoded.usage.is_none()
    {
        decoded.usage = usage::read_bedrock(metrics);
        decoded.usage_raw = Some(metrics.to_owned());
    }
    decoded
}

/// What is counted as prompt.
pub fn prompt_pieces(text: &str) -> PromptPieces<'_> {
    match prompt_member(text.as_bytes()) {
        Some(member) => openai_completions::prompt_pieces(text, member),
        None => anthropic::prompt_pieces(text),
    }
}

/// Whether a request is one prompt, as earlier Claudes took it, and no list of messages.
pub fn has_prompt(body: &[u8]) -> bool {
    prompt_member(body) == Some("prompt")
}

/// The member that is the one prompt of a request without messages.
fn prompt_member(body: &[u8]) -> Option<&'static str> {
    const PROMPTS: [&str; 2] = ["prompt", "inputText"];
    let mut found = None;
    // What breaks off says what stands before.
    let _broken = Reader::new(valid_prefix(body)).object(|key, reader| {
        found = found.or_else(|| PROMPTS.into_iter().find(|name| *name == key.raw));
        reader.skip()
    });
    found
}

/// What a person says last in a prompt of Claude 2's, whose turns begin with `Human:` and `Assistant:`; else all of it.
pub fn last_turn(prompt: &str) -> &str {
    let Some((_, turn)) = prompt.rsplit_once("Human:") else {
        return prompt;
    };
    let said = turn.split_once("Assistant:").map_or(turn, |(said, _)| said);
    said.trim()
}

/// An answer of an earlier Claude, or a piece of one; and what Bedrock adds to the last event of any stream.
#[derive(Debug, Default)]
struct Completion<'a> {
    text: Option<RawStr<'a>>,
    stop_reason: Option<RawStr<'a>>,
    metrics: Option<&'a str>,
}

impl<'a> Completion<'a> {
    /// `None` when it is no JSON.
    fn read(&mut self, text: &'a str) -> Option<()> {
        let mut reader = Reader::new(text);
        reader
            .object(|key, reader| {
                match key.raw {
                    "completion" => self.text = reader.string()?,
                    "stop_reason" => self.stop_reason = reader.string()?,
                    "amazon-bedrock-invocationMetrics" => self.metrics = Some(reader.raw()?),
                    _ => reader.skip()?,
                }
                Ok(())
            })
            .ok()?;
        reader.end().ok()
    }
}

fn completed(pieces: &[Completion<'_>]) -> Decoded {
    let mut text = RawText::default();
    for piece in pieces.iter().filter_map(|piece| piece.text) {
        text.push(piece);
    }
    let reason = pieces.iter().rev().find_map(|piece| piece.stop_reason);
    Decoded {
        text: text.into_text(),
        finish_reason: reason.map(|reason| anthropic::finish_reason(reason.text().into_owned())),
        ..Decoded::default()
    }
}
