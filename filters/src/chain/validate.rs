//! Whether what a filter made can be sent on.
use super::report::{Failure, FailureKind};
use crate::{LlmRequest, LlmResponse, StreamEvent};

/// Whether two requests have the same bytes. Compares places, not contents: an edit always makes
/// new bytes.
pub(super) fn same_request(before: &LlmRequest, after: &LlmRequest) -> bool {
    before.endpoint() == after.endpoint()
        && before.revision() == after.revision()
        && before.body().as_ptr() == after.body().as_ptr()
        && before.body().len() == after.body().len()
}

/// As [`same_request`], for responses.
pub(super) fn same_response(before: &LlmResponse, after: &LlmResponse) -> bool {
    let bodies = match (before.body(), after.body()) {
        (Some(before), Some(after)) => {
            before.as_ptr() == after.as_ptr() && before.len() == after.len()
        }
        (None, None) => before.answer_text() == after.answer_text(),
        (Some(_), None) | (None, Some(_)) => false,
    };
    bodies && before.revision() == after.revision() && before.status() == after.status()
}

pub(super) fn request(
    before: &LlmRequest,
    after: &LlmRequest,
    max_body_bytes: usize,
) -> Result<(), Failure> {
    if before.endpoint() != after.endpoint() {
        return Err(invalid("the request goes to another endpoint"));
    }
    if before.check().is_ok() && after.check().is_err() {
        return Err(invalid("the request is no JSON object any more"));
    }
    if before.model().is_some() && after.model().is_none() {
        return Err(invalid("the request names no model any more"));
    }
    if before.stream() != after.stream() {
        return Err(invalid(
            "the request asks for another kind of reply: `stream` changed",
        ));
    }
    within(after.body().len(), max_body_bytes)
}

pub(super) fn response(
    before: &LlmResponse,
    after: &LlmResponse,
    max_body_bytes: usize,
) -> Result<(), Failure> {
    if before.status() != after.status() {
        return Err(invalid("the response has another status"));
    }
    if before.body().is_some() && after.body().is_none() {
        return Err(invalid("the response has no body any more"));
    }
    if before.check().is_ok() || before.body().is_none() {
        return answer(after, max_body_bytes);
    }
    within(length(after), max_body_bytes)
}

/// An answer that a request filter made: text, or a JSON object, with the status of an answer.
pub(super) fn answer(answer: &LlmResponse, max_body_bytes: usize) -> Result<(), Failure> {
    if answer.body().is_some() && answer.check().is_err() {
        return Err(invalid("the response is no JSON object"));
    }
    if !(200..=599).contains(&answer.status()) {
        return Err(invalid("the response has no status of an answer"));
    }
    within(length(answer), max_body_bytes)
}

fn length(response: &LlmResponse) -> usize {
    let text = response.answer_text().map_or(0, str::len);
    response.body().map_or(text, bytes::Bytes::len)
}

pub(super) fn event(event: &StreamEvent) -> Result<(), Failure> {
    match event.is_well_formed() {
        true => Ok(()),
        false => Err(invalid(
            "a stream event is not one whole event with JSON data",
        )),
    }
}

fn within(length: usize, max_body_bytes: usize) -> Result<(), Failure> {
    match length <= max_body_bytes {
        true => Ok(()),
        false => Err(invalid(&format!(
            "{length} bytes are more than {max_body_bytes}"
        ))),
    }
}

fn invalid(reason: &str) -> Failure {
    Failure::new(FailureKind::Invalid, reason)
}
