//! Streams that are nothing but text: characters put together whatever the pieces are, and the notice under a good
//! status that stands where a text would.

use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt;

use crate::pipeline::Worker;
use crate::pipeline::answer::{media_type, read_bounded};
use crate::pipeline::blame::begin;
use crate::pipeline::failure::Failure;
use crate::upstream::provider::{Provider, Timeouts};
use crate::upstream::transport::{UpstreamBody, UpstreamReply};
use crate::wire::argo::Notice;
use crate::wire::translate::ProviderError;

/// Whether an answer is text and nothing else.
pub(in crate::pipeline) fn is_text(reply: &UpstreamReply) -> bool {
    media_type(reply).eq_ignore_ascii_case("text/plain")
}

/// Puts the pieces of characters together.
#[derive(Debug, Default)]
pub(super) struct TextDecoder {
    /// The beginning of a character whose rest has not come.
    begun: Vec<u8>,
}

impl TextDecoder {
    /// The text so far. `None`: the bytes are no text.
    pub(super) fn push(&mut self, piece: &[u8]) -> Option<String> {
        self.begun.extend_from_slice(piece);
        let whole = match std::str::from_utf8(&self.begun) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return None,
        };
        let rest = self.begun.split_off(whole);
        String::from_utf8(std::mem::replace(&mut self.begun, rest)).ok()
    }

    /// Whether no character is cut.
    pub(super) fn is_whole(&self) -> bool {
        self.begun.is_empty()
    }
}

/// The answer, unless it is the notice: then what came of it. It is held back only while it may become that.
pub(in crate::pipeline) async fn unnoticed(
    reply: UpstreamReply,
    provider: &Provider,
    timeouts: &Timeouts,
    worker: &Worker,
    started: Instant,
) -> Result<UpstreamReply, Bytes> {
    let (mut pieces, mut said, mut body) = (Vec::new(), Vec::new(), reply.body);
    loop {
        let (begun, rest) = begin(body, 1, timeouts, worker, started).await;
        body = rest;
        let is_over = begun.is_empty();
        for piece in begun.iter().flatten() {
            said.extend_from_slice(piece);
        }
        pieces.extend(begun);
        let text = said.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        match Notice::of(text) {
            Notice::MayBecome if !is_over => {}
            Notice::Is => {
                said.extend_from_slice(&read_bounded(body, provider).await);
                return Err(Bytes::from(said));
            }
            Notice::MayBecome | Notice::IsNot => break,
        }
    }
    let begun = futures_util::stream::iter(pieces);
    Ok(UpstreamReply {
        body: UpstreamBody::made(Box::pin(begun.chain(body))),
        ..reply
    })
}

/// What a body that is no answer says, if it is the notice.
pub(in crate::pipeline) fn notice(body: &[u8]) -> Option<ProviderError> {
    let text = body.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    (Notice::of(text) == Notice::Is).then(|| Notice::error(text))
}

/// The failure that it is.
pub(in crate::pipeline) fn refused(error: ProviderError) -> Failure {
    Failure::UpstreamSaid {
        status: error.status.unwrap_or(502),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_that_are_no_text_are_told() {
        let mut decoder = TextDecoder::default();
        assert_eq!(decoder.push(b"a\xc3").as_deref(), Some("a"));
        assert!(!decoder.is_whole());
        assert_eq!(decoder.push(b"\xa4").as_deref(), Some("ä"));
        assert!(decoder.is_whole());
        assert_eq!(decoder.push(b"\xff"), None);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in "[aé😀\n]{0,40}", size in 1usize..7) {
            let mut decoder = TextDecoder::default();
            let pieces = text.as_bytes().chunks(size);
            let whole: Option<String> = pieces.map(|piece| decoder.push(piece)).collect();
            prop_assert_eq!(whole, Some(text));
            prop_assert!(decoder.is_whole());
        }
    }
}
