//! Anthropic's Messages: paths, error shape, and answers that did not come from an upstream.

use serde_json::{Value, json};

use crate::dialect::ErrorText;
use crate::filter::Endpoint;

/// Which endpoint a path behind `/v1` means, if it is one of Anthropic's alone; `rest` begins with a slash.
pub fn endpoint(method: &str, rest: &str) -> Option<Endpoint> {
    match (method, rest) {
        ("POST", "/messages") => Some(Endpoint::Messages),
        ("POST", "/messages/count_tokens") => Some(Endpoint::MessagesCountTokens),
        // Such as batches of messages.
        (_, path) if path == "/messages" || path.starts_with("/messages/") => {
            Some(Endpoint::Passthrough)
        }
        _ => None,
    }
}

/// The word for an error of ours, by the status that it has here. (docs.anthropic.com, Errors, read 2026-11.)
pub fn error_kind(status: u16, kind: &'static str) -> &'static str {
    match (status, kind) {
        // What a filter says is told apart in every dialect.
        (_, "request_filter_error" | "response_filter_error") => kind,
        (401, _) => "authentication_error",
        (403, _) => "permission_error",
        (404, _) => "not_found_error",
        (413, _) => "request_too_large",
        (429, _) => "rate_limit_error",
        (503 | 529, _) => "overloaded_error",
        (504, _) => "timeout_error",
        (500.., _) => "api_error",
        _ => "invalid_request_error",
    }
}

/// The body of an error answer.
pub fn error_body(error: &ErrorText<'_>, request_id: &str) -> String {
    json!({ "type": "error", "error": error_object(error), "request_id": request_id }).to_string()
}

/// An error inside a stream that has begun. No `message_stop` follows it.
pub fn error_event(error: &ErrorText<'_>) -> String {
    event(
        "error",
        &json!({ "type": "error", "error": error_object(error) }),
    )
}

fn error_object(error: &ErrorText<'_>) -> Value {
    json!({ "type": error.kind, "message": error.message })
}

/// Name of the model in answers that a filter gave in the upstream's place.
const FILTER_MODEL: &str = "request_filter";

/// A text given as a whole answer.
pub fn text_answer(request_id: &str, text: &str) -> String {
    let content = json!([{ "type": "text", "text": text }]);
    message(request_id, content, "end_turn".into(), 0).to_string()
}

/// The same answer as a stream with a real ending.
pub fn text_stream(request_id: &str, text: &str) -> String {
    let events = [
        (
            "message_start",
            json!({ "message": message(request_id, json!([]), Value::Null, 0) }),
        ),
        (
            "content_block_start",
            json!({ "index": 0, "content_block": { "type": "text", "text": "" } }),
        ),
        (
            "content_block_delta",
            json!({ "index": 0, "delta": { "type": "text_delta", "text": text } }),
        ),
        ("content_block_stop", json!({ "index": 0 })),
        (
            "message_delta",
            json!({
                "delta": { "stop_reason": "end_turn", "stop_sequence": null },
                "usage": { "output_tokens": 0 },
            }),
        ),
        ("message_stop", json!({})),
    ];
    let typed = events.into_iter().map(|(name, fields)| {
        let mut data = json!({ "type": name });
        if let (Some(data), Value::Object(fields)) = (data.as_object_mut(), fields) {
            data.extend(fields);
        }
        event(name, &data)
    });
    typed.collect()
}

fn message(request_id: &str, content: Value, stop_reason: Value, output_tokens: u64) -> Value {
    json!({
        "id": format!("msg_{request_id}"), "type": "message", "role": "assistant",
        "model": FILTER_MODEL, "content": content, "stop_reason": stop_reason, "stop_sequence": null,
        "usage": { "input_tokens": 0, "output_tokens": output_tokens },
    })
}

fn event(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_endpoints() {
        let cases = [
            ("POST", "/messages", Some(Endpoint::Messages)),
            (
                "POST",
                "/messages/count_tokens",
                Some(Endpoint::MessagesCountTokens),
            ),
            ("POST", "/messages/batches", Some(Endpoint::Passthrough)),
            ("GET", "/messages", Some(Endpoint::Passthrough)),
            ("POST", "/messagesx", None),
            ("POST", "/chat/completions", None),
        ];
        for (method, path, expected) in cases {
            assert_eq!(endpoint(method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn errors_have_the_shape_that_clients_parse() {
        let error = ErrorText {
            message: "no",
            kind: error_kind(504, "api_error"),
            code: "upstream_timeout",
            param: None,
        };
        assert_eq!(
            error_body(&error, "id-1"),
            r#"{"type":"error","error":{"type":"timeout_error","message":"no"},"request_id":"id-1"}"#
        );
        assert_eq!(
            error_event(&error),
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"timeout_error\",\"message\":\"no\"}}\n\n"
        );
        assert_eq!(
            error_kind(400, "request_filter_error"),
            "request_filter_error"
        );
        let by_status = [400, 401, 403, 404, 405, 413, 429, 500, 502, 503];
        let kinds = by_status.map(|status| error_kind(status, "api_error"));
        let expected = [
            "invalid_request_error",
            "authentication_error",
            "permission_error",
            "not_found_error",
            "invalid_request_error",
            "request_too_large",
            "rate_limit_error",
            "api_error",
            "api_error",
            "overloaded_error",
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn a_text_stream_has_every_event_that_a_client_waits_for() {
        let stream = text_stream("x", "no \"way\"");
        let names: Vec<&str> = stream
            .lines()
            .filter_map(|line| line.strip_prefix("event: "))
            .collect();
        assert_eq!(
            names,
            [
                "message_start",
                "content_block_start",
                "content_block_delta",
                "content_block_stop",
                "message_delta",
                "message_stop"
            ]
        );
        assert!(stream.contains(r#""delta":{"type":"text_delta","text":"no \"way\""}"#));
        assert!(
            stream.ends_with("data: {\"type\":\"message_stop\"}\n\n"),
            "{stream}"
        );
    }
}
