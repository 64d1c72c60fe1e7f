//! An answer of Ask Sage's, read.

use serde_json::{Map, Value};

use crate::wire::asksage::{failure, said};
use crate::wire::translate::canonical::{Answer, Part, Stop, Usage};
use crate::wire::translate::fields::Fields;
use crate::wire::translate::{Dropped, TranslateError};

pub(in crate::wire::translate) fn read_answer(
    body: Value,
    dropped: &mut Dropped,
) -> Result<Answer, TranslateError> {
    if let Some(error) = failure(&body) {
        return Err(TranslateError::Reported(error));
    }
    let (text, calls) = said(&body);
    // Null is an answer without a text.
    let is_answer = matches!(body.get("message"), Some(Value::Null | Value::String(_)));
    let is_answer = is_answer || text.is_some() || calls.is_some();
    if !is_answer {
        return Err(TranslateError::Malformed("no message in it".to_owned()));
    }
    // An empty text is an answer too, where there is no other.
    let mut parts: Vec<Part> = text
        .filter(|text| !text.is_empty() || calls.is_none())
        .map(|text| Part::Text(text.to_owned()))
        .into_iter()
        .collect();
    let texts = parts.len();
    let calls = calls.and_then(Value::as_array).into_iter().flatten();
    for (at, item) in calls.enumerate() {
        parts.push(call(item, at)?);
    }
    let read = Answer {
        model: body["model"].as_str().map(str::to_owned),
        // It says of no answer why it ends.
        stop: Some(match texts < parts.len() {
            true => Stop::ToolUse,
            false => Stop::End,
        }),
        usage: usage(&body["usage"]),
        parts,
        ..Answer::default()
    };
    let mut rest = Fields::of(body, "")?;
    rest.ignore(&[
        "message",
        "response",
        "status",
        "uuid",
        "type",
        "model",
        "usage",
        "tool_calls",
        "tool_calls_unified",
        "embedding_down",
        "vectors_down",
    ]);
    // Documents that it used; none were asked for.
    let references = rest.take("references");
    if references.is_some_and(|references| references != "") {
        dropped.add("references");
    }
    rest.drop_rest(dropped);
    Ok(read)
}

/// A call in OpenAI's shape; its arguments are a text or the object itself.
fn call(item: &Value, at: usize) -> Result<Part, TranslateError> {
    let function = match &item["function"] {
        Value::Null => item,
        function => function,
    };
    let invalid = |key: &str, expected| TranslateError::Invalid {
        field: format!("tool_calls[{at}].function.{key}"),
        expected,
    };
    let name = function["name"].as_str().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| invalid("name", "a text"))?;
    let input = match &function["arguments"] {
        Value::Null => Value::Object(Map::new()),
        Value::String(text) if text.trim().is_empty() => Value::Object(Map::new()),
        Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
        arguments => arguments.clone(),
    };
    if !input.is_object() {
        return Err(invalid("arguments", "the JSON of an object"));
    }
    Ok(Part::ToolUse {
        id: item["id"].as_str().unwrap_or_default().to_owned(),
        name: name.to_owned(),
        input,
        signature: None,
    })
}

/// The model's own count where there is one beside Ask Sage's. `None` where nothing is counted.
fn usage(usage: &Value) -> Option<Usage> {
    let counted = match &usage["model_tokens"] {
        Value::Null => usage,
        counted => counted,
    };
    let number = |key: &str| counted[key].as_u64();
    let read = Usage {
        input: number("prompt_tokens"),
        output: number("completion_tokens"),
        ..Usage::default()
    };
    (read != Usage::default()).then_some(read)
}
