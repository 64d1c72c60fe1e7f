//! How a stream begins: its head is held back until its first content came, so that one that fails at birth can be
//! asked for elsewhere.

use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;

use crate::access_log::guard::RecordGuard;
use crate::filter::Endpoint;
use crate::pipeline::Worker;
use crate::pipeline::answer::framing;
use crate::pipeline::attempt::LEAVING_AFTER_FIN;
use crate::pipeline::events::dialect;
use crate::pipeline::failure::Failure;
use crate::pipeline::link::{ClientLink, Leaving};
use crate::pipeline::timer::{by, passed};
use crate::pipeline::whole::broken;
use crate::upstream::provider::{Provider, Timeouts};
use crate::upstream::transport::{BodyFailure, UpstreamBody, UpstreamReply};
use crate::wire;
use crate::wire::relay_scanner::{Dialect, Facts, ScanOptions};
use crate::wire::stream_scanner::{Framing, StreamScanner};
use crate::wire::translate::{ProviderError, status_of};

/// Most bytes that are held back before the first content.
const MOST_HELD: usize = 64 * 1024;

/// Who waits for a stream's beginning.
pub(super) struct Waiting<'a> {
    pub(super) worker: &'a Worker,
    pub(super) provider: &'a Provider,
    /// The client's API, in whose format the stream is.
    pub(super) endpoint: Endpoint,
    pub(super) timeouts: &'a Timeouts,
    /// When the answer's head was there.
    pub(super) since: Instant,
    /// When the whole exchange must be over.
    pub(super) total_at: Instant,
    pub(super) link: &'a ClientLink,
}

/// A stream that failed before its first content.
pub(super) struct Stillborn {
    /// Why.
    pub(super) failure: Failure,
    /// The provider's words, where it had some.
    pub(super) said: Option<ProviderError>,
    /// The same stream from its first byte on, for the client where nobody else is asked.
    pub(super) reply: UpstreamReply,
}

/// The stream, once its first content is there; or as far as it may be held back.
///
/// # Errors
/// [`Stillborn`] where it reports an error, breaks off or ends before that.
pub(super) async fn born(
    reply: UpstreamReply,
    waiting: &Waiting<'_>,
    guard: &mut RecordGuard,
) -> Result<UpstreamReply, Box<Stillborn>> {
    let framing = framing(&reply);
    let is_known = dialect(waiting.endpoint) != Dialect::Raw || framing == Framing::Frames;
    if !is_known {
        return Ok(reply);
    }
    let mut scanner = StreamScanner::new(
        framing,
        waiting.endpoint,
        ScanOptions {
            dialect: dialect(waiting.endpoint),
            strip_usage: false,
            repair: false,
            max_event_bytes: waiting.provider.max_event_bytes,
        },
    );
    let mut held: Vec<Result<Bytes, BodyFailure>> = Vec::new();
    let mut bytes = 0;
    let mut body = reply.body;
    let release_at = (waiting.since + waiting.timeouts.first_byte).min(waiting.total_at);
    let mut departure = Departure::of(waiting.link);
    let mut cutting = std::pin::pin!(waiting.worker.lifecycle.cutting());
    let mut scanned = Vec::new();
    let failure = loop {
        let idle_at = Instant::now() + waiting.timeouts.idle;
        let next = tokio::select! {
            biased;
            next = by(idle_at, body.next()) => next,
            // The tap is filled where the body is asked, which was just now: nobody else need wake this.
            () = when(|| guard.has_tapped()) => {
                guard.drain_tap();
                continue;
            }
            // It has been silent, not wrong: whoever relays it sees to the rest.
            () = passed(release_at) => break None,
            () = &mut cutting => break None,
            // Asked anew after each piece: only a FIN without one for a while is a leaving.
            () = departure.over() => break Some(Failure::ClientGone),
        };
        guard.drain_tap();
        match next {
            None => break Some(Failure::UpstreamIdleTimeout),
            Some(None) => {
                let facts = *scanner.facts();
                break (!is_born(&facts)).then_some(Failure::UpstreamTruncated);
            }
            Some(Some(Err(error))) => {
                let failure = broken(&error);
                held.push(Err(error));
                break Some(failure);
            }
            Some(Some(Ok(piece))) => {
                bytes += piece.len();
                held.push(Ok(piece.clone()));
                let fits = scanner.push(piece, &mut scanned).is_ok();
                scanned.clear();
                let facts = *scanner.facts();
                if facts.saw_error_event && !facts.first_content_seen {
                    let said = error_in(&held, waiting.endpoint);
                    let status = said.as_ref().and_then(|said| said.status);
                    break Some(Failure::UpstreamSaid {
                        status: status.unwrap_or(500),
                        error: said.unwrap_or_default(),
                    });
                }
                if !fits || is_born(&facts) || MOST_HELD <= bytes {
                    break None;
                }
            }
        }
    };
    let said = match &failure {
        Some(Failure::UpstreamSaid { error, .. }) => Some(error.clone()),
        _ => None,
    };
    let held = futures_util::stream::iter(held);
    let reply = UpstreamReply {
        body: UpstreamBody::made(Box::pin(held.chain(body))),
        ..reply
    };
    match failure {
        None => Ok(reply),
        Some(failure) => Err(Box::new(Stillborn {
            failure,
            said,
            reply,
        })),
    }
}

/// Whether what came is more than a beginning.
fn is_born(facts: &Facts) -> bool {
    facts.first_content_seen || facts.saw_finish_reason || facts.saw_done || facts.saw_terminal
}

/// A client that may leave before its stream begins.
struct Departure<'a> {
    link: &'a ClientLink,
    leaving: LocalBoxFuture<'static, Leaving>,
    has_finished: bool,
}

impl<'a> Departure<'a> {
    fn of(link: &'a ClientLink) -> Self {
        Self {
            link,
            leaving: link.leaving(),
            has_finished: false,
        }
    }

    /// Ends when the client is gone: at its reset, or when its FIN has stood for a while since this was asked.
    async fn over(&mut self) {
        if !self.has_finished {
            if (&mut self.leaving).await == Leaving::Reset {
                return;
            }
            self.has_finished = true;
        }
        tokio::select! {
            () = tokio::time::sleep(LEAVING_AFTER_FIN) => {}
            () = self.link.reset() => {}
        }
    }
}

/// Ends when that is so, which is looked at only when something else wakes the task.
async fn when(is_so: impl Fn() -> bool) {
    std::future::poll_fn(|_| match is_so() {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// What the error says with which a stream began.
fn error_in(held: &[Result<Bytes, BodyFailure>], endpoint: Endpoint) -> Option<ProviderError> {
    let all: Vec<u8> = held
        .iter()
        .flatten()
        .flat_map(|piece| piece.to_vec())
        .collect();
    let error = wire::decode_stream(endpoint, &all).error?;
    Some(ProviderError {
        status: error
            .code
            .iter()
            .chain(&error.kind)
            .find_map(|word| status_of(word)),
        kind: error.kind,
        code: error.code,
        message: error.message.unwrap_or_default(),
    })
}
