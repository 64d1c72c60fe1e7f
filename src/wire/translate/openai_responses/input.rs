//! The input of a request, read: what was said, called and thought, item by item.

use serde_json::Value;

use super::{REDACTED, SIGNED};
use crate::wire::translate::canonical::{Media, Message, Part, Role};
use crate::wire::translate::fields::Fields;
use crate::wire::translate::openai_chat::{arguments, media, signature};
use crate::wire::translate::{Dropped, TranslateError};

/// Adds the messages of the input.
pub(super) fn input(
    fields: &mut Fields,
    messages: &mut Vec<Message>,
    dropped: &mut Dropped,
) -> Result<(), TranslateError> {
    match fields.take("input") {
        Some(Value::String(text)) => add(
            messages,
            Role::User,
            vec![Part::Text(text)],
            "input".to_owned(),
        ),
        Some(Value::Array(items)) => {
            for (at, item) in items.into_iter().enumerate() {
                let path = format!("input[{at}]");
                let mut item = Fields::of(item, &path)?;
                let (role, parts) = self::item(&mut item, dropped)?;
                item.ignore(&["id", "status"]);
                item.drop_rest(dropped);
                add(messages, role, parts, path);
            }
        }
        _ => return Err(fields.invalid("input", "a text or a list of items")),
    }
    Ok(())
}

/// What the model thinks, says and calls in a row is one turn.
fn add(messages: &mut Vec<Message>, role: Role, parts: Vec<Part>, path: String) {
    match messages.last_mut() {
        Some(last) if role == Role::Assistant && last.role == role => last.parts.extend(parts),
        _ => messages.push(Message { role, parts, path }),
    }
}

fn item(item: &mut Fields, dropped: &mut Dropped) -> Result<(Role, Vec<Part>), TranslateError> {
    let kind = item.text("type")?;
    Ok(match kind.as_deref().unwrap_or("message") {
        "message" => {
            let role = match item.wanted_text("role")?.as_str() {
                "system" | "developer" => Role::System,
                "user" => Role::User,
                "assistant" => Role::Assistant,
                _ => {
                    let reason = "only system, developer, user and assistant";
                    return Err(item.unsupported("role", reason));
                }
            };
            // Whether it was a remark or the answer is not said elsewhere, and changes nothing that was said.
            item.ignore(&["phase"]);
            (role, content(item, "content", dropped)?)
        }
        "function_call" => {
            let call = Part::ToolUse {
                id: item.wanted_text("call_id")?,
                name: item.wanted_text("name")?,
                input: arguments(item)?,
                signature: signature(item)?,
            };
            (Role::Assistant, vec![call])
        }
        "function_call_output" => {
            let result = Part::ToolResult {
                id: item.wanted_text("call_id")?,
                parts: content(item, "output", dropped)?,
                is_error: false,
            };
            (Role::User, vec![result])
        }
        "reasoning" => (Role::Assistant, thought(item, dropped)?),
        _ => {
            let reason = "items of this type are the provider's own";
            return Err(item.unsupported("type", reason));
        }
    })
}

fn thought(item: &mut Fields, dropped: &mut Dropped) -> Result<Vec<Part>, TranslateError> {
    let mut text = String::new();
    for key in ["summary", "content"] {
        let path = item.path(key);
        let parts = item.list(key)?.unwrap_or_default();
        for (at, part) in parts.into_iter().enumerate() {
            let mut part = Fields::of(part, &format!("{path}[{at}]"))?;
            text.push_str(&part.wanted_text("text")?);
        }
    }
    let encrypted = item.text("encrypted_content")?;
    if let Some(data) = encrypted
        .as_deref()
        .and_then(|text| text.strip_prefix(REDACTED))
    {
        return Ok(vec![Part::RedactedThinking(data.to_owned())]);
    }
    let signature = encrypted
        .as_deref()
        .and_then(|text| text.strip_prefix(SIGNED))
        .map(str::to_owned);
    if encrypted.is_some() && signature.is_none() {
        // What one provider encrypted no other can read.
        dropped.add(item.path("encrypted_content"));
    }
    Ok(match text.is_empty() && signature.is_none() {
        true => Vec::new(),
        false => vec![Part::Thinking { text, signature }],
    })
}

fn content(
    item: &mut Fields,
    key: &str,
    dropped: &mut Dropped,
) -> Result<Vec<Part>, TranslateError> {
    let items = match item.take(key) {
        Some(Value::String(text)) => return Ok(vec![Part::Text(text)]),
        Some(Value::Array(items)) => items,
        _ => return Err(item.invalid(key, "a text or a list of parts")),
    };
    let path = item.path(key);
    let read = |(at, part)| {
        let mut part = Fields::of(part, &format!("{path}[{at}]"))?;
        let read = self::part(&mut part, dropped)?;
        part.drop_rest(dropped);
        Ok(read)
    };
    items.into_iter().enumerate().map(read).collect()
}

const KEPT: &[(&str, &str)] = &[("file_id", "a file kept at one provider is not at another")];

fn part(part: &mut Fields, dropped: &mut Dropped) -> Result<Part, TranslateError> {
    Ok(match part.wanted_text("type")?.as_str() {
        "input_text" | "output_text" | "text" => {
            part.ignore(&["logprobs"]);
            Part::Text(part.wanted_text("text")?)
        }
        "refusal" => Part::Refusal(part.wanted_text("refusal")?),
        "input_image" => {
            part.refuse(KEPT)?;
            let image = Part::Image(media(
                part.wanted_text("image_url")?,
                part.path("image_url"),
            ));
            // How closely it is looked at is the provider's affair elsewhere.
            if part.text("detail")?.is_some_and(|detail| detail != "auto") {
                dropped.add(part.path("detail"));
            }
            image
        }
        "input_file" => {
            part.refuse(KEPT)?;
            let name = part.text("filename")?;
            let media = match (part.text("file_url")?, part.text("file_data")?) {
                (Some(url), _) => Media::Url {
                    url,
                    path: part.path("file_url"),
                },
                (None, Some(data)) => match media(data, part.path("file_data")) {
                    held @ Media::Base64 { .. } => held,
                    Media::Url { .. } | Media::Plain(_) => {
                        return Err(part.invalid("file_data", "a data: URL in base64"));
                    }
                },
                (None, None) => return Err(part.invalid("file_data", "a data: URL in base64")),
            };
            Part::Document { media, name }
        }
        _ => {
            let reason = "only input_text, input_image, input_file, output_text and refusal";
            return Err(part.unsupported("type", reason));
        }
    })
}
