//! A connection to a provider as awc gets it: plain or TLS, its answers set right by [`Answer`] before awc reads them.
//!
//! A body that breaks off is an error here ([`io::ErrorKind::UnexpectedEof`]), not an end.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_rt::net::{ActixStream, Ready, TcpStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::framing::Answer;
use super::note_answer_began;

/// Room for a head in one read; longer ones take more reads.
const HEAD_READ_BYTES: usize = 8 * 1024;

/// See the module.
pub(super) struct Socket {
    stream: Stream,
    answer: Answer,
    /// Bytes of the head, and what came with it, that awc has not read yet.
    held: Vec<u8>,
    /// How many of them awc has.
    taken: usize,
}

/// What carries the bytes.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            answer: Answer::Idle,
            held: Vec::new(),
            taken: 0,
        }
    }

    /// Reads until the head is whole and right; then it is in `held`.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while matches!(self.answer, Answer::Head(_)) {
            let mut space = [const { MaybeUninit::uninit() }; HEAD_READ_BYTES];
            let mut read = ReadBuf::uninit(&mut space);
            let polled = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read));
            let began = !self.held.is_empty() || !read.filled().is_empty();
            if began {
                note_answer_began();
            }
            polled?;
            if read.filled().is_empty() {
                return Poll::Ready(match began {
                    true => Err(io::ErrorKind::UnexpectedEof.into()),
                    false => Ok(()),
                });
            }
            self.held.extend_from_slice(read.filled());
            match self.answer.head(&mut self.held) {
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.answer, Answer::Head(_)) {
            ready!(this.poll_head(cx))?;
        }
        if let Some(held) = this.held.get(this.taken..)
            && !held.is_empty()
            && !matches!(this.answer, Answer::Head(_))
        {
            let count = held.len().min(buf.remaining());
            buf.put_slice(held.get(..count).unwrap_or_default());
            this.taken += count;
            if this.taken == this.held.len() {
                (this.held, this.taken) = (Vec::new(), 0);
            }
            return Poll::Ready(Ok(()));
        }
        match this.answer {
            // As if it were closed: awc does not use it again.
            Answer::Spoilt | Answer::Head(_) => Poll::Ready(Ok(())),
            // The pool looks whether anything came unasked.
            Answer::Idle => Pin::new(&mut this.stream).poll_read(cx, buf),
            Answer::Body(_) => {
                let before = buf.filled().len();
                ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
                let came = buf.filled().get(before..).unwrap_or_default();
                if came.is_empty() {
                    return Poll::Ready(match this.answer.may_end() {
                        true => Ok(()),
                        false => Err(io::ErrorKind::UnexpectedEof.into()),
                    });
                }
                let own = this.answer.body(came);
                buf.set_filled(before + own);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.answer.request_goes_out(bytes);
        Pin::new(&mut this.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(first) = slices.iter().find(|slice| !slice.is_empty()) {
            this.answer.request_goes_out(first);
        }
        Pin::new(&mut this.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

impl ActixStream for Socket {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(self.stream.tcp(), cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(self.stream.tcp(), cx)
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket")
    }
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }
}
