//! A streamed answer of Gemini's, read: each chunk is an answer of its own with some parts of the whole.

use serde_json::Value;

use super::answer::{part, stop_of, usage};
use crate::wire::translate::canonical::{Part, Stop};
use crate::wire::translate::fields::{Fields, parse};
use crate::wire::translate::piece::{Give, Piece, spelt};
use crate::wire::translate::{Dropped, TranslateError, fields, logprobs, numbers};

/// Reads chunks.
#[derive(Debug, Default)]
pub(in crate::wire::translate) struct Reader {
    has_begun: bool,
    /// How many calls have begun.
    calls: u64,
}

impl Reader {
    pub(in crate::wire::translate) fn read(
        &mut self,
        data: &str,
        dropped: &mut Dropped,
        give: Give<'_>,
    ) -> Result<(), TranslateError> {
        numbers::note(data.as_bytes(), dropped);
        let mut chunk = parse(data.as_bytes())?;
        if !chunk.is_object() {
            return Err(TranslateError::Malformed(
                "an event is no object".to_owned(),
            ));
        }
        if !chunk["error"].is_null() {
            return Err(TranslateError::Reported(fields::error(&chunk)));
        }
        if !std::mem::replace(&mut self.has_begun, true) {
            let model = chunk["modelVersion"].as_str().map(spelt);
            give(Piece::Start {
                model: model.as_deref(),
            });
        }
        let candidates = chunk["candidates"].as_array();
        if candidates.is_some_and(|candidates| 1 < candidates.len()) {
            dropped.add("candidates[1]");
        }
        let parts = match chunk.pointer_mut("/candidates/0/content/parts") {
            Some(Value::Array(parts)) => std::mem::take(parts),
            _ => Vec::new(),
        };
        let said = chunk.pointer_mut("/candidates/0/logprobsResult");
        if let Some(said) = said.map(Value::take).filter(|said| !said.is_null()) {
            let read = logprobs::of_candidate(said, dropped);
            if !read.is_empty() {
                give(Piece::Logprobs(&read));
            }
        }
        for (at, item) in parts.into_iter().enumerate() {
            let path = format!("candidates[0].content.parts[{at}]");
            match part(Fields::of(item, &path)?, dropped)? {
                Some(part) => self.part(part, give),
                None => dropped.add(path),
            }
        }
        if let Some(counted) = chunk
            .get("usageMetadata")
            .filter(|counted| counted.is_object())
        {
            give(Piece::Usage(usage(counted)));
        }
        let reason = chunk
            .pointer("/candidates/0/finishReason")
            .and_then(Value::as_str);
        let is_blocked = chunk["promptFeedback"]["blockReason"].is_string();
        let stop = match reason.map(stop_of) {
            None if is_blocked => Some(Some(Stop::Refused)),
            Some(Some(Stop::End)) if 0 < self.calls => Some(Some(Stop::ToolUse)),
            stop => stop,
        };
        // More may follow a reason to stop, such as the last usage: the end is that of the body.
        if let Some(stop) = stop {
            give(Piece::Stop {
                stop,
                word: reason.unwrap_or_default(),
                sequence: None,
            });
        }
        Ok(())
    }

    fn part(&mut self, part: Part, give: Give<'_>) {
        match part {
            Part::Text(text) if text.is_empty() => {}
            Part::Text(text) => give(Piece::Text(&spelt(&text))),
            Part::Thinking { text, .. } => give(Piece::Thinking(&spelt(&text))),
            Part::ToolUse {
                id,
                name,
                input,
                signature,
            } => {
                let number = self.calls;
                self.calls += 1;
                give(Piece::Tool {
                    number,
                    id: &spelt(&id),
                    name: &spelt(&name),
                    signature: &spelt(&signature.unwrap_or_default()),
                });
                give(Piece::Input {
                    number,
                    json: &spelt(&input.to_string()),
                });
                give(Piece::PartEnd { number });
            }
            // A part is read as none of these.
            Part::Refusal(_)
            | Part::Image(_)
            | Part::Document { .. }
            | Part::RedactedThinking(_)
            | Part::ToolResult { .. } => {}
        }
    }
}
