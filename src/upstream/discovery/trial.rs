//! Tries whether a model can really be asked for, with the smallest call that there is: it costs a few tokens, so nothing
//! does it by itself.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde_json::{Map, Value, json};

use crate::filter::{Dialect, Endpoint, Headers};
use crate::upstream::content_coding::decoded;
use crate::upstream::headers::to_upstream;
use crate::upstream::provider::{Place, Provider};
use crate::upstream::transport::{
    RequestBody, SendFailure, Transport, UpstreamReply, UpstreamRequest,
};
use crate::wire::translate::{self, AnswerFacts, ClientFormat, Format, TranslateError};

/// Longest answer that is read, in bytes.
const ANSWER_BYTES: usize = 1024 * 1024;

/// A smallest call, written.
pub struct Trial<'a> {
    provider: &'a Provider,
    model: &'a str,
    format: Format,
    url: String,
    body: Bytes,
    /// Whether the provider cannot be told to stop after one token.
    pub is_unlimited: bool,
}

/// What came of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// The model answers.
    Answers,
    /// It is not there, or not for us: the status that says so.
    Refused(u16),
    /// That is not known: why.
    Unknown(String),
}

/// How a 404 speaks of the call and not of the model, which another call reaches.
const OTHER_CALL: &[&str] = &["not a chat model", "v1/completions", "v1/responses"];

/// Codes by which an error with another status speaks of the model.
const NO_MODEL: &[&str] = &["model_not_found", "DeploymentNotFound"];

/// Parts of names of models that are not for chats: a call for text says nothing of them, and some cost more than a few
/// tokens.
const NO_CHAT: &[&str] = &[
    "aqa",
    "audio",
    "babbage",
    "bge-",
    "dall-e",
    "davinci",
    "embed",
    "flux",
    "image",
    "moderation",
    "nano-banana",
    "realtime",
    "rerank",
    "sora",
    "speech",
    "stable-diffusion",
    "transcribe",
    "tts",
    "turbo-instruct",
    "v3large",
    "v3small",
    "veo-",
    "video",
    "whisper",
];

/// Whether a model is for chats, as far as its name tells.
pub fn is_for_chats(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !NO_CHAT.iter().any(|part| name.contains(part))
}

impl<'a> Trial<'a> {
    /// The smallest call for a model. `None` where the provider cannot be asked for text with a key that is shown.
    pub fn of(provider: &'a Provider, model: &'a str) -> Option<Self> {
        let generation = provider.generation(Endpoint::ChatCompletions)?;
        if provider.signs() {
            return None;
        }
        let format = Format::of(generation.endpoint)?;
        let asked = json!({
            "model": model, "max_tokens": 1, "messages": [{ "role": "user", "content": "hi" }],
        });
        let asked = asked.to_string();
        let client = ClientFormat::OpenaiChat;
        let (body, dropped) =
            translate::request(client, format, asked.as_bytes(), model, false).ok()?;
        let mut body: Map<String, Value> = serde_json::from_slice(&body).ok()?;
        for (name, value) in &provider.request_fields {
            body.insert((*name).to_owned(), value.clone());
        }
        let (rest, query) = (generation.place)(model, false);
        let own = provider.api.dialects.first();
        let dropped = dropped.into_fields();
        Some(Self {
            provider,
            model,
            format,
            url: provider.url(&Place {
                rest: &rest,
                query,
                model: Some(model),
                dialect: own.copied().unwrap_or(Dialect::Openai),
            }),
            body: Bytes::from(Value::Object(body).to_string()),
            is_unlimited: dropped.iter().any(|field| field == "max_tokens"),
        })
    }

    /// The provider.
    pub fn provider(&self) -> &'a Provider {
        self.provider
    }

    /// The model, as the provider calls it.
    pub fn model(&self) -> &'a str {
        self.model
    }

    /// Makes the call; at most `limit` is waited.
    pub async fn run(&self, transport: &Transport, limit: Duration) -> Tried {
        let answered = tokio::time::timeout(limit, self.answer(transport)).await;
        match answered {
            Err(_) => Tried::Unknown(format!("no answer within {limit:?}")),
            Ok(Err(failure)) => Tried::Unknown(failure.to_string()),
            Ok(Ok((status, body))) => self.judged(status, &body),
        }
    }

    async fn answer(&self, transport: &Transport) -> Result<(u16, Bytes), SendFailure> {
        let nobody = Headers::default();
        let headers = to_upstream(
            &nobody,
            self.provider,
            self.provider.keys.first(),
            &self.url,
            true,
        );
        let request = || UpstreamRequest {
            method: "POST",
            url: &self.url,
            headers: &headers,
            body: RequestBody::Whole(self.body.clone()),
        };
        let reply = match transport.send(request()).await {
            Err(SendFailure::Stale) => transport.send_fresh(request()).await,
            reply => reply,
        }?;
        let status = reply.status;
        Ok((status, read(reply).await))
    }

    fn judged(&self, status: u16, body: &[u8]) -> Tried {
        let unknown = |status| Tried::Unknown(format!("it answers with {status}"));
        match status {
            200 => self.judged_answer(body),
            403 => Tried::Refused(status),
            404 => {
                let said = translate::error_of(self.format, body).message;
                match OTHER_CALL.iter().any(|other| said.contains(other)) {
                    true => unknown(status),
                    false => Tried::Refused(status),
                }
            }
            400 | 422 => {
                let said = translate::error_of(self.format, body);
                let is_named = |code: &String| NO_MODEL.contains(&code.as_str());
                match said.code.as_ref().is_some_and(is_named) {
                    true => Tried::Refused(status),
                    // It knows the model well enough to find fault with the call.
                    false => Tried::Answers,
                }
            }
            status => unknown(status),
        }
    }

    /// Some providers tell a failure where an answer would stand.
    fn judged_answer(&self, body: &[u8]) -> Tried {
        let facts = AnswerFacts {
            request_id: String::new(),
            model: self.model.to_owned(),
            created_s: 0,
            include_usage: false,
            tools_in_words: false,
            echo: Map::new(),
        };
        let client = ClientFormat::OpenaiChat;
        match translate::answer(self.format, client, body, &facts) {
            Err(TranslateError::Reported(error)) => match error.status {
                Some(status @ (401 | 403 | 404)) => Tried::Refused(status),
                status => Tried::Unknown(format!(
                    "it reports an error ({})",
                    status.map_or_else(|| "no status".to_owned(), |status| status.to_string())
                )),
            },
            // One token may be none of text: that it is an answer is enough.
            Err(_) if serde_json::from_slice::<Map<String, Value>>(body).is_err() => {
                Tried::Unknown("its answer cannot be read".to_owned())
            }
            Ok(_) | Err(_) => Tried::Answers,
        }
    }
}

/// The beginning of a body, as far as it comes.
async fn read(reply: UpstreamReply) -> Bytes {
    let mut stream = decoded(reply).body;
    let mut body = BytesMut::new();
    while let Some(Ok(piece)) = stream.next().await {
        if ANSWER_BYTES < body.len() + piece.len() {
            break;
        }
        body.extend_from_slice(&piece);
    }
    body.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::headers::testing::provider;
    use crate::upstream::provider::Api;
    use crate::upstream::{anthropic, argo, asksage, azure, gemini, ocf, openai};

    #[test]
    fn calls_are_the_smallest_of_each_kind() {
        for (api, path, part, is_unlimited) in [
            (
                &openai::API,
                "/v1/chat/completions",
                r#""max_tokens":1"#,
                false,
            ),
            (
                &ocf::API,
                "/v1/v1/service/llm/v1/chat/completions",
                r#""model":"a/m""#,
                false,
            ),
            (
                &azure::API,
                "/v1/openai/deployments/a%2Fm/chat/completions?api-version=",
                r#""max_tokens":1"#,
                false,
            ),
            (
                &anthropic::API,
                "/v1/v1/messages",
                r#""max_tokens":1"#,
                false,
            ),
            (
                &gemini::API,
                "/v1/v1beta/models/a%2Fm:generateContent",
                r#""maxOutputTokens":1"#,
                false,
            ),
            (
                &argo::API,
                "/v1/api/v1/resource/chat/",
                r#""user":"alice""#,
                false,
            ),
            (&asksage::API, "/v1/query", r#""user":"alice""#, true),
        ] as [(&'static Api, _, _, _); 7]
        {
            let provider = Provider {
                request_fields: vec![("user", json!("alice"))],
                ..provider(Some("key"), api)
            };
            let trial = Trial::of(&provider, "a/m").expect(api.kind);
            let body = String::from_utf8_lossy(&trial.body);
            assert_eq!(
                trial.url.strip_prefix("http://localhost"),
                Some(path),
                "{}",
                api.kind
            );
            assert!(
                body.contains(part) && body.contains("hi"),
                "{}: {body}",
                api.kind
            );
            assert_eq!(trial.is_unlimited, is_unlimited, "{}: {body}", api.kind);
        }
    }

    #[test]
    fn what_an_answer_says_of_the_model() {
        let good = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"h"},"finish_reason":"length"}]}"#;
        let error = |words: &str, code: &str| {
            format!(r#"{{"error":{{"message":"{words}","code":"{code}"}}}}"#)
        };
        let unknown = |why: &str| Tried::Unknown(why.to_owned());
        let sage = |said: &str| format!(r#"{{"message":"{said}","response":"OK","status":200}}"#);
        for (api, status, body, expected) in [
            (&openai::API, 200, good.to_owned(), Tried::Answers),
            (&openai::API, 200, "{}".to_owned(), Tried::Answers),
            (
                &openai::API,
                200,
                "ERROR: no peer".to_owned(),
                unknown("its answer cannot be read"),
            ),
            (
                &openai::API,
                404,
                error("no such model", "model_not_found"),
                Tried::Refused(404),
            ),
            (
                &openai::API,
                404,
                error("This is not a chat model", ""),
                unknown("it answers with 404"),
            ),
            (&openai::API, 403, String::new(), Tried::Refused(403)),
            (
                &openai::API,
                400,
                error("use max_completion_tokens", "unsupported_parameter"),
                Tried::Answers,
            ),
            (
                &openai::API,
                400,
                error("no such model", "model_not_found"),
                Tried::Refused(400),
            ),
            (
                &openai::API,
                401,
                error("wrong key", "invalid_api_key"),
                unknown("it answers with 401"),
            ),
            (
                &openai::API,
                429,
                String::new(),
                unknown("it answers with 429"),
            ),
            (
                &openai::API,
                503,
                String::new(),
                unknown("it answers with 503"),
            ),
            (&asksage::API, 200, sage("hello"), Tried::Answers),
            (
                &asksage::API,
                200,
                sage("You are not authorized to use it"),
                Tried::Refused(401),
            ),
            (
                &asksage::API,
                200,
                sage("Sorry, this model is no longer available."),
                Tried::Refused(404),
            ),
            (
                &asksage::API,
                200,
                sage("Sorry, the model is overloaded."),
                unknown("it reports an error (503)"),
            ),
        ] as [(&'static Api, _, _, _); 15]
        {
            let provider = provider(Some("key"), api);
            let trial = Trial::of(&provider, "m").expect(api.kind);
            assert_eq!(
                trial.judged(status, body.as_bytes()),
                expected,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn names_tell_what_is_not_for_chats() {
        for (name, expected) in [
            ("gpt-4o-mini", true),
            ("Qwen/Qwen2.5-7B-Instruct", true),
            ("claude-3-haiku", true),
            ("text-embedding-3-small", false),
            ("google-imagen-4", false),
            ("gpt-image-1", false),
            ("DALL-E-3", false),
            ("gpt-3.5-turbo-instruct", false),
            ("models/veo-3", false),
        ] {
            assert_eq!(is_for_chats(name), expected, "{name}");
        }
    }
}
