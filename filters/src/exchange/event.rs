//! One event of a stream as filters see it.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;

use super::document::Document;
use super::texts::invoke;
use super::{BodyError, Endpoint, Usage, bedrock, gemini, json, texts};

mod sse;

use sse::{Parsed, field, is_json, lines, parse, write_data};

/// What a stream event is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A piece of the answer: text, a refusal, a role, a part of a tool call, a finish reason.
    Delta,
    /// The token counts, and nothing of the answer.
    Usage,
    /// `[DONE]`, or `message_stop`.
    Done,
    /// The upstream failed.
    Error,
    /// A comment line or an event without data, as a heartbeat is.
    Comment,
    /// Anything else, such as the events of the Responses API that repeat whole texts.
    Other,
}

/// A view over the bytes of one server-sent event, with the blank line that ends it.
///
/// Nothing is parsed before it is asked for; without an edit the received bytes leave. A filter
/// that keeps an event is holding it back; one that drops an event takes it out of the stream.
#[derive(Debug, Clone)]
pub struct StreamEvent {
    endpoint: Endpoint,
    bytes: Bytes,
    parsed: OnceLock<Parsed>,
    ticket: Option<Arc<Ticket>>,
}

/// Tells the chain that an event it gave to a filter was sent.
#[derive(Debug, Default)]
pub(crate) struct Ticket {
    sent: AtomicBool,
}

impl Ticket {
    pub(crate) fn is_sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }
}

impl StreamEvent {
    /// A view over one event. `raw` ends with the blank line.
    pub fn from_bytes(endpoint: Endpoint, raw: Bytes) -> Self {
        Self {
            endpoint,
            bytes: raw,
            parsed: OnceLock::new(),
            ticket: None,
        }
    }

    /// A new event with this data, which may have line breaks.
    pub fn from_data(endpoint: Endpoint, data: &str) -> Self {
        let mut raw = String::with_capacity(data.len() + 8);
        write_data(&mut raw, data);
        raw.push('\n');
        Self::from_bytes(endpoint, Bytes::from(raw))
    }

    /// Which API the stream answers.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// How often the event was edited; 0 while it is as received.
    pub fn revision(&self) -> u64 {
        self.parsed
            .get()
            .and_then(|parsed| parsed.data.as_ref())
            .map_or(0, Document::revision)
    }

    /// The value of the `event:` line.
    pub fn name(&self) -> Option<&str> {
        let range = self.parsed().name.clone()?;
        std::str::from_utf8(self.bytes.get(range)?).ok()
    }

    /// The data, with line breaks between several `data:` lines; `None` when there is none or it
    /// is not UTF-8.
    pub fn data(&self) -> Option<&str> {
        self.parsed().data.as_ref()?.text()
    }

    /// What the event is for.
    pub fn kind(&self) -> EventKind {
        let Some(document) = self.document() else {
            return EventKind::Comment;
        };
        let Some(data) = document.text() else {
            return EventKind::Other;
        };
        if data.trim() == "[DONE]" {
            return EventKind::Done;
        }
        let get = |key| self.get(key).filter(|raw| *raw != "null");
        let is_bedrocks = matches!(
            self.endpoint,
            Endpoint::BedrockInvoke | Endpoint::BedrockConverse
        );
        if is_bedrocks && bedrock::is_exception(data) {
            return EventKind::Error;
        }
        if is_bedrocks {
            match bedrock::event_type(data) {
                Some("contentBlockDelta" | "messageStop") => return EventKind::Delta,
                Some("metadata") => return EventKind::Usage,
                Some(_) | None if self.endpoint == Endpoint::BedrockConverse => {
                    return EventKind::Other;
                }
                Some(_) | None => {}
            }
        }
        let kind = get("type").and_then(json::string);
        let failed = matches!(kind.as_deref(), Some("error" | "response.failed"));
        if self.name() == Some("error") || get("error").is_some() || failed {
            return EventKind::Error;
        }
        if self.endpoint == Endpoint::BedrockInvoke && kind.is_none() && invoke::is_piece(data) {
            return EventKind::Delta;
        }
        if self.endpoint == Endpoint::GenerateContent {
            return match get("candidates").and_then(json::items) {
                Some(candidates) if !candidates.is_empty() => EventKind::Delta,
                Some(_) | None if get("promptFeedback").is_some() => EventKind::Other,
                Some(_) | None if get("usageMetadata").is_some() => EventKind::Usage,
                Some(_) | None => EventKind::Other,
            };
        }
        match get("choices").and_then(json::items) {
            Some(choices) if !choices.is_empty() => EventKind::Delta,
            Some(_) if get("usage").is_some() => EventKind::Usage,
            None => match kind.as_deref() {
                Some(
                    "response.output_text.delta"
                    | "response.refusal.delta"
                    | "content_block_delta"
                    | "message_delta",
                ) => EventKind::Delta,
                Some("message_stop") => EventKind::Done,
                Some("ping") => EventKind::Comment,
                Some(_) | None => EventKind::Other,
            },
            Some(_) => EventKind::Other,
        }
    }

    /// The pieces of text that the event adds, those of refusals included, each with the number of
    /// its choice. In the Responses API the number is `output_index` · 2³² + `content_index`, in Anthropic's
    /// Messages and Bedrock's `converse` the block's, in Gemini's answers the candidate's; by Bedrock's `invoke` it is as
    /// in the form of the model's maker.
    pub fn text_delta(&self) -> Vec<(u64, String)> {
        self.read(texts::in_delta)
    }

    /// The pieces as [`text_delta`](Self::text_delta) has them, but spelt as in JSON, without quotes: joined over the
    /// events and read by [`read_spelling`](crate::read_spelling), a surrogate pair that comes apart between two events
    /// is whole again.
    pub fn spelt_text_delta(&self) -> Vec<(u64, String)> {
        match self.document() {
            Some(document) => {
                let find = |whole: &str| texts::in_delta(self.endpoint, whole);
                texts::read_spelt(document, find).collect()
            }
            None => Vec::new(),
        }
    }

    /// Replaces the piece of text that the event adds to a choice; its log probabilities go with
    /// it. The same text again is no edit.
    ///
    /// # Errors
    /// When the event adds no text to that choice.
    pub fn set_text_delta(&mut self, choice: u64, text: &str) -> Result<(), BodyError> {
        let mut found = false;
        self.map(texts::in_delta, |number, old| {
            if number != choice || found {
                return None;
            }
            found = true;
            (old != text).then(|| text.to_owned())
        });
        if found {
            Ok(())
        } else {
            Err(BodyError::NoText)
        }
    }

    /// Gives every piece of text that the event adds to `edit`, and replaces those for which it
    /// returns a new one; their log probabilities go with them. True when any was replaced.
    pub fn map_text_deltas(&mut self, edit: &mut dyn FnMut(u64, &str) -> Option<String>) -> bool {
        self.map(texts::in_delta, edit)
    }

    /// The texts that the event repeats as a whole (`response.output_text.done`,
    /// `response.completed`, …); numbers as in [`text_delta`](Self::text_delta). What Cohere's models cite of their answer is
    /// among them, under the number `u64::MAX`.
    pub fn whole_texts(&self) -> Vec<(u64, String)> {
        self.read(texts::in_repetition)
    }

    /// Gives every text that the event repeats as a whole to `edit`, and replaces those for which
    /// it returns a new one. True when any was replaced.
    pub fn map_whole_texts(&mut self, edit: &mut dyn FnMut(u64, &str) -> Option<String>) -> bool {
        self.map(texts::in_repetition, edit)
    }

    /// The choices whose text is complete with this event.
    pub fn ended_choices(&self) -> Vec<u64> {
        if self.endpoint == Endpoint::GenerateContent {
            let ended = |(number, candidate)| {
                json::member(candidate, "finishReason").filter(|reason| *reason != "null")?;
                Some(number)
            };
            let data = self.data().unwrap_or_default();
            return gemini::candidates(data).filter_map(ended).collect();
        }
        if self.endpoint == Endpoint::BedrockConverse {
            let ended = self.data().and_then(bedrock::ended_block);
            return ended.into_iter().collect();
        }
        if self.endpoint == Endpoint::BedrockInvoke && self.get("type").is_none() {
            return self.data().map(invoke::ended).unwrap_or_default();
        }
        if let Some(choices) = self.get("choices").and_then(json::items) {
            let ended = |(at, choice): (usize, &str)| {
                let members = json::members(choice)?;
                json::find(&members, "finish_reason").filter(|reason| *reason != "null")?;
                let number = json::find(&members, "index").and_then(|raw| raw.parse().ok());
                Some(number.unwrap_or(at as u64))
            };
            return choices.into_iter().enumerate().filter_map(ended).collect();
        }
        let kind = self.get("type").and_then(json::string);
        if kind.as_deref() == Some("content_block_stop") {
            let index = self.get("index").and_then(|raw| raw.parse().ok());
            return vec![index.unwrap_or(0)];
        }
        // A part that is only added repeats a text that has not begun.
        match kind.is_some_and(|kind| kind.ends_with(".added")) {
            true => Vec::new(),
            false => self
                .whole_texts()
                .into_iter()
                .map(|(choice, _)| choice)
                .collect(),
        }
    }

    /// The token counts that the event brings.
    pub fn usage(&self) -> Option<Usage> {
        let usage = self
            .get("usage")
            .or_else(|| self.get("usageMetadata"))
            .or_else(|| self.document()?.get_path("response.usage"))
            .or_else(|| self.document()?.get_path("message.usage"))
            .or_else(|| self.document()?.get_path("metadata.usage"))?;
        Usage::from_json(usage)
    }

    /// The JSON text of a top-level value of the data, exactly as it stands.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.document()?.get(key)
    }

    /// Replaces one top-level value of the data, or adds it at the end.
    ///
    /// # Errors
    /// When the data is no JSON object.
    pub fn set(&mut self, key: &str, value: &Value) -> Result<(), BodyError> {
        self.document_mut()
            .ok_or(BodyError::NotAnObject)?
            .set(key, value)
    }

    /// Takes out a top-level member of the data. True when there was one.
    ///
    /// # Errors
    /// When the data is no JSON object.
    pub fn remove(&mut self, key: &str) -> Result<bool, BodyError> {
        self.document_mut()
            .ok_or(BodyError::NotAnObject)?
            .remove(key)
    }

    /// The event as it would leave now: the received bytes while nothing was edited.
    pub fn to_bytes(&self) -> Bytes {
        let Some(parsed) = self.parsed.get() else {
            return self.bytes.clone();
        };
        let Some(document) = parsed.data.as_ref().filter(|data| data.revision() > 0) else {
            return self.bytes.clone();
        };
        match &parsed.place {
            Some(place) => {
                let before = self.bytes.get(..place.start).unwrap_or_default();
                let after = self.bytes.get(place.end..).unwrap_or_default();
                Bytes::from([before, document.bytes(), after].concat())
            }
            None => self.rewritten(document.text().unwrap_or("")),
        }
    }

    /// Length of the event as it would leave now, in bytes.
    pub(crate) fn length(&self) -> usize {
        match self.revision() {
            0 => self.bytes.len(),
            _ => self.to_bytes().len(),
        }
    }

    /// Whether this is one whole event with data that is JSON, `[DONE]` or absent.
    pub(crate) fn is_well_formed(&self) -> bool {
        let bytes = self.to_bytes();
        let ends = lines(&bytes).filter(|line| line.content.is_empty()).count();
        let last = lines(&bytes).last();
        let one = ends == 1 && last.is_some_and(|line| line.content.is_empty() && line.ended);
        let fits = match self.data() {
            Some(data) => data.trim() == "[DONE]" || is_json(data),
            None => self.parsed().data.is_none(),
        };
        one && fits && std::str::from_utf8(&bytes).is_ok()
    }

    /// Marks the event as handed to a filter.
    pub(crate) fn with_ticket(mut self, ticket: Arc<Ticket>) -> Self {
        self.ticket = Some(ticket);
        self
    }

    /// Whether the event is one that the chain handed to a filter.
    pub(crate) fn has_ticket(&self) -> bool {
        self.ticket.is_some()
    }

    /// Takes the mark off again and notes that the event was sent.
    pub(crate) fn redeem(&mut self) -> Option<Arc<Ticket>> {
        let ticket = self.ticket.take()?;
        ticket.sent.store(true, Ordering::Relaxed);
        Some(ticket)
    }

    fn read(&self, find: fn(Endpoint, &str) -> Vec<texts::Spot>) -> Vec<(u64, String)> {
        match self.document() {
            Some(document) => texts::read(document, |whole| find(self.endpoint, whole)).collect(),
            None => Vec::new(),
        }
    }

    fn map(
        &mut self,
        find: fn(Endpoint, &str) -> Vec<texts::Spot>,
        edit: impl FnMut(u64, &str) -> Option<String>,
    ) -> bool {
        let endpoint = self.endpoint;
        match self.document_mut() {
            Some(document) => texts::map(document, |whole| find(endpoint, whole), edit),
            None => false,
        }
    }

    fn parsed(&self) -> &Parsed {
        self.parsed.get_or_init(|| parse(&self.bytes))
    }

    fn document(&self) -> Option<&Document> {
        self.parsed().data.as_ref()
    }

    fn document_mut(&mut self) -> Option<&mut Document> {
        self.parsed();
        self.parsed.get_mut()?.data.as_mut()
    }

    /// The event with other data, every line that is not data as it was.
    fn rewritten(&self, data: &str) -> Bytes {
        let mut out = String::new();
        let mut written = false;
        for line in lines(&self.bytes) {
            let is_data = field(line.content).is_some_and(|(name, _)| name == b"data");
            if !is_data {
                out.push_str(&String::from_utf8(line.content.to_vec()).unwrap_or_default());
                out.push('\n');
            } else if !written {
                write_data(&mut out, data);
                written = true;
            }
        }
        Bytes::from(out)
    }
}

#[cfg(test)]
mod tests;
