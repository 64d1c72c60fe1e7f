//! Event streams in which a provider tells a failure in the place of an event: by a line that begins with its mark, as
//! data or bare. What went before goes on as it came, and the body breaks off there.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::access_log::redact::Secrets;
use crate::pipeline::blame::LONGEST_WORDS;
use crate::upstream::transport::{BodyFailure, UpstreamBody};

/// What may stand before the mark.
const FIELDS: &[&str] = &["", "data:", "data: "];

/// Whether a line begins with the mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    /// It does.
    Is,
    /// It does not.
    IsNot,
    /// What there is of it may come to.
    MayBecome,
}

impl Beginning {
    /// Looks at what there is of a line. `is_event`: whether it may be a field of an event.
    pub(super) fn of(line: &[u8], mark: &str, is_event: bool) -> Self {
        let fields = if is_event { FIELDS } else { &[""] };
        let mut found = Self::IsNot;
        for field in fields {
            match line.strip_prefix(field.as_bytes()) {
                Some(rest) if rest.starts_with(mark.as_bytes()) => return Self::Is,
                Some(rest) if mark.as_bytes().starts_with(rest) => found = Self::MayBecome,
                None if field.as_bytes().starts_with(line) => found = Self::MayBecome,
                _ => {}
            }
        }
        found
    }
}

/// A stream that is looked through.
pub(super) struct Marked {
    pub(super) body: UpstreamBody,
    pub(super) lines: Lines,
    pub(super) secrets: Rc<Secrets>,
}

/// Where in its lines a stream is.
pub(super) struct Lines {
    mark: &'static str,
    /// The beginning of a line that may come to the mark.
    begun: Bytes,
    /// Whether what comes next belongs to a line that has not the mark.
    in_line: bool,
    /// What the marked line says, so far.
    said: Option<Vec<u8>>,
}

impl Lines {
    pub(super) fn new(mark: &'static str) -> Self {
        Self {
            mark,
            begun: Bytes::new(),
            in_line: false,
            said: None,
        }
    }

    /// What of a piece goes on.
    fn push(&mut self, piece: Bytes) -> Bytes {
        let begun = std::mem::take(&mut self.begun);
        let all = match begun.is_empty() {
            true => piece,
            false => Bytes::from([&*begun, &*piece].concat()),
        };
        let mut at = 0;
        loop {
            let rest = all.get(at..).unwrap_or_default();
            let beginning = match self.in_line {
                true => Beginning::IsNot,
                false => Beginning::of(rest, self.mark, true),
            };
            match beginning {
                Beginning::Is => {
                    self.said = Some(rest.to_vec());
                    return all.slice(..at);
                }
                Beginning::MayBecome => {
                    self.begun = all.slice(at..);
                    return all.slice(..at);
                }
                Beginning::IsNot => {}
            }
            let end = memchr::memchr2(b'\n', b'\r', rest);
            self.in_line = end.is_none();
            match end {
                Some(end) => at += end + 1,
                None => return all,
            }
        }
    }
}

impl Stream for Marked {
    type Item = Result<Bytes, BodyFailure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(said) = &mut this.lines.said {
                // As much of it as is there: nothing is waited for.
                while said.len() < LONGEST_WORDS
                    && let Poll::Ready(Some(Ok(piece))) = this.body.poll_next_unpin(cx)
                {
                    said.extend_from_slice(&piece);
                }
                let words = words(said, &this.secrets);
                let said = Bytes::from(std::mem::take(said));
                this.body = UpstreamBody::whole(Bytes::new());
                this.lines = Lines::new(this.lines.mark);
                return Poll::Ready(Some(Err(BodyFailure::Unreached { said, words })));
            }
            let next = ready!(this.body.poll_next_unpin(cx));
            let going = match next {
                Some(Ok(piece)) => this.lines.push(piece),
                ended => {
                    let rest = std::mem::take(&mut this.lines.begun);
                    if rest.is_empty() {
                        return Poll::Ready(ended);
                    }
                    this.lines.in_line = true;
                    if let Some(Err(failure)) = ended {
                        this.body =
                            UpstreamBody::made(Box::pin(futures_util::stream::iter([Err(
                                failure,
                            )])));
                    }
                    rest
                }
            };
            if !going.is_empty() {
                return Poll::Ready(Some(Ok(going)));
            }
        }
    }
}

/// What the line with the mark says, for the record.
pub(super) fn words(said: &[u8], secrets: &Secrets) -> String {
    let words = said.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let words = words.split(['\n', '\r']).next().unwrap_or_default();
    let words = words.strip_prefix("data:").unwrap_or(words).trim();
    let words: String = words.chars().take(LONGEST_WORDS).collect();
    secrets.mask_text(&words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use proptest::prelude::*;

    const MARK: &str = "ERROR: ";

    /// What goes on of a stream in pieces of this size, and the words that it breaks off with.
    fn through(stream: &str, size: usize) -> (String, Option<String>) {
        let pieces: Vec<_> = stream.as_bytes().chunks(size).collect();
        let pieces = pieces
            .into_iter()
            .map(|piece| Ok(Bytes::copy_from_slice(piece)));
        let pieces: Vec<Result<Bytes, BodyFailure>> = pieces.collect();
        let mut marked = Marked {
            body: UpstreamBody::made(Box::pin(futures_util::stream::iter(pieces))),
            lines: Lines::new(MARK),
            secrets: Rc::default(),
        };
        let mut passed = Vec::new();
        let mut broke = None;
        while let Some(next) = marked.next().now_or_never().expect("ready") {
            match next {
                Ok(piece) => passed.extend_from_slice(&piece),
                Err(BodyFailure::Unreached { said, words }) => {
                    let all = [&*passed, &*said].concat();
                    assert_eq!(String::from_utf8(all).unwrap(), stream);
                    broke = Some(words);
                }
                Err(other) => panic!("{other}"),
            }
        }
        (String::from_utf8(passed).unwrap(), broke)
    }

    #[test]
    fn a_marked_line_ends_the_stream_and_no_other_does() {
        for (stream, passes, words) in [
            ("data: ERROR: no peer\n\n", "", Some("ERROR: no peer")),
            ("ERROR: x\r\ndata: y\n\n", "", Some("ERROR: x")),
            ("data:ERROR: no peer\n\n", "", Some("ERROR: no peer")),
            ("ERROR: no peer", "", Some("ERROR: no peer")),
            ("data: {}\n\nERROR: x", "data: {}\n\n", Some("ERROR: x")),
            (
                "data: {}\r\rdata: ERROR: x\r\r",
                "data: {}\r\r",
                Some("ERROR: x"),
            ),
            (
                "event: a\ndata: ERROR: x\n\n",
                "event: a\n",
                Some("ERROR: x"),
            ),
            (
                "data: {\"a\":\"ERROR: x\"}\n\n",
                "data: {\"a\":\"ERROR: x\"}\n\n",
                None,
            ),
            ("data: an ERROR: x\n\n", "data: an ERROR: x\n\n", None),
            ("data: Error: x\n\n", "data: Error: x\n\n", None),
            ("data: ERR", "data: ERR", None),
            ("data: ERROR:", "data: ERROR:", None),
            ("\n\n: c\n\n", "\n\n: c\n\n", None),
            ("", "", None),
        ] {
            for size in [1, 2, 7, 100] {
                let got = through(stream, size);
                let expected = (passes.to_owned(), words.map(str::to_owned));
                assert_eq!(got, expected, "{stream:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn what_breaks_off_behind_a_beginning_is_told_after_it() {
        let pieces = [
            Ok(Bytes::from_static(b"data: ERR")),
            Err(BodyFailure::Truncated),
        ];
        let mut marked = Marked {
            body: UpstreamBody::made(Box::pin(futures_util::stream::iter(pieces))),
            lines: Lines::new(MARK),
            secrets: Rc::default(),
        };
        let mut next = || marked.next().now_or_never().expect("ready");
        assert!(matches!(next(), Some(Ok(piece)) if piece == "data: ERR"));
        assert!(matches!(next(), Some(Err(BodyFailure::Truncated))));
    }

    proptest! {
        #[test]
        fn other_streams_pass_whatever_their_pieces(stream in "[adtER:O \n\r]{0,60}", size in 1usize..9) {
            prop_assume!(!stream.contains(MARK));
            prop_assert_eq!(through(&stream, size), (stream, None));
        }
    }
}
