//! Errors, in the shape of the API that was called.

use serde_json::{Value, json};

use crate::cli::mock::reply::Reply;
use crate::cli::mock::request::RawRequest;
use crate::cli::mock::{bedrock, query};
use crate::dialect::gemini;
use crate::wire::bedrock::{ERROR_TYPE, ModelPath};

/// Why a request gets an error for an answer.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    code: &'static str,
    message: String,
}

impl Refused {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// The error in the shape of an API.
    pub(super) fn reply(&self, family: Family) -> Reply {
        let error = match family {
            Family::Openai => error_json(self.status, self.code, &self.message),
            Family::Anthropic => anthropic_error_json(self.status, &self.message),
            Family::Gemini => gemini_error_json(self.status, &self.message),
            Family::Asksage => query::error_json(self.status, &self.message),
            Family::Bedrock => json!({ "message": self.message }),
        };
        let reply = Reply::json(self.status, &error);
        match family {
            Family::Bedrock => {
                reply.header(ERROR_TYPE, format!("{}:", bedrock::error_type(self.status)))
            }
            Family::Openai | Family::Anthropic | Family::Gemini | Family::Asksage => reply,
        }
    }
}

/// Whose API is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Openai,
    Anthropic,
    Gemini,
    Asksage,
    Bedrock,
}

impl Family {
    /// By the path.
    pub(super) fn of(request: &RawRequest) -> Self {
        let path = request.path();
        if path.starts_with(query::BASE) {
            return Self::Asksage;
        }
        if ModelPath::read(path).is_some() {
            return Self::Bedrock;
        }
        let names_gemini = request.header("x-goog-api-key").is_some();
        if names_gemini
            || path.starts_with("/v1beta/")
            || gemini::endpoint(&request.method, path).is_some()
        {
            return Self::Gemini;
        }
        let path = path.strip_prefix("/v1").unwrap_or(path);
        let is_anthropics = request.header("anthropic-version").is_some();
        let is_list = path == "/models" || path.starts_with("/models/");
        let is_messages = path == "/messages" || path.starts_with("/messages/");
        match is_messages || is_list && is_anthropics {
            true => Self::Anthropic,
            false => Self::Openai,
        }
    }
}

/// The error object of a status, in Anthropic's words.
pub(super) fn anthropic_error_json(status: u16, message: &str) -> Value {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

/// The error object of a status, in Gemini's words.
pub(super) fn gemini_error_json(status: u16, message: &str) -> Value {
    let word = match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        500 => "INTERNAL",
        504 => "DEADLINE_EXCEEDED",
        501.. => "UNAVAILABLE",
        _ => "INVALID_ARGUMENT",
    };
    json!({"error": {"code": status, "message": message, "status": word}})
}

/// The error object of a status.
pub(super) fn error_json(status: u16, code: &str, message: &str) -> Value {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}
