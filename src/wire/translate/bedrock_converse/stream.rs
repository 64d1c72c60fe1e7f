//! A streamed answer, read. Each event is an object of one member, its type with what it says.

use serde_json::Value;

use super::answer::{CITED, SERVERS_OWN, stop_of, usage};
use super::error;
use crate::wire::bedrock::{error_name, error_status};
use crate::wire::json_reader::{JsonError, Reader as Json};
use crate::wire::translate::fields::{drop_member, drop_members, says_nothing};
use crate::wire::translate::piece::{Give, Piece};
use crate::wire::translate::{Dropped, ProviderError, TranslateError};

/// Letters without a meaning, which hide how long an event is.
const PADDING: &str = "p";

/// The members of a delta that are read.
const OF_DELTA: &[&str] = &["text", "toolUse", "reasoningContent", "citation", PADDING];

/// Reads events.
#[derive(Debug, Default)]
pub(in crate::wire::translate) struct Reader {
    /// The blocks that are calls of the client's tools.
    calls: Vec<u64>,
    /// The open blocks that have no counterpart: they are named, and what is said in them is not carried.
    unknown: Vec<u64>,
    /// The last block that said something which is known.
    known: Option<u64>,
    has_stop: bool,
}

/// The members of a block's event.
#[derive(Default)]
struct Event<'a> {
    index: u64,
    said: Option<&'a str>,
}

/// What begins a block, or is added to one.
#[derive(Default)]
struct Inside<'a> {
    text: Option<&'a str>,
    thought: Option<&'a str>,
    signature: Option<&'a str>,
    redacted: Option<&'a str>,
    is_call: bool,
    kind: &'a str,
    id: &'a str,
    name: &'a str,
    input: Option<&'a str>,
    /// What a text cites.
    is_citation: bool,
    /// Whether there is a member that has no counterpart.
    has_other: bool,
}

impl Reader {
    pub(in crate::wire::translate) fn read(
        &mut self,
        data: &str,
        dropped: &mut Dropped,
        give: Give<'_>,
    ) -> Result<(), TranslateError> {
        let mut members = Vec::new();
        let mut json = Json::new(data);
        let is_object = json.object(|key, json| {
            members.push((key.raw, json.raw()?));
            Ok(())
        })?;
        json.end()?;
        if !is_object {
            return Err(TranslateError::Malformed(
                "an event is no object".to_owned(),
            ));
        }
        for (kind, said) in members {
            self.event(kind, said, dropped, give)?;
        }
        Ok(())
    }

    fn event(
        &mut self,
        kind: &str,
        said: &str,
        dropped: &mut Dropped,
        give: Give<'_>,
    ) -> Result<(), TranslateError> {
        match kind {
            "messageStart" => give(Piece::Start { model: None }),
            "contentBlockStart" => self.begin(said, dropped, give)?,
            "contentBlockDelta" => self.add(said, dropped, give)?,
            "contentBlockStop" => {
                let number = event(said)?.index;
                match self.unknown.contains(&number) {
                    true => self.unknown.retain(|index| *index != number),
                    false => give(Piece::PartEnd { number }),
                }
            }
            "messageStop" => {
                self.has_stop = true;
                let mut stop = "";
                Json::new(said).object(|key, json| {
                    match key.raw {
                        "stopReason" => stop = json.string()?.map_or("", |word| word.raw),
                        PADDING => json.skip()?,
                        _ => drop_member("", key, json, dropped)?,
                    }
                    Ok(())
                })?;
                give(Piece::Stop {
                    stop: stop_of(stop),
                    word: stop,
                    sequence: None,
                });
            }
            "metadata" => {
                let metadata: Value = serde_json::from_str(said).unwrap_or_default();
                if let Some(counted) = metadata.get("usage").filter(|usage| usage.is_object()) {
                    give(Piece::Usage(usage(counted)));
                }
                let known = ["usage", "metrics", PADDING];
                drop_members("", &known, Json::new(said), dropped)?;
                if self.has_stop {
                    give(Piece::End);
                }
            }
            _ if kind.ends_with("Exception") => {
                let body = serde_json::from_str(said).unwrap_or_default();
                let name = error_name(kind);
                return Err(TranslateError::Reported(ProviderError {
                    status: error_status(&name),
                    kind: Some(name),
                    ..error(&body)
                }));
            }
            // What is not known yet.
            _ => {}
        }
        Ok(())
    }

    fn begin(
        &mut self,
        said: &str,
        dropped: &mut Dropped,
        give: Give<'_>,
    ) -> Result<(), JsonError> {
        let Event { index, said } = event(said)?;
        let block = inside(said.unwrap_or("{}"))?;
        if block.is_call && block.kind != SERVERS_OWN {
            self.calls.push(index);
            give(Piece::Tool {
                number: index,
                id: block.id,
                name: block.name,
                signature: "",
            });
        } else if block.is_call || block.has_other {
            // Such as a search of the provider's own: the answer stands without it.
            self.drop_block(index, dropped);
        }
        Ok(())
    }

    fn add(&mut self, said: &str, dropped: &mut Dropped, give: Give<'_>) -> Result<(), JsonError> {
        let Event { index, said } = event(said)?;
        if self.unknown.contains(&index) {
            return Ok(());
        }
        let raw = said.unwrap_or("{}");
        let delta = inside(raw)?;
        let said = [
            (delta.text, Piece::Text as fn(_) -> _),
            (delta.thought, Piece::Thinking),
            (delta.signature, Piece::Signature),
            (delta.redacted, Piece::RedactedThinking),
        ];
        let is_said = said.iter().any(|(text, _)| text.is_some());
        let is_call = self.calls.contains(&index);
        if is_said || is_call || delta.is_citation {
            self.known = Some(index);
        }
        for (text, piece) in said {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                give(piece(text));
            }
        }
        if let Some(json) = delta.input.filter(|json| !json.is_empty()) {
            match is_call {
                true => give(Piece::Input {
                    number: index,
                    json,
                }),
                false => self.drop_block(index, dropped),
            }
        }
        if delta.is_citation {
            dropped.add_pieces(&[&path(index), ".", CITED, ".citations"]);
        }
        if delta.has_other {
            match self.known == Some(index) {
                true => {
                    let path = path(index) + ".";
                    drop_members(&path, OF_DELTA, Json::new(raw), dropped)?;
                }
                false => self.drop_block(index, dropped),
            }
        }
        Ok(())
    }

    fn drop_block(&mut self, index: u64, dropped: &mut Dropped) {
        self.unknown.push(index);
        dropped.add(path(index));
    }
}

fn path(index: u64) -> String {
    format!("output.message.content[{index}]")
}

fn event(said: &str) -> Result<Event<'_>, JsonError> {
    let mut event = Event::default();
    Json::new(said).object(|key, json| {
        match key.raw {
            "contentBlockIndex" => event.index = json.raw()?.parse().unwrap_or_default(),
            "start" | "delta" => event.said = Some(json.raw()?),
            _ => json.skip()?,
        }
        Ok(())
    })?;
    Ok(event)
}

fn inside(said: &str) -> Result<Inside<'_>, JsonError> {
    let mut inside = Inside::default();
    Json::new(said).object(|key, json| {
        match key.raw {
            "text" => inside.text = json.string()?.map(|text| text.raw),
            "toolUse" => {
                inside.is_call = json.object(|key, json| {
                    match key.raw {
                        "type" => inside.kind = json.string()?.map_or("", |kind| kind.raw),
                        "toolUseId" => inside.id = json.string()?.map_or("", |id| id.raw),
                        "name" => inside.name = json.string()?.map_or("", |name| name.raw),
                        "input" => inside.input = json.string()?.map(|json| json.raw),
                        _ => json.skip()?,
                    }
                    Ok(())
                })?;
            }
            "reasoningContent" => {
                json.object(|key, json| {
                    match key.raw {
                        "text" => inside.thought = json.string()?.map(|text| text.raw),
                        "signature" => inside.signature = json.string()?.map(|text| text.raw),
                        "redactedContent" => inside.redacted = json.string()?.map(|data| data.raw),
                        _ => json.skip()?,
                    }
                    Ok(())
                })?;
            }
            "citation" => {
                json.skip()?;
                inside.is_citation = true;
            }
            PADDING => json.skip()?,
            _ => inside.has_other |= !says_nothing(json.raw()?),
        }
        Ok(())
    })?;
    Ok(inside)
}
