//! The one place that knows awc: sends a request to a provider and hands back head and body.
//!
//! One [`Transport`] a provider and worker thread (awc's client is not `Send`). HTTP/1.1 only: ALPN never offers
//! `h2`, and TLS is made below awc, which sees plain connections only. No redirects, no decompression, no headers of its
//! own, no limit of connections. A connection that was kept alive and died before its first answer byte is reported as
//! [`SendFailure::Stale`], so that the caller may send once more on a fresh one.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_tls::connect::ConnectError as TcpConnectError;
use awc::error::{ConnectError, SendRequestError};

use self::body::{FlowingBody, LONGEST_SLICE, SlicedBody};
use crate::filter::Headers;

mod body;
mod dial;
mod framing;
mod socket;
mod tls;

pub use body::{BodyFailure, BodyStream, RequestBody, UpstreamBody};
pub use tls::{TlsError, TlsOptions, client_config};

tokio::task_local! {
    /// Facts of the send that is being polled; the dialler writes into them.
    static CONNECT: Rc<ConnectNotes>;
}

/// What the dialler and the socket saw while one request was sent.
#[derive(Debug, Default)]
struct ConnectNotes {
    dialled: Cell<bool>,
    connected_after: Cell<Option<Duration>>,
    failed: RefCell<Option<SendFailure>>,
    answer_began: Cell<bool>,
}

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
    pooled: awc::Client,
    fresh: awc::Client,
}

/// How connections are opened and kept.
#[derive(Clone, Default)]
pub struct TransportOptions {
    /// Longest time for name resolution and TCP connect, and again for the TLS handshake.
    pub connect: Duration,
    /// TLS settings; `None` for plain HTTP.
    pub tls: Option<std::sync::Arc<rustls::ClientConfig>>,
}

/// Below the keep-alive of common servers (nginx 75 s, `uvicorn` 5 s), so that a connection rarely dies at reuse.
const POOL_KEEP_ALIVE: Duration = Duration::from_secs(4);
/// A connection is never reused after this.
const POOL_LIFETIME: Duration = Duration::from_secs(600);

// === impl Transport ===

impl Transport {
    /// A transport with an empty pool. Must be made on the thread that uses it.
    pub fn new(options: &TransportOptions) -> Self {
        Self {
            pooled: client(options, POOL_KEEP_ALIVE),
            fresh: client(options, Duration::ZERO),
        }
    }

    /// Sends over a pooled connection when there is one.
    ///
    /// # Errors
    /// [`SendFailure`] when no head arrived. There is no time limit here: callers drop the future.
    pub async fn send(&self, request: UpstreamRequest<'_>) -> Result<UpstreamReply, SendFailure> {
        exchange(&self.pooled, request).await
    }

    /// Sends over a connection of its own.
    ///
    /// # Errors
    /// As [`Transport::send`], never [`SendFailure::Stale`].
    pub async fn send_fresh(
        &self,
        request: UpstreamRequest<'_>,
    ) -> Result<UpstreamReply, SendFailure> {
        exchange(&self.fresh, request).await
    }
}

fn client(options: &TransportOptions, keep_alive: Duration) -> awc::Client {
    let dialler = dial::Dialler {
        limit: options.connect,
        tls: options.tls.clone(),
    };
    let connector = awc::Connector::new()
        .connector(dialler)
        // The dialler has its own limits, for TCP and TLS each; this one must not come before them.
        .timeout(options.connect * 3)
        .conn_keep_alive(keep_alive)
        .conn_lifetime(POOL_LIFETIME)
        .limit(0);
    awc::ClientBuilder::new()
        .connector(connector)
        .disable_timeout()
        .disable_redirects()
        .no_default_headers()
        .finish()
}

async fn exchange(
    client: &awc::Client,
    request: UpstreamRequest<'_>,
) -> Result<UpstreamReply, SendFailure> {
    let notes = Rc::new(ConnectNotes::default());
    let bodiless = request.method == "HEAD";
    let sent = CONNECT
        .scope(notes.clone(), send_with(client, request))
        .await;
    match sent {
        Ok(response) => Ok(reply(response, bodiless, notes.connected_after.get())),
        Err(error) => Err(failure(error, &notes)),
    }
}

async fn send_with(
    client: &awc::Client,
    request: UpstreamRequest<'_>,
) -> Result<awc::ClientResponse, SendRequestError> {
    let method = awc::http::Method::from_bytes(request.method.as_bytes())
        .map_err(|error| SendRequestError::Http(error.into()))?;
    let mut call = client.request(method, &*plain_url(request.url));
    let headers = call.headers_mut();
    for (name, value) in request.headers {
        let name = awc::http::header::HeaderName::from_bytes(name.as_bytes());
        let value = awc::http::header::HeaderValue::from_bytes(value);
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    match request.body {
        RequestBody::None => call.send().await,
        RequestBody::Whole(body) if body.len() <= LONGEST_SLICE => call.send_body(body).await,
        RequestBody::Whole(body) => call.send_body(SlicedBody { rest: body }).await,
        RequestBody::Flowing(stream, length) => {
            call.send_body(FlowingBody { stream, length }).await
        }
    }
}

/// The URL without TLS, which awc knows nothing of; the port stays what it was.
fn plain_url(url: &str) -> Cow<'_, str> {
    let Some(rest) = url.strip_prefix("https://") else {
        return Cow::Borrowed(url);
    };
    let (authority, path) = match rest.find(['/', '?', '#']) {
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    };
    let host_end = authority.rfind(']').unwrap_or(0);
    let has_port = authority
        .get(host_end..)
        .is_some_and(|end| end.contains(':'));
    let port = if has_port { "" } else { ":443" };
    Cow::Owned(format!("http://{authority}{port}{path}"))
}

fn reply(
    response: awc::ClientResponse,
    bodiless: bool,
    connect: Option<Duration>,
) -> UpstreamReply {
    let headers = Headers::from_pairs(
        response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes())),
    );
    let chunked = headers.get("transfer-encoding").is_some();
    // An answer without a body has no length either; `HEAD` keeps the one that a `GET` would have.
    let content_length = if chunked || matches!(response.status().as_u16(), 101 | 204) {
        None
    } else {
        headers
            .get("content-length")
            .and_then(|text| text.trim().parse().ok())
    };
    UpstreamReply {
        status: response.status().as_u16(),
        content_length,
        body: UpstreamBody {
            // These have no body, whatever their headers say (RFC 9110, sections 9.3.2, 15.2.2, 15.3.5 and 15.4.5).
            inner: (!bodiless && !matches!(response.status().as_u16(), 101 | 204 | 304))
                .then_some(response),
        },
        headers,
        connect,
    }
}

fn failure(error: SendRequestError, notes: &ConnectNotes) -> SendFailure {
    if let Some(failed) = notes.failed.take() {
        return failed;
    }
    let ended = if notes.dialled.get() || notes.answer_began.get() {
        SendFailure::Closed
    } else {
        SendFailure::Stale
    };
    match error {
        SendRequestError::Url(_) | SendRequestError::Http(_) => SendFailure::Url,
        SendRequestError::Body(_) => SendFailure::RequestBody,
        SendRequestError::Connect(ConnectError::Timeout) => SendFailure::ConnectTimeout,
        SendRequestError::Connect(ConnectError::Disconnected) => ended,
        SendRequestError::Connect(ConnectError::Io(error))
        | SendRequestError::Send(error)
        | SendRequestError::Response(actix_http::error::ParseError::Io(error)) => {
            match (error.get_ref(), tls::class(&error)) {
                (_, Some(class)) => SendFailure::Tls(class),
                (Some(inner), None) if inner.is::<framing::BadHead>() => {
                    SendFailure::Protocol(inner.to_string())
                }
                (_, None) => ended,
            }
        }
        SendRequestError::Connect(_) => SendFailure::Connect("not possible".to_owned()),
        SendRequestError::Response(error) => SendFailure::Protocol(error.to_string()),
        other => SendFailure::Protocol(other.to_string()),
    }
}

/// Leaves a note for the send that is being polled; nothing when a body is polled.
fn note(write: impl FnOnce(&ConnectNotes)) {
    // Outside of a send there is nobody to tell.
    let _told = CONNECT.try_with(|notes| write(notes));
}

/// A connection is being opened.
fn note_dialling() {
    note(|notes| notes.dialled.set(true));
}

/// The connection stands.
fn note_connected(since: Instant) {
    note(|notes| notes.connected_after.set(Some(since.elapsed())));
}

/// There will be no connection.
fn note_failed(failure: SendFailure) {
    note(|notes| drop(notes.failed.replace(Some(failure))));
}

/// The first bytes of the answer came.
fn note_answer_began() {
    note(|notes| notes.answer_began.set(true));
}

/// The error that awc expects of a dialler.
type DialError = TcpConnectError;

#[cfg(test)]
mod tests {
    use super::plain_url;

    #[test]
    fn urls_keep_their_port() {
        let check = |url: &str, plain: &str| assert_eq!(plain_url(url), plain);
        check("http://a/b", "http://a/b");
        check("https://a/b?c", "http://a:443/b?c");
        check("https://a:8443/b", "http://a:8443/b");
        check("https://[::1]/b:c", "http://[::1]:443/b:c");
        check("https://[::1]:1?d", "http://[::1]:1?d");
        check("https://a", "http://a:443");
    }
}
