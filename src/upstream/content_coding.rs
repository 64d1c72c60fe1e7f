//! Answers that are encoded although we ask for `identity`: decoded before anything else looks at them, so that filters,
//! the record and a client that asked for no encoding read what was meant.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

use crate::filter::Headers;
use crate::upstream::transport::{BodyFailure, UpstreamBody, UpstreamReply};

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    /// zlib's format, which HTTP calls `deflate`.
    Deflate,
    Brotli,
    Zstd,
}

/// What a decoded body may come to, whatever its source, in bytes: a megabyte of zeros is no bomb yet.
const ALWAYS_BYTES: u64 = 4 * 1024 * 1024;

/// Beyond that, so many times its source. Text comes to 5 or 10 times, the longest runs of gzip to a thousand.
const MOST_TIMES: u64 = 200;

/// Size of a decoded piece, in bytes.
const PIECE_BYTES: usize = 16 * 1024;

/// The reply with its body decoded, where it is encoded in one of the ways that we know. Others pass as they came, as
/// do parts of a body (206), which cannot be decoded.
pub fn decoded(reply: UpstreamReply) -> UpstreamReply {
    let has_body = reply.status != 206 && reply.content_length != Some(0) && !reply.body.is_none();
    match Coding::of(&reply.headers).filter(|_| has_body) {
        None => reply,
        Some(coding) => UpstreamReply {
            headers: headers(&reply.headers),
            content_length: None,
            body: coding.decode(reply.body),
            ..reply
        },
    }
}

/// What is said of the encoded bytes is not said of the decoded ones.
fn headers(upstream: &Headers) -> Headers {
    const OF_THE_BYTES: &[&str] = &[
        "content-digest",
        "content-encoding",
        "content-length",
        "content-md5",
        "digest",
        "repr-digest",
    ];
    let kept = upstream.iter();
    Headers::from_pairs(kept.filter(|(name, _)| !OF_THE_BYTES.contains(name)))
}

impl Coding {
    fn of(headers: &Headers) -> Option<Self> {
        let mut named = headers
            .iter()
            .filter(|(name, _)| *name == "content-encoding");
        let (Some((_, value)), None) = (named.next(), named.next()) else {
            return None;
        };
        match value.trim_ascii().to_ascii_lowercase().as_slice() {
            b"gzip" | b"x-gzip" => Some(Self::Gzip),
            b"deflate" => Some(Self::Deflate),
            b"br" => Some(Self::Brotli),
            b"zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    fn decode(self, body: UpstreamBody) -> UpstreamBody {
        let read = Rc::<Read>::default();
        let source = StreamReader::new(Source {
            body,
            read: read.clone(),
        });
        match self {
            Self::Gzip => {
                let mut decoder = GzipDecoder::new(source);
                // Files that were joined are one text.
                decoder.multiple_members(true);
                made(decoder, read)
            }
            Self::Deflate => made(ZlibDecoder::new(source), read),
            Self::Brotli => made(BrotliDecoder::new(source), read),
            Self::Zstd => made(ZstdDecoder::new(source), read),
        }
    }
}

/// How far the encoded body was read.
#[derive(Default)]
struct Read {
    bytes: Cell<u64>,
    is_over: Cell<bool>,
}

/// The encoded body.
struct Source {
    body: UpstreamBody,
    read: Rc<Read>,
}

impl Stream for Source {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { body, read } = self.get_mut();
        body.poll_next_unpin(cx).map(|piece| match piece {
            Some(Ok(piece)) => {
                read.bytes.set(read.bytes.get() + piece.len() as u64);
                Some(Ok(piece))
            }
            Some(Err(failure)) => Some(Err(io::Error::other(failure))),
            None => {
                read.is_over.set(true);
                None
            }
        })
    }
}

/// What a decoder gives, within the limit.
fn made(decoder: impl AsyncRead + 'static, read: Rc<Read>) -> UpstreamBody {
    let mut given = 0_u64;
    let pieces = ReaderStream::with_capacity(decoder, PIECE_BYTES).map(move |piece| {
        let piece = piece.map_err(|error| failure(error, read.is_over.get()))?;
        given += piece.len() as u64;
        match given <= ALWAYS_BYTES.max(read.bytes.get().saturating_mul(MOST_TIMES)) {
            true => Ok(piece),
            false => Err(BodyFailure::Encoding("it is far too long for its source")),
        }
    });
    let mut is_over = false;
    let until_failure = pieces.take_while(move |piece| {
        let goes_on = !is_over;
        is_over |= piece.is_err();
        std::future::ready(goes_on)
    });
    UpstreamBody::made(Box::pin(until_failure))
}

/// Why there is no more: the upstream's own reason, else the decoder's, which misses the rest or cannot read what came.
fn failure(error: io::Error, is_over: bool) -> BodyFailure {
    match error.into_inner().map(|inner| inner.downcast()) {
        Some(Ok(failure)) => *failure,
        _ if is_over => BodyFailure::Truncated,
        _ => BodyFailure::Encoding("it is not what its header says"),
    }
}
