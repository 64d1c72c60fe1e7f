//! An answer of Argo's, read: a text, or what a model with tools says in the words of its maker.

use serde_json::{Map, Value};

use super::prompted;
use crate::wire::argo::{Notice, given, said};
use crate::wire::translate::canonical::{Answer, Part, Stop};
use crate::wire::translate::fields::Fields;
use crate::wire::translate::{Dropped, TranslateError};

pub(in crate::wire::translate) fn read_answer(
    body: Value,
    tools_in_words: bool,
    dropped: &mut Dropped,
) -> Result<Answer, TranslateError> {
    let mut fields = Fields::of(body, "")?;
    let response = fields.take("response");
    let Some(response) = response.filter(|response| !response.is_null()) else {
        return Err(TranslateError::Malformed("no response in it".to_owned()));
    };
    if !matches!(response["tool_calls"], Value::Null | Value::Array(_)) {
        return Err(TranslateError::Invalid {
            field: "response.tool_calls".to_owned(),
            expected: "a list",
        });
    }
    let (text, calls) = said(&response);
    if text.is_none() && calls.is_empty() {
        return Err(TranslateError::Malformed("no response in it".to_owned()));
    }
    if let Some(text) = text.as_ref().filter(|text| Notice::of(text) == Notice::Is) {
        return Err(TranslateError::Reported(Notice::error(text)));
    }
    let mut parts = match text {
        Some(text) if calls.is_empty() && tools_in_words => prompted::parts(&text),
        // An empty text is an answer too, where there is no other.
        Some(text) if calls.is_empty() || !text.is_empty() => vec![Part::Text(text)],
        Some(_) | None => Vec::new(),
    };
    for (at, item) in calls.iter().enumerate() {
        parts.push(call(item, at)?);
    }
    let calls = parts
        .iter()
        .any(|part| matches!(part, Part::ToolUse { .. }));
    fields.drop_rest(dropped);
    Ok(Answer {
        parts,
        stop: Some(if calls { Stop::ToolUse } else { Stop::End }),
        ..Answer::default()
    })
}

/// A call as OpenAI (`function.arguments`, a text), Anthropic (`input`) or Google (`args`) has it.
fn call(item: &Value, at: usize) -> Result<Part, TranslateError> {
    let invalid = |key: &str, expected| TranslateError::Invalid {
        field: format!("response.tool_calls[{at}].{key}"),
        expected,
    };
    let function = match &item["function"] {
        Value::Null => item,
        function => function,
    };
    let name = function["name"].as_str().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| invalid("name", "a text"))?;
    let input = match given(function) {
        None => Value::Object(Map::new()),
        Some(Value::String(text)) if text.trim().is_empty() => Value::Object(Map::new()),
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        Some(given) => given.clone(),
    };
    if !input.is_object() {
        return Err(invalid("arguments", "an object"));
    }
    Ok(Part::ToolUse {
        id: item["id"].as_str().unwrap_or_default().to_owned(),
        name: name.to_owned(),
        input,
        signature: None,
    })
}
