//! Relays an answer that is no event stream: bytes go out as they come, the record is closed before the last.

use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, StreamExt};

use crate::access_log::guard::RecordGuard;
use crate::filter::{Endpoint, Outcome};
use crate::pipeline::Worker;
use crate::pipeline::answer::{Asked, note_cut};
use crate::pipeline::blame::blame_marked;
use crate::pipeline::failure::Failure;
use crate::pipeline::generator::{Aborted, Generator, Yielder, let_server_write};
use crate::pipeline::link::ClientLink;
use crate::pipeline::reply::{Reply, ReplyBody, refuse};
use crate::pipeline::timer::{PieceTimer, TimedOut};
use crate::upstream::transport::{BodyFailure, UpstreamBody, UpstreamReply};
use crate::wire::gemini::array::{self, ArrayWatch};

/// Relays the body. What has arrived already is taken at once: a short answer leaves in one piece.
///
/// # Errors
/// The refusal for the client, when the body breaks off before anything was sent.
pub async fn relay(
    worker: &Rc<Worker>,
    asked: Asked,
    reply: UpstreamReply,
    mut guard: RecordGuard,
    link: ClientLink,
) -> Result<ReplyBody, Reply> {
    let mut body = reply.body;
    let at_hand = take_what_is_there(&mut body).await;
    let is_array = asked.stream && asked.endpoint == Endpoint::GenerateContent;
    let mut array = is_array.then(ArrayWatch::default);
    for piece in &at_hand.pieces {
        see(&mut array, piece);
    }
    let end = match at_hand.end {
        Some(Ok(())) if is_cut(array) => Some(Err(BodyFailure::Truncated)),
        end => end,
    };
    for piece in &at_hand.pieces {
        match end {
            // The client gets an error in its place.
            Some(Err(_)) => guard.upstream_response_piece(piece.clone()),
            Some(Ok(())) | None => keep(&mut guard, piece, asked.since),
        }
    }
    match end {
        Some(Ok(())) => {
            let now = Instant::now();
            guard.upstream_ends(now);
            guard.worked(now.duration_since(asked.since));
            guard.first_byte(now);
            #[cfg(not(bug_release_before_append))]
            close(guard, &link, array);
            #[cfg(bug_release_before_append)]
            (worker.spawn)(Box::pin(async move { close(guard, &link, array) }));
            let body = join(at_hand.pieces);
            match reply.content_length {
                // An answer to HEAD: a length without a body.
                Some(length) if body.is_empty() && 0 < length => {
                    let nothing = Generator::new(|_| std::future::ready(Ok(())));
                    Ok(ReplyBody::Pieces(nothing, Some(length)))
                }
                Some(_) | None => Ok(ReplyBody::Whole(body)),
            }
        }
        Some(Err(error)) => {
            guard.upstream_ends(Instant::now());
            blame_marked(&error, &mut guard);
            guard.closed_mut().response_complete = Some(false);
            Err(refuse(
                guard,
                &broken(&error),
                &asked.request_id,
                worker.form.as_ref(),
            ))
        }
        None => {
            let timer = PieceTimer::new(asked.timeouts.idle, asked.timeouts.total, guard.started());
            let rest = Rest {
                worker: worker.clone(),
                asked,
                body,
                timer,
                link: link.clone(),
                array,
            };
            let length = reply.content_length;
            let left = Left(length);
            let generator = Generator::new(|out| rest.relay(guard, at_hand.pieces, left, out));
            let (spawn, alone) = (worker.spawn.clone(), worker.alone.clone());
            Ok(ReplyBody::Pieces(
                generator.finish_detached(Rc::new(move |rest| {
                    link.mark_gone();
                    if link.finishes_without_client(&alone) {
                        let link = link.clone();
                        spawn(Box::pin(rest.map(move |()| drop(link))));
                    }
                })),
                length,
            ))
        }
    }
}

/// What is left to relay after the head was sent.
struct Rest {
    worker: Rc<Worker>,
    asked: Asked,
    body: UpstreamBody,
    timer: PieceTimer,
    link: ClientLink,
    /// A stream that comes as one array.
    array: Option<ArrayWatch>,
}

fn see(array: &mut Option<ArrayWatch>, piece: &Bytes) {
    if let Some(array) = array {
        array.see(piece);
    }
}

/// Whether a body that ended is a stream's array that did not.
fn is_cut(array: Option<ArrayWatch>) -> bool {
    array.is_some_and(ArrayWatch::is_open)
}

/// What is still to come of a body whose length is known, in bytes.
struct Left(Option<u64>);

impl Left {
    /// Whether the body is complete with `piece`.
    fn ends_with(&mut self, piece: &Bytes) -> bool {
        self.0 = self.0.map(|left| left.saturating_sub(piece.len() as u64));
        self.0 == Some(0)
    }
}

impl Rest {
    /// `at_hand`: pieces that are on record already.
    async fn relay(
        mut self,
        mut guard: RecordGuard,
        at_hand: Vec<Bytes>,
        mut left: Left,
        mut out: Yielder,
    ) -> Result<(), Aborted> {
        for piece in at_hand {
            let now = Instant::now();
            self.send(piece, &mut guard, &mut left, &mut out, now).await;
        }
        loop {
            let next = tokio::select! {
                biased;
                next = self.body.next() => next,
                late = self.timer.late() => return self.cut(guard, &late.into(), &mut out).await,
                () = self.worker.lifecycle.cutting() => {
                    return self.cut(guard, &Failure::ShuttingDown, &mut out).await;
                }
            };
            let now = Instant::now();
            match next {
                Some(Ok(piece)) => {
                    self.timer.piece_came(now);
                    see(&mut self.array, &piece);
                    keep(&mut guard, &piece, now);
                    self.send(piece, &mut guard, &mut left, &mut out, now).await;
                }
                None if is_cut(self.array) => {
                    return self.cut(guard, &Failure::UpstreamTruncated, &mut out).await;
                }
                None => {
                    guard.upstream_ends(now);
                    close(guard, &self.link, self.array);
                    return Ok(());
                }
                Some(Err(error)) => {
                    blame_marked(&error, &mut guard);
                    return self.cut(guard, &broken(&error), &mut out).await;
                }
            }
        }
    }

    async fn send(
        &self,
        piece: Bytes,
        guard: &mut RecordGuard,
        left: &mut Left,
        out: &mut Yielder,
        now: Instant,
    ) {
        guard.first_byte(now);
        if left.ends_with(&piece) {
            // The bytes that complete the answer go out after the record has its end.
            guard.upstream_ends(now);
            end(guard, &self.link, self.array);
        }
        guard.worked(now.elapsed());
        out.send(piece).await;
    }

    /// The head is out and no error can be told: the connection is closed without the body's end. An array of ours has
    /// whole items, so that an error can be the last. What comes after the end on record changes nothing any more.
    async fn cut(
        &self,
        mut guard: RecordGuard,
        failure: &Failure,
        out: &mut Yielder,
    ) -> Result<(), Aborted> {
        if guard.has_ended() {
            guard.finish();
            return Ok(());
        }
        let now = Instant::now();
        guard.upstream_ends(now);
        let form = &self.worker.form;
        let is_repaired = self.asked.is_translated && self.worker.settings.repair_streams;
        if let Some(array) = self.array.filter(|_| is_repaired) {
            let (error, event) = form.error_event(failure, self.asked.endpoint, 0);
            note_cut(&mut guard, failure, &error);
            let closed = guard.closed_mut();
            closed.repairs.push("error_event".to_owned());
            let item = array::last_item(array, &event);
            keep(&mut guard, &item, now);
            guard.first_byte(now);
            guard.end(failure.outcome());
            out.send(item).await;
            guard.finish();
            return Ok(());
        }
        let error = form.error(failure, guard.dialect(), &self.asked.request_id);
        note_cut(&mut guard, failure, &error);
        guard.end(failure.outcome());
        guard.finish();
        let_server_write().await;
        Err(Aborted)
    }
}

/// Pieces that had arrived, and the end, if it had too.
struct AtHand {
    pieces: Vec<Bytes>,
    end: Option<Result<(), BodyFailure>>,
}

async fn take_what_is_there(body: &mut UpstreamBody) -> AtHand {
    let mut pieces = Vec::new();
    let end = std::future::poll_fn(|cx| {
        loop {
            match body.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(piece))) => pieces.push(piece),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(Some(Ok(()))),
                Poll::Pending => return Poll::Ready(None),
            }
            if MOST_PIECES_AT_ONCE < pieces.len() {
                return Poll::Ready(None);
            }
        }
    })
    .await;
    AtHand { pieces, end }
}

/// An answer that arrives faster than it can be read is not gathered without bound.
const MOST_PIECES_AT_ONCE: usize = 16;

/// Puts a piece on record; of a stream of text its time too.
fn keep(guard: &mut RecordGuard, piece: &Bytes, now: Instant) {
    if guard.closed_mut().response_is_stream {
        guard.first_token(now);
        guard.stream_piece(piece.clone(), now);
    } else {
        guard.response_piece(piece.clone());
    }
}

fn end(guard: &mut RecordGuard, link: &ClientLink, array: Option<ArrayWatch>) {
    let has_error = array.is_some_and(ArrayWatch::has_error);
    guard.closed_mut().response_complete = Some(!has_error);
    guard.end(match has_error {
        true => Outcome::UpstreamError,
        false if link.is_gone() => Outcome::ClientDisconnected,
        false => Outcome::Ok,
    });
}

fn close(mut guard: RecordGuard, link: &ClientLink, array: Option<ArrayWatch>) {
    end(&mut guard, link, array);
    guard.finish();
}

/// A body that broke off, in the pipeline's words.
pub(super) fn broken(error: &BodyFailure) -> Failure {
    match error {
        BodyFailure::Truncated | BodyFailure::Unfinished => Failure::UpstreamTruncated,
        BodyFailure::Io(_) => Failure::UpstreamDisconnected,
        BodyFailure::Framing | BodyFailure::Encoding(_) | BodyFailure::Untranslatable(_) => {
            Failure::UpstreamProtocol {
                detail: error.to_string(),
            }
        }
        BodyFailure::Reported(error) => Failure::UpstreamSaid {
            status: error.status.unwrap_or(502),
            error: error.clone(),
        },
        BodyFailure::Unreached { words, .. } => Failure::UpstreamUnreachable {
            detail: words.clone(),
        },
        BodyFailure::EventTooLarge => Failure::UpstreamEventTooLarge,
    }
}

impl From<TimedOut> for Failure {
    fn from(timed_out: TimedOut) -> Self {
        match timed_out {
            TimedOut::Idle => Self::UpstreamIdleTimeout,
            TimedOut::Total => Self::UpstreamTimeout,
        }
    }
}

fn join(pieces: Vec<Bytes>) -> Bytes {
    match <[Bytes; 1]>::try_from(pieces) {
        Ok([only]) => only,
        Err(pieces) => {
            let mut joined = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
            for piece in pieces {
                joined.extend_from_slice(&piece);
            }
            joined.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_piece_that_completes_a_body_is_known_wherever_it_comes_from() {
        let mut left = Left(Some(5));
        let ends = ["ab", "c", "de"].map(|piece| left.ends_with(&Bytes::from(piece)));
        assert_eq!(ends, [false, false, true]);
        assert!(!Left(None).ends_with(&Bytes::from_static(b"a")));
    }
}
