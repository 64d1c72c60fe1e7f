//! Argo's own API: answers of one text, streams of nothing but text, embeddings, the list of models, and the notice that
//! a user is unknown.

use serde_json::{Value, json};

use crate::cli::mock::answer::{Said, Turn, split_text};
use crate::cli::mock::behaviour::{Form, Told};
use crate::cli::mock::reply::{Body, ContentEvents, EventScript, NUMBER_MARK, Numbered, Reply};

/// Where its calls are.
pub(super) const CALLS: &str = "/argoapi/api/v1/resource/";
/// Where its list of models is.
pub(super) const MODELS: &str = "/argoapi/api/v1/models/";

/// What a user whom it does not know reads, under a good status.
const NOTICE: &str = "*** AUTHENTICATION NOTICE FROM ARGO ***\nThis user name is not registered.";

/// The whole answer.
pub(super) fn whole(turn: &Turn<'_>) -> Reply {
    let response = |response: Value| Reply::json(200, &json!({ "response": response }));
    if turn.behaviour.form == Form::Told(Told::Denied) {
        return response(json!(NOTICE));
    }
    match &turn.said {
        Said::Filler { wide } => {
            let frame = json!({ "response": "" }).to_string();
            response(json!(turn.whole_filler(*wide, frame.len())))
        }
        Said::Text(text) => response(json!(text)),
        Said::Refusal(text) => response(json!(text)),
        Said::Nothing => response(Value::Null),
        Said::Tools(calls) => {
            let calls = calls.iter().map(|call| {
                json!({ "id": call.id, "type": "function",
                    "function": { "name": call.name, "arguments": call.arguments } })
            });
            let calls: Vec<Value> = calls.collect();
            response(json!({ "content": null, "tool_calls": calls }))
        }
    }
}

/// The stream: text, and its end.
pub(super) fn stream(turn: &Turn<'_>) -> Reply {
    let count = turn.behaviour.chunks;
    let list = |pieces: Vec<String>| {
        let pieces = pieces.into_iter().map(String::into_bytes);
        ContentEvents::List(pieces.collect())
    };
    let content = match &turn.said {
        _ if turn.behaviour.form == Form::Told(Told::Denied) => list(split_text(NOTICE, 7)),
        Said::Filler { wide } => {
            let filler = turn.event_filler(*wide, NUMBER_MARK.len());
            let template = Numbered::new(format!("{NUMBER_MARK}{filler}").into_bytes());
            ContentEvents::Numbered { template, count }
        }
        Said::Text(text) => list(split_text(text, count)),
        Said::Refusal(text) => list(split_text(text, count)),
        Said::Nothing | Said::Tools(_) => list(Vec::new()),
    };
    let script = EventScript {
        before: Vec::new(),
        content,
        line: None,
        after: Vec::new(),
        error: None,
    };
    Reply::with_body("text/plain; charset=utf-8", Body::Stream(script))
}

/// A vector for each text that is asked of it.
pub(super) fn embeddings(body: &[u8]) -> Reply {
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let texts = asked["prompt"].as_array().map_or(0, Vec::len);
    let vectors: Vec<Value> = (0..texts).map(|at| json!([at, 0.5, -0.25])).collect();
    Reply::json(200, &json!({ "embedding": vectors }))
}

/// The list of models, in the older form and in the newer one.
pub(super) fn models() -> Reply {
    let models = json!([
        { "id": "gpt35", "model_name": "GPT-3.5 Turbo" },
        { "id": "GPT-4o", "internal_id": "gpt4o", "object": "model", "created": 1, "owned_by": "openai" },
    ]);
    Reply::json(200, &models)
}
