//! Argo's own API: conversations in OpenAI's shape with rules of their own by the model's family, answers of one text,
//! streams of nothing but text. Models of other families than OpenAI's are told of tools in words (`prompted`).

mod answer;
mod prompted;
mod stream;
#[cfg(test)]
mod tests;
mod write;

pub(super) use self::answer::read_answer;
pub(super) use self::prompted::is_told;
pub(super) use self::stream::Reader;
pub(super) use self::write::{streams, write_request};
