//! Relays an event stream: every byte goes on as it comes, except that the terminal event waits for the record.
//!
//! The scanner watches borders and endings without parsing; what it takes out (usage that only we asked for) and
//! mends is flagged in the row. When the upstream breaks off, the client gets an error event in its dialect.

use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt, StreamExt};

use crate::access_log::guard::RecordGuard;
use crate::filter::{Endpoint, Outcome, StreamChain, StreamEnd as FilterEnd};
use crate::pipeline::Worker;
use crate::pipeline::answer::{Asked, note_cut};
use crate::pipeline::failure::Failure;
use crate::pipeline::filtered_stream::FilteredStream;
use crate::pipeline::filtering;
use crate::pipeline::generator::{Aborted, Generator, Yielder, let_server_write};
use crate::pipeline::link::{ClientLink, Leaving};
use crate::pipeline::timer::{PieceTimer, TimedOut};
use crate::upstream::provider::Provider;
use crate::upstream::transport::{BodyFailure, UpstreamBody, UpstreamReply};
use crate::wire::relay_scanner::{Dialect, Piece, ScanOptions, Scanner, StreamEnd};

/// The comment that makes a client that has gone answer with a reset. One line end only: with two, some SDKs see
/// an empty event.
const COMMENT: &[u8] = b": ka\n";

/// Starts the relay.
pub fn relay(
    worker: &Rc<Worker>,
    provider: &Provider,
    asked: Asked,
    reply: UpstreamReply,
    chain: Option<StreamChain>,
    mut guard: RecordGuard,
    link: ClientLink,
) -> Generator {
    guard.closed_mut().response_is_stream = true;
    let dialect = dialect(asked.endpoint);
    let repair = worker.settings.repair_streams && dialect != Dialect::Raw;
    // In a box: a future holds what it is given twice.
    let relay = Box::new(Relay {
        scanner: Scanner::new(ScanOptions {
            dialect,
            strip_usage: asked.usage_asked,
            repair,
            max_event_bytes: provider.max_event_bytes,
        }),
        repair,
        timer: PieceTimer::new(
            provider.timeouts.idle,
            provider.timeouts.total,
            guard.started(),
        ),
        filters: chain.map(|chain| {
            FilteredStream::new(
                chain,
                asked.endpoint,
                provider.max_event_bytes,
                worker.spawn.clone(),
            )
        }),
        leaving: Some(link.leaving()),
        link,
        cutting: worker.lifecycle.cutting().boxed_local(),
        body: reply.body,
        worker: worker.clone(),
        _slot: worker.streams.take_slot(),
        asked,
        guard,
    });
    Generator::new(|out| relay.run(out))
}

fn dialect(endpoint: Endpoint) -> Dialect {
    match endpoint {
        Endpoint::ChatCompletions | Endpoint::Completions => Dialect::Chat,
        Endpoint::Responses => Dialect::Responses,
        Endpoint::Embeddings | Endpoint::Models | Endpoint::Passthrough => Dialect::Raw,
    }
}

struct Relay {
    scanner: Scanner,
    repair: bool,
    timer: PieceTimer,
    filters: Option<FilteredStream>,
    leaving: Option<LocalBoxFuture<'static, Leaving>>,
    link: ClientLink,
    cutting: LocalBoxFuture<'static, ()>,
    body: UpstreamBody,
    worker: Rc<Worker>,
    /// Counts this stream as long as it is open.
    _slot: crate::pipeline::StreamSlot,
    asked: Asked,
    guard: RecordGuard,
}

enum Next {
    Piece(Bytes),
    End,
    Broken(BodyFailure),
    Late(TimedOut),
    HeldTooLong,
    ClientLeaves(Leaving),
    ServerStops,
}

impl Relay {
    async fn run(mut self: Box<Self>, mut out: Yielder) -> Result<(), Aborted> {
        let mut pieces = Vec::new();
        loop {
            match self.next().await {
                Next::Piece(chunk) => {
                    let now = Instant::now();
                    self.timer.piece_came(now);
                    let scanned = self.scanner.push(chunk, &mut pieces);
                    if self.scanner.facts().first_content_seen {
                        self.guard.first_token(now);
                    }
                    self.guard.worked(now.elapsed());
                    let cut = self.send(&mut pieces, &mut out, now).await;
                    if let Some(failure) = cut {
                        return self.cut(&failure, &mut out).await;
                    }
                    if scanned.is_err() {
                        return self.cut(&Failure::UpstreamEventTooLarge, &mut out).await;
                    }
                }
                Next::HeldTooLong => {
                    if let Some(failure) = self.check_hold(&mut out).await {
                        return self.cut(&failure, &mut out).await;
                    }
                }
                Next::End => return self.end(&mut out).await,
                Next::ClientLeaves(Leaving::Finished) => {
                    // Whatever is written now provokes a reset where nobody reads any more.
                    let reset = self.link.reset();
                    self.leaving = Some(reset.map(|()| Leaving::Reset).boxed_local());
                    if self.scanner.at_event_border() {
                        out.send(Bytes::from_static(COMMENT)).await;
                    }
                }
                Next::ClientLeaves(Leaving::Reset) => return Err(Aborted),
                // What comes after the end of the stream is not waited for.
                Next::Broken(_) | Next::Late(_) if self.guard.has_ended() => {
                    return self.close(Outcome::Ok);
                }
                Next::Broken(BodyFailure::Framing) => {
                    let detail = BodyFailure::Framing.to_string();
                    return self
                        .cut(&Failure::UpstreamProtocol { detail }, &mut out)
                        .await;
                }
                Next::Broken(_) => return self.cut(&Failure::UpstreamDisconnected, &mut out).await,
                Next::Late(late) => return self.cut(&late.into(), &mut out).await,
                Next::ServerStops => return self.cut(&Failure::ShuttingDown, &mut out).await,
            }
        }
    }

    /// Waits for whatever comes first. A ready piece costs one poll of the body and nothing else.
    async fn next(&mut self) -> Next {
        let Self {
            body,
            timer,
            leaving,
            cutting,
            filters,
            ..
        } = self;
        let mut late = std::pin::pin!(timer.late());
        let deadline = filters.as_ref().and_then(FilteredStream::hold_deadline);
        let mut held = std::pin::pin!(wait_until(deadline));
        std::future::poll_fn(|cx| {
            if let Poll::Ready(item) = body.poll_next_unpin(cx) {
                return Poll::Ready(match item {
                    Some(Ok(piece)) => Next::Piece(piece),
                    Some(Err(error)) => Next::Broken(error),
                    None => Next::End,
                });
            }
            if let Poll::Ready(timed_out) = late.as_mut().poll(cx) {
                return Poll::Ready(Next::Late(timed_out));
            }
            if held.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Next::HeldTooLong);
            }
            if let Some(watch) = leaving
                && let Poll::Ready(how) = watch.poll_unpin(cx)
            {
                *leaving = None;
                return Poll::Ready(Next::ClientLeaves(how));
            }
            cutting.poll_unpin(cx).map(|()| Next::ServerStops)
        })
        .await
    }

    /// Hands pieces to the client; the record has its end before a terminal one goes. Returns why the stream
    /// must be cut, if a filter says so.
    async fn send(
        &mut self,
        pieces: &mut Vec<Piece>,
        out: &mut Yielder,
        now: Instant,
    ) -> Option<Failure> {
        for piece in pieces.drain(..) {
            match piece {
                Piece::Send(bytes) => {
                    let (bytes, cut) = self.filter(bytes, false).await;
                    if !bytes.is_empty() {
                        self.guard.stream_piece(bytes.clone(), now);
                        self.guard.first_byte(now);
                        out.send(bytes).await;
                    }
                    if cut.is_some() {
                        return cut;
                    }
                }
                Piece::Terminal(bytes) => {
                    let (bytes, cut) = self.filter(bytes, true).await;
                    if cut.is_some() {
                        return cut;
                    }
                    self.guard.stream_piece(bytes.clone(), now);
                    self.guard.upstream_ends(now);
                    #[cfg(not(bug_release_before_append))]
                    self.put_end_on_record();
                    out.send(bytes).await;
                    #[cfg(bug_release_before_append)]
                    {
                        // The kill loop's negative control: the bytes leave, then comes the record.
                        tokio::task::yield_now().await;
                        self.put_end_on_record();
                    }
                }
                Piece::Stripped(data) => {
                    let masked = self.guard.secrets().mask(data);
                    self.guard.closed_mut().usage_chunk =
                        std::str::from_utf8(&masked).ok().map(str::to_owned);
                }
            }
        }
        None
    }

    /// The bytes as the stream filters let them out; the same bytes where there are none. With the terminal
    /// event, what filters still hold goes before the end.
    async fn filter(&mut self, bytes: Bytes, is_terminal: bool) -> (Bytes, Option<Failure>) {
        let Some(filters) = &mut self.filters else {
            return (bytes, None);
        };
        self.guard.upstream_response_piece(bytes.clone());
        let passed = filters.pass(&bytes).await;
        if !is_terminal || passed.cut.is_some() {
            return (passed.bytes, passed.cut.map(filtering::failure));
        }
        let rest = filters.end(FilterEnd::Finished, &mut self.guard).await;
        let out = [passed.bytes, rest.bytes].concat();
        (Bytes::from(out), rest.cut.map(filtering::failure))
    }

    async fn check_hold(&mut self, out: &mut Yielder) -> Option<Failure> {
        let let_out = self.filters.as_mut()?.check_hold().await;
        let now = Instant::now();
        if !let_out.bytes.is_empty() {
            self.guard.stream_piece(let_out.bytes.clone(), now);
            self.guard.first_byte(now);
            out.send(let_out.bytes).await;
        }
        let_out.cut.map(filtering::failure)
    }

    fn put_end_on_record(&mut self) {
        let failed = self.scanner.facts().saw_error_event;
        self.note_repairs();
        self.guard.closed_mut().response_complete = Some(!failed);
        self.guard.end(if failed {
            Outcome::UpstreamError
        } else {
            Outcome::Ok
        });
    }

    fn note_repairs(&mut self) {
        let words = self
            .scanner
            .facts()
            .repairs
            .words()
            .map(str::to_owned)
            .collect();
        self.guard.closed_mut().repairs = words;
    }

    /// The upstream ended the body cleanly.
    async fn end(mut self: Box<Self>, out: &mut Yielder) -> Result<(), Aborted> {
        let mut pieces = Vec::new();
        let end = self.scanner.finish(&mut pieces);
        let now = Instant::now();
        if let Some(failure) = self.send(&mut pieces, out, now).await {
            return self.cut(&failure, out).await;
        }
        self.guard.upstream_ends(now);
        match end {
            StreamEnd::Complete => {
                if let Some(filters) = &mut self.filters {
                    let rest = filters.end(FilterEnd::Finished, &mut self.guard).await;
                    if !rest.bytes.is_empty() {
                        self.guard.stream_piece(rest.bytes.clone(), now);
                        out.send(rest.bytes).await;
                    }
                }
                if !self.guard.has_ended() {
                    self.put_end_on_record();
                }
                self.close(Outcome::Ok)
            }
            StreamEnd::Truncated => self.cut(&Failure::UpstreamTruncated, out).await,
        }
    }

    /// Hands the record over; `outcome` counts only where no end is on record yet.
    fn close(mut self: Box<Self>, outcome: Outcome) -> Result<(), Aborted> {
        if !self.guard.has_ended() {
            self.guard.end(outcome);
        }
        self.guard.finish();
        Ok(())
    }

    /// The stream ends before its end: an error event where the dialect has one, else no end at all.
    async fn cut(mut self: Box<Self>, failure: &Failure, out: &mut Yielder) -> Result<(), Aborted> {
        let now = Instant::now();
        self.guard.upstream_ends(now);
        let mut pieces = Vec::new();
        let by_filter = failure.filter().is_some();
        if !by_filter {
            self.scanner.cut(&mut pieces);
            // A filter that objects to what is left cannot cut what is being cut.
            drop(self.send(&mut pieces, out, now).await);
        }
        if let Some(filters) = &mut self.filters {
            let end = if by_filter {
                FilterEnd::ClientGone
            } else {
                FilterEnd::UpstreamFailed
            };
            let rest = filters.end(end, &mut self.guard).await;
            if !by_filter && !rest.bytes.is_empty() {
                self.guard.stream_piece(rest.bytes.clone(), now);
                out.send(rest.bytes).await;
            }
        }
        let (error, event) = self.worker.form.error_event(failure, self.asked.endpoint);
        self.note_repairs();
        note_cut(&mut self.guard, failure, &error);
        if !self.repair {
            self.guard.end(failure.outcome());
            self.guard.finish();
            let_server_write().await;
            return Err(Aborted);
        }
        self.guard
            .closed_mut()
            .repairs
            .push("error_event".to_owned());
        self.guard.stream_piece(event.clone(), now);
        self.guard.end(failure.outcome());
        out.send(event).await;
        self.close(failure.outcome())
    }
}

async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// A whole event stream without the usage chunk that only we asked for.
pub fn strip_usage(
    stream: &Bytes,
    endpoint: Endpoint,
    usage_asked: bool,
    guard: &mut RecordGuard,
) -> Bytes {
    if !usage_asked {
        return stream.clone();
    }
    let mut scanner = Scanner::new(ScanOptions {
        dialect: dialect(endpoint),
        strip_usage: true,
        repair: false,
        max_event_bytes: usize::MAX,
    });
    let mut pieces = Vec::new();
    // Without a limit there is no event too large.
    scanner.push(stream.clone(), &mut pieces).ok();
    scanner.finish(&mut pieces);
    let mut kept = bytes::BytesMut::with_capacity(stream.len());
    for piece in pieces {
        match piece {
            Piece::Send(bytes) | Piece::Terminal(bytes) => kept.extend_from_slice(&bytes),
            Piece::Stripped(data) => {
                let masked = guard.secrets().mask(data);
                guard.closed_mut().usage_chunk =
                    std::str::from_utf8(&masked).ok().map(str::to_owned);
            }
        }
    }
    kept.freeze()
}
