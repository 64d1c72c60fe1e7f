//! The OpenAI family: paths, error shape, and answers that did not come from an upstream.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::dialect::ErrorText;
use crate::filter::Endpoint;

/// First path segments that OpenAI clients use when their base URL has no `/v1`.
pub const BARE_SEGMENTS: &[&str] = &["chat", "completions", "embeddings", "responses", "models"];

/// Which endpoint a path behind `/v1` means; `rest` begins with a slash.
pub fn endpoint(method: &str, rest: &str) -> Endpoint {
    match (method, rest) {
        ("POST", "/chat/completions") => Endpoint::ChatCompletions,
        ("POST", "/completions") => Endpoint::Completions,
        ("POST", "/embeddings") => Endpoint::Embeddings,
        ("POST", "/responses") => Endpoint::Responses,
        ("GET", "/models") => Endpoint::Models,
        ("GET", path) if is_one_model(path) => Endpoint::Models,
        _ => Endpoint::Passthrough,
    }
}

/// Whether a path is `/models/{id}` with exactly one further segment.
fn is_one_model(rest: &str) -> bool {
    rest.strip_prefix("/models/")
        .is_some_and(|id| !id.is_empty() && !id.contains('/'))
}

/// The body of an error answer.
pub fn error_body(error: &ErrorText<'_>, request_id: &str) -> String {
    json!({ "error": error_object(error), "request_id": request_id }).to_string()
}

/// An error inside a stream that has begun. No `[DONE]` follows it. `number`: how many events went before it, which is its own
/// number in streams that count them.
pub fn error_event(error: &ErrorText<'_>, endpoint: Endpoint, number: u64) -> Bytes {
    let object = error_object(error);
    let event = match endpoint {
        Endpoint::Responses => {
            let data = json!({
                "type": "error", "sequence_number": number, "code": error.code,
                "message": error.message, "param": error.param, "error": object,
            });
            format!("event: error\ndata: {data}\n\n")
        }
        Endpoint::ChatCompletions
        | Endpoint::Completions
        | Endpoint::Embeddings
        | Endpoint::Messages
        | Endpoint::MessagesCountTokens
        | Endpoint::GenerateContent
        | Endpoint::CountTokens
        | Endpoint::EmbedContent
        | Endpoint::BedrockInvoke
        | Endpoint::BedrockConverse
        | Endpoint::AsksageQuery
        | Endpoint::ArgoChat
        | Endpoint::ArgoEmbed
        | Endpoint::Models
        | Endpoint::Passthrough => format!("data: {}\n\n", json!({ "error": object })),
    };
    Bytes::from(event)
}

fn error_object(error: &ErrorText<'_>) -> Value {
    json!({ "message": error.message, "type": error.kind, "param": error.param, "code": error.code })
}

/// Name of the model in answers that a filter gave in the upstream's place.
const FILTER_MODEL: &str = "request_filter";

/// A text given as a whole answer, in the form of the endpoint. `created_s`: seconds since the Unix epoch.
pub fn text_answer(endpoint: Endpoint, id: &str, created_s: i64, text: &str) -> String {
    let usage = json!({ "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 });
    match endpoint {
        Endpoint::Completions => json!({
            "id": id, "object": "text_completion", "created": created_s, "model": FILTER_MODEL,
            "choices": [{ "text": text, "index": 0, "logprobs": null, "finish_reason": "stop" }],
            "usage": usage,
        }),
        Endpoint::ArgoChat => json!({ "response": text }),
        Endpoint::Responses => response_object(id, created_s, "completed", Some(text)),
        Endpoint::ChatCompletions
        | Endpoint::Embeddings
        | Endpoint::Messages
        | Endpoint::MessagesCountTokens
        | Endpoint::GenerateContent
        | Endpoint::CountTokens
        | Endpoint::EmbedContent
        | Endpoint::BedrockInvoke
        | Endpoint::BedrockConverse
        | Endpoint::AsksageQuery
        | Endpoint::ArgoEmbed
        | Endpoint::Models
        | Endpoint::Passthrough => json!({
            "id": id, "object": "chat.completion", "created": created_s, "model": FILTER_MODEL,
            "choices": [{
                "index": 0, "message": { "role": "assistant", "content": text }, "logprobs": null,
                "finish_reason": "stop",
            }],
            "usage": usage,
        }),
    }
    .to_string()
}

/// The same answer as a stream with a real ending. `with_usage`: the client asked for the usage chunk.
pub fn text_stream(
    endpoint: Endpoint,
    id: &str,
    created_s: i64,
    text: &str,
    with_usage: bool,
) -> String {
    if endpoint == Endpoint::Responses {
        return response_events(id, created_s, text);
    }
    if endpoint == Endpoint::ArgoChat {
        // Its streams are nothing but text.
        return text.to_owned();
    }
    let chat = endpoint != Endpoint::Completions;
    let object = if chat {
        "chat.completion.chunk"
    } else {
        "text_completion"
    };
    let chunk = |choices: Value, usage: Option<Value>| {
        let mut chunk = json!({
            "id": id, "object": object, "created": created_s, "model": FILTER_MODEL, "choices": choices,
        });
        if with_usage && let Some(fields) = chunk.as_object_mut() {
            fields.insert("usage".to_owned(), usage.unwrap_or(Value::Null));
        }
        format!("data: {chunk}\n\n")
    };
    let choice = |content: Value, finish_reason: Value| {
        let content_key = if chat { "delta" } else { "text" };
        json!([{ "index": 0, content_key: content, "logprobs": null, "finish_reason": finish_reason }])
    };
    let mut events = String::new();
    if chat {
        events += &chunk(
            choice(json!({ "role": "assistant", "content": "" }), Value::Null),
            None,
        );
        events += &chunk(choice(json!({ "content": text }), Value::Null), None);
        events += &chunk(choice(json!({}), json!("stop")), None);
    } else {
        events += &chunk(choice(json!(text), json!("stop")), None);
    }
    if with_usage {
        let usage = json!({ "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 });
        events += &chunk(json!([]), Some(usage));
    }
    events += "data: [DONE]\n\n";
    events
}

fn response_object(id: &str, created_s: i64, status: &str, text: Option<&str>) -> Value {
    let output: Vec<Value> = text
        .map(|text| output_item(id, "completed", Some(text)))
        .into_iter()
        .collect();
    json!({
        "id": format!("resp_{id}"), "object": "response", "created_at": created_s, "status": status,
        "error": null, "incomplete_details": null, "instructions": null, "model": FILTER_MODEL,
        "output": output, "parallel_tool_calls": true, "tool_choice": "auto", "tools": [],
        "temperature": null, "top_p": null, "metadata": {},
        "usage": {
            "input_tokens": 0, "input_tokens_details": { "cached_tokens": 0 }, "output_tokens": 0,
            "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 0,
        },
    })
}

fn output_item(id: &str, status: &str, text: Option<&str>) -> Value {
    let content: Vec<Value> = text.map(output_text).into_iter().collect();
    json!({
        "id": format!("msg_{id}"), "type": "message", "status": status, "role": "assistant",
        "content": content,
    })
}

fn output_text(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [] })
}

fn response_events(id: &str, created_s: i64, text: &str) -> String {
    let item_id = format!("msg_{id}");
    let place = json!({ "item_id": item_id, "output_index": 0, "content_index": 0 });
    let with_place = |fields: Value| merged(place.clone(), fields);
    let events = [
        (
            "response.created",
            json!({ "response": response_object(id, created_s, "in_progress", None) }),
        ),
        (
            "response.output_item.added",
            json!({ "output_index": 0, "item": output_item(id, "in_progress", None) }),
        ),
        (
            "response.content_part.added",
            with_place(json!({ "part": output_text("") })),
        ),
        (
            "response.output_text.delta",
            with_place(json!({ "delta": text, "logprobs": [] })),
        ),
        (
            "response.output_text.done",
            with_place(json!({ "text": text, "logprobs": [] })),
        ),
        (
            "response.content_part.done",
            with_place(json!({ "part": output_text(text) })),
        ),
        (
            "response.output_item.done",
            json!({ "output_index": 0, "item": output_item(id, "completed", Some(text)) }),
        ),
        (
            "response.completed",
            json!({ "response": response_object(id, created_s, "completed", Some(text)) }),
        ),
    ];
    events
        .into_iter()
        .enumerate()
        .map(|(number, (kind, fields))| {
            let data = merged(json!({ "type": kind, "sequence_number": number }), fields);
            format!("event: {kind}\ndata: {data}\n\n")
        })
        .collect()
}

fn merged(first: Value, second: Value) -> Value {
    match (first, second) {
        (Value::Object(mut first), Value::Object(second)) => {
            first.extend(second);
            Value::Object(first)
        }
        (first, _) => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_endpoints() {
        let cases = [
            ("POST", "/chat/completions", Endpoint::ChatCompletions),
            ("GET", "/chat/completions", Endpoint::Passthrough),
            ("POST", "/completions", Endpoint::Completions),
            ("POST", "/embeddings", Endpoint::Embeddings),
            ("POST", "/responses", Endpoint::Responses),
            ("GET", "/responses/resp_1", Endpoint::Passthrough),
            ("GET", "/models", Endpoint::Models),
            ("GET", "/models/Qwen%2FQwen3-8B", Endpoint::Models),
            ("GET", "/models/a/b", Endpoint::Passthrough),
            ("DELETE", "/models/ft:x", Endpoint::Passthrough),
            ("POST", "/audio/transcriptions", Endpoint::Passthrough),
        ];
        for (method, path, expected) in cases {
            assert_eq!(endpoint(method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_text_stream_ends_properly() {
        let stream = text_stream(Endpoint::ChatCompletions, "x", 1, "no \"way\"", false);
        assert!(
            stream.ends_with("\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"),
            "{stream}"
        );
        assert!(!stream.contains("usage"));
        let asked = text_stream(Endpoint::ChatCompletions, "x", 1, "no", true);
        assert!(
            asked.contains(r#""choices":[],"usage":{"prompt_tokens":0"#),
            "{asked}"
        );
    }

    #[test]
    fn errors_have_the_shape_that_clients_parse() {
        let error = ErrorText {
            message: "no",
            kind: "api_error",
            code: "upstream_timeout",
            param: None,
        };
        assert_eq!(
            error_body(&error, "id-1"),
            r#"{"error":{"message":"no","type":"api_error","param":null,"code":"upstream_timeout"},"request_id":"id-1"}"#
        );
        let event = error_event(&error, Endpoint::ChatCompletions, 7);
        assert!(event.starts_with(b"data: {\"error\":{") && event.ends_with(b"}}\n\n"));
        let counted = error_event(&error, Endpoint::Responses, 7);
        let start = br#"event: error
data: {"type":"error","sequence_number":7,"code":"upstream_timeout","message":"no","param":null,"error":{"#;
        assert!(counted.starts_with(start), "{counted:?}");
    }
}
