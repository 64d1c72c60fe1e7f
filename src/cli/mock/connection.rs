//! One connection: request after request until one side ends it, and the
//! mock's own paths.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::cli::mock::behaviour::Behaviour;
use crate::cli::mock::ledger::{Ledger, Open};
use crate::cli::mock::peer::Peer;
use crate::cli::mock::refused::{Family, Refused};
use crate::cli::mock::reply::Reply;
use crate::cli::mock::request::{RawRequest, ReadError, read_request};
use crate::cli::mock::routes;
use crate::cli::mock::send::{Next, send};

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, ledger: Ledger) {
    let _open = ledger.open(Open::Connection);
    // Without it only the pace of small pieces differs.
    stream.set_nodelay(true).unwrap_or_default();
    let mut peer = Peer::new(stream);
    loop {
        let request = match read_request(&mut peer.stream, &mut peer.unread).await {
            Ok(request) => request,
            Err(ReadError::Ended | ReadError::Io(_)) => return,
            Err(ReadError::Aborted) => return ledger.malformed(),
            Err(ReadError::Malformed(what)) => {
                ledger.malformed();
                // The peer learns it or has gone.
                let _gone = peer.bad_request(what).await;
                return;
            }
        };
        if exchange(&mut peer, &request, &ledger).await == Next::Close {
            return;
        }
    }
}

async fn exchange(peer: &mut Peer, request: &RawRequest, ledger: &Ledger) -> Next {
    if let Some(name) = request.path().strip_prefix("/__mock/") {
        let reply = own_path(name, request, ledger);
        let sent = send(peer, request, reply, &Behaviour::default(), ledger).await;
        return sent.unwrap_or(Next::Close);
    }
    let (number, before) = ledger.enter(request);
    let (behaviour, reply) = routes::answer(request, number, before);
    match send(peer, request, reply, &behaviour, ledger).await {
        Ok(next) => {
            ledger.completed();
            next
        }
        Err(_gone) => {
            ledger.abandoned();
            Next::Close
        }
    }
}

/// The paths under `/__mock/`, which are not counted.
fn own_path(name: &str, request: &RawRequest, ledger: &Ledger) -> Reply {
    match (request.method.as_str(), name) {
        ("GET", "stats") => Reply::json(200, &json!(ledger.stats())),
        ("GET", "last") => {
            let count = request.query().and_then(|query| query.strip_prefix("n="));
            let count = count.and_then(|count| count.parse().ok()).unwrap_or(1);
            Reply::json(200, &ledger.last(count).iter().map(report).collect())
        }
        ("POST", "reset") => {
            ledger.reset();
            Reply::json(200, &json!({}))
        }
        _ => Refused::new(404, "unknown_path", "the mock has no such path").reply(Family::Openai),
    }
}

/// A request as JSON; the body as text where it is UTF-8, else as base64.
fn report(request: &RawRequest) -> Value {
    let headers: Vec<_> = request.headers().collect();
    let text = std::str::from_utf8(&request.body).ok();
    let base64 = text.is_none().then(|| STANDARD.encode(&request.body));
    json!({"method": request.method, "target": request.target, "headers": headers,
        "body": text, "body_base64": base64, "body_bytes": request.body.len(),
        "body_sha256": request.body_sha256()})
}
