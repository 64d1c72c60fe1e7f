//! Bodies both ways: what is sent, and what is read of answers.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;

use super::connection::Connection;
use super::framing::{Framing, State};
use super::pool::Origin;
use crate::wire::translate::ProviderError;

/// Body of an upstream request.
pub enum RequestBody {
    /// No body.
    None,
    /// Held whole, so it can be sent again.
    Whole(Bytes),
    /// Flows through; `Some` is the client's `Content-Length`, which stays: some servers refuse chunked requests.
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
    /// The body's content is encoded in a way that cannot be undone.
    #[error("the body's encoding: {0}")]
    Encoding(&'static str),
    /// A stream that is to be translated ended cleanly, but before its end.
    #[error("the stream ended before its end")]
    Unfinished,
    /// A translated stream reports an error of the provider.
    #[error("the provider reports an error")]
    Reported(ProviderError),
    /// A stream that is to be translated is not of its format.
    #[error("the stream could not be translated: {0}")]
    Untranslatable(String),
    /// The provider says in the middle of a stream that it did not reach who answers.
    #[error("the provider did not reach its peer: {words}")]
    Unreached {
        /// From there on, as much as came with it.
        said: Bytes,
        /// The line that says it.
        words: String,
    },
    /// An event of a stream that is to be translated is longer than the limit.
    #[error("an event is too long")]
    EventTooLarge,
}

/// The body of an answer, piece by piece, each in room of its own. One that breaks off is an error.
///
/// Dropped before its end, it closes its connection: that cancels the request.
pub struct UpstreamBody {
    source: Source,
    /// Told after what came before it.
    failed: bool,
}

enum Source {
    /// There is no more of it.
    None,
    /// Read from a connection.
    Open(Box<Open>),
    /// Made of one that is.
    Made(MadeBody),
}

/// A body that was made of another one.
pub type MadeBody = Pin<Box<dyn Stream<Item = Result<Bytes, BodyFailure>>>>;

struct Open {
    connection: Connection,
    framing: Framing,
    /// Where the connection goes at the end, if it may be used again.
    back_to: Option<Rc<Origin>>,
}

impl UpstreamBody {
    /// The body behind a head. `back_to`: who takes the connection at its end, if it may be used again.
    pub(super) fn new(
        connection: Connection,
        framing: Option<Framing>,
        back_to: Option<Rc<Origin>>,
    ) -> Self {
        let source = match framing {
            Some(framing) => Source::Open(Box::new(Open {
                connection,
                framing,
                back_to,
            })),
            None => {
                give_back(connection, back_to);
                Source::None
            }
        };
        Self {
            source,
            failed: false,
        }
    }

    /// A body in place of the upstream's own, which it holds as long as it needs it.
    pub fn made(body: MadeBody) -> Self {
        Self {
            source: Source::Made(body),
            failed: false,
        }
    }

    /// A body that is there.
    pub fn whole(body: Bytes) -> Self {
        Self::made(Box::pin(futures_util::stream::iter([Ok(body)])))
    }

    /// Whether there is no body at all, as behind a 204 or an answer to `HEAD`.
    pub fn is_none(&self) -> bool {
        matches!(self.source, Source::None)
    }

    fn ends(&mut self) {
        if let Source::Open(open) = std::mem::replace(&mut self.source, Source::None) {
            give_back(open.connection, open.back_to);
        }
    }
}

fn give_back(connection: Connection, to: Option<Rc<Origin>>) {
    if let Some(origin) = to {
        origin.put_back(connection);
    }
}

impl Stream for UpstreamBody {
    type Item = Result<Bytes, BodyFailure>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if std::mem::take(&mut this.failed) {
            return Poll::Ready(Some(Err(BodyFailure::Framing)));
        }
        if let Source::Made(body) = &mut this.source {
            return body.as_mut().poll_next(cx);
        }
        while let Source::Open(open) = &mut this.source {
            let Open {
                connection,
                framing,
                ..
            } = &mut **open;
            let read = ready!(connection.poll_bytes(cx, |bytes| {
                (!bytes.is_empty()).then(|| framing.decode(bytes))
            }));
            let decoded = match read {
                Ok(Some(decoded)) => decoded,
                Ok(None) => {
                    let may_end = framing.may_end();
                    this.source = Source::None;
                    return Poll::Ready((!may_end).then_some(Err(BodyFailure::Truncated)));
                }
                Err(error) => {
                    this.source = Source::None;
                    return Poll::Ready(Some(Err(body_failure(&error))));
                }
            };
            match decoded.state {
                State::Open => {}
                State::Whole => this.ends(),
                State::Overrun => this.source = Source::None,
                State::Malformed => (this.source, this.failed) = (Source::None, true),
            }
            if !decoded.data.is_empty() {
                return Poll::Ready(Some(Ok(decoded.data)));
            }
        }
        Poll::Ready(std::mem::take(&mut this.failed).then_some(Err(BodyFailure::Framing)))
    }
}

fn body_failure(error: &io::Error) -> BodyFailure {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => BodyFailure::Truncated,
        kind => BodyFailure::Io(kind.to_string()),
    }
}
