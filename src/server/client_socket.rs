//! Sees that a client has gone while nothing is being written to it.
//!
//! actix keeps the socket to itself and does not report a FIN while an answer is pending. So each connection
//! leaves a duplicate of its descriptor with the connection's data; a watcher peeks at it.

use std::any::Any;
use std::cell::{Cell, OnceCell};
use std::future::Future;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tokio::io::Interest;

use crate::pipeline::link::{ClientLink, Leaving, Peer};
use crate::server::state::Unrecorded;

/// A duplicate of a client connection's descriptor. The only one: open files bound the number of open streams.
pub struct ClientSocket {
    /// Until it is watched for the first time: most connections never are.
    duplicate: Cell<Option<OwnedFd>>,
    watched: OnceCell<Rc<TcpStream>>,
}

/// To be called for each new connection, with its stream.
pub fn remember(connection: &dyn Any, data: &mut Extensions, counts: &Arc<Unrecorded>) {
    data.insert(FirstRequest {
        came: Cell::new(false),
        counts: counts.clone(),
    });
    if let Some(stream) = connection.downcast_ref::<TcpStream>()
        && let Ok(duplicate) = stream.as_fd().try_clone_to_owned()
    {
        data.insert(ClientSocket {
            duplicate: Cell::new(Some(duplicate)),
            watched: OnceCell::new(),
        });
    }
}

/// Whether a connection has brought a request yet; counts it when it ends without one.
pub struct FirstRequest {
    came: Cell<bool>,
    counts: Arc<Unrecorded>,
}

impl FirstRequest {
    /// Notes that it has.
    pub fn has_come(&self) {
        self.came.set(true);
    }
}

impl Drop for FirstRequest {
    fn drop(&mut self) {
        if !self.came.get() {
            self.counts.connection_without_request();
        }
    }
}

/// The client of a request, to be watched while it is worked for.
pub fn link(request: &HttpRequest) -> ClientLink {
    match request.conn_data::<ClientSocket>() {
        None => ClientLink::default(),
        Some(_) => ClientLink::new(Box::new(RequestPeer(request.clone()))),
    }
}

/// The client behind a request: the socket lives with the connection's data.
struct RequestPeer(HttpRequest);

impl Peer for RequestPeer {
    fn leaving(&self) -> LocalBoxFuture<'static, Leaving> {
        match self.0.conn_data::<ClientSocket>() {
            Some(socket) => socket.leaving().boxed_local(),
            None => std::future::pending().boxed_local(),
        }
    }

    fn reset(&self) -> LocalBoxFuture<'static, ()> {
        match self.0.conn_data::<ClientSocket>() {
            Some(socket) => socket.reset().boxed_local(),
            None => std::future::pending().boxed_local(),
        }
    }
}

impl ClientSocket {
    /// A future that ends when the client has sent a FIN or a reset. It never ends for a client that sends
    /// further requests on the connection meanwhile, nor when the descriptor cannot be watched.
    pub fn leaving(&self) -> impl Future<Output = Leaving> + use<> {
        let watched = self.watched();
        async move {
            let Some(stream) = watched else {
                return std::future::pending().await;
            };
            match stream.peek(&mut [0]).await {
                Ok(0) => Leaving::Finished,
                Ok(_) => std::future::pending().await,
                Err(_) => Leaving::Reset,
            }
        }
    }

    /// A future that ends when the connection was reset, also after a FIN; never when it cannot be watched.
    pub fn reset(&self) -> impl Future<Output = ()> + use<> {
        let watched = self.watched();
        async move {
            let reset = match watched {
                Some(stream) => stream.ready(Interest::ERROR).await.is_ok(),
                None => false,
            };
            if !reset {
                std::future::pending::<()>().await;
            }
        }
    }

    /// `None` when it cannot be watched.
    fn watched(&self) -> Option<Rc<TcpStream>> {
        if let Some(stream) = self.watched.get() {
            return Some(stream.clone());
        }
        let stream = std::net::TcpStream::from(self.duplicate.take()?);
        stream.set_nonblocking(true).ok()?;
        let stream = Rc::new(TcpStream::from_std(stream).ok()?);
        Some(self.watched.get_or_init(|| stream).clone())
    }
}
