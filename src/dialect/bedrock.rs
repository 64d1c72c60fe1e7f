//! Bedrock's runtime: error shapes, and answers that did not come from an upstream.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::dialect::ErrorText;
use crate::filter::Endpoint;
pub use crate::wire::bedrock::ERROR_TYPE;
use crate::wire::bedrock::frame_of;

/// The exception for an error of ours, by the status that it has here. (docs.aws.amazon.com, `InvokeModel` and `Converse`,
/// errors, read 2026-11.)
pub fn error_type(status: u16) -> &'static str {
    match status {
        401 | 403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 | 504 => "ModelTimeoutException",
        429 => "ThrottlingException",
        500 => "InternalServerException",
        501.. => "ServiceUnavailableException",
        _ => "ValidationException",
    }
}

/// The body of an error answer; what kind it is stands in the header [`ERROR_TYPE`].
pub fn error_body(error: &ErrorText<'_>) -> String {
    json!({ "message": error.message }).to_string()
}

/// The header with the id of a request.
pub const REQUEST_ID: &str = "x-amzn-requestid";

/// The exception with which a stream ends that has begun, by the status that it has here: streams know fewer than heads,
/// and those of `converse` no time limit.
pub fn stream_error_type(status: u16, endpoint: Endpoint) -> &'static str {
    match status {
        429 => "throttlingException",
        408 | 504 if endpoint == Endpoint::BedrockInvoke => "modelTimeoutException",
        500 => "internalServerException",
        501.. => "serviceUnavailableException",
        _ => "validationException",
    }
}

/// An error inside a stream that has begun, as a frame.
pub fn error_event(error: &ErrorText<'_>, endpoint: Endpoint) -> Bytes {
    frame(
        endpoint,
        &json!({ error.kind: { "message": error.message } }),
    )
}

/// A text given as a whole answer. `has_prompt`: the request is a prompt, as earlier Claudes took it.
pub fn text_answer(endpoint: Endpoint, request_id: &str, text: &str, has_prompt: bool) -> String {
    let whole = match endpoint {
        Endpoint::BedrockConverse => json!({
            "output": { "message": { "role": "assistant", "content": [{ "text": text }] } },
            "stopReason": "end_turn",
            "usage": { "inputTokens": 0, "outputTokens": 0, "totalTokens": 0 },
            "metrics": { "latencyMs": 0 },
        }),
        _ if has_prompt => completion(text),
        _ => message(
            request_id,
            &json!([{ "type": "text", "text": text }]),
            "end_turn",
        ),
    };
    whole.to_string()
}

/// The same as the frames of a stream with a real ending.
pub fn text_stream(endpoint: Endpoint, request_id: &str, text: &str, has_prompt: bool) -> Bytes {
    let events = match endpoint {
        Endpoint::BedrockConverse => vec![
            json!({ "messageStart": { "role": "assistant" } }),
            json!({ "contentBlockDelta": { "contentBlockIndex": 0, "delta": { "text": text } } }),
            json!({ "contentBlockStop": { "contentBlockIndex": 0 } }),
            json!({ "messageStop": { "stopReason": "end_turn" } }),
            json!({ "metadata": {
                "usage": { "inputTokens": 0, "outputTokens": 0, "totalTokens": 0 },
                "metrics": { "latencyMs": 0 },
            } }),
        ],
        _ if has_prompt => {
            let mut last = completion(text);
            last["amazon-bedrock-invocationMetrics"] = metrics();
            vec![last]
        }
        _ => vec![
            json!({
                "type": "message_start", "message": message(request_id, &json!([]), Value::Null),
            }),
            json!({
                "type": "content_block_start", "index": 0,
                "content_block": { "type": "text", "text": "" },
            }),
            json!({
                "type": "content_block_delta", "index": 0,
                "delta": { "type": "text_delta", "text": text },
            }),
            json!({ "type": "content_block_stop", "index": 0 }),
            json!({
                "type": "message_delta",
                "delta": { "stop_reason": "end_turn", "stop_sequence": null },
                "usage": { "output_tokens": 0 },
            }),
            json!({
                "type": "message_stop", "amazon-bedrock-invocationMetrics": metrics(),
            }),
        ],
    };
    let frames: Vec<Bytes> = events.iter().map(|event| frame(endpoint, event)).collect();
    Bytes::from(frames.concat())
}

/// Name of the model in answers that a filter gave in the upstream's place.
const FILTER_MODEL: &str = "request_filter";

fn message(request_id: &str, content: &Value, stop_reason: impl Into<Value>) -> Value {
    json!({
        "id": request_id, "type": "message", "role": "assistant", "model": FILTER_MODEL,
        "content": content, "stop_reason": stop_reason.into(), "stop_sequence": null,
        "usage": { "input_tokens": 0, "output_tokens": 0 },
    })
}

fn completion(text: &str) -> Value {
    json!({ "completion": text, "stop_reason": "stop_sequence", "stop": null })
}

fn metrics() -> Value {
    json!({
        "inputTokenCount": 0, "outputTokenCount": 0, "invocationLatency": 0, "firstByteLatency": 0,
    })
}

/// A text that is longer than a frame can be gets none: the client sees a stream without an end.
fn frame(endpoint: Endpoint, event: &Value) -> Bytes {
    Bytes::from(frame_of(endpoint, &event.to_string()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    #[test]
    fn a_text_is_read_as_an_answer_whole_and_streamed() {
        for (endpoint, has_prompt) in [
            (Endpoint::BedrockConverse, false),
            (Endpoint::BedrockInvoke, false),
            (Endpoint::BedrockInvoke, true),
        ] {
            let whole = text_answer(endpoint, "id-1", "no \"way\"", has_prompt);
            let stream = text_stream(endpoint, "id-1", "no \"way\"", has_prompt);
            for read in [
                wire::decode_whole(endpoint, whole.as_bytes()),
                wire::decode_stream(endpoint, &stream),
            ] {
                assert_eq!(read.text.as_deref(), Some("no \"way\""), "{whole}");
                assert_eq!(read.finish_reason.as_deref(), Some("stop"), "{whole}");
            }
        }
    }

    #[test]
    fn errors_have_the_names_that_clients_know() {
        let types = [400, 401, 403, 404, 408, 413, 429, 500, 502, 503, 504].map(error_type);
        let expected = [
            "ValidationException",
            "AccessDeniedException",
            "AccessDeniedException",
            "ResourceNotFoundException",
            "ModelTimeoutException",
            "ValidationException",
            "ThrottlingException",
            "InternalServerException",
            "ServiceUnavailableException",
            "ServiceUnavailableException",
            "ModelTimeoutException",
        ];
        assert_eq!(types, expected);
        let in_stream = |status| stream_error_type(status, Endpoint::BedrockConverse);
        assert_eq!(
            [403, 429, 500, 502, 504].map(in_stream),
            [
                "validationException",
                "throttlingException",
                "internalServerException",
                "serviceUnavailableException",
                "serviceUnavailableException",
            ]
        );
        let late = stream_error_type(504, Endpoint::BedrockInvoke);
        assert_eq!(late, "modelTimeoutException");
    }

    #[test]
    fn an_error_in_a_stream_is_an_exception() {
        let error = ErrorText {
            message: "too \"late\"",
            kind: "modelTimeoutException",
            code: "upstream_timeout",
            param: None,
        };
        for endpoint in [Endpoint::BedrockInvoke, Endpoint::BedrockConverse] {
            let frame = error_event(&error, endpoint);
            let said = wire::decode_stream(endpoint, &frame)
                .error
                .expect("an error");
            assert_eq!(said.kind.as_deref(), Some("modelTimeoutException"));
            assert_eq!(said.message.as_deref(), Some("too \"late\""));
        }
        assert_eq!(error_body(&error), r#"{"message":"too \"late\""}"#);
    }
}
