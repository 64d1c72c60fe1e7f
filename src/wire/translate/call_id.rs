//! Ids of calls: for answers whose calls have none of their own, and for formats that do not take every one.

use std::collections::HashSet;

use super::TranslateError;
use super::canonical::{Answer, Part};
use super::piece::{Give, Piece, spelt};
use crate::wire::json_reader::RawStr;

/// Most calls of one answer: more than any model makes, and few enough to be looked through for every piece.
pub(super) const MOST_CALLS: usize = 1024;

/// Longest id of a call in chats, in letters: OpenAI and Azure refuse longer ones. (What their APIs answer, read 2026-11.)
pub(super) const MOST_IN_CHATS: usize = 40;

/// Most letters of our request in an id that is made: those of a UUID without hyphens.
const MOST_OF_REQUEST: usize = 32;

/// How many letters there are to tell a place.
const LETTERS: u32 = 36;

/// Gives each call of an answer an id that no other has, for clients find a call by the id of its result. Its own stays,
/// unless there is none or a call before has it. One that is made tells our request and the call's place, or the next one
/// that is free, so that it is none of the conversation before, and the same whole and streamed. It fits chats.
#[derive(Debug)]
pub(super) struct Ids {
    /// What is told of our request.
    request: String,
    calls: usize,
    given: HashSet<String>,
}

impl Ids {
    pub(super) fn new(request_id: &str) -> Self {
        Self {
            request: permitted(&request_id.replace('-', ""), MOST_OF_REQUEST),
            calls: 0,
            given: HashSet::new(),
        }
    }

    /// The next call's id where it is not its own.
    fn next(&mut self, own: &str) -> Result<Option<String>, TranslateError> {
        let place = self.calls;
        if place == MOST_CALLS {
            let why = format!("there are more than {MOST_CALLS} calls in it");
            return Err(TranslateError::Malformed(why));
        }
        self.calls += 1;
        if !own.is_empty() && self.given.insert(own.to_owned()) {
            return Ok(None);
        }
        // Fewer are given than there are places: one of these is free.
        let places = place..=place + MOST_CALLS;
        let mut made = places.map(|place| format!("call_{}_{}", self.request, letters(place)));
        let free = made.find(|made| self.given.insert(made.clone()));
        Ok(Some(free.unwrap_or_default()))
    }

    /// Gives a piece of a stream on, with the id of the call that it begins.
    pub(super) fn piece(&mut self, piece: Piece<'_>, give: Give<'_>) -> Result<(), TranslateError> {
        let Piece::Tool {
            number,
            id,
            name,
            signature,
        } = piece
        else {
            give(piece);
            return Ok(());
        };
        let own = RawStr {
            raw: id,
            escaped: id.contains('\\'),
        };
        let made = self.next(&own.text())?.as_deref().map(spelt);
        give(Piece::Tool {
            number,
            id: made.as_deref().unwrap_or(id),
            name,
            signature,
        });
        Ok(())
    }
}

/// A place in two letters at most: more than [`MOST_CALLS`] are told apart, and then it begins anew.
fn letters(place: usize) -> String {
    let place = u32::try_from(place).unwrap_or_default() % (LETTERS * LETTERS);
    let first = Some(place / LETTERS).filter(|first| 0 < *first);
    let letters = first.into_iter().chain([place % LETTERS]);
    letters
        .filter_map(|letter| char::from_digit(letter, LETTERS))
        .collect()
}

/// The same for a whole answer.
pub(super) fn settle(answer: &mut Answer, request_id: &str) -> Result<(), TranslateError> {
    let mut ids = Ids::new(request_id);
    let called = answer.parts.iter_mut().filter_map(|part| match part {
        Part::ToolUse { id, .. } => Some(id),
        _ => None,
    });
    for id in called.chain(answer.cut_calls.iter_mut().map(|cut| &mut cut.id)) {
        if let Some(made) = ids.next(id)? {
            *id = made;
        }
    }
    Ok(())
}

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

/// An id of whatever letters, and of at most so many; one that is longer is made as above.
pub(super) fn fitting(id: String, most: usize) -> String {
    match id.chars().nth(most) {
        None => id,
        Some(_) => permitted(&id, most),
    }
}

/// What is permitted of any length, of an id as it is spelt in JSON.
pub(super) fn permitted_spelt(id: &str) -> String {
    let plain = serde_json::from_str::<String>(&format!("\"{id}\""));
    permitted(plain.as_deref().unwrap_or(id), usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Ids, MOST_CALLS, MOST_IN_CHATS, fitting, permitted};
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

    #[test]
    fn what_is_made_fits_chats() {
        let uuid = "0190a6b2-1c3d-7e4f-8a5b-6c7d8e9f0a1b";
        for request in [uuid, "id-1", &"é".repeat(50)] {
            let mut ids = Ids::new(request);
            let mut made = std::collections::HashSet::new();
            // The first that is made would be the second call's.
            let taken = Ids::new(request).next("").unwrap().unwrap();
            assert_eq!(ids.next(&taken), Ok(None));
            made.insert(taken);
            for _ in 1..MOST_CALLS {
                let id = ids.next("").unwrap().unwrap();
                assert!(id.len() <= MOST_IN_CHATS, "{id}");
                assert!(made.insert(id));
            }
        }
        let id = Ids::new(uuid).next("").unwrap();
        assert_eq!(
            id.as_deref(),
            Some("call_0190a6b21c3d7e4f8a5b6c7d8e9f0a1b_0")
        );
    }

    #[test]
    fn what_fits_stays_whatever_its_letters() {
        for (id, stays) in [
            ("functions.f:0".to_owned(), true),
            (String::new(), true),
            ("é".repeat(40), true),
            ("x".repeat(41), false),
        ] {
            let made = fitting(id.clone(), MOST_IN_CHATS);
            assert_eq!(made == id, stays, "{made}");
            assert!(made.chars().count() <= MOST_IN_CHATS, "{made}");
        }
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
            for (to, lengths, call, result) in [
                (
                    Format::Anthropic,
                    1..=74,
                    "content/0/id",
                    "content/0/tool_use_id",
                ),
                (
                    Format::BedrockConverse,
                    1..=64,
                    "content/0/toolUse/toolUseId",
                    "content/0/toolResult/toolUseId",
                ),
                (
                    Format::OpenaiChat,
                    0..=40,
                    "tool_calls/0/id",
                    "tool_call_id",
                ),
            ] {
                let from = ClientFormat::OpenaiChat;
                let (made, _) = request(from, to, body.to_string().as_bytes(), "m", false).unwrap();
                let made: Value = serde_json::from_slice(&made).unwrap();
                let at = |path: String| made.pointer(&path).and_then(Value::as_str);
                let called = at(format!("/messages/0/{call}"));
                let length = called.unwrap_or_default().len();
                assert!(lengths.contains(&length), "{made}");
                assert_eq!(called, at(format!("/messages/1/{result}")), "{made}");
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
