//! Answers put together: candidates by their number, parts in the order they came.

use std::borrow::Cow;

use super::{Candidate, Chunk, FunctionCall, is_unspecified};
use crate::wire::decoded::{Call, Decoded, ErrorFields, RawText, calls_json};
use crate::wire::json_reader::RawStr;
use crate::wire::usage::{self, Usage};

/// An answer as far as it was seen.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    model: Option<String>,
    usage: Option<Usage>,
    usage_raw: Option<String>,
    block_reason: Option<String>,
    error: Option<ErrorFields>,
    outputs: Vec<Output>,
}

#[derive(Debug, Default)]
struct Output {
    index: u64,
    finish_reason: Option<String>,
    text: RawText,
    thoughts: RawText,
    calls: Vec<Call>,
}

impl Assembly {
    /// Takes a whole answer, or a chunk of one.
    pub(super) fn apply(&mut self, chunk: &Chunk<'_>) {
        if let Some(model) = chunk.model {
            self.model = Some(model.text().into_owned());
        }
        if let Some(raw) = chunk.usage {
            self.see_usage(raw);
        }
        if let Some(reason) = chunk.block_reason.filter(|reason| !is_unspecified(*reason)) {
            self.block_reason = Some(reason.text().into_owned());
        }
        self.error = chunk.error().or(self.error.take());
        for (place, candidate) in (0..).zip(&chunk.candidates) {
            self.output(candidate.index.unwrap_or(place))
                .take(candidate);
        }
    }

    /// Every chunk tells of what was used so far: the last one that can be believed counts.
    fn see_usage(&mut self, raw: &str) {
        let read = usage::read_gemini(raw);
        if raw == "null" || read.is_none() && self.usage.is_some() {
            return;
        }
        self.usage = read;
        self.usage_raw = Some(raw.to_owned());
    }

    fn output(&mut self, index: u64) -> &mut Output {
        let place = self
            .outputs
            .iter()
            .position(|output| output.index == index)
            .unwrap_or_else(|| {
                self.outputs.push(Output {
                    index,
                    ..Output::default()
                });
                self.outputs.len() - 1
            });
        &mut self.outputs[place]
    }

    pub(super) fn into_decoded(mut self) -> Decoded {
        self.outputs.sort_by_key(|output| output.index);
        let mut decoded = Decoded {
            model: self.model,
            usage: self.usage,
            usage_raw: self.usage_raw,
            error: self.error,
            ..Decoded::default()
        };
        for (place, output) in self.outputs.into_iter().enumerate() {
            let calls = calls_json(&output.calls);
            let text = output.text.into_text();
            decoded.other_texts.extend(output.thoughts.into_text());
            if place == 0 {
                let has_calls = calls.is_some();
                decoded.finish_reason = output
                    .finish_reason
                    .map(|reason| finish_reason(reason, has_calls));
                decoded.text = text;
                decoded.tool_calls = calls;
            } else {
                decoded.other_texts.extend(text);
                decoded.other_texts.extend(calls);
            }
        }
        // A prompt that was refused has no candidates.
        if self.block_reason.is_some() && decoded.finish_reason.is_none() {
            decoded.finish_reason = Some("content_filter".to_owned());
        }
        decoded
    }
}

impl Output {
    fn take(&mut self, candidate: &Candidate<'_>) {
        let reason = candidate.finish_reason;
        if let Some(reason) = reason.filter(|reason| !is_unspecified(*reason)) {
            self.finish_reason = Some(reason.text().into_owned());
        }
        for part in &candidate.parts {
            match (part.text, part.thought) {
                (Some(text), true) => self.thoughts.push(text),
                (Some(text), false) => self.text.push(text),
                (None, _) => {}
            }
            self.calls.extend(part.call.as_ref().map(call));
        }
    }
}

/// A call in the shape that all formats share. Gemini need not name it: it has an empty id then.
fn call(called: &FunctionCall<'_>) -> Call {
    let mut call = Call::default();
    call.id.push(called.id.unwrap_or_default());
    call.name.push(called.name.unwrap_or_default());
    let arguments = inside_of_string(called.args.unwrap_or("{}"));
    call.arguments.push(RawStr {
        raw: &arguments,
        escaped: true,
    });
    call
}

/// A text as the inside of a JSON string.
fn inside_of_string(text: &str) -> Cow<'_, str> {
    let quoted = serde_json::Value::from(text).to_string();
    let inside = quoted
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    Cow::Owned(inside.unwrap_or_default().to_owned())
}

/// Gemini's word in OpenAI's; one that nobody knows stays.
fn finish_reason(reason: String, has_calls: bool) -> String {
    match reason.as_str() {
        "STOP" if has_calls => "tool_calls".to_owned(),
        "STOP" => "stop".to_owned(),
        "MAX_TOKENS" => "length".to_owned(),
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "LANGUAGE"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => "content_filter".to_owned(),
        _ => reason,
    }
}
