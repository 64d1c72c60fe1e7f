//! Relays an event stream: every byte goes on as it comes, except that the terminal event waits for the record.
//!
//! The scanner watches borders and endings without parsing; what it takes out (usage that only we asked for) and
//! mends is flagged in the row. When the upstream breaks off, the client gets an error event in its dialect.

mod ending;
mod sending;

use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt, StreamExt};

use crate::access_log::guard::RecordGuard;
use crate::filter::{Endpoint, StreamChain};
use crate::pipeline::answer::{Asked, framing};
use crate::pipeline::event_codec::EventCodec;
use crate::pipeline::failure::Failure;
use crate::pipeline::filtered_stream::FilteredStream;
use crate::pipeline::generator::{Aborted, Generator, Yielder};
use crate::pipeline::link::{ClientLink, Leaving};
use crate::pipeline::timer::{PieceTimer, TimedOut};
use crate::pipeline::whole::broken;
use crate::pipeline::{StreamSlot, Worker};
use crate::upstream::provider::Provider;
use crate::upstream::transport::{BodyFailure, UpstreamBody, UpstreamReply};
use crate::wire::relay_scanner::{Dialect, ScanOptions};
use crate::wire::stream_scanner::{Framing, StreamScanner};

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
    let framing = framing(&reply);
    let is_known = dialect != Dialect::Raw || framing == Framing::Frames;
    let repair = worker.settings.repair_streams && is_known;
    // In a box: a future holds what it is given twice.
    let relay = Box::new(Relay {
        scanner: StreamScanner::new(
            framing,
            asked.endpoint,
            ScanOptions {
                dialect,
                strip_usage: asked.usage_asked,
                repair,
                max_event_bytes: provider.max_event_bytes,
            },
        ),
        repair,
        timer: PieceTimer::new(asked.timeouts.idle, asked.timeouts.total, guard.started()),
        filters: chain.map(|chain| {
            FilteredStream::new(
                chain,
                EventCodec::new(framing, asked.endpoint, provider.max_event_bytes),
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
        keeps_both: provider.quirks.failure_mark.is_some(),
        broke: None,
    });
    Generator::new(|out| relay.run(out))
}

/// How event streams of an endpoint end.
pub(super) fn dialect(endpoint: Endpoint) -> Dialect {
    match endpoint {
        Endpoint::ChatCompletions | Endpoint::Completions => Dialect::Chat,
        Endpoint::Responses => Dialect::Responses,
        Endpoint::Messages => Dialect::Messages,
        Endpoint::GenerateContent => Dialect::Candidates,
        // Those of Bedrock are no event streams.
        Endpoint::BedrockInvoke
        | Endpoint::BedrockConverse
        | Endpoint::MessagesCountTokens
        | Endpoint::CountTokens
        | Endpoint::EmbedContent
        | Endpoint::Embeddings
        | Endpoint::AsksageQuery
        | Endpoint::ArgoChat
        | Endpoint::ArgoEmbed
        | Endpoint::Models
        | Endpoint::Passthrough => Dialect::Raw,
    }
}

struct Relay {
    scanner: StreamScanner,
    repair: bool,
    timer: PieceTimer,
    filters: Option<FilteredStream>,
    leaving: Option<LocalBoxFuture<'static, Leaving>>,
    link: ClientLink,
    cutting: LocalBoxFuture<'static, ()>,
    body: UpstreamBody,
    worker: Rc<Worker>,
    /// Counts the stream as open.
    _slot: StreamSlot,
    asked: Asked,
    guard: RecordGuard,
    /// Whether the upstream's body goes on record beside the client's: one of them may end otherwise.
    keeps_both: bool,
    /// What broke the stream off, if that is more than its end.
    broke: Option<BodyFailure>,
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
                    if self.scanner.takes_comment() {
                        out.send(Bytes::from_static(COMMENT)).await;
                    }
                }
                Next::ClientLeaves(Leaving::Reset) => return Err(Aborted),
                Next::Broken(BodyFailure::Io(_) | BodyFailure::Truncated) => {
                    return self.cut(&Failure::UpstreamDisconnected, &mut out).await;
                }
                Next::Broken(error) => {
                    let failure = broken(&error);
                    self.broke = Some(error);
                    return self.cut(&failure, &mut out).await;
                }
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
}

impl Drop for Relay {
    /// Also when the client has gone, the record says what the filters did. Then the guard hands it over.
    fn drop(&mut self) {
        if let Some(filters) = &self.filters {
            filters.note(&mut self.guard);
        }
    }
}

async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
