//! Bedrock's runtime: error shapes, and answers that did not come from an upstream (`text`).

mod text;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::dialect::ErrorText;
use crate::filter::Endpoint;
pub use crate::wire::bedrock::ERROR_TYPE;
use crate::wire::bedrock::frame_of;

pub use self::text::{TextFor, text_answer, text_stream};

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

/// A text that is longer than a frame can be gets none: the client sees a stream without an end.
fn frame(endpoint: Endpoint, event: &Value) -> Bytes {
    Bytes::from(frame_of(endpoint, &event.to_string()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

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
            assert_eq!(said.kind.as_deref(), Some("ModelTimeoutException"));
            assert_eq!(said.message.as_deref(), Some("too \"late\""));
        }
        assert_eq!(error_body(&error), r#"{"message":"too \"late\""}"#);
    }
}
