//! Argo's `embed`: a list of texts, and a vector for each. It counts nothing.

use serde_json::{Value, json};

use super::{Answer, Asked, gemini};
use crate::wire::argo::{Notice, model::id};
use crate::wire::translate::fields::Fields;
use crate::wire::translate::{Dropped, TranslateError};

pub(super) fn write_request(asked: Asked, model: &str, dropped: &mut Dropped) -> Value {
    if asked.dimensions.is_some() {
        dropped.add("dimensions");
    }
    json!({ "model": id(model), "prompt": asked.texts })
}

pub(super) fn read_answer(body: Value, dropped: &mut Dropped) -> Result<Answer, TranslateError> {
    let said = body["response"].as_str();
    if let Some(said) = said.filter(|said| Notice::of(said) == Notice::Is) {
        return Err(TranslateError::Reported(Notice::error(said)));
    }
    let mut fields = Fields::of(body, "")?;
    let wrong = fields.invalid("embedding", "a list of lists of numbers");
    let vectors = fields.list("embedding")?.ok_or_else(|| wrong.clone())?;
    let vectors = vectors
        .iter()
        .map(|vector| vector.as_array().and_then(|list| gemini::numbers(list)))
        .collect::<Option<_>>()
        .ok_or(wrong)?;
    fields.drop_rest(dropped);
    Ok(Answer {
        model: None,
        vectors,
        tokens: None,
    })
}
