//! Bedrock's `converse` and `converse-stream`. (docs.aws.amazon.com, Amazon Bedrock API reference, `Converse` and
//! `ConverseStream`, read 2026-11.)

mod answer;
mod document;
mod stream;
#[cfg(test)]
pub(super) mod tests;
mod write;

use serde_json::Value;

use super::ProviderError;

pub(super) use self::answer::read_answer;
pub(super) use self::stream::Reader;
pub(super) use self::write::write_request;

/// What the body of an error says: its kind stands in a header.
pub(super) fn error(body: &Value) -> ProviderError {
    let message = ["message", "Message"]
        .iter()
        .find_map(|key| body[*key].as_str());
    ProviderError {
        message: message.unwrap_or_default().to_owned(),
        ..ProviderError::default()
    }
}
