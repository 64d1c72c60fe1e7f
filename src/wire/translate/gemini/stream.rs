//! A streamed answer of Gemini's, read: each chunk is an answer of its own with some parts of the whole.

use serde_json::Value;

use super::answer::{part, stop_of, usage};
use crate::wire::translate::canonical::{Part, Stop};
use crate::wire::translate::fields::{Fields, parse};
use crate::wire::translate::piece::{Give, Piece, spelt};
use crate::wire::translate::places::{Kind, Places};
use crate::wire::translate::{Dropped, TranslateError, fields, logprobs, numbers};

/// Reads chunks.
#[derive(Debug, Default)]
pub(in crate::wire::translate) struct Reader {
    has_begun: bool,
    /// How many calls have begun.
    calls: u64,
    places: Places,
}

impl Reader {
    pub(in crate::wire::translate) fn read(
        &mut self,
        data: &str,
        dropped: &mut Dropped,
        give: Give<'_>,
    ) -> Result<(), TranslateError> {
        let mut lost = Dropped::default();
        numbers::note(data.as_bytes(), &mut lost);
        let chunk = parse(data.as_bytes())?;
        if !chunk.is_object() {
            return Err(TranslateError::Malformed(
                "an event is no object".to_owned(),
            ));
        }
        if !chunk["error"].is_null() {
            return Err(TranslateError::Reported(fields::error(&chunk)));
        }
        let mut chunk = Fields::of(chunk, "")?;
        let model = chunk.text("modelVersion")?;
        if !std::mem::replace(&mut self.has_begun, true) {
            let model = model.as_deref().map(spelt);
            give(Piece::Start {
                model: model.as_deref(),
            });
        }
        let candidates = chunk.list("candidates")?.unwrap_or_default();
        // Each has its index, and those of several may come in chunks of their own.
        let is_first = |candidate: &Value| candidate["index"].as_u64().unwrap_or_default() == 0;
        let count = candidates.len();
        let first = candidates.into_iter().find(is_first);
        if usize::from(first.is_some()) < count {
            dropped.add("candidates[1]");
        }
        let reason = match first {
            Some(first) => self.candidate(first, lost, dropped, give)?,
            None => {
                lost.into_fields()
                    .into_iter()
                    .for_each(|path| dropped.add(path));
                None
            }
        };
        if let Some(counted) = chunk
            .take("usageMetadata")
            .filter(|counted| counted.is_object())
        {
            give(Piece::Usage(usage(&counted)));
        }
        let mut is_blocked = false;
        if let Some(mut feedback) = chunk.object("promptFeedback")? {
            is_blocked = feedback.text("blockReason")?.is_some();
        }
        chunk.ignore(&["createTime", "responseId"]);
        chunk.drop_rest(dropped);
        let stop = match reason.as_deref().map(stop_of) {
            None if is_blocked => Some(Some(Stop::Refused)),
            Some(Some(Stop::End)) if 0 < self.calls => Some(Some(Stop::ToolUse)),
            stop => stop,
        };
        // More may follow a reason to stop, such as the last usage: the end is that of the body.
        if let Some(stop) = stop {
            give(Piece::Stop {
                stop,
                word: reason.as_deref().unwrap_or_default(),
                sequence: None,
            });
        }
        Ok(())
    }

    /// Gives what it says, and the reason to stop.
    fn candidate(
        &mut self,
        candidate: Value,
        lost: Dropped,
        dropped: &mut Dropped,
        give: Give<'_>,
    ) -> Result<Option<String>, TranslateError> {
        let mut candidate = Fields::of(candidate, "candidates[0]")?;
        let reason = candidate.text("finishReason")?;
        if let Some(said) = candidate.take("logprobsResult") {
            let read = logprobs::of_candidate(said, dropped);
            if !read.is_empty() {
                give(Piece::Logprobs(&read));
            }
        }
        let parts = match candidate.object("content")? {
            Some(mut content) => content.list("parts")?.unwrap_or_default(),
            None => Vec::new(),
        };
        let mut places = Vec::new();
        for (at, item) in parts.into_iter().enumerate() {
            let place = self.places.place(kind_of(&item), at == 0);
            places.push(place);
            let path = format!("{PARTS}{place}]");
            match part(Fields::of(item, &path)?, dropped)? {
                Some(part) => self.part(part, give),
                None => dropped.add(path),
            }
        }
        for path in lost.into_fields() {
            dropped.add(moved(path, &places));
        }
        candidate.ignore(&["index", "safetyRatings"]);
        candidate.drop_rest(dropped);
        Ok(reason)
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

const PARTS: &str = "candidates[0].content.parts[";

fn kind_of(part: &Value) -> Kind {
    match (part["text"].is_string(), part["thought"] == true) {
        (false, _) => Kind::Other,
        (true, true) => Kind::Thought,
        (true, false) => Kind::Text,
    }
}

/// The path of a part of a chunk as the whole answer has it.
fn moved(path: String, places: &[usize]) -> String {
    let split = |path: &str| {
        let (at, rest) = path.strip_prefix(PARTS)?.split_once(']')?;
        let place = places.get(at.parse::<usize>().ok()?)?;
        Some(format!("{PARTS}{place}]{rest}"))
    };
    split(&path).unwrap_or(path)
}
