//! Watches a stream of frames while it is relayed, as `relay_scanner` watches event streams: which may go on at once,
//! which end the stream and wait until the record is safe. A frame goes on once it is whole, for nobody can read less of
//! one; nothing is mended, and one whose checksum does not hold goes on as it came.

use aiproxy_filters::Endpoint;
use bytes::{Bytes, BytesMut};

use super::aws_event_stream::{Decoder, Frame, FrameError, RawFrame};
use super::bedrock::{EventText, text_of};
use super::json_reader::{Kind, Reader};
use super::relay_scanner::{Facts, Piece, StreamEnd};
use super::sse::EventTooLarge;

/// Scans one stream.
#[derive(Debug)]
pub struct FrameScanner {
    endpoint: Endpoint,
    decoder: Decoder,
    facts: Facts,
    /// A frame that ends the stream if nothing follows.
    last: Option<Bytes>,
    /// Nobody knows any more where a frame begins: all goes on as it comes.
    is_lost: bool,
    /// Whether the stream is of a kind whose end is known.
    has_known_end: bool,
}

/// What a frame means for the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Ordinary,
    /// Ends the stream if nothing follows.
    Last,
    Terminal,
}

impl FrameScanner {
    /// For a stream from its first byte on.
    pub fn new(endpoint: Endpoint, max_frame_bytes: usize) -> Self {
        Self {
            endpoint,
            decoder: Decoder::new(max_frame_bytes),
            facts: Facts::default(),
            last: None,
            is_lost: false,
            has_known_end: endpoint == Endpoint::BedrockConverse,
        }
    }

    /// What was learned so far.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Takes the upstream's next bytes and appends to `out` what is to be done with them, and with earlier ones.
    ///
    /// # Errors
    /// When a frame is longer than the limit. What stands before it is in `out`.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Piece>) -> Result<(), EventTooLarge> {
        if self.is_lost {
            out.push(Piece::Send(chunk));
            return Ok(());
        }
        let mut frames = Vec::new();
        let decoded = self.decoder.push(chunk, &mut frames);
        self.take(frames, out);
        match decoded {
            Ok(()) => Ok(()),
            Err(FrameError::TooLarge { limit }) => Err(EventTooLarge { limit }),
            Err(FrameError::PreludeCrc | FrameError::Lengths) => {
                self.is_lost = true;
                self.facts.is_damaged = true;
                self.release_last(out);
                out.push(Piece::Send(self.decoder.take_rest()));
                Ok(())
            }
        }
    }

    fn take(&mut self, frames: Vec<RawFrame>, out: &mut Vec<Piece>) {
        let mut run: Vec<Bytes> = Vec::new();
        for frame in frames {
            run.extend(self.last.take());
            self.facts.event_count += 1;
            match self.classify(&frame.frame()) {
                Class::Ordinary => run.push(frame.raw),
                Class::Last => self.last = Some(frame.raw),
                Class::Terminal => {
                    out.extend(joined(std::mem::take(&mut run)).map(Piece::Send));
                    out.push(Piece::Terminal(frame.raw));
                }
            }
        }
        out.extend(joined(run).map(Piece::Send));
    }

    fn classify(&mut self, frame: &Frame<'_>) -> Class {
        if !frame.crc_holds {
            self.facts.is_damaged = true;
            return Class::Ordinary;
        }
        let Some(kind) = frame.kind() else {
            return Class::Ordinary;
        };
        match (kind.message, kind.event) {
            (Some("exception" | "error"), _) => {
                self.facts.saw_error_event = true;
                self.ended()
            }
            (Some("event"), Some("chunk")) => self.classify_chunk(frame),
            (Some("event"), Some(kind)) if self.endpoint == Endpoint::BedrockConverse => match kind
            {
                "contentBlockDelta" => {
                    self.facts.first_content_seen = true;
                    Class::Ordinary
                }
                "messageStop" => {
                    self.facts.saw_finish_reason = true;
                    Class::Last
                }
                "metadata" if self.facts.saw_finish_reason => self.ended(),
                _ => Class::Ordinary,
            },
            _ => Class::Ordinary,
        }
    }

    /// A piece of what a model's maker sends. Bedrock adds its numbers to the last one, whoever made the model.
    fn classify_chunk(&mut self, frame: &Frame<'_>) -> Class {
        let EventText::Json(text) = text_of(frame) else {
            return Class::Ordinary;
        };
        let mut ends = false;
        let read = Reader::new(&text).object(|key, reader| {
            match key.raw {
                "type" => {
                    let kind = reader.string()?;
                    let is = |word| kind.is_some_and(|kind| kind.is(word));
                    self.has_known_end |= is("message_start");
                    self.facts.first_content_seen |= is("content_block_delta");
                    ends |= is("message_stop");
                }
                "completion" => {
                    self.has_known_end = true;
                    self.facts.first_content_seen |=
                        reader.string()?.is_some_and(|piece| !piece.raw.is_empty());
                }
                "stop_reason" => {
                    ends |= reader.peek()? == Kind::String;
                    reader.skip()?;
                }
                "amazon-bedrock-invocationMetrics" => {
                    ends = true;
                    reader.skip()?;
                }
                _ => reader.skip()?,
            }
            Ok(())
        });
        match read.is_ok() && ends {
            true => self.ended(),
            false => Class::Ordinary,
        }
    }

    fn ended(&mut self) -> Class {
        self.facts.saw_terminal = true;
        Class::Terminal
    }

    fn release_last(&mut self, out: &mut Vec<Piece>) {
        out.extend(self.last.take().map(Piece::Send));
    }

    /// The upstream closed the stream cleanly.
    pub fn finish(&mut self, out: &mut Vec<Piece>) -> StreamEnd {
        let is_whole = self.decoder.is_at_border();
        if self.is_lost || self.facts.saw_terminal {
            return StreamEnd::Complete;
        }
        match self.last.take() {
            Some(last) if is_whole => {
                self.facts.saw_terminal = true;
                out.push(Piece::Terminal(last));
                StreamEnd::Complete
            }
            None if is_whole && self.is_silent_about_its_end() => StreamEnd::Complete,
            last => {
                out.extend(last.map(Piece::Send));
                StreamEnd::Truncated
            }
        }
    }

    /// Whether nothing says how it ends: a call of no known shape, or a maker's stream of which no word is known. A stream
    /// of `invoke` has something in it.
    fn is_silent_about_its_end(&self) -> bool {
        let is_invoked = self.endpoint == Endpoint::BedrockInvoke;
        let is_empty = is_invoked && self.facts.event_count == 0;
        !self.has_known_end && !is_empty
    }

    /// The stream is cut: what is left of a frame is not sent, for an exception follows it.
    pub fn cut(&mut self, out: &mut Vec<Piece>) {
        self.release_last(out);
    }
}

/// Frames in one piece: each piece is a write of its own.
fn joined(mut frames: Vec<Bytes>) -> Option<Bytes> {
    if frames.len() <= 1 {
        return frames.pop();
    }
    let mut joined = BytesMut::with_capacity(frames.iter().map(Bytes::len).sum());
    for frame in frames {
        joined.extend_from_slice(&frame);
    }
    Some(joined.freeze())
}

#[cfg(test)]
mod tests;
