//! Joins the statuses of `error` with the shapes of the client's dialect.

use bytes::Bytes;

use crate::dialect::openai::{self, ErrorText};
use crate::filter::Endpoint;
use crate::pipeline::failure::Failure;
use crate::pipeline::reply::{ClientForm, ErrorForm};
use crate::server::error::{self, ErrorReply};

/// The form of OpenAI clients.
pub struct OpenAiForm;

impl ClientForm for OpenAiForm {
    fn error(&self, failure: &Failure, request_id: &str) -> ErrorForm {
        let reply = error::reply(failure);
        let body = Bytes::from(openai::error_body(&text(&reply), request_id));
        form(reply, body)
    }

    fn error_event(&self, failure: &Failure, endpoint: Endpoint) -> (ErrorForm, Bytes) {
        let reply = error::reply(failure);
        let in_stream = ErrorText {
            kind: in_stream_kind(&reply),
            ..text(&reply)
        };
        let event = openai::error_event(&in_stream, endpoint);
        (form(reply, Bytes::new()), event)
    }

    fn text_answer(
        &self,
        endpoint: Endpoint,
        request_id: &str,
        created_s: i64,
        text: &str,
    ) -> Bytes {
        Bytes::from(openai::text_answer(
            endpoint,
            &answer_id(endpoint, request_id),
            created_s,
            text,
        ))
    }

    fn text_stream(
        &self,
        endpoint: Endpoint,
        request_id: &str,
        created_s: i64,
        text: &str,
        with_usage: bool,
    ) -> Bytes {
        let id = answer_id(endpoint, request_id);
        Bytes::from(openai::text_stream(
            endpoint, &id, created_s, text, with_usage,
        ))
    }
}

/// Inside a stream everything but a filter's word is an `api_error`.
fn in_stream_kind(reply: &ErrorReply) -> &'static str {
    match reply.kind {
        "response_filter_error" => "response_filter_error",
        _ => "api_error",
    }
}

fn answer_id(endpoint: Endpoint, request_id: &str) -> String {
    match endpoint {
        Endpoint::ChatCompletions => format!("chatcmpl-{request_id}"),
        Endpoint::Completions => format!("cmpl-{request_id}"),
        Endpoint::Responses | Endpoint::Embeddings | Endpoint::Models | Endpoint::Passthrough => {
            request_id.to_owned()
        }
    }
}

fn text(reply: &ErrorReply) -> ErrorText<'_> {
    ErrorText {
        message: &reply.message,
        kind: reply.kind,
        code: &reply.code,
    }
}

fn form(reply: ErrorReply, body: Bytes) -> ErrorForm {
    let mut headers = Vec::new();
    if let Some(seconds) = reply.retry_after_s {
        headers.push(("retry-after", Bytes::from(seconds.to_string())));
    }
    if let Some(retry) = reply.should_retry {
        headers.push(("x-should-retry", Bytes::from(retry.to_string())));
    }
    ErrorForm {
        status: reply.status,
        kind: reply.kind.to_owned(),
        code: reply.code,
        message: reply.message,
        headers,
        body,
        close: reply.close,
    }
}
