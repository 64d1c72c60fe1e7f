//! What becomes of an upstream's answer: which kind it is, which headers the client gets, who relays its body.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt;

use crate::access_log::draft::RecordedError;
use crate::access_log::guard::RecordGuard;
use crate::filter::{ChainRun, Delivery, Endpoint, Headers, Outcome};
use crate::pipeline::blame::blame_for;
use crate::pipeline::failure::{Failure, of_upstream_status};
use crate::pipeline::link::ClientLink;
use crate::pipeline::reply::{
    Reply, ReplyBody, ReplyHeaders, note_failure, note_headers, own_headers, refuse,
};
use crate::pipeline::translation::Translation;
use crate::pipeline::{Worker, argo, collected, events, filtering, whole};
use crate::upstream::headers::to_client;
use crate::upstream::provider::{Provider, Timeouts};
use crate::upstream::transport::{UpstreamBody, UpstreamReply};
use crate::wire::stream_scanner::Framing;
use crate::wire::{self, aws_event_stream};

/// What the client asked for, as far as the answer depends on it.
pub struct Asked {
    /// Which API.
    pub endpoint: Endpoint,
    /// Whether it asked for a stream.
    pub stream: bool,
    /// Whether we asked for usage on our own account.
    pub usage_asked: bool,
    /// Our id, as text.
    pub request_id: String,
    /// When the head of the answer was there.
    pub since: Instant,
    /// The time limits.
    pub timeouts: Timeouts,
    /// Whether the answer is one of ours: of an array, each piece has whole items.
    pub is_translated: bool,
    /// How the answer comes to the client's format, where it is in another one.
    pub translation: Option<Translation>,
}

/// Longest error body that is read whole, in bytes.
pub(super) const MAX_ERROR_BODY_BYTES: usize = 1024 * 1024;

/// An answer's head, in the client's format.
///
/// # Errors
/// [`Failure`] when the answer is one, or cannot be read.
pub(super) async fn opened(
    worker: &Worker,
    provider: &Provider,
    asked: &mut Asked,
    reply: UpstreamReply,
    guard: &mut RecordGuard,
) -> Result<UpstreamReply, Failure> {
    match asked.translation.take() {
        Some(translation) => {
            let answered = translation.answer(reply, provider, &asked.timeouts, worker, guard);
            Box::pin(answered).await
        }
        None if asked.endpoint == Endpoint::ArgoChat => {
            let answered = argo::unnoticed(reply, asked, provider, worker, guard);
            Box::pin(answered).await
        }
        None => Ok(reply),
    }
}

/// Ends an exchange that nobody answered. `kept`: what the upstream says about trying again.
pub(super) fn unanswered(
    worker: &Worker,
    failure: &Failure,
    request_id: &str,
    kept: Waits,
    filters: Option<&ChainRun>,
    mut guard: RecordGuard,
) -> Reply {
    blame_for(failure, &mut guard);
    note_filters(filters, &mut guard);
    let mut refused = refuse(guard, failure, request_id, worker.form.as_ref());
    refused.headers.extend(kept);
    refused
}

/// Turns the upstream's answer, its head in the client's format, into the client's.
pub async fn answer(
    worker: &Rc<Worker>,
    provider: &Provider,
    asked: Asked,
    reply: UpstreamReply,
    mut filters: Option<ChainRun>,
    mut guard: RecordGuard,
    link: ClientLink,
) -> Reply {
    let is_text = argo::is_text(asked.endpoint, &reply);
    let kind = match classify(&reply, asked.endpoint) {
        Err(Failure::UpstreamBadContentType) if is_text => Ok(Kind::Whole),
        kind => kind,
    };
    let kind = match kind {
        Ok(kind) => kind,
        Err(failure) => {
            note_filters(filters.as_ref(), &mut guard);
            Box::pin(keep_upstream_body(&mut guard, reply.body, provider)).await;
            return refuse(guard, &failure, &asked.request_id, worker.form.as_ref());
        }
    };
    let delivery = match kind {
        Kind::Events => Delivery::Streamed,
        Kind::Whole | Kind::Error => Delivery::Whole,
    };
    let is_array =
        asked.stream && asked.endpoint == Endpoint::GenerateContent && matches!(kind, Kind::Whole);
    let holds_json = matches!(kind, Kind::Events) || asked.endpoint != Endpoint::Passthrough;
    let run = filters.as_mut().filter(|run| {
        let wanted = match is_array {
            // Its items cannot be held back one by one: whoever looks at them gets all of them.
            true => run.needs_whole_response(Delivery::Streamed) || run.has_stream_hooks(),
            false => run.needs_whole_response(delivery),
        };
        holds_json && wanted
    });
    match (kind, run) {
        (Kind::Error, _) => {
            note_filters(filters.as_ref(), &mut guard);
            Box::pin(error(worker, provider, asked, reply, guard)).await
        }
        (Kind::Whole, Some(run)) if is_array => {
            let delivery = Delivery::Streamed;
            Box::pin(collected(
                worker, provider, asked, reply, run, delivery, guard,
            ))
            .await
        }
        (Kind::Whole, Some(run)) => {
            Box::pin(collected(
                worker, provider, asked, reply, run, delivery, guard,
            ))
            .await
        }
        (Kind::Events, Some(run)) => {
            Box::pin(collected(
                worker, provider, asked, reply, run, delivery, guard,
            ))
            .await
        }
        (Kind::Events, None) => {
            let chain = match filters.as_mut().map(ChainRun::open_stream) {
                None => None,
                Some(Ok(chain)) => chain,
                Some(Err(stop)) => {
                    note_filters(filters.as_ref(), &mut guard);
                    let failure = filtering::failure(stop);
                    return refuse(guard, &failure, &asked.request_id, worker.form.as_ref());
                }
            };
            note_filters(filters.as_ref(), &mut guard);
            let (status, headers) = head(worker, &reply, &mut guard);
            let pieces = events::relay(worker, provider, asked, reply, chain, guard, link);
            Reply {
                status,
                headers,
                body: ReplyBody::Pieces(pieces, None),
                close: false,
            }
        }
        (Kind::Whole, None) => {
            note_filters(filters.as_ref(), &mut guard);
            let (status, headers) = head(worker, &reply, &mut guard);
            let length = reply.content_length;
            guard.closed_mut().response_is_stream = is_text;
            match whole::relay(worker, asked, reply, guard, link).await {
                Ok(ReplyBody::Pieces(pieces, _)) => Reply {
                    status,
                    headers,
                    body: ReplyBody::Pieces(pieces, length),
                    close: false,
                },
                Ok(body @ ReplyBody::Whole(_)) => Reply {
                    status,
                    headers,
                    body,
                    close: false,
                },
                Err(refused) => refused,
            }
        }
    }
}

fn note_filters(filters: Option<&ChainRun>, guard: &mut RecordGuard) {
    if let Some(run) = filters {
        filtering::note(run, guard);
    }
}

/// An answer that a response filter sees whole, streamed or not.
async fn collected(
    worker: &Worker,
    provider: &Provider,
    asked: Asked,
    reply: UpstreamReply,
    run: &mut ChainRun,
    delivery: Delivery,
    mut guard: RecordGuard,
) -> Reply {
    let is_array = delivery == Delivery::Streamed && !is_events(&reply);
    let is_text = argo::is_text(asked.endpoint, &reply);
    let framing = framing(&reply);
    let (status, headers) = head(worker, &reply, &mut guard);
    let read = collected::read(reply.body, &asked.timeouts, guard.started(), worker).await;
    guard.upstream_ends(Instant::now());
    let mut outcome = Outcome::Ok;
    let filtered = match (read, delivery) {
        (Err(unread), _) => {
            if !unread.came.is_empty() {
                guard.upstream_response_piece(unread.came);
            }
            if let Failure::UpstreamUnreachable { .. } = &unread.failure {
                blame_for(&unread.failure, &mut guard);
            }
            Err(unread.failure)
        }
        (Ok(body), Delivery::Whole) if is_text => {
            argo::filter_text(run, status, body, &mut guard).await
        }
        (Ok(body), Delivery::Whole) => {
            collected::filter_whole(run, asked.endpoint, status, body, &mut guard).await
        }
        (Ok(body), Delivery::Streamed) if is_array => {
            let made = collected::filter_array(run, &asked, status, body, &mut guard).await;
            made.map(|(body, has_error)| {
                if has_error {
                    outcome = Outcome::UpstreamError;
                }
                body
            })
        }
        (Ok(body), Delivery::Streamed) => {
            let repair = worker.settings.repair_streams;
            let stream = collected::mend(body, framing, &asked, repair, &mut guard);
            if stream.has_error {
                outcome = Outcome::UpstreamError;
            }
            let made =
                collected::filter_stream(run, asked.endpoint, &stream, provider.max_event_bytes)
                    .await;
            if made.as_ref().ok() != Some(&stream.bytes) {
                guard.upstream_response_piece(stream.bytes);
            }
            made
        }
    };
    filtering::note(run, &mut guard);
    match filtered {
        Err(failure) => refuse(guard, &failure, &asked.request_id, worker.form.as_ref()),
        Ok(body) => {
            let now = Instant::now();
            let is_stream = delivery == Delivery::Streamed && !is_array || is_text;
            guard.closed_mut().response_is_stream = is_stream;
            guard.closed_mut().response_complete = Some(outcome == Outcome::Ok);
            match is_stream {
                true => guard.stream_piece(body.clone(), now),
                false => guard.response_piece(body.clone()),
            }
            guard.first_byte(now);
            guard.end(outcome);
            guard.finish();
            Reply {
                status,
                headers,
                body: ReplyBody::Whole(body),
                close: false,
            }
        }
    }
}

/// What an answer is.
pub(super) enum Kind {
    /// An event stream.
    Events,
    /// Anything else with a good status.
    Whole,
    /// An error status.
    Error,
}

/// What an answer is, by its status and type.
///
/// # Errors
/// [`Failure`] when it is none to this call.
pub(super) fn classify(reply: &UpstreamReply, endpoint: Endpoint) -> Result<Kind, Failure> {
    match reply.status {
        ..200 => {
            let detail = format!("interim status {}", reply.status);
            return Err(Failure::UpstreamProtocol { detail });
        }
        300..=303 | 305..=399 => return Err(Failure::UpstreamRedirect),
        400.. => return Ok(Kind::Error),
        _ => {}
    }
    if is_events(reply) {
        return Ok(Kind::Events);
    }
    let wants_json = endpoint != Endpoint::Passthrough && !matches!(reply.status, 204 | 304);
    if wants_json && !is_json(media_type(reply)) {
        return Err(Failure::UpstreamBadContentType);
    }
    Ok(Kind::Whole)
}

pub(super) fn media_type(reply: &UpstreamReply) -> &str {
    let content_type = reply.headers.get("content-type").unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim()
}

pub(super) fn is_events(reply: &UpstreamReply) -> bool {
    media_type(reply).eq_ignore_ascii_case("text/event-stream") || framing(reply) == Framing::Frames
}

/// What a stream is made of.
pub(super) fn framing(reply: &UpstreamReply) -> Framing {
    match media_type(reply).eq_ignore_ascii_case(aws_event_stream::CONTENT_TYPE) {
        true => Framing::Frames,
        false => Framing::Events,
    }
}

pub(super) fn is_json(media_type: &str) -> bool {
    let suffix = media_type.rsplit('+').next().unwrap_or_default();
    media_type.eq_ignore_ascii_case("application/json")
        || (suffix.len() < media_type.len() && suffix.eq_ignore_ascii_case("json"))
}

/// Status and headers for the client, put on record.
fn head(worker: &Worker, reply: &UpstreamReply, guard: &mut RecordGuard) -> (u16, ReplyHeaders) {
    let passed = to_client(&reply.headers, worker.settings.cors, |value| {
        guard.secrets().occur_in(value)
    });
    let mut headers = ReplyHeaders::of_upstream(Headers::from_pairs(passed));
    note_headers(guard, &headers);
    headers.extend(own_headers(guard));
    guard.closed_mut().status_code = reply.status;
    (reply.status, headers)
}

/// An upstream's own error: a JSON body passes with its status, other bodies get our shape.
async fn error(
    worker: &Worker,
    provider: &Provider,
    asked: Asked,
    reply: UpstreamReply,
    mut guard: RecordGuard,
) -> Reply {
    let status = reply.status;
    let kept = waits(&reply.headers);
    let kind = reply
        .headers
        .get(wire::bedrock::ERROR_TYPE)
        .map(str::to_owned);
    let (_, headers) = head(worker, &reply, &mut guard);
    let body = read_bounded(reply.body, provider).await;
    guard.upstream_ends(Instant::now());
    let refused_our_key = refuses_our_key(provider, status, &body);
    let is_whole_json = serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
    if refused_our_key || !is_whole_json {
        guard.upstream_response_piece(body);
        let failure = match refused_our_key {
            true => Failure::UpstreamAuth { status },
            false => Failure::UpstreamStatus { status },
        };
        let mut refused = refuse(guard, &failure, &asked.request_id, worker.form.as_ref());
        if !refused_our_key {
            refused.headers.extend(kept);
        }
        return refused;
    }
    let shown = guard.secrets().mask(body.clone());
    if shown != body {
        guard.upstream_response_piece(body);
    }
    note_upstream_error(&mut guard, &shown, kind.as_deref());
    guard.response_piece(shown.clone());
    guard.closed_mut().response_complete = Some(true);
    guard.end(of_upstream_status(status));
    guard.finish();
    Reply {
        status,
        headers,
        body: ReplyBody::Whole(shown),
        close: false,
    }
}

/// Whether an error answer is about our key. Some providers refuse models with the same status.
pub(super) fn refuses_our_key(provider: &Provider, status: u16, body: &[u8]) -> bool {
    let says = |words: &&str| memchr::memmem::find(body, words.as_bytes()).is_some();
    let quirks = provider.quirks;
    let is_of_key = match status {
        400 => quirks.key_refusals.iter().any(says),
        401 | 403 => !quirks.model_refusals.iter().any(says),
        _ => false,
    };
    is_of_key && provider.has_key()
}

/// What an upstream says about trying again.
pub(super) type Waits = Vec<(&'static str, Bytes)>;

/// What an upstream says about trying again, for an error in our words.
pub(super) fn waits(headers: &Headers) -> Waits {
    let wanted = ["retry-after", "retry-after-ms"].into_iter();
    wanted
        .filter_map(|name| Some((name, Bytes::copy_from_slice(headers.get_bytes(name)?))))
        .collect()
}

/// Type, code and message of an upstream's JSON error, for the row. `kind`: what Bedrock says in a header.
fn note_upstream_error(guard: &mut RecordGuard, body: &[u8], kind: Option<&str>) {
    #[derive(serde::Deserialize)]
    struct Body {
        error: serde_json::Value,
    }
    if let Some(kind) = kind {
        let said = wire::decode_whole(Endpoint::BedrockConverse, body).error;
        guard.closed_mut().error = Some(RecordedError {
            kind: Some(wire::bedrock::error_name(kind)),
            code: None,
            message: said.and_then(|said| said.message),
        });
        return;
    }
    // Gemini puts the error of a stream without events into an array.
    let read = serde_json::from_slice::<Body>(body)
        .or_else(|_| serde_json::from_slice::<[Body; 1]>(body).map(|[only]| only));
    let Ok(Body { error }) = read else {
        return;
    };
    let text = |key: &str| {
        error.get(key).and_then(|value| match value {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    };
    guard.closed_mut().error = Some(RecordedError {
        // Gemini's word for a type is its status.
        kind: text("type").or_else(|| Some(error.get("status")?.as_str()?.to_owned())),
        code: text("code"),
        message: text("message").or_else(|| error.as_str().map(str::to_owned)),
    });
}

async fn keep_upstream_body(guard: &mut RecordGuard, body: UpstreamBody, provider: &Provider) {
    let body = read_bounded(body, provider).await;
    guard.upstream_ends(Instant::now());
    if !body.is_empty() {
        guard.upstream_response_piece(body);
    }
}

/// Reads at most [`MAX_ERROR_BODY_BYTES`], for at most the idle limit between pieces; what came is what counts.
pub(super) async fn read_bounded(mut body: UpstreamBody, provider: &Provider) -> Bytes {
    let mut read = Vec::new();
    let deadline = tokio::time::Instant::now() + provider.timeouts.idle;
    while let Ok(Some(Ok(piece))) = tokio::time::timeout_at(deadline, body.next()).await {
        let room = MAX_ERROR_BODY_BYTES.saturating_sub(read.len());
        read.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
        if read.len() == MAX_ERROR_BODY_BYTES {
            break;
        }
    }
    Bytes::from(read)
}

/// Ends a relay that failed after its head was sent. Returns the words for an error event.
pub fn note_cut(
    guard: &mut RecordGuard,
    failure: &Failure,
    error: &crate::pipeline::reply::ErrorForm,
) {
    note_failure(guard, failure, error);
    guard.closed_mut().response_complete = Some(false);
}
