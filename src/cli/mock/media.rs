//! Embeddings, models, audio and files, and the echo of every other path.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::cli::mock::answer::{Ask, CREATED, headers_json};
use crate::cli::mock::behaviour::{Behaviour, UsageStyle};
use crate::cli::mock::multipart::Upload;
use crate::cli::mock::reply::{Body, Reply};
use crate::cli::mock::request::{RawRequest, sha256_hex};

/// Models that the list names.
const MODELS: &[&str] = &[
    "mock",
    "mock-s200-d20",
    "mock-tools",
    "mock-json",
    "mock-vision",
    "acme/mock",
];
/// Numbers in a vector when the request does not say.
const DIMENSIONS: usize = 8;
/// Most numbers in a vector.
const MAX_DIMENSIONS: usize = 4_096;

/// One vector for each input; the numbers depend on nothing but their place.
pub(super) fn embeddings(ask: &Ask<'_>, model: &str, behaviour: &Behaviour) -> Reply {
    let count = input_count(ask);
    let dimensions = ask.dimensions.unwrap_or(DIMENSIONS).min(MAX_DIMENSIONS);
    let base64 = ask.encoding_format.as_deref() == Some("base64");
    let data: Vec<Value> = (0..count)
        .map(|index| {
            let vector = vector(index, dimensions);
            let embedding = if base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|n| n.to_le_bytes()).collect();
                Value::from(STANDARD.encode(bytes))
            } else {
                Value::from(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let mut body = json!({"object": "list", "data": data, "model": model});
    if behaviour.usage != UsageStyle::None {
        let tokens = count * 3;
        body["usage"] = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    }
    Reply::json(200, &body)
}

/// Inputs in a request: a text or a list of numbers is one.
fn input_count(ask: &Ask<'_>) -> usize {
    let input = ask.input.map_or("null", |input| input.get());
    match serde_json::from_str::<Value>(input) {
        Ok(Value::Array(items)) if items.iter().any(|item| !item.is_number()) => items.len(),
        _ => 1,
    }
}

fn vector(index: usize, dimensions: usize) -> Vec<f32> {
    let number = |place: usize| u8::try_from((index + place) % 200).map_or(0.0, f32::from);
    (0..dimensions)
        .map(|place| number(place) / 256.0 - 0.25)
        .collect()
}

/// The list of models, in the form of whoever asks.
pub(super) fn models(request: &RawRequest) -> Reply {
    let data: Vec<Value> = MODELS.iter().map(|id| model_object(request, id)).collect();
    Reply::json(
        200,
        &match is_anthropics(request) {
            false => json!({"object": "list", "data": data}),
            true => json!({
                "data": data, "has_more": false, "first_id": MODELS.first(), "last_id": MODELS.last(),
            }),
        },
    )
}

/// One model; any name is known.
pub(super) fn model(request: &RawRequest, id: &str) -> Reply {
    Reply::json(200, &model_object(request, &percent_decoded(id)))
}

fn is_anthropics(request: &RawRequest) -> bool {
    request.header("anthropic-version").is_some()
}

fn model_object(request: &RawRequest, id: &str) -> Value {
    match is_anthropics(request) {
        false => json!({"id": id, "object": "model", "created": CREATED, "owned_by": "mock"}),
        true => json!({
            "type": "model", "id": id, "display_name": id, "created_at": "2026-01-01T00:00:00Z",
        }),
    }
}

/// Decodes `%2F` and its like; what is no escape or no UTF-8 stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..2).filter(|_| *first == b'%');
        let code = digits.and_then(|d| std::str::from_utf8(d).ok());
        let code = code.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// What was uploaded, part by part.
pub(super) fn transcription(upload: &Upload) -> Reply {
    Reply::json(
        200,
        &json!({"text": "mock transcript", "upload": upload.report()}),
    )
}

/// Bytes that are no text: every value, in an order that shows a lost or doubled piece.
pub(super) fn speech(behaviour: &Behaviour) -> Reply {
    let size = behaviour.size_bytes.unwrap_or(4_096);
    let bytes: Vec<u8> = (0..size)
        .map(|at| ((at * 7 + at / 256) % 256) as u8)
        .collect();
    Reply::with_body("audio/mpeg", Body::Unsized(bytes))
}

/// A file that was uploaded.
pub(super) fn file_uploaded(number: u64, upload: &Upload) -> Reply {
    let mut file = file_object(&format!("file-mock-{number}"));
    file["upload"] = upload.report();
    if let Some(part) = upload.file() {
        file["bytes"] = json!(part.body.len());
        file["filename"] = json!(part.filename);
    }
    Reply::json(200, &file)
}

/// The list of files.
pub(super) fn files() -> Reply {
    let data = json!([file_object("file-mock-1")]);
    Reply::json(
        200,
        &json!({"object": "list", "data": data, "has_more": false}),
    )
}

/// One file.
pub(super) fn file(id: &str) -> Reply {
    Reply::json(200, &file_object(id))
}

/// A file is gone.
pub(super) fn file_deleted(id: &str) -> Reply {
    Reply::json(200, &json!({"id": id, "object": "file", "deleted": true}))
}

fn file_object(id: &str) -> Value {
    json!({"id": id, "object": "file", "bytes": 4, "created_at": CREATED,
        "filename": "mock.bin", "purpose": "assistants", "status": "processed"})
}

/// What arrived, for paths that the mock does not know.
pub(super) fn echo(request: &RawRequest) -> Reply {
    Reply::json(
        200,
        &json!({"object": "mock.echo", "method": request.method, "path": request.path(),
            "query": request.query(), "headers": headers_json(request),
            "body_bytes": request.body.len(), "body_sha256": sha256_hex(&request.body)}),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_counted() {
        for (input, count) in [
            (r#""a""#, 1),
            (r#"["a","b"]"#, 2),
            ("[1,2]", 1),
            ("[[1],[2],[3]]", 3),
        ] {
            let body = format!(r#"{{"model":"mock","input":{input}}}"#);
            let (ask, _) = Ask::read(body.as_bytes()).unwrap();
            assert_eq!(input_count(&ask), count, "{input}");
        }
    }

    #[test]
    fn names_are_decoded() {
        for (sent, name) in [
            ("a%2Fb", "a/b"),
            ("a/b", "a/b"),
            ("50%", "50%"),
            ("%zz%ff", "%zz%ff"),
        ] {
            assert_eq!(percent_decoded(sent), name, "{sent}");
        }
    }
}
