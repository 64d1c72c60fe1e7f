//! Joins the statuses of `error` with the shapes of the client's dialect.

use bytes::Bytes;

use crate::dialect::{ErrorText, anthropic, bedrock, gemini, openai};
use crate::filter::{Dialect, Endpoint};
use crate::pipeline::failure::Failure;
use crate::pipeline::reply::{AnswerTo, ClientForm, ErrorForm};
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
            Dialect::Bedrock => bedrock::error_body(&text(&reply)),
        };
        let mut form = form(reply, Bytes::from(body));
        if dialect == Dialect::Bedrock {
            form.headers.extend([
                (bedrock::ERROR_TYPE, Bytes::from(form.kind.clone())),
                (
                    bedrock::REQUEST_ID,
                    Bytes::copy_from_slice(request_id.as_bytes()),
                ),
            ]);
        }
        form
    }

    fn error_event(
        &self,
        failure: &Failure,
        endpoint: Endpoint,
        number: u64,
    ) -> (ErrorForm, Bytes) {
        let dialect = family(endpoint);
        let reply = in_words_of(dialect, error::reply(failure));
        let event = match dialect {
            Dialect::Anthropic => Bytes::from(anthropic::error_event(&text(&reply))),
            Dialect::Gemini => Bytes::from(gemini::error_event(&text(&reply), reply.status)),
            Dialect::Bedrock => {
                let kind = bedrock::stream_error_type(reply.status, endpoint);
                let in_stream = ErrorText {
                    kind,
                    ..text(&reply)
                };
                bedrock::error_event(&in_stream, endpoint)
            }
            Dialect::Openai | Dialect::Azure => {
                let in_stream = ErrorText {
                    kind: in_stream_kind(&reply),
                    ..text(&reply)
                };
                openai::error_event(&in_stream, endpoint, number)
            }
        };
        (form(reply, Bytes::new()), event)
    }

    fn text_answer(&self, to: &AnswerTo<'_>, text: &str) -> Bytes {
        let endpoint = to.endpoint;
        let id = answer_id(endpoint, to.request_id);
        Bytes::from(match family(endpoint) {
            Dialect::Anthropic => anthropic::text_answer(&id, text),
            Dialect::Gemini => gemini::text_answer(&id, text),
            Dialect::Bedrock => bedrock::text_answer(&text_for(to), text),
            Dialect::Openai | Dialect::Azure => {
                openai::text_answer(endpoint, &id, to.created_s, text)
            }
        })
    }

    fn text_stream(&self, to: &AnswerTo<'_>, text: &str) -> Bytes {
        let endpoint = to.endpoint;
        let id = answer_id(endpoint, to.request_id);
        Bytes::from(match family(endpoint) {
            Dialect::Anthropic => anthropic::text_stream(&id, text),
            Dialect::Gemini => gemini::text_stream(&id, text),
            Dialect::Bedrock => return bedrock::text_stream(&text_for(to), text),
            Dialect::Openai | Dialect::Azure => {
                openai::text_stream(endpoint, &id, to.created_s, text, to.with_usage)
            }
        })
    }
}

fn text_for<'a>(to: &AnswerTo<'a>) -> bedrock::TextFor<'a> {
    bedrock::TextFor {
        endpoint: to.endpoint,
        form: to.invoke_form,
        request_id: to.request_id,
        created_s: to.created_s,
    }
}

/// In whose shapes an endpoint answers.
fn family(endpoint: Endpoint) -> Dialect {
    match endpoint {
        Endpoint::Messages | Endpoint::MessagesCountTokens => Dialect::Anthropic,
        Endpoint::GenerateContent | Endpoint::CountTokens | Endpoint::EmbedContent => {
            Dialect::Gemini
        }
        Endpoint::BedrockInvoke | Endpoint::BedrockConverse => Dialect::Bedrock,
        Endpoint::ChatCompletions
        | Endpoint::Completions
        | Endpoint::Embeddings
        | Endpoint::Responses
        | Endpoint::AsksageQuery
        | Endpoint::ArgoChat
        | Endpoint::ArgoEmbed
        | Endpoint::Models
        | Endpoint::Passthrough => Dialect::Openai,
    }
}

/// Anthropic's, Gemini's and Bedrock's words for kinds of errors go by the status.
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
        Dialect::Bedrock => ErrorReply {
            kind: bedrock::error_type(reply.status),
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
        | Endpoint::BedrockInvoke
        | Endpoint::BedrockConverse
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
        param: reply.param.as_deref(),
    }
}

fn form(reply: ErrorReply, body: Bytes) -> ErrorForm {
    let mut headers = Vec::new();
    if let Some(allow) = reply.allow {
        headers.push(("allow", Bytes::from_static(allow.as_bytes())));
    }
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
