//! The one place that knows awc: sends a request to a provider and hands back head and body.
//!
//! awc's connector opens the connections (`dial`); what goes over them is HTTP/1.1 in our own hands, for awc's client
//! makes a clock, a task and a timer of it for every request, and ends a body that broke off like a whole one. One
//! [`Transport`] a provider and worker thread (awc's connector is not `Send`). No HTTP/2: ALPN never offers `h2`.
//! No redirects, no decompression, no headers of its own, no limit of connections. A connection that was kept alive
//! and died before its first answer byte is reported as [`SendFailure::Stale`], so that the caller may send once more
//! on a fresh one.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::filter::Headers;

mod body;
mod connection;
mod dial;
mod framing;
mod head;
mod pool;
mod send;
mod tls;

pub use body::{BodyFailure, BodyStream, MadeBody, RequestBody, UpstreamBody};
pub use tls::{TlsError, TlsOptions, client_config};

use connection::Connection;
use pool::{Origin, Pool};

/// A request on its way to a provider.
pub struct UpstreamRequest<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// Absolute URL.
    pub url: &'a str,
    /// Every header that is sent, `host` and `content-length` excepted.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// What follows the head.
    pub body: RequestBody,
}

/// The head of an answer, and its body still to be read.
pub struct UpstreamReply {
    /// HTTP status.
    pub status: u16,
    /// Every header of the answer.
    pub headers: Headers,
    /// `Content-Length`, when the answer has one and is not chunked.
    pub content_length: Option<u64>,
    /// The body.
    pub body: UpstreamBody,
    /// Time to open the connection; `None` on a pooled one.
    pub connect: Option<Duration>,
}

/// Why no answer's head was read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendFailure {
    /// The name has no address.
    #[error("the host name could not be resolved")]
    Dns,
    /// Nobody accepted the connection.
    #[error("no connection: {0}")]
    Connect(String),
    /// The connection could not be opened in time.
    #[error("no connection within the time limit")]
    ConnectTimeout,
    /// The TLS handshake failed; the text is a class such as `certificate expired`.
    #[error("TLS: {0}")]
    Tls(String),
    /// A pooled connection turned out dead before any answer byte.
    #[error("the kept-alive connection was closed by the upstream")]
    Stale,
    /// A fresh connection ended before any answer byte.
    #[error("the connection ended before an answer")]
    Closed,
    /// The answer is not HTTP we can read.
    #[error("the answer could not be read: {0}")]
    Protocol(String),
    /// The client's own body stream failed while it was being sent.
    #[error("the request body broke off")]
    RequestBody,
    /// The URL cannot be used.
    #[error("the URL cannot be used")]
    Url,
}

/// Sends requests to one provider, from one worker thread.
#[derive(Clone)]
pub struct Transport {
    pool: Rc<Pool>,
}

/// How connections are opened and kept.
#[derive(Clone, Default)]
pub struct TransportOptions {
    /// Longest time for name resolution and TCP connect, and again for the TLS handshake.
    pub connect: Duration,
    /// TLS settings; `None` for plain HTTP.
    pub tls: Option<std::sync::Arc<rustls::ClientConfig>>,
}

// === impl Transport ===

impl Transport {
    /// A transport with an empty pool. Must be made on the thread that uses it.
    pub fn new(options: &TransportOptions) -> Self {
        Self {
            pool: Rc::new(Pool::new(options)),
        }
    }

    /// Sends over a pooled connection when there is one.
    ///
    /// # Errors
    /// [`SendFailure`] when no head arrived. There is no time limit here: callers drop the future.
    pub async fn send(&self, request: UpstreamRequest<'_>) -> Result<UpstreamReply, SendFailure> {
        let (origin, target) = self.pool.origin(request.url)?;
        match origin.take() {
            Some(connection) => exchange(connection, &origin, target, request).await,
            None => Box::pin(self.dial_and_send(origin, target, request)).await,
        }
    }

    /// Sends over a connection of its own.
    ///
    /// # Errors
    /// As [`Transport::send`], never [`SendFailure::Stale`].
    pub async fn send_fresh(
        &self,
        request: UpstreamRequest<'_>,
    ) -> Result<UpstreamReply, SendFailure> {
        let (origin, target) = self.pool.origin(request.url)?;
        self.dial_and_send(origin, target, request).await
    }

    async fn dial_and_send(
        &self,
        origin: Rc<Origin>,
        target: &str,
        request: UpstreamRequest<'_>,
    ) -> Result<UpstreamReply, SendFailure> {
        let since = Instant::now();
        let stream = self.pool.dialler.open(&origin).await?;
        let connect = since.elapsed();
        match exchange(Connection::new(stream), &origin, target, request).await {
            Ok(reply) => Ok(UpstreamReply {
                connect: Some(connect),
                ..reply
            }),
            Err(SendFailure::Stale) => Err(SendFailure::Closed),
            Err(failure) => Err(failure),
        }
    }
}

/// Sends a request and reads the head of its answer. A connection that ends before any byte of it is
/// [`SendFailure::Stale`].
async fn exchange(
    mut connection: Connection,
    origin: &Rc<Origin>,
    target: &str,
    request: UpstreamRequest<'_>,
) -> Result<UpstreamReply, SendFailure> {
    let is_head = request.method == "HEAD";
    let sent = send::send(&mut connection, &origin.host, target, request).await?;
    let head = match sent.early {
        Some(head) => head,
        None => connection.head().await?,
    };
    let framing = head.framing(is_head);
    // Of an answer without a body only `HEAD` has a length: the one that a `GET` would have.
    let has_length = !head.is_chunked && !matches!(head.status, 101 | 204);
    Ok(UpstreamReply {
        status: head.status,
        content_length: head.length.filter(|_| has_length),
        body: UpstreamBody::new(
            connection,
            framing,
            (sent.whole && head.keeps_alive).then(|| origin.clone()),
        ),
        headers: head.headers,
        connect: None,
    })
}
