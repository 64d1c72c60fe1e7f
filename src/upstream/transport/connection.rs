//! One connection to a provider: plain or TLS, and what was read of it and not used yet.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::head::{Head, HeadReader};
use super::{SendFailure, tls};

/// Most bytes of one read: a TLS record. They lie on the stack, so that an open stream holds no buffer.
const READ_BYTES: usize = 16 * 1024;

/// See the module.
pub(super) struct Connection {
    stream: Stream,
    /// When it was opened.
    pub(super) opened: Instant,
    /// What came and was not used yet.
    held: Vec<u8>,
    head: HeadReader,
}

/// What carries the bytes.
pub(super) enum Stream {
    Plain(awc::BoxedSocket),
    Tls(Box<TlsStream<awc::BoxedSocket>>),
}

// === impl Connection ===

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            opened: Instant::now(),
            held: Vec::new(),
            head: HeadReader::default(),
        }
    }

    /// Whether it is open and nothing came that nobody asked for.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let mut read = ReadBuf::uninit(&mut byte);
        let mut cx = Context::from_waker(Waker::noop());
        self.held.is_empty() && self.stream.poll_read(&mut cx, &mut read).is_pending()
    }

    /// Writes; takes from `bytes` what has gone out.
    ///
    /// # Errors
    /// As the connection says.
    pub(super) fn poll_write_all(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut &[u8],
    ) -> Poll<io::Result<()>> {
        while !bytes.is_empty() {
            let count = ready!(self.stream.poll_write(cx, bytes))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *bytes = bytes.get(count..).unwrap_or_default();
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_flush(cx)
    }

    /// Reads the head of the answer; interim ones are passed over.
    ///
    /// # Errors
    /// [`SendFailure::Stale`] when the connection ends before any byte, [`SendFailure::Closed`] when it ends in the head,
    /// [`SendFailure::Tls`] when TLS ends it, [`SendFailure::Protocol`] when what comes is no answer.
    pub(super) async fn head(&mut self) -> Result<Head, SendFailure> {
        std::future::poll_fn(|cx| self.poll_head(cx)).await
    }

    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, SendFailure>> {
        loop {
            let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
            let mut read = ReadBuf::uninit(&mut space);
            if let Err(error) = ready!(self.stream.poll_read(cx, &mut read)) {
                return Poll::Ready(Err(self.ended_by(&error)));
            }
            if read.filled().is_empty() {
                return Poll::Ready(Err(self.ended()));
            }
            // Most heads come in one piece: that is not copied.
            let bytes = match self.held.is_empty() {
                true => read.filled(),
                false => {
                    self.held.extend_from_slice(read.filled());
                    &self.held
                }
            };
            match self.head.read(bytes) {
                Err(bad) => return Poll::Ready(Err(SendFailure::Protocol(bad.to_string()))),
                Ok(Some((head, end))) => {
                    self.held = bytes.get(end..).unwrap_or_default().to_vec();
                    self.head = HeadReader::default();
                    return Poll::Ready(Ok(head));
                }
                Ok(None) if self.held.is_empty() => self.held = bytes.to_vec(),
                Ok(None) => {}
            }
        }
    }

    fn ended_by(&self, error: &io::Error) -> SendFailure {
        match tls::class(error) {
            Some(class) => SendFailure::Tls(class),
            None => self.ended(),
        }
    }

    /// It ended in the head, or before it.
    fn ended(&self) -> SendFailure {
        match self.held.is_empty() {
            true => SendFailure::Stale,
            false => SendFailure::Closed,
        }
    }

    /// Shows the next bytes behind the head to `take`; none at the connection's end.
    pub(super) fn poll_bytes<T>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Poll<io::Result<T>> {
        if !self.held.is_empty() {
            return Poll::Ready(Ok(take(&std::mem::take(&mut self.held))));
        }
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(self.stream.poll_read(cx, &mut read))?;
        Poll::Ready(Ok(take(read.filled())))
    }
}

// === impl Stream ===

impl Stream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
}
