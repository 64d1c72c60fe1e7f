//! Answers put together: choices by their index, tool calls by theirs, fragments in the order they came.

use super::{CallPiece, CallPlaces, Chunk, Message};
use crate::wire::decoded::{Call, Decoded, ErrorFields, RawText, SeenUsage, calls_json};
use crate::wire::json_reader::{RawStr, Reader};

/// An answer as far as it was seen.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    model: Option<String>,
    choices: Vec<Choice>,
    usage: SeenUsage,
    service_tier: Option<String>,
    error: Option<ErrorFields>,
}

#[derive(Debug, Default)]
struct Choice {
    index: u64,
    text: RawText,
    refusal: RawText,
    finish_reason: Option<String>,
    calls: Vec<Call>,
    places: CallPlaces,
    /// Of whole answers: the calls as written.
    calls_as_written: Option<String>,
    function: Option<Call>,
    function_as_written: Option<String>,
}

impl Assembly {
    /// Takes the data of an event; what is not JSON teaches nothing.
    pub(super) fn see(&mut self, data: &str) {
        let mut reader = Reader::new(data);
        let (chunk, read) = Chunk::read(&mut reader);
        if read.and_then(|()| reader.end()).is_ok() {
            self.apply(&chunk);
        }
    }

    /// Adds a chunk of a stream.
    pub(super) fn apply(&mut self, chunk: &Chunk<'_>) {
        self.apply_top(chunk);
        for piece in &chunk.choices {
            let choice = self.choice(piece.index);
            choice.ended(piece.finish_reason);
            choice.add(&piece.message);
            for call in &piece.message.calls {
                choice.add_call(call);
            }
            if piece.message.function_call.is_some() {
                add_fragments(
                    choice.function.get_or_insert_default(),
                    &piece.message.function,
                );
            }
        }
    }

    /// Takes a whole answer.
    pub(super) fn apply_whole(&mut self, chunk: &Chunk<'_>) {
        self.apply_top(chunk);
        for whole in &chunk.choices {
            let choice = self.choice(whole.index);
            choice.ended(whole.finish_reason);
            choice.add(&whole.message);
            choice.calls_as_written = whole.message.tool_calls.map(str::to_owned);
            choice.function_as_written = whole.message.function_call.map(str::to_owned);
        }
    }

    fn apply_top(&mut self, chunk: &Chunk<'_>) {
        if let Some(model) = chunk.model
            && self.model.is_none()
            && !model.raw.is_empty()
        {
            self.model = Some(model.text().into_owned());
        }
        if let Some(tier) = chunk.service_tier {
            self.service_tier = Some(tier.text().into_owned());
        }
        if let Some(usage) = chunk.usage {
            self.usage.see(usage);
        }
        if self.error.is_none() {
            self.error = chunk.error();
        }
    }

    fn choice(&mut self, index: u64) -> &mut Choice {
        let place = self
            .choices
            .iter()
            .position(|choice| choice.index == index)
            .unwrap_or_else(|| {
                self.choices.push(Choice {
                    index,
                    ..Choice::default()
                });
                self.choices.len() - 1
            });
        &mut self.choices[place]
    }

    pub(super) fn into_decoded(mut self) -> Decoded {
        self.choices.sort_by_key(|choice| choice.index);
        let mut choices = self.choices.into_iter();
        let mut decoded = choices.next().map(Choice::into_decoded).unwrap_or_default();
        for other in choices {
            let other = other.into_decoded();
            decoded.other_texts.extend(
                [other.text, other.tool_calls, other.function_call]
                    .into_iter()
                    .flatten(),
            );
        }
        decoded.model = self.model;
        decoded.usage = self.usage.usage;
        decoded.usage_raw = self.usage.raw;
        decoded.service_tier = self.service_tier;
        decoded.error = self.error;
        decoded
    }
}

impl Choice {
    fn ended(&mut self, reason: Option<RawStr<'_>>) {
        if let Some(reason) = reason {
            self.finish_reason = Some(reason.text().into_owned());
        }
    }

    fn add(&mut self, message: &Message<'_>) {
        for text in &message.content.texts {
            self.text.push(*text);
        }
        if let Some(refusal) = message.refusal {
            self.refusal.push(refusal);
        }
    }

    /// Adds a fragment to the call it belongs to.
    fn add_call(&mut self, piece: &CallPiece<'_>) {
        let place = self.places.place(piece.fragment());
        if place.begins {
            self.calls.push(Call {
                custom: piece.custom,
                ..Call::default()
            });
        }
        if let Some(call) = self.calls.get_mut(place.at) {
            add_fragments(call, piece);
        }
    }

    fn into_decoded(self) -> Decoded {
        let text = if self.text.is_empty() && !self.refusal.is_empty() {
            self.refusal
        } else {
            self.text
        };
        Decoded {
            finish_reason: self.finish_reason,
            text: text.into_text(),
            tool_calls: self.calls_as_written.or_else(|| calls_json(&self.calls)),
            function_call: self
                .function_as_written
                .or_else(|| self.function.map(|call| call.function_json())),
            ..Decoded::default()
        }
    }
}

fn add_fragments(call: &mut Call, piece: &CallPiece<'_>) {
    if let Some(id) = piece.id
        && call.id.is_empty()
    {
        call.id.push(id);
    }
    if let Some(name) = piece.name
        && call.name.is_empty()
    {
        call.name.push(name);
    }
    if let Some(arguments) = piece.arguments {
        call.arguments.push(arguments);
    }
    if let Some(object) = piece.object {
        call.arguments.push_text(object);
    }
}
