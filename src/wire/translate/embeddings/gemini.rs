//! Gemini's `embedContent` and `batchEmbedContents`. (ai.google.dev, Embeddings, read 2026-11.)

use serde_json::{Value, json};

use super::{Answer, Asked, Shape};
use crate::wire::translate::fields::{self, Fields};
use crate::wire::translate::{Dropped, TranslateError};

pub(super) fn read_request(body: Value, dropped: &mut Dropped) -> Result<Asked, TranslateError> {
    let mut fields = Fields::of(body, "")?;
    let Some(requests) = fields.list("requests")? else {
        let mut asked = Asked {
            texts: Vec::new(),
            dimensions: None,
            shape: Shape::Single,
        };
        one(fields, &mut asked, dropped)?;
        return Ok(asked);
    };
    let mut asked = Asked {
        texts: Vec::with_capacity(requests.len()),
        dimensions: None,
        shape: Shape::Lists,
    };
    if requests.is_empty() {
        return Err(fields.invalid("requests", "a list of requests"));
    }
    for (at, request) in requests.into_iter().enumerate() {
        let request = Fields::of(request, &format!("requests[{at}]"))?;
        one(request, &mut asked, dropped)?;
    }
    fields.ignore(&["model"]);
    fields.drop_rest(dropped);
    Ok(asked)
}

fn one(mut fields: Fields, asked: &mut Asked, dropped: &mut Dropped) -> Result<(), TranslateError> {
    let content = fields.object("content")?;
    let mut content = content.ok_or_else(|| fields.invalid("content", "an object"))?;
    let parts = content.list("parts")?.unwrap_or_default();
    let Ok([part]) = <[Value; 1]>::try_from(parts) else {
        return Err(content.unsupported("parts", "there is one text to an embedding"));
    };
    let mut part = Fields::of(part, &format!("{}[0]", content.path("parts")))?;
    let Some(text) = part.text("text")? else {
        return Err(part.unsupported("text", "only texts have embeddings everywhere"));
    };
    part.drop_rest(dropped);
    content.ignore(&["role"]);
    content.drop_rest(dropped);
    let dimensions = fields.number("outputDimensionality")?;
    if !asked.texts.is_empty() && asked.dimensions != dimensions {
        let reason = "all embeddings of a call have as many numbers";
        return Err(fields.unsupported("outputDimensionality", reason));
    }
    asked.dimensions = dimensions;
    asked.texts.push(text);
    fields.ignore(&["model"]);
    fields.drop_rest(dropped);
    Ok(())
}

/// Always a batch, also of one. Each repeats the model.
pub(super) fn write_request(asked: Asked, model: &str) -> Value {
    let model = format!("models/{model}");
    let requests: Vec<Value> = asked
        .texts
        .into_iter()
        .map(|text| {
            let mut request = json!({ "model": model, "content": { "parts": [{ "text": text }] } });
            if let Some(dimensions) = &asked.dimensions {
                request["outputDimensionality"] = json!(dimensions);
            }
            request
        })
        .collect();
    json!({ "requests": requests })
}

pub(super) fn read_answer(body: Value, dropped: &mut Dropped) -> Result<Answer, TranslateError> {
    if !body["error"].is_null() {
        return Err(TranslateError::Reported(fields::error(&body)));
    }
    let mut fields = Fields::of(body, "")?;
    let wrong = fields.invalid("embeddings", "a list of embeddings");
    let embeddings = fields.list("embeddings")?;
    let embeddings = embeddings.ok_or_else(|| wrong.clone())?;
    let vectors = embeddings
        .iter()
        .map(|embedding| {
            embedding["values"]
                .as_array()
                .and_then(|list| numbers(list))
        })
        .collect::<Option<_>>()
        .ok_or(wrong)?;
    let usage = fields.take("usageMetadata").unwrap_or_default();
    fields.drop_rest(dropped);
    Ok(Answer {
        model: None,
        vectors,
        tokens: usage["promptTokenCount"].as_u64(),
    })
}

/// `None` when one of them is no number.
pub(super) fn numbers(list: &[Value]) -> Option<Vec<f64>> {
    list.iter().map(Value::as_f64).collect()
}

pub(super) fn write_answer(answer: Answer, shape: Shape) -> Value {
    let mut embeddings = answer
        .vectors
        .into_iter()
        .map(|vector| json!({ "values": vector }));
    let mut written = match shape {
        Shape::Single => json!({ "embedding": embeddings.next() }),
        Shape::Lists | Shape::Base64 => json!({ "embeddings": embeddings.collect::<Vec<_>>() }),
    };
    if let Some(tokens) = answer.tokens {
        written["usageMetadata"] = json!({ "promptTokenCount": tokens });
    }
    written
}
