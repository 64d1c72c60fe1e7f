//! What the paths of Gemini's API say: `/v1beta/models/{model}:{verb}`. The model stands there and not in the body, and
//! so does whether the answer is a stream.

use bytes::Bytes;

use crate::wire::json_check::splice;
use crate::wire::json_reader::{JsonError, Kind, Reader};

/// The parts of a path that names a model, percent signs as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelPath<'a> {
    /// All before the model, such as `/v1beta/models/`.
    pub before: &'a str,
    /// The model.
    pub model: &'a str,
    /// What is done with it; `None` where it is only looked at.
    pub verb: Option<&'a str>,
}

impl<'a> ModelPath<'a> {
    /// Reads a path with or without its version. `None` when it names no model.
    pub fn read(path: &'a str) -> Option<Self> {
        const MODELS: &str = "/models/";
        let at = path.find(MODELS)? + MODELS.len();
        let (before, rest) = path.split_at(at);
        let version = before.strip_suffix(MODELS)?;
        if !version.is_empty() && !is_version(version) {
            return None;
        }
        let (model, verb) = match rest.rsplit_once(':').or_else(|| rest.rsplit_once("%3A")) {
            Some((model, verb)) if is_verb(verb) => (model, Some(verb)),
            Some(_) | None => (rest, None),
        };
        let is_one = verb.is_some() || !model.contains('/');
        (is_one && !model.is_empty()).then_some(Self {
            before,
            model,
            verb,
        })
    }
}

/// `/v1`, `/v1beta`, `/v1alpha`, …
fn is_version(segment: &str) -> bool {
    let version = segment.strip_prefix("/v");
    version.is_some_and(|version| {
        version.starts_with(|first: char| first.is_ascii_digit())
            && version.chars().all(|c| c.is_ascii_alphanumeric())
    })
}

fn is_verb(verb: &str) -> bool {
    !verb.is_empty() && verb.chars().all(|c| c.is_ascii_alphabetic())
}

/// Where Google serves OpenAI's API. (ai.google.dev, OpenAI compatibility, read 2026-11.)
pub const OPENAI: &str = "/v1beta/openai";

/// OpenAI's path in one of Google's own that stands for it, beginning with a slash.
pub fn behind_openai(path: &str) -> Option<&str> {
    let behind = path.strip_prefix(OPENAI);
    behind.filter(|behind| behind.starts_with('/'))
}

/// Whether a path asks for a stream.
pub fn is_stream(path: &str) -> bool {
    ModelPath::read(path).is_some_and(|path| path.verb == Some("streamGenerateContent"))
}

/// Whether a query asks for a stream as events, in place of one array in pieces.
pub fn asks_for_events(query: &str) -> bool {
    let query = query.strip_prefix('?').unwrap_or(query);
    query.split('&').any(|parameter| parameter == "alt=sse")
}

/// The body with another model wherever it repeats the one in the path: `model` of an embedding, of each of a batch
/// of them, and of a request whose tokens are counted. `None` when it names none.
pub fn rename(body: &Bytes, model: &str) -> Option<Bytes> {
    let text = std::str::from_utf8(body).ok()?;
    let mut places = Vec::new();
    let read = Reader::new(text).object(|key, reader| match key.raw {
        "requests" if reader.peek()? == Kind::Array => reader
            .array(|reader| model_of(reader, &mut places))
            .map(|_| ()),
        "generateContentRequest" => model_of(reader, &mut places),
        "model" => name(reader, &mut places),
        _ => reader.skip(),
    });
    if read != Ok(true) || places.is_empty() {
        return None;
    }
    let new = serde_json::Value::from(format!("models/{model}")).to_string();
    places
        .into_iter()
        .rev()
        .try_fold(body.clone(), |body, place| {
            splice(&body, place, new.as_bytes())
        })
}

type Places = Vec<std::ops::Range<usize>>;

fn model_of(reader: &mut Reader<'_>, places: &mut Places) -> Result<(), JsonError> {
    reader.object(|key, reader| match key.raw {
        "model" => name(reader, places),
        _ => reader.skip(),
    })?;
    Ok(())
}

fn name(reader: &mut Reader<'_>, places: &mut Places) -> Result<(), JsonError> {
    if reader.peek()? != Kind::String {
        return reader.skip();
    }
    let start = reader.offset();
    reader.skip()?;
    places.push(start..reader.offset());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<(&str, Option<&str>)>) {
        let found = ModelPath::read(path).map(|found| (found.model, found.verb));
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn paths_name_models_and_verbs() {
        check(
            "/v1beta/models/g:generateContent",
            Some(("g", Some("generateContent"))),
        );
        check(
            "/v1/models/a/b%2Fc:countTokens",
            Some(("a/b%2Fc", Some("countTokens"))),
        );
        check(
            "/models/g%3AembedContent",
            Some(("g", Some("embedContent"))),
        );
        check(
            "/v1alpha/models/ft:x:generateContent",
            Some(("ft:x", Some("generateContent"))),
        );
        check("/v1beta/models/g", Some(("g", None)));
        for none in [
            "/v1beta/models",
            "/v1beta/models/",
            "/v1beta/models/:x",
            "/v1beta/models/g/operations",
            "/x/models/g",
            "/v1beta/tunedModels/g:generateContent",
            "",
        ] {
            check(none, None);
        }
        assert!(is_stream("/v1beta/models/g:streamGenerateContent"));
        assert!(!is_stream("/v1beta/models/g:generateContent"));
        assert!(asks_for_events("?key=x&alt=sse") && !asks_for_events("?alt=json"));
    }

    #[test]
    fn bodies_that_repeat_the_model_follow_it() {
        for (body, expected) in [
            (
                r#"{"model":"models/a","content":{}}"#,
                Some(r#"{"model":"models/n","content":{}}"#),
            ),
            (
                r#"{"requests":[{"model": "models/a"},{"content":1,"model":"b"}]}"#,
                Some(r#"{"requests":[{"model": "models/n"},{"content":1,"model":"models/n"}]}"#),
            ),
            (
                r#"{"generateContentRequest":{"model":"models/a","contents":[]}}"#,
                Some(r#"{"generateContentRequest":{"model":"models/n","contents":[]}}"#),
            ),
            (r#"{"contents":[{"model":"x"}]}"#, None),
            (r#"{"model":5}"#, None),
            (r#"{"model":"a""#, None),
        ] {
            let renamed = rename(&Bytes::from_static(body.as_bytes()), "n");
            assert_eq!(renamed.as_deref(), expected.map(str::as_bytes), "{body}");
        }
    }
}
