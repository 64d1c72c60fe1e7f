//! A client that sends bytes as it is told and ends its connection in every way
//! there is, and a reading of answers that forgives nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::framing::{chunks_so_far, unchunk};
use super::signal::LIMIT;

/// One connection.
#[derive(Debug)]
pub(crate) struct RawClient {
    stream: TcpStream,
    /// Bytes that were read and not used yet.
    unread: Vec<u8>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawResponse {
    /// HTTP status.
    pub(crate) status: u16,
    /// Status line and header lines, with the empty line.
    pub(crate) head: String,
    /// The body without its framing.
    pub(crate) body: Vec<u8>,
    /// The body ended as its framing says it must.
    pub(crate) complete: bool,
}

/// How the peer ended the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerEnd {
    /// In order.
    Fin,
    /// By a reset.
    Rst,
}

impl RawClient {
    /// Connects. Reading gives up after [`LIMIT`].
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("a listening peer")
    }

    /// Connects, if somebody listens.
    ///
    /// # Errors
    /// The socket's.
    pub(crate) fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream
            .set_read_timeout(Some(LIMIT))
            .expect("a socket option");
        stream.set_nodelay(true).expect("a socket option");
        Ok(Self {
            stream,
            unread: Vec::new(),
        })
    }

    /// Writes bytes in one call.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("a peer that reads");
    }

    /// Writes bytes in one call; the peer may be gone.
    ///
    /// # Errors
    /// The socket's.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Writes bytes in calls of so many each; stops when the peer is gone.
    pub(crate) fn send_slowly(
        &mut self,
        bytes: impl AsRef<[u8]>,
        every: usize,
        mut between: impl FnMut(),
    ) {
        for piece in bytes.as_ref().chunks(every) {
            if self.stream.write_all(piece).is_err() {
                return;
            }
            between();
        }
    }

    /// Ends the writing side; reading goes on.
    pub(crate) fn half_close(&self) {
        self.stream
            .shutdown(Shutdown::Write)
            .expect("an open connection");
    }

    /// As [`RawClient::half_close`]; the peer may be gone.
    pub(crate) fn end_writing(&self) {
        drop(self.stream.shutdown(Shutdown::Write));
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket
            .set_linger(Some(Duration::ZERO))
            .expect("a socket option");
    }

    /// Makes the kernel keep few bytes for this side, so that not reading is felt by the peer soon.
    pub(crate) fn read_little(&self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket
            .set_recv_buffer_size(4 << 10)
            .expect("a socket option");
    }

    /// Reads until what came contains `bytes`; gives everything up to their end.
    #[track_caller]
    pub(crate) fn read_until(&mut self, bytes: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.unread, bytes) {
                let rest = self.unread.split_off(at + bytes.len());
                return std::mem::replace(&mut self.unread, rest);
            }
            let end = self.read_more();
            assert!(
                end.is_none(),
                "the connection ended before: {:?}",
                self.unread.escape_ascii().to_string()
            );
        }
    }

    /// Reads until so many bytes have come, or the connection ends.
    #[track_caller]
    pub(crate) fn read_at_least(&mut self, count: usize) {
        while self.unread.len() < count && self.read_more().is_none() {}
    }

    /// Reads to the end of the connection.
    #[track_caller]
    pub(crate) fn read_to_end(mut self) -> (Vec<u8>, PeerEnd) {
        loop {
            if let Some(end) = self.read_more() {
                return (self.unread, end);
            }
        }
    }

    /// Reads one answer; the connection stays usable when it was complete. Interim answers
    /// (1xx) are answers of their own.
    #[track_caller]
    pub(crate) fn read_response(&mut self) -> RawResponse {
        loop {
            if let Some((response, used)) = parse_response(&self.unread, false) {
                self.unread.drain(..used);
                return response;
            }
            if self.read_more().is_some() {
                let all = std::mem::take(&mut self.unread);
                return parse_response(&all, true).expect("an answer's head").0;
            }
        }
    }

    /// Reads a chunked body to its end and keeps nothing of it; gives its size in bytes.
    #[track_caller]
    pub(crate) fn discard_chunked(&mut self) -> u64 {
        let mut size = 0;
        loop {
            let line = self.read_until(b"\r\n");
            let digits = std::str::from_utf8(&line).expect("a chunk size").trim();
            let mut left = usize::from_str_radix(digits, 16).expect("a chunk size") + 2;
            size += left as u64 - 2;
            let is_last = left == 2;
            while 0 < left {
                if self.unread.is_empty() {
                    assert_eq!(self.read_more(), None, "the body ended early");
                }
                let taken = left.min(self.unread.len());
                self.unread.drain(..taken);
                left -= taken;
            }
            if is_last {
                return size;
            }
        }
    }

    /// Reads one answer and tells of every read; `None` when the connection ends before the answer does.
    pub(crate) fn read_whole_response(&mut self, mut on_read: impl FnMut()) -> Option<RawResponse> {
        loop {
            if let Some((response, used)) = parse_response(&self.unread, false) {
                self.unread.drain(..used);
                return Some(response);
            }
            let mut buffer = [0; 16 << 10];
            match self.stream.read(&mut buffer) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
            }
            on_read();
        }
    }

    #[track_caller]
    fn read_more(&mut self) -> Option<PeerEnd> {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => Some(PeerEnd::Fin),
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                None
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Some(PeerEnd::Rst),
            Err(error) => panic!("nothing came: {error}"),
        }
    }
}

impl RawResponse {
    /// First value of a header, the name in any case; `None` when absent.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value.trim())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of UTF-8")
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }
}

/// A POST of JSON to the API, the connection kept.
pub(crate) fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer sk-raw\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len(),
    )
}

/// A request with any method, header lines (each with its line end) and body; its length is stated.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// One request on a connection of its own.
#[track_caller]
pub(crate) fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> RawResponse {
    let mut client = RawClient::connect(address);
    client.send(request);
    client.read_response()
}

/// Parses an answer and says how many bytes it used. `None` while it is not complete, unless the
/// connection has ended; then only a missing head is `None`.
fn parse_response(bytes: &[u8], ended: bool) -> Option<(RawResponse, usize)> {
    let head_length = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let head = String::from_utf8(bytes[..head_length].to_vec()).expect("a head of UTF-8");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .expect("a status line");
    let mut response = RawResponse {
        status,
        head,
        body: Vec::new(),
        complete: true,
    };
    let rest = &bytes[head_length..];
    let bodiless = status < 200 || status == 204 || status == 304;
    let used = if bodiless {
        0
    } else if let Some(length) = response.header("content-length") {
        let length: usize = length.parse().expect("a number");
        response.complete = rest.len() >= length;
        response.body = rest[..length.min(rest.len())].to_vec();
        response.body.len()
    } else if response.header("transfer-encoding") == Some("chunked") {
        let all = unchunk(rest);
        response.complete = all.is_some();
        let (body, used) = all.unwrap_or_else(|| (chunks_so_far(rest), rest.len()));
        response.body = body;
        used
    } else {
        // Ends with the connection.
        response.body = rest.to_vec();
        response.complete = ended;
        rest.len()
    };
    (response.complete || ended).then_some((response, head_length + used))
}

#[cfg(test)]
mod tests;
