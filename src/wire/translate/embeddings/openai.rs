//! OpenAI's `embeddings`. (platform.openai.com, API reference, read 2026-11.)

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Answer, Asked, Shape};
use crate::wire::translate::fields::{self, Fields};
use crate::wire::translate::{AnswerFacts, Dropped, TranslateError};

pub(super) fn read_request(body: Value, dropped: &mut Dropped) -> Result<Asked, TranslateError> {
    let mut fields = Fields::of(body, "")?;
    let wrong = fields.invalid("input", "a text or a list of texts");
    let tokens = fields.unsupported("input", "tokens are numbers of one model only: send texts");
    let texts = match fields.take("input") {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) if !items.is_empty() => items
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Ok(text),
                Value::Number(_) | Value::Array(_) => Err(tokens.clone()),
                _ => Err(wrong.clone()),
            })
            .collect::<Result<_, _>>()?,
        _ => return Err(wrong),
    };
    let shape = match fields.text("encoding_format")?.as_deref() {
        None | Some("float") => Shape::Lists,
        Some("base64") => Shape::Base64,
        Some(_) => return Err(fields.invalid("encoding_format", "float or base64")),
    };
    let asked = Asked {
        texts,
        shape,
        dimensions: fields.number("dimensions")?,
    };
    fields.ignore(&["model"]);
    fields.drop_rest(dropped);
    Ok(asked)
}

pub(super) fn write_request(asked: Asked, model: &str) -> Value {
    let mut body = json!({ "model": model, "input": asked.texts, "encoding_format": "float" });
    if let Some(dimensions) = asked.dimensions {
        body["dimensions"] = Value::Number(dimensions);
    }
    body
}

pub(super) fn read_answer(body: Value, dropped: &mut Dropped) -> Result<Answer, TranslateError> {
    if !body["error"].is_null() {
        return Err(TranslateError::Reported(fields::error(&body)));
    }
    let mut fields = Fields::of(body, "")?;
    let data = fields.list("data")?;
    let data = data.ok_or_else(|| fields.invalid("data", "a list"))?;
    let mut numbered = Vec::with_capacity(data.len());
    for (at, item) in data.into_iter().enumerate() {
        let mut item = Fields::of(item, &format!("data[{at}]"))?;
        let index = item.number("index")?.and_then(|index| index.as_u64());
        let wrong = item.invalid("embedding", "a list of numbers");
        let vector = match item.take("embedding") {
            Some(Value::Array(numbers)) => super::gemini::numbers(&numbers),
            // Some servers give it whatever was asked for.
            Some(Value::String(text)) => decoded(&text),
            _ => None,
        };
        let place = index.unwrap_or(at as u64);
        numbered.push((place, vector.ok_or(wrong)?));
    }
    numbered.sort_by_key(|(place, _)| *place);
    let usage = fields.take("usage").unwrap_or_default();
    let answer = Answer {
        model: fields.text("model")?,
        vectors: numbered.into_iter().map(|(_, vector)| vector).collect(),
        tokens: usage["prompt_tokens"].as_u64(),
    };
    fields.ignore(&["object"]);
    fields.drop_rest(dropped);
    Ok(answer)
}

/// Usage that nobody knows is `null`: clients look for the key, and no number would be true.
pub(super) fn write_answer(answer: Answer, shape: Shape, facts: &AnswerFacts) -> Value {
    let vectors = answer.vectors.into_iter().enumerate();
    let data: Vec<Value> = vectors
        .map(|(index, vector)| {
            let embedding = match shape {
                Shape::Base64 => json!(encoded(&vector)),
                Shape::Lists | Shape::Single => json!(vector),
            };
            json!({ "object": "embedding", "index": index, "embedding": embedding })
        })
        .collect();
    let tokens = answer.tokens;
    let usage = tokens.map(|tokens| json!({ "prompt_tokens": tokens, "total_tokens": tokens }));
    json!({
        "object": "list", "data": data, "model": answer.model.as_ref().unwrap_or(&facts.model),
        "usage": usage,
    })
}

fn encoded(vector: &[f64]) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "the format has 32 bits")]
    let bytes: Vec<u8> = vector
        .iter()
        .flat_map(|number| (*number as f32).to_le_bytes())
        .collect();
    STANDARD.encode(bytes)
}

fn decoded(text: &str) -> Option<Vec<f64>> {
    let bytes = STANDARD.decode(text).ok()?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    let vector: Vec<f64> = numbers
        .iter()
        .map(|bytes| f64::from(f32::from_le_bytes(*bytes)))
        .collect();
    (rest.is_empty() && vector.iter().all(|number| number.is_finite())).then_some(vector)
}
