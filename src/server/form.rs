//! Joins the statuses of `error` with the shapes of the client's dialect.

use bytes::Bytes;

use crate::dialect::{ErrorText, anthropic, gemini, openai};
use crate::filter::{Dialect, Endpoint};
use crate::pipeline::failure::Failure;
use crate::pipeline::reply::{ClientForm, ErrorForm};
use crate::server::error::{self, ErrorReply};

/// The forms of all dialects.
pub struct Forms;

impl ClientForm for Forms {
    fn error(&self, failure: &Failure, dialect: Dialect, request_id: &str) -> ErrorForm {
        let reply = in_words_of(dialect, error::reply(failure));
        let body = match dialect {
            Dialect::Openai | Dialect::Azure => openai::error_body(&text(&reply), request_id),
            Dialect::Anthropic => anthropic::error_body(&text(&reply), request_id),
            Dialect::Gemini => gemini::error_body(&text(&reply), reply.status, request_id),
        };
        form(reply, Bytes::from(body))
    }

    fn error_event(
        &self,
        failure: &Failure,
        endpoint: Endpoint,
        number: u64,
    ) -> (ErrorForm, Bytes) {
        if is_anthropic(endpoint) {
            let reply = in_words_of(Dialect::Anthropic, error::reply(failure));
            let event = anthropic::error_event(&text(&reply));
            return (form(reply, Bytes::new()), Bytes::from(event));
        }
        if is_gemini(endpoint) {
            let reply = in_words_of(Dialect::Gemini, error::reply(failure));
            let event = gemini::error_event(&text(&reply), reply.status);
            return (form(reply, Bytes::new()), Bytes::from(event));
        }
        let reply = error::reply(failure);
        let in_stream = ErrorText {
            kind: in_stream_kind(&reply),
            ..text(&reply)
        };
        let event = openai::error_event(&in_stream, endpoint, number);
        (form(reply, Bytes::new()), event)
    }

    fn text_answer(
        &self,
        endpoint: Endpoint,
        request_id: &str,
        created_s: i64,
        text: &str,
    ) -> Bytes {
        let id = answer_id(endpoint, request_id);
        Bytes::from(match is_anthropic(endpoint) {
            true => anthropic::text_answer(&id, text),
            false if is_gemini(endpoint) => gemini::text_answer(&id, text),
            false => openai::text_answer(endpoint, &id, created_s, text),
        })
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
        Bytes::from(match is_anthropic(endpoint) {
            true => anthropic::text_stream(&id, text),
            false if is_gemini(endpoint) => gemini::text_stream(&id, text),
            false => openai::text_stream(endpoint, &id, created_s, text, with_usage),
        })
    }
}

/// Whether an endpoint is Anthropic's alone.
fn is_anthropic(endpoint: Endpoint) -> bool {
    matches!(endpoint, Endpoint::Messages | Endpoint::MessagesCountTokens)
}

/// Whether an endpoint is Gemini's alone.
fn is_gemini(endpoint: Endpoint) -> bool {
    matches!(
        endpoint,
        Endpoint::GenerateContent | Endpoint::CountTokens | Endpoint::EmbedContent
    )
}

/// Anthropic's and Gemini's words for kinds of errors go by the status.
fn in_words_of(dialect: Dialect, reply: ErrorReply) -> ErrorReply {
    match dialect {
        Dialect::Openai | Dialect::Azure => reply,
        Dialect::Anthropic => ErrorReply {
            kind: anthropic::error_kind(reply.status, reply.kind),
            ..reply
        },
        Dialect::Gemini => ErrorReply {
            kind: gemini::error_status(reply.status),
            ..reply
        },
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
        Endpoint::Responses
        | Endpoint::Embeddings
        | Endpoint::Messages
        | Endpoint::MessagesCountTokens
        | Endpoint::GenerateContent
        | Endpoint::CountTokens
        | Endpoint::EmbedContent
        | Endpoint::AsksageQuery
        | Endpoint::ArgoChat
        | Endpoint::ArgoEmbed
        | Endpoint::Models
        | Endpoint::Passthrough => request_id.to_owned(),
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
