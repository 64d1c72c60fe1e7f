//! Gemini's API as Google AI Studio serves it: paths, error shape, and answers that did not come from an upstream.

use serde_json::{Value, json};

use crate::dialect::ErrorText;
use crate::filter::Endpoint;
use crate::wire::gemini::ModelPath;

/// Which endpoint a path with its version means, if it is one that only Gemini has, and the model that it names,
/// percent signs as they are.
pub fn endpoint<'a>(method: &str, path: &'a str) -> Option<(Endpoint, &'a str)> {
    let ModelPath { model, verb, .. } = ModelPath::read(path)?;
    let endpoint = match (method, verb?) {
        ("POST", "generateContent" | "streamGenerateContent") => Endpoint::GenerateContent,
        ("POST", "countTokens") => Endpoint::CountTokens,
        ("POST", "embedContent" | "batchEmbedContents") => Endpoint::EmbedContent,
        // Names of others' models have colons too.
        _ => return None,
    };
    Some((endpoint, model))
}

/// Which endpoint a path with its version means in an API that is Gemini's, and the model that it names.
pub fn any_endpoint<'a>(method: &str, path: &'a str) -> (Endpoint, Option<&'a str>) {
    if let Some((endpoint, model)) = endpoint(method, path) {
        return (endpoint, Some(model));
    }
    let named = ModelPath::read(path);
    let is_looked_at = match named {
        Some(ModelPath { verb, .. }) => verb.is_none(),
        None => path.ends_with("/models"),
    };
    let endpoint = match method == "GET" && is_looked_at {
        true => Endpoint::Models,
        false => Endpoint::Passthrough,
    };
    (endpoint, named.map(|named| named.model))
}

/// The word for an error of ours, by the status that it has here. (google.rpc.Code and its HTTP mapping, read 2026-11.)
pub fn error_status(status: u16) -> &'static str {
    match status {
        400 | 405 | 408 | 413 | 414 | 431 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        500 => "INTERNAL",
        501 => "UNIMPLEMENTED",
        504 => "DEADLINE_EXCEEDED",
        502.. => "UNAVAILABLE",
        _ => "INVALID_ARGUMENT",
    }
}

/// The body of an error answer. `status`: HTTP's.
pub fn error_body(error: &ErrorText<'_>, status: u16, request_id: &str) -> String {
    let request = json!({
        "@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": request_id,
    });
    json!({ "error": error_object(error, status, Some(request)) }).to_string()
}

/// An error inside an event stream that has begun.
pub fn error_event(error: &ErrorText<'_>, status: u16) -> String {
    format!(
        "data: {}\n\n",
        json!({ "error": error_object(error, status, None) })
    )
}

/// `kind` is Google's word; our own code is the reason of an `ErrorInfo`.
fn error_object(error: &ErrorText<'_>, status: u16, more: Option<Value>) -> Value {
    let reason = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": error.code,
        "domain": "aiproxy",
    });
    let details: Vec<Value> = std::iter::once(reason).chain(more).collect();
    json!({
        "code": status, "message": error.message, "status": error.kind, "details": details,
    })
}

/// Name of the model in answers that a filter gave in the upstream's place.
const FILTER_MODEL: &str = "request_filter";

/// A text given as a whole answer.
pub fn text_answer(request_id: &str, text: &str) -> String {
    chunk(request_id, text, Some("STOP")).to_string()
}

/// The same answer as a stream of events with a real ending.
pub fn text_stream(request_id: &str, text: &str) -> String {
    let chunks = [
        chunk(request_id, text, None),
        chunk(request_id, "", Some("STOP")),
    ];
    chunks.map(|chunk| format!("data: {chunk}\n\n")).concat()
}

fn chunk(request_id: &str, text: &str, finish_reason: Option<&str>) -> Value {
    let mut candidate = json!({
        "content": { "parts": [{ "text": text }], "role": "model" }, "index": 0,
    });
    if let Some(reason) = finish_reason {
        candidate["finishReason"] = json!(reason);
    }
    json!({
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0,
        },
        "modelVersion": FILTER_MODEL, "responseId": request_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_endpoints() {
        let model = |endpoint| (endpoint, Some("g"));
        for (method, path, expected) in [
            (
                "POST",
                "/v1beta/models/g:generateContent",
                model(Endpoint::GenerateContent),
            ),
            (
                "POST",
                "/v1/models/g:streamGenerateContent",
                model(Endpoint::GenerateContent),
            ),
            (
                "POST",
                "/v1beta/models/g:countTokens",
                model(Endpoint::CountTokens),
            ),
            (
                "POST",
                "/v1beta/models/g:embedContent",
                model(Endpoint::EmbedContent),
            ),
            (
                "POST",
                "/v1beta/models/g:batchEmbedContents",
                model(Endpoint::EmbedContent),
            ),
            (
                "POST",
                "/v1beta/models/g:predict",
                model(Endpoint::Passthrough),
            ),
            (
                "GET",
                "/v1beta/models/g:generateContent",
                model(Endpoint::Passthrough),
            ),
            ("GET", "/v1beta/models/g", model(Endpoint::Models)),
            ("GET", "/v1beta/models", (Endpoint::Models, None)),
            ("POST", "/v1beta/models", (Endpoint::Passthrough, None)),
            ("GET", "/v1beta/files/f", (Endpoint::Passthrough, None)),
        ] {
            assert_eq!(any_endpoint(method, path), expected, "{method} {path}");
        }
        assert_eq!(endpoint("GET", "/v1/models/gpt-4o"), None);
        assert_eq!(endpoint("GET", "/v1/models/ft:gpt-4o:org::id"), None);
    }

    #[test]
    fn errors_have_the_shape_that_clients_parse() {
        let error = ErrorText {
            message: "no",
            kind: error_status(504),
            code: "upstream_timeout",
            param: None,
        };
        let info = r#"{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"upstream_timeout","domain":"aiproxy"}"#;
        let request =
            r#"{"@type":"type.googleapis.com/google.rpc.RequestInfo","requestId":"id-1"}"#;
        let begin =
            r#"{"error":{"code":504,"message":"no","status":"DEADLINE_EXCEEDED","details":["#;
        assert_eq!(
            error_body(&error, 504, "id-1"),
            format!("{begin}{info},{request}]}}}}")
        );
        assert_eq!(
            error_event(&error, 504),
            format!("data: {begin}{info}]}}}}\n\n")
        );
        let statuses = [400, 401, 403, 404, 413, 429, 500, 502, 503].map(error_status);
        let expected = [
            "INVALID_ARGUMENT",
            "UNAUTHENTICATED",
            "PERMISSION_DENIED",
            "NOT_FOUND",
            "INVALID_ARGUMENT",
            "RESOURCE_EXHAUSTED",
            "INTERNAL",
            "UNAVAILABLE",
            "UNAVAILABLE",
        ];
        assert_eq!(statuses, expected);
    }

    #[test]
    fn a_text_stream_ends_with_a_reason() {
        let stream = text_stream("x", "no \"way\"");
        let (first, last) = stream.split_once("\n\n").expect("two events");
        assert!(first.contains(r#""text":"no \"way\"""#) && !first.contains("finishReason"));
        assert!(
            last.contains(r#""finishReason":"STOP""#) && last.ends_with("}\n\n"),
            "{last}"
        );
    }
}
