//! Turns a finished exchange into its row: decodes bodies, counts tokens, hashes. Pure, on the writer's side; nothing
//! in a body can make it fail. Masking has happened before, SQL comes after.

mod cost;
mod masking;
mod payload;
mod texts;
mod usage;

use serde_json::json;

use aiproxy_filters::{Endpoint, Outcome};

use self::payload::BodyBytes;
use super::draft::{Bodies, Captured, Closed, Finished, Keep, Opened, Times};
use super::record::LogRecord;
use super::redact::Secrets;
use crate::pricing::SharedPrices;
use crate::tokens::PART_BYTES;
use crate::wire::{self, Decoded, RequestFacts};

/// Status of an exchange that sent no head.
const NO_STATUS: i32 = 499;

/// How exchanges are digested.
#[derive(Debug, Clone, Copy)]
pub struct DigestOptions {
    /// Longest text that is counted in one go, in bytes.
    pub count_part_bytes: usize,
}

impl Default for DigestOptions {
    fn default() -> Self {
        Self {
            count_part_bytes: PART_BYTES,
        }
    }
}

/// Makes rows of exchanges.
#[derive(Debug, Clone, Default)]
pub struct Digest {
    options: DigestOptions,
    secrets: Secrets,
    prices: SharedPrices,
}

/// An exchange with its bodies in one piece each and decoded.
struct Exchange<'a> {
    opened: &'a Opened,
    closed: Option<&'a Closed>,
    outcome: Outcome,
    /// As the client sent it.
    request: BodyBytes,
    /// As it went upstream.
    upstream_request: BodyBytes,
    /// As the client got it.
    response: BodyBytes,
    /// As the upstream sent it.
    upstream_response: BodyBytes,
    /// What the client asked.
    asked: RequestFacts,
    /// What the client got.
    answer: Decoded,
    /// What the upstream sent, when that differs.
    upstream_answer: Option<Decoded>,
    /// Which API was called upstream: whose format its bodies have.
    upstream_endpoint: Endpoint,
    is_stream: bool,
}

impl Exchange<'_> {
    /// What the upstream said: usage, model and errors come from there.
    fn upstream_answer(&self) -> &Decoded {
        self.upstream_answer.as_ref().unwrap_or(&self.answer)
    }

    /// Whether an upstream's answer, new or recorded, is what the client got something of.
    fn has_upstream_answer(&self) -> bool {
        match self.outcome {
            Outcome::FilterAnswered => false,
            _ if self.outcome == Outcome::Replayed || self.upstream_answer.is_some() => true,
            _ => match self.closed {
                Some(closed) => closed.upstream_status.is_some(),
                None => self.response.is_present(),
            },
        }
    }
}

impl Digest {
    /// With these options.
    pub fn new(options: DigestOptions) -> Self {
        Self {
            options,
            secrets: Secrets::default(),
            prices: SharedPrices::default(),
        }
    }

    /// With these prices; without any no row has a cost.
    pub fn with_prices(self, prices: SharedPrices) -> Self {
        Self { prices, ..self }
    }

    /// Masks these in decoded texts as well, see `masking`.
    pub fn masking(self, secrets: Secrets) -> Self {
        Self { secrets, ..self }
    }

    /// The row of an exchange. One without its second half was cut off by a crash: its row says so, and what was
    /// found of its bodies counts.
    pub fn digest(&self, finished: &Finished) -> LogRecord {
        self.digest_masking(finished, &self.secrets)
    }

    /// As [`Self::digest`], with these secrets.
    pub fn digest_masking(&self, finished: &Finished, secrets: &Secrets) -> LogRecord {
        let Finished {
            opened,
            closed,
            bodies,
        } = finished;
        let mut exchange = Exchange::decode(opened, closed.as_ref(), bodies);
        let secrets = exchange.secrets(secrets);
        let mut record = LogRecord::default();
        exchange.fill_from_opened(&mut record);
        exchange.fill_times(&mut record);
        exchange.fill_result(&mut record);
        exchange.fill_usage(&mut record, self.options.count_part_bytes);
        exchange.fill_cost(&mut record, &self.prices.now());
        exchange.fill_payload(&mut record, bodies, &secrets);
        exchange.move_texts(&mut record);
        masking::mask_texts(&mut record, &secrets);
        if let Some(closed) = closed {
            record.tries = closed.tries.clone();
            record.verdicts = closed.verdicts.clone();
        }
        record
    }
}

impl<'a> Exchange<'a> {
    fn decode(opened: &'a Opened, closed: Option<&'a Closed>, bodies: &Bodies) -> Self {
        let request = BodyBytes::of(bodies.request.as_ref());
        let response = BodyBytes::of(bodies.response.as_ref());
        let upstream_response = BodyBytes::of(bodies.upstream_response.as_ref());
        let is_stream = match closed {
            Some(closed) => closed.response_is_stream,
            // Nobody said.
            None => opened.stream == Some(true) && !begins_as_json(&response.bytes),
        };
        let decode = |endpoint, body: &BodyBytes, is_stream: bool| {
            if is_stream {
                wire::decode_stream(endpoint, &body.bytes)
            } else {
                wire::decode_whole(endpoint, &body.bytes)
            }
        };
        let translated_to = closed.and_then(|closed| closed.translated_to);
        let upstream_endpoint = translated_to.unwrap_or(opened.endpoint);
        Self {
            opened,
            closed,
            outcome: closed.map_or(Outcome::Crashed, |closed| closed.outcome),
            asked: wire::decode_request(opened.endpoint, &request.bytes, keeps_texts(opened.keep)),
            answer: decode(opened.endpoint, &response, is_stream),
            upstream_answer: upstream_response.is_present().then(|| {
                // The client's stream may have been made of a whole answer, and be one array made of events.
                let is_stream = (is_stream || opened.stream == Some(true))
                    && !begins_as_json(&upstream_response.bytes);
                decode(upstream_endpoint, &upstream_response, is_stream)
            }),
            upstream_endpoint,
            request,
            upstream_request: BodyBytes::of(bodies.upstream_request.as_ref()),
            response,
            upstream_response,
            is_stream,
        }
    }

    fn fill_from_opened(&self, record: &mut LogRecord) {
        let opened = self.opened;
        record.request_id = opened.request_id.hyphenated().to_string();
        record.client_request_id = opened.client_request_id.clone();
        record.created_at_us = opened.created_at_us;
        record.instance = Some(opened.instance.to_string());
        record.config_version = Some(opened.config_version.to_string());
        record.end_user = opened.end_user.clone().or_else(|| self.asked.user.clone());
        record.session_id = opened.session_id.clone();
        record.trace_id = opened.trace_id.clone();
        record.client_ip = opened.client_ip.map(|ip| ip.to_string());
        record.endpoint = opened.endpoint.as_str().to_owned();
        record.dialect = opened.dialect.as_str().to_owned();
        record.method = opened.method.to_string();
        record.path = opened.path.clone();
        record.stream = opened.stream;
        record.requested_model = opened.requested_model.clone();
    }

    fn fill_times(&self, record: &mut LogRecord) {
        let Some(closed) = self.closed else { return };
        let times: Times = closed.times;
        record.finished_at_us = Some(closed.finished_at_us);
        record.duration_ms = Some(times.duration_ms);
        record.upstream_ms = times.upstream_ms;
        record.overhead_ms = times.overhead_ms;
        record.filter_ms = times.filter_ms;
        record.filter_held_ms = times.filter_held_ms;
        record.connect_ms = times.connect_ms;
        record.first_byte_ms = times.first_byte_ms;
        record.first_token_ms = times.first_token_ms;
        record.longest_gap_ms = times.longest_gap_ms;
    }

    fn fill_result(&self, record: &mut LogRecord) {
        record.outcome = self.outcome.as_str().to_owned();
        let answered = self.has_upstream_answer();
        let reported = answered
            .then(|| self.upstream_answer().model.clone())
            .flatten();
        let Some(closed) = self.closed else {
            record.status_code = NO_STATUS;
            record.attempts = i32::from(answered);
            record.model = reported;
            record.request_bytes = bytes_of(self.request.size);
            record.response_bytes = bytes_of(self.response.size);
            record.response_complete = self.response.is_present().then_some(false);
            return;
        };
        record.status_code = i32::from(closed.status_code);
        record.upstream_status = closed.upstream_status.map(i32::from);
        record.model = reported.or_else(|| closed.sent_model.clone());
        let is_other = |sent: &&String| Some(*sent) != self.opened.requested_model.as_ref();
        record.target_model = closed.sent_model.as_ref().filter(is_other).cloned();
        record.provider = closed.provider.clone();
        record.provider_key = closed.provider_key.clone();
        record.attempts = i32::try_from(closed.attempts).unwrap_or(i32::MAX);
        record.filtered_by = closed.filtered_by.clone();
        record.replay_of = closed.replay_of.map(|id| id.hyphenated().to_string());
        record.response_complete = closed.response_complete;
        record.request_bytes = bytes_of(Some(closed.request_bytes));
        record.response_bytes = bytes_of(closed.response_bytes);
        record.repairs = (!closed.repairs.is_empty()).then(|| json!(closed.repairs).to_string());
        record.dropped = (!closed.dropped.is_empty()).then(|| json!(closed.dropped).to_string());
        if !closed.tags.is_empty() {
            let tags = closed
                .tags
                .iter()
                .map(|(name, value)| (name.clone(), json!(value)));
            record.tags = Some(serde_json::Value::Object(tags.collect()).to_string());
        }
        self.fill_error(record, closed);
    }

    /// The error as the client was told it, completed by what the upstream said.
    fn fill_error(&self, record: &mut LogRecord, closed: &Closed) {
        let failed = matches!(self.outcome, Outcome::UpstreamError | Outcome::RateLimited);
        let reported = self.upstream_answer().error.as_ref().filter(|_| failed);
        let told = closed.error.clone().unwrap_or_default();
        record.error_type = told
            .kind
            .or_else(|| reported.and_then(|error| error.kind.clone()));
        record.error_code = told
            .code
            .or_else(|| reported.and_then(|error| error.code.clone()));
        record.error_message = told
            .message
            .or_else(|| reported.and_then(|error| error.message.clone()));
    }
}

fn bytes_of(size: Option<u64>) -> Option<i64> {
    size.and_then(|size| i64::try_from(size).ok())
}

/// Whether the texts of an exchange are kept.
fn keeps_texts(keep: Keep) -> bool {
    match keep {
        Keep::Full => true,
        Keep::Metadata | Keep::Nothing => false,
    }
}

/// Whether a body is a whole answer: such a one begins with a brace, or a bracket.
fn begins_as_json(body: &[u8]) -> bool {
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// Whether any body was cut at the limit.
fn any_truncated(bodies: &Bodies) -> bool {
    [
        &bodies.request,
        &bodies.upstream_request,
        &bodies.response,
        &bodies.upstream_response,
    ]
    .into_iter()
    .flatten()
    .any(|body: &Captured| body.truncated)
}

#[cfg(test)]
mod tests;
