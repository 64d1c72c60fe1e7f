//! Gemini's `generateContent`, as a provider's format: requests are written, answers read. (ai.google.dev, Gemini API
//! reference, read 2026-11.)

mod answer;
mod stream;
mod write;

pub(super) use self::answer::read_answer;
pub(super) use self::stream::Reader;
pub(super) use self::write::write_request;
