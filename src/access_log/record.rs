//! The record: one struct, one field a column of `exchanges`. A row, an API item and a snapshot come from it.

use serde::Serialize;

use crate::access_log::draft::{AttemptDraft, ColumnValue, VerdictDraft};

/// One finished exchange, ready for SQL. Unknown is `None`, never 0 or an empty text.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LogRecord {
    /// UUIDv7 in its hyphenated form.
    pub request_id: String,
    /// The client's own `x-request-id`.
    pub client_request_id: Option<String>,
    /// Microseconds since the Unix epoch, UTC.
    pub created_at_us: i64,
    /// Microseconds since the Unix epoch, UTC.
    pub finished_at_us: Option<i64>,
    pub instance: Option<String>,
    pub config_version: Option<String>,
    pub key_name: Option<String>,
    pub end_user: Option<String>,
    pub session_id: Option<String>,
    pub trace_id: Option<String>,
    pub client_ip: Option<String>,
    /// JSON object of texts.
    pub tags: Option<String>,
    pub endpoint: String,
    pub dialect: String,
    pub method: String,
    pub path: String,
    pub stream: Option<bool>,
    pub requested_model: Option<String>,
    /// As the upstream reported it, else as sent to it.
    pub model: Option<String>,
    pub provider: Option<String>,
    pub provider_key: Option<String>,
    pub attempts: i32,
    pub outcome: String,
    pub status_code: i32,
    pub upstream_status: Option<i32>,
    pub error_type: Option<String>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub finish_reason: Option<String>,
    pub response_complete: Option<bool>,
    pub filtered_by: Option<String>,
    pub replay_of: Option<String>,
    /// JSON list.
    pub repairs: Option<String>,
    /// JSON list.
    pub dropped: Option<String>,
    pub prompt_tokens: Option<i64>,
    pub completion_tokens: Option<i64>,
    pub total_tokens: Option<i64>,
    pub cached_tokens: Option<i64>,
    pub cache_write_tokens: Option<i64>,
    pub reasoning_tokens: Option<i64>,
    /// `upstream`, `counted`, `estimated`, `partial` or `none`.
    pub usage_source: Option<String>,
    /// The usage object as received, JSON.
    pub usage_raw: Option<String>,
    pub cost_nano_usd: Option<i64>,
    pub price_version: Option<String>,
    pub duration_ms: Option<f64>,
    pub upstream_ms: Option<f64>,
    pub overhead_ms: Option<f64>,
    pub filter_ms: Option<f64>,
    pub filter_held_ms: Option<f64>,
    pub connect_ms: Option<f64>,
    pub first_byte_ms: Option<f64>,
    pub first_token_ms: Option<f64>,
    pub longest_gap_ms: Option<f64>,
    pub output_tokens_per_s: Option<f64>,
    pub request_bytes: Option<i64>,
    pub response_bytes: Option<i64>,
    pub chunk_count: Option<i64>,
    pub request_text: Option<String>,
    pub response_text: Option<String>,
    /// JSON array in OpenAI's shape, ids and order kept.
    pub tool_calls: Option<String>,
    /// `stored`, `metadata_only`, `off`, `truncated`, `redacted` or `expired`.
    pub body_state: String,
    /// Values of the configured columns, by name.
    pub columns: Vec<(String, ColumnValue)>,
    /// The row of `exchange_bodies`, when bodies are kept.
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
    /// JSON object.
    pub request_headers: Option<String>,
    pub request_body: Option<StoredBody>,
    pub upstream_request_body: Option<StoredBody>,
    /// JSON object.
    pub response_headers: Option<String>,
    pub response_body: Option<StoredBody>,
    pub upstream_response_body: Option<StoredBody>,
    /// One entry a relayed piece, `offset,length,microseconds` joined by `;`.
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
