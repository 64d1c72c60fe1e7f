//! Where answers begin and end on a connection, told from its bytes alone.
//!
//! awc cannot be asked: it takes an interim answer for the final one, sees no body where HTTP/1.1 ends it by closing,
//! ends a body that broke off like a whole one, and forgets what came behind an answer. So this stands before it.

use memchr::{memchr, memchr_iter};

/// Longest head of an answer, interim ones included, in bytes; awc's own limit.
const MAX_HEAD_BYTES: usize = 128 * 1024;

/// The state of one connection.
#[derive(Debug)]
pub(super) enum Answer {
    /// No answer is awaited.
    Idle,
    /// The head is awaited, or read.
    Head(HeadReader),
    /// In a body.
    Body(Body),
    /// More came than was asked for: nothing of this connection can be believed any more.
    Spoilt,
}

/// A head while it is read.
#[derive(Debug, Default)]
pub(super) struct HeadReader {
    /// Whether the request was a HEAD: its answer has no body.
    no_body: bool,
    /// Bytes that were searched for the end.
    searched: usize,
    /// Bytes of interim answers that were taken out.
    interim_bytes: usize,
}

/// A body while it passes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes are to come.
    Sized(u64),
    /// In chunks.
    Chunked(Chunk),
    /// Everything until the connection is closed; also what we cannot follow and awc will refuse.
    UntilClose,
}

/// A place in a chunked body.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Chunk {
    Size(u64),
    Extension(u64),
    Data(u64),
    AfterData,
    TrailerStart,
    Trailer,
    /// After the CR of the empty line.
    LastLine,
}

/// Why a head is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadHead {
    /// It has no end within the limit.
    #[error("the head is too long")]
    TooLong,
    /// HTTP/1.0 knows no chunks.
    #[error("a transfer encoding in HTTP/1.0")]
    OldChunks,
}

// === impl Answer ===

impl Answer {
    /// Bytes of a request go out. The first ones open the wait for its answer.
    pub(super) fn request_goes_out(&mut self, bytes: &[u8]) {
        if matches!(self, Self::Idle) {
            *self = Self::Head(HeadReader {
                no_body: bytes.starts_with(b"HEAD "),
                ..HeadReader::default()
            });
        }
    }

    /// Looks for the end of the head in all that came. `false` until it is there. Then `held` begins with the head of
    /// the final answer and ends where that answer, as far as it came, ends.
    ///
    /// # Errors
    /// [`BadHead`].
    pub(super) fn head(&mut self, held: &mut Vec<u8>) -> Result<bool, BadHead> {
        let Self::Head(reader) = self else {
            return Ok(true);
        };
        loop {
            let Some(end) = head_end(held, reader.searched) else {
                reader.searched = held.len().saturating_sub(3);
                if MAX_HEAD_BYTES < reader.interim_bytes + held.len() {
                    return Err(BadHead::TooLong);
                }
                return Ok(false);
            };
            reader.searched = 0;
            let head = Head::read(held.get(..end).unwrap_or_default());
            if (100..200).contains(&head.status) && head.status != 101 {
                reader.interim_bytes += end;
                held.drain(..end);
                continue;
            }
            let body = head.body(reader.no_body)?;
            if body == Some(Body::UntilClose) && head.is_http_1_1 && !head.is_coded {
                // Without a length, HTTP/1.1 too ends a body by closing; awc knows that of HTTP/1.0 only.
                if let Some(minor) = held.get_mut(7) {
                    *minor = b'0';
                }
            }
            *self = match body {
                None => Self::Idle,
                Some(body) => Self::Body(body),
            };
            let own = end + self.body(held.get(end..).unwrap_or_default());
            held.truncate(own);
            return Ok(true);
        }
    }

    /// How many of these bytes, the next of the connection, belong to the answer.
    pub(super) fn body(&mut self, bytes: &[u8]) -> usize {
        let (own, ended) = match self {
            Self::Idle | Self::Spoilt => (0, true),
            Self::Head(_) => (bytes.len(), false),
            Self::Body(body) => body.advance(bytes),
        };
        if own < bytes.len() {
            *self = Self::Spoilt;
        } else if ended && !matches!(self, Self::Spoilt) {
            *self = Self::Idle;
        }
        own
    }

    /// Whether the connection may end here without cutting anything off.
    pub(super) fn may_end(&self) -> bool {
        match self {
            Self::Idle | Self::Spoilt | Self::Body(Body::UntilClose) => true,
            Self::Head(_) | Self::Body(Body::Sized(_) | Body::Chunked(_)) => false,
        }
    }
}

impl Body {
    /// Bytes that belong to the body, and whether it ends with them.
    fn advance(&mut self, bytes: &[u8]) -> (usize, bool) {
        match self {
            Self::UntilClose => (bytes.len(), false),
            Self::Sized(left) => {
                let own = own_bytes(*left, bytes);
                *left -= own as u64;
                (own, *left == 0)
            }
            Self::Chunked(chunk) => match chunk.advance(bytes) {
                Ok(ended) => ended.map_or((bytes.len(), false), |end| (end, true)),
                Err(Malformed) => {
                    *self = Self::UntilClose;
                    (bytes.len(), false)
                }
            },
        }
    }
}

struct Malformed;

impl Chunk {
    /// Where the body ends in these bytes; `None` when it goes on.
    fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            *self = match (*self, byte) {
                (Self::Data(left), _) => {
                    let own = own_bytes(left, bytes.get(at - 1..).unwrap_or_default());
                    at += own - 1;
                    match left - own as u64 {
                        0 => Self::AfterData,
                        left => Self::Data(left),
                    }
                }
                (Self::Size(size), b'\n') | (Self::Extension(size), b'\n') => match size {
                    0 => Self::TrailerStart,
                    size => Self::Data(size),
                },
                (Self::Size(size), _) => match char::from(byte).to_digit(16) {
                    Some(digit) => {
                        let size = size.checked_mul(16).ok_or(Malformed)?;
                        Self::Size(size + u64::from(digit))
                    }
                    None if matches!(byte, b';' | b' ' | b'\t' | b'\r') => Self::Extension(size),
                    None => return Err(Malformed),
                },
                (Self::Extension(size), _) => Self::Extension(size),
                (Self::AfterData, b'\r') => Self::AfterData,
                (Self::AfterData, b'\n') => Self::Size(0),
                (Self::AfterData, _) => return Err(Malformed),
                (Self::TrailerStart, b'\r') => Self::LastLine,
                (Self::TrailerStart | Self::LastLine, b'\n') => return Ok(Some(at)),
                (Self::LastLine, _) => return Err(Malformed),
                (Self::Trailer, b'\n') => Self::TrailerStart,
                (Self::TrailerStart | Self::Trailer, _) => Self::Trailer,
            };
        }
        Ok(None)
    }
}

fn own_bytes(left: u64, bytes: &[u8]) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len())
}

/// Behind the empty line that ends a head.
fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    memchr_iter(b'\n', bytes.get(from..)?)
        .map(|at| from + at + 1)
        .find_map(|next| match (bytes.get(next)?, bytes.get(next + 1)) {
            (b'\n', _) => Some(next + 1),
            (b'\r', Some(b'\n')) => Some(next + 2),
            _ => None,
        })
}

/// What of a head says where its answer ends.
#[derive(Default)]
struct Head {
    /// 0 when it cannot be read.
    status: u16,
    is_http_1_1: bool,
    length: Option<u64>,
    chunked: bool,
    /// In a transfer coding that nobody reads here; awc refuses it.
    is_coded: bool,
}

impl Head {
    fn read(bytes: &[u8]) -> Self {
        let mut rest = bytes;
        let mut head = Self::default();
        let mut first = true;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end + 1);
            rest = after;
            if std::mem::take(&mut first) {
                head.is_http_1_1 = line.starts_with(b"HTTP/1.1");
                let status = line
                    .get(9..12)
                    .and_then(|digits| std::str::from_utf8(digits).ok());
                head.status = status.and_then(|digits| digits.parse().ok()).unwrap_or(0);
            } else if let Some(length) = value(line, b"content-length") {
                head.length = std::str::from_utf8(length)
                    .ok()
                    .and_then(|text| text.parse().ok());
            } else if let Some(encoding) = value(line, b"transfer-encoding") {
                head.chunked = encoding.eq_ignore_ascii_case(b"chunked");
                head.is_coded = !head.chunked && !encoding.eq_ignore_ascii_case(b"identity");
            }
        }
        head
    }

    /// `None` when no body follows.
    fn body(&self, no_body: bool) -> Result<Option<Body>, BadHead> {
        if no_body || matches!(self.status, 204 | 304) {
            return Ok(None);
        }
        Ok(match (self.chunked, self.length) {
            (true, _) if !self.is_http_1_1 => return Err(BadHead::OldChunks),
            (true, _) => Some(Body::Chunked(Chunk::Size(0))),
            (false, Some(0)) => None,
            (false, Some(length)) => Some(Body::Sized(length)),
            (false, None) => Some(Body::UntilClose),
        })
    }
}

fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let found = line.get(..name.len())?;
    let value = line
        .get(name.len()..)?
        .trim_ascii_start()
        .strip_prefix(b":")?;
    found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What awc gets to see of these bytes, and the connection's state after; whatever the pieces.
    fn check(request: &str, wire: &str, seen: &str, state: &str) {
        for every in [1, 3, wire.len()] {
            let mut answer = Answer::Idle;
            answer.request_goes_out(request.as_bytes());
            let (mut got, mut held) = (Vec::new(), Vec::new());
            for piece in wire.as_bytes().chunks(every) {
                if matches!(answer, Answer::Head(_)) {
                    held.extend_from_slice(piece);
                    if answer.head(&mut held).unwrap() {
                        got.append(&mut held);
                    }
                } else {
                    let own = answer.body(piece);
                    got.extend_from_slice(&piece[..own]);
                }
            }
            let got = String::from_utf8(got).unwrap();
            let end = match answer {
                Answer::Spoilt => "spoilt",
                Answer::Idle => "idle",
                _ if answer.may_end() => "may end",
                _ => "open",
            };
            assert_eq!((got.as_str(), end), (seen, state), "{wire:?} by {every}");
        }
    }

    fn same(wire: &str, state: &str) {
        check("POST / HTTP/1.1", wire, wire, state);
    }

    #[test]
    fn ends_are_found() {
        let sized = "HTTP/1.1 200 OK\r\ncontent-Length : 5\r\n\r\nhello";
        same(sized, "idle");
        same(&sized[..sized.len() - 1], "open");
        check("GET /", &format!("{sized}x"), sized, "spoilt");
        check("GET /", &sized.repeat(2), sized, "spoilt");
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        same(
            &format!("{chunked}A;x=1\r\n0123456789\r\n0\r\n\r\n"),
            "idle",
        );
        same(&format!("{chunked}1\r\na\r\n0\r\nx: y\r\n\r\n"), "idle");
        same(&format!("{chunked}1\r\na\r\n0\r\n"), "open");
        same(&format!("{chunked}1\r\nabc"), "may end");
        let whole = format!("{chunked}1\r\na\r\n0\r\n\r\n");
        check("GET /", &format!("{whole}HTTP/1.1"), &whole, "spoilt");
        same("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "idle");
        same("HTTP/1.0 200 OK\r\n\r\nany", "may end");
        same("HTTP/1.1 200 OK\ncontent-length: 1\n\na", "idle");
        same(&format!("{chunked}no chunk"), "may end");
        check("GET /", "HTTP/1.1 200 OK\r\n", "", "open");
    }

    #[test]
    fn what_awc_cannot_read_is_made_readable() {
        let check =
            |wire: &str, seen: &str, state: &str| check("GET / HTTP/1.1", wire, seen, state);
        let close = "\r\nconnection: close\r\n\r\nuntil the end";
        check(
            &format!("HTTP/1.1 200 OK{close}"),
            &format!("HTTP/1.0 200 OK{close}"),
            "may end",
        );
        let real = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na";
        let interim = "HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n";
        check(&format!("{interim}{interim}{real}"), real, "idle");
        let empty = "HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\n";
        check(&format!("{empty}ab"), empty, "spoilt");
        let coded = "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0";
        check(coded, coded, "may end");
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n";
        check("HEAD / HTTP/1.1", head, head, "idle");
    }

    #[test]
    fn bad_heads() {
        let refused = |head: Vec<u8>| {
            let mut answer = Answer::Idle;
            answer.request_goes_out(b"GET /");
            answer.head(&mut { head }).unwrap_err()
        };
        let endless = [
            b"HTTP/1.1 200 OK\r\nx: ".to_vec(),
            vec![b'x'; MAX_HEAD_BYTES],
        ]
        .concat();
        assert_eq!(refused(endless), BadHead::TooLong);
        let old = b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        assert_eq!(refused(old), BadHead::OldChunks);
    }
}
