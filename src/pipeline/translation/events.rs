//! A stream on its way from the provider's format to the client's: what an event, or a piece of text, comes to goes on
//! at once.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;

use super::shape::ShapeWriter;
use super::text::TextDecoder;
use crate::access_log::guard::UpstreamTap;
use crate::access_log::redact::Secrets;
use crate::upstream::transport::{BodyFailure, UpstreamBody};
use crate::wire::aws_event_stream::{self, FrameError, RawFrame};
use crate::wire::bedrock::text_of;
use crate::wire::sse::{RawEvent, SseDecoder};
use crate::wire::stream_scanner::Framing;
use crate::wire::translate::{ProviderError, StreamTranslator, TranslateError};

/// An event stream on its way from the provider's format to the client's: what an event comes to goes on at once.
pub(super) struct Events {
    pub(super) body: UpstreamBody,
    pub(super) decoder: Decoder,
    pub(super) translator: StreamTranslator,
    /// Longest event, of the upstream's and of ours.
    pub(super) max_event_bytes: usize,
    pub(super) tap: UpstreamTap,
    pub(super) writer: ShapeWriter,
    /// Masked in errors that the stream reports.
    pub(super) secrets: Rc<Secrets>,
    pub(super) is_over: bool,
    /// Told after what came before it.
    pub(super) failure: Option<BodyFailure>,
}

/// How the upstream's bytes become what a translator takes.
pub(super) enum Decoder {
    Events(SseDecoder),
    Frames(aws_event_stream::Decoder),
    Text(TextDecoder),
}

impl Decoder {
    /// For a stream that is made of these.
    pub(super) fn new(framing: Framing, max_event_bytes: usize) -> Self {
        match framing {
            Framing::Events => Self::Events(SseDecoder::new(max_event_bytes)),
            Framing::Frames => Self::Frames(aws_event_stream::Decoder::new(max_event_bytes)),
        }
    }
}

impl Events {
    fn piece(&mut self, piece: Bytes) -> Vec<u8> {
        match &mut self.decoder {
            Decoder::Events(decoder) => {
                let mut events = Vec::new();
                let decoded = decoder.push(&piece, &mut events);
                self.tap.piece(piece);
                let made = self.events(events);
                if self.failure.is_none() {
                    self.failure = decoded.err().map(|_| BodyFailure::EventTooLarge);
                }
                made
            }
            Decoder::Frames(decoder) => {
                let mut frames = Vec::new();
                let decoded = decoder.push(piece.clone(), &mut frames);
                self.tap.piece(piece);
                let made = self.frames(&frames);
                if self.failure.is_none() {
                    self.failure = decoded.err().map(|error| match error {
                        FrameError::TooLarge { .. } => BodyFailure::EventTooLarge,
                        FrameError::PreludeCrc | FrameError::Lengths => {
                            BodyFailure::Untranslatable(error.to_string())
                        }
                    });
                }
                made
            }
            Decoder::Text(decoder) => {
                let text = decoder.push(&piece);
                self.tap.piece(piece);
                self.text(text)
            }
        }
    }

    fn text(&mut self, text: Option<String>) -> Vec<u8> {
        let mut made = Vec::new();
        match text {
            None => {
                let error = TranslateError::Malformed("it is not UTF-8".to_owned());
                self.failure = Some(self.of_event(error));
            }
            Some(text) if text.is_empty() => {}
            Some(text) => self.event(text.as_bytes(), &mut made),
        }
        made
    }

    fn events(&mut self, events: Vec<RawEvent>) -> Vec<u8> {
        let mut made = Vec::new();
        for event in events {
            let fields = event.fields();
            let Some(data) = &fields.data else {
                // It keeps the client's connection awake as well, and our own limit of silence.
                self.translator.comment(&mut made);
                continue;
            };
            self.event(data, &mut made);
            if self.failure.is_some() {
                break;
            }
        }
        made
    }

    fn frames(&mut self, frames: &[RawFrame]) -> Vec<u8> {
        let mut made = Vec::new();
        for frame in frames {
            match text_of(&frame.frame()).into_text() {
                Some(text) => self.event(text.as_bytes(), &mut made),
                None => {
                    let error = TranslateError::Malformed("a frame cannot be read".to_owned());
                    self.failure = Some(self.of_event(error));
                }
            }
            if self.failure.is_some() {
                break;
            }
        }
        made
    }

    fn event(&mut self, data: &[u8], made: &mut Vec<u8>) {
        if let Err(error) = self.translator.event(data, made) {
            self.failure = Some(self.of_event(error));
        } else if self.max_event_bytes < self.translator.kept_bytes() {
            self.failure = Some(BodyFailure::EventTooLarge);
        }
    }

    fn of_event(&self, error: TranslateError) -> BodyFailure {
        match error {
            TranslateError::Reported(error) => BodyFailure::Reported(ProviderError {
                message: self.secrets.mask_text(&error.message),
                ..error
            }),
            TranslateError::BrokeOff => BodyFailure::Unfinished,
            other => BodyFailure::Untranslatable(other.to_string()),
        }
    }

    fn end(&mut self) -> Vec<u8> {
        let mut made = Vec::new();
        let is_whole = match &self.decoder {
            // What stands behind the last event is none.
            Decoder::Events(_) => true,
            Decoder::Frames(decoder) => decoder.is_at_border(),
            Decoder::Text(decoder) => decoder.is_whole(),
        };
        let ended = match is_whole {
            true => self.translator.end(&mut made),
            false => Err(TranslateError::BrokeOff),
        };
        self.failure = ended.err().map(|error| self.of_event(error));
        made
    }
}

impl Stream for Events {
    type Item = Result<Bytes, BodyFailure>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(failure) = this.failure.take() {
                this.is_over = true;
                return Poll::Ready(Some(Err(failure)));
            }
            if this.is_over {
                return Poll::Ready(None);
            }
            let mut made = match ready!(Pin::new(&mut this.body).poll_next(cx)) {
                Some(Ok(piece)) => this.piece(piece),
                Some(Err(error)) => {
                    if let BodyFailure::Unreached { said, .. } = &error {
                        this.tap.piece(said.clone());
                    }
                    this.failure = Some(error);
                    Vec::new()
                }
                None => {
                    let made = this.end();
                    this.is_over = this.failure.is_none();
                    made
                }
            };
            if this.failure.is_some() {
                // It came, so the client gets it, before it hears how the stream ended.
                this.translator.give_rest(&mut made);
            }
            this.tap.dropped(this.translator.take_dropped());
            let says_nothing = made.is_empty();
            match this.writer.events(made) {
                Err(error) => this.failure = Some(this.of_event(error)),
                Ok(mut made) => {
                    if this.is_over {
                        made.extend_from_slice(this.writer.end());
                    }
                    // A comment that its shape does not know is a sign of life still: the limit of silence hears of it.
                    if !(made.is_empty() && says_nothing) {
                        return Poll::Ready(Some(Ok(Bytes::from(made))));
                    }
                }
            }
        }
    }
}
