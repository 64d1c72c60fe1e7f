//! A request as it came: its head and its body, bytes only, and reading one from
//! a connection. Takes `Content-Length` and chunked bodies; answers
//! `Expect: 100-continue`. It is a test peer behind a proxy, so it refuses what
//! it does not understand in place of guessing.

use bytes::{Buf, Bytes, BytesMut};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest head, in bytes.
const MAX_HEAD_BYTES: usize = 256 << 10;
/// Most header lines.
const MAX_HEADERS: usize = 256;
/// Longest body that is taken, in bytes.
const MAX_BODY_BYTES: usize = 512 << 20;

/// One request, byte for byte.
#[derive(Debug, Clone)]
pub struct RawRequest {
    /// As sent, upper case by custom.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Request line and header lines, with the empty line at the end.
    pub head: Bytes,
    /// The body without transfer coding.
    pub body: Bytes,
}

/// Why there is no request.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The peer ended the connection between two requests.
    #[error("the connection ended")]
    Ended,
    /// The peer ended the connection inside a request.
    #[error("the connection ended inside a request")]
    Aborted,
    /// The bytes are no request that the mock takes.
    #[error("not a request: {0}")]
    Malformed(&'static str),
    /// The socket failed.
    #[error("the socket failed")]
    Io(#[from] std::io::Error),
}

impl RawRequest {
    /// Path without the query.
    pub fn path(&self) -> &str {
        self.target
            .split_once('?')
            .map_or(&self.target, |(path, _)| path)
    }

    /// What follows the first `?`; `None` without one.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// Header lines in their order, names as sent; a value that is not UTF-8 is left out.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.head.split(|byte| *byte == b'\n').skip(1);
        lines.filter_map(|line| {
            let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
            Some((name, value.trim()))
        })
    }

    /// First value of a header, the name in any case; `None` when absent.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// SHA-256 of the body, as hexadecimal digits.
    pub fn body_sha256(&self) -> String {
        sha256_hex(&self.body)
    }
}

/// SHA-256 of some bytes, as hexadecimal digits.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What a head says about the body behind it.
struct Head {
    method: String,
    target: String,
    length_bytes: usize,
    framing: Framing,
    continue_expected: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

/// Reads the next request. `buffer` holds what came before and keeps what comes after.
///
/// # Errors
/// [`ReadError::Ended`] at a clean end, the others when something is wrong.
pub(super) async fn read_request(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
) -> Result<RawRequest, ReadError> {
    let head = loop {
        if let Some(head) = parse_head(buffer)? {
            break head;
        }
        if buffer.len() > MAX_HEAD_BYTES {
            return Err(ReadError::Malformed("head too long"));
        }
        let at_start = buffer.is_empty();
        read_more(stream, buffer)
            .await
            .map_err(|error| match error {
                ReadError::Aborted if at_start => ReadError::Ended,
                other => other,
            })?;
    };
    let head_bytes = buffer.split_to(head.length_bytes).freeze();
    if head.continue_expected && buffer.is_empty() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let body = match head.framing {
        Framing::Length(length) => {
            while buffer.len() < length {
                read_more(stream, buffer).await?;
            }
            buffer.split_to(length).freeze()
        }
        Framing::Chunked => read_chunks(stream, buffer).await?,
    };
    Ok(RawRequest {
        method: head.method,
        target: head.target,
        head: head_bytes,
        body,
    })
}

async fn read_more(stream: &mut TcpStream, buffer: &mut BytesMut) -> Result<(), ReadError> {
    buffer.reserve(4 << 10);
    match stream.read_buf(buffer).await? {
        0 => Err(ReadError::Aborted),
        _ => Ok(()),
    }
}

fn parse_head(buffer: &[u8]) -> Result<Option<Head>, ReadError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let status = request
        .parse(buffer)
        .map_err(|_| ReadError::Malformed("head"))?;
    let httparse::Status::Complete(length_bytes) = status else {
        return Ok(None);
    };
    let mut framing = Framing::Length(0);
    let mut continue_expected = false;
    for header in request.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            framing = Framing::Length(content_length(header.value, framing)?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if !header.value.eq_ignore_ascii_case(b"chunked") || framing != Framing::Length(0) {
                return Err(ReadError::Malformed("transfer-encoding"));
            }
            framing = Framing::Chunked;
        } else if header.name.eq_ignore_ascii_case("expect") {
            continue_expected = header.value.eq_ignore_ascii_case(b"100-continue");
        }
    }
    Ok(Some(Head {
        method: request.method.unwrap_or_default().to_owned(),
        target: request.path.unwrap_or_default().to_owned(),
        length_bytes,
        framing,
        continue_expected,
    }))
}

fn content_length(value: &[u8], before: Framing) -> Result<usize, ReadError> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let length = std::str::from_utf8(value)
        .ok()
        .filter(|_| digits)
        .and_then(|v| v.parse().ok());
    match length {
        Some(length) if before == Framing::Length(0) && length <= MAX_BODY_BYTES => Ok(length),
        _ => Err(ReadError::Malformed("content-length")),
    }
}

async fn read_chunks(stream: &mut TcpStream, buffer: &mut BytesMut) -> Result<Bytes, ReadError> {
    let mut body = BytesMut::new();
    loop {
        let size = read_chunk_size(stream, buffer).await?;
        if body.len() + size > MAX_BODY_BYTES {
            return Err(ReadError::Malformed("body too long"));
        }
        if size == 0 {
            read_trailers(stream, buffer).await?;
            return Ok(body.freeze());
        }
        while buffer.len() < size + 2 {
            read_more(stream, buffer).await?;
        }
        body.extend_from_slice(&buffer.split_to(size));
        if !buffer.starts_with(b"\r\n") {
            return Err(ReadError::Malformed("chunk"));
        }
        buffer.advance(2);
    }
}

async fn read_chunk_size(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
) -> Result<usize, ReadError> {
    loop {
        let parsed = httparse::parse_chunk_size(buffer);
        match parsed.map_err(|_| ReadError::Malformed("chunk size"))? {
            httparse::Status::Complete((used, size)) => {
                buffer.advance(used);
                return usize::try_from(size).map_err(|_| ReadError::Malformed("chunk size"));
            }
            httparse::Status::Partial => read_more(stream, buffer).await?,
        }
    }
}

/// Drops trailer lines up to the empty line.
async fn read_trailers(stream: &mut TcpStream, buffer: &mut BytesMut) -> Result<(), ReadError> {
    loop {
        let Some(end) = memchr::memmem::find(buffer, b"\r\n") else {
            read_more(stream, buffer).await?;
            continue;
        };
        buffer.advance(end + 2);
        if end == 0 {
            return Ok(());
        }
    }
}
