//! Opens connections for awc, TLS included, and tells the send why one could not be had.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_rt::net::TcpStream;
use actix_service::Service;
use actix_tls::connect::{ConnectInfo, Connection};
use awc::http::Uri;
use futures_util::future::LocalBoxFuture;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::socket::{Socket, Stream};
use super::{DialError, SendFailure, note_connected, note_dialling, note_failed, tls};

/// Resolves and connects, one address after the other.
#[derive(Clone)]
pub(super) struct Dialler {
    /// Longest time for name resolution and TCP connect, and again for the TLS handshake.
    pub(super) limit: Duration,
    /// `None` for plain connections.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

impl Service<ConnectInfo<Uri>> for Dialler {
    type Response = Connection<Uri, Socket>;
    type Error = DialError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Self::Error>>;

    actix_service::always_ready!();

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        note_dialling();
        let dialler = self.clone();
        Box::pin(async move {
            let since = Instant::now();
            let host = info.hostname().trim_matches(['[', ']']).to_owned();
            match dialler.open(&host, info.port()).await {
                Ok(stream) => {
                    note_connected(since);
                    let uri = info.request().clone();
                    Ok(Connection::new(uri, Socket::new(stream)))
                }
                Err(failure) => {
                    note_failed(failure);
                    // awc needs an error; the one that counts was noted.
                    Err(DialError::NoRecords)
                }
            }
        })
    }
}

impl Dialler {
    async fn open(&self, host: &str, port: u16) -> Result<Stream, SendFailure> {
        let stream = timeout(self.limit, tcp(host, port))
            .await
            .map_err(|_| SendFailure::ConnectTimeout)??;
        let Some(config) = &self.tls else {
            return Ok(Stream::Plain(stream));
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|_| SendFailure::Url)?;
        let handshake = TlsConnector::from(config.clone()).connect(name, stream);
        match timeout(self.limit, handshake).await {
            Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
            Ok(Err(error)) => Err(SendFailure::Tls(
                tls::class(&error).unwrap_or_else(|| "handshake broke off".to_owned()),
            )),
            Err(_) => Err(SendFailure::Tls("handshake took too long".to_owned())),
        }
    }
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, SendFailure> {
    let addresses = tokio::net::lookup_host((host, port))
        .await
        .map_err(|_| SendFailure::Dns)?;
    let mut last = SendFailure::Dns;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(no_connection)?;
                return Ok(stream);
            }
            Err(error) => last = no_connection(error),
        }
    }
    Err(last)
}

fn no_connection(error: std::io::Error) -> SendFailure {
    SendFailure::Connect(error.kind().to_string())
}
