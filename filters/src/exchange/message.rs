//! One message of a conversation.
use std::borrow::Cow;

use super::json;

/// A view over one message, or one input item of the Responses API.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    raw: &'a str,
}

impl<'a> Message<'a> {
    pub(crate) fn new(raw: &'a str) -> Self {
        Self { raw }
    }

    /// The message as it stands in the body.
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// Who speaks (`system`, `user`, `assistant`, `tool`, …), `None` when not said.
    pub fn role(&self) -> Option<Cow<'a, str>> {
        json::member(self.raw, "role").and_then(json::string)
    }

    /// The JSON text of `content` as it stands.
    pub fn content(&self) -> Option<&'a str> {
        json::member(self.raw, "content")
    }

    /// The text: the content, or its text parts with line breaks between them, or the JSON of the
    /// parts when none is text. `None` when there is no content.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        content_text(self.content()?)
    }

    /// `None` when this is an item of another kind, such as a reference to an earlier one.
    pub(crate) fn text_if_message(&self) -> Option<Option<Cow<'a, str>>> {
        self.content().map(content_text)
    }
}

/// The text of a string, of a list of strings, or of a list of parts.
pub(crate) fn content_text(raw: &str) -> Option<Cow<'_, str>> {
    if let Some(text) = json::string(raw) {
        return Some(text);
    }
    let items = json::items(raw)?;
    let text_of = |item| json::string(item).or_else(|| json::string(json::member(item, "text")?));
    let texts: Vec<Cow<'_, str>> = items.iter().copied().filter_map(text_of).collect();
    match texts.as_slice() {
        [] if items.is_empty() => None,
        [] => Some(Cow::Borrowed(raw)),
        texts => Some(Cow::Owned(texts.join("\n"))),
    }
}
