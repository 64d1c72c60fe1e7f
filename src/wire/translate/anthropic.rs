//! Anthropic's Messages. (docs.anthropic.com, Messages, read 2026-11.)

mod answer;
mod read;
mod read_stream;
mod sampling;
mod stream;
mod thinking;
mod write;

pub(super) use self::answer::{read_answer, write_answer};
pub(super) use self::read::{read_fields, read_output, read_request};
pub(super) use self::read_stream::Reader;
pub(super) use self::sampling::Sampling;
pub(super) use self::stream::Writer;
pub(super) use self::thinking::Thinking;
pub(super) use self::write::write_request;
