//! Calls of tools, whole and streamed.

use serde_json::Value;

use crate::wire::json_reader::{JsonError, Reader as Json};
use crate::wire::openai_chat::{CallKeys, call_of};
use crate::wire::translate::canonical::{CutCall, Part};
use crate::wire::translate::fields::Fields;
use crate::wire::translate::piece::Piece;
use crate::wire::translate::{Dropped, TranslateError, numbers};

/// Of the thought behind a call, where Google's own compatible API has it. (ai.google.dev, OpenAI compatibility, read
/// 2026-11.)
pub(in crate::wire::translate) fn signature(
    call: &mut Fields,
) -> Result<Option<String>, TranslateError> {
    let Some(mut extra) = call.object("extra_content")? else {
        return Ok(None);
    };
    match extra.object("google")? {
        Some(mut google) => google.text("thought_signature"),
        None => Ok(None),
    }
}

/// What is passed to a call; nothing is an empty object.
pub(in crate::wire::translate) fn arguments(call: &mut Fields) -> Result<Value, TranslateError> {
    let arguments = call.text("arguments")?.unwrap_or_default();
    input_of(&arguments).ok_or_else(|| no_input(call))
}

pub(super) fn input_of(arguments: &str) -> Option<Value> {
    match arguments.trim() {
        "" => Some(Value::Object(serde_json::Map::new())),
        text => serde_json::from_str(text).ok().filter(Value::is_object),
    }
}

fn no_input(call: &Fields) -> TranslateError {
    call.invalid("arguments", "the JSON of an object")
}

/// `cut`: takes the calls whose input is not whole, where it need not be.
pub(super) fn calls(
    fields: &mut Fields,
    parts: &mut Vec<Part>,
    mut cut: Option<&mut Vec<CutCall>>,
    dropped: &mut Dropped,
) -> Result<(), TranslateError> {
    let path = fields.path("tool_calls");
    let calls = fields.list("tool_calls")?.unwrap_or_default();
    for (at, call) in calls.into_iter().enumerate() {
        let mut call = Fields::of(call, &format!("{path}[{at}]"))?;
        if call.text("type")?.is_some_and(|kind| kind != "function") {
            return Err(call.unsupported("type", "only functions are tools of every provider"));
        }
        let function = call.object("function")?;
        let mut function = function.ok_or_else(|| call.invalid("function", "an object"))?;
        let arguments = function.text("arguments")?.unwrap_or_default();
        let id = call.wanted_text("id")?;
        let name = function.wanted_text("name")?;
        let signature = signature(&mut call)?;
        match (input_of(&arguments), cut.as_deref_mut()) {
            (Some(input), _) => {
                if numbers::are_lost(&arguments) {
                    dropped.add(function.path("arguments"));
                }
                parts.push(Part::ToolUse {
                    id,
                    name,
                    input,
                    signature,
                });
            }
            (None, Some(cut)) => cut.push(CutCall {
                id,
                name,
                input: arguments,
                signature,
                path: function.path("arguments"),
            }),
            (None, None) => return Err(no_input(&function)),
        }
        // Where it stands among the others is its index.
        call.take("index");
        function.drop_rest(dropped);
        call.drop_rest(dropped);
    }
    Ok(())
}

/// The calls of a stream that have begun; their places are their numbers.
#[derive(Debug, Default)]
pub(super) struct Calls {
    begun: Vec<Call>,
}

/// By what a call is known in its source.
#[derive(Debug)]
struct Call {
    index: Option<u64>,
    /// As it is spelt.
    id: String,
    has_name: bool,
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.begun.is_empty()
    }

    /// Reads a call, or a fragment of one.
    pub(super) fn read<'a>(
        &mut self,
        json: &mut Json<'a>,
        pieces: &mut Vec<Piece<'a>>,
    ) -> Result<(), JsonError> {
        let (mut index, mut id, mut name, mut arguments) = (None, "", "", "");
        json.object(|key, json| {
            match key.raw {
                "index" => index = json.raw()?.parse().ok(),
                "id" => id = json.string()?.map_or("", |id| id.raw),
                "function" => {
                    json.object(|key, json| {
                        match key.raw {
                            "name" => name = json.string()?.map_or("", |name| name.raw),
                            "arguments" => arguments = json.string()?.map_or("", |text| text.raw),
                            _ => json.skip()?,
                        }
                        Ok(())
                    })?;
                }
                _ => json.skip()?,
            }
            Ok(())
        })?;
        let begun = self.begun.iter().map(|call| CallKeys {
            index: call.index,
            id: &call.id,
            has_name: call.has_name,
        });
        let has_name = !name.is_empty();
        let keys = CallKeys {
            index,
            id,
            has_name,
        };
        let place = call_of(begun, keys);
        let number = u64::try_from(place.unwrap_or(self.begun.len())).unwrap_or(u64::MAX);
        match place.and_then(|place| self.begun.get_mut(place)) {
            Some(call) => {
                if call.id.is_empty() {
                    id.clone_into(&mut call.id);
                }
                call.has_name |= has_name;
            }
            None => {
                self.begun.push(Call {
                    index,
                    id: id.to_owned(),
                    has_name,
                });
                pieces.push(Piece::Tool {
                    number,
                    id,
                    name,
                    signature: "",
                });
            }
        }
        if !arguments.is_empty() {
            let json = arguments;
            pieces.push(Piece::Input { number, json });
        }
        Ok(())
    }
}
