//! Failures of Ask Sage's: it tells many of them under HTTP 200, in the place where an answer would stand.

use serde_json::Value;

use crate::wire::translate::ProviderError;

/// What a sentence means.
#[derive(Debug, Clone, Copy)]
enum Meaning {
    Unauthorized,
    Overloaded,
    ModelGone,
    Other,
}

/// How sentences of failures begin, in small letters. A model's own answer may say such words as well: it counts as a
/// failure only where it begins with them, has no usage and no calls, and is no longer than such sentences are.
const SENTENCES: &[(&str, Meaning)] = &[
    ("sorry, the model is overloaded", Meaning::Overloaded),
    ("sorry, this model is overloaded", Meaning::Overloaded),
    (
        "sorry, this model is no longer available",
        Meaning::ModelGone,
    ),
    (
        "sorry, the model is no longer available",
        Meaning::ModelGone,
    ),
    ("you are not authorized", Meaning::Unauthorized),
    ("sorry, you are not authorized", Meaning::Unauthorized),
    ("user not authorized", Meaning::Unauthorized),
    ("user is not authorized", Meaning::Unauthorized),
    ("not authorized to ", Meaning::Unauthorized),
    ("not authorized.", Meaning::Unauthorized),
    ("sorry, this model is not authorized", Meaning::Unauthorized),
    ("this model is not authorized", Meaning::Unauthorized),
    ("unauthorized.", Meaning::Unauthorized),
    ("unauthorized:", Meaning::Unauthorized),
    ("token is missing", Meaning::Unauthorized),
    ("token is invalid", Meaning::Unauthorized),
    ("sorry, an error occurred", Meaning::Other),
    ("sorry, an error has occurred", Meaning::Other),
    ("sorry, there was an error", Meaning::Other),
    ("sorry, something went wrong", Meaning::Other),
    ("an error occurred while processing", Meaning::Other),
];

/// Sentences that are nothing but these words.
const WHOLE: &[&str] = &["not authorized", "unauthorized"];

/// Longest sentence of a failure, in bytes.
const LONGEST: usize = 300;

/// Most characters of what an error says that are told on.
const MOST_CHARACTERS: usize = 2_000;

/// The failure that an answer with a good status is, if it is one.
pub(in crate::wire) fn failure(answer: &Value) -> Option<ProviderError> {
    let status = answer["status"].as_u64();
    let names_error = match &answer["error"] {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        _ => true,
    };
    if names_error || status.is_some_and(|status| status != 200) {
        return Some(error(answer));
    }
    let is_answer = !answer["usage"].is_null()
        || ["tool_calls", "tool_calls_unified"].iter().any(|key| {
            answer[*key]
                .as_array()
                .is_some_and(|calls| !calls.is_empty())
        });
    let said = answer["message"].as_str()?.trim();
    if is_answer || LONGEST < said.len() {
        return None;
    }
    let (status, code) = match meaning(&said.to_lowercase())? {
        Meaning::Unauthorized => (401, "upstream_auth"),
        Meaning::Overloaded => (503, "upstream_overloaded"),
        Meaning::ModelGone => (404, "model_not_found"),
        Meaning::Other => (502, "upstream_error"),
    };
    Some(ProviderError {
        status: Some(status),
        kind: None,
        code: Some(code.to_owned()),
        message: said.to_owned(),
    })
}

fn meaning(said: &str) -> Option<Meaning> {
    if WHOLE.contains(&said) {
        return Some(Meaning::Unauthorized);
    }
    let found = SENTENCES.iter().find(|(begin, _)| said.starts_with(begin));
    found.map(|(_, meaning)| *meaning)
}

/// What an error says: `error` and `details`, or `response`, or `message`, each with the status within the body.
pub(in crate::wire) fn error(body: &Value) -> ProviderError {
    let status = body["status"]
        .as_u64()
        .and_then(|status| u16::try_from(status).ok())
        .filter(|status| (400..600).contains(status));
    let text = |value: &Value| match value {
        Value::String(text) if !text.is_empty() && text != "OK" => Some(text.clone()),
        _ => None,
    };
    let inner = &body["error"];
    let main = text(inner)
        .or_else(|| text(&inner["message"]))
        .or_else(|| text(&body["response"]))
        .or_else(|| text(&body["message"]));
    let message = match (main, text(&body["details"])) {
        (Some(main), Some(details)) => format!("{main}: {details}"),
        (main, details) => main.or(details).unwrap_or_default(),
    };
    let message = message.chars().take(MOST_CHARACTERS).collect();
    ProviderError {
        status,
        kind: None,
        code: text(&inner["code"]),
        message,
    }
}
