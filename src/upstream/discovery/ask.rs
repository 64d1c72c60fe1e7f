//! Asks one provider for its whole list, with its own key and headers, within bounds of time and length.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::filter::Headers;
use crate::upstream::content_coding::decoded;
use crate::upstream::headers::to_upstream;
use crate::upstream::provider::{Models, Provider, ProviderKey};
use crate::upstream::transport::{
    BodyFailure, RequestBody, SendFailure, Transport, TransportOptions, UpstreamRequest,
};
use crate::wire::found::{Found, ListError, MOST_MODELS, Page};

/// Longest answers to one question, all pages together, in bytes.
pub const LIST_BYTES: usize = 16 * 1024 * 1024;

/// Most pages of a list.
const MOST_PAGES: usize = 100;

/// Why a provider gave no list.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskFailure {
    /// Its kind of API has none.
    #[error("this kind of provider has no list of models; name them under models.list")]
    NoList,
    /// It took too long.
    #[error("no list within {0:?}")]
    TimeLimit(Duration),
    /// It was not reached.
    #[error("{0}")]
    Send(#[from] SendFailure),
    /// Its answer broke off.
    #[error("{0}")]
    Body(#[from] BodyFailure),
    /// It answered with another status.
    #[error("it answers with {0}")]
    Status(u16),
    /// Its answers are too long.
    #[error("the list is longer than {LIST_BYTES} bytes")]
    TooLong,
    /// Its pages have no end.
    #[error("the list does not end")]
    Endless,
    /// What came is no list.
    #[error("{0}")]
    List(#[from] ListError),
}

/// What a question that costs nothing says of a provider's health. A list that cannot be read says nothing against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeFailure {
    /// It was not reached, or its answer broke off.
    #[error("it was not reached")]
    Unreached,
    /// It took too long.
    #[error("it did not answer in time")]
    TimeLimit,
    /// It answered with a status that speaks against it or its key: 401, 403, 429, 5xx.
    #[error("it answers with {0}")]
    Status(u16),
}

/// Asks for the whole list; at most `limit` is waited, for all pages together. Where a key is refused, the next one is shown.
///
/// # Errors
/// [`AskFailure`]; a list without a model is one.
pub async fn ask(
    provider: &Provider,
    transport: &Transport,
    limit: Duration,
) -> Result<Vec<Found>, AskFailure> {
    let models = provider.api.models.as_ref().ok_or(AskFailure::NoList)?;
    let listed = tokio::time::timeout(limit, by_any_key(provider, models, transport)).await;
    let listed = listed.map_err(|_| AskFailure::TimeLimit(limit))??;
    match listed.is_empty() {
        true => Err(ListError::Empty.into()),
        false => Ok(listed),
    }
}

/// A way to a provider, of this thread.
pub fn transport(provider: &Provider) -> Transport {
    Transport::new(&TransportOptions {
        connect: provider.timeouts.connect,
        tls: provider.tls.clone(),
    })
}

/// What an answer, or its absence, says of the provider's health.
pub fn health<T>(asked: &Result<T, AskFailure>) -> Result<(), ProbeFailure> {
    match asked {
        Ok(_) => Ok(()),
        Err(AskFailure::TimeLimit(_) | AskFailure::Send(SendFailure::ConnectTimeout)) => {
            Err(ProbeFailure::TimeLimit)
        }
        Err(AskFailure::Send(_) | AskFailure::Body(_)) => Err(ProbeFailure::Unreached),
        Err(AskFailure::Status(status @ (401 | 403 | 429 | 500..))) => {
            Err(ProbeFailure::Status(*status))
        }
        Err(
            AskFailure::NoList
            | AskFailure::Status(_)
            | AskFailure::TooLong
            | AskFailure::Endless
            | AskFailure::List(_),
        ) => Ok(()),
    }
}

async fn by_any_key(
    provider: &Provider,
    models: &Models,
    transport: &Transport,
) -> Result<Vec<Found>, AskFailure> {
    let mut keys = provider.keys.iter();
    let mut key = keys.next();
    loop {
        let listed = pages(provider, models, transport, key).await;
        match (listed, keys.next()) {
            (Err(AskFailure::Status(401 | 403)), Some(next)) => key = Some(next),
            (Err(AskFailure::List(error)), _) => {
                let secrets = provider
                    .keys
                    .iter()
                    .filter_map(|key| key.header(true)?.1.strip_prefix("Bearer "));
                return Err(error.without(secrets).into());
            }
            (listed, _) => return listed,
        }
    }
}

async fn pages(
    provider: &Provider,
    models: &Models,
    transport: &Transport,
    key: Option<&ProviderKey>,
) -> Result<Vec<Found>, AskFailure> {
    let mut listed = Vec::new();
    let mut after: Option<String> = None;
    let mut bytes_left = LIST_BYTES;
    for _ in 0..MOST_PAGES {
        let url = (models.url)(provider, after.as_deref());
        let body = page(provider, models, transport, key, &url, bytes_left).await?;
        bytes_left -= body.len();
        let Page { models, next } = (models.read)(&body)?;
        if MOST_MODELS < listed.len() + models.len() {
            return Err(ListError::TooMany.into());
        }
        listed.extend(models);
        match next {
            None => return Ok(listed),
            // It would come again and again.
            Some(_) if next == after => break,
            Some(_) => after = next,
        }
    }
    Err(AskFailure::Endless)
}

async fn page(
    provider: &Provider,
    models: &Models,
    transport: &Transport,
    key: Option<&ProviderKey>,
    url: &str,
    most_bytes: usize,
) -> Result<Bytes, AskFailure> {
    let nobody = Headers::default();
    let headers = to_upstream(&nobody, provider, key, url, false);
    let body = || match models.body {
        "" => RequestBody::None,
        body => RequestBody::Whole(Bytes::from_static(body.as_bytes())),
    };
    let request = || UpstreamRequest {
        method: models.method,
        url,
        headers: &headers,
        body: body(),
    };
    let reply = match transport.send(request()).await {
        Err(SendFailure::Stale) => transport.send_fresh(request()).await,
        reply => reply,
    }?;
    if reply.status != 200 {
        return Err(AskFailure::Status(reply.status));
    }
    let is_too_long = |length| most_bytes < length;
    let told = reply.content_length.map(usize::try_from);
    if told.is_some_and(|told| told.is_ok_and(is_too_long)) {
        return Err(AskFailure::TooLong);
    }
    let mut stream = decoded(reply).body;
    let mut body = BytesMut::new();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        if is_too_long(body.len() + piece.len()) {
            return Err(AskFailure::TooLong);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}
