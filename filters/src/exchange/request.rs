//! The request as filters see it.
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;

use super::document::Document;
use super::message::{self, Message};
use super::{BodyError, Endpoint, gemini, json, texts};

/// A view over a received request body.
///
/// Nothing is parsed before it is asked for. A setter replaces one value; everything untouched
/// leaves byte for byte, and without an edit the received bytes leave themselves. A clone costs a
/// reference count. Bodies that are not JSON exist too: readers give `None`, setters an error.
#[derive(Debug, Clone)]
pub struct LlmRequest {
    endpoint: Endpoint,
    document: Document,
    path: Option<Path>,
    model: OnceLock<Option<Arc<str>>>,
    user: OnceLock<Option<Arc<str>>>,
}

/// What the path of a request says that bodies of other formats say.
#[derive(Debug, Clone)]
struct Path {
    model: String,
    stream: bool,
    revision: u64,
}

impl LlmRequest {
    /// A view over the bytes of a request to `endpoint`. Reads nothing yet.
    pub fn new(endpoint: Endpoint, body: Bytes) -> Self {
        let document = Document::new(body);
        Self {
            endpoint,
            document,
            path: None,
            model: OnceLock::new(),
            user: OnceLock::new(),
        }
    }

    /// The same, where the path names the model and says whether the answer is to be a stream, as Gemini's and Bedrock's do.
    pub fn with_path(self, model: &str, stream: bool) -> Self {
        let path = Path {
            model: model.to_owned(),
            stream,
            revision: 0,
        };
        Self {
            path: Some(path),
            ..self
        }
    }

    /// The model that the path is to name; `None` where the body names it.
    pub fn model_in_path(&self) -> Option<&str> {
        self.path.as_ref().map(|path| &*path.model)
    }

    /// Which API is called.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// The body as it would leave now: the received bytes while nothing was edited.
    pub fn body(&self) -> &Bytes {
        self.document.bytes()
    }

    /// The body, once no reader is needed any more.
    pub fn into_body(self) -> Bytes {
        self.document.bytes().clone()
    }

    /// How often the request was edited; 0 while it is as received.
    pub fn revision(&self) -> u64 {
        self.document.revision() + self.path.as_ref().map_or(0, |path| path.revision)
    }

    /// Whether the body can be read and edited by field.
    ///
    /// # Errors
    /// When it is no JSON object, or one that names a key twice.
    pub fn check(&self) -> Result<(), BodyError> {
        self.document.check()
    }

    /// The model asked for, `None` when absent or no string.
    pub fn model(&self) -> Option<&str> {
        match &self.path {
            Some(path) => Some(&path.model),
            None => self.model.get_or_init(|| self.shared("model")).as_deref(),
        }
    }

    /// The end user: `user`, else `metadata.user_id`. `None` when neither is a non-empty string.
    pub fn user(&self) -> Option<&str> {
        let read = || {
            let given = |user: &Arc<str>| !user.is_empty();
            let user = self.shared("user").filter(given);
            user.or_else(|| self.shared("metadata.user_id").filter(given))
        };
        self.user.get_or_init(read).as_deref()
    }

    /// Whether the client asked for a stream; false when `stream` is absent.
    pub fn stream(&self) -> bool {
        match &self.path {
            Some(path) => path.stream,
            None => self.document.get("stream") == Some("true"),
        }
    }

    /// The messages of a chat, of Anthropic's Messages or of Bedrock's `converse`, or the items of a Responses `input`; empty for other formats.
    pub fn messages(&self) -> Vec<Message<'_>> {
        let list = match self.endpoint {
            Endpoint::ChatCompletions
            | Endpoint::Messages
            | Endpoint::MessagesCountTokens
            | Endpoint::BedrockInvoke
            | Endpoint::BedrockConverse
            | Endpoint::ArgoChat => self.document.get("messages"),
            Endpoint::Responses => self.document.get("input"),
            Endpoint::Completions
            | Endpoint::Embeddings
            | Endpoint::GenerateContent
            | Endpoint::CountTokens
            | Endpoint::EmbedContent
            | Endpoint::AsksageQuery
            | Endpoint::ArgoEmbed
            | Endpoint::Models
            | Endpoint::Passthrough => None,
        };
        let items = list.and_then(json::items).unwrap_or_default();
        items.into_iter().map(Message::new).collect()
    }

    /// The text of the last message: its text parts with line breaks between them, or the JSON of
    /// the parts when none is text. Of a completion, and of a chat without messages, the prompt, of an
    /// embedding the input.
    /// `None` when there is none.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self.endpoint {
            // Argo's clients may send a prompt in the place of messages.
            Endpoint::ChatCompletions => match self.document.get("messages") {
                None | Some("null") => message::content_text(self.document.get("prompt")?),
                Some(_) => self.messages().last()?.text(),
            },
            Endpoint::Messages | Endpoint::MessagesCountTokens | Endpoint::BedrockConverse => {
                self.messages().last()?.text()
            }
            Endpoint::BedrockInvoke | Endpoint::ArgoChat => {
                let others = || {
                    let names = ["inputText", "message", "texts"].iter();
                    let mut names = names.filter(|_| self.endpoint == Endpoint::BedrockInvoke);
                    names.find_map(|name| self.document.get(name))
                };
                match self.document.get("prompt").or_else(others) {
                    Some(prompt) => message::content_text(prompt),
                    None => self.messages().last()?.text(),
                }
            }
            Endpoint::Completions => message::content_text(self.document.get("prompt")?),
            Endpoint::Embeddings => message::content_text(self.document.get("input")?),
            Endpoint::Responses => match json::string(self.document.get("input")?) {
                Some(text) => Some(text),
                None => self.last_item_text(),
            },
            Endpoint::GenerateContent | Endpoint::CountTokens => self.last_content_text(),
            Endpoint::EmbedContent => gemini_text(self.document.get("content")?),
            Endpoint::AsksageQuery
            | Endpoint::ArgoEmbed
            | Endpoint::Models
            | Endpoint::Passthrough => None,
        }
    }

    /// The most tokens the answer may have, by whichever name the format gives it.
    pub fn max_tokens(&self) -> Option<u64> {
        [
            "max_completion_tokens",
            "max_tokens",
            "max_output_tokens",
            "max_tokens_to_sample",
        ]
        .into_iter()
        .find_map(|key| self.document.get(key)?.parse().ok())
        .or_else(|| {
            [
                "generationConfig.maxOutputTokens",
                "inferenceConfig.maxTokens",
            ]
            .into_iter()
            .find_map(|path| self.document.get_path(path)?.parse().ok())
        })
    }

    /// The number at a path such as `temperature` or `metadata.turn`.
    pub fn number(&self, path: &str) -> Option<f64> {
        self.document.number(path)
    }

    /// The string at a path such as `metadata.team`.
    pub fn string(&self, path: &str) -> Option<String> {
        self.document.string(path).map(Cow::into_owned)
    }

    /// The JSON text of a top-level value, exactly as it stands.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.document.get(key)
    }

    /// Asks for another model; where the path names it, in the path.
    ///
    /// # Errors
    /// When the body is no JSON object.
    pub fn set_model(&mut self, model: &str) -> Result<(), BodyError> {
        if let Some(path) = &mut self.path {
            if path.model != model {
                model.clone_into(&mut path.model);
                path.revision += 1;
            }
            return Ok(());
        }
        self.set("model", &Value::from(model))
    }

    /// Replaces one top-level value, or adds it at the end.
    ///
    /// # Errors
    /// When the body is no JSON object.
    pub fn set(&mut self, key: &str, value: &Value) -> Result<(), BodyError> {
        self.document.set(key, value)?;
        self.forget();
        Ok(())
    }

    /// Takes out a top-level member. True when there was one.
    ///
    /// # Errors
    /// When the body is no JSON object.
    pub fn remove(&mut self, key: &str) -> Result<bool, BodyError> {
        let removed = self.document.remove(key)?;
        self.forget();
        Ok(removed)
    }

    /// Gives every prompt text (contents, text parts, refusals, tool results, `prompt`, `suffix`, `input`,
    /// `instructions`, `system`, text documents) to `edit`, and replaces those for which it returns a new one. True when any was
    /// replaced. Endpoints whose bodies have no texts are left alone.
    ///
    /// # Errors
    /// When the body is no JSON object.
    pub fn map_texts(
        &mut self,
        edit: &mut dyn FnMut(&str) -> Option<String>,
    ) -> Result<bool, BodyError> {
        let endpoint = self.endpoint;
        if !endpoint.has_texts() {
            return Ok(false);
        }
        self.check()?;
        let find = |whole: &str| texts::in_request(endpoint, whole);
        Ok(texts::map(&mut self.document, find, |_, text| edit(text)))
    }

    /// Every prompt text, in the order in which it stands.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        let find = |whole: &str| texts::in_request(self.endpoint, whole);
        texts::read(&self.document, find).map(|(_, text)| text)
    }

    /// Of the last input item that has a content: others, such as references, are no messages.
    fn last_item_text(&self) -> Option<Cow<'_, str>> {
        self.messages()
            .into_iter()
            .rev()
            .find_map(|message| message.text_if_message())?
    }

    fn last_content_text(&self) -> Option<Cow<'_, str>> {
        let contents = self
            .document
            .get("contents")
            .or_else(|| self.document.get_path("generateContentRequest.contents"))?;
        let last =
            json::items(contents).map_or(Some(contents), |contents| contents.last().copied());
        gemini_text(last?)
    }

    fn shared(&self, path: &str) -> Option<Arc<str>> {
        self.document.string(path).map(Arc::from)
    }

    fn forget(&mut self) {
        self.model = OnceLock::new();
        self.user = OnceLock::new();
    }
}

/// The text parts of one of Gemini's contents with line breaks between them, or the JSON of its parts.
fn gemini_text(content: &str) -> Option<Cow<'_, str>> {
    let texts: Vec<_> = gemini::texts_of_parts(content)
        .filter_map(json::string)
        .collect();
    match texts.is_empty() {
        true => json::member(content, "parts").map(Cow::Borrowed),
        false => Some(Cow::Owned(texts.join("\n"))),
    }
}

#[cfg(test)]
mod tests;
