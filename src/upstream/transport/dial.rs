//! Opens TCP connections for awc, tells the send when it did, and notices when a socket reaches its end.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_rt::net::{ActixStream, Ready, TcpStream};
use actix_service::Service;
use actix_tls::connect::{ConnectInfo, Connection};
use awc::http::Uri;
use futures_util::future::LocalBoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{DialError, note_connected, note_dialling};

thread_local! {
    /// Whether the socket that was read last on this thread had reached its end.
    static END_OF_FILE: Cell<bool> = const { Cell::new(false) };
}

/// Before a body is polled.
pub(super) fn forget_end_of_file() {
    END_OF_FILE.set(false);
}

/// After a body was polled: whether its socket reached its end meanwhile. Exact, because one poll of one body
/// reads one socket, on this thread, without a break.
pub(super) fn saw_end_of_file() -> bool {
    END_OF_FILE.get()
}

/// Resolves and connects, one address after the other.
#[derive(Clone)]
pub(super) struct Dialler;

impl Service<ConnectInfo<Uri>> for Dialler {
    type Response = Connection<Uri, Watched>;
    type Error = DialError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Self::Error>>;

    actix_service::always_ready!();

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let notes = note_dialling();
        Box::pin(async move {
            let since = Instant::now();
            let host = info
                .hostname()
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned();
            let addresses = tokio::net::lookup_host((host, info.port()))
                .await
                .map_err(|error| DialError::Resolver(Box::new(error)))?;
            let mut last = None;
            for address in addresses {
                match TcpStream::connect(address).await {
                    Ok(stream) => {
                        stream.set_nodelay(true).map_err(DialError::Io)?;
                        note_connected(notes.as_ref(), since);
                        let uri = info.request().clone();
                        return Ok(Connection::new(uri, Watched(stream)));
                    }
                    Err(error) => last = Some(error),
                }
            }
            Err(last.map_or(DialError::NoRecords, DialError::Io))
        })
    }
}

/// A TCP stream that notes its end of file for [`saw_end_of_file`].
pub(super) struct Watched(TcpStream);

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.0).poll_read(cx, buf);
        if matches!(polled, Poll::Ready(Ok(()))) && buf.filled().len() == before {
            END_OF_FILE.set(true);
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}

impl ActixStream for Watched {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.0, cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.0, cx)
    }
}
