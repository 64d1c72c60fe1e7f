//! OpenAI's Responses, as a client's format. (platform.openai.com, API reference, read 2026-11.)

mod echo;
mod events;
mod input;
mod read;
mod response;
mod stream;

pub(super) use self::echo::echo;
pub(super) use self::read::read_request;
pub(super) use self::stream::{Writer, write_answer};

/// Before the signature of a thought where it travels as `encrypted_content`: what others encrypted is not ours to pass on.
const SIGNED: &str = "thinking:";

/// Before a thought that nobody may read.
const REDACTED: &str = "redacted_thinking:";
