//! The two halves of a record as the request path knows them: what stands when a request opens, and what
//! is known when it closes. Both are plain data, serialisable for the spool; nothing here is derived:
//! decoding, counting and hashing happen later, on the writer's side (`digest`).

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use aiproxy_filters::{Dialect, Endpoint, Outcome};

use crate::access_log::pages;

/// What is known when the head and body of a request were read: the `begin` record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Opened {
    /// Our own id, UUIDv7, also sent to the client as `x-aiproxy-request-id`.
    pub request_id: Uuid,
    /// Wall-clock time of acceptance, microseconds since the Unix epoch, UTC. Fixed here and never taken anew.
    pub created_at_us: i64,
    /// Name of this process among several (host and port), for the column `instance`.
    pub instance: Arc<str>,
    /// Short hash of the configuration that served the request.
    pub config_version: Arc<str>,
    /// The client's own `x-request-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_request_id: Option<String>,
    /// `x-aiproxy-user`; when absent the digest looks into the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_user: Option<String>,
    /// `x-session-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Trace id of `traceparent`, 32 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Address of the client, after `trusted_proxies`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<IpAddr>,
    /// Which API was called.
    pub endpoint: Endpoint,
    /// Which family of clients called it.
    pub dialect: Dialect,
    /// HTTP method, as received.
    pub method: Cow<'static, str>,
    /// Path and query, credentials in the query masked.
    pub path: String,
    /// Whether the client asked for a stream; `None` where the request does not say (the body is not JSON).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// The model that the client named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_model: Option<String>,
    /// How much of the bodies is kept.
    pub keep: Keep,
    /// The client's headers, a JSON object with lower-case names, credentials masked. They are stored with `Keep::Full` only;
    /// otherwise they serve the columns of one's own. The spool holds them as they are, not as a string in JSON.
    #[serde(skip)]
    pub request_headers: Option<String>,
}

/// How much of an exchange's bodies is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Headers and bodies.
    #[default]
    Full,
    /// The row, texts included out: no headers, no bodies, no `request_text`, `response_text`, `tool_calls`.
    Metadata,
    /// As `Metadata`, said with `body_state = off`.
    Nothing,
}

/// What is known when an exchange is over: the `end` record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Closed {
    /// Wall-clock time of the end, microseconds since the Unix epoch: `created_at_us` plus the monotonic duration.
    pub finished_at_us: i64,
    /// How it ended.
    pub outcome: Outcome,
    /// Status sent to the client; 499 when no head was sent.
    pub status_code: u16,
    /// Status of the upstream's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_status: Option<u16>,
    /// Error given to the client or reported by the upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RecordedError>,
    /// Provider that answered, or was tried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Name of the provider's key, never its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_key: Option<String>,
    /// Model name as sent upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_model: Option<String>,
    /// Number of tries; 0 when none was made.
    pub attempts: u32,
    /// Number of candidates that were passed over without a try; each has an entry of `tries`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub passed_over: u32,
    /// One entry a try, kept only where there was more than one or the one failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tries: Vec<AttemptDraft>,
    /// The last try, as long as it stands for an answer: an answer that turns out to be a failure becomes an entry of
    /// `tries`. Of the process that made it only.
    #[serde(skip)]
    pub tried: Option<Tried>,
    /// The try that goes on: it is an entry of `tries` where the exchange ends in its middle. Of the process that made it
    /// only.
    #[serde(skip)]
    pub begun: Option<Begun>,
    /// What each filter decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<VerdictDraft>,
    /// The filter that answered, refused or cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filtered_by: Option<String>,
    /// The exchange that this one replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<Uuid>,
    /// The API that was called upstream, where it is another one than the client's: then request and answer were
    /// translated, and the upstream's bodies are in its format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translated_to: Option<Endpoint>,
    /// Fields that a translation could not carry, by their paths in the words of the side that said them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<String>,
    /// Repairs made on the stream, in the words of the column `repairs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repairs: Vec<String>,
    /// Tags of the client's `x-aiproxy-tags` and of filters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<(String, String)>,
    /// Whether the whole answer was read from upstream and handed to the client. `None` when there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_complete: Option<bool>,
    /// Whether the answer was an event stream.
    pub response_is_stream: bool,
    /// Whether the proxy asked for `stream_options.include_usage` on its own account.
    pub usage_asked: bool,
    /// The usage chunk that was taken out of the client's stream: its JSON data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_chunk: Option<String>,
    /// Durations.
    pub times: Times,
    /// Bytes of the request's body as read from the client.
    pub request_bytes: u64,
    /// Bytes of the answer's body as sent to the client. `None` when no answer was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<u64>,
    /// Headers sent to the client, a JSON object, masked. The spool holds them as they are, not as a string in JSON.
    #[serde(skip)]
    pub response_headers: Option<String>,
    /// Pieces as they were relayed, of event streams only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<ChunkTime>,
}

impl Closed {
    /// An exchange of which only its end is known.
    pub fn new(outcome: Outcome, status_code: u16) -> Self {
        Self {
            finished_at_us: 0,
            outcome,
            status_code,
            upstream_status: None,
            error: None,
            provider: None,
            provider_key: None,
            sent_model: None,
            attempts: 0,
            passed_over: 0,
            tries: Vec::new(),
            tried: None,
            begun: None,
            verdicts: Vec::new(),
            filtered_by: None,
            replay_of: None,
            translated_to: None,
            dropped: Vec::new(),
            repairs: Vec::new(),
            tags: Vec::new(),
            response_complete: None,
            response_is_stream: false,
            usage_asked: false,
            usage_chunk: None,
            times: Times::default(),
            request_bytes: 0,
            response_bytes: None,
            response_headers: None,
            chunks: Vec::new(),
        }
    }
}

impl Closed {
    /// The number of the last entry of `tries`, or of the one that the last try would have.
    pub fn last_number(&self) -> u32 {
        self.attempts + self.passed_over
    }

    /// Puts the try that goes on among the others, where there are others: the exchange ends in its middle.
    pub fn cut_try(&mut self) {
        let Some(begun) = self.begun.take() else {
            return;
        };
        if 1 < self.last_number() {
            self.tries.push(AttemptDraft {
                number: self.last_number(),
                provider: self.provider.clone().unwrap_or_default(),
                model: self.sent_model.clone(),
                provider_key: self.provider_key.clone(),
                started_at_us: begun.started_at_us,
                status_code: None,
                outcome: self.outcome,
                error_message: None,
                connect_ms: None,
                first_byte_ms: None,
                duration_ms: begun.started.elapsed().as_secs_f64() * 1000.0,
                skip_reason: None,
            });
        }
    }

    /// Whether the last try ended in a failure that came under a good status: then nothing was answered.
    pub fn is_failure_under_good_status(&self) -> bool {
        // Where candidates were passed over, every try has an entry.
        let mut made = self.tries.iter().rev();
        let last = made
            .find(|tried| tried.was_made())
            .filter(|last| 0 < self.passed_over || last.number == self.last_number());
        last.is_some_and(|last| {
            last.outcome != Outcome::Ok && last.status_code.is_some_and(|status| status < 400)
        })
    }
}

/// An error in the words of the columns `error_type`, `error_code` and `error_message`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RecordedError {
    /// `error.type` as the client saw it.
    pub kind: Option<String>,
    /// `error.code` as the client saw it.
    pub code: Option<String>,
    /// The message; may hold more than the client was told, never a secret.
    pub message: Option<String>,
}

/// Durations of an exchange in milliseconds, from the monotonic clock.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Times {
    /// Acceptance to the last byte handed to the socket, or to the failure.
    pub duration_ms: f64,
    /// Start of the first attempt to the end of the upstream's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_ms: Option<f64>,
    /// What the proxy itself added: the duration less the time spent waiting for the upstream and the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overhead_ms: Option<f64>,
    /// Time spent in filters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_ms: Option<f64>,
    /// Time that stream filters withheld bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_held_ms: Option<f64>,
    /// Opening the connection; `None` on a pooled one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<f64>,
    /// Acceptance to the first body byte handed to the client's socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<f64>,
    /// Acceptance to the first event that carries content; streams only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<f64>,
    /// Longest time between two pieces of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_gap_ms: Option<f64>,
}

/// One try of a provider, model and key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptDraft {
    /// From 1.
    pub number: u32,
    /// Provider's name.
    pub provider: String,
    /// Model as sent.
    pub model: Option<String>,
    /// Name of the key.
    pub provider_key: Option<String>,
    /// Microseconds since the Unix epoch.
    pub started_at_us: i64,
    /// Status of the answer.
    pub status_code: Option<u16>,
    /// Outcome word of this try.
    pub outcome: Outcome,
    /// What went wrong.
    pub error_message: Option<String>,
    /// Milliseconds to open the connection; `None` on a pooled one.
    pub connect_ms: Option<f64>,
    /// Milliseconds to the answer's head.
    pub first_byte_ms: Option<f64>,
    /// Milliseconds in all.
    pub duration_ms: f64,
    /// Why it was given up, such as `stale_connection`.
    pub skip_reason: Option<String>,
}

/// Why a candidate is passed over, which is no try: the words that `skip_reason` has then.
pub const PASSED_OVER: &[&str] = &[
    "circuit_open",
    "key_cooling_down",
    "key_rate",
    "not_translatable",
];

impl AttemptDraft {
    /// Whether the provider was asked; else it was passed over.
    pub fn was_made(&self) -> bool {
        let reason = self.skip_reason.as_deref();
        !reason.is_some_and(|reason| PASSED_OVER.contains(&reason))
    }
}

/// When a try began that goes on.
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    /// Microseconds since the Unix epoch.
    pub started_at_us: i64,
    /// On the monotonic clock.
    pub started: std::time::Instant,
}

/// When a try began and how soon its answer's head was there.
#[derive(Debug, Clone, Copy)]
pub struct Tried {
    /// Microseconds since the Unix epoch.
    pub started_at_us: i64,
    /// Milliseconds to the answer's head.
    pub first_byte_ms: f64,
    /// On the monotonic clock.
    pub started: std::time::Instant,
}

/// What one filter decided in one phase.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerdictDraft {
    /// The filter's name.
    pub filter: String,
    /// `request`, `response` or `stream`.
    pub phase: String,
    /// `changed`, `answered`, `refused`, `cut`, `failed`, `skipped`, …
    pub verdict: String,
    /// Never the matched text.
    pub detail: Option<String>,
    /// Microseconds spent in the hook.
    pub duration_us: u64,
}

/// A value of a configured column.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ColumnValue {
    /// `type: integer`.
    Integer(i64),
    /// `type: float`.
    Float(f64),
    /// `type: text`.
    Text(String),
}

/// One relayed piece of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkTime {
    /// Where the piece begins in the answer's body as sent to the client.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u32,
    /// Microseconds since acceptance.
    pub at_us: u64,
}

/// Which of an exchange's bodies a piece of bytes belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyKind {
    /// As the client sent it.
    Request,
    /// As it went upstream, when that differs by a filter or translation.
    UpstreamRequest,
    /// As the client got it.
    Response,
    /// As the upstream sent it, when that differs by a filter or translation.
    UpstreamResponse,
}

/// A body as it was captured: reference-counted pieces in memory, and how much there was in all.
///
/// Pieces hold at most `log.body_max_bytes`. A long body leaves memory once it stands in the spool: `begun_bytes`
/// say how many bytes stand in the `begin` record, `spilled_bytes` how many in `part` records, both in front of
/// `pieces`.
#[derive(Debug, Clone, Default)]
pub struct Captured {
    /// What is in memory, in order, credentials masked.
    pub pieces: Vec<Bytes>,
    /// Bytes that stand in the spool's `begin` record and nowhere else; of a request's body only.
    pub begun_bytes: u64,
    /// Bytes that stand in the spool's `part` records, before `pieces`.
    pub spilled_bytes: u64,
    /// True size of the body in bytes, also when it is stored cut.
    pub size: u64,
    /// SHA-256 of the whole body; `None` when all of it is in memory and nobody has computed it yet.
    pub sha256: Option<[u8; 32]>,
    /// Whether bytes are missing at the end because the body was longer than the limit.
    pub truncated: bool,
}

impl Captured {
    /// What is in memory, in one piece.
    pub fn joined(&self) -> Bytes {
        match self.pieces.as_slice() {
            [] => Bytes::new(),
            [one] => one.clone(),
            many => {
                let length = many.iter().map(Bytes::len).sum();
                let copy = |mut joined: &mut [u8]| {
                    many.iter().for_each(|piece| joined.put_slice(piece));
                };
                pages::filled(length, copy).0
            }
        }
    }
}

/// The four bodies of an exchange. `None`: there was none (a `GET`), or it is not kept, or it equals its sibling.
#[derive(Debug, Clone, Default)]
pub struct Bodies {
    /// As the client sent it.
    pub request: Option<Captured>,
    /// As it went upstream, when changed.
    pub upstream_request: Option<Captured>,
    /// As the client got it.
    pub response: Option<Captured>,
    /// As the upstream sent it, when changed.
    pub upstream_response: Option<Captured>,
}

/// A whole exchange on its way to the writer. `closed` is `None` for one that a crash cut off.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The first half.
    pub opened: Opened,
    /// The second half.
    pub closed: Option<Closed>,
    /// The bodies, spilled parts read back.
    pub bodies: Bodies,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}
