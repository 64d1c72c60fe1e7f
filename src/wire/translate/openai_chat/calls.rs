//! Calls of tools, whole and streamed.

use serde_json::Value;

use crate::wire::json_reader::{JsonError, Kind, Reader as Json};
use crate::wire::openai_chat::{CallPlaces, Fragment, Input};
use crate::wire::translate::canonical::{CutCall, Part};
use crate::wire::translate::fields::{Fields, drop_members};
use crate::wire::translate::piece::Piece;
use crate::wire::translate::{Dropped, TranslateError, numbers};

/// The member of a call for what is of one provider.
const EXTRA: &str = "extra_content";

/// Of the thought behind a call, where Google's own compatible API has it. (ai.google.dev, OpenAI compatibility, read
/// 2026-11.)
pub(in crate::wire::translate) fn signature(
    call: &mut Fields,
) -> Result<Option<String>, TranslateError> {
    let Some(mut extra) = call.object(EXTRA)? else {
        return Ok(None);
    };
    match extra.object("google")? {
        Some(mut google) => google.text("thought_signature"),
        None => Ok(None),
    }
}

/// What is passed to a call; nothing is an empty object.
pub(in crate::wire::translate) fn arguments(call: &mut Fields) -> Result<Value, TranslateError> {
    let arguments = spelling(call)?;
    input_of(&arguments).ok_or_else(|| no_input(call))
}

/// The arguments as a text. Some servers, such as Ollama, have the object itself.
fn spelling(call: &mut Fields) -> Result<String, TranslateError> {
    match call.take("arguments") {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text),
        Some(object @ Value::Object(_)) => Ok(object.to_string()),
        Some(_) => Err(no_input(call)),
    }
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

/// Why another kind of call is refused.
const ONLY_FUNCTIONS: &str = "only functions are tools of every provider";

/// Where calls stand.
pub(super) enum CallsOf<'a> {
    /// Their results find them by their ids.
    Conversation,
    /// Ids that are missing are made. Takes the calls whose input is not whole, where it need not be.
    Answer(Option<&'a mut Vec<CutCall>>),
}

pub(super) fn calls(
    fields: &mut Fields,
    parts: &mut Vec<Part>,
    mut of: CallsOf<'_>,
    dropped: &mut Dropped,
) -> Result<(), TranslateError> {
    let path = fields.path("tool_calls");
    let calls = fields.list("tool_calls")?.unwrap_or_default();
    for (at, call) in calls.into_iter().enumerate() {
        let mut call = Fields::of(call, &format!("{path}[{at}]"))?;
        if call.text("type")?.is_some_and(|kind| kind != "function") {
            return Err(call.unsupported("type", ONLY_FUNCTIONS));
        }
        let function = call.object("function")?;
        let mut function = function.ok_or_else(|| call.invalid("function", "an object"))?;
        let arguments = spelling(&mut function)?;
        let id = match of {
            CallsOf::Conversation => call.wanted_text("id")?,
            CallsOf::Answer(_) => call.text("id")?.unwrap_or_default(),
        };
        let name = function.wanted_text("name")?;
        let signature = signature(&mut call)?;
        match (input_of(&arguments), &mut of) {
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
            (None, CallsOf::Answer(Some(cut))) => cut.push(CutCall {
                id,
                name,
                input: arguments,
                signature,
                path: function.path("arguments"),
            }),
            (None, CallsOf::Conversation | CallsOf::Answer(None)) => {
                return Err(no_input(&function));
            }
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
    places: CallPlaces,
    /// The path of a kind that is no function.
    other_kind: Option<String>,
}

/// The members of a call that are read, and of its function.
const OF_CALL: &[&str] = &["index", "id", "type", "function", EXTRA];
const OF_FUNCTION: &[&str] = &["name", "arguments"];

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Why what was read cannot be carried.
    pub(super) fn take_failure(&mut self) -> Option<TranslateError> {
        let field = self.other_kind.take()?;
        let reason = ONLY_FUNCTIONS;
        Some(TranslateError::Unsupported { field, reason })
    }

    /// Reads a call, or a fragment of one. `objects`: takes inputs that are objects and no texts, by the numbers of their
    /// calls.
    pub(super) fn read<'a>(
        &mut self,
        json: &mut Json<'a>,
        pieces: &mut Vec<Piece<'a>>,
        objects: &mut Vec<(u64, &'a str)>,
        dropped: &mut Dropped,
    ) -> Result<(), JsonError> {
        let again = json.clone();
        let mut fragment = Fragment::default();
        let (mut arguments, mut object) = ("", None);
        let (mut kind, mut signature) = ("", "");
        let (mut function, mut has_more, mut has_more_inside) = (None, false, false);
        json.object(|key, json| {
            match key.raw {
                "index" => fragment.index = json.raw()?.parse().ok(),
                "id" => fragment.id = json.string()?.map_or("", |id| id.raw),
                "type" => kind = json.string()?.map_or("", |kind| kind.raw),
                "function" => {
                    function = Some(json.clone());
                    json.object(|key, json| {
                        match key.raw {
                            "name" => fragment.name = json.string()?.map_or("", |name| name.raw),
                            "arguments" if json.peek()? == Kind::Object => {
                                object = Some(json.raw()?);
                            }
                            "arguments" => arguments = json.string()?.map_or("", |text| text.raw),
                            _ => {
                                has_more_inside = true;
                                json.skip()?;
                            }
                        }
                        Ok(())
                    })?;
                }
                EXTRA => signature = read_signature(json)?,
                _ => {
                    has_more = true;
                    json.skip()?;
                }
            }
            Ok(())
        })?;
        fragment.input = match object {
            Some(_) => Input::Whole,
            None => Input::of(arguments),
        };
        let place = self.places.place(fragment);
        let number = u64::try_from(place.at).unwrap_or(u64::MAX);
        let path = || format!("choices[0].message.tool_calls[{number}].");
        if !matches!(kind, "" | "function") {
            self.other_kind = Some(path() + "type");
            return Ok(());
        }
        if has_more {
            drop_members(&path(), OF_CALL, again, dropped)?;
        }
        if let Some(function) = function.filter(|_| has_more_inside) {
            drop_members(&(path() + "function."), OF_FUNCTION, function, dropped)?;
        }
        if place.begins {
            pieces.push(Piece::Tool {
                number,
                id: fragment.id,
                name: fragment.name,
                signature,
            });
        } else if !signature.is_empty() {
            // The call is under way, and was given on without.
            dropped.add(path() + EXTRA);
        }
        match object {
            Some(object) => objects.push((number, object)),
            None if arguments.is_empty() => {}
            None => pieces.push(Piece::Input {
                number,
                json: arguments,
            }),
        }
        Ok(())
    }
}

/// The same as [`signature`], of a stream; empty where there is none.
fn read_signature<'a>(json: &mut Json<'a>) -> Result<&'a str, JsonError> {
    let mut signature = "";
    json.object(|key, json| match key.raw {
        "google" => {
            json.object(|key, json| {
                match key.raw {
                    "thought_signature" => signature = json.string()?.map_or("", |text| text.raw),
                    _ => json.skip()?,
                }
                Ok(())
            })?;
            Ok(())
        }
        _ => json.skip(),
    })?;
    Ok(signature)
}
