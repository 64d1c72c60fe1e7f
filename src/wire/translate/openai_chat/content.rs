//! What compatible servers say in an answer beside a plain text: their reasoning, and contents that are lists of parts.

use serde_json::Value;

use crate::wire::json_reader::{JsonError, Kind, Reader as Json};
use crate::wire::translate::canonical::Part;
use crate::wire::translate::fields::Fields;
use crate::wire::translate::piece::Piece;
use crate::wire::translate::places::{self, Places};
use crate::wire::translate::{Dropped, TranslateError};

/// What was thought, in the word of `OpenRouter` and Groq. Some servers have it beside `reasoning_content`.
pub(super) fn reasoning(message: &mut Fields, parts: &mut Vec<Part>, dropped: &mut Dropped) {
    match message.take("reasoning") {
        Some(Value::String(text)) if text.is_empty() || !parts.is_empty() => {}
        Some(Value::String(text)) => parts.push(thought(text)),
        Some(_) => dropped.add(message.path("reasoning")),
        None => {}
    }
}

fn thought(text: String) -> Part {
    Part::Thinking {
        text,
        signature: None,
    }
}

/// A text, or parts as Mistral has them. (docs.mistral.ai, Reasoning, read 2026-11.)
pub(super) fn read(
    message: &mut Fields,
    parts: &mut Vec<Part>,
    dropped: &mut Dropped,
) -> Result<(), TranslateError> {
    let items = match message.take("content") {
        None => return Ok(()),
        Some(Value::String(text)) => {
            parts.extend((!text.is_empty()).then_some(Part::Text(text)));
            return Ok(());
        }
        Some(Value::Array(items)) => items,
        Some(_) => return Err(message.invalid("content", "a text or a list of parts")),
    };
    let path = message.path("content");
    for (at, item) in items.into_iter().enumerate() {
        match part(&item) {
            Some(part) => parts.extend(part),
            // Such as what was looked up: the answer stands without it.
            None => dropped.add(format!("{path}[{at}]")),
        }
    }
    Ok(())
}

/// A part that says something, or one that says nothing. `None`: it has no counterpart.
fn part(item: &Value) -> Option<Option<Part>> {
    let text = |key: &str| item[key].as_str().map(str::to_owned);
    let (text, make): (String, fn(String) -> Part) = match item["type"].as_str()? {
        "text" => (text("text")?, Part::Text),
        "refusal" => (text("refusal")?, Part::Refusal),
        "thinking" => match &item["thinking"] {
            Value::Array(items) => {
                let texts: Option<Vec<&str>> =
                    items.iter().map(|item| item["text"].as_str()).collect();
                (texts?.concat(), thought)
            }
            _ => (text("thinking")?, thought),
        },
        _ => return None,
    };
    Some((!text.is_empty()).then(|| make(text)))
}

/// The same of a stream. What has no counterpart is named by the place that it would have in a whole answer.
pub(super) fn read_streamed<'a>(
    json: &mut Json<'a>,
    places: &mut Places,
    pieces: &mut Vec<Piece<'a>>,
    dropped: &mut Dropped,
) -> Result<(), JsonError> {
    let mut is_first = true;
    json.array(|json| {
        let kind = streamed_part(json, pieces)?;
        let place = places.place(kind.unwrap_or(places::Kind::Other), is_first);
        if kind.is_none() {
            dropped.add(format!("choices[0].message.content[{place}]"));
        }
        is_first = false;
        Ok(())
    })?;
    Ok(())
}

/// The kind of the part. `None`: it has no counterpart.
fn streamed_part<'a>(
    json: &mut Json<'a>,
    pieces: &mut Vec<Piece<'a>>,
) -> Result<Option<places::Kind>, JsonError> {
    let (mut kind, mut text, mut refusal, mut thoughts) = (None, None, None, Vec::new());
    json.object(|key, json| {
        match key.raw {
            "type" => kind = json.string()?,
            "text" => text = json.string()?,
            "refusal" => refusal = json.string()?,
            "thinking" if json.peek()? == Kind::Array => {
                json.array(|json| {
                    json.object(|key, json| {
                        match key.raw {
                            "text" => thoughts.extend(json.string()?),
                            _ => json.skip()?,
                        }
                        Ok(())
                    })?;
                    Ok(())
                })?;
            }
            "thinking" => thoughts.extend(json.string()?),
            _ => json.skip()?,
        }
        Ok(())
    })?;
    let (texts, make, kind): (_, fn(&'a str) -> Piece<'a>, _) = match kind.map(|kind| kind.raw) {
        Some("text") => (text.into_iter().collect(), Piece::Text, places::Kind::Text),
        Some("refusal") => (
            refusal.into_iter().collect(),
            Piece::Refusal,
            places::Kind::Other,
        ),
        Some("thinking") => (thoughts, Piece::Thinking, places::Kind::Thought),
        _ => return Ok(None),
    };
    let texts = texts.into_iter().map(|text| text.raw);
    pieces.extend(texts.filter(|text| !text.is_empty()).map(make));
    Ok(Some(kind))
}

/// A block of thinking, or a piece of one. `says_texts`: whether its text is not said elsewhere.
pub(super) fn read_block<'a>(
    json: &mut Json<'a>,
    says_texts: bool,
    pieces: &mut Vec<Piece<'a>>,
) -> Result<(), JsonError> {
    json.object(|key, json| {
        let make: fn(&'a str) -> Piece<'a> = match key.raw {
            "thinking" if says_texts => Piece::Thinking,
            "signature" => Piece::Signature,
            "data" => Piece::RedactedThinking,
            _ => return json.skip(),
        };
        let text = json.string()?.filter(|text| !text.raw.is_empty());
        pieces.extend(text.map(|text| make(text.raw)));
        Ok(())
    })?;
    Ok(())
}
