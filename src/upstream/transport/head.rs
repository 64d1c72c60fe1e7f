//! Heads of answers: found among the bytes, read by httparse, and what they say of the body.

use std::mem::MaybeUninit;

use memchr::memchr_iter;

use super::SendFailure;
use super::framing::Framing;
use crate::filter::Headers;

/// Longest head of an answer, interim ones included, in bytes.
const MAX_HEAD_BYTES: usize = 128 * 1024;

/// Most headers of an answer.
const MAX_HEADERS: usize = 128;

/// The head of a final answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: Headers,
    /// `Content-Length`, also where no body follows.
    pub(super) length: Option<u64>,
    /// Whether the body comes in chunks.
    pub(super) is_chunked: bool,
    /// Whether another request may follow on the connection.
    pub(super) keeps_alive: bool,
}

/// Looks for a head in all that came of it so far.
#[derive(Debug, Default)]
pub(super) struct HeadReader {
    /// Where the head begins: behind interim answers.
    start: usize,
    /// Where the search for its end goes on.
    searched: usize,
}

/// Why a head is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadHead {
    /// It has no end within the limit.
    #[error("the head is too long")]
    TooLong,
    /// Not HTTP.
    #[error("the head is not HTTP: {0}")]
    Syntax(httparse::Error),
    /// HTTP/1.0 knows no chunks.
    #[error("a transfer encoding in HTTP/1.0")]
    OldChunks,
    /// A transfer coding that we did not ask for.
    #[error("an unknown transfer coding")]
    Coding,
    /// A length that is no number, or two that differ.
    #[error("the content length is unclear")]
    Length,
}

// === impl HeadReader ===

impl HeadReader {
    /// The head of the final answer, and where it ends in `bytes`; `None` until it is there. `bytes` is all that
    /// came since the request went out.
    ///
    /// # Errors
    /// [`BadHead`].
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Option<(Head, usize)>, BadHead> {
        loop {
            let Some(end) = head_end(bytes, self.searched) else {
                self.searched = bytes.len().saturating_sub(3).max(self.start);
                if MAX_HEAD_BYTES < bytes.len() {
                    return Err(BadHead::TooLong);
                }
                return Ok(None);
            };
            let head = Head::parse(bytes.get(self.start..end).unwrap_or_default())?;
            if (100..200).contains(&head.status) && head.status != 101 {
                (self.start, self.searched) = (end, end);
                continue;
            }
            return Ok(Some((head, end)));
        }
    }
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

// === impl Head ===

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self, BadHead> {
        let mut space = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let mut config = httparse::ParserConfig::default();
        // Blanks before the colon are taken away on the way (RFC 9112, section 5.1).
        config.allow_spaces_after_header_name_in_responses(true);
        let parsed = config.parse_response_with_uninit_headers(&mut response, bytes, &mut space);
        if parsed.map_err(BadHead::Syntax)?.is_partial() {
            return Err(BadHead::Syntax(httparse::Error::Token));
        }
        let is_http_1_1 = response.version == Some(1);
        let status = response.code.unwrap_or_default();
        let mut head = Self {
            status,
            headers: Headers::default(),
            length: None,
            is_chunked: false,
            // What follows a 101 is not HTTP.
            keeps_alive: is_http_1_1 && status != 101,
        };
        let mut codings = 0;
        for header in response.headers.iter() {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            match header.name.len() {
                14 if is("content-length") => {
                    let length = digits(header.value).ok_or(BadHead::Length)?;
                    if head.length.is_some_and(|other| other != length) {
                        return Err(BadHead::Length);
                    }
                    head.length = Some(length);
                }
                17 if is("transfer-encoding") => {
                    codings += 1;
                    head.is_chunked = header.value.eq_ignore_ascii_case(b"chunked");
                    let is_plain = header.value.eq_ignore_ascii_case(b"identity");
                    if !(head.is_chunked || is_plain) || 1 < codings {
                        return Err(BadHead::Coding);
                    }
                }
                10 if is("connection") => {
                    let mut words = header.value.split(|byte| *byte == b',');
                    if words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close")) {
                        head.keeps_alive = false;
                    }
                }
                _ => {}
            }
        }
        if head.is_chunked {
            if !is_http_1_1 {
                return Err(BadHead::OldChunks);
            }
            // Both at once: chunks count, and the sender is not to be trusted further (RFC 9112, section 6.3).
            head.keeps_alive &= head.length.is_none();
        }
        let headers = response.headers.iter();
        head.headers = Headers::from_pairs(headers.map(|header| (header.name, header.value)));
        Ok(head)
    }

    /// How the body is framed; `None` when none follows. `is_head`: the request was a `HEAD`
    /// (RFC 9110, sections 9.3.2, 15.2.2, 15.3.5 and 15.4.5).
    pub(super) fn framing(&self, is_head: bool) -> Option<Framing> {
        if is_head || matches!(self.status, 101 | 204 | 304) {
            return None;
        }
        match (self.is_chunked, self.length) {
            (true, _) => Some(Framing::chunked()),
            (false, Some(0)) => None,
            (false, Some(length)) => Some(Framing::Sized(length)),
            (false, None) => Some(Framing::UntilClose),
        }
    }
}

fn digits(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

impl From<BadHead> for SendFailure {
    fn from(bad: BadHead) -> Self {
        Self::Protocol(bad.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status, what follows, whether the connection is kept, and the bytes behind the head; whatever the pieces.
    fn check(wire: &str, expected: (u16, Option<Framing>, bool), behind: &str) {
        for every in [1, 3, wire.len()] {
            let mut reader = HeadReader::default();
            let ends = (1..=wire.len()).filter(|end| end % every == 0 || *end == wire.len());
            let found = ends
                .filter_map(|end| reader.read(&wire.as_bytes()[..end]).unwrap())
                .next();
            let (head, end) = found.expect(wire);
            let got = (head.status, head.framing(false), head.keeps_alive);
            assert_eq!(got, expected, "{wire:?} by {every}");
            assert_eq!(wire.get(end..), Some(behind), "{wire:?} by {every}");
        }
    }

    #[test]
    fn heads_say_what_follows() {
        let sized = Some(Framing::Sized(5));
        let chunked = || Some(Framing::chunked());
        let ok = "HTTP/1.1 200 OK\r\n";
        check(
            &format!("{ok}content-Length : 5\r\n\r\nhello"),
            (200, sized.clone(), true),
            "hello",
        );
        check(
            "HTTP/1.1 200\ncontent-length: 5\n\na",
            (200, sized.clone(), true),
            "a",
        );
        let twice = format!("{ok}content-length: 5\r\ncontent-length: 5\r\n\r\n");
        check(&twice, (200, sized, true), "");
        let head = format!("{ok}Transfer-Encoding: Chunked\r\n\r\n");
        check(&head, (200, chunked(), true), "");
        let both = format!("{ok}transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n");
        check(&both, (200, chunked(), false), "");
        let close = format!("{ok}connection: x, Close\r\n\r\nrest");
        check(&close, (200, Some(Framing::UntilClose), false), "rest");
        let old = "HTTP/1.0 200 OK\r\n\r\nany";
        check(old, (200, Some(Framing::UntilClose), false), "any");
        check(
            &format!("{ok}content-length: 0\r\n\r\n"),
            (200, None, true),
            "",
        );
        let empty = "HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nab";
        check(empty, (204, None, true), "ab");
        check("HTTP/1.1 101 Switching\r\n\r\n", (101, None, false), "");
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let interim = "HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n";
        let real = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n";
        let expected = (200, Some(Framing::Sized(1)), true);
        check(&format!("{interim}{interim}{real}a"), expected, "a");
    }

    #[test]
    fn an_answer_to_head_has_a_length_and_no_body() {
        let wire = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n";
        let (head, _) = HeadReader::default().read(wire).unwrap().unwrap();
        assert_eq!((head.length, head.framing(true)), (Some(7), None));
    }

    #[test]
    fn bad_heads() {
        let check = |wire: &[u8], bad: BadHead| {
            assert_eq!(HeadReader::default().read(wire).unwrap_err(), bad);
        };
        let with = |line: &str| format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n");
        let endless = [
            b"HTTP/1.1 200 OK\r\nx: ".to_vec(),
            vec![b'x'; MAX_HEAD_BYTES],
        ]
        .concat();
        check(&endless, BadHead::TooLong);
        let old = b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        check(old, BadHead::OldChunks);
        check(
            with("transfer-encoding: gzip, chunked").as_bytes(),
            BadHead::Coding,
        );
        let twice = with("transfer-encoding: chunked\r\ntransfer-encoding: chunked");
        check(twice.as_bytes(), BadHead::Coding);
        for length in [
            "many",
            "+5",
            "5, 5",
            "18446744073709551616",
            "5\r\ncontent-length: 6",
        ] {
            check(
                with(&format!("content-length: {length}")).as_bytes(),
                BadHead::Length,
            );
        }
        let many = "x: y\r\n".repeat(MAX_HEADERS);
        let too_many = BadHead::Syntax(httparse::Error::TooManyHeaders);
        check(with(&format!("{many}z: y")).as_bytes(), too_many);
        let folded = BadHead::Syntax(httparse::Error::HeaderName);
        check(with("x-a: b\r\n c").as_bytes(), folded);
        let version = BadHead::Syntax(httparse::Error::Version);
        check(b"HTTP/2.0 200 OK\r\n\r\n", version);
    }
}
