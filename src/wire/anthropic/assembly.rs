//! Answers put together: blocks by their index, fragments in the order they came.

use super::{Block, Event, Message};
use crate::wire::decoded::{Call, Decoded, ErrorFields, RawText, calls_json};
use crate::wire::json_reader::{RawStr, Reader};
use crate::wire::usage::{self, Usage};

/// An answer as far as it was seen.
#[derive(Debug, Default)]
pub(in crate::wire) struct Assembly {
    model: Option<String>,
    stop_reason: Option<String>,
    usage: SeenUsage,
    /// Whether only the beginning of a stream said how much is answered: that is a placeholder.
    has_begun_only: bool,
    error: Option<ErrorFields>,
    blocks: Vec<Output>,
}

#[derive(Debug, Default)]
struct Output {
    index: u64,
    text: RawText,
    thinking: RawText,
    call: Option<Call>,
}

impl Assembly {
    /// Takes a whole answer.
    pub(super) fn take_whole(&mut self, message: &Message<'_>) {
        self.take_top(message);
        for (index, block) in (0..).zip(&message.content) {
            self.begin(index, block);
        }
    }

    /// Takes the data of an event; what is not JSON teaches nothing.
    pub(super) fn see(&mut self, data: &str) {
        let mut reader = Reader::new(data);
        let mut event = Event::default();
        let read = event.read(&mut reader);
        if read.and_then(|()| reader.end()).is_ok() {
            self.apply(&event);
        }
    }

    /// Takes an event of a stream.
    fn apply(&mut self, event: &Event<'_>) {
        if let Some(message) = &event.message {
            self.take_whole(message);
            self.has_begun_only = message.usage.is_some();
        }
        if let Some(block) = &event.block {
            self.begin(event.index, block);
        }
        if let Some(delta) = &event.delta {
            self.ended(delta.stop_reason);
            self.add(event.index, delta);
        }
        if let Some(usage) = event.usage {
            self.usage.see(usage);
            self.has_begun_only = false;
        }
        if event.kind.is_some_and(|kind| kind.is("error")) {
            self.error = event
                .error
                .and_then(ErrorFields::read)
                .or(self.error.take());
        }
    }

    fn take_top(&mut self, message: &Message<'_>) {
        if let Some(model) = message.model {
            self.model = Some(model.text().into_owned());
        }
        if let Some(usage) = message.usage {
            self.usage.see(usage);
        }
        self.ended(message.stop_reason);
        self.error = message.error().or(self.error.take());
    }

    fn ended(&mut self, reason: Option<RawStr<'_>>) {
        if let Some(reason) = reason {
            self.stop_reason = Some(reason.text().into_owned());
        }
    }

    fn output(&mut self, index: u64) -> &mut Output {
        let place = self
            .blocks
            .iter()
            .position(|output| output.index == index)
            .unwrap_or_else(|| {
                self.blocks.push(Output {
                    index,
                    ..Output::default()
                });
                self.blocks.len() - 1
            });
        &mut self.blocks[place]
    }

    /// A block as it stands at its beginning; of a whole answer, all of it.
    fn begin(&mut self, index: u64, block: &Block<'_>) {
        self.output(index);
        if block.kind.is_some_and(|kind| kind.is("tool_use")) {
            self.begin_call(index, block);
        }
        self.add(index, block);
    }

    /// A call as it stands at its beginning.
    pub(in crate::wire) fn begin_call(&mut self, index: u64, block: &Block<'_>) {
        let output = self.output(index);
        {
            let call = output.call.get_or_insert_default();
            for (place, value) in [(&mut call.id, block.id), (&mut call.name, block.name)] {
                if let Some(value) = value {
                    place.clear();
                    place.push(value);
                }
            }
            let begun = block.input.filter(|input| !is_empty_object(input));
            if let Some(input) = begun {
                let inside = inside_of_string(input);
                call.arguments.push(RawStr {
                    raw: &inside,
                    escaped: true,
                });
            }
        }
    }

    /// What is added to a block.
    pub(in crate::wire) fn add(&mut self, index: u64, delta: &Block<'_>) {
        if delta.text.is_none() && delta.thinking.is_none() && delta.partial_json.is_none() {
            return;
        }
        let output = self.output(index);
        if let Some(text) = delta.text {
            output.text.push(text);
        }
        if let Some(thinking) = delta.thinking {
            output.thinking.push(thinking);
        }
        if let (Some(json), Some(call)) = (delta.partial_json, &mut output.call) {
            call.arguments.push(json);
        }
    }

    pub(in crate::wire) fn into_decoded(mut self) -> Decoded {
        self.blocks.sort_by_key(|output| output.index);
        for call in self
            .blocks
            .iter_mut()
            .filter_map(|output| output.call.as_mut())
        {
            if call.arguments.is_empty() {
                call.arguments.push(RawStr {
                    raw: "{}",
                    escaped: false,
                });
            }
        }
        let tool_calls = calls_json(self.blocks.iter().filter_map(|output| output.call.as_ref()));
        let (mut text, mut other_texts) = (None::<String>, Vec::new());
        for output in self.blocks {
            if let Some(piece) = output.text.into_text() {
                text.get_or_insert_default().push_str(&piece);
            }
            other_texts.extend(output.thinking.into_text());
        }
        let usage = self.usage.raw.as_deref().and_then(usage::read_anthropic);
        Decoded {
            model: self.model,
            finish_reason: self.stop_reason.map(finish_reason),
            text,
            tool_calls,
            usage: match self.has_begun_only {
                true => usage.map(Usage::of_prompt),
                false => usage,
            },
            usage_raw: self.usage.raw,
            error: self.error,
            other_texts,
            ..Decoded::default()
        }
    }
}

/// Anthropic's word in OpenAI's; one that nobody knows stays.
pub(in crate::wire) fn finish_reason(reason: String) -> String {
    match reason.as_str() {
        "end_turn" | "stop_sequence" | "pause_turn" => "stop".to_owned(),
        "max_tokens" | "model_context_window_exceeded" => "length".to_owned(),
        "tool_use" => "tool_calls".to_owned(),
        "refusal" => "content_filter".to_owned(),
        _ => reason,
    }
}

fn is_empty_object(raw: &str) -> bool {
    let inside = raw.strip_prefix('{').and_then(|raw| raw.strip_suffix('}'));
    inside.is_some_and(|inside| inside.trim().is_empty())
}

/// A text as the inside of a JSON string.
fn inside_of_string(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inside = quoted
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    inside.unwrap_or_default().to_owned()
}

/// Usage seen so far. A stream tells of the input when it begins and of the output when it ends: the fields of later
/// objects take the place of earlier ones, as written.
#[derive(Debug, Default)]
struct SeenUsage {
    raw: Option<String>,
}

impl SeenUsage {
    fn see(&mut self, raw: &str) {
        let Some(before) = &self.raw else {
            self.raw = (raw != "null").then(|| raw.to_owned());
            return;
        };
        let mut fields: Vec<(&str, &str)> = Vec::new();
        for object in [before, raw] {
            // What breaks off leaves what was read before.
            let _broken = Reader::new(object).object(|key, reader| {
                let value = reader.raw()?;
                match fields.iter_mut().find(|(known, _)| *known == key.raw) {
                    Some(_) if value == "null" => {}
                    Some((_, known)) => *known = value,
                    None => fields.push((key.raw, value)),
                }
                Ok(())
            });
        }
        let fields: Vec<String> = fields
            .iter()
            .map(|(key, value)| format!("\"{key}\":{value}"))
            .collect();
        self.raw = Some(format!("{{{}}}", fields.join(",")));
    }
}
