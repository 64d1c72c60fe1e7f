//! Puts an answer on the wire the way its behaviour asks: with pauses, in odd
//! pieces, cut short, or not at all.

use std::fmt::Write;
use std::io;

use actix_web::http::StatusCode;

use crate::cli::mock::behaviour::{Behaviour, Connection, End, Pieces};
use crate::cli::mock::ledger::{Ledger, Open};
use crate::cli::mock::peer::{Framing, Peer};
use crate::cli::mock::reply::{Body, EventScript, Filler, Reply};
use crate::cli::mock::request::RawRequest;

/// Filler is sent in pieces of so many bytes.
const FILLER_PIECE_BYTES: usize = 64 << 10;

/// What becomes of the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The next request may come.
    Keep,
    /// It is closed.
    Close,
}

/// What the request's head says about its connection.
#[derive(Debug, Clone, Copy)]
struct Wish {
    /// The peer will not send another request.
    close: bool,
    /// The peer does not know HTTP chunks.
    old: bool,
    /// The peer wants a head only.
    head_only: bool,
}

/// Sends one answer.
///
/// # Errors
/// When the peer has gone before the answer was out.
pub(super) async fn send(
    peer: &mut Peer,
    request: &RawRequest,
    reply: Reply,
    behaviour: &Behaviour,
    ledger: &Ledger,
) -> io::Result<Next> {
    let wish = Wish::of(request);
    let framing = match (&reply.body, behaviour.end) {
        (Body::Whole(_), End::Normal | End::Reset(_) | End::Stall(_)) => Framing::Plain,
        _ if wish.old => Framing::Plain,
        _ => Framing::Chunked,
    };
    let _stream = matches!(reply.body, Body::Stream(_)).then(|| ledger.open(Open::Stream));
    peer.pause(behaviour.first_byte_after).await?;
    match behaviour.connection {
        Connection::Keep | Connection::CloseAfter => {}
        Connection::CloseBefore => return Ok(Next::Close),
        Connection::ResetBefore => return peer.reset().await.map(|()| Next::Close),
    }
    peer.head(&head(&reply, framing, wish));
    if wish.head_only {
        peer.flush().await?;
        return Ok(after(wish, behaviour));
    }
    let next = match reply.body {
        Body::Whole(body) | Body::Unsized(body) => whole(peer, &body, framing, behaviour).await?,
        Body::Filler(body) => long(peer, &body, framing, behaviour).await?,
        Body::Stream(script) => stream(peer, &script, framing, wish, behaviour).await?,
    };
    Ok(if next == Next::Keep {
        after(wish, behaviour)
    } else {
        next
    })
}

impl Wish {
    fn of(request: &RawRequest) -> Self {
        let connection = request.header("connection").unwrap_or_default();
        let line = request
            .head
            .split(|byte| *byte == b'\r')
            .next()
            .unwrap_or_default();
        let old = line.ends_with(b"HTTP/1.0");
        let kept = connection.eq_ignore_ascii_case("keep-alive");
        let close = connection.eq_ignore_ascii_case("close") || (old && !kept);
        Self {
            close,
            old,
            head_only: request.method == "HEAD",
        }
    }
}

fn after(wish: Wish, behaviour: &Behaviour) -> Next {
    match behaviour.connection {
        Connection::Keep if !wish.close => Next::Keep,
        Connection::Keep
        | Connection::CloseAfter
        | Connection::CloseBefore
        | Connection::ResetBefore => Next::Close,
    }
}

fn head(reply: &Reply, framing: Framing, wish: Wish) -> Vec<u8> {
    let reason = StatusCode::from_u16(reply.status)
        .ok()
        .and_then(|s| s.canonical_reason());
    let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reason.unwrap_or("Mock"));
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        // Writing into a String cannot fail.
        write!(head, "{name}: {value}\r\n").unwrap_or_default();
    };
    if let Some(content_type) = reply.content_type {
        line("content-type", &content_type);
    }
    match (&reply.body, framing) {
        (Body::Whole(body) | Body::Unsized(body), Framing::Plain) => {
            line("content-length", &body.len());
        }
        (Body::Filler(_) | Body::Stream(_), Framing::Plain) => line("connection", &"close"),
        (_, Framing::Chunked) => line("transfer-encoding", &"chunked"),
    }
    if wish.close {
        line("connection", &"close");
    }
    for (name, value) in &reply.headers {
        line(name, value);
    }
    head.push_str("\r\n");
    head.into_bytes()
}

async fn whole(
    peer: &mut Peer,
    body: &[u8],
    framing: Framing,
    behaviour: &Behaviour,
) -> io::Result<Next> {
    let half = body.get(..body.len() / 2).unwrap_or_default();
    let pieces = behaviour.pieces;
    match behaviour.end {
        End::Normal => peer.send(body, framing, pieces).await?,
        End::Early(_) => peer.send(half, framing, pieces).await?,
        End::Reset(_) => {
            peer.send(half, framing, pieces).await?;
            return peer.reset().await.map(|()| Next::Close);
        }
        End::Stall(_) => {
            peer.send(half, framing, pieces).await?;
            return Err(peer.stall().await);
        }
    }
    peer.finish(framing).await?;
    Ok(Next::Keep)
}

/// A body that is made while it is sent. Its end is asked for in its middle.
async fn long(
    peer: &mut Peer,
    body: &Filler,
    framing: Framing,
    behaviour: &Behaviour,
) -> io::Result<Next> {
    let half = Filler {
        fill_bytes: body.fill_bytes / 2,
        after: Vec::new(),
        ..body.clone()
    };
    match behaviour.end {
        End::Normal => filler(peer, body, framing).await?,
        End::Early(_) => filler(peer, &half, framing).await?,
        End::Reset(_) => {
            filler(peer, &half, framing).await?;
            return peer.reset().await.map(|()| Next::Close);
        }
        End::Stall(_) => {
            filler(peer, &half, framing).await?;
            return Err(peer.stall().await);
        }
    }
    peer.finish(framing).await?;
    Ok(if framing == Framing::Plain {
        Next::Close
    } else {
        Next::Keep
    })
}

async fn filler(peer: &mut Peer, filler: &Filler, framing: Framing) -> io::Result<()> {
    let piece = vec![b'x'; FILLER_PIECE_BYTES];
    peer.send(&filler.before, framing, Pieces::Burst).await?;
    let mut left = filler.fill_bytes;
    while left != 0 {
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        peer.send(
            piece.get(..size).unwrap_or_default(),
            framing,
            Pieces::Burst,
        )
        .await?;
        left -= u64::try_from(size).unwrap_or(left);
    }
    peer.send(&filler.after, framing, Pieces::Natural).await
}

async fn stream(
    peer: &mut Peer,
    script: &EventScript,
    framing: Framing,
    wish: Wish,
    behaviour: &Behaviour,
) -> io::Result<Next> {
    let mut events = Events {
        peer,
        framing,
        behaviour,
        left: script.event_count(),
        first: true,
    };
    for event in &script.before {
        events.send(event).await?;
    }
    let count = script.content.count();
    let (end_at, error_at) = (end_at(behaviour.end, count), count / 2);
    let mut event = Vec::with_capacity(512);
    for index in 0..=count {
        if end_at == Some(index) {
            return events.end().await;
        }
        if let Some(error) = script.error.as_ref().filter(|_| index == error_at) {
            events.left = 1;
            events.send(error).await?;
            break;
        }
        if index < count {
            events.peer.pause(behaviour.pause).await?;
            event.clear();
            script.content.write(index, &mut event);
            events.send(&event).await?;
            if behaviour.pieces != Pieces::Burst && behaviour.pause.is_zero() {
                // Streams take turns: a reader gets each event by itself, not many that piled up meanwhile.
                tokio::task::yield_now().await;
            }
        }
        if let Some(line) = script.line.as_ref().filter(|_| index == 0) {
            filler(events.peer, line, framing).await?;
        }
    }
    if script.error.is_none() {
        for event in &script.after {
            events.send(event).await?;
        }
    }
    peer.finish(framing).await?;
    let closes = wish.old || framing == Framing::Plain;
    Ok(if closes { Next::Close } else { Next::Keep })
}

/// Before which content event the body ends.
fn end_at(end: End, count: usize) -> Option<usize> {
    match end {
        End::Normal => None,
        End::Reset(at) | End::Early(at) | End::Stall(at) => {
            let asked = at.and_then(|at| usize::try_from(at).ok());
            Some(asked.unwrap_or(count / 2).min(count))
        }
    }
}

/// Sends events with the oddities that were asked for.
struct Events<'a> {
    peer: &'a mut Peer,
    framing: Framing,
    behaviour: &'a Behaviour,
    /// Events that are still to come.
    left: usize,
    first: bool,
}

impl Events<'_> {
    async fn send(&mut self, event: &[u8]) -> io::Result<()> {
        self.left = self.left.saturating_sub(1);
        let first = std::mem::replace(&mut self.first, false);
        let odd = &self.behaviour.oddities;
        let bare = *odd == Default::default();
        if bare {
            return self
                .peer
                .send(event, self.framing, self.behaviour.pieces)
                .await;
        }
        let mut text = Vec::with_capacity(event.len() + 64);
        if odd.bom && first {
            text.extend_from_slice("\u{feff}".as_bytes());
        }
        if odd.comments {
            text.extend_from_slice(b": mock\n");
        }
        text.extend_from_slice(event);
        if odd.empty_data && self.left != 0 {
            text.extend_from_slice(b"data:\n\n");
        }
        if odd.no_final_blank && self.left == 0 {
            text.pop();
        }
        if odd.crlf {
            text = with_returns(&text);
        }
        self.peer
            .send(&text, self.framing, self.behaviour.pieces)
            .await
    }

    /// Ends the body early, as asked.
    async fn end(self) -> io::Result<Next> {
        match self.behaviour.end {
            End::Reset(_) => self.peer.reset().await.map(|()| Next::Close),
            End::Stall(_) => Err(self.peer.stall().await),
            End::Normal | End::Early(_) => {
                self.peer.finish(self.framing).await?;
                Ok(if self.framing == Framing::Plain {
                    Next::Close
                } else {
                    Next::Keep
                })
            }
        }
    }
}

/// Bytes with a carriage return before each line feed.
fn with_returns(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 8);
    for byte in text {
        if *byte == b'\n' {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}
