//! The client's side: which paths a family of clients calls, and how answers and errors look to it.
//!
//! Pure: no socket, no clock, no provider.

pub mod anthropic;
pub mod bedrock;
pub mod gemini;
pub mod openai;

use crate::filter::{Dialect, Endpoint};

/// Which endpoint a path behind `/v1` means, and whose it is; `rest` begins with a slash. `names_anthropic`: the
/// request has Anthropic's header `anthropic-version`, which tells where a path is of both.
pub fn endpoint(method: &str, rest: &str, names_anthropic: bool) -> (Endpoint, Dialect) {
    if let Some(endpoint) = anthropic::endpoint(method, rest) {
        return (endpoint, Dialect::Anthropic);
    }
    let endpoint = openai::endpoint(method, rest);
    let is_shared = matches!(endpoint, Endpoint::Models | Endpoint::Passthrough);
    match is_shared && names_anthropic {
        true => (endpoint, Dialect::Anthropic),
        false => (endpoint, Dialect::Openai),
    }
}

/// The words of an error.
#[derive(Debug, Clone, Copy)]
pub struct ErrorText<'a> {
    /// For a person.
    pub message: &'a str,
    /// `error.type`.
    pub kind: &'a str,
    /// `error.code`, where the dialect has one.
    pub code: &'a str,
    /// `error.param`, where the dialect has one.
    pub param: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_tells_whose_a_shared_path_is() {
        let whose = |path: &str, names_anthropic| endpoint("GET", path, names_anthropic).1;
        assert_eq!(whose("/models", false), Dialect::Openai);
        assert_eq!(whose("/models", true), Dialect::Anthropic);
        assert_eq!(whose("/files", true), Dialect::Anthropic);
        assert_eq!(whose("/messages/batches", false), Dialect::Anthropic);
        let chat = endpoint("POST", "/chat/completions", true);
        assert_eq!(chat, (Endpoint::ChatCompletions, Dialect::Openai));
    }
}
