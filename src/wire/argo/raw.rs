//! Argo's own calls by clients that speak it: their bodies go up as they are but for what is ours to say.

use std::time::Duration;

use serde_json::Value;

use super::model::id;
use crate::wire::json_reader::{Kind, Reader};
use crate::wire::valid_prefix;

/// Members that are for a proxy and that Argo does not know.
const OF_THE_PROXY: &[&str] = &["stream", "timeout"];

/// The body as it goes up: the model's id, the members of the settings in the place of the client's, a prompt always as
/// a list, the texts of a system's prompt as one, and nothing that is for a proxy. Every other value stays as it is spelt.
/// `None`: the body is no JSON object.
pub fn request(body: &[u8], model: &str, settings: &[(&'static str, Value)]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    let mut members: Vec<String> = settings
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    let mut reader = Reader::new(text);
    if reader.peek().ok()? != Kind::Object {
        return None;
    }
    let read = reader.object(|key, reader| {
        let is_prompt = key.is("prompt") && reader.peek()? == Kind::String;
        let value = reader.raw()?;
        let is_set = settings.iter().any(|(name, _)| key.is(name));
        if !is_set && !OF_THE_PROXY.iter().any(|name| key.is(name)) {
            let joined = key.is("system").then(|| joined(value)).flatten();
            members.push(match joined {
                _ if key.is("model") => format!("\"model\":{}", Value::from(id(model))),
                _ if is_prompt => format!("\"{}\":[{value}]", key.raw),
                Some(joined) => format!("\"{}\":{joined}", key.raw),
                None => format!("\"{}\":{value}", key.raw),
            });
        }
        Ok(())
    });
    read.ok()?;
    Some(format!("{{{}}}", members.join(",")).into_bytes())
}

/// A list of texts as one text.
fn joined(raw: &str) -> Option<Value> {
    let texts: Vec<String> = serde_json::from_str(raw).ok()?;
    Some(texts.join("\n\n").into())
}

/// How long a request may take by its own member `timeout`, in seconds.
///
/// # Errors
/// It is no number, or none that a time limit may be.
pub fn timeout(body: &[u8]) -> Result<Option<Duration>, BadTimeout> {
    let mut asked = None;
    // What is no JSON is told elsewhere.
    let _broken = Reader::new(valid_prefix(body)).object(|key, reader| {
        match key.is("timeout") {
            true => asked = Some(reader.raw()?),
            false => reader.skip()?,
        }
        Ok(())
    });
    match asked {
        None | Some("null") => Ok(None),
        Some(raw) => match raw.parse::<f64>() {
            Ok(seconds) if SECONDS.contains(&seconds) => Ok(Some(Duration::from_secs_f64(seconds))),
            Ok(_) | Err(_) => Err(BadTimeout),
        },
    }
}

/// What a `timeout` may be.
const SECONDS: std::ops::RangeInclusive<f64> = 0.001..=604_800.0;

/// A `timeout` that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be a number of seconds; allowed: 0.001 to 604800")]
pub struct BadTimeout;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_body_goes_up_as_it_is_but_for_what_is_ours() {
        let settings = [("user", json!("alice"))];
        for (body, sent) in [
            (
                r#"{"user":"bob","model":"argo:gpt-4o","prompt":"a","stream":true,"timeout":5}"#,
                r#"{"user":"alice","model":"gpt4o","prompt":["a"]}"#,
            ),
            (
                r#"{ "model" : "gpt4o", "messages": [ {"role":"user","content":"\u00e9"} ], "top_p": 1.0e0 }"#,
                r#"{"user":"alice","model":"gpt4o","messages":[ {"role":"user","content":"\u00e9"} ],"top_p":1.0e0}"#,
            ),
            (
                r#"{"model":"gpt4o","system":["a","\u00e9"],"prompt":["b", "b"]}"#,
                r#"{"user":"alice","model":"gpt4o","system":"a\n\né","prompt":["b", "b"]}"#,
            ),
            (
                r#"{"model":"gpt4o","system":["a", 7],"prompt":"\u00e9"}"#,
                r#"{"user":"alice","model":"gpt4o","system":["a", 7],"prompt":["\u00e9"]}"#,
            ),
            (
                r#"{"model":"gpt4o","system":"\u00e9"}"#,
                r#"{"user":"alice","model":"gpt4o","system":"\u00e9"}"#,
            ),
            (
                r#"{"mod\u0065l":"x","prompt":["a"],"\u0073tream":false}"#,
                r#"{"user":"alice","model":"gpt4o","prompt":["a"]}"#,
            ),
        ] {
            let written = request(body.as_bytes(), "argo:gpt-4o", &settings);
            let written = written.and_then(|written| String::from_utf8(written).ok());
            assert_eq!(written.as_deref(), Some(sent), "{body}");
        }
        for wrong in ["", "[]", "{", "\"a\""] {
            assert_eq!(request(wrong.as_bytes(), "m", &settings), None, "{wrong}");
        }
    }

    #[test]
    fn a_timeout_is_a_number_of_seconds() {
        for (body, expected) in [
            ("{}", Ok(None)),
            (r#"{"timeout":null}"#, Ok(None)),
            (r#"{"timeout":2}"#, Ok(Some(2.0))),
            (r#"{"a":{"timeout":0},"timeout":0.5}"#, Ok(Some(0.5))),
            (r#"{"timeout":0}"#, Err(BadTimeout)),
            (r#"{"timeout":-1}"#, Err(BadTimeout)),
            (r#"{"timeout":1e9}"#, Err(BadTimeout)),
            (r#"{"timeout":"5"}"#, Err(BadTimeout)),
            (r#"{"timeout":true}"#, Err(BadTimeout)),
        ] {
            let expected = expected.map(|seconds| seconds.map(Duration::from_secs_f64));
            assert_eq!(timeout(body.as_bytes()), expected, "{body}");
        }
    }
}
