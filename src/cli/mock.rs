//! The `mock` command: an upstream that speaks the APIs of OpenAI, Anthropic, Gemini and others with set speed, size and faults, for
//! tests, benches and a first look without a key.
//!
//! It misbehaves below HTTP too (resets, bodies that end too soon, writes of one byte), so it has a small server of its
//! own on plain sockets. One thread serves everything. How it behaves is in the model's name, see `MODELS`.

mod answer;
mod argo;
mod azure;
mod bedrock;
mod behaviour;
mod chat;
mod completions;
mod connection;
mod generate_content;
mod ledger;
mod media;
mod messages;
mod multipart;
mod node;
mod peer;
mod query;
mod refused;
mod reply;
mod request;
mod responses;
mod routes;
mod send;

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

pub use ledger::Stats;
pub use request::RawRequest;

use ledger::Ledger;

/// The parts of a model's name, as `aiproxy mock --help` shows them.
const MODELS: &str = "\
How it behaves is in the model's name, parts joined by `-`, such as mock-s200-d20 or mock-err-429:
  s200 d20 b4k     200 chunks; 20 ms before each; so many bytes an event or a body
  slow-5000        first byte after so many milliseconds
  err-429          that status, with `times-2` only twice for one x-test-id, with `part-30` in 30 of 100
                   requests; `after-7` is retry-after, `retry` and `noretry` are x-should-retry
  cut eof stall    reset, clean end before the finish reason, silence for ever; in the middle, or
                   with `cut-3` after three chunks
  hangup reset close    closed or reset in place of an answer; closed after it without a word
  utf8 bytes1 burst     writes end inside characters; one byte each; as many events as fit
  line-200m big-2g      one giant event; a body of so many bytes without a length
  usage-WORD       where usage stands, and what is wrong with it: none, first, every, last, empty,
                   negative, huge, string
  tools json vision refusal null    parallel calls, a JSON object, what was seen of images, a
                   refusal, `content: null`
  html redirect-307 whole plaintype notype trailing    HTML; a redirect; JSON though a stream was
                   asked for; wrong, no content type; a second object after the first
  crlf bom emptydata comments noblank nodone errevent    oddities of a stream
  nodeerror noprovider  what a node of OCF says when it reaches nobody
  badcrc badlength      a frame of Bedrock's whose checksum, or that of its lengths, does not hold
  gone overloaded denied sorry   what Ask Sage tells under 200
  echo             request headers come back as x-echo-… headers and as the text

The same names work for Anthropic's POST /v1/messages, and for Gemini's
POST /v1beta/models/NAME:generateContent and :streamGenerateContent, for Ask Sage's POST /server/query
and /server/get-models, for Bedrock's POST /model/NAME/converse, converse-stream, invoke and
invoke-with-response-stream, for Azure's POST /openai/deployments/NAME/chat/completions, completions and
embeddings, and behind a node of OCF, /v1/service/llm/v1/…, whose table is /v1/dnt/table.

GET /__mock/stats, GET /__mock/last?n=5 and POST /__mock/reset tell what it has seen.";

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4_096;

/// Pause when not even one connection can be accepted.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Options of `aiproxy mock`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = MODELS)]
pub struct Args {
    /// Address to listen on.
    #[arg(long, short = 'H', default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub host: IpAddr,
    /// Port to listen on; 0 takes a free one.
    #[arg(long, short = 'p', default_value_t = 9000)]
    pub port: u16,
}

/// Serves until SIGINT or SIGTERM; the first line of output names the address.
///
/// # Errors
/// When the address cannot be had.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let address = SocketAddr::new(args.host, args.port);
    runtime()?.block_on(async {
        let listener = listen(address).with_context(|| format!("cannot listen on {address}"))?;
        let mut out = io::stdout().lock();
        // A closed standard output is no reason not to serve.
        let _closed = writeln!(out, "mock upstream on http://{}/v1", listener.local_addr()?);
        let _closed = out.flush();
        drop(out);
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            () = accept(listener, Ledger::default()) => Ok(()),
            interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
            _ = terminate.recv() => Ok(()),
        }
    })
}

/// The mock inside another program, on a thread of its own.
#[derive(Debug)]
pub struct Mock;

/// A running [`Mock`]; it stops when this is dropped.
#[derive(Debug)]
pub struct MockHandle {
    address: SocketAddr,
    ledger: Ledger,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Mock {
    /// Listens on `address` (port 0 takes a free one) and serves.
    ///
    /// # Errors
    /// When the address cannot be had or no thread can be started.
    pub fn start(address: SocketAddr) -> io::Result<MockHandle> {
        let ledger = Ledger::default();
        let (stop, stopped) = oneshot::channel();
        let (ready, listening) = mpsc::channel();
        let pages = ledger.clone();
        let body = move || serve_until(address, pages, stopped, &ready);
        let thread = std::thread::Builder::new()
            .name("mock".into())
            .spawn(body)?;
        let address = listening.recv().map_err(io::Error::other)??;
        Ok(MockHandle {
            address,
            ledger,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl MockHandle {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// What it has counted.
    pub fn stats(&self) -> Stats {
        self.ledger.stats()
    }

    /// The newest requests, at most 512 and 64 MB of bodies, oldest first.
    pub fn requests(&self) -> Vec<RawRequest> {
        self.ledger.last(usize::MAX)
    }

    /// Forgets counts and requests.
    pub fn reset(&self) {
        self.ledger.reset();
    }
}

impl Drop for MockHandle {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed already.
            let _ended = thread.join();
        }
    }
}

fn serve_until(
    address: SocketAddr,
    ledger: Ledger,
    stopped: oneshot::Receiver<()>,
    ready: &mpsc::Sender<io::Result<SocketAddr>>,
) {
    let served = runtime().and_then(|runtime| {
        runtime.block_on(async {
            let listener = listen(address)?;
            // Nobody listens when the starter has gone, which stops us right away.
            let _gone = ready.send(listener.local_addr());
            tokio::select! {
                () = accept(listener, ledger) => {}
                _dropped = stopped => {}
            }
            Ok(())
        })
    });
    if let Err(error) = served {
        let _gone = ready.send(Err(error));
    }
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts for ever. When files run out, waits until a connection ends.
async fn accept(listener: TcpListener, ledger: Ledger) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection::serve(stream, ledger.clone()));
                }
                Err(_) if connections.is_empty() => tokio::time::sleep(ACCEPT_AGAIN_AFTER).await,
                Err(_) => {
                    connections.join_next().await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

#[cfg(test)]
mod tests;
