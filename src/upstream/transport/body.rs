//! Bodies both ways: what awc is given to send, and what is read of its answers.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use awc::body::{BodySize, MessageBody};
use awc::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;

/// Body of an upstream request.
pub enum RequestBody {
    /// No body, no `Content-Length`.
    None,
    /// Held whole, so it can be sent again.
    Whole(Bytes),
    /// Flows through; `Some` is the client's `Content-Length`.
    Flowing(BodyStream, Option<u64>),
}

/// A body that flows through.
pub type BodyStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyFailure {
    /// The connection was reset or failed.
    #[error("the connection failed: {0}")]
    Io(String),
    /// The connection was closed before the body was complete.
    #[error("the connection was closed before the end of the body")]
    Truncated,
    /// The framing of the body is broken.
    #[error("the body's framing is broken")]
    Framing,
}

/// The body of an answer, piece by piece. One that breaks off is an error: the socket knows where it ends.
pub struct UpstreamBody {
    /// `None` where there is no body.
    pub(super) inner: Option<awc::ClientResponse>,
}

impl Stream for UpstreamBody {
    type Item = Result<Bytes, BodyFailure>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(inner) = &mut self.get_mut().inner else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(inner).poll_next(cx);
        polled.map(|item| item.map(|read| read.map_err(body_failure)))
    }
}

fn body_failure(error: PayloadError) -> BodyFailure {
    match error {
        PayloadError::Io(error) | PayloadError::Incomplete(Some(error)) => match error.kind() {
            io::ErrorKind::UnexpectedEof => BodyFailure::Truncated,
            // What awc says of chunks that are none.
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => BodyFailure::Framing,
            kind => BodyFailure::Io(kind.to_string()),
        },
        PayloadError::Incomplete(None) => BodyFailure::Truncated,
        _ => BodyFailure::Framing,
    }
}

/// Most of a held body that awc is given at a time, in bytes: it copies what it sends.
pub(super) const LONGEST_SLICE: usize = 64 * 1024;

/// A held body, given slice by slice.
pub(super) struct SlicedBody {
    pub(super) rest: Bytes,
}

impl MessageBody for SlicedBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.rest.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let length = LONGEST_SLICE.min(self.rest.len());
        let slice = self.rest.split_to(length);
        Poll::Ready((!slice.is_empty()).then_some(Ok(slice)))
    }
}

/// A flowing request body that keeps the client's length: some servers refuse chunked requests.
pub(super) struct FlowingBody {
    pub(super) stream: BodyStream,
    pub(super) length: Option<u64>,
}

impl MessageBody for FlowingBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        self.length.map_or(BodySize::Stream, BodySize::Sized)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.stream.as_mut().poll_next(cx)
    }
}
