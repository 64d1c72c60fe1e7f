//! Scans a stream, whatever it is made of: events that are text, or frames.

use aiproxy_filters::Endpoint;
use bytes::Bytes;

use super::frame_scanner::FrameScanner;
use super::relay_scanner::{Facts, Piece, ScanOptions, Scanner, StreamEnd};
use super::sse::EventTooLarge;

/// What a stream is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `text/event-stream`.
    Events,
    /// `application/vnd.amazon.eventstream`.
    Frames,
}

/// Scans one stream.
#[derive(Debug)]
pub enum StreamScanner {
    /// Of events.
    Events(Scanner),
    /// Of frames.
    Frames(FrameScanner),
}

impl StreamScanner {
    /// For a stream from its first byte on.
    pub fn new(framing: Framing, endpoint: Endpoint, options: ScanOptions) -> Self {
        match framing {
            Framing::Events => Self::Events(Scanner::new(options)),
            Framing::Frames => Self::Frames(FrameScanner::new(endpoint, options.max_event_bytes)),
        }
    }

    /// What was learned so far.
    pub fn facts(&self) -> &Facts {
        match self {
            Self::Events(scanner) => scanner.facts(),
            Self::Frames(scanner) => scanner.facts(),
        }
    }

    /// Whether a comment may be put in now; frames know none.
    pub fn takes_comment(&self) -> bool {
        match self {
            Self::Events(scanner) => scanner.at_event_border(),
            Self::Frames(_) => false,
        }
    }

    /// Takes the upstream's next bytes, see [`Scanner::push`].
    ///
    /// # Errors
    /// When an event is longer than the limit. What stands before it is in `out`.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Piece>) -> Result<(), EventTooLarge> {
        match self {
            Self::Events(scanner) => scanner.push(chunk, out),
            Self::Frames(scanner) => scanner.push(chunk, out),
        }
    }

    /// The upstream closed the stream cleanly.
    pub fn finish(&mut self, out: &mut Vec<Piece>) -> StreamEnd {
        match self {
            Self::Events(scanner) => scanner.finish(out),
            Self::Frames(scanner) => scanner.finish(out),
        }
    }

    /// The stream is cut, by the upstream or by us.
    pub fn cut(&mut self, out: &mut Vec<Piece>) {
        match self {
            Self::Events(scanner) => scanner.cut(out),
            Self::Frames(scanner) => scanner.cut(out),
        }
    }
}
