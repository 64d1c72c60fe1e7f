//! Bedrock's runtime: what paths say, what requests ask, what answers say, whole and streamed. `converse` has a form of
//! its own; `invoke` takes and gives what the model's maker does.
//!
//! Source: docs.aws.amazon.com, Amazon Bedrock API reference, `Converse`, `ConverseStream`, `InvokeModel` and
//! `InvokeModelWithResponseStream` (read 2026-11).

mod converse;
mod event;
mod exception;
mod invoke;
mod invoke_form;
mod makers;
mod path;

use aiproxy_filters::Endpoint;
use serde_json::{Value, json};

use super::aws_event_stream::frames;
use super::decoded::{Decoded, ErrorFields};
use super::json_reader::Reader;
use super::usage::{self, Usage};

pub use self::converse::{prompt_pieces as converse_prompt_pieces, request_text};
pub use self::event::{EventText, frame_of, frames_of, text_of};
pub use self::exception::{error_name, error_status};
pub use self::invoke::{PROMPTS, has_prompt, last_turn, prompt_pieces as invoke_prompt_pieces};
pub use self::invoke_form::InvokeForm;
pub use self::path::{ModelPath, is_stream};

/// The header that says what kind an error is.
pub const ERROR_TYPE: &str = "x-amzn-errortype";

/// Reads a whole answer.
pub fn decode_whole(endpoint: Endpoint, text: &str) -> Decoded {
    let decoded = match endpoint {
        Endpoint::BedrockConverse => converse::decode_whole(text),
        _ => invoke::decode_whole(text),
    };
    // What has a usage is an answer, which need not be read once more.
    let has_usage = decoded.usage.is_some();
    let error = decoded.error;
    Decoded {
        error: error.or_else(|| (!has_usage).then(|| said(text)).flatten()),
        ..decoded
    }
}

/// Reads a stream of frames. Frames that are broken teach nothing.
pub fn decode_stream(endpoint: Endpoint, stream: &[u8]) -> Decoded {
    let events: Vec<String> = frames(stream)
        .filter_map(|frame| text_of(&frame).into_text())
        .collect();
    let mut decoded = match endpoint {
        Endpoint::BedrockConverse => converse::decode_events(&events),
        _ => invoke::decode_events(&events),
    };
    decoded.error = decoded
        .error
        .or_else(|| events.iter().find_map(|event| exception(event)));
    decoded.event_count = events.len() as u64;
    decoded
}

/// The numbers that Bedrock adds to a whole answer of `invoke` as headers, given as a JSON object; and the same as its
/// streams have them.
pub fn usage_in_headers(headers: &str) -> Option<(Usage, String)> {
    let headers: serde_json::Map<String, Value> = serde_json::from_str(headers).ok()?;
    let number = |name: &str| headers.get(name)?.as_str()?.parse::<u64>().ok();
    let mut metrics = json!({ "inputTokenCount": number("x-amzn-bedrock-input-token-count")? });
    for (name, header) in [
        // Vectors have none.
        ("outputTokenCount", "x-amzn-bedrock-output-token-count"),
        (
            "cacheReadInputTokenCount",
            "x-amzn-bedrock-cache-read-input-token-count",
        ),
        (
            "cacheWriteInputTokenCount",
            "x-amzn-bedrock-cache-write-input-token-count",
        ),
    ] {
        if let Some(number) = number(header) {
            metrics[name] = number.into();
        }
    }
    let metrics = metrics.to_string();
    Some((usage::read_bedrock(&metrics)?, metrics))
}

/// The error that an event is, if it is one.
fn exception(event: &str) -> Option<ErrorFields> {
    let mut error = None;
    Reader::new(event)
        .object(|key, reader| {
            let value = reader.raw()?;
            if key.raw.ends_with("Exception") {
                let said = ErrorFields::read(value).unwrap_or_default();
                error = Some(ErrorFields {
                    kind: Some(error_name(key.raw)),
                    ..said
                });
            }
            Ok(())
        })
        .ok()?;
    error
}

/// What the body of an error says: it has a message, and nothing else.
fn said(text: &str) -> Option<ErrorFields> {
    let (mut message, mut members) = (None, 0);
    let mut reader = Reader::new(text);
    let read = reader.object(|key, reader| {
        members += 1;
        match key.raw {
            "message" | "Message" => message = reader.string()?,
            _ => reader.skip()?,
        }
        Ok(())
    });
    read.ok()?;
    let message = message.filter(|_| members == 1)?;
    Some(ErrorFields {
        message: Some(message.text().into_owned()),
        ..ErrorFields::default()
    })
}

#[cfg(test)]
mod tests;
