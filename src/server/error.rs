//! The one place where a failure becomes an HTTP status, with its type, code and message for the client.
//!
//! Messages never hold a host name, key, SQL or file name of ours.

use crate::pipeline::failure::{Failure, FilterFailure, FilterPhase};

/// What the client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReply {
    /// HTTP status.
    pub status: u16,
    /// `error.type`.
    pub kind: &'static str,
    /// `error.code`.
    pub code: String,
    /// `error.message`.
    pub message: String,
    /// `error.param`: the field that is refused, if one is.
    pub param: Option<String>,
    /// `Allow`: the methods that would do.
    pub allow: Option<&'static str>,
    /// `Retry-After` in seconds.
    pub retry_after_s: Option<u32>,
    /// `x-should-retry`, where the client must not follow its own rule.
    pub should_retry: Option<bool>,
    /// Whether the connection is closed after it.
    pub close: bool,
}

const INVALID: &str = "invalid_request_error";
const API: &str = "api_error";
/// The word of many compatible servers: OpenAI's own names what ran out, which is not known here.
const RATE_LIMIT: &str = "rate_limit_error";

/// The table.
pub fn reply(failure: &Failure) -> ErrorReply {
    let plain = |status: u16, kind: &'static str, code: &str, message: String| ErrorReply {
        status,
        kind,
        code: code.to_owned(),
        message,
        param: None,
        allow: None,
        retry_after_s: None,
        should_retry: None,
        close: false,
    };
    let invalid = |status, code, message: &str| plain(status, INVALID, code, message.to_owned());
    let api = |status, code, message: &str| plain(status, API, code, message.to_owned());
    match failure {
        Failure::InvalidJson { reason } => plain(
            400,
            INVALID,
            "invalid_json",
            format!("the body is not a JSON object: {reason}"),
        ),
        Failure::JsonTooDeep => invalid(
            400,
            "json_too_deep",
            "the body is nested too deep (limit 128)",
        ),
        Failure::JsonTooManyKeys => invalid(
            400,
            "json_too_many_keys",
            "an object in the body has more than 10000 keys",
        ),
        Failure::DuplicateKey { key } => plain(
            400,
            INVALID,
            "invalid_json",
            format!("the key '{key}' stands more than once"),
        ),
        Failure::BodyTooLarge { limit } => closing(plain(
            413,
            INVALID,
            "body_too_large",
            format!("the body is longer than {limit} bytes"),
        )),
        Failure::BodyTimeout => closing(invalid(
            408,
            "body_timeout",
            "the body did not arrive in time",
        )),
        Failure::BodyBroken => closing(invalid(400, "invalid_body", "the body could not be read")),
        Failure::ClientGone => invalid(499, "client_disconnected", "the client left"),
        Failure::HeadersTooLarge => closing(invalid(
            431,
            "headers_too_large",
            "too many or too long request headers",
        )),
        Failure::TargetTooLong => closing(invalid(
            414,
            "uri_too_long",
            "the request target is too long",
        )),
        Failure::BadTarget { reason } => invalid(400, "invalid_target", reason),
        Failure::UnknownPath => invalid(404, "not_found", "nothing is served at this path"),
        Failure::MethodNotAllowed { allow } => ErrorReply {
            allow: *allow,
            ..invalid(405, "method_not_allowed", "this method is not served here")
        },
        Failure::NoSuch { what, name } => plain(
            404,
            INVALID,
            "not_found",
            format!("there is no {what} '{}'", printable(name)),
        ),
        Failure::ForeignSignature => invalid(
            401,
            "no_credentials",
            "the signature is for another address and this proxy has no credentials to sign with; name \
             access_key_id and secret_access_key of its provider, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ),
        Failure::TwoKeys { first, second } => plain(
            400,
            INVALID,
            "conflicting_credentials",
            format!(
                "two different keys are shown, as '{first}' and as '{second}'; send one of them"
            ),
        ),
        Failure::UnknownModel { model, nearest } => plain(
            404,
            INVALID,
            "model_not_found",
            match nearest.as_slice() {
                [] => format!("the model '{}' is not served here", printable(model)),
                nearest => format!(
                    "the model '{}' is not served here; these are: {}",
                    printable(model),
                    nearest.join(", ")
                ),
            },
        ),
        Failure::CountNotTranslated { model, counting } => {
            let counting = match counting.as_slice() {
                [] => "no provider here counts for clients of this API".to_owned(),
                counting => format!("these count for their own models: {}", counting.join(", ")),
            };
            let model = printable(model);
            let message = format!(
                "tokens for the model '{model}' cannot be counted: counting is not translated to its provider; {counting}"
            );
            plain(400, INVALID, "counting_not_translated", message)
        }
        Failure::LacksCall { model, kind, lacks } => ErrorReply {
            param: Some("model".to_owned()),
            ..plain(
                400,
                INVALID,
                "unsupported_parameter",
                match model {
                    None => format!("a provider of the kind '{kind}' has no {lacks}"),
                    Some(model) => format!(
                        "the model '{}' is of a provider of the kind '{kind}', which has no {lacks}",
                        printable(model)
                    ),
                },
            )
        },
        Failure::MissingModel => ErrorReply {
            param: Some("model".to_owned()),
            ..invalid(
                400,
                "missing_model",
                "the request names no model: 'model' must be a text",
            )
        },
        Failure::ReplayNotFound => no_retry(invalid(
            404,
            "replay_not_found",
            "no exchange with this id can be replayed",
        )),
        Failure::ReplayNotComplete => no_retry(invalid(
            409,
            "replay_not_complete",
            "the exchange is not finished yet",
        )),
        Failure::ReplayBodyUnavailable => no_retry(invalid(
            409,
            "replay_body_unavailable",
            "the answer of this exchange was not stored whole",
        )),
        Failure::BadHeader { name, reason } => {
            plain(400, INVALID, "invalid_header", format!("{name}: {reason}"))
        }
        Failure::BadMember { name, reason } => ErrorReply {
            param: Some((*name).to_owned()),
            ..plain(400, INVALID, "invalid_value", format!("'{name}': {reason}"))
        },
        Failure::NoCandidate {
            left_out,
            retry_after_s,
        } => ErrorReply {
            retry_after_s: *retry_after_s,
            ..plain(
                503,
                API,
                "no_upstream_available",
                format!("nobody would be asked: {}", left_out.join("; ")),
            )
        },
        Failure::NoUpstream { retry_after_s } => retry_after(
            api(
                503,
                "no_upstream_available",
                "no provider of this model can be reached at the moment",
            ),
            *retry_after_s,
        ),
        Failure::KeysBusy { retry_after_s } => retry_after(
            plain(
                429,
                RATE_LIMIT,
                "rate_limit_exceeded",
                "the keys for this model have reached their rate limit".to_owned(),
            ),
            *retry_after_s,
        ),
        Failure::NoTarget => plain(
            403,
            INVALID,
            "no_target",
            "no provider of this model is for this request".to_owned(),
        ),
        Failure::Overloaded => retry_after(
            api(503, "overloaded", "too many open streams, try again soon"),
            1,
        ),
        Failure::LogUnavailable => retry_after(
            api(503, "log_unavailable", "the exchange could not be recorded"),
            5,
        ),
        Failure::RecordUnreadable => retry_after(
            api(
                503,
                "log_unavailable",
                "the record cannot be read at the moment",
            ),
            5,
        ),
        Failure::ShuttingDown => closing(retry_after(
            api(503, "server_shutting_down", "the server is shutting down"),
            1,
        )),
        Failure::UpstreamUnreachable { .. } => api(
            502,
            "upstream_unreachable",
            "the provider could not be reached",
        ),
        Failure::UpstreamDns => api(
            502,
            "upstream_dns",
            "the provider's name could not be resolved",
        ),
        Failure::UpstreamTls { .. } => api(
            502,
            "upstream_tls",
            "no secure connection to the provider could be made",
        ),
        Failure::UpstreamTimeout => api(
            504,
            "upstream_timeout",
            "the provider did not answer in time",
        ),
        Failure::UpstreamIdleTimeout => api(
            504,
            "upstream_idle_timeout",
            "the provider stopped in the middle of its answer",
        ),
        Failure::UpstreamRedirect => api(
            502,
            "upstream_redirect",
            "the provider answered with a redirect",
        ),
        Failure::UpstreamAuth { .. } => api(
            502,
            "upstream_auth",
            "the provider refused the proxy's own credentials",
        ),
        Failure::UpstreamBadContentType => api(
            502,
            "upstream_bad_content_type",
            "the provider's answer has an unexpected type",
        ),
        Failure::UpstreamProtocol { .. } => api(
            502,
            "upstream_protocol",
            "the provider's answer could not be read",
        ),
        Failure::UpstreamBodyTooLarge => api(
            502,
            "upstream_body_too_large",
            "the provider's answer is too long for its filters",
        ),
        Failure::UpstreamEventTooLarge => api(
            502,
            "upstream_event_too_large",
            "an event of the provider's stream is too long",
        ),
        Failure::UpstreamTruncated => api(
            502,
            "upstream_truncated",
            "the provider's answer ended before its end",
        ),
        Failure::UpstreamClosed | Failure::UpstreamDisconnected => api(
            502,
            "upstream_disconnected",
            "the connection to the provider broke",
        ),
        Failure::UpstreamStatus { status } => plain(
            *status,
            API,
            "upstream_error",
            format!("the provider answered with status {status}"),
        ),
        // Words of the provider's for the kind are of another dialect.
        Failure::UpstreamSaid { status, error } => plain(
            *status,
            match status {
                429 => RATE_LIMIT,
                400..500 => INVALID,
                _ => API,
            },
            error
                .code
                .as_deref()
                .or(error.kind.as_deref())
                .unwrap_or("upstream_error"),
            match error.message.as_str() {
                "" => format!("the provider answered with status {status}"),
                message => message.to_owned(),
            },
        ),
        Failure::Untranslatable { field, reason } => ErrorReply {
            param: Some(field.clone()),
            ..plain(
                400,
                INVALID,
                "unsupported_parameter",
                format!("'{field}' cannot be passed to the provider of this model: {reason}"),
            )
        },
        Failure::FilterRefused {
            phase,
            message,
            code,
            status,
            retry_after_s,
            ..
        } => ErrorReply {
            retry_after_s: *retry_after_s,
            ..plain(
                status.unwrap_or(400),
                match phase {
                    FilterPhase::Request => "request_filter_error",
                    FilterPhase::Response | FilterPhase::Stream => "response_filter_error",
                },
                code,
                message.clone(),
            )
        },
        Failure::FilterFailed { filter, kind } => filter_failed(filter, *kind),
        Failure::Internal => api(500, "internal_error", "a defect of the proxy"),
    }
}

fn filter_failed(filter: &str, kind: FilterFailure) -> ErrorReply {
    let (status, code, what) = match kind {
        FilterFailure::Error => (500, "filter_error", "failed"),
        FilterFailure::HeldTooMuch => (500, "filter_error", "held back too much"),
        FilterFailure::Timeout => (504, "filter_timeout", "took too long"),
        FilterFailure::InvalidOutput => (500, "filter_invalid_output", "made an unusable result"),
        FilterFailure::PoolFull => (503, "filter_busy", "had no room to work"),
    };
    ErrorReply {
        status,
        kind: API,
        code: code.to_owned(),
        message: format!("the filter '{filter}' {what}"),
        param: None,
        allow: None,
        retry_after_s: (kind == FilterFailure::PoolFull).then_some(1),
        should_retry: None,
        close: false,
    }
}

fn closing(reply: ErrorReply) -> ErrorReply {
    ErrorReply {
        close: true,
        ..reply
    }
}

fn no_retry(reply: ErrorReply) -> ErrorReply {
    ErrorReply {
        should_retry: Some(false),
        ..reply
    }
}

fn retry_after(reply: ErrorReply, seconds: u32) -> ErrorReply {
    ErrorReply {
        retry_after_s: Some(seconds),
        ..reply
    }
}

/// A name from outside, fit to stand in a message: no control characters, at most 256 characters.
fn printable(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(256)
        .collect()
}
