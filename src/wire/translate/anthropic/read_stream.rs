//! A streamed message, read.

use serde_json::Value;

use super::answer::{stop_of, usage};
use crate::wire::json_reader::{JsonError, Reader as Json};
use crate::wire::translate::fields::{drop_members, says_nothing};
use crate::wire::translate::piece::{Give, Piece, spelt};
use crate::wire::translate::{Dropped, TranslateError, fields};

/// Reads events.
#[derive(Debug, Default)]
pub(in crate::wire::translate) struct Reader {
    usage: Value,
    /// The open blocks that have no counterpart: they are named, and what is said in them is not carried.
    unknown: Vec<u64>,
    /// What calls began with, as it is spelt in a text, until it is known that nothing else is passed to them.
    inputs: Vec<(u64, String)>,
}

/// The members of an event that say something, as they stand.
#[derive(Default)]
struct Event<'a> {
    kind: &'a str,
    index: u64,
    message: Option<&'a str>,
    block: Option<&'a str>,
    delta: Option<&'a str>,
    usage: Option<&'a str>,
    has_more: bool,
}

const OF_EVENT: &[&str] = &[
    "type",
    "index",
    "message",
    "content_block",
    "delta",
    "usage",
];

const OF_MESSAGE: &[&str] = &[
    "id",
    "type",
    "role",
    "model",
    "content",
    "stop_reason",
    "stop_sequence",
    "usage",
];

/// The members of a block or a delta.
#[derive(Default)]
struct Inside<'a> {
    kind: &'a str,
    text: Option<&'a str>,
    id: &'a str,
    name: &'a str,
    stop: Option<&'a str>,
    sequence: Option<&'a str>,
    input: Option<&'a str>,
    has_more: bool,
}

/// The members of any of them.
const INSIDE: &[&str] = &[
    "type",
    "id",
    "name",
    "input",
    "text",
    "thinking",
    "partial_json",
    "data",
    "signature",
    "stop_reason",
    "stop_sequence",
];

impl Reader {
    pub(in crate::wire::translate) fn read(
        &mut self,
        data: &str,
        dropped: &mut Dropped,
        give: Give<'_>,
    ) -> Result<(), TranslateError> {
        let event = event(data)?;
        match event.kind {
            "message_start" => self.begin(event.message.unwrap_or("{}"), dropped, give)?,
            "content_block_start" => {
                self.block(event.index, event.block.unwrap_or("{}"), dropped, give)?;
            }
            "content_block_delta" if self.unknown.contains(&event.index) => {}
            "content_block_delta" => {
                self.delta(event.index, event.delta.unwrap_or("{}"), dropped, give)?;
            }
            "content_block_stop" => match self.unknown.contains(&event.index) {
                true => self.unknown.retain(|index| *index != event.index),
                false => {
                    self.give_inputs(Some(event.index), give);
                    give(Piece::PartEnd {
                        number: event.index,
                    });
                }
            },
            "message_delta" => {
                self.count(event.usage, give);
                let raw = event.delta.unwrap_or("{}");
                let delta = inside(raw)?;
                if event.has_more {
                    drop_members("", OF_EVENT, Json::new(data), dropped)?;
                }
                if delta.has_more {
                    drop_members("", INSIDE, Json::new(raw), dropped)?;
                }
                if let Some(word) = delta.stop {
                    self.give_inputs(None, give);
                    give(Piece::Stop {
                        stop: stop_of(word),
                        word,
                        sequence: delta.sequence,
                    });
                }
            }
            "message_stop" => {
                self.give_inputs(None, give);
                give(Piece::End);
            }
            "error" => {
                let error = serde_json::from_str(data).map(|body: Value| fields::error(&body));
                return Err(TranslateError::Reported(error.unwrap_or_default()));
            }
            "ping" => give(Piece::Ping),
            // What is not known yet.
            _ => {}
        }
        Ok(())
    }

    fn begin(
        &mut self,
        message: &str,
        dropped: &mut Dropped,
        give: Give<'_>,
    ) -> Result<(), JsonError> {
        let (mut model, mut usage) = (None, None);
        drop_members("", OF_MESSAGE, Json::new(message), dropped)?;
        Json::new(message).object(|key, json| {
            match key.raw {
                "model" => model = json.string()?.map(|model| model.raw),
                "usage" => usage = Some(json.raw()?),
                _ => json.skip()?,
            }
            Ok(())
        })?;
        give(Piece::Start { model });
        self.count(usage, give);
        Ok(())
    }

    fn block(
        &mut self,
        index: u64,
        raw: &str,
        dropped: &mut Dropped,
        give: Give<'_>,
    ) -> Result<(), JsonError> {
        let block = inside(raw)?;
        let text = block.text.filter(|text| !text.is_empty());
        match block.kind {
            "tool_use" => {
                give(Piece::Tool {
                    number: index,
                    id: block.id,
                    name: block.name,
                    signature: "",
                });
                let is_passed = |input: &&str| input.starts_with('{') && !says_nothing(input);
                if let Some(input) = block.input.filter(is_passed) {
                    self.inputs.push((index, spelt(input)));
                }
            }
            "text" => text.map(Piece::Text).into_iter().for_each(give),
            "thinking" => text.map(Piece::Thinking).into_iter().for_each(give),
            "redacted_thinking" => {
                text.map(Piece::RedactedThinking).into_iter().for_each(give);
            }
            // Such as a search of the provider's own: the answer stands without it.
            _ => {
                self.unknown.push(index);
                dropped.add(path(index));
                return Ok(());
            }
        }
        if block.has_more {
            drop_members(
                &format!("{}.", path(index)),
                INSIDE,
                Json::new(raw),
                dropped,
            )?;
        }
        Ok(())
    }

    /// Later numbers are of the whole answer; those that are not repeated stand.
    fn count(&mut self, raw: Option<&str>, give: Give<'_>) {
        let Some(Value::Object(counted)) = raw.and_then(|raw| serde_json::from_str(raw).ok())
        else {
            return;
        };
        for (key, value) in counted.into_iter().filter(|(_, value)| !value.is_null()) {
            self.usage[key] = value;
        }
        give(Piece::Usage(usage(&self.usage)));
    }

    /// What a delta says of a block that is known.
    fn delta<'a>(
        &mut self,
        index: u64,
        raw: &'a str,
        dropped: &mut Dropped,
        give: Give<'_>,
    ) -> Result<(), JsonError> {
        let delta = inside(raw)?;
        let make: fn(&'a str) -> Piece<'a> = match delta.kind {
            "text_delta" => Piece::Text,
            "thinking_delta" => Piece::Thinking,
            "signature_delta" => Piece::Signature,
            "input_json_delta" => {
                let json = delta.text.unwrap_or_default();
                if !json.is_empty() {
                    self.inputs.retain(|(number, _)| *number != index);
                    give(Piece::Input {
                        number: index,
                        json,
                    });
                }
                return Ok(());
            }
            // In a whole answer a member of its block, such as `citations`.
            kind => {
                let member = kind.strip_suffix("_delta").unwrap_or(kind);
                dropped.add_pieces(&[&path(index), ".", member]);
                return Ok(());
            }
        };
        delta
            .text
            .filter(|text| !text.is_empty())
            .map(make)
            .into_iter()
            .for_each(give);
        Ok(())
    }

    /// Gives what calls began with: one, or all.
    fn give_inputs(&mut self, of: Option<u64>, give: Give<'_>) {
        self.inputs.retain(|(number, json)| {
            let is_asked = of.is_none_or(|of| of == *number);
            if is_asked {
                let number = *number;
                give(Piece::Input { number, json });
            }
            !is_asked
        });
    }

    /// How many bytes of what was said are kept.
    pub(in crate::wire::translate) fn kept_bytes(&self) -> usize {
        let lengths = self.inputs.iter().map(|(_, json)| json.len());
        lengths.fold(0, usize::saturating_add)
    }
}

fn path(index: u64) -> String {
    format!("content[{index}]")
}

fn event(data: &str) -> Result<Event<'_>, JsonError> {
    let mut event = Event::default();
    Json::new(data).object(|key, json| {
        match key.raw {
            "type" => event.kind = json.string()?.map_or("", |kind| kind.raw),
            "index" => event.index = json.raw()?.parse().unwrap_or_default(),
            "message" => event.message = Some(json.raw()?),
            "content_block" => event.block = Some(json.raw()?),
            "delta" => event.delta = Some(json.raw()?),
            "usage" => event.usage = Some(json.raw()?),
            _ => {
                event.has_more = true;
                json.skip()?;
            }
        }
        Ok(())
    })?;
    Ok(event)
}

fn inside(raw: &str) -> Result<Inside<'_>, JsonError> {
    let mut inside = Inside::default();
    Json::new(raw).object(|key, json| {
        match key.raw {
            "type" => inside.kind = json.string()?.map_or("", |kind| kind.raw),
            "id" => inside.id = json.string()?.map_or("", |id| id.raw),
            "name" => inside.name = json.string()?.map_or("", |name| name.raw),
            "text" | "thinking" | "partial_json" | "data" => {
                inside.text = json.string()?.map(|text| text.raw);
            }
            // Of a delta all there is; a block begins with an empty one.
            "signature" => inside.text = json.string()?.map(|text| text.raw).or(inside.text),
            "stop_reason" => inside.stop = json.string()?.map(|word| word.raw),
            "stop_sequence" => inside.sequence = json.string()?.map(|text| text.raw),
            "input" => inside.input = Some(json.raw()?),
            _ => {
                inside.has_more = true;
                json.skip()?;
            }
        }
        Ok(())
    })?;
    Ok(inside)
}
