//! The canonical stream: what one event says, piece by piece. Texts are the insides of JSON strings as they are spelt,
//! for they go into JSON strings again.

use serde_json::Value;

use super::canonical::{Logprob, Stop, Usage};
use crate::wire::json_reader::JsonError;
use crate::wire::translate::TranslateError;

/// A piece of a streamed answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Piece<'a> {
    /// The answer begins.
    Start {
        model: Option<&'a str>,
    },
    /// Of the text that follows, or else of what came before.
    Logprobs(&'a [Logprob]),
    Text(&'a str),
    Refusal(&'a str),
    Thinking(&'a str),
    /// Of the thinking before it.
    Signature(&'a str),
    RedactedThinking(&'a str),
    /// A call begins; `number` is the source's own.
    Tool {
        number: u64,
        id: &'a str,
        name: &'a str,
        /// Of the thought behind it; empty where there is none.
        signature: &'a str,
    },
    /// A piece of a call's input.
    Input {
        number: u64,
        json: &'a str,
    },
    /// A part of the answer is complete; `number` is that of a call, if it is one.
    PartEnd {
        number: u64,
    },
    Usage(Usage),
    /// Nothing is said, but the upstream is at work.
    Ping,
    Stop {
        /// `None` for reasons that are the source's own.
        stop: Option<Stop>,
        /// The reason in its source's word.
        word: &'a str,
        sequence: Option<&'a str>,
    },
    /// There is no more.
    End,
}

impl From<JsonError> for TranslateError {
    fn from(error: JsonError) -> Self {
        Self::Malformed(format!("an event is not JSON: {error}"))
    }
}

/// Takes pieces of one event.
pub(super) type Give<'g> = &'g mut dyn FnMut(Piece<'_>);

/// A text as it is spelt between the quotes of a JSON string.
pub(super) fn spelt(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or_default()
        .to_owned()
}
