//! Starts both listeners on a thread of their own and stops them in order.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};

use crate::server::admin::{self, AdminState};
use crate::server::client_socket;
use crate::server::current::CurrentState;
use crate::server::data;
use crate::server::state::Unrecorded;

/// Settings of the data port's HTTP.
#[derive(Debug, Clone, Copy)]
pub struct HttpSettings {
    /// Worker threads.
    pub workers: usize,
    /// How long an idle client connection is kept.
    pub keep_alive: Duration,
    /// Longest wait for a request's head.
    pub header_read: Duration,
    /// Most connections of one worker.
    pub max_connections: usize,
    /// Longest time that a stop waits for connections.
    pub shutdown_timeout: Duration,
}

/// Makes the state of one worker, on its thread.
pub type MakeState = Arc<dyn Fn() -> Rc<CurrentState> + Send + Sync>;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 2048;

/// Longest time for a client to read the end of a refused request.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Opens a listening socket, so that a port that is taken is told before anything is started.
///
/// # Errors
/// As the system says.
pub fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    use std::net::ToSocketAddrs;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match listen(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Ends listening, whoever else holds the socket: connections that were not accepted are reset, further ones
/// refused. Those that were accepted stay.
pub fn refuse_connections(listener: &TcpListener) {
    if let Err(error) = socket2::SockRef::from(listener).shutdown(std::net::Shutdown::Both) {
        tracing::warn!("the port could not be closed: {error}");
    }
}

/// Starts the data port. Runs until the handle stops it. Must be called within an actix system.
///
/// # Errors
/// When the listener cannot be taken over.
pub fn data_port(
    listener: TcpListener,
    settings: HttpSettings,
    make: MakeState,
    counts: Arc<Unrecorded>,
) -> io::Result<(ServerHandle, impl Future<Output = io::Result<()>>)> {
    let server = HttpServer::new(move || {
        App::new()
            .app_data(make())
            .default_service(web::to(data::handle))
    })
    .workers(settings.workers)
    .disable_signals()
    .keep_alive(settings.keep_alive)
    .client_request_timeout(settings.header_read)
    .client_disconnect_timeout(DISCONNECT_TIMEOUT)
    .shutdown_timeout(settings.shutdown_timeout.as_secs().max(1))
    .max_connections(settings.max_connections)
    .tcp_nodelay(true)
    .on_connect(move |connection, data| client_socket::remember(connection, data, &counts))
    .listen(listener)?
    .run();
    Ok((server.handle(), server))
}

/// Starts the admin port, with one thread of its own.
///
/// # Errors
/// When the listener cannot be taken over.
pub fn admin_port(
    listener: TcpListener,
    state: AdminState,
) -> io::Result<(ServerHandle, impl Future<Output = io::Result<()>>)> {
    let server = HttpServer::new(move || App::new().configure(admin::configure(state.clone())))
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(listener)?
        .run();
    Ok((server.handle(), server))
}
