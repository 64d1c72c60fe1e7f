//! Taking JSON objects apart, field by field, so that what nobody took is known by its path.

use serde_json::{Map, Number, Value};

use super::canonical::Tool;
use super::{Dropped, ProviderError, TranslateError};
use crate::wire::json_reader::{JsonError, RawStr, Reader as Json};

/// An object that is being taken apart.
pub(super) struct Fields {
    map: Map<String, Value>,
    path: String,
}

impl Fields {
    pub(super) fn of(value: Value, path: &str) -> Result<Self, TranslateError> {
        match value {
            Value::Object(map) => Ok(Self {
                map,
                path: path.to_owned(),
            }),
            _ => Err(TranslateError::Invalid {
                field: path.to_owned(),
                expected: "an object",
            }),
        }
    }

    /// The path of a field.
    pub(super) fn path(&self, key: &str) -> String {
        match self.path.is_empty() {
            true => key.to_owned(),
            false => format!("{}.{key}", self.path),
        }
    }

    pub(super) fn invalid(&self, key: &str, expected: &'static str) -> TranslateError {
        TranslateError::Invalid {
            field: self.path(key),
            expected,
        }
    }

    pub(super) fn unsupported(&self, key: &str, reason: &'static str) -> TranslateError {
        TranslateError::Unsupported {
            field: self.path(key),
            reason,
        }
    }

    /// Takes a value; `null` is none.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.map.shift_remove(key).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, TranslateError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.invalid(key, "a text")),
        }
    }

    pub(super) fn wanted_text(&mut self, key: &str) -> Result<String, TranslateError> {
        self.text(key)?.ok_or_else(|| self.invalid(key, "a text"))
    }

    pub(super) fn number(&mut self, key: &str) -> Result<Option<Number>, TranslateError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(_) => Err(self.invalid(key, "a number")),
        }
    }

    /// A number of which 0 asks for nothing.
    pub(super) fn penalty(&mut self, key: &str) -> Result<Option<Number>, TranslateError> {
        let number = self.number(key)?;
        Ok(number.filter(|number| number.as_f64() != Some(0.0)))
    }

    pub(super) fn truth(&mut self, key: &str) -> Result<Option<bool>, TranslateError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(truth)),
            Some(_) => Err(self.invalid(key, "true or false")),
        }
    }

    pub(super) fn list(&mut self, key: &str) -> Result<Option<Vec<Value>>, TranslateError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(self.invalid(key, "a list")),
        }
    }

    pub(super) fn object(&mut self, key: &str) -> Result<Option<Self>, TranslateError> {
        let path = self.path(key);
        self.take(key)
            .map(|value| Self::of(value, &path))
            .transpose()
    }

    /// A key that nobody took.
    pub(super) fn first_key(&self) -> Option<&str> {
        self.map.keys().next().map(String::as_str)
    }

    /// Refuses the request if one of these fields asks for something.
    pub(super) fn refuse(&mut self, keys: &[(&str, &'static str)]) -> Result<(), TranslateError> {
        for (key, reason) in keys {
            let asked = self.take(key).is_some_and(|value| match value {
                Value::Bool(truth) => truth,
                Value::Array(items) => !items.is_empty(),
                Value::String(text) => !text.is_empty(),
                _ => true,
            });
            if asked {
                return Err(self.unsupported(key, reason));
            }
        }
        Ok(())
    }

    /// Takes these fields where they ask for what is done anyway.
    pub(super) fn ignore_defaults(&mut self, defaults: &[(&str, &str)]) {
        for (key, default) in defaults {
            let is_default = match self.map.get(*key) {
                Some(Value::String(word)) => word == default,
                Some(Value::Bool(truth)) => truth.to_string() == *default,
                _ => false,
            };
            if is_default {
                self.map.shift_remove(*key);
            }
        }
    }

    /// Takes what is of the source alone and says nothing elsewhere.
    pub(super) fn ignore(&mut self, keys: &[&str]) {
        for key in keys {
            self.map.shift_remove(*key);
        }
    }

    /// The definition of a tool, whose schema stands under this key.
    pub(super) fn into_tool(
        mut self,
        schema: &str,
        dropped: &mut Dropped,
    ) -> Result<Tool, TranslateError> {
        let tool = Tool {
            name: self.wanted_text("name")?,
            description: self.text("description")?,
            schema: self.take(schema),
            strict: self.truth("strict")?,
        };
        self.drop_rest(dropped);
        Ok(tool)
    }

    /// What nobody took is not carried. What is empty says nothing.
    pub(super) fn drop_rest(self, dropped: &mut Dropped) {
        for (key, value) in &self.map {
            let is_empty = match value {
                Value::Null => true,
                Value::Array(items) => items.is_empty(),
                Value::Object(members) => members.is_empty(),
                Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
            };
            if !is_empty {
                dropped.add(self.path(key));
            }
        }
    }
}

/// Whether a value says nothing, as it stands in an event.
pub(super) fn says_nothing(raw: &str) -> bool {
    let inside = |open, close| raw.strip_prefix(open)?.strip_suffix(close);
    let inside = inside('[', ']').or_else(|| inside('{', '}'));
    raw == "null" || inside.is_some_and(|inside| inside.trim().is_empty())
}

/// Names a member of an event, if it says something. `path`: what stands before its key.
pub(super) fn drop_member(
    path: &str,
    key: RawStr<'_>,
    json: &mut Json<'_>,
    dropped: &mut Dropped,
) -> Result<(), JsonError> {
    if !says_nothing(json.raw()?) {
        dropped.add_pieces(&[path, &key.text()]);
    }
    Ok(())
}

/// Names the members of an object in an event that are none of these and say something.
pub(super) fn drop_members(
    path: &str,
    known: &[&str],
    mut object: Json<'_>,
    dropped: &mut Dropped,
) -> Result<(), JsonError> {
    object.object(|key, json| match known.contains(&key.raw) {
        true => json.skip(),
        false => drop_member(path, key, json, dropped),
    })?;
    Ok(())
}

/// Reads a body. Escapes of lone surrogates, which no text can hold, become U+FFFD.
pub(super) fn parse(body: &[u8]) -> Result<Value, TranslateError> {
    let read = |body: &[u8]| serde_json::from_slice(body);
    read(body)
        .or_else(|error| match std::str::from_utf8(body) {
            Ok(text) => read(without_lone_surrogates(text).as_bytes()),
            Err(_) => Err(error),
        })
        .map_err(|error| TranslateError::Malformed(format!("not JSON: {error}")))
}

fn without_lone_surrogates(text: &str) -> String {
    const UNKNOWN: &str = "\\ufffd";
    let unit = |at: usize| {
        let hex = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(hex, 16).ok()
    };
    let mut made = String::with_capacity(text.len());
    let (mut done, mut at) = (0, 0);
    while let Some(found) = memchr::memchr(b'\\', text.as_bytes().get(at..).unwrap_or_default()) {
        at += found;
        let is_pair = unit(at + 6).is_some_and(|low| (0xdc00..0xe000).contains(&low));
        match unit(at) {
            Some(0xd800..0xdc00) if is_pair => at += 12,
            Some(0xd800..0xe000) => {
                made.push_str(text.get(done..at).unwrap_or_default());
                made.push_str(UNKNOWN);
                at += 6;
                done = at;
            }
            Some(_) => at += 6,
            None => at += 2,
        }
    }
    made.push_str(text.get(done..).unwrap_or_default());
    made
}

/// An error object in whichever of the usual shapes.
pub(super) fn error(body: &Value) -> ProviderError {
    let error = match &body["error"] {
        Value::Null => body,
        error => error,
    };
    let word = |key: &str| match &error[key] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let kind = word("type").or_else(|| word("status"));
    let said_code = word("code");
    // Gemini's code is the status.
    let code = error["code"]
        .as_u64()
        .and_then(|code| u16::try_from(code).ok());
    let code = code.filter(|code| (400..600).contains(code));
    ProviderError {
        status: kind
            .iter()
            .chain(&said_code)
            .find_map(|word| status_of(word))
            .or(code),
        code: said_code,
        message: word("message")
            .or_else(|| error.as_str().map(str::to_owned))
            .unwrap_or_default(),
        kind,
    }
}

/// The status of a kind or a code of error. (docs.anthropic.com, Errors; platform.openai.com, Error codes, and the codes of
/// `error` of a response, which has no kind; read 2026-11.)
pub(super) fn status_of(kind: &str) -> Option<u16> {
    Some(match kind {
        "invalid_request_error" | "invalid_request" | "invalid_prompt" => 400,
        "context_length_exceeded" | "content_policy_violation" => 400,
        "invalid_image"
        | "invalid_image_format"
        | "invalid_base64_image"
        | "invalid_image_url"
        | "invalid_image_mode"
        | "image_too_large"
        | "image_too_small"
        | "image_parse_error"
        | "image_content_policy_violation"
        | "image_file_too_large"
        | "image_file_not_found"
        | "unsupported_image_media_type"
        | "empty_image_file"
        | "failed_to_download_image" => 400,
        "authentication_error" | "invalid_api_key" => 401,
        "permission_error" => 403,
        "not_found_error" | "model_not_found" => 404,
        "request_too_large" => 413,
        "rate_limit_error" | "rate_limit_exceeded" | "insufficient_quota" => 429,
        "tokens" | "requests" => 429,
        "api_error" | "server_error" => 500,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kind_or_else_a_code_says_the_status() {
        for (said, expected) in [
            (json!({ "code": "invalid_prompt" }), Some(400)),
            (json!({ "code": "context_length_exceeded" }), Some(400)),
            (json!({ "code": "image_too_large" }), Some(400)),
            (json!({ "code": "model_not_found" }), Some(404)),
            (json!({ "code": "rate_limit_exceeded" }), Some(429)),
            (json!({ "code": "insufficient_quota" }), Some(429)),
            (
                json!({ "type": "rate_limit_error", "code": "x" }),
                Some(429),
            ),
            (json!({ "type": "x", "code": 503 }), Some(503)),
            (json!({ "type": "x", "code": "y" }), None),
        ] {
            let error = error(&json!({ "error": said }));
            assert_eq!(error.status, expected, "{said}");
        }
    }
}
