//! Bodies of `invoke`: those of the model's maker. What is asked is Claude's Messages, messages of others, or one prompt
//! (`prompt` of Llama's, Mistral's and of earlier Claudes, `inputText` of Titan's, `message` of Cohere's).

use std::borrow::Cow;

use crate::wire::PromptPieces;
use crate::wire::decoded::Decoded;
use crate::wire::json_reader::{RawStr, Reader};
use crate::wire::usage;
use crate::wire::{anthropic, openai_chat, openai_completions, valid_prefix};

use super::converse;
use super::makers::{self, Form};

/// Reads a whole answer.
pub(super) fn decode_whole(text: &str) -> Decoded {
    match Form::of(text) {
        None | Some(Form::Messages) => anthropic::decode_whole(text),
        Some(Form::Converse) => converse::decode_whole(text),
        Some(Form::Choices) => with_reason(openai_chat::decode_whole(text), [text]),
        Some(Form::Own) => makers::decode_whole(text),
    }
}

/// Reads the events of a stream. Bedrock adds its numbers to the last one, whoever made the model; the maker's own know more.
pub(super) fn decode_events(events: &[String]) -> Decoded {
    let texts = || events.iter().map(String::as_str);
    let mut decoded = match texts().find_map(Form::of) {
        None | Some(Form::Messages) => anthropic::decode_texts(texts()),
        Some(Form::Converse) => converse::decode_events(events),
        Some(Form::Choices) => with_reason(openai_chat::decode_texts(texts()), texts()),
        Some(Form::Own) => makers::decode_events(events),
    };
    let knows_all = decoded
        .usage
        .is_some_and(|usage| usage.completion.is_some());
    if !knows_all && let Some(metrics) = texts().rev().find_map(metrics) {
        decoded.usage = usage::read_bedrock(metrics).or(decoded.usage);
        decoded.usage_raw = Some(metrics.to_owned());
    }
    decoded
}

fn with_reason<'a>(decoded: Decoded, events: impl IntoIterator<Item = &'a str>) -> Decoded {
    let reason = decoded.finish_reason;
    Decoded {
        finish_reason: reason.or_else(|| makers::choice_stop_reason(events)),
        ..decoded
    }
}

/// What Bedrock adds to the last event of a stream.
fn metrics(event: &str) -> Option<&str> {
    let mut metrics = None;
    let read = makers::within(
        &mut Reader::new(event),
        "amazon-bedrock-invocationMetrics",
        |reader| {
            metrics = Some(reader.raw()?);
            Ok(())
        },
    );
    read.ok()?;
    metrics
}

/// What is counted as prompt.
pub fn prompt_pieces(text: &str) -> PromptPieces<'_> {
    match prompt_member(text.as_bytes()) {
        Some("message") => turns(text),
        Some(member) => openai_completions::prompt_pieces(text, member),
        None => anthropic::prompt_pieces(text),
    }
}

/// Cohere's: what is said now, what was said before, and how to behave.
fn turns(text: &str) -> PromptPieces<'_> {
    let mut pieces = PromptPieces {
        chat: true,
        messages: 1,
        ..PromptPieces::default()
    };
    let read = Reader::new(text).object(|key, reader| {
        match key.raw {
            "message" | "preamble" => pieces.texts.extend(reader.string()?.map(RawStr::text)),
            "chat_history" => {
                reader.array(|reader| {
                    pieces.messages += 1;
                    makers::within(reader, "message", |reader| {
                        pieces.texts.extend(reader.string()?.map(RawStr::text));
                        Ok(())
                    })
                })?;
            }
            "tools" | "tool_results" | "documents" => {
                pieces.texts.push(Cow::Borrowed(reader.raw()?));
            }
            _ => reader.skip()?,
        }
        Ok(())
    });
    pieces.broken = read.is_err();
    pieces
}

/// Whether a request is one prompt, as earlier Claudes took it, and no list of messages.
pub fn has_prompt(body: &[u8]) -> bool {
    prompt_member(body) == Some("prompt")
}

/// The members that are the one prompt of a request without messages: `texts` are made vectors of.
pub const PROMPTS: [&str; 4] = ["prompt", "inputText", "message", "texts"];

/// The member that is the one prompt.
fn prompt_member(body: &[u8]) -> Option<&'static str> {
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
