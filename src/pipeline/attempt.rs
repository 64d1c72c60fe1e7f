//! One try of a provider: the request goes out, the head of the answer comes back, or a failure says why not.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::Notify;
use tokio::time::timeout_at;

use crate::access_log::draft::{AttemptDraft, Begun, Closed, Tried};
use crate::access_log::guard::RecordGuard;
use crate::filter::{Headers, Outcome};
use crate::pipeline::Worker;
use crate::pipeline::blame::{LONGEST_WORDS, unmarked};
use crate::pipeline::failure::{Failure, of_upstream_status};
use crate::pipeline::link::{ClientLink, Leaving};
use crate::pipeline::timer::passed;
use crate::upstream::content_coding;
use crate::upstream::headers::to_upstream;
use crate::upstream::provider::{Provider, ProviderKey, Timeouts};
use crate::upstream::signing::{Unsigned, signature};
use crate::upstream::transport::{
    BodyStream, RequestBody, SendFailure, Transport, UpstreamReply, UpstreamRequest,
};

/// What is sent, to whom.
pub struct Call<'a> {
    /// The provider.
    pub provider: &'a Provider,
    /// Which key of ours is shown; `None` where the client's credentials travel.
    pub key: Option<&'a ProviderKey>,
    /// HTTP method.
    pub method: &'a str,
    /// Absolute URL.
    pub url: &'a str,
    /// The time limits.
    pub timeouts: Timeouts,
    /// The client's headers.
    pub headers: &'a Headers,
    /// Model name as sent.
    pub model: Option<&'a str>,
    /// Whether the client's leaving ends the try: so for streams.
    pub cancel_when_client_leaves: bool,
    /// Whether the request is in another dialect than the client's: then what its headers say to a provider of that
    /// dialect, credentials first of all, stays here.
    pub is_translated: bool,
}

/// The body of a call.
pub enum CallBody {
    /// No body.
    None,
    /// Held whole.
    Whole(Bytes),
    /// Flows through, with the client's `Content-Length`.
    Flowing(BodyStream, Option<u64>),
}

/// How long a FIN may stand, before a stream's head, until it counts as leaving.
pub(super) const LEAVING_AFTER_FIN: Duration = Duration::from_secs(2);

/// Sends, once more on a fresh connection where a kept-alive one had died before any answer byte.
///
/// # Errors
/// [`Failure`] when no head arrived, or a failure in the place of an answer.
pub async fn attempt(
    worker: &Worker,
    transport: &Transport,
    call: &Call<'_>,
    body: CallBody,
    guard: &mut RecordGuard,
    link: &ClientLink,
) -> Result<UpstreamReply, Failure> {
    let reply = content_coding::decoded(sent(worker, transport, call, body, guard, link).await?);
    let quirks = call.provider.quirks;
    for (header, tag) in quirks.tags {
        if let Some(value) = reply.headers.get(header) {
            let value: String = value.chars().take(LONGEST_WORDS).collect();
            let value = guard.secrets().mask_text(&value);
            let tags = &mut guard.closed_mut().tags;
            tags.retain(|(known, _)| known != tag);
            tags.push(((*tag).to_owned(), value));
        }
    }
    match quirks.failure_mark {
        Some(mark) if reply.status < 400 => {
            Box::pin(unmarked(mark, reply, call, worker, guard)).await
        }
        _ => Ok(reply),
    }
}

async fn sent(
    worker: &Worker,
    transport: &Transport,
    call: &Call<'_>,
    body: CallBody,
    guard: &mut RecordGuard,
    link: &ClientLink,
) -> Result<UpstreamReply, Failure> {
    let headers = to_upstream(
        call.headers,
        call.provider,
        call.key,
        call.url,
        call.is_translated,
    );
    let whole = match &body {
        CallBody::Whole(body) => body.clone(),
        CallBody::None | CallBody::Flowing(..) => Bytes::new(),
    };
    // Anew for each try: a signature holds for some minutes.
    let signature = || {
        let unsigned = Unsigned {
            method: call.method,
            url: call.url,
            headers: &headers,
            body: &whole,
        };
        signature(call.key, &unsigned, now(worker))
    };
    guard.upstream_starts(Instant::now());
    let total_at = guard.started() + call.timeouts.total;
    let (first, again) = match body {
        CallBody::None => (RequestBody::None, Some(RequestBody::None)),
        CallBody::Whole(body) => (
            RequestBody::Whole(body.clone()),
            Some(RequestBody::Whole(body)),
        ),
        CallBody::Flowing(stream, length) => {
            let sent = Rc::new(Notify::new());
            let tap = Tap::default();
            let flowing = tapped(stream, sent.clone(), tap.clone());
            let try_ = Try::start(worker, call, guard);
            // Such a body cannot be sent again, so it does not risk a kept-alive connection.
            let body = RequestBody::Flowing(flowing, length);
            let request = request(call, &headers, body);
            let mut send = pin!(transport.send_fresh(request));
            let recorded = std::future::poll_fn(|cx| {
                let polled = send.as_mut().poll(cx);
                tap.pieces
                    .take()
                    .into_iter()
                    .for_each(|piece| guard.request_piece(piece));
                polled
            });
            let answered =
                Box::pin(within(worker, call, link, total_at, recorded, Some(sent))).await;
            let answered = match (answered, tap.broken.get()) {
                (Err(NoHead::Send(_)), Some(how)) => Err(NoHead::BodyBroke(how)),
                (answered, _) => answered,
            };
            return try_.done(guard, answered);
        }
    };
    let try_ = Try::start(worker, call, guard);
    let added = signature();
    let signed = with_signature(&headers, &added);
    let send = transport.send(request(call, &signed, first));
    let answered = within(worker, call, link, total_at, send, None).await;
    match (answered, again) {
        (Err(NoHead::Send(SendFailure::Stale)), Some(body)) => {
            try_.stale(guard);
            let try_ = Try::start(worker, call, guard);
            let added = signature();
            let signed = with_signature(&headers, &added);
            let send = transport.send_fresh(request(call, &signed, body));
            let answered = Box::pin(within(worker, call, link, total_at, send, None)).await;
            try_.done(guard, answered)
        }
        (answered, _) => try_.done(guard, answered),
    }
}

type SentHeader<'a> = (&'a str, &'a [u8]);

fn request<'a>(
    call: &Call<'a>,
    headers: &'a [SentHeader<'a>],
    body: RequestBody,
) -> UpstreamRequest<'a> {
    UpstreamRequest {
        method: call.method,
        url: call.url,
        headers,
        body,
    }
}

/// The headers with those of a signature, if there is one.
fn with_signature<'a>(
    headers: &'a [SentHeader<'a>],
    signature: &'a [(&'static str, String)],
) -> Cow<'a, [SentHeader<'a>]> {
    if signature.is_empty() {
        return Cow::Borrowed(headers);
    }
    let added = signature
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()));
    Cow::Owned(headers.iter().copied().chain(added).collect())
}

fn now(worker: &Worker) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(worker.clock.wall_us()).unwrap_or_default()
}

/// Why there is no head.
enum NoHead {
    Send(SendFailure),
    BodyBroke(std::io::ErrorKind),
    TooSlow,
    ClientLeft,
    ServerStops,
}

/// Runs a send under everything that may end it. `sent`: told when a flowing body has gone out; until then the
/// limit for the first byte does not run, the one for the whole does.
async fn within(
    worker: &Worker,
    call: &Call<'_>,
    link: &ClientLink,
    total_at: Instant,
    send: impl Future<Output = Result<UpstreamReply, SendFailure>>,
    sent: Option<Rc<Notify>>,
) -> Result<UpstreamReply, NoHead> {
    let limit = call.timeouts.first_byte;
    let too_slow = async move {
        if let Some(sent) = sent
            && timeout_at(total_at.into(), sent.notified()).await.is_err()
        {
            return;
        }
        passed(total_at.min(Instant::now() + limit)).await;
    };
    let client_left = async {
        if !call.cancel_when_client_leaves {
            return std::future::pending().await;
        }
        if link.leaving().await == Leaving::Finished {
            tokio::time::sleep(LEAVING_AFTER_FIN).await;
        }
    };
    tokio::select! {
        biased;
        answered = send => answered.map_err(NoHead::Send),
        () = too_slow => Err(NoHead::TooSlow),
        () = worker.lifecycle.cutting() => Err(NoHead::ServerStops),
        () = client_left => Err(NoHead::ClientLeft),
    }
}

/// What went by in a flowing body.
#[derive(Clone, Default)]
struct Tap {
    /// Pieces since the record took the last ones.
    pieces: Rc<RefCell<Vec<Bytes>>>,
    /// How the body broke off.
    broken: Rc<Cell<Option<std::io::ErrorKind>>>,
}

/// The stream with each piece left in `tap`, and `sent` told at its end.
fn tapped(stream: BodyStream, sent: Rc<Notify>, tap: Tap) -> BodyStream {
    let end = futures_util::stream::poll_fn(move |_| {
        sent.notify_one();
        std::task::Poll::Ready(None)
    });
    let stream = stream.inspect(move |item| match item {
        Ok(piece) => tap.pieces.borrow_mut().push(piece.clone()),
        Err(error) => tap.broken.set(Some(error.kind())),
    });
    Box::pin(stream.chain(end))
}

/// A try that goes on. What the record wants of it stands there for most; only one that fails, or is not the first,
/// has a row of its own.
struct Try {
    started: Instant,
    started_at_us: i64,
}

impl Try {
    fn start(worker: &Worker, call: &Call<'_>, guard: &mut RecordGuard) -> Self {
        let closed = guard.closed_mut();
        closed.attempts += 1;
        closed.provider = Some(call.provider.name.clone());
        closed.provider_key = call.key.map(|key| key.name.clone());
        closed.sent_model = call.model.map(str::to_owned);
        let begun = Begun {
            started: Instant::now(),
            started_at_us: worker.clock.wall_us(),
        };
        closed.begun = Some(begun);
        Self {
            started: begun.started,
            started_at_us: begun.started_at_us,
        }
    }

    /// The row of a try that came to `outcome`.
    fn draft(&self, closed: &Closed, outcome: Outcome) -> AttemptDraft {
        draft(closed, outcome, self.started_at_us, self.started)
    }

    fn stale(self, guard: &mut RecordGuard) {
        let closed = guard.closed_mut();
        closed.begun = None;
        let draft = AttemptDraft {
            skip_reason: Some("stale_connection".to_owned()),
            error_message: Some(SendFailure::Stale.to_string()),
            ..self.draft(closed, Outcome::UpstreamError)
        };
        closed.tries.push(draft);
    }

    fn done(
        self,
        guard: &mut RecordGuard,
        answered: Result<UpstreamReply, NoHead>,
    ) -> Result<UpstreamReply, Failure> {
        guard.closed_mut().begun = None;
        match answered {
            Ok(reply) => {
                let connect_ms = reply.connect.map(|time| time.as_secs_f64() * 1000.0);
                let closed = guard.closed_mut();
                closed.upstream_status = Some(reply.status);
                closed.times.connect_ms = connect_ms;
                closed.tried = Some(Tried {
                    started_at_us: self.started_at_us,
                    first_byte_ms: self.started.elapsed().as_secs_f64() * 1000.0,
                    started: self.started,
                });
                let outcome = of_upstream_status(reply.status);
                if 1 < closed.last_number() || outcome != Outcome::Ok {
                    let draft = self.draft(closed, outcome);
                    closed.tries.push(AttemptDraft {
                        status_code: Some(reply.status),
                        connect_ms,
                        first_byte_ms: Some(draft.duration_ms),
                        ..draft
                    });
                }
                Ok(reply)
            }
            Err(no_head) => {
                let failure = failure(&no_head);
                guard.upstream_ends(Instant::now());
                let closed = guard.closed_mut();
                let draft = AttemptDraft {
                    error_message: Some(match &no_head {
                        NoHead::Send(failure) => failure.to_string(),
                        NoHead::BodyBroke(_) => SendFailure::RequestBody.to_string(),
                        NoHead::TooSlow => "no answer within the time limit".to_owned(),
                        NoHead::ClientLeft => "the client left".to_owned(),
                        NoHead::ServerStops => "the server stopped".to_owned(),
                    }),
                    ..self.draft(closed, failure.outcome())
                };
                closed.tries.push(draft);
                Err(failure)
            }
        }
    }
}

/// The row of the last try, begun then.
pub(super) fn draft(
    closed: &Closed,
    outcome: Outcome,
    started_at_us: i64,
    started: Instant,
) -> AttemptDraft {
    AttemptDraft {
        number: closed.last_number(),
        provider: closed.provider.clone().unwrap_or_default(),
        model: closed.sent_model.clone(),
        provider_key: closed.provider_key.clone(),
        started_at_us,
        status_code: None,
        outcome,
        error_message: None,
        connect_ms: None,
        first_byte_ms: None,
        duration_ms: started.elapsed().as_secs_f64() * 1000.0,
        skip_reason: None,
    }
}

/// What a client's body that broke off comes to.
pub(super) fn broken_body(how: std::io::ErrorKind) -> Failure {
    match how {
        std::io::ErrorKind::TimedOut => Failure::BodyTimeout,
        std::io::ErrorKind::InvalidData => Failure::BodyBroken,
        _ => Failure::ClientGone,
    }
}

fn failure(no_head: &NoHead) -> Failure {
    match no_head {
        NoHead::TooSlow => Failure::UpstreamTimeout,
        NoHead::BodyBroke(how) => broken_body(*how),
        NoHead::ClientLeft => Failure::ClientGone,
        NoHead::ServerStops => Failure::ShuttingDown,
        NoHead::Send(failure) => match failure {
            SendFailure::Dns => Failure::UpstreamDns,
            SendFailure::Connect(detail) => Failure::UpstreamUnreachable {
                detail: detail.clone(),
            },
            SendFailure::ConnectTimeout => Failure::UpstreamUnreachable {
                detail: "no connection in time".to_owned(),
            },
            SendFailure::Tls(detail) => Failure::UpstreamTls {
                detail: detail.clone(),
            },
            SendFailure::Stale | SendFailure::Closed => Failure::UpstreamClosed,
            SendFailure::Protocol(detail) => Failure::UpstreamProtocol {
                detail: detail.clone(),
            },
            SendFailure::RequestBody => Failure::ClientGone,
            SendFailure::Url => Failure::UpstreamProtocol {
                detail: "unusable URL".to_owned(),
            },
        },
    }
}
