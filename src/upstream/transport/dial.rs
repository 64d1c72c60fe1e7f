//! Opens connections: names and TCP by awc's connector, TLS above it.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::net::TcpStream;
use actix_service::{Service, ServiceExt};
use actix_tls::connect::{Connection as TcpConnection, Connector as TcpConnector, Resolver};
use awc::error::ConnectError;
use awc::http::Uri;
use awc::{BoxedSocket, Connect};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::connection::Stream;
use super::pool::Origin;
use super::{SendFailure, TransportOptions, tls};

/// Resolves and connects, one address after the other, and then shakes hands.
pub(super) struct Dialler {
    connect: Rc<ConnectService>,
    /// Longest time for name resolution and TCP connect, and again for the TLS handshake.
    limit: Duration,
    /// `None` for plain connections.
    tls: Option<Arc<ClientConfig>>,
}

type ConnectService = dyn Fn(Connect) -> LocalBoxFuture<'static, Result<BoxedSocket, ConnectError>>;

impl Dialler {
    pub(super) fn new(options: &TransportOptions) -> Self {
        Self {
            connect: awc_connector(options.connect),
            limit: options.connect,
            tls: options.tls.clone(),
        }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// [`SendFailure`] of the kinds that speak of a connection that could not be had.
    pub(super) async fn open(&self, origin: &Origin) -> Result<Stream, SendFailure> {
        let port = origin.plain.port_u16().unwrap_or_default();
        let address = origin.name.parse::<IpAddr>().ok();
        let connect = Connect {
            uri: origin.plain.clone(),
            addr: address.map(|address| SocketAddr::new(address, port)),
        };
        let tls = match origin.is_https() {
            false => None,
            // Never without TLS where the URL asks for it.
            true => Some(self.tls.as_ref().ok_or(SendFailure::Url)?),
        };
        let socket = (self.connect)(connect).await.map_err(no_connection)?;
        let Some(config) = tls else {
            return Ok(Stream::Plain(socket));
        };
        let name = ServerName::try_from(origin.name.clone()).map_err(|_| SendFailure::Url)?;
        let handshake = TlsConnector::from(config.clone()).connect(name, socket);
        match timeout(self.limit, handshake).await {
            Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
            Ok(Err(error)) => Err(SendFailure::Tls(
                tls::class(&error).unwrap_or_else(|| "handshake broke off".to_owned()),
            )),
            Err(_) => Err(SendFailure::Tls("handshake took too long".to_owned())),
        }
    }
}

/// awc's connector for plain connections. Each of them leaves it for good: we keep them ourselves.
fn awc_connector(limit: Duration) -> Rc<ConnectService> {
    let tcp = TcpConnector::new(Resolver::default()).service();
    let tcp = tcp.map(|connection: TcpConnection<Uri, TcpStream>| {
        if let Err(error) = connection.io_ref().set_nodelay(true) {
            tracing::debug!("a connection without TCP_NODELAY: {error}");
        }
        connection
    });
    let connector = awc::Connector::new()
        .connector(tcp)
        .timeout(limit)
        .limit(0)
        .finish();
    Rc::new(move |connect| {
        connector
            .call(connect)
            .map(|opened| opened.map(|socket| Box::new(socket) as BoxedSocket))
            .boxed_local()
    })
}

fn no_connection(error: ConnectError) -> SendFailure {
    match error {
        ConnectError::Timeout => SendFailure::ConnectTimeout,
        ConnectError::Resolver(_) | ConnectError::NoRecords | ConnectError::Unresolved => {
            SendFailure::Dns
        }
        ConnectError::Io(error) => SendFailure::Connect(error.kind().to_string()),
        _ => SendFailure::Connect("not possible".to_owned()),
    }
}
