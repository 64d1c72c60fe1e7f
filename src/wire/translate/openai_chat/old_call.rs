//! The one call that an answer could make before there were tools: `function_call`, whole and streamed. It has no id, so one is
//! made. (platform.openai.com, API reference, Chat, deprecated; read 2026-11.)

use super::calls::input_of;
use crate::wire::json_reader::{JsonError, Reader as Json};
use crate::wire::translate::canonical::{CutCall, Part};
use crate::wire::translate::fields::{Fields, drop_member};
use crate::wire::translate::{Dropped, TranslateError, numbers};

/// Where it stands in a whole answer.
pub(super) const PATH: &str = "choices[0].message.function_call";

/// Its number in a stream, which no other call has.
pub(super) const NUMBER: u64 = u64::MAX;

/// The path of a call's input.
pub(in crate::wire::translate) fn input_path(number: u64) -> String {
    match number {
        NUMBER => format!("{PATH}.arguments"),
        number => format!("choices[0].message.tool_calls[{number}].function.arguments"),
    }
}

/// Reads that of a whole answer. `cut`: takes one whose input is not whole, where it need not be.
pub(super) fn read(
    message: &mut Fields,
    parts: &mut Vec<Part>,
    cut: Option<&mut Vec<CutCall>>,
    dropped: &mut Dropped,
) -> Result<(), TranslateError> {
    let Some(mut call) = message.object("function_call")? else {
        return Ok(());
    };
    if call.first_key().is_none() {
        return Ok(());
    }
    let id = String::new();
    let name = call.wanted_text("name")?;
    let arguments = call.text("arguments")?.unwrap_or_default();
    match (input_of(&arguments), cut) {
        (Some(input), _) => {
            if numbers::are_lost(&arguments) {
                dropped.add(call.path("arguments"));
            }
            parts.push(Part::ToolUse {
                id,
                name,
                input,
                signature: None,
            });
        }
        (None, Some(cut)) => cut.push(CutCall {
            id,
            name,
            input: arguments,
            signature: None,
            path: call.path("arguments"),
        }),
        (None, None) => return Err(call.invalid("arguments", "the JSON of an object")),
    }
    call.drop_rest(dropped);
    Ok(())
}

/// The same of a chunk, or a fragment of it, as it is spelt.
#[derive(Debug, Clone, Copy)]
pub(super) struct OldCall<'a> {
    pub name: Option<&'a str>,
    pub arguments: &'a str,
}

impl<'a> OldCall<'a> {
    /// `None` where nothing is said.
    pub(super) fn read(
        json: &mut Json<'a>,
        dropped: &mut Dropped,
    ) -> Result<Option<Self>, JsonError> {
        let (mut name, mut arguments) = (None, None);
        json.object(|key, json| {
            match key.raw {
                "name" => name = json.string()?.map(|name| name.raw),
                "arguments" => arguments = json.string()?.map(|text| text.raw),
                _ => drop_member("choices[0].message.function_call.", key, json, dropped)?,
            }
            Ok(())
        })?;
        let says_something = name.is_some() || arguments.is_some();
        Ok(says_something.then(|| Self {
            name,
            arguments: arguments.unwrap_or_default(),
        }))
    }
}

/// What a call without a name is.
pub(super) fn without_name() -> TranslateError {
    TranslateError::Invalid {
        field: format!("{PATH}.name"),
        expected: "a text",
    }
}
