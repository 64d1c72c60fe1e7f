//! The formats of the program without the program, and the checks that its own tests run over the corpus. The files are
//! the same ones, `wire` by links; only what they stand in is smaller, so that it is built, with the fuzzer's counters,
//! in minutes.

// The checks name the formats as the program's tests do.
extern crate self as aiproxy;

pub use aiproxy_filters as filter;

pub mod wire;

#[path = "../../tests/it/fuzz"]
mod checks {
    mod array;
    pub(crate) mod event_stream;
    mod input;
    pub(crate) mod sse;
    pub(crate) mod translate;
}

/// Checks one input as frames.
pub fn event_stream(data: &[u8]) {
    checks::event_stream::check(data);
}

/// Checks one input as an event stream.
pub fn sse(data: &[u8]) {
    checks::sse::check(data);
}

/// Checks one input as bodies and streams of two formats.
pub fn translate(data: &[u8]) {
    checks::translate::check(data);
}
