//! How likely each token of an answer was: as OpenAI's chats and Responses list it, and as Gemini does.

use serde_json::{Map, Value, json};

use super::canonical::{Logprob, Logprobs};
use super::fields::Fields;
use super::{Dropped, TranslateError};

/// What is asked for. `path`: of the field that asks, if one does; `top`: the field that says how many others are to be told,
/// which says nothing without.
pub(super) fn asked(
    fields: &mut Fields,
    path: Option<String>,
    top: &str,
    dropped: &mut Dropped,
) -> Result<Option<Logprobs>, TranslateError> {
    let count = fields.number(top)?;
    let count = count.filter(|count| count.as_f64() != Some(0.0));
    let counts = count.is_some().then(|| fields.path(top));
    let Some(path) = path else {
        counts.into_iter().for_each(|path| dropped.add(path));
        return Ok(None);
    };
    Ok(Some(Logprobs {
        top: count,
        paths: [path].into_iter().chain(counts).collect(),
    }))
}

/// What a choice of a chat says. A list that is not of its form is not carried: with an element missing, those behind it
/// would be taken for those of other tokens.
pub(super) fn of_choice(said: Value, dropped: &mut Dropped) -> Vec<Logprob> {
    const PATH: &str = "choices[0].logprobs";
    let Ok(mut said) = Fields::of(said, PATH) else {
        dropped.add(PATH);
        return Vec::new();
    };
    let content = said.take("content");
    let read = content.as_ref().map_or(Some(Vec::new()), read_list);
    said.drop_rest(dropped);
    read.unwrap_or_else(|| {
        dropped.add(format!("{PATH}.content"));
        Vec::new()
    })
}

fn read_list(items: &Value) -> Option<Vec<Logprob>> {
    let read = |item: &Value| {
        let top = item["top_logprobs"].as_array().into_iter().flatten();
        Some(Logprob {
            top: top.map(read_one).collect::<Option<_>>()?,
            ..read_one(item)?
        })
    };
    items.as_array()?.iter().map(read).collect()
}

fn read_one(item: &Value) -> Option<Logprob> {
    let bytes = item["bytes"].as_array().map(|bytes| {
        let bytes = bytes.iter().map(Value::as_u64);
        bytes.map(|byte| u8::try_from(byte?).ok()).collect()
    });
    Some(Logprob {
        token: item["token"].as_str()?.to_owned(),
        logprob: item["logprob"].as_number()?.clone(),
        bytes: bytes.unwrap_or_default(),
        top: Vec::new(),
    })
}

/// The elements of a list of OpenAI's, as text.
pub(super) fn elements(logprobs: &[Logprob]) -> String {
    let written: Vec<String> = logprobs
        .iter()
        .map(|logprob| {
            let mut written = write_one(logprob);
            written["top_logprobs"] = logprob.top.iter().map(write_one).collect();
            written.to_string()
        })
        .collect();
    written.join(",")
}

/// What a choice of a chat says, as text.
pub(super) fn choice(logprobs: &[Logprob]) -> String {
    match logprobs {
        [] => "null".to_owned(),
        _ => format!("{{\"content\":[{}],\"refusal\":null}}", elements(logprobs)),
    }
}

/// Null stands for bytes that are not known.
fn write_one(logprob: &Logprob) -> Value {
    json!({ "token": logprob.token, "logprob": logprob.logprob, "bytes": logprob.bytes })
}

/// What a candidate of Gemini's says. Ids of tokens are its own.
pub(super) fn of_candidate(said: Value, dropped: &mut Dropped) -> Vec<Logprob> {
    const PATH: &str = "candidates[0].logprobsResult";
    let Ok(mut said) = Fields::of(said, PATH) else {
        dropped.add(PATH);
        return Vec::new();
    };
    let chosen = said.take("chosenCandidates").unwrap_or_default();
    let top = said.take("topCandidates").unwrap_or_default();
    said.drop_rest(dropped);
    let chosen = chosen.as_array().into_iter().flatten();
    let read = |(at, item): (usize, &Value)| {
        let top = top[at]["candidates"].as_array().into_iter().flatten();
        Some(Logprob {
            top: top.map(read_candidate).collect::<Option<_>>()?,
            ..read_candidate(item)?
        })
    };
    let read: Option<Vec<Logprob>> = chosen.enumerate().map(read).collect();
    read.unwrap_or_else(|| {
        dropped.add(PATH);
        Vec::new()
    })
}

/// A token that is part of a character cannot be told from its text, in which a replacement stands for it. Of every other the
/// bytes are those of the text.
fn read_candidate(item: &Value) -> Option<Logprob> {
    let token = item["token"].as_str()?.to_owned();
    Some(Logprob {
        bytes: (!token.contains(char::REPLACEMENT_CHARACTER)).then(|| token.bytes().collect()),
        token,
        logprob: item["logProbability"].as_number()?.clone(),
        top: Vec::new(),
    })
}

/// What a candidate of Gemini's says; there are as many lists of others as tokens, or none.
pub(super) fn candidate(logprobs: &[Logprob]) -> Value {
    let write =
        |logprob: &Logprob| json!({ "token": logprob.token, "logProbability": logprob.logprob });
    let mut written = Map::new();
    if logprobs.iter().any(|logprob| !logprob.top.is_empty()) {
        let top = logprobs.iter().map(|logprob| {
            let candidates: Vec<Value> = logprob.top.iter().map(write).collect();
            json!({ "candidates": candidates })
        });
        written.insert("topCandidates".to_owned(), top.collect());
    }
    let chosen = logprobs.iter().map(write).collect();
    written.insert("chosenCandidates".to_owned(), chosen);
    Value::Object(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one() -> impl Strategy<Value = Logprob> {
        let token = "[aß😀\u{fffd}\"\\\\\n ]{0,4}";
        (token, -9999_i16..=0, any::<Option<Vec<u8>>>()).prop_map(|(token, logprob, bytes)| {
            Logprob {
                token,
                logprob: serde_json::Number::from_f64(f64::from(logprob) / 64.0).unwrap(),
                bytes,
                top: Vec::new(),
            }
        })
    }

    fn list() -> impl Strategy<Value = Vec<Logprob>> {
        let top = prop::collection::vec(one(), 0..3);
        let token = (one(), top).prop_map(|(token, top)| Logprob { top, ..token });
        prop::collection::vec(token, 1..4)
    }

    /// Without what Gemini has no place for.
    fn known(mut logprob: Logprob) -> Logprob {
        let is_known = !logprob.token.contains('\u{fffd}');
        logprob.bytes = is_known.then(|| logprob.token.clone().into_bytes());
        logprob.top = logprob.top.into_iter().map(known).collect();
        logprob
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(list in list()) {
            let mut dropped = Dropped::default();
            let choice = serde_json::from_str(&choice(&list)).unwrap();
            prop_assert_eq!(&of_choice(choice, &mut dropped), &list);
            let read = of_candidate(candidate(&list), &mut dropped);
            let expected: Vec<Logprob> = list.into_iter().map(known).collect();
            prop_assert_eq!(read, expected);
            prop_assert_eq!(dropped.into_fields(), Vec::<String>::new());
        }
    }

    #[test]
    fn what_is_not_of_its_form_is_dropped() {
        for (said, path) in [
            (json!(1), ""),
            (json!({ "content": 1 }), ".content"),
            (json!({ "content": [{ "token": "a" }] }), ".content"),
            (
                json!({ "content": [{ "token": "a", "logprob": -1, "top_logprobs": [1] }] }),
                ".content",
            ),
            (json!({ "refusal": [{ "token": "a" }] }), ".refusal"),
        ] {
            let mut dropped = Dropped::default();
            assert_eq!(of_choice(said, &mut dropped), []);
            let path = format!("choices[0].logprobs{path}");
            assert_eq!(dropped.into_fields(), [path]);
        }
        for said in [
            json!(1),
            json!({ "chosenCandidates": [{ "token": "a" }] }),
            json!({ "chosenCandidates": [{ "token": "a", "logProbability": -1 }],
                "topCandidates": [{ "candidates": [1] }] }),
        ] {
            let mut dropped = Dropped::default();
            assert_eq!(of_candidate(said, &mut dropped), []);
            assert_eq!(dropped.into_fields(), ["candidates[0].logprobsResult"]);
        }
    }
}
