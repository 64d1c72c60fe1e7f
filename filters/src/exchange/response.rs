//! The whole response as filters see it.
use std::borrow::Cow;

use bytes::Bytes;
use serde_json::Value;

use super::document::Document;
use super::{BodyError, Endpoint, Usage, gemini, json, texts};

/// A whole answer: a view over an upstream's body, or a filter's own text, which the program
/// encodes in the form that the client asked in.
///
/// Untouched bytes leave as they came; see [`LlmRequest`](crate::LlmRequest) for how edits work.
#[derive(Debug, Clone)]
pub struct LlmResponse {
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Body {
        endpoint: Endpoint,
        status: u16,
        document: Document,
    },
    Answer {
        text: String,
        revision: u64,
    },
}

impl LlmResponse {
    /// A view over a body that answers a call of `endpoint`.
    pub fn from_body(endpoint: Endpoint, status: u16, body: Bytes) -> Self {
        let document = Document::new(body);
        Self {
            content: Content::Body {
                endpoint,
                status,
                document,
            },
        }
    }

    /// A normal answer with this text, in no format yet.
    pub fn answer(text: impl Into<String>) -> Self {
        Self {
            content: Content::Answer {
                text: text.into(),
                revision: 0,
            },
        }
    }

    /// The text of an answer that has no format yet; `None` for one that has a body.
    pub fn answer_text(&self) -> Option<&str> {
        match &self.content {
            Content::Answer { text, .. } => Some(text),
            Content::Body { .. } => None,
        }
    }

    /// The body as it would leave now; `None` for an answer that has no format yet.
    pub fn body(&self) -> Option<&Bytes> {
        self.document().map(Document::bytes)
    }

    /// The HTTP status; 200 for an answer that has no format yet.
    pub fn status(&self) -> u16 {
        match &self.content {
            Content::Body { status, .. } => *status,
            Content::Answer { .. } => 200,
        }
    }

    /// How often the response was edited; 0 while it is as received.
    pub fn revision(&self) -> u64 {
        match &self.content {
            Content::Body { document, .. } => document.revision(),
            Content::Answer { revision, .. } => *revision,
        }
    }

    /// Whether the response can be read and edited by field.
    ///
    /// # Errors
    /// When it has no JSON object for a body, or one that names a key twice.
    pub fn check(&self) -> Result<(), BodyError> {
        self.document().ok_or(BodyError::NotAnObject)?.check()
    }

    /// The text of the first choice; `None` when it has none.
    pub fn text(&self) -> Option<String> {
        match &self.content {
            Content::Answer { text, .. } => Some(text.clone()),
            Content::Body { .. } => self.texts().into_iter().next().map(|(_, text)| text),
        }
    }

    /// Every text, refusals included, with the number of its choice, in the order in which they
    /// stand. In the Responses API the number is `output_index` · 2³² + `content_index`, in Anthropic's
    /// Messages the block's, in Gemini's answers the candidate's; by Bedrock's `invoke` it is as in the form of the
    /// model's maker. An answer of Cohere's that its `chat_history` repeats is there twice.
    pub fn texts(&self) -> Vec<(u64, String)> {
        match &self.content {
            Content::Answer { text, .. } => vec![(0, text.clone())],
            Content::Body {
                endpoint, document, ..
            } => texts::read(document, |whole| texts::in_response(*endpoint, whole)).collect(),
        }
    }

    /// Why the first choice ended, in the format's own word; `None` when not said.
    pub fn finish_reason(&self) -> Option<String> {
        let document = self.document()?;
        match document.get("choices") {
            Some(choices) => {
                let first = json::items(choices)?.into_iter().next()?;
                json::string(json::member(first, "finish_reason")?).map(Cow::into_owned)
            }
            None => self
                .first_candidate_ended()
                .or_else(|| self.string("stop_reason"))
                .or_else(|| self.string("stopReason"))
                .or_else(|| self.string("status")),
        }
    }

    /// The model that the upstream says answered.
    pub fn model(&self) -> Option<Cow<'_, str>> {
        let document = self.document()?;
        document
            .string("model")
            .or_else(|| document.string("modelVersion"))
    }

    /// The tokens that the upstream reported.
    pub fn usage(&self) -> Option<Usage> {
        let document = self.document()?;
        let usage = document
            .get("usage")
            .or_else(|| document.get("usageMetadata"));
        Usage::from_json(usage?)
    }

    /// The number at a path such as `usage.total_tokens`.
    pub fn number(&self, path: &str) -> Option<f64> {
        self.document()?.number(path)
    }

    /// The string at a path such as `system_fingerprint`.
    pub fn string(&self, path: &str) -> Option<String> {
        self.document()?.string(path).map(Cow::into_owned)
    }

    /// The JSON text of a top-level value, exactly as it stands.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.document()?.get(key)
    }

    /// Replaces one top-level value, or adds it at the end.
    ///
    /// # Errors
    /// When the body is no JSON object.
    pub fn set(&mut self, key: &str, value: &Value) -> Result<(), BodyError> {
        self.document_mut()?.set(key, value)
    }

    /// Takes out a top-level member. True when there was one.
    ///
    /// # Errors
    /// When the body is no JSON object.
    pub fn remove(&mut self, key: &str) -> Result<bool, BodyError> {
        self.document_mut()?.remove(key)
    }

    /// Gives every text of the answer, refusals included, to `edit`, and replaces those for which
    /// it returns a new one; log probabilities of a replaced text go with it. Arguments of tool calls are not
    /// given. True when any was replaced.
    ///
    /// # Errors
    /// When the body is no JSON object.
    pub fn map_texts(
        &mut self,
        edit: &mut dyn FnMut(&str) -> Option<String>,
    ) -> Result<bool, BodyError> {
        match &mut self.content {
            Content::Answer { text, revision } => {
                let Some(new) = edit(text) else {
                    return Ok(false);
                };
                *text = new;
                *revision += 1;
                Ok(true)
            }
            Content::Body {
                endpoint, document, ..
            } => {
                let endpoint = *endpoint;
                if !endpoint.has_texts() {
                    return Ok(false);
                }
                document.check()?;
                let find = |whole: &str| texts::in_response(endpoint, whole);
                Ok(texts::map(document, find, |_, text| edit(text)))
            }
        }
    }

    fn first_candidate_ended(&self) -> Option<String> {
        let (_, first) = gemini::candidates(self.document()?.text()?).next()?;
        json::string(json::member(first, "finishReason")?).map(Cow::into_owned)
    }

    fn document(&self) -> Option<&Document> {
        match &self.content {
            Content::Body { document, .. } => Some(document),
            Content::Answer { .. } => None,
        }
    }

    fn document_mut(&mut self) -> Result<&mut Document, BodyError> {
        match &mut self.content {
            Content::Body { document, .. } => Ok(document),
            Content::Answer { .. } => Err(BodyError::NotAnObject),
        }
    }
}

#[cfg(test)]
mod tests;
