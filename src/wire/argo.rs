//! Argo's own API (its "resource" calls): answers of one text, streams that are nothing but text, no usage. A user whom
//! it does not know gets a notice under HTTP 200 in the place of an answer.

pub mod model;
pub mod prompt;
pub mod raw;

use serde_json::{Value, json};

use super::decoded::Decoded;
use super::listed_model::ListedModel;
use super::translate::{self, ProviderError, TranslateError};
use super::{PromptPieces, valid_prefix};

/// How the notice begins, behind what decorates it.
const NOTICE: &str = "AUTHENTICATION NOTICE FROM ARGO";

/// Most bytes of decoration before it: lines of signs and blanks.
const MOST_DECORATION: usize = 80;

/// Whether a text is the notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// It is.
    Is,
    /// It is not.
    IsNot,
    /// What there is of it may become one.
    MayBecome,
}

impl Notice {
    /// Looks at the beginning of a text.
    pub fn of(text: &str) -> Self {
        let said = text.trim_start_matches(|sign: char| !sign.is_alphanumeric());
        let decoration = text.len() - said.len();
        if MOST_DECORATION < decoration {
            Self::IsNot
        } else if said.starts_with(NOTICE) {
            Self::Is
        } else if NOTICE.starts_with(said) {
            Self::MayBecome
        } else {
            Self::IsNot
        }
    }

    /// What it means: the user's name is not registered.
    pub fn error(text: &str) -> ProviderError {
        ProviderError {
            status: Some(MEANING.0),
            code: Some(MEANING.1.to_owned()),
            message: text.trim().chars().take(MOST_CHARACTERS).collect(),
            ..ProviderError::default()
        }
    }
}

/// What the notice stands for: a status, and our word for it.
const MEANING: (u16, &str) = (403, "upstream_auth");

/// Most characters of the notice, or of an error that is a text, that are told on.
const MOST_CHARACTERS: usize = 2_000;

/// Reads a whole answer; a body that is none is its text.
pub fn decode_whole(text: &str) -> Decoded {
    let Ok(Value::Object(answer)) = serde_json::from_str::<Value>(text) else {
        return of_text(text);
    };
    let Some(response) = answer.get("response") else {
        return of_text(text);
    };
    let (said, calls) = said(response);
    Decoded {
        text: said.filter(|text| !text.is_empty()),
        tool_calls: (!calls.is_empty())
            .then(|| Value::from_iter(calls.iter().map(openai_call)).to_string()),
        ..Decoded::default()
    }
}

/// Reads a stream, which is text.
pub fn decode_stream(body: &[u8]) -> Decoded {
    of_text(valid_prefix(body))
}

fn of_text(text: &str) -> Decoded {
    Decoded {
        text: (!text.is_empty()).then(|| text.to_owned()),
        ..Decoded::default()
    }
}

/// What an answer's `response` says: its text, and its calls as they came.
pub(super) fn said(response: &Value) -> (Option<String>, &[Value]) {
    let content = match response {
        Value::Object(response) => response.get("content").unwrap_or(&Value::Null),
        response => response,
    };
    let text = match content {
        Value::String(text) => Some(text.clone()),
        // Blocks, as Anthropic has them.
        Value::Array(blocks) => Some(
            blocks
                .iter()
                .filter_map(|block| block["text"].as_str())
                .collect(),
        ),
        _ => None,
    };
    let calls = response["tool_calls"].as_array();
    (text, calls.map_or(&[], Vec::as_slice))
}

/// What a call gives to its tool, in whichever maker's words: OpenAI's `arguments`, a text, Anthropic's `input`, Google's `args`.
pub(super) fn given(call: &Value) -> Option<&Value> {
    let given = ["arguments", "input", "args"].map(|key| &call[key]);
    given.into_iter().find(|given| !given.is_null())
}

/// A call in OpenAI's shape; what is in it, or in none that is known, stays as it came.
fn openai_call(call: &Value) -> Value {
    let Some(name) = call["name"].as_str() else {
        return call.clone();
    };
    let arguments = match given(call) {
        None => "{}".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(given) => given.to_string(),
    };
    let function = json!({ "name": name, "arguments": arguments });
    json!({ "id": call["id"], "type": "function", "function": function })
}

/// What an error answer says: an object's words, or the text that it is. A page says nothing.
pub(super) fn error(body: &[u8]) -> ProviderError {
    if let Ok(body) = serde_json::from_slice(body) {
        return translate::error_in(&body);
    }
    let text = valid_prefix(body).trim();
    ProviderError {
        message: match text.starts_with('<') {
            true => String::new(),
            false => text.chars().take(MOST_CHARACTERS).collect(),
        },
        ..ProviderError::default()
    }
}

/// What of a request is counted as prompt: the conversation, or `system` and `prompt`.
pub fn prompt_pieces(text: &str) -> PromptPieces<'_> {
    let mut pieces = PromptPieces {
        chat: true,
        ..PromptPieces::default()
    };
    let Ok(request) = serde_json::from_str::<Value>(text) else {
        pieces.broken = true;
        return pieces;
    };
    push(&request["system"], &mut pieces);
    push(&request["prompt"], &mut pieces);
    for message in request["messages"].as_array().into_iter().flatten() {
        pieces.messages += 1;
        push(&message["content"], &mut pieces);
        push_json(&message["tool_calls"], &mut pieces);
    }
    push_json(&request["tools"], &mut pieces);
    pieces
}

/// A text, or a list of texts or of parts.
fn push(content: &Value, pieces: &mut PromptPieces<'_>) {
    match content {
        Value::String(text) => pieces.texts.push(text.clone().into()),
        Value::Array(parts) => {
            for part in parts {
                match part.as_str().or_else(|| part["text"].as_str()) {
                    Some(text) => pieces.texts.push(text.to_owned().into()),
                    None => pieces.odd = true,
                }
            }
        }
        _ => {}
    }
}

/// What the model is told of in a form that only the upstream knows.
fn push_json(json: &Value, pieces: &mut PromptPieces<'_>) {
    if !json.is_null() {
        pieces.texts.push(json.to_string().into());
        pieces.odd = true;
    }
}

/// The models of a list, by the names that clients write.
///
/// # Errors
/// [`TranslateError`] when it is none.
pub fn models(list: &[u8]) -> Result<Vec<ListedModel>, TranslateError> {
    let no_list = |reason: &str| TranslateError::Malformed(format!("no list of models: {reason}"));
    let list: Value = serde_json::from_slice(list).map_err(|error| no_list(&error.to_string()))?;
    let entries = list.as_array().or_else(|| list["data"].as_array());
    let entries = entries.ok_or_else(|| no_list("it is no array"))?;
    let mut listed: Vec<ListedModel> = Vec::new();
    for entry in entries {
        // Older lists have the name for people in a field of its own.
        let shown = entry["model_name"].as_str().or(entry["id"].as_str());
        let Some(shown) = shown.filter(|shown| !shown.is_empty()) else {
            continue;
        };
        let own_id = match entry["model_name"].is_string() {
            true => &entry["id"],
            false => &entry["internal_id"],
        };
        for id in model::public_names(shown) {
            if listed.iter().all(|known| known.id != id) {
                listed.push(ListedModel {
                    id,
                    internal_name: own_id.as_str().map(str::to_owned),
                    owned_by: entry["owned_by"].as_str().unwrap_or("argo").to_owned(),
                    created_s: entry["created"].as_i64(),
                });
            }
        }
    }
    Ok(listed)
}

#[cfg(test)]
mod tests;
