//! Reads a request: its head into our own types, its JSON body whole and within limits, other bodies as a stream.

mod buffer;

use std::future::poll_fn;
use std::task::{Context, Waker};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

use crate::access_log::guard::RecordGuard;
use crate::filter::{Dialect, Endpoint, Headers};
use crate::pipeline::exchange::Body;
use crate::pipeline::failure::Failure;
use crate::server::ingest::buffer::BodyBuffer;
use crate::server::target::MAX_HEADER_BYTES;

/// Limits on reading a body.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Longest body that is held whole, in bytes.
    pub max_bytes: usize,
    /// Longest wait for the next piece.
    pub idle: Duration,
    /// Longest time that the client may take for all of it.
    pub total: Duration,
    /// Most bytes that are stored of one that is not held.
    pub stored_of_upload: u64,
}

/// What of a body that is refused is kept for the record, in bytes.
const KEPT_OF_REFUSED: usize = 64 * 1024;

/// The request's headers in our own type.
pub fn headers(request: &HttpRequest) -> Headers {
    Headers::from_pairs(
        request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes())),
    )
}

/// Refuses heads that are larger than we take. More than 96 headers never come here: the HTTP library answers 431.
///
/// # Errors
/// [`Failure::HeadersTooLarge`].
pub fn check_head(request: &HttpRequest) -> Result<(), Failure> {
    let headers = request.headers();
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if MAX_HEADER_BYTES < bytes {
        return Err(Failure::HeadersTooLarge);
    }
    Ok(())
}

/// Reads the body, or hands it on as a stream where it is not JSON.
///
/// # Errors
/// [`Failure`] when it is too long, too slow, or broken; what came of it is on record then.
pub async fn body(
    headers: &Headers,
    (endpoint, dialect): (Endpoint, Dialect),
    mut payload: Payload,
    limits: BodyLimits,
    guard: &mut RecordGuard,
) -> Result<Body, Failure> {
    let length = headers
        .get("content-length")
        .and_then(|text| text.trim().parse::<u64>().ok());
    let chunked = headers.get("transfer-encoding").is_some();
    if length.unwrap_or(0) == 0 && !chunked {
        return Ok(match endpoint {
            // An empty body is not JSON: the check says so.
            Endpoint::ChatCompletions
            | Endpoint::Completions
            | Endpoint::Embeddings
            | Endpoint::Responses
            | Endpoint::Messages
            | Endpoint::MessagesCountTokens
            | Endpoint::GenerateContent
            | Endpoint::CountTokens
            | Endpoint::EmbedContent
            | Endpoint::BedrockInvoke
            | Endpoint::BedrockConverse
            | Endpoint::ArgoChat => Body::Whole(Bytes::new()),
            Endpoint::AsksageQuery
            | Endpoint::ArgoEmbed
            | Endpoint::Models
            | Endpoint::Passthrough => Body::None,
        });
    }
    // Bedrock's requests are signed with their bodies.
    let is_held = endpoint != Endpoint::Passthrough || dialect == Dialect::Bedrock;
    if !is_held && !is_json(headers) {
        guard.store_less_of_request(limits.stored_of_upload);
        return Ok(Body::Flowing(flowing(payload, limits), length));
    }
    if (limits.max_bytes as u64) < length.unwrap_or(0) {
        read_prefix(&mut payload, guard, limits).await;
        return Err(Failure::BodyTooLarge {
            limit: limits.max_bytes as u64,
        });
    }
    read_whole(payload, length, limits, guard)
        .await
        .map(Body::Whole)
}

fn is_json(headers: &Headers) -> bool {
    let content_type = headers.get("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

async fn read_whole(
    mut payload: Payload,
    length: Option<u64>,
    limits: BodyLimits,
    guard: &mut RecordGuard,
) -> Result<Bytes, Failure> {
    let deadline = tokio::time::Instant::now() + limits.total;
    let mut buffer = BodyBuffer::new(length, limits.max_bytes);
    let mut is_first = true;
    let failure = loop {
        let until = deadline.min(tokio::time::Instant::now() + limits.idle);
        let next = next_piece(&mut payload, std::mem::take(&mut is_first));
        match tokio::time::timeout_at(until, next).await {
            Err(_) => break Failure::BodyTimeout,
            Ok(Some(Err(error))) => break body_failure(&error),
            Ok(None) => {
                let body = buffer.freeze();
                guard.request_body(body.clone());
                return Ok(body);
            }
            Ok(Some(Ok(piece))) => {
                buffer.push(piece);
                if limits.max_bytes < buffer.len() {
                    break Failure::BodyTooLarge {
                        limit: limits.max_bytes as u64,
                    };
                }
            }
        }
    };
    let came = buffer.freeze();
    guard.request_cut(&came, came.len().min(KEPT_OF_REFUSED));
    Err(failure)
}

/// The next piece of a body.
///
/// actix calls us before it hands over what came of the body together with the head. It does that in the same turn, and
/// polls us again by itself: a waker left at the first look would wake our own task once more for nothing.
async fn next_piece(payload: &mut Payload, is_first: bool) -> Option<Result<Bytes, PayloadError>> {
    let mut is_first_look = is_first;
    poll_fn(|cx| match std::mem::take(&mut is_first_look) {
        true => payload.poll_next_unpin(&mut Context::from_waker(Waker::noop())),
        false => payload.poll_next_unpin(cx),
    })
    .await
}

/// Reads what has come of a body that is refused for its length.
async fn read_prefix(payload: &mut Payload, guard: &mut RecordGuard, limits: BodyLimits) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(1).min(limits.idle);
    let mut kept = BytesMut::new();
    while kept.len() < KEPT_OF_REFUSED {
        match tokio::time::timeout_at(deadline, payload.next()).await {
            Ok(Some(Ok(piece))) => kept.extend_from_slice(&piece),
            Ok(Some(Err(_)) | None) | Err(_) => break,
        }
    }
    guard.request_cut(&kept, kept.len().min(KEPT_OF_REFUSED));
}

fn body_failure(error: &PayloadError) -> Failure {
    match error {
        PayloadError::Incomplete(_) | PayloadError::Io(_) => Failure::ClientGone,
        PayloadError::Overflow => Failure::HeadersTooLarge,
        _ => Failure::BodyBroken,
    }
}

/// What an upload must bring a second, in bytes, to go on for longer than the total limit.
const SLOWEST_UPLOAD: f64 = 64.0 * 1024.0;

/// A body that is not held: each piece must come within the idle limit, and all waits for the client together must not
/// last longer than the total. What comes at [`SLOWEST_UPLOAD`] or faster costs nothing of it: a long upload may take
/// its time, a drip may not. Time that the upstream takes to accept a piece does not count.
fn flowing(
    payload: Payload,
    limits: BodyLimits,
) -> std::pin::Pin<Box<dyn Stream<Item = std::io::Result<Bytes>>>> {
    let whole = Some(limits.total); // `None` after a failure
    Box::pin(futures_util::stream::unfold(
        (payload, whole),
        move |(mut payload, left)| async move {
            let left = left?;
            let asked_at = tokio::time::Instant::now();
            match tokio::time::timeout(limits.idle.min(left), payload.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(piece))) => {
                    let earned = Duration::from_secs_f64(piece.len() as f64 / SLOWEST_UPLOAD);
                    let left = (left + earned).saturating_sub(asked_at.elapsed());
                    let left = left.min(limits.total);
                    Some((Ok(piece), (payload, Some(left))))
                }
                Ok(Some(Err(error))) => {
                    let kind = match body_failure(&error) {
                        Failure::ClientGone => std::io::ErrorKind::UnexpectedEof,
                        _ => std::io::ErrorKind::InvalidData,
                    };
                    Some((Err(kind.into()), (payload, None)))
                }
                Err(_) => Some((Err(std::io::ErrorKind::TimedOut.into()), (payload, None))),
            }
        },
    ))
}
