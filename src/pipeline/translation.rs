//! Calls for providers that do not understand the client: the request is written anew in the provider's format, and its
//! answer is translated back before anything else looks at it, so that filters, relays and the record's client side know
//! one format only. What came from upstream goes to the record by a tap.

mod events;
mod shape;
pub(super) mod text;

use std::time::Instant;

use bytes::Bytes;

use crate::access_log::guard::RecordGuard;
use crate::access_log::redact::Secrets;
use crate::filter::{Dialect, Endpoint, Headers};
use crate::pipeline::answer::{Kind, classify, framing, read_bounded, refuses_our_key};
use crate::pipeline::failure::Failure;
use crate::pipeline::translation::events::{Decoder, Events};
pub use crate::pipeline::translation::shape::Shape;
use crate::pipeline::translation::text::TextDecoder;
use crate::pipeline::{Worker, collected};
use crate::upstream::provider::{Generation, Place, Provider, Timeouts};
use crate::upstream::transport::{UpstreamBody, UpstreamReply};
use crate::wire::bedrock::{self, error_name, error_status};
use crate::wire::translate::{
    self, AnswerFacts, ClientFormat, Format, ProviderError, StreamTranslator, TranslateError,
    embeddings,
};

/// What is asked, and how.
pub struct Asked<'a> {
    /// The client's API.
    pub client: Endpoint,
    /// The client's body.
    pub body: &'a [u8],
    /// The model's name at the provider.
    pub model: &'a str,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// What the stream is to be made of.
    pub shape: Shape,
    /// Members that the provider's settings add.
    pub settings: &'a [(&'static str, serde_json::Value)],
    /// What the client's format says and the provider's does not.
    pub facts: AnswerFacts,
}

/// A call that is translated, once its request is.
pub struct Translation {
    formats: Formats,
    endpoint: Endpoint,
    rest: String,
    query: &'static str,
    stream: bool,
    shape: Shape,
    facts: AnswerFacts,
}

/// Between which formats.
#[derive(Clone, Copy)]
enum Formats {
    /// Of text.
    Text(ClientFormat, Format),
    /// Of embeddings.
    Embeddings(embeddings::Call),
}

/// Whether calls of this endpoint can be translated at all.
pub fn is_translated(endpoint: Endpoint) -> bool {
    ClientFormat::of(endpoint).is_some() || embeddings::Format::of(endpoint).is_some()
}

/// A request in the provider's format.
pub struct Written {
    /// The call.
    pub translation: Translation,
    /// Its body.
    pub body: Bytes,
    /// Fields of the client's that could not be carried.
    pub dropped: Vec<String>,
}

impl Translation {
    /// Writes the request in the provider's format.
    ///
    /// # Errors
    /// [`Failure`] when it asks for what that format cannot say.
    pub fn begin(asked: Asked<'_>, generation: &Generation) -> Result<Written, Failure> {
        let text = ClientFormat::of(asked.client).zip(Format::of(generation.endpoint));
        let vectors =
            embeddings::Format::of(asked.client).zip(embeddings::Format::of(generation.endpoint));
        let (formats, body, dropped) = match (text, vectors) {
            (Some((client, provider)), _) => {
                let written =
                    translate::request(client, provider, asked.body, asked.model, asked.stream);
                let (body, dropped) = written.map_err(unwritten)?;
                (Formats::Text(client, provider), body, dropped)
            }
            (None, Some((client, provider))) => {
                let written = embeddings::request(client, provider, asked.body, asked.model);
                let (call, body, dropped) = written.map_err(unwritten)?;
                (Formats::Embeddings(call), body, dropped)
            }
            (None, None) => return Err(Failure::Internal),
        };
        let body = with_settings(body, asked.settings);
        let (streams, tools_in_words, echo) = match formats {
            Formats::Text(client, provider) => (
                asked.stream && provider.streams(&body),
                provider.tells_tools_in_words(&body),
                translate::echo(client, asked.body),
            ),
            Formats::Embeddings(_) => (false, false, serde_json::Map::new()),
        };
        let (rest, query) = (generation.place)(asked.model, streams);
        Ok(Written {
            translation: Self {
                formats,
                endpoint: generation.endpoint,
                rest,
                query,
                stream: asked.stream && text.is_some(),
                shape: asked.shape,
                facts: AnswerFacts {
                    echo,
                    tools_in_words,
                    ..asked.facts
                },
            },
            body: Bytes::from(body),
            dropped: dropped.into_fields(),
        })
    }

    /// Where the provider takes it.
    pub fn url(&self, provider: &Provider, model: Option<&str>) -> String {
        let own = provider.api.dialects.first();
        provider.url(&Place {
            rest: &self.rest,
            query: self.query,
            model,
            dialect: own.copied().unwrap_or(Dialect::Openai),
        })
    }

    /// The answer in the client's format: whole ones once they are there, streams event by event.
    ///
    /// # Errors
    /// [`Failure`] when it is an error, or cannot be read.
    pub async fn answer(
        self,
        reply: UpstreamReply,
        provider: &Provider,
        timeouts: &Timeouts,
        worker: &Worker,
        guard: &mut RecordGuard,
    ) -> Result<UpstreamReply, Failure> {
        let tap = guard.translated_to(self.endpoint);
        let is_text =
            matches!(self.formats, Formats::Text(_, Format::Argo)) && text::is_text(&reply);
        let kind = match classify(&reply, self.endpoint) {
            Err(Failure::UpstreamBadContentType) if is_text && self.stream => Ok(Kind::Events),
            kind => kind,
        };
        match kind {
            Err(failure) => {
                let body = read_bounded(reply.body, provider).await;
                guard.upstream_ends(Instant::now());
                let notice = text::notice(&body).filter(|_| is_text);
                tap.piece(body);
                Err(notice.map_or(failure, text::refused))
            }
            Ok(Kind::Error) => {
                let body = read_bounded(reply.body, provider).await;
                guard.upstream_ends(Instant::now());
                tap.piece(body.clone());
                let refused_our_key = refuses_our_key(provider, reply.status, &body);
                let kind = reply.headers.get(bedrock::ERROR_TYPE).map(error_name);
                // Who says that it is the provider's own fault does not mislead.
                let misleads = reply.status < 500;
                let meant = kind.as_deref().filter(|_| misleads).and_then(error_status);
                let status = meant.unwrap_or(reply.status);
                Err(match refused_our_key {
                    true => Failure::UpstreamAuth { status },
                    false => Failure::UpstreamSaid {
                        status,
                        // What it says may hold our key.
                        error: self.error(&guard.secrets().mask(body), kind),
                    },
                })
            }
            Ok(Kind::Whole) => {
                let body = collected::read(reply.body, timeouts, guard.started(), worker)
                    .await
                    .map_err(|unread| {
                        guard.upstream_ends(Instant::now());
                        tap.piece(unread.came);
                        unread.failure
                    })?;
                tap.piece(body.clone());
                // Who asked for a stream gets one, also of a provider that has none.
                let content_type = self.content_type();
                let written = match self.formats {
                    Formats::Embeddings(call) => embeddings::answer(call, &body, &self.facts),
                    Formats::Text(client, provider) => {
                        let write: Write = match self.stream {
                            true => translate::answer_as_stream,
                            false => translate::answer,
                        };
                        write(provider, client, &body, &self.facts)
                    }
                };
                let (made, dropped) =
                    written.map_err(|error| untold(error, provider, guard.secrets()))?;
                tap.dropped(dropped.into_fields());
                let made = match self.stream {
                    true => self.shape.whole(made)?,
                    false => Bytes::from(made),
                };
                Ok(UpstreamReply {
                    headers: headers(&reply.headers, content_type),
                    content_length: (!self.stream).then_some(made.len() as u64),
                    body: UpstreamBody::whole(made),
                    ..reply
                })
            }
            Ok(Kind::Events) => {
                let Formats::Text(client, provider_format) = self.formats else {
                    tap.piece(read_bounded(reply.body, provider).await);
                    guard.upstream_ends(Instant::now());
                    return Err(Failure::UpstreamBadContentType);
                };
                let (reply, decoder) = match is_text {
                    false => {
                        let decoder = Decoder::new(framing(&reply), provider.max_event_bytes);
                        (reply, decoder)
                    }
                    true => {
                        let begun =
                            text::unnoticed(reply, provider, timeouts, worker, guard.started())
                                .await;
                        let reply = begun.map_err(|said| {
                            guard.upstream_ends(Instant::now());
                            let error = text::notice(&said).unwrap_or_default();
                            tap.piece(said);
                            text::refused(error)
                        })?;
                        (reply, Decoder::Text(TextDecoder::default()))
                    }
                };
                Ok(UpstreamReply {
                    headers: headers(&reply.headers, self.content_type()),
                    content_length: None,
                    body: UpstreamBody::made(Box::pin(Events {
                        body: reply.body,
                        decoder,
                        translator: StreamTranslator::new(provider_format, client, &self.facts),
                        max_event_bytes: provider.max_event_bytes,
                        tap,
                        writer: self.shape.writer(),
                        secrets: worker.secrets.clone(),
                        is_over: false,
                        failure: None,
                    })),
                    ..reply
                })
            }
        }
    }

    fn content_type(&self) -> &'static str {
        match self.stream {
            true => self.shape.content_type(),
            false => "application/json",
        }
    }

    /// What an error answer of the provider's says; `kind`: what its head says.
    fn error(&self, body: &[u8], kind: Option<String>) -> ProviderError {
        let error = match self.formats {
            Formats::Text(_, provider) => translate::error_of(provider, body),
            Formats::Embeddings(_) => translate::error(body),
        };
        ProviderError {
            kind: error.kind.or(kind),
            ..error
        }
    }
}

/// A body of ours, which is an object with members, with further ones.
fn with_settings(body: Vec<u8>, settings: &[(&'static str, serde_json::Value)]) -> Vec<u8> {
    let Some((b'{', rest)) = body.split_first().filter(|_| !settings.is_empty()) else {
        return body;
    };
    let settings = settings.iter();
    let settings: String = settings
        .map(|(name, value)| format!("\"{name}\":{value},"))
        .collect();
    [b"{", settings.as_bytes(), rest].concat()
}

/// Why an answer with a good status is not given: it tells a failure, or cannot be read.
pub(super) fn untold(error: TranslateError, provider: &Provider, secrets: &Secrets) -> Failure {
    let TranslateError::Reported(error) = error else {
        return error.into();
    };
    match error.status {
        Some(status @ (401 | 403)) if provider.has_key() => Failure::UpstreamAuth { status },
        status => Failure::UpstreamSaid {
            status: status.unwrap_or(502),
            error: ProviderError {
                message: secrets.mask_text(&error.message),
                ..error
            },
        },
    }
}

/// Writes an answer in another format.
type Write = fn(
    Format,
    ClientFormat,
    &[u8],
    &AnswerFacts,
) -> Result<(Vec<u8>, translate::Dropped), TranslateError>;

/// The headers of a translated answer: what is said of the upstream's bytes is not said of ours.
fn headers(upstream: &Headers, content_type: &'static str) -> Headers {
    const OF_THE_BYTES: &[&str] = &[
        "content-type",
        "content-length",
        "content-encoding",
        "content-md5",
        "digest",
        "etag",
        "transfer-encoding",
    ];
    let kept = upstream
        .iter()
        .filter(|(name, _)| !OF_THE_BYTES.contains(name));
    Headers::from_pairs(kept.chain([("content-type", content_type.as_bytes())]))
}

/// Why a request is not sent.
fn unwritten(error: TranslateError) -> Failure {
    match error {
        TranslateError::Unsupported { field, reason } => Failure::Untranslatable {
            field,
            reason: reason.to_owned(),
        },
        TranslateError::Invalid { field, expected } => Failure::Untranslatable {
            field,
            reason: format!("it must be {expected}"),
        },
        other => Failure::InvalidJson {
            reason: other.to_string(),
        },
    }
}

/// Why an answer is not given.
impl From<TranslateError> for Failure {
    fn from(error: TranslateError) -> Self {
        match error {
            TranslateError::Reported(error) => Self::UpstreamSaid {
                status: error.status.unwrap_or(502),
                error,
            },
            other => Self::UpstreamProtocol {
                detail: other.to_string(),
            },
        }
    }
}
