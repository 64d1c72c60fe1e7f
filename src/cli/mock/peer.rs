//! The connection on the mock's side: pieces of a body with their framing, one
//! write each, and noticing that the peer has gone.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cli::mock::behaviour::Pieces;

/// Bytes that may wait for one write.
const WRITE_BYTES: usize = 64 << 10;
/// Bytes of a next request that are read while an answer is still going out.
const READ_AHEAD_BYTES: usize = 1 << 20;
/// Lets the peer read what was sent before the reset overtakes it.
const BEFORE_RESET: Duration = Duration::from_millis(5);

/// One connection.
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    /// Bytes read and not used yet.
    pub(super) unread: BytesMut,
    /// Bytes that wait for the next write.
    waiting: Vec<u8>,
    /// The bytes of a character that the next piece begins with.
    split: Vec<u8>,
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// A length was stated, or the connection's end is the body's.
    Plain,
    /// HTTP chunks.
    Chunked,
}

impl Peer {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            unread: BytesMut::new(),
            waiting: Vec::new(),
            split: Vec::new(),
        }
    }

    /// Puts a head before the first piece.
    pub(super) fn head(&mut self, head: &[u8]) {
        self.waiting.extend_from_slice(head);
    }

    /// Sends a part of the body, cut as asked. A [`Pieces::Burst`] may keep it for a while.
    pub(super) async fn send(
        &mut self,
        data: &[u8],
        framing: Framing,
        pieces: Pieces,
    ) -> io::Result<()> {
        match pieces {
            Pieces::Natural => {
                self.frame(data, framing);
                self.flush().await
            }
            Pieces::Burst => {
                self.frame(data, framing);
                if self.waiting.len() >= WRITE_BYTES {
                    self.flush().await
                } else {
                    Ok(())
                }
            }
            Pieces::Bytes(size) => {
                for piece in data.chunks(size) {
                    self.frame(piece, framing);
                    self.flush().await?;
                }
                Ok(())
            }
            Pieces::InsideCharacters => {
                self.split.extend_from_slice(data);
                let continued = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
                let end = self
                    .split
                    .iter()
                    .rposition(continued)
                    .unwrap_or(self.split.len());
                let rest = self.split.split_off(end);
                let piece = std::mem::replace(&mut self.split, rest);
                self.frame(&piece, framing);
                self.flush().await
            }
        }
    }

    /// Ends the body and sends what waits.
    pub(super) async fn finish(&mut self, framing: Framing) -> io::Result<()> {
        let rest = std::mem::take(&mut self.split);
        self.frame(&rest, framing);
        if framing == Framing::Chunked {
            self.waiting.extend_from_slice(b"0\r\n\r\n");
        }
        self.flush().await
    }

    fn frame(&mut self, data: &[u8], framing: Framing) {
        if data.is_empty() {
            return;
        }
        match framing {
            Framing::Plain => self.waiting.extend_from_slice(data),
            Framing::Chunked => {
                self.waiting
                    .extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
                self.waiting.extend_from_slice(data);
                self.waiting.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Writes what waits.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if !self.waiting.is_empty() {
            self.stream.write_all(&self.waiting).await?;
            self.waiting.clear();
        }
        Ok(())
    }

    /// Writes what waits, then does nothing for a while.
    ///
    /// # Errors
    /// When the peer ends the connection meanwhile.
    pub(super) async fn pause(&mut self, pause: Duration) -> io::Result<()> {
        if pause.is_zero() {
            return Ok(());
        }
        self.flush().await?;
        tokio::select! {
            gone = self.gone() => Err(gone),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }

    /// Writes what waits, then does nothing until the peer ends the connection.
    pub(super) async fn stall(&mut self) -> io::Error {
        match self.flush().await {
            Ok(()) => self.gone().await,
            Err(error) => error,
        }
    }

    /// Writes what waits, then makes the socket reset the connection when it is dropped.
    pub(super) async fn reset(&mut self) -> io::Result<()> {
        self.flush().await?;
        tokio::time::sleep(BEFORE_RESET).await;
        self.stream.set_zero_linger()
    }

    /// Tells the peer that its bytes are no request.
    pub(super) async fn bad_request(&mut self, what: &str) -> io::Result<()> {
        let body = format!("not a request: {what}\n");
        let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close";
        self.head(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes());
        self.flush().await
    }

    /// Waits until the peer ends the connection; a next request that comes meanwhile is kept.
    async fn gone(&mut self) -> io::Error {
        while self.unread.len() < READ_AHEAD_BYTES {
            match self.stream.read_buf(&mut self.unread).await {
                Ok(0) => return io::ErrorKind::UnexpectedEof.into(),
                Ok(_) => {}
                Err(error) => return error,
            }
        }
        std::future::pending().await
    }
}
