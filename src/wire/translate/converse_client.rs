//! Bedrock's `converse`, the side of its clients. (docs.aws.amazon.com, Amazon Bedrock API reference, `Converse` and
//! `ConverseStream`, read 2026-11.)

mod answer;
mod content;
mod read;
mod stream;

pub(super) use self::answer::write_answer;
pub(super) use self::read::read_request;
pub(super) use self::stream::Writer;
