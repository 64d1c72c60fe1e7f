//! Argo's own calls by clients that speak it: their bodies go up as they are but for what is ours to say.

use std::time::Duration;

use serde_json::{Value, json};

use super::model::{id, knows_no_system};
use super::prompt::{as_one, texts};
use crate::wire::json_reader::{Kind, Reader};
use crate::wire::valid_prefix;

/// Members that are for a proxy and that Argo does not know.
const OF_THE_PROXY: &[&str] = &["stream", "timeout"];

/// Why a body is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// It is no JSON object.
    #[error("no JSON object")]
    NoObject,
    /// It has to be put together with others, and is no text or list of texts.
    #[error("{0} must be a text or a list of texts")]
    NoTexts(&'static str),
}

/// The body as it goes up: the model's id, the members of the settings in the place of the client's, a prompt always as
/// a list, several as one, the texts of a system's prompt as one, and nothing that is for a proxy. A model that knows no
/// system role is told as its user tells it. Every other value stays as it is spelt.
///
/// # Errors
/// [`Unsent`] when it cannot be.
pub fn request(
    body: &[u8],
    model: &str,
    settings: &[(&'static str, Value)],
) -> Result<Vec<u8>, Unsent> {
    let text = std::str::from_utf8(body).map_err(|_| Unsent::NoObject)?;
    let id = id(model);
    let mut members: Vec<(&str, String)> = settings
        .iter()
        .map(|(name, value)| (*name, value.to_string()))
        .collect();
    let mut reader = Reader::new(text);
    if reader.peek().map_err(|_| Unsent::NoObject)? != Kind::Object {
        return Err(Unsent::NoObject);
    }
    let read = reader.object(|key, reader| {
        let value = reader.raw()?;
        let is_set = settings.iter().any(|(name, _)| key.is(name));
        if is_set || OF_THE_PROXY.iter().any(|name| key.is(name)) {
            return Ok(());
        }
        members.push(match OF_FORM.iter().find(|name| key.is(name)) {
            None if key.is("model") => ("model", Value::from(&*id).to_string()),
            None => (key.raw, value.to_owned()),
            Some(name) => (name, value.to_owned()),
        });
        Ok(())
    });
    read.map_err(|_| Unsent::NoObject)?;
    if knows_no_system(&id) {
        tell_as_user(&mut members)?;
    }
    for (name, value) in &mut members {
        if let Some(made) = in_form(name, value) {
            *value = made;
        }
    }
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    Ok(format!("{{{}}}", members.join(",")).into_bytes())
}

/// Members that may be put into another form.
const OF_FORM: &[&str] = &["prompt", "system", "messages"];

/// A member in the form that Argo takes, where its own is another one.
fn in_form(name: &str, raw: &str) -> Option<String> {
    let texts = || texts(&serde_json::from_str(raw).ok()?);
    match name {
        // What is spelt in quotes stays so.
        "prompt" if raw.starts_with('"') => Some(format!("[{raw}]")),
        "prompt" => {
            let several = texts().filter(|texts| 1 < texts.len())?;
            Some(json!([as_one(&several)]).to_string())
        }
        "system" if raw.starts_with('[') => Some(Value::from(texts()?.join("\n\n")).to_string()),
        _ => None,
    }
}

/// What the system says, as its user says it: before the prompt, in its place among the messages, and before these where
/// there is no prompt.
fn tell_as_user(members: &mut Vec<(&str, String)>) -> Result<(), Unsent> {
    let value_of = |members: &[(&str, String)], wanted: &'static str| {
        let found = members.iter().find(|(name, _)| *name == wanted);
        let value = found.and_then(|(_, raw)| serde_json::from_str(raw).ok());
        let value = value.filter(|value: &Value| !value.is_null());
        let read = value.map(|value| texts(&value).ok_or(Unsent::NoTexts(wanted)));
        read.transpose()
    };
    let system = value_of(members, "system")?.map(|texts| texts.join("\n\n"));
    for (_, raw) in members.iter_mut().filter(|(name, _)| *name == "messages") {
        *raw = with_users(raw);
    }
    let Some(system) = system else { return Ok(()) };
    let messages = members.iter().position(|(name, _)| *name == "messages");
    match (value_of(members, "prompt")?, messages) {
        (None, Some(at)) => {
            let first = json!({ "role": "user", "content": system });
            let (_, raw) = &mut members[at];
            if let Some(rest) = raw.strip_prefix('[') {
                let comma = if rest.trim_start().starts_with(']') {
                    ""
                } else {
                    ","
                };
                *raw = format!("[{first}{comma}{rest}");
            }
        }
        (prompts, _) => {
            members.retain(|(name, _)| *name != "prompt");
            let all: Vec<String> = std::iter::once(system)
                .chain(prompts.into_iter().flatten())
                .collect();
            members.push(("prompt", json!([as_one(&all)]).to_string()));
        }
    }
    members.retain(|(name, _)| *name != "system");
    Ok(())
}

/// Messages of the system's as the user's; the rest stays as it is spelt.
fn with_users(raw: &str) -> String {
    let mut made = String::new();
    let mut done = 0;
    let mut reader = Reader::new(raw);
    // What is no list stays as it is.
    let _read = reader.array(|reader| {
        let is_read = reader.object(|key, reader| {
            reader.peek()?;
            let start = reader.offset();
            let said = reader.string()?;
            if key.is("role") && said.is_some_and(|said| said.is("system")) {
                made.push_str(raw.get(done..start).unwrap_or_default());
                made.push_str("\"user\"");
                done = reader.offset();
            }
            Ok(())
        });
        is_read.map(drop)
    });
    made.push_str(raw.get(done..).unwrap_or_default());
    made
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
                r#"{"model":"gpt4o","system":["a","\u00e9"],"prompt":["b", "c", "b"]}"#,
                r#"{"user":"alice","model":"gpt4o","system":"a\n\né","prompt":["b\n\nc"]}"#,
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
                r#"{"model":"gpt4o","prompt":[ "\u00e9" ]}"#,
                r#"{"user":"alice","model":"gpt4o","prompt":[ "\u00e9" ]}"#,
            ),
            (
                r#"{"model":"gpt4o","prompt":["a", 7]}"#,
                r#"{"user":"alice","model":"gpt4o","prompt":["a", 7]}"#,
            ),
            (
                r#"{"mod\u0065l":"x","prompt":["a"],"\u0073tream":false}"#,
                r#"{"user":"alice","model":"gpt4o","prompt":["a"]}"#,
            ),
        ] {
            let written = request(body.as_bytes(), "argo:gpt-4o", &settings);
            assert_eq!(written, Ok(sent.as_bytes().to_vec()), "{body}");
        }
        for wrong in ["", "[]", "{", "\"a\""] {
            let written = request(wrong.as_bytes(), "m", &settings);
            assert_eq!(written, Err(Unsent::NoObject), "{wrong}");
        }
    }

    #[test]
    fn who_knows_no_system_role_is_told_by_the_user() {
        for (body, sent) in [
            (
                r#"{"system":"s","prompt":"a"}"#,
                Ok(r#"{"prompt":["s\n\na"]}"#),
            ),
            (
                r#"{"prompt":["a","b","a"],"system":["s","t"],"top_p":1}"#,
                Ok(r#"{"top_p":1,"prompt":["s\n\nt\n\na\n\nb"]}"#),
            ),
            (r#"{"system":"s"}"#, Ok(r#"{"prompt":["s"]}"#)),
            (
                r#"{"messages":[ {"role" : "s\u0079stem", "content":"\u00e9"}, {"content":"system","role":"user"},7]}"#,
                Ok(
                    r#"{"messages":[ {"role" : "user", "content":"\u00e9"}, {"content":"system","role":"user"},7]}"#,
                ),
            ),
            (
                r#"{"system":"s","messages":[{"role":"user","content":"a"}]}"#,
                Ok(r#"{"messages":[{"role":"user","content":"s"},{"role":"user","content":"a"}]}"#),
            ),
            (r#"{"messages":"none"}"#, Ok(r#"{"messages":"none"}"#)),
            (
                r#"{"system":null,"prompt":"a"}"#,
                Ok(r#"{"system":null,"prompt":["a"]}"#),
            ),
            (
                r#"{"system":7,"prompt":"a"}"#,
                Err(Unsent::NoTexts("system")),
            ),
            (r#"{"system":["s",7]}"#, Err(Unsent::NoTexts("system"))),
            (
                r#"{"system":"s","prompt":[7]}"#,
                Err(Unsent::NoTexts("prompt")),
            ),
        ] {
            let written = request(body.as_bytes(), "argo:gpt-o1-mini", &[]);
            let written = written.map(|written| String::from_utf8(written).unwrap());
            assert_eq!(written, sent.map(str::to_owned), "{body}");
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
