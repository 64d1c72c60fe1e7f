//! What an exchange gives to the server, and how errors get their form.

use bytes::Bytes;

use crate::access_log::guard::RecordGuard;
use crate::filter::Endpoint;
use crate::pipeline::failure::Failure;
use crate::pipeline::generator::Generator;

/// An answer for the client.
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case; `content-length` is the server's business.
    pub headers: Vec<(String, Vec<u8>)>,
    /// What follows.
    pub body: ReplyBody,
    /// Whether the connection is closed after it.
    pub close: bool,
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
    fn error(&self, failure: &Failure, request_id: &str) -> ErrorForm;

    /// An error inside a stream that has begun.
    fn error_event(&self, failure: &Failure, endpoint: Endpoint) -> (ErrorForm, Bytes);

    /// A text in the form of a whole answer: a JSON body.
    fn text_answer(
        &self,
        endpoint: Endpoint,
        request_id: &str,
        created_s: i64,
        text: &str,
    ) -> Bytes;

    /// The same as an event stream.
    fn text_stream(
        &self,
        endpoint: Endpoint,
        request_id: &str,
        created_s: i64,
        text: &str,
        with_usage: bool,
    ) -> Bytes;
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
    pub headers: Vec<(String, Vec<u8>)>,
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
    let error = form.error(failure, request_id);
    note_failure(&mut guard, failure, &error);
    guard.closed_mut().status_code = error.status;
    let mut headers = vec![("content-type".to_owned(), b"application/json".to_vec())];
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

/// Puts the headers that the client gets on record.
pub fn note_headers(guard: &mut RecordGuard, headers: &[(String, Vec<u8>)]) {
    let pairs = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_slice()));
    let json = crate::access_log::redact::headers_json(pairs, guard.secrets());
    guard.closed_mut().response_headers = Some(json);
}

/// Longest value of a header of ours, in bytes: names from outside may stand in it.
const LONGEST_OWN_VALUE: usize = 256;

/// The headers that tell the client what was done with its request.
pub fn own_headers(guard: &mut RecordGuard) -> Vec<(String, Vec<u8>)> {
    let upstream = guard.upstream_time();
    let overhead = guard.busy();
    let closed = guard.closed_mut();
    let mut headers = Vec::with_capacity(4);
    let mut put = |name: &str, value: String| {
        if value.len() <= LONGEST_OWN_VALUE {
            headers.push((name.to_owned(), value.into_bytes()));
        }
    };
    if let Some(provider) = &closed.provider {
        put("x-aiproxy-provider", provider.clone());
    }
    if let Some(model) = &closed.sent_model {
        put("x-aiproxy-model", model.clone());
    }
    put("x-aiproxy-attempts", closed.attempts.to_string());
    let millis = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
    let mut timing = format!("aiproxy;dur={:.3}", millis(overhead));
    if let Some(upstream) = upstream {
        timing += &format!(", upstream;dur={:.3}", millis(upstream));
    }
    put("server-timing", timing);
    headers
}
