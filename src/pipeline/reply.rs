//! What an exchange gives to the server, and how errors get their form.

use std::time::Duration;

use bytes::Bytes;

use crate::access_log::guard::RecordGuard;
use crate::filter::{Dialect, Endpoint, Headers};
use crate::pipeline::failure::Failure;
use crate::pipeline::generator::Generator;
use crate::wire::bedrock::InvokeForm;

/// An answer for the client.
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers; `content-length` is the server's business.
    pub headers: ReplyHeaders,
    /// What follows.
    pub body: ReplyBody,
    /// Whether the connection is closed after it.
    pub close: bool,
}

/// Headers of an answer, names in lower case: those of the upstream's that the client gets, then ours.
#[derive(Default)]
pub struct ReplyHeaders {
    upstream: Headers,
    own: Vec<(&'static str, Bytes)>,
}

impl ReplyHeaders {
    /// Those of an upstream's answer.
    pub fn of_upstream(upstream: Headers) -> Self {
        Self {
            upstream,
            own: Vec::new(),
        }
    }

    /// Those of an answer of ours.
    pub fn of_type(content_type: &'static str) -> Self {
        let mut headers = Self::default();
        headers.push("content-type", content_type);
        headers
    }

    /// Adds one of ours.
    pub fn push(&mut self, name: &'static str, value: impl Into<Bytes>) {
        self.own.push((name, value.into()));
    }

    /// Adds several of ours.
    pub fn extend(&mut self, headers: impl IntoIterator<Item = (&'static str, Bytes)>) {
        self.own.extend(headers);
    }

    /// Names and values of the upstream's.
    pub fn upstream(&self) -> impl Iterator<Item = (&str, Bytes)> {
        self.upstream.iter_shared()
    }

    /// Names and values of ours.
    pub fn own(&self) -> impl Iterator<Item = (&'static str, Bytes)> {
        self.own.iter().map(|(name, value)| (*name, value.clone()))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        let own = self.own.iter().map(|(name, value)| (*name, value.as_ref()));
        self.upstream.iter().chain(own)
    }
}

/// The body of an answer.
pub enum ReplyBody {
    /// All of it.
    Whole(Bytes),
    /// Piece by piece; `Some` is its length, sent as `Content-Length`.
    Pieces(Generator, Option<u64>),
}

/// How failures and filter answers look to the client: its dialect's shapes with the server's statuses.
pub trait ClientForm {
    /// An error before a head was sent.
    fn error(&self, failure: &Failure, dialect: Dialect, request_id: &str) -> ErrorForm;

    /// An error inside a stream that has begun. `number`: how many events went before it.
    fn error_event(&self, failure: &Failure, endpoint: Endpoint, number: u64)
    -> (ErrorForm, Bytes);

    /// A text in the form of a whole answer: a JSON body.
    fn text_answer(&self, to: &AnswerTo<'_>, text: &str) -> Bytes;

    /// The same as a stream of events.
    fn text_stream(&self, to: &AnswerTo<'_>, text: &str) -> Bytes;
}

/// Whom an answer is for.
#[derive(Debug, Clone, Copy)]
pub struct AnswerTo<'a> {
    /// Which API.
    pub endpoint: Endpoint,
    /// Our id.
    pub request_id: &'a str,
    /// Seconds since the Unix epoch.
    pub created_s: i64,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// Whether it asked for the usage chunk.
    pub with_usage: bool,
    /// In which form Bedrock's `invoke` would answer it.
    pub invoke_form: InvokeForm,
}

/// An error in the client's form.
#[derive(Debug, Clone)]
pub struct ErrorForm {
    /// HTTP status.
    pub status: u16,
    /// `error.type`.
    pub kind: String,
    /// `error.code`.
    pub code: String,
    /// `error.message`.
    pub message: String,
    /// Headers besides the content type.
    pub headers: Vec<(&'static str, Bytes)>,
    /// The JSON body.
    pub body: Bytes,
    /// Whether the connection is closed after it.
    pub close: bool,
}

/// Ends an exchange with an error of ours: record first, then the answer.
pub fn refuse(
    mut guard: RecordGuard,
    failure: &Failure,
    request_id: &str,
    form: &dyn ClientForm,
) -> Reply {
    let error = form.error(failure, guard.dialect(), request_id);
    note_failure(&mut guard, failure, &error);
    guard.closed_mut().status_code = error.status;
    let mut headers = ReplyHeaders::of_type("application/json");
    headers.extend(error.headers);
    note_headers(&mut guard, &headers);
    headers.extend(own_headers(&mut guard));
    guard.response_piece(error.body.clone());
    guard.end(failure.outcome());
    guard.finish();
    Reply {
        status: error.status,
        headers,
        body: ReplyBody::Whole(error.body),
        close: error.close,
    }
}

/// Puts a failure's words on record.
pub fn note_failure(guard: &mut RecordGuard, failure: &Failure, error: &ErrorForm) {
    let message = match failure.detail() {
        Some(detail) => format!("{}: {detail}", error.message),
        None => error.message.clone(),
    };
    guard.error(&error.kind, &error.code, &message);
    if let Some(filter) = failure.filter() {
        guard.closed_mut().filtered_by = Some(filter.to_owned());
    }
}

/// Puts the headers that the client gets on record, where headers are kept.
pub fn note_headers(guard: &mut RecordGuard, headers: &ReplyHeaders) {
    if guard.keeps_headers() {
        let json = crate::access_log::redact::headers_json(headers.iter(), guard.secrets());
        guard.closed_mut().response_headers = Some(json);
    }
}

/// Longest value of a header of ours, in bytes: names from outside may stand in it.
const LONGEST_OWN_VALUE: usize = 256;

/// Some clients end a line at characters beyond ASCII.
fn fits_in_header(value: &[u8]) -> bool {
    value.len() <= LONGEST_OWN_VALUE && value.iter().all(|byte| (b' '..=b'~').contains(byte))
}

/// The headers that tell the client what was done with its request.
pub fn own_headers(guard: &mut RecordGuard) -> impl Iterator<Item = (&'static str, Bytes)> {
    let upstream = guard.upstream_time();
    let overhead = guard.busy();
    let closed = guard.closed_mut();
    let attempts = match closed.attempts {
        1 => Bytes::from_static(b"1"),
        more => Bytes::from(more.to_string()),
    };
    let mut timing = String::with_capacity(64);
    timing.push_str("aiproxy;dur=");
    push_millis(&mut timing, overhead);
    if let Some(upstream) = upstream {
        timing.push_str(", upstream;dur=");
        push_millis(&mut timing, upstream);
    }
    [
        ("x-aiproxy-provider", closed.provider.clone()),
        ("x-aiproxy-model", closed.sent_model.clone()),
        ("server-timing", Some(timing)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, Bytes::from(value?))))
    .chain([("x-aiproxy-attempts", attempts)])
    .filter(|(_, value)| fits_in_header(value))
}

/// Adds a duration in milliseconds with three decimals. By hand: formatting numbers was a fiftieth of a request.
fn push_millis(text: &mut String, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let mut unit = 1000;
    while unit <= micros / 10 {
        unit *= 10;
    }
    while 0 < unit {
        text.push(char::from(b'0' + (micros / unit % 10) as u8));
        if unit == 1000 {
            text.push('.');
        }
        unit /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_decimals() {
        for (micros, expected) in [
            (0, "0.000"),
            (7, "0.007"),
            (999, "0.999"),
            (1_000, "1.000"),
            (12_034, "12.034"),
            (120_000_450, "120000.450"),
            (u64::MAX, "18446744073709551.615"),
        ] {
            let mut text = String::new();
            push_millis(&mut text, Duration::from_micros(micros));
            assert_eq!(text, expected);
        }
    }
}
