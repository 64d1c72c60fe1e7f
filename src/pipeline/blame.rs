//! Failures under a good status: a provider tells one in the place of an answer, and the try is on record as failed.

use std::time::Instant;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tokio::time::timeout_at;

use crate::access_log::draft::AttemptDraft;
use crate::access_log::guard::RecordGuard;
use crate::pipeline::Worker;
use crate::pipeline::answer::{is_events, read_bounded};
use crate::pipeline::attempt::{Call, draft};
use crate::pipeline::failure::Failure;
use crate::pipeline::marked::{Beginning, Lines, Marked, words};
use crate::pipeline::whole::broken;
use crate::upstream::provider::Timeouts;
use crate::upstream::transport::{BodyFailure, UpstreamBody, UpstreamReply};

/// Puts the try on record as failed where the provider told a failure in the place of an answer, or what is none.
pub(super) fn blame_for(failure: &Failure, guard: &mut RecordGuard) {
    let is_good = guard
        .closed_mut()
        .upstream_status
        .is_some_and(|status| status < 400);
    match failure {
        Failure::UpstreamSaid { error, .. } if is_good => blame(guard, failure, &error.message),
        Failure::UpstreamAuth { .. } if is_good => {
            blame(guard, failure, "the provider refused our credentials");
        }
        Failure::UpstreamProtocol { detail } | Failure::UpstreamUnreachable { detail }
            if is_good =>
        {
            blame(guard, failure, detail);
        }
        _ => {}
    }
}

/// Puts the last try on record as failed: its answer was a failure, whatever its status said. `said`: its words.
pub(super) fn blame(guard: &mut RecordGuard, failure: &Failure, said: &str) {
    let closed = guard.closed_mut();
    let Some(tried) = closed.tried.take() else {
        return;
    };
    // An answer that was no error may have an entry already.
    let number = closed.last_number();
    closed.tries.retain(|known| known.number != number);
    let row = draft(
        closed,
        failure.outcome(),
        tried.started_at_us,
        tried.started,
    );
    closed.tries.push(AttemptDraft {
        status_code: closed.upstream_status,
        connect_ms: closed.times.connect_ms,
        first_byte_ms: Some(tried.first_byte_ms),
        error_message: Some(said.to_owned()),
        ..row
    });
}

/// Puts on record what a mark in the middle of a stream says, and its try as failed.
pub(super) fn blame_marked(broke: &BodyFailure, guard: &mut RecordGuard) {
    if let BodyFailure::Unreached { said, words } = broke {
        guard.upstream_response_piece(said.clone());
        blame(guard, &broken(broke), words);
    }
}

/// The answer, unless its body begins with the provider's mark of a failure under a good status. Of an event stream what
/// is there with its head counts as the beginning, and the rest is looked through while it passes.
pub(super) async fn unmarked(
    mark: &'static str,
    reply: UpstreamReply,
    call: &Call<'_>,
    worker: &Worker,
    guard: &mut RecordGuard,
) -> Result<UpstreamReply, Failure> {
    let (timeouts, started) = (&call.timeouts, guard.started());
    let is_event = is_events(&reply);
    let (mut pieces, mut said, mut rest) = (Vec::new(), Vec::new(), reply.body);
    let beginning = loop {
        // A stream's client gets the head at once, whenever its first event comes.
        let (begun, body) = match is_event {
            true => (ready(&mut rest), rest),
            false => begin(rest, 1, timeouts, worker, started).await,
        };
        rest = body;
        // Also where it broke off: that is told after what came.
        let is_over = begun.iter().all(Result::is_err);
        for piece in begun.iter().flatten() {
            said.extend_from_slice(piece);
        }
        pieces.extend(begun);
        let beginning = Beginning::of(&said, mark, is_event);
        if is_over || beginning != Beginning::MayBecome {
            break beginning;
        }
    };
    if beginning != Beginning::Is {
        let begun = futures_util::stream::iter(pieces);
        let body = UpstreamBody::made(Box::pin(begun.chain(rest)));
        let body = match is_event {
            false => body,
            true => UpstreamBody::made(Box::pin(Marked {
                body,
                lines: Lines::new(mark),
                secrets: worker.secrets.clone(),
            })),
        };
        return Ok(UpstreamReply { body, ..reply });
    }
    said.extend_from_slice(&read_bounded(rest, call.provider).await);
    guard.upstream_ends(Instant::now());
    let words = words(&said, guard.secrets());
    match guard.closed_mut().translated_to {
        Some(endpoint) => guard.translated_to(endpoint).piece(Bytes::from(said)),
        None => guard.upstream_response_piece(Bytes::from(said)),
    }
    let failure = Failure::UpstreamUnreachable {
        detail: words.clone(),
    };
    blame(guard, &failure, &words);
    Err(failure)
}

/// Most characters of an upstream's words that are put on record beside its body.
pub(super) const LONGEST_WORDS: usize = 256;

/// The next piece of a body, if it is there.
fn ready(body: &mut UpstreamBody) -> Vec<Result<Bytes, BodyFailure>> {
    body.next().now_or_never().flatten().into_iter().collect()
}

/// The pieces of a body until so many bytes are there, its end, a time limit, or the server's end; and the rest of it.
pub(super) async fn begin(
    mut body: UpstreamBody,
    bytes: usize,
    timeouts: &Timeouts,
    worker: &Worker,
    started: Instant,
) -> (Vec<Result<Bytes, BodyFailure>>, UpstreamBody) {
    let total = tokio::time::Instant::from_std(started + timeouts.total);
    let until = total.min(tokio::time::Instant::now() + timeouts.idle);
    let mut cutting = std::pin::pin!(worker.lifecycle.cutting());
    let (mut pieces, mut came) = (Vec::new(), 0);
    while came < bytes {
        let next = tokio::select! {
            biased;
            next = timeout_at(until, body.next()) => next,
            // Who relays the rest sees to it.
            () = &mut cutting => break,
        };
        let Ok(Some(piece)) = next else { break };
        came += piece.as_ref().map_or(bytes, Bytes::len);
        pieces.push(piece);
    }
    (pieces, body)
}
