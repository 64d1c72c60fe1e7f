//! Answers that a response filter wants to see whole: collected within limits, filtered, and sent in one burst.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::access_log::guard::RecordGuard;
use crate::filter::{ChainRun, Endpoint, LlmResponse, ResponseOutcome, StreamEvent};
use crate::pipeline::Worker;
use crate::pipeline::answer::Asked;
use crate::pipeline::event_codec::EventCodec;
use crate::pipeline::events::dialect;
use crate::pipeline::failure::Failure;
use crate::pipeline::filtering;
use crate::pipeline::folding::Folding;
use crate::pipeline::timer::by;
use crate::pipeline::whole::broken;
use crate::upstream::provider::Timeouts;
use crate::upstream::transport::{BodyFailure, UpstreamBody};
use crate::wire::gemini::array;
use crate::wire::relay_scanner::{Piece, ScanOptions, StreamEnd};
use crate::wire::stream_scanner::{Framing, StreamScanner};

/// Why a body could not be read whole, and what came of it.
pub struct Unread {
    /// Why.
    pub failure: Failure,
    /// What came.
    pub came: Bytes,
}

/// Reads a body to its end, within the provider's time limits and the longest body that is held.
///
/// # Errors
/// [`Unread`] when it broke off, took too long, is too long, or the server stops.
pub async fn read(
    mut body: UpstreamBody,
    timeouts: &Timeouts,
    started: Instant,
    worker: &Worker,
) -> Result<Bytes, Unread> {
    let limit = worker.settings.max_body_bytes;
    let total = started + timeouts.total;
    let mut cutting = std::pin::pin!(worker.lifecycle.cutting());
    let mut read = BytesMut::new();
    let failure = loop {
        let until = total.min(Instant::now() + timeouts.idle);
        let next = tokio::select! {
            biased;
            next = by(until, body.next()) => next,
            () = &mut cutting => break Failure::ShuttingDown,
        };
        match next {
            None if total <= Instant::now() => break Failure::UpstreamTimeout,
            None => break Failure::UpstreamIdleTimeout,
            Some(None) => return Ok(read.freeze()),
            Some(Some(Err(error))) => {
                if let BodyFailure::Unreached { said, .. } = &error {
                    read.extend_from_slice(said);
                }
                break broken(&error);
            }
            Some(Some(Ok(piece))) if limit < read.len() + piece.len() => {
                break Failure::UpstreamBodyTooLarge;
            }
            Some(Some(Ok(piece))) => read.extend_from_slice(&piece),
        }
    };
    Err(Unread {
        failure,
        came: read.freeze(),
    })
}

/// A whole event stream, as a client would get it piece by piece.
pub struct Mended {
    /// Mended, and without the usage chunk that only we asked for.
    pub bytes: Bytes,
    /// Whether the upstream reported an error in it, or a frame of it is damaged.
    pub has_error: bool,
    framing: Framing,
    end: StreamEnd,
}

/// Mends a stream as the relay would, and puts on record what was done.
pub fn mend(
    stream: Bytes,
    framing: Framing,
    asked: &Asked,
    repair: bool,
    guard: &mut RecordGuard,
) -> Mended {
    let options = ScanOptions {
        dialect: dialect(asked.endpoint),
        strip_usage: asked.usage_asked,
        repair,
        max_event_bytes: usize::MAX,
    };
    let mut scanner = StreamScanner::new(framing, asked.endpoint, options);
    let mut pieces = Vec::new();
    // Without a limit there is no event too large.
    scanner.push(stream, &mut pieces).ok();
    let end = scanner.finish(&mut pieces);
    let mut bytes = BytesMut::new();
    for piece in pieces {
        match piece {
            Piece::Send(kept) | Piece::Terminal(kept) => bytes.extend_from_slice(&kept),
            Piece::Stripped(data) => guard.usage_chunk(data),
        }
    }
    let repairs = scanner.facts().repairs.words();
    guard.closed_mut().repairs = repairs.map(str::to_owned).collect();
    Mended {
        bytes: bytes.freeze(),
        has_error: scanner.facts().saw_error_event || scanner.facts().is_damaged,
        framing,
        end,
    }
}

/// Passes a whole answer through the response filters.
///
/// # Errors
/// [`Failure`] when a filter refused or failed; the answer as it came is on record then.
pub async fn filter_whole(
    run: &mut ChainRun,
    endpoint: Endpoint,
    status: u16,
    body: Bytes,
    guard: &mut RecordGuard,
) -> Result<Bytes, Failure> {
    let mut response = LlmResponse::from_body(endpoint, status, body.clone());
    match run.response(&mut response).await {
        ResponseOutcome::Stopped(stop) => {
            guard.upstream_response_piece(body);
            Err(filtering::failure(stop))
        }
        ResponseOutcome::Continue => {
            let made = response.body().cloned().unwrap_or_default();
            if made != body {
                guard.upstream_response_piece(body);
            }
            Ok(made)
        }
    }
}

/// Passes a whole event stream through the filters of answers: those that buffer streams see it as one response,
/// the others event by event.
///
/// # Errors
/// [`Failure`] when the stream has no end, or a filter refused or failed.
pub async fn filter_stream(
    run: &mut ChainRun,
    endpoint: Endpoint,
    stream: &Mended,
    max_event_bytes: usize,
) -> Result<Bytes, Failure> {
    if stream.end == StreamEnd::Truncated {
        return Err(Failure::UpstreamTruncated);
    }
    let mut codec = EventCodec::new(stream.framing, endpoint, max_event_bytes);
    let events = events(&mut codec, &stream.bytes)?;
    let before: Vec<Bytes> = events.iter().map(StreamEvent::to_bytes).collect();
    let made = run
        .whole_stream(events, &Folding { endpoint })
        .await
        .map_err(filtering::failure)?;
    if made.iter().map(StreamEvent::to_bytes).eq(before) {
        return Ok(stream.bytes.clone());
    }
    let after: Vec<Bytes> = made.iter().map(|event| codec.encode(event)).collect();
    Ok(Bytes::from(after.concat()))
}

/// Passes a stream that came as one array through the filters, as [`filter_stream`] does. Tells besides whether the
/// upstream reported an error in it.
///
/// # Errors
/// As with [`filter_stream`]; what came is on record then.
pub async fn filter_array(
    run: &mut ChainRun,
    asked: &Asked,
    status: u16,
    body: Bytes,
    guard: &mut RecordGuard,
) -> Result<(Bytes, bool), Failure> {
    let Some(events) = array::to_events(&body) else {
        let mut watch = array::ArrayWatch::default();
        watch.see(&body);
        if watch.is_open() {
            guard.upstream_response_piece(body);
            return Err(Failure::UpstreamTruncated);
        }
        let made = filter_whole(run, asked.endpoint, status, body, guard).await?;
        return Ok((made, watch.has_error()));
    };
    let stream = mend(events, Framing::Events, asked, false, guard);
    let made = filter_stream(run, asked.endpoint, &stream, usize::MAX).await;
    match made {
        Ok(made) if made == stream.bytes => Ok((body, stream.has_error)),
        Ok(made) => {
            guard.upstream_response_piece(body);
            Ok((array::of_events(&made), stream.has_error))
        }
        Err(failure) => {
            guard.upstream_response_piece(body);
            Err(failure)
        }
    }
}

/// The events of a stream; what stands behind the last empty line counts as one too.
fn events(codec: &mut EventCodec, stream: &Bytes) -> Result<Vec<StreamEvent>, Failure> {
    let pushed = codec.push(stream.clone());
    let rest = codec.finish();
    match pushed.failure.or(rest.failure) {
        Some(failure) => Err(failure),
        None => Ok(pushed.events.into_iter().chain(rest.events).collect()),
    }
}
