//! Gemini's `generateContent`, both sides. (ai.google.dev, Gemini API
//! reference, read 2026-11.)

mod answer;
mod read;
mod schema;
mod stream;
#[cfg(test)]
mod tests;
mod write;
mod write_answer;
mod write_stream;

pub(super) use self::answer::read_answer;
pub(super) use self::read::read_request;
pub(super) use self::stream::Reader;
pub(super) use self::write::write_request;
pub(super) use self::write_answer::write_answer;
pub(super) use self::write_stream::Writer;
