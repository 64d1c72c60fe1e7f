//! Where the texts stand in what models answer to Bedrock's `invoke`, each in its maker's form, Claude's Messages aside.
//! What a form is is seen from its members: a model's id may be that of a profile, which names no maker. An event of a
//! stream has the members of a whole answer or a part of them, so that one table reads both.
//!
//! Source: docs.aws.amazon.com, Amazon Bedrock user guide, inference request parameters and response fields (read 2026-11).
use super::super::{bedrock, json};
use super::{Finder, index};

/// What stands under a member.
#[derive(Clone, Copy)]
enum Place {
    /// A text.
    Text,
    /// A list of answers, each with a text under this name.
    Answers(&'static str),
    /// Choices, as in OpenAI's chats and completions.
    Choices,
    /// The message of `converse`.
    Message,
    /// A piece of one.
    Piece,
}

/// The members with texts.
const PLACES: &[(&str, Place)] = &[
    // Of earlier Claudes.
    ("completion", Place::Text),
    // Titan's, streamed and whole.
    ("outputText", Place::Text),
    ("results", Place::Answers("outputText")),
    // Nova's.
    ("output", Place::Message),
    ("contentBlockDelta", Place::Piece),
    // Llama's.
    ("generation", Place::Text),
    // Mistral's.
    ("outputs", Place::Answers("text")),
    // Cohere's.
    ("text", Place::Text),
    ("generations", Place::Answers("text")),
    // Newer ones of Mistral's, Jamba, DeepSeek, gpt-oss, Qwen and others.
    ("choices", Place::Choices),
];

/// Where choices have their message: some makers say `message` in streams too.
const MESSAGES: &[&str] = &["delta", "message"];

/// Why an answer ended, in the words of their makers.
const REASONS: [&str; 3] = ["stop_reason", "completionReason", "finish_reason"];

/// The number of passages that cite the answer in a stream: none of its texts has it.
const CITED: u64 = u64::MAX;

/// Whether an event has a text, or says that one has ended. Choices are not looked for.
pub(crate) fn is_piece(event: &str) -> bool {
    let members = json::members(event).unwrap_or_default();
    let texts = PLACES
        .iter()
        .filter(|(_, place)| !matches!(place, Place::Choices));
    texts
        .map(|(name, _)| name)
        .any(|name| is_told(&members, name))
        || has_ended(&members)
}

/// The texts that are complete with an event.
pub(crate) fn ended(event: &str) -> Vec<u64> {
    let members = json::members(event).unwrap_or_default();
    let mut ended: Vec<u64> = bedrock::ended_block(event).into_iter().collect();
    if has_ended(&members) {
        ended.push(number(&members));
    }
    for (name, place) in PLACES {
        if let Place::Answers(_) | Place::Choices = place {
            let answers = json::find(&members, name).and_then(json::items);
            for (at, answer) in answers.unwrap_or_default().into_iter().enumerate() {
                let members = json::members(answer).unwrap_or_default();
                if has_ended(&members) {
                    ended.push(index(json::find(&members, "index"), at));
                }
            }
        }
    }
    ended
}

fn has_ended(members: &[json::Member<'_>]) -> bool {
    let is_finished = json::find(members, "is_finished") == Some("true");
    is_finished || REASONS.iter().any(|name| is_told(members, name))
}

fn is_told(members: &[json::Member<'_>], name: &str) -> bool {
    json::find(members, name).is_some_and(|raw| raw != "null")
}

/// Which of several answers an event of Cohere's belongs to. Titan's `index` is the event's own.
fn number(members: &[json::Member<'_>]) -> u64 {
    match json::find(members, "is_finished") {
        Some(_) => index(json::find(members, "index"), 0),
        None => 0,
    }
}

/// A list that spells a text again, and what is left of it when the text is changed.
fn echo<'a>(members: &[json::Member<'a>], name: &str) -> Option<(&'a str, &'static str)> {
    let list = json::find(members, name).filter(|raw| raw.starts_with('['));
    list.map(|raw| (raw, "[]"))
}

impl Finder<'_> {
    /// The texts of an answer, whole or a piece of it.
    pub(super) fn invoked(&mut self, answer: &str) {
        let members = json::members(answer).unwrap_or_default();
        for (name, place) in PLACES {
            let Some(value) = json::find(&members, name) else {
                continue;
            };
            match place {
                Place::Text => {
                    self.push(value, number(&members), echo(&members, "citations"));
                }
                Place::Answers(text) => self.answers(value, text),
                Place::Choices => self.choices(answer, MESSAGES),
                Place::Message => self.blocks_of(bedrock::in_answer(answer)),
                Place::Piece => self.blocks_of(bedrock::in_delta(answer)),
            }
        }
        // A whole answer of Cohere's stands once more as the last turn of what was said.
        if json::find(&members, "text").is_some() {
            let turns = json::find(&members, "chat_history").and_then(json::items);
            let last = turns.and_then(|turns| json::member(turns.last().copied()?, "message"));
            self.push(last.unwrap_or_default(), 0, None);
        }
    }

    fn answers(&mut self, answers: &str, text: &str) {
        let answers = json::items(answers).unwrap_or_default();
        for (at, answer) in answers.into_iter().enumerate() {
            let members = json::members(answer).unwrap_or_default();
            let number = index(json::find(&members, "index"), at);
            let text = json::find(&members, text).unwrap_or_default();
            self.push(text, number, echo(&members, "token_likelihoods"));
        }
    }

    /// What an event says again: Cohere's last one the whole answer, and one before it what is cited of it. Where a choice
    /// has `delta` and `message`, for clients old and new, they are the same.
    pub(super) fn invoked_again(&mut self) {
        let members = json::members(self.whole).unwrap_or_default();
        if let Some(response) = json::find(&members, "response") {
            self.invoked(response);
        }
        let citations = json::find(&members, "citations").and_then(json::items);
        for citation in citations.unwrap_or_default() {
            self.push(
                json::member(citation, "text").unwrap_or_default(),
                CITED,
                None,
            );
        }
        let choices = json::find(&members, "choices").and_then(json::items);
        for (at, choice) in choices.unwrap_or_default().into_iter().enumerate() {
            let members = json::members(choice).unwrap_or_default();
            if is_told(&members, "delta") {
                let number = index(json::find(&members, "index"), at);
                let message = json::find(&members, "message").unwrap_or_default();
                let content = json::member(message, "content").unwrap_or_default();
                self.content(content, number, None);
            }
        }
    }
}

#[cfg(test)]
mod tests;
