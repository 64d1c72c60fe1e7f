//! What a response repeats of its request.

use serde_json::{Map, Value, json};

/// Fields that are repeated as they were asked.
const REPEATED: &[&str] = &[
    "instructions",
    "max_output_tokens",
    "metadata",
    "parallel_tool_calls",
    "reasoning",
    "safety_identifier",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
];

/// The fields that every response has, with what was asked; where nothing was, OpenAI's documented default, or null.
/// Nothing is stored, whatever was asked.
pub(in crate::wire::translate) fn echo(body: Value) -> Map<String, Value> {
    let mut echo = Map::new();
    for (key, value) in [
        ("instructions", Value::Null),
        ("metadata", json!({})),
        ("parallel_tool_calls", json!(true)),
        ("previous_response_id", Value::Null),
        ("store", json!(false)),
        ("temperature", Value::Null),
        ("tool_choice", json!("auto")),
        ("tools", json!([])),
        ("top_p", Value::Null),
    ] {
        echo.insert(key.to_owned(), value);
    }
    let Value::Object(mut asked) = body else {
        return echo;
    };
    for key in REPEATED {
        if let Some(value) = asked.remove(*key).filter(|value| !value.is_null()) {
            echo.insert((*key).to_owned(), value);
        }
    }
    echo
}
