//! What Argo's older form of a request says: `prompt`, one text or several, and `system`, the same.

use std::collections::HashSet;

use serde_json::{Value, json};

/// Several texts as one: each once, in their order, with a blank line between.
pub fn as_one(texts: &[String]) -> String {
    let mut known = HashSet::new();
    let texts = texts.iter().map(String::as_str);
    let said: Vec<&str> = texts.filter(|text| known.insert(*text)).collect();
    said.join("\n\n")
}

/// The texts that one text is, or a list of them. `None`: it is something else, or none.
pub fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) if !items.is_empty() => {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            texts.collect()
        }
        _ => None,
    }
}

/// A chat in this form as one with messages. Every other one stays as it is.
pub fn as_messages(mut chat: Value) -> Value {
    let prompt = texts(&chat["prompt"]).filter(|_| chat["messages"].is_null());
    let (Some(prompt), Some(members)) = (prompt, chat.as_object_mut()) else {
        return chat;
    };
    let system = members.get("system").and_then(texts);
    let mut messages = Vec::new();
    if let Some(system) = system {
        members.shift_remove("system");
        messages.push(json!({ "role": "system", "content": system.join("\n\n") }));
    }
    members.shift_remove("prompt");
    messages.push(json!({ "role": "user", "content": as_one(&prompt) }));
    members.insert("messages".to_owned(), messages.into());
    chat
}

/// A completion of several prompts as one of one. Every other one stays as it is.
pub fn as_one_prompt(mut completion: Value) -> Value {
    if let Some(several) = texts(&completion["prompt"]).filter(|texts| 1 < texts.len()) {
        completion["prompt"] = as_one(&several).into();
    }
    completion
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_becomes_what_its_user_says() {
        for (chat, expected) in [
            (
                json!({ "prompt": "a", "n": 1 }),
                json!({ "n": 1, "messages": [{ "role": "user", "content": "a" }] }),
            ),
            (
                json!({ "system": ["s", "t"], "prompt": ["a", "b", "a"], "messages": null }),
                json!({ "messages": [
                    { "role": "system", "content": "s\n\nt" }, { "role": "user", "content": "a\n\nb" },
                ] }),
            ),
        ] {
            assert_eq!(as_messages(chat.clone()), expected, "{chat}");
        }
        for same in [
            json!({ "prompt": "a", "messages": [] }),
            json!({ "prompt": [], "system": "s" }),
            json!({ "prompt": ["a", 7] }),
            json!({ "prompt": 7 }),
            json!({ "system": "s" }),
            json!([]),
            json!(null),
        ] {
            assert_eq!(as_messages(same.clone()), same);
        }
    }

    #[test]
    fn several_prompts_of_a_completion_are_one() {
        for (prompt, expected) in [
            (json!(["a", "b", "a"]), json!("a\n\nb")),
            (json!(["a"]), json!(["a"])),
            (json!("a"), json!("a")),
            (json!([1, 2]), json!([1, 2])),
            (json!(["a", [1]]), json!(["a", [1]])),
        ] {
            let asked = as_one_prompt(json!({ "prompt": prompt }));
            assert_eq!(asked["prompt"], expected, "{prompt}");
        }
    }
}
