//! Ids of calls, for formats that do not take every one.

/// An id as it may be there: of letters, digits, `_` and `-`, and of at most so many. Any other gets a sum of all of it at its
/// end: the same id always becomes the same, so that a call and its result still meet, and different ones stay different.
pub(super) fn permitted(id: &str, most: usize) -> String {
    let is_permitted = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    if !id.is_empty() && id.len() <= most && id.chars().all(is_permitted) {
        return id.to_owned();
    }
    let sum = format!("_{:08x}", crc32c::crc32c(id.as_bytes()));
    let kept = id.chars().take(most.saturating_sub(sum.len()));
    kept.map(|letter| if is_permitted(letter) { letter } else { '_' })
        .chain(sum.chars())
        .collect()
}

/// The same, of any length, of an id as it is spelt in JSON.
pub(super) fn permitted_spelt(id: &str) -> String {
    let plain = serde_json::from_str::<String>(&format!("\"{id}\""));
    permitted(plain.as_deref().unwrap_or(id), usize::MAX)
}

/// An id for a call that has none, unlike those of other answers of a conversation. `answer`: the id of its answer, which may
/// be empty; `number`: of the call in it.
pub(super) fn made(answer: &str, number: usize) -> String {
    match answer {
        "" => format!("call_{number}"),
        answer => format!("call_{answer}_{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::permitted;
    use crate::wire::translate::{ClientFormat, Format, request};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn what_is_permitted_stays() {
        let longest = "x".repeat(64);
        for id in ["toolu_01-A", "0", &*longest] {
            assert_eq!(permitted(id, 64), id);
        }
        let long = "x".repeat(65);
        assert_eq!(permitted(&long, usize::MAX), long);
    }

    /// Where ids have a form, a call and its result keep one between them.
    #[test]
    fn calls_meet_their_results_whatever_their_ids() {
        let long = "x".repeat(65);
        for id in ["functions.f:0", &*long, ""] {
            let call = json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": "{}" } });
            let body = json!({ "messages": [
                { "role": "assistant", "tool_calls": [call] },
                { "role": "tool", "tool_call_id": id, "content": "r" },
            ] });
            for (to, most, call, result) in [
                (Format::Anthropic, 74, "/id", "/tool_use_id"),
                (
                    Format::BedrockConverse,
                    64,
                    "/toolUse/toolUseId",
                    "/toolResult/toolUseId",
                ),
            ] {
                let from = ClientFormat::OpenaiChat;
                let (made, _) = request(from, to, body.to_string().as_bytes(), "m", false).unwrap();
                let made: Value = serde_json::from_slice(&made).unwrap();
                let at = |path: String| made.pointer(&path).and_then(Value::as_str);
                let called = at(format!("/messages/0/content/0{call}"));
                let length = called.unwrap_or_default().len();
                assert!((1..=most).contains(&length), "{made}");
                assert_eq!(
                    called,
                    at(format!("/messages/1/content/0{result}")),
                    "{made}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn all_others_are_made_so_and_stay_apart(first in "[a_.:é😀-]{0,70}", second in "[a_.:é😀-]{0,70}") {
            for most in [64, usize::MAX] {
                let (first_made, second_made) = (permitted(&first, most), permitted(&second, most));
                let letters = first_made.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"_-".contains(&letter));
                prop_assert!(letters && (1..=most).contains(&first_made.len()), "{}", first_made);
                prop_assert_eq!(first_made == second_made, first == second);
            }
        }
    }
}
