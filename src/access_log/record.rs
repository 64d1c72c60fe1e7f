//! The record: one struct, one field a column of `exchanges`. A row, an API item and a snapshot come from it.

use serde::Serialize;

use crate::access_log::draft::{AttemptDraft, ColumnValue, VerdictDraft};

/// One finished exchange, ready for SQL. Unknown is `None`, never 0 or an empty text.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LogRecord {
    /// UUIDv7 in its hyphenated form.
    pub request_id: String,
    /// The client's own `x-request-id`. `None` when it sent none.
    pub client_request_id: Option<String>,
    /// Acceptance, in microseconds since the Unix epoch, UTC. Fixed when the request opens.
    pub created_at_us: i64,
    /// The end, in microseconds since the Unix epoch, UTC. `None` after a crash.
    pub finished_at_us: Option<i64>,
    /// Host and port of the process that served it. `None` when the process did not say.
    pub instance: Option<String>,
    /// Short hash of the configuration that served it. `None` when the process did not say.
    pub config_version: Option<String>,
    /// Name of the virtual key of the caller. `None` until keys exist, and for a caller without one.
    pub key_name: Option<String>,
    /// `x-aiproxy-user`, else the body's `user` or `metadata.user_id`. `None` when none of them is there.
    pub end_user: Option<String>,
    /// `x-session-id`. `None` when the client sent none.
    pub session_id: Option<String>,
    /// Trace id of `traceparent`, 32 hex digits. `None` without that header.
    pub trace_id: Option<String>,
    /// Address of the client, after `trusted_proxies`. `None` when the socket did not tell.
    pub client_ip: Option<String>,
    /// JSON object of texts, from `x-aiproxy-tags` and filters. `None` without tags.
    pub tags: Option<String>,
    /// Word for the API that was called, such as `chat.completions`; `passthrough` for the rest.
    pub endpoint: String,
    /// Whose API the client spoke, such as `openai`.
    pub dialect: String,
    /// HTTP method as received.
    pub method: String,
    /// Path and query as received, credentials masked.
    pub path: String,
    /// Whether the client asked for a stream. `None` where the request does not say.
    pub stream: Option<bool>,
    /// The model that the client named. `None` when it named none.
    pub requested_model: Option<String>,
    /// The model that the last provider was asked for, where it is another than the client named. Its name is then all
    /// that the body sent differs in, unless that is stored too.
    pub target_model: Option<String>,
    /// As the upstream reported it, else as sent to it. `None` when no upstream was asked.
    pub model: Option<String>,
    /// Provider that answered, or was tried last. `None` when none was tried.
    pub provider: Option<String>,
    /// Name of the provider's key, never its value. `None` when none was used.
    pub provider_key: Option<String>,
    /// Number of tries; 0 when none was made.
    pub attempts: i32,
    /// Word for how it ended, such as `ok`.
    pub outcome: String,
    /// HTTP status sent to the client; 499 when no head was sent.
    pub status_code: i32,
    /// HTTP status of the upstream's answer. `None` when there was none.
    pub upstream_status: Option<i32>,
    /// `error.type` as the client saw it. `None` when nothing failed.
    pub error_type: Option<String>,
    /// `error.code` as the client saw it. `None` when nothing failed, or without a code.
    pub error_code: Option<String>,
    /// What went wrong, never a secret; a refusal's text. `None` when nothing failed.
    pub error_message: Option<String>,
    /// In OpenAI's words: `stop`, `length`, `tool_calls`, `content_filter`. `None` when the answer gave none.
    pub finish_reason: Option<String>,
    /// Whether the answer was read whole and handed over whole. `None` without an answer.
    pub response_complete: Option<bool>,
    /// The filter that answered, refused or cut. `None` when none did.
    pub filtered_by: Option<String>,
    /// Request id of the exchange that this one replayed. `None` for all others.
    pub replay_of: Option<String>,
    /// Repairs made on the stream, a JSON list. `None` without any.
    pub repairs: Option<String>,
    /// Fields that a translation could not carry, a JSON list. `None` without any.
    pub dropped: Option<String>,
    /// Tokens of the whole input, cached ones included. `None` when unknown.
    pub prompt_tokens: Option<i64>,
    /// Tokens of the whole output, reasoning included. `None` when unknown.
    pub completion_tokens: Option<i64>,
    /// Tokens, input and output. `None` when unknown.
    pub total_tokens: Option<i64>,
    /// Tokens read from the upstream's cache, a part of `prompt_tokens`. `None` when unknown.
    pub cached_tokens: Option<i64>,
    /// Tokens written to the upstream's cache, a part of `prompt_tokens`. `None` when unknown.
    pub cache_write_tokens: Option<i64>,
    /// Tokens of reasoning, a part of `completion_tokens`. `None` when unknown.
    pub reasoning_tokens: Option<i64>,
    /// `upstream`, `counted`, `estimated`, `partial`, or `none` where no tokens are to be expected or known. Never `None` in a row
    /// that the digest made.
    pub usage_source: Option<String>,
    /// The usage object as received, JSON. `None` when the upstream sent none.
    pub usage_raw: Option<String>,
    /// Cost in 10⁻⁹ US dollars. `None` when tokens or price are unknown.
    pub cost_nano_usd: Option<i64>,
    /// Version of the price table behind the cost. `None` without a cost.
    pub price_version: Option<String>,
    /// Milliseconds from acceptance to the last byte handed to the socket, or to the failure. `None` after a crash.
    pub duration_ms: Option<f64>,
    /// Milliseconds from the first attempt's start to the end of the upstream's body. `None` without an upstream.
    pub upstream_ms: Option<f64>,
    /// Milliseconds that the proxy itself added. `None` after a crash.
    pub overhead_ms: Option<f64>,
    /// Milliseconds spent in filters. `None` without filters.
    pub filter_ms: Option<f64>,
    /// Milliseconds that stream filters withheld bytes. `None` without stream filters.
    pub filter_held_ms: Option<f64>,
    /// Milliseconds to open the upstream connection. `None` on a pooled one.
    pub connect_ms: Option<f64>,
    /// Milliseconds from acceptance to the first body byte handed to the client's socket. `None` when none was.
    pub first_byte_ms: Option<f64>,
    /// Milliseconds from acceptance to the first event with content. `None` unless a stream had one.
    pub first_token_ms: Option<f64>,
    /// Longest milliseconds between two pieces of a stream. `None` for other answers.
    pub longest_gap_ms: Option<f64>,
    /// Output tokens a second after the first. `None` when either is unknown.
    pub output_tokens_per_s: Option<f64>,
    /// Bytes of the request's body as read. `None` when it was not read.
    pub request_bytes: Option<i64>,
    /// Bytes of the answer's body as sent. `None` when no answer was sent.
    pub response_bytes: Option<i64>,
    /// Events or frames of a stream. `None` for other answers.
    pub chunk_count: Option<i64>,
    /// Text of the last message: its text parts, or JSON of its parts if none is text; of a prompt of Claude 2's what a person said last. `None` when not kept or not there.
    pub request_text: Option<String>,
    /// Text of the first choice. `None` when not kept or not there.
    pub response_text: Option<String>,
    /// JSON array in OpenAI's shape, ids and order kept; a legacy `function_call` is a JSON object with `name` and `arguments`.
    /// `None` without calls or when not kept.
    pub tool_calls: Option<String>,
    /// `stored`, `metadata_only`, `off`, `truncated`, `redacted` or `expired`.
    pub body_state: String,
    /// Values of the configured columns, by name.
    pub columns: Vec<(String, ColumnValue)>,
    /// The row of `exchange_bodies`. `None` when bodies are not kept.
    #[serde(skip)]
    pub payload: Option<Payload>,
    /// Rows of `attempts`.
    #[serde(skip)]
    pub tries: Vec<AttemptDraft>,
    /// Rows of `filter_verdicts`.
    #[serde(skip)]
    pub verdicts: Vec<VerdictDraft>,
}

/// The row of `exchange_bodies`.
#[derive(Debug, Clone, Default)]
pub struct Payload {
    /// The client's headers, masked, a JSON object with lower-case names. `None` when not kept.
    pub request_headers: Option<String>,
    /// As the client sent it. `None` when there was none or it is not kept.
    pub request_body: Option<StoredBody>,
    /// As it went upstream. `None` unless a filter or translation changed it.
    pub upstream_request_body: Option<StoredBody>,
    /// Headers sent to the client, masked, a JSON object. `None` when no head was sent.
    pub response_headers: Option<String>,
    /// As the client got it. `None` when there was none or it is not kept.
    pub response_body: Option<StoredBody>,
    /// As the upstream sent it. `None` unless a filter or translation changed it.
    pub upstream_response_body: Option<StoredBody>,
    /// One entry a relayed piece, `offset,length,microseconds` joined by `;`. `None` unless a stream.
    pub chunk_times: Option<String>,
}

/// A body as it stands in SQL.
#[derive(Debug, Clone, Default)]
pub struct StoredBody {
    /// Stored bytes, perhaps cut.
    pub bytes: bytes::Bytes,
    /// True size in bytes.
    pub size: i64,
    /// Hex text, over the whole body even when stored cut.
    pub sha256: String,
}

impl StoredBody {
    /// The body as text, where its bytes are UTF-8 without NUL; SQL then holds it in the text column, else in
    /// the column's binary twin.
    pub fn as_text(&self) -> Option<&str> {
        match memchr::memchr(0, &self.bytes) {
            None => std::str::from_utf8(&self.bytes).ok(),
            Some(_) => None,
        }
    }
}
