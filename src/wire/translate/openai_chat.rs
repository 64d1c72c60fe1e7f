//! OpenAI's chat completions. (platform.openai.com, API reference, read 2026-11.)

mod answer;
mod calls;
mod chunk;
mod content;
mod old_call;
mod read;
mod stream;
mod write;

pub(super) use self::answer::{read_answer, word_of, write_answer, write_usage};
pub(super) use self::calls::{arguments, signature};
pub(super) use self::old_call::input_path;
pub(super) use self::read::{effort_of, form_of, media, named_schema, read_request, stop_words};
pub(super) use self::stream::{Reader, Writer};
pub(super) use self::write::{effort, tool, tool_choice, write_request};
