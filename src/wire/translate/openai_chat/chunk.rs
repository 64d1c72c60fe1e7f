//! A chunk of a streamed chat, read in one pass. What is not carried is named as in a whole answer.

use super::calls::Calls;
use super::content;
use super::old_call::OldCall;
use crate::wire::json_reader::{JsonError, Kind, Reader as Json};
use crate::wire::translate::fields::{drop_member, drop_members};
use crate::wire::translate::piece::Piece;
use crate::wire::translate::places::{self, Places};
use crate::wire::translate::{Dropped, TranslateError};

/// What chunks are read by: what came before.
#[derive(Debug, Default)]
pub(super) struct SoFar {
    pub calls: Calls,
    /// Of the parts of the content.
    places: Places,
    /// Whether thoughts come as plain texts, so that blocks say them again.
    has_plain_thoughts: bool,
}

/// What a chunk says of its first choice.
#[derive(Debug, Default)]
pub(super) struct Chunk<'a> {
    pub model: Option<&'a str>,
    pub pieces: Vec<Piece<'a>>,
    /// Inputs of calls that are objects, by the calls' numbers.
    pub objects: Vec<(u64, &'a str)>,
    pub old_call: Option<OldCall<'a>>,
    pub finish: Option<&'a str>,
    pub has_other_choices: bool,
    pub usage: Option<&'a str>,
    pub logprobs: Option<&'a str>,
    pub error: Option<&'a str>,
}

/// The members of a choice that are read.
const OF_CHOICE: &[&str] = &["index", "delta", "logprobs", "finish_reason"];

impl<'a> Chunk<'a> {
    pub(super) fn read(
        data: &'a str,
        so_far: &mut SoFar,
        dropped: &mut Dropped,
    ) -> Result<Self, TranslateError> {
        let mut chunk = Self::default();
        Json::new(data).object(|key, json| {
            match key.raw {
                "model" => chunk.model = json.string()?.map(|model| model.raw),
                "choices" => {
                    json.array(|json| chunk.choice(json, so_far, dropped))?;
                }
                "usage" => chunk.usage = Some(json.raw()?),
                "error" => chunk.error = Some(json.raw()?),
                "id" | "object" | "created" | "service_tier" | "system_fingerprint" => {
                    json.skip()?
                }
                // Letters without a meaning, which hide how long a chunk is.
                "obfuscation" => json.skip()?,
                _ => drop_member("", key, json, dropped)?,
            }
            Ok(())
        })?;
        so_far.calls.take_failure().map_or(Ok(chunk), Err)
    }

    pub(super) fn says_nothing(&self) -> bool {
        let has_pieces = !self.pieces.is_empty() || self.old_call.is_some();
        let says_more = has_pieces || self.finish.is_some() || self.usage.is_some();
        !says_more && self.model.is_none_or(str::is_empty)
    }

    fn choice(
        &mut self,
        json: &mut Json<'a>,
        so_far: &mut SoFar,
        dropped: &mut Dropped,
    ) -> Result<(), JsonError> {
        let again = json.clone();
        let (mut index, mut delta, mut finish, mut logprobs) = ("0", None, None, None);
        let mut has_more = false;
        json.object(|key, json| {
            match key.raw {
                "index" => index = json.raw()?,
                "delta" => delta = Some(json.raw()?),
                "logprobs" => logprobs = Some(json.raw()?),
                "finish_reason" => finish = json.string()?.map(|word| word.raw),
                _ => {
                    has_more = true;
                    json.skip()?;
                }
            }
            Ok(())
        })?;
        if index != "0" {
            self.has_other_choices = true;
            return Ok(());
        }
        if has_more {
            drop_members("choices[0].", OF_CHOICE, again, dropped)?;
        }
        self.finish = finish.or(self.finish);
        self.logprobs = logprobs.filter(|logprobs| *logprobs != "null");
        delta.map_or(Ok(()), |delta| self.delta(delta, so_far, dropped))
    }

    fn delta(
        &mut self,
        delta: &'a str,
        so_far: &mut SoFar,
        dropped: &mut Dropped,
    ) -> Result<(), JsonError> {
        const PATH: &str = "choices[0].message.";
        let (mut thought, mut blocks) = (None, None);
        Json::new(delta).object(|key, json| {
            let make: fn(&'a str) -> Piece<'a> = match key.raw {
                "content" if json.peek()? == Kind::Array => {
                    content::read_streamed(json, &mut so_far.places, &mut self.pieces, dropped)?;
                    return Ok(());
                }
                "content" => {
                    so_far.places.place(places::Kind::Text, true);
                    Piece::Text
                }
                "refusal" => Piece::Refusal,
                "reasoning" if !matches!(json.peek()?, Kind::String | Kind::Null) => {
                    return drop_member(PATH, key, json, dropped);
                }
                // Compatible servers have the one word or the other, and some both.
                "reasoning_content" | "reasoning" => {
                    thought = json.string()?.map(|text| text.raw).or(thought);
                    return Ok(());
                }
                "thinking_blocks" => {
                    blocks = Some(json.clone());
                    return json.skip();
                }
                "tool_calls" => {
                    let (pieces, objects) = (&mut self.pieces, &mut self.objects);
                    json.array(|json| so_far.calls.read(json, pieces, objects, dropped))?;
                    return Ok(());
                }
                "function_call" => {
                    self.old_call = OldCall::read(json, dropped)?;
                    return Ok(());
                }
                "role" => return json.skip(),
                _ => return drop_member(PATH, key, json, dropped),
            };
            let text = json.string()?.filter(|text| !text.raw.is_empty());
            self.pieces.extend(text.map(|text| make(text.raw)));
            Ok(())
        })?;
        let thought = thought.filter(|thought| !thought.is_empty());
        so_far.has_plain_thoughts |= thought.is_some();
        let mut thoughts: Vec<Piece<'a>> = thought.map(Piece::Thinking).into_iter().collect();
        if let Some(mut blocks) = blocks {
            let says_texts = !so_far.has_plain_thoughts;
            blocks.array(|json| content::read_block(json, says_texts, &mut thoughts))?;
        }
        if !thoughts.is_empty() {
            self.pieces.splice(0..0, thoughts);
        }
        Ok(())
    }
}
