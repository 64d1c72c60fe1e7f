//! A small HTTP client for the demo: one connection a request, the answer's body handed over as it comes.

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::requests::Request;

/// Longest head of an answer.
const HEAD_BYTES: usize = 64 << 10;

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// `x-aiproxy-request-id`.
    pub(super) request_id: Option<Uuid>,
    /// Whether the stream ended with `[DONE]`; true for other answers.
    pub(super) complete: bool,
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// Sends a request; gives each piece of the body away.
pub(super) async fn send(
    address: SocketAddr,
    request: &Request,
    mut on_piece: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(written(address, request).as_bytes())
        .await?;
    let mut unread = Vec::new();
    let (mut answer, framing, length) = loop {
        if let Some(head) = head(&unread)? {
            break head;
        }
        ensure!(unread.len() < HEAD_BYTES, "the answer's head does not end");
        let read = stream.read_buf(&mut unread).await?;
        ensure!(read != 0, "the connection ended before the answer");
    };
    unread.drain(..length);
    let mut done = !request.is_stream;
    let mut whole = 0;
    loop {
        while let Some(piece) = next_piece(&mut unread, framing)? {
            if piece.is_empty() {
                answer.complete = done;
                return Ok(answer);
            }
            whole += piece.len();
            done |= memchr::memmem::find(&piece, b"data: [DONE]").is_some();
            on_piece(&piece)?;
            if framing == Framing::Length(whole) {
                answer.complete = done;
                return Ok(answer);
            }
        }
        if stream.read_buf(&mut unread).await? == 0 || framing == Framing::Length(0) {
            answer.complete = done && framing == Framing::UntilClose;
            return Ok(answer);
        }
    }
}

fn written(address: SocketAddr, request: &Request) -> String {
    let Request {
        method,
        path,
        headers,
        body,
        ..
    } = request;
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n{headers}\r\n{body}"
    )
}

/// The answer so far, how its body ends, and how many bytes its head has; `None` until the head is whole.
fn head(bytes: &[u8]) -> anyhow::Result<Option<(Answer, Framing, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes)? else {
        return Ok(None);
    };
    let header = |name: &str| {
        let found = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    let framing = match (header("content-length"), header("transfer-encoding")) {
        (Some(length), _) => Framing::Length(length.parse().context("a content length")?),
        (None, Some(_)) => Framing::Chunked,
        (None, None) => Framing::UntilClose,
    };
    let answer = Answer {
        status: response.code.context("a status")?,
        request_id: header("x-aiproxy-request-id").and_then(|id| Uuid::parse_str(id).ok()),
        complete: false,
    };
    Ok(Some((answer, framing, length)))
}

/// Takes a piece of the body out of what was read; an empty one is the end of a chunked body, `None` asks for more.
fn next_piece(unread: &mut Vec<u8>, framing: Framing) -> anyhow::Result<Option<Vec<u8>>> {
    if framing != Framing::Chunked {
        return Ok((!unread.is_empty()).then(|| std::mem::take(unread)));
    }
    let Some(end) = memchr::memmem::find(unread, b"\r\n") else {
        return Ok(None);
    };
    let size = unread
        .get(..end)
        .and_then(|line| std::str::from_utf8(line).ok());
    let Some(size) = size.and_then(|size| usize::from_str_radix(size, 16).ok()) else {
        bail!("a chunk without a size");
    };
    let begin = end + 2;
    if unread.len() < begin + size + 2 {
        return Ok(None);
    }
    let piece = unread.get(begin..begin + size).map(<[u8]>::to_vec);
    unread.drain(..begin + size + 2);
    Ok(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_taken_when_they_are_whole() {
        let mut unread = b"5\r\nhello\r\n3\r\nab".to_vec();
        let next = |unread: &mut Vec<u8>| next_piece(unread, Framing::Chunked).expect("chunks");
        assert_eq!(next(&mut unread).as_deref(), Some(&b"hello"[..]));
        assert_eq!(next(&mut unread), None);
        unread.extend(b"c\r\n0\r\n\r\n");
        assert_eq!(next(&mut unread).as_deref(), Some(&b"abc"[..]));
        assert_eq!(next(&mut unread).as_deref(), Some(&b""[..]));
        assert!(next_piece(&mut b"zz\r\n".to_vec(), Framing::Chunked).is_err());
    }

    #[test]
    fn a_head_says_how_its_body_ends() {
        for (headers, framing) in [
            ("content-length: 7\r\n", Framing::Length(7)),
            ("Transfer-Encoding: chunked\r\n", Framing::Chunked),
            ("", Framing::UntilClose),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
            let (answer, found, length) = head(text.as_bytes()).expect("valid").expect("whole");
            assert_eq!((answer.status, found, length), (200, framing, text.len()));
        }
        assert_eq!(head(b"HTTP/1.1 200 OK\r\n").expect("valid"), None);
        assert!(head(b"nonsense\r\n\r\n").is_err());
    }
}
