//! What clients of `APIProxy` ask on the chat's path in other forms: Claude's Messages with keys that no chat has, and
//! Gemini's `input` in the place of messages. (Its README, Request Format Adapters, and its source, commit d9eb1cc.)

use bytes::Bytes;
use serde_json::{Value, json};

use super::json_reader::{JsonError, RawStr, Reader};

/// What cannot be taken over, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Path of the field.
    pub field: String,
    /// Why.
    pub reason: &'static str,
}

impl Unreadable {
    fn new(field: impl Into<String>, reason: &'static str) -> Self {
        let field = field.into();
        Self { field, reason }
    }
}

/// Whether a chat in this form is asked of this model.
pub fn asks_with_input(model: &str) -> bool {
    model.to_ascii_lowercase().contains("gemini")
}

/// A body in Claude's form, as Messages are asked: its version is a header there, and its limit has one name. Every
/// other value stays as it is written.
///
/// # Errors
/// [`Unreadable`] without messages: that is an older call.
pub fn as_messages(body: &[u8]) -> Result<Bytes, Unreadable> {
    let members = members(body);
    let has = |name: &str| members.iter().any(|(key, _)| key.is(name));
    if !has("messages") {
        let reason = "Claude's text completions are not served: ask /v1/messages with messages";
        return Err(Unreadable::new("prompt", reason));
    }
    let has_limit = has("max_tokens");
    let kept = members.iter().filter_map(|(key, value)| match *key {
        key if key.is("anthropic_version") => None,
        key if key.is("max_tokens_to_sample") => (!has_limit).then_some(("max_tokens", *value)),
        key => Some((key.raw, *value)),
    });
    Ok(written(kept))
}

/// A body with Gemini's `input`, as a chat is asked. Every other value stays as it is written.
///
/// # Errors
/// [`Unreadable`] where something else than texts is asked.
pub fn with_messages(body: &[u8]) -> Result<Bytes, Unreadable> {
    let members = members(body);
    let input = members.iter().find(|(key, _)| key.is("input"));
    let input = input.and_then(|(_, value)| serde_json::from_str(value).ok());
    let messages = messages(input.unwrap_or_default())?.to_string();
    Ok(written(members.iter().map(|(key, value)| match *key {
        key if key.is("input") => ("messages", &*messages),
        key => (key.raw, *value),
    })))
}

/// The keys of a body that was checked, with their raw values.
fn members(body: &[u8]) -> Vec<(RawStr<'_>, &str)> {
    let mut members = Vec::new();
    let mut read = || -> Result<(), JsonError> {
        let text = std::str::from_utf8(body).unwrap_or_default();
        Reader::new(text).object(|key, reader| {
            members.push((key, reader.raw()?));
            Ok(())
        })?;
        Ok(())
    };
    // A body that broke off would not have been taken.
    let _checked = read();
    members
}

fn written<'a>(members: impl Iterator<Item = (&'a str, &'a str)>) -> Bytes {
    let members: Vec<String> = members
        .map(|(key, value)| format!("\"{key}\":{value}"))
        .collect();
    Bytes::from(format!("{{{}}}", members.join(",")))
}

/// Gemini's `input` as messages: a text, or a list of what was said.
fn messages(input: Value) -> Result<Value, Unreadable> {
    const WRONG: &str = "it must be a text or a list of objects with content";
    let items = match input {
        Value::String(text) => return Ok(json!([{ "role": "user", "content": text }])),
        Value::Array(items) if !items.is_empty() => items,
        _ => return Err(Unreadable::new("input", WRONG)),
    };
    let messages = items.iter().enumerate().map(|(at, item)| {
        let path = format!("input[{at}]");
        let content = item.get("content").or_else(|| item.get("parts"));
        let content = content.ok_or_else(|| Unreadable::new(&path, WRONG))?;
        let role = match item.get("role").and_then(Value::as_str) {
            None => "user",
            // Gemini's word for it.
            Some("model") => "assistant",
            Some(role) => role,
        };
        Ok(json!({ "role": role, "content": text(content, &path)? }))
    });
    messages.collect::<Result<_, _>>().map(Value::Array)
}

fn text(content: &Value, path: &str) -> Result<String, Unreadable> {
    const WRONG: &str = "only texts are read from this form: ask with messages, or \
                         /v1beta/models/MODEL:generateContent";
    let parts = match content {
        Value::String(text) => return Ok(text.clone()),
        Value::Array(parts) => parts,
        _ => return Err(Unreadable::new(path, WRONG)),
    };
    let texts = parts.iter().map(|part| part.get("text")?.as_str());
    let texts: Option<Vec<&str>> = texts.collect();
    let texts = texts.ok_or_else(|| Unreadable::new(path, WRONG))?;
    Ok(texts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(made: Result<Bytes, Unreadable>, expected: Result<&str, &str>) {
        let made = made.map_err(|unreadable| unreadable.field);
        assert_eq!(
            made.as_deref().map_err(String::as_str),
            expected.map(str::as_bytes)
        );
    }

    #[test]
    fn claudes_form_is_that_of_messages() {
        for (body, expected) in [
            (
                r#" {"model": "c", "anthropic_version":"2023-06-01", "max_tokens_to_sample": 5.0, "messages":[ 1e9 ]}"#,
                Ok(r#"{"model":"c","max_tokens":5.0,"messages":[ 1e9 ]}"#),
            ),
            (
                r#"{"max_tokens_to_sample":5,"max_tokens":6,"messages":[],"\u0061nthropic_version":null}"#,
                Ok(r#"{"max_tokens":6,"messages":[]}"#),
            ),
            (r#"{"prompt":"a","max_tokens_to_sample":5}"#, Err("prompt")),
        ] {
            check(as_messages(body.as_bytes()), expected);
        }
    }

    #[test]
    fn input_is_messages() {
        for (input, expected) in [
            (
                r#""hi""#,
                Ok(r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}"#),
            ),
            (
                r#"[{"content":[{"type":"input_text","text":"a"},{"text":"b"}]},{"role":"model","parts":[{"text":"c"}]},{"role":"system","content":"d"}]"#,
                Ok(
                    r#"{"model":"m","messages":[{"role":"user","content":"ab"},{"role":"assistant","content":"c"},{"role":"system","content":"d"}],"stream":true}"#,
                ),
            ),
            ("null", Err("input")),
            ("[]", Err("input")),
            ("[1]", Err("input[0]")),
            (
                r#"[{"content":"a"},{"content":[{"image":1}]}]"#,
                Err("input[1]"),
            ),
            (r#"[{"content":5}]"#, Err("input[0]")),
        ] {
            let body = format!(r#"{{"model":"m","input":{input},"stream": true}}"#);
            check(with_messages(body.as_bytes()), expected);
        }
    }

    #[test]
    fn the_models_name_decides_about_input() {
        assert!(asks_with_input("google/Gemini-2.0-flash"));
        assert!(!asks_with_input("gpt-4o"));
    }
}
