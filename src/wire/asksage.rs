//! Ask Sage's `query`: what requests ask, what answers say, and the list of its models. Its answers are whole.
//!
//! Source: docs.asksage.ai, API documentation (read 2026-11).

mod failure;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::decoded::{Decoded, ErrorFields, SeenUsage};
use super::listed_model::ListedModel;
use super::translate::TranslateError;
use super::{PromptPieces, usage::Usage};

pub(super) use self::failure::{error, failure};

/// Reads an answer. One that breaks off gives nothing.
pub fn decode_whole(text: &str) -> Decoded {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        usage: Option<&'a RawValue>,
        #[serde(borrow)]
        error: Option<&'a RawValue>,
    }
    let Ok(answer) = serde_json::from_str::<Answer<'_>>(text) else {
        return Decoded::default();
    };
    let whole: Value = serde_json::from_str(text).unwrap_or_default();
    let (text, calls) = said(&whole);
    let calls = calls.cloned().unwrap_or_default();
    let has_calls = calls.as_array().is_some_and(|calls| !calls.is_empty());
    Decoded {
        model: whole["model"].as_str().map(str::to_owned),
        text: text.filter(|text| !text.is_empty()).map(str::to_owned),
        tool_calls: has_calls.then(|| calls.to_string()),
        usage: answer.usage.and_then(|raw| usage(raw.get())),
        usage_raw: answer
            .usage
            .map(|raw| raw.get().to_owned())
            .filter(|raw| raw != "null"),
        error: answer.error.and_then(|raw| ErrorFields::read(raw.get())),
        ..Decoded::default()
    }
}

/// What an answer says: its text, and its calls of tools in OpenAI's shape, if it has any.
pub(super) fn said(answer: &Value) -> (Option<&str>, Option<&Value>) {
    let text = answer["message"].as_str().filter(|text| !text.is_empty());
    let within = &answer["response"];
    let text = text
        .or_else(|| within["message"].as_str())
        .or_else(|| within["response"].as_str())
        .or_else(|| answer["message"].as_str());
    let calls = ["tool_calls", "tool_calls_unified"]
        .into_iter()
        .map(|key| &answer[key])
        .find(|calls| calls.as_array().is_some_and(|calls| !calls.is_empty()));
    (text, calls)
}

/// The usage of the model: within Ask Sage's own count, or all that there is.
fn usage(raw: &str) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Within<'a> {
        #[serde(borrow)]
        model_tokens: Option<&'a RawValue>,
    }
    let within = serde_json::from_str::<Within<'_>>(raw).ok()?;
    let mut seen = SeenUsage::default();
    seen.see(within.model_tokens.map_or(raw, RawValue::get));
    seen.usage
}

/// What of a request of ours is counted as prompt.
pub fn prompt_pieces(text: &str) -> PromptPieces<'_> {
    let Ok(request) = serde_json::from_str::<Value>(text) else {
        return PromptPieces {
            chat: true,
            broken: true,
            ..PromptPieces::default()
        };
    };
    let mut pieces = PromptPieces {
        chat: true,
        ..PromptPieces::default()
    };
    let mut push = |text: &str| {
        pieces.messages += 1;
        pieces.texts.push(text.to_owned().into());
    };
    if let Some(system) = request["system_prompt"].as_str() {
        push(system);
    }
    match &request["message"] {
        Value::String(text) => push(text),
        messages => {
            let messages = messages.as_array().into_iter().flatten();
            messages
                .filter_map(|message| message["message"].as_str())
                .for_each(push);
        }
    }
    if let Some(tools) = request.get("tools").filter(|tools| !tools.is_null()) {
        // How the model is told of them only the upstream knows.
        pieces.texts.push(tools.to_string().into());
        pieces.odd = true;
    }
    pieces
}

/// Beginnings of names in the list that are no models of text.
const NO_TEXT: &[&str] = &[
    "imagen",
    "veo",
    "dall-e",
    "gpt-image",
    "sora",
    "nano-banana",
];

/// The models of text of a list.
///
/// # Errors
/// [`TranslateError`] when it is none, or reports an error under a good status.
pub fn models(list: &[u8]) -> Result<Vec<ListedModel>, TranslateError> {
    let no_list = |error: &dyn std::fmt::Display| {
        TranslateError::Malformed(format!("no list of models: {error}"))
    };
    let list: Value = serde_json::from_slice(list).map_err(|error| no_list(&error))?;
    if let Some(error) = failure(&list) {
        return Err(TranslateError::Reported(error));
    }
    let entries = list["data"]
        .as_array()
        .or_else(|| list["response"].as_array())
        .ok_or_else(|| no_list(&"it has no `data`"))?;
    let mut listed: Vec<ListedModel> = Vec::new();
    for entry in entries {
        let Some(id) = entry["id"].as_str().or_else(|| entry.as_str()) else {
            continue;
        };
        let name = id.rsplit('/').next().unwrap_or(id);
        let is_text = !NO_TEXT.iter().any(|family| name.contains(family));
        if id.is_empty() || !is_text || listed.iter().any(|known| known.id == id) {
            continue;
        }
        listed.push(ListedModel {
            id: id.to_owned(),
            internal_name: None,
            owned_by: entry["owned_by"].as_str().unwrap_or("asksage").to_owned(),
            // It says `na`.
            created_s: entry["created"].as_i64(),
        });
    }
    Ok(listed)
}

#[cfg(test)]
mod tests;
