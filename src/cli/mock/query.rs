//! Ask Sage's `query` and list of models, with the failures that it tells under a good status.

use serde_json::{Value, json};

use crate::cli::mock::answer::{CHAT_USAGE, CREATED, Said, Turn};
use crate::cli::mock::behaviour::{Form, Told, UsageStyle};
use crate::cli::mock::reply::Reply;

/// Where its paths are.
pub(super) const BASE: &str = "/server/";

/// The answer, which is always whole.
pub(super) fn whole(turn: &Turn<'_>) -> Reply {
    if let Form::Told(told) = turn.behaviour.form {
        return Reply::json(200, &answer(turn, sentence(told), Value::Null, Value::Null));
    }
    let usage = usage(turn);
    let said = |text: &str| answer(turn, text, Value::Null, usage.clone());
    let body = match &turn.said {
        Said::Filler { wide } => said(&turn.whole_filler(*wide, said("").to_string().len())),
        Said::Text(text) => said(text),
        Said::Refusal(text) => said(text),
        Said::Nothing => said(""),
        Said::Tools(calls) => {
            let calls = calls.iter().map(|call| {
                json!({ "id": call.id, "type": "function",
                    "function": { "name": call.name, "arguments": call.arguments } })
            });
            answer(turn, "", calls.collect(), usage.clone())
        }
    };
    Reply::json(200, &body)
}

fn answer(turn: &Turn<'_>, message: &str, calls: Value, usage: Value) -> Value {
    json!({
        "message": message, "response": "OK", "status": 200,
        "uuid": format!("mock-{:010}", turn.number), "type": "teach", "references": "",
        "embedding_down": false, "vectors_down": false, "added_obj": null,
        "tool_calls": null, "tool_calls_unified": calls, "tool_responses": null, "usage": usage,
    })
}

/// Its own count around the model's; some tenants have the model's alone, as `usage-last` does here.
fn usage(turn: &Turn<'_>) -> Value {
    let counted = turn.usage(&CHAT_USAGE);
    let counted = counted.and_then(|counted| serde_json::from_str::<Value>(&counted).ok());
    match (counted, turn.behaviour.usage) {
        (None, _) => Value::Null,
        (Some(counted), UsageStyle::Last) => counted,
        (Some(counted), _) => json!({ "model_tokens": counted, "asksage_tokens": 42 }),
    }
}

fn sentence(told: Told) -> &'static str {
    match told {
        Told::Gone => "Sorry, this model is no longer available. Please use a more recent version",
        Told::Overloaded => "Sorry, the model is overloaded, please try again in a few seconds.",
        Told::Denied => "You are not authorized to use this model.",
        Told::Sorry => "Sorry, an error occurred. Please try again.",
    }
}

/// The list of models, with those that make no text.
pub(super) fn models() -> Reply {
    let names = ["mock", "mock-tools", "google-imagen-4", "google-veo-3"];
    let entry = |name: &&str| {
        json!({ "created": "na", "id": name, "name": name, "object": "model",
            "owned_by": "organization-owner" })
    };
    let data: Vec<Value> = names.iter().map(entry).collect();
    Reply::json(
        200,
        &json!({ "object": "list", "data": data, "response": names, "status": 200 }),
    )
}

/// What is answered to who shows no key.
pub(super) fn denied() -> Reply {
    Reply::json(
        401,
        &json!({ "response": "Token is missing", "status": 401 }),
    )
}

/// An error in its words.
pub(super) fn error_json(status: u16, message: &str) -> Value {
    json!({ "error": message, "status": status, "details": format!("mock at {CREATED}") })
}
