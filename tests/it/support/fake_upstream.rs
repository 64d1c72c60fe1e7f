//! A scripted upstream: each connection runs a list of steps, byte for byte, and
//! everything it receives is kept. For what the `mock` command cannot do.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use super::framing::request_length;
use super::signal::{LIMIT, Signal};

/// What one connection does, in order.
pub(crate) type Script = Vec<Step>;

/// One thing that a connection does.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Reads one request, head and body.
    ReadRequest,
    /// Writes bytes, in one call.
    Send(Vec<u8>),
    /// Writes bytes in calls of so many each.
    SendSplit(Vec<u8>, usize),
    /// Neither reads nor writes until the signal fires.
    Wait(Signal),
    /// Fires a signal.
    Fire(Signal),
    /// Ends the writing side; reading goes on.
    Fin,
    /// Resets the connection and ends the script.
    Rst,
    /// Reads on until the peer ends the connection.
    ReadToEnd,
}

/// How a peer ended its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// In order.
    Fin,
    /// By a reset.
    Rst,
}

/// A running upstream; it stops when this is dropped.
#[derive(Debug)]
pub(crate) struct FakeUpstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Seen {
    connections: Vec<Connection>,
    stopped: bool,
}

#[derive(Debug, Default, Clone)]
struct Connection {
    received: Vec<u8>,
    requests: usize,
    ended: Option<Ended>,
    is_over: bool,
}

impl FakeUpstream {
    /// Runs one script a connection, in the order of their arrival; the last script serves all further ones.
    pub(crate) fn start(scripts: Vec<Script>) -> Self {
        assert!(!scripts.is_empty(), "an upstream needs a script");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept(&listener, &scripts, &theirs));
        Self {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// One script for every connection: reads a request, sends `answer`, reads to the end.
    pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> Self {
        Self::start(vec![vec![
            Step::ReadRequest,
            Step::Send(answer.into()),
            Step::ReadToEnd,
        ]])
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Base URL with its version.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.lock().connections.len()
    }

    /// Requests that were read whole, over all connections.
    pub(crate) fn requests(&self) -> usize {
        self.shared
            .lock()
            .connections
            .iter()
            .map(|connection| connection.requests)
            .sum()
    }

    /// Every byte that a connection has received; connections count from 0.
    pub(crate) fn received(&self, connection: usize) -> Vec<u8> {
        let seen = self.shared.lock();
        seen.connections
            .get(connection)
            .map(|c| c.received.clone())
            .unwrap_or_default()
    }

    /// Waits until so many connections have come.
    #[track_caller]
    pub(crate) fn wait_for_connections(&self, count: usize) {
        self.wait(|seen| (seen.connections.len() >= count).then_some(()));
    }

    /// Waits until what a connection has received contains `bytes`.
    #[track_caller]
    pub(crate) fn wait_received(&self, connection: usize, bytes: &[u8]) {
        self.wait(|seen| {
            let received = &seen.connections.get(connection)?.received;
            memchr::memmem::find(received, bytes).map(|_| ())
        });
    }

    /// Waits until the peer ends a connection that reads. A script that does not read cannot see it.
    #[track_caller]
    pub(crate) fn wait_ended(&self, connection: usize) -> Ended {
        self.wait(|seen| seen.connections.get(connection)?.ended)
    }

    /// Waits until a connection's script is over, because it ended or its peer is gone.
    #[track_caller]
    pub(crate) fn wait_connection_over(&self, connection: usize) {
        self.wait(|seen| seen.connections.get(connection)?.is_over.then_some(()));
    }

    #[track_caller]
    fn wait<T>(&self, what: impl Fn(&Seen) -> Option<T>) -> T {
        let wait = |seen: &mut Seen| what(seen).is_none();
        let seen = self.shared.lock();
        let (seen, _) = self
            .shared
            .changed
            .wait_timeout_while(seen, LIMIT, wait)
            .expect("no holder panics");
        what(&seen).unwrap_or_else(|| panic!("it did not happen: {seen:?}"))
    }
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        // Wakes the acceptor, which then sees that it is to stop.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().expect("the acceptor does not panic");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no holder panics")
    }

    fn update(&self, connection: usize, change: impl FnOnce(&mut Connection)) {
        change(&mut self.lock().connections[connection]);
        self.changed.notify_all();
    }
}

fn accept(listener: &TcpListener, scripts: &[Script], shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        let mut seen = shared.lock();
        if seen.stopped {
            return;
        }
        let Ok(stream) = stream else { continue };
        let number = seen.connections.len();
        seen.connections.push(Connection::default());
        drop(seen);
        shared.changed.notify_all();
        let script = scripts[number.min(scripts.len() - 1)].clone();
        let line = Line {
            stream,
            shared: Arc::clone(shared),
            number,
            parsed: 0,
        };
        std::thread::spawn(move || {
            let (shared, number) = (Arc::clone(&line.shared), line.number);
            line.run(script);
            shared.update(number, |connection| connection.is_over = true);
        });
    }
}

/// One connection with its script.
struct Line {
    stream: TcpStream,
    shared: Arc<Shared>,
    number: usize,
    /// Received bytes that belong to requests already read.
    parsed: usize,
}

impl Line {
    /// Ends early when the peer does; the test sees that in what was received.
    fn run(mut self, script: Script) {
        self.stream.set_nodelay(true).expect("a socket option");
        for step in script {
            let goes_on = match step {
                Step::ReadRequest => self.read_request(),
                Step::Send(bytes) => self.stream.write_all(&bytes).is_ok(),
                Step::SendSplit(bytes, every) => bytes
                    .chunks(every)
                    .all(|piece| self.stream.write_all(piece).is_ok()),
                Step::Wait(signal) => {
                    signal.wait();
                    true
                }
                Step::Fire(signal) => {
                    signal.fire();
                    true
                }
                Step::Fin => self.stream.shutdown(std::net::Shutdown::Write).is_ok(),
                Step::Rst => {
                    let socket = socket2::SockRef::from(&self.stream);
                    socket
                        .set_linger(Some(Duration::ZERO))
                        .expect("a socket option");
                    false
                }
                Step::ReadToEnd => {
                    while self.read_some() {}
                    true
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Reads more; false at the end of the connection.
    fn read_some(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        let (more, ended) = match self.stream.read(&mut buffer) {
            Ok(0) => (&[][..], Some(Ended::Fin)),
            Ok(count) => (&buffer[..count], None),
            Err(error) if error.kind() == ErrorKind::Interrupted => return true,
            Err(_) => (&[][..], Some(Ended::Rst)),
        };
        self.shared.update(self.number, |connection| {
            connection.received.extend_from_slice(more);
            connection.ended = ended;
        });
        ended.is_none()
    }

    /// Reads until a request with its body is there; false when the connection ends before.
    fn read_request(&mut self) -> bool {
        loop {
            let received = self.shared.lock().connections[self.number].received.clone();
            if let Some(length) = request_length(&received[self.parsed..]) {
                self.parsed += length;
                self.shared
                    .update(self.number, |connection| connection.requests += 1);
                return true;
            }
            if !self.read_some() {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests;
