//! How a prompt begins, as a number: requests that begin alike go to the same target, whose cache of prompts serves them.
//! The number is the same in every instance and after a restart.

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// So many bytes of a prompt's beginning count.
const MOST: usize = 4_096;

/// A shorter prompt has no beginning that a cache would keep: providers keep from 1,024 tokens on.
const LEAST: usize = 1_024;

/// What of a body is prompt, in the order in which providers read it.
#[derive(Deserialize)]
struct Prompt<'a> {
    #[serde(borrow, alias = "systemInstruction", alias = "system_instruction")]
    #[serde(alias = "instructions")]
    system: Option<&'a RawValue>,
    #[serde(borrow, alias = "contents", alias = "input", alias = "prompt")]
    messages: Option<&'a RawValue>,
}

/// A hash of a model's name and of how its prompt begins, as the client spelt it. `None` for a short prompt, and where the
/// body has none.
pub fn prefix(model: &str, body: &[u8]) -> Option<u64> {
    if body.len() < LEAST {
        return None;
    }
    let prompt: Prompt<'_> = serde_json::from_slice(body).ok()?;
    let texts = [prompt.system, prompt.messages];
    let texts = texts.into_iter().flatten().map(RawValue::get);
    let texts: Vec<&[u8]> = texts.map(str::as_bytes).collect();
    let length: usize = texts.iter().map(|text| text.len()).sum();
    if length < LEAST {
        return None;
    }
    let mut hasher = Sha256::new();
    hasher.update((model.len() as u64).to_be_bytes());
    hasher.update(model);
    let mut left = MOST;
    for text in texts {
        let counts = text.get(..left).unwrap_or(text);
        hasher.update(counts);
        left -= counts.len();
    }
    let digest = hasher.finalize();
    let first = digest.first_chunk::<8>()?;
    Some(u64::from_be_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(text: &str, more: &str) -> String {
        format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}]{more}}}"#)
    }

    #[test]
    fn what_begins_alike_has_the_same_number() {
        let long = "a".repeat(MOST);
        let one = prefix("m", chat(&long, "").as_bytes());
        assert!(one.is_some());
        for (model, body, same) in [
            ("m", chat(&format!("{long}b"), ""), true),
            ("m", chat(&long, r#","stream":true,"user":"u""#), true),
            ("m", chat(&format!("b{long}"), ""), false),
            ("n", chat(&long, ""), false),
        ] {
            assert_eq!(prefix(model, body.as_bytes()) == one, same, "{model}");
        }
    }

    #[test]
    fn the_number_is_the_same_in_every_process() {
        let body = chat(&"a".repeat(MOST), "");
        assert_eq!(prefix("m", body.as_bytes()), Some(STABLE));
    }

    /// As it was first: instances of different versions share targets.
    const STABLE: u64 = 0x65b5_bd28_d9ab_0307;

    #[test]
    fn every_format_has_its_prompt() {
        let text = format!("\"{}\"", "a".repeat(LEAST));
        for key in [
            "messages",
            "input",
            "contents",
            "prompt",
            "system",
            "systemInstruction",
            "system_instruction",
            "instructions",
        ] {
            let body = format!(r#"{{"x":[1],"{key}":{text}}}"#);
            assert!(prefix("m", body.as_bytes()).is_some(), "{key}");
        }
        let system = format!(r#"{{"system":{text},"messages":[1]}}"#);
        let turned = format!(r#"{{"messages":[1],"system":{text}}}"#);
        let other = format!(r#"{{"messages":[2],"system":{text}}}"#);
        let of = |body: &str| prefix("m", body.as_bytes());
        assert_eq!(of(&system), of(&turned));
        assert_ne!(of(&system), of(&other));
    }

    #[test]
    fn short_prompts_and_other_bodies_have_none() {
        let pad = "x".repeat(MOST);
        for body in [
            String::new(),
            chat("short", ""),
            chat("short", &format!(r#","pad":"{pad}""#)),
            format!("[{pad}]"),
            format!("\"{pad}\""),
            format!("{pad}{pad}"),
        ] {
            assert_eq!(prefix("m", body.as_bytes()), None);
        }
    }
}
