//! The blocks of messages of `converse`: objects whose one member says what they are.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::wire::translate::canonical::{Media, Part};
use crate::wire::translate::fields::Fields;
use crate::wire::translate::{Dropped, TranslateError, signed_id};

/// The blocks in a list.
pub(super) fn content(
    fields: &mut Fields,
    key: &str,
    dropped: &mut Dropped,
) -> Result<Vec<Part>, TranslateError> {
    let path = fields.path(key);
    let items = fields.list(key)?.unwrap_or_default();
    let mut parts = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        let mut read = Fields::of(item, &format!("{path}[{at}]"))?;
        parts.extend(block(&mut read, dropped)?);
        read.drop_rest(dropped);
    }
    Ok(parts)
}

/// A block; `None` where it says nothing elsewhere.
fn block(block: &mut Fields, dropped: &mut Dropped) -> Result<Option<Part>, TranslateError> {
    if let Some(text) = block.text("text")? {
        return Ok(Some(Part::Text(text)));
    }
    if let Some(read) = block.object("image")? {
        return image(read, dropped).map(Some);
    }
    if let Some(read) = block.object("document")? {
        return document(read, dropped).map(Some);
    }
    if let Some(read) = block.object("toolUse")? {
        return call(read, dropped).map(Some);
    }
    if let Some(read) = block.object("toolResult")? {
        return result(read, dropped).map(Some);
    }
    if let Some(read) = block.object("reasoningContent")? {
        return thought(read, dropped).map(Some);
    }
    if let Some(read) = block.object("guardContent")? {
        return guarded(read, dropped).map(Some);
    }
    if let Some(read) = block.object("citationsContent")? {
        return cited(read, dropped).map(Some);
    }
    // Where a cache ends is said to one provider only.
    if block.take("cachePoint").is_some() {
        dropped.add(block.path("cachePoint"));
        return Ok(None);
    }
    Err(foreign(block))
}

fn foreign(block: &Fields) -> TranslateError {
    let key = block.first_key().unwrap_or("text");
    block.unsupported(key, "blocks of this kind are the provider's own")
}

/// The bytes of something, in base64.
fn bytes(source: &mut Fields) -> Result<String, TranslateError> {
    match source.text("bytes")? {
        Some(data) => Ok(data),
        None if source.first_key() == Some("s3Location") => {
            let reason = "a file kept at one provider is not at another";
            Err(source.unsupported("s3Location", reason))
        }
        None => Err(source.invalid("bytes", "a text")),
    }
}

fn source(of: &mut Fields) -> Result<Fields, TranslateError> {
    let source = of.object("source")?;
    source.ok_or_else(|| of.invalid("source", "an object"))
}

fn image(mut image: Fields, dropped: &mut Dropped) -> Result<Part, TranslateError> {
    let format = image.wanted_text("format")?;
    let mut source = source(&mut image)?;
    let data = bytes(&mut source)?;
    source.drop_rest(dropped);
    let path = image.path("source");
    image.drop_rest(dropped);
    Ok(Part::Image(Media::Base64 {
        media_type: format!("image/{format}"),
        data,
        path,
    }))
}

fn document(mut document: Fields, dropped: &mut Dropped) -> Result<Part, TranslateError> {
    let name = document.text("name")?;
    let format = document.text("format")?;
    let mut source = source(&mut document)?;
    let media = if let Some(text) = source.text("text")? {
        Media::Plain(text)
    } else if source.first_key() == Some("content") {
        Media::Plain(texts(&mut source, "content", dropped)?)
    } else {
        let data = bytes(&mut source)?;
        let Some(media_type) = media_type(format.as_deref().unwrap_or_default()) else {
            return Err(document.unsupported("format", "no document of this kind is known"));
        };
        match media_type.starts_with("text/") {
            true => Media::Plain(plain(&data).ok_or_else(|| {
                source.invalid("bytes", "the base64 of a text, as the format says")
            })?),
            false => Media::Base64 {
                media_type: media_type.to_owned(),
                data,
                path: document.path("source"),
            },
        }
    };
    source.drop_rest(dropped);
    document.drop_rest(dropped);
    Ok(Part::Document { media, name })
}

/// The media type of a document's format. (`DocumentBlock`, read 2026-11.)
fn media_type(format: &str) -> Option<&'static str> {
    Some(match format {
        "pdf" => "application/pdf",
        "csv" => "text/csv",
        "doc" => "application/msword",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xls" => "application/vnd.ms-excel",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "html" => "text/html",
        "txt" => "text/plain",
        "md" => "text/markdown",
        _ => return None,
    })
}

/// The text in base64.
fn plain(data: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(data).ok()?).ok()
}

/// The texts of a list of blocks that are nothing else, a block a line.
fn texts(fields: &mut Fields, key: &str, dropped: &mut Dropped) -> Result<String, TranslateError> {
    let wrong = fields.invalid(key, "a list of texts");
    let mut texts = Vec::new();
    for part in content(fields, key, dropped)? {
        match part {
            Part::Text(text) => texts.push(text),
            _ => return Err(wrong),
        }
    }
    Ok(texts.join("\n"))
}

fn call(mut call: Fields, dropped: &mut Dropped) -> Result<Part, TranslateError> {
    let (id, signature) = signed_id::read(call.wanted_text("toolUseId")?);
    let part = Part::ToolUse {
        id,
        name: call.wanted_text("name")?,
        input: match call.take("input") {
            None => Value::Object(Map::new()),
            Some(input @ Value::Object(_)) => input,
            Some(_) => return Err(call.invalid("input", "an object")),
        },
        signature,
    };
    call.drop_rest(dropped);
    Ok(part)
}

fn result(mut result: Fields, dropped: &mut Dropped) -> Result<Part, TranslateError> {
    let (id, _) = signed_id::read(result.wanted_text("toolUseId")?);
    let is_error = match result.text("status")?.as_deref() {
        None | Some("success") => false,
        Some("error") => true,
        Some(_) => return Err(result.invalid("status", "success or error")),
    };
    let path = result.path("content");
    let mut parts = Vec::new();
    for (at, item) in result
        .list("content")?
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        let mut read = Fields::of(item, &format!("{path}[{at}]"))?;
        match read.take("json") {
            Some(json) => parts.push(Part::Text(json.to_string())),
            None => parts.extend(block(&mut read, dropped)?),
        }
        read.drop_rest(dropped);
    }
    result.drop_rest(dropped);
    Ok(Part::ToolResult {
        id,
        parts,
        is_error,
    })
}

fn thought(mut thought: Fields, dropped: &mut Dropped) -> Result<Part, TranslateError> {
    let part = if let Some(mut said) = thought.object("reasoningText")? {
        let part = Part::Thinking {
            text: said.text("text")?.unwrap_or_default(),
            signature: said.text("signature")?,
        };
        said.drop_rest(dropped);
        part
    } else if let Some(data) = thought.text("redactedContent")? {
        let wrong = || thought.invalid("redactedContent", "what an answer had there");
        Part::RedactedThinking(plain(&data).ok_or_else(wrong)?)
    } else {
        return Err(foreign(&thought));
    };
    thought.drop_rest(dropped);
    Ok(part)
}

/// What a guardrail is to look at is said to the model too. There is no guardrail: one that is asked for is refused.
fn guarded(mut guarded: Fields, dropped: &mut Dropped) -> Result<Part, TranslateError> {
    let part = if let Some(mut text) = guarded.object("text")? {
        let said = text.wanted_text("text")?;
        text.ignore(&["qualifiers"]);
        text.drop_rest(dropped);
        Part::Text(said)
    } else if let Some(read) = guarded.object("image")? {
        image(read, dropped)?
    } else {
        return Err(foreign(&guarded));
    };
    guarded.drop_rest(dropped);
    Ok(part)
}

/// A text with its sources, which have no place elsewhere.
fn cited(mut cited: Fields, dropped: &mut Dropped) -> Result<Part, TranslateError> {
    let text = texts(&mut cited, "content", dropped)?;
    cited.drop_rest(dropped);
    Ok(Part::Text(text))
}
