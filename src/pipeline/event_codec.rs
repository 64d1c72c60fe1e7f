//! Streams as events that filters look at, and back into what they came as. Events of an event stream are what they are;
//! a frame is shown as the event that it means, and goes on as the frame it was unless a filter changed that.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::filter::{Endpoint, StreamEvent};
use crate::pipeline::failure::Failure;
use crate::wire::aws_event_stream::{Decoder, FrameError, RawFrame};
use crate::wire::bedrock::{EventText, frame_of, text_of};
use crate::wire::sse::{EventTooLarge, RawEvent, SseDecoder};
use crate::wire::stream_scanner::Framing;

/// See the module.
pub struct EventCodec {
    endpoint: Endpoint,
    form: Form,
}

enum Form {
    Events(SseDecoder),
    Frames(Decoder, Shown),
}

/// What a piece of a stream came to.
pub struct Decoded {
    /// Whether a BOM stood before it.
    pub has_bom: bool,
    /// Its events.
    pub events: Vec<StreamEvent>,
    /// Why it could not be read to its end.
    pub failure: Option<Failure>,
}

/// The event as which a frame is shown that cannot be read: nobody has anything to say to it.
const UNREADABLE: &[u8] = b": frame\n\n";

/// The most frames that are remembered: a filter that never lets one go would have all of them remembered.
const MOST_SHOWN: usize = 1024;

/// Frames as they came, behind the events as which they were shown.
#[derive(Default)]
struct Shown(VecDeque<(Bytes, Bytes)>);

impl EventCodec {
    /// For a stream from its first byte on. `max_event_bytes`: longest event, or frame.
    pub fn new(framing: Framing, endpoint: Endpoint, max_event_bytes: usize) -> Self {
        let form = match framing {
            Framing::Events => Form::Events(SseDecoder::new(max_event_bytes)),
            Framing::Frames => Form::Frames(Decoder::new(max_event_bytes), Shown::default()),
        };
        Self { endpoint, form }
    }

    /// The API that the stream answers.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// Takes the next bytes; what could be read of them counts in any case.
    pub fn push(&mut self, bytes: Bytes) -> Decoded {
        match &mut self.form {
            Form::Events(decoder) => {
                let mut events = Vec::new();
                let pushed = decoder.push(&bytes, &mut events);
                decoded(self.endpoint, events, None, pushed)
            }
            Form::Frames(decoder, shown) => {
                let mut frames = Vec::new();
                let pushed = decoder.push(bytes, &mut frames);
                Decoded {
                    has_bom: false,
                    events: frames
                        .into_iter()
                        .map(|frame| shown.show(self.endpoint, frame))
                        .collect(),
                    failure: pushed.err().map(|error| match error {
                        FrameError::TooLarge { .. } => Failure::UpstreamEventTooLarge,
                        FrameError::PreludeCrc | FrameError::Lengths => Failure::UpstreamProtocol {
                            detail: error.to_string(),
                        },
                    }),
                }
            }
        }
    }

    /// What stands behind the last whole event.
    pub fn finish(&mut self) -> Decoded {
        match &mut self.form {
            Form::Events(decoder) => {
                let mut events = Vec::new();
                let finished = decoder.finish(&mut events);
                let rest = matches!(finished, Ok(true)).then(|| decoder.take_rest());
                decoded(self.endpoint, events, rest, finished.map(drop))
            }
            // The scanner lets whole ones through only.
            Form::Frames(..) => Decoded {
                has_bom: false,
                events: Vec::new(),
                failure: None,
            },
        }
    }

    /// An event as it goes on. What is no event of a stream of frames is nothing.
    pub fn encode(&mut self, event: &StreamEvent) -> Bytes {
        let bytes = event.to_bytes();
        match &mut self.form {
            Form::Events(_) => bytes,
            Form::Frames(_, shown) => shown.frame(&bytes).unwrap_or_else(|| {
                let made = event
                    .data()
                    .and_then(|data| frame_of(self.endpoint, data))
                    .unwrap_or_default();
                Bytes::from(made)
            }),
        }
    }
}

fn decoded(
    endpoint: Endpoint,
    events: Vec<RawEvent>,
    rest: Option<Bytes>,
    read: Result<(), EventTooLarge>,
) -> Decoded {
    Decoded {
        has_bom: events.first().is_some_and(RawEvent::has_bom),
        events: events
            .into_iter()
            .map(|event| event.raw)
            .chain(rest)
            .map(|raw| StreamEvent::from_bytes(endpoint, raw))
            .collect(),
        failure: read.err().map(|_| Failure::UpstreamEventTooLarge),
    }
}

impl Shown {
    fn show(&mut self, endpoint: Endpoint, frame: RawFrame) -> StreamEvent {
        let event = match text_of(&frame.frame()) {
            EventText::Json(text) => StreamEvent::from_data(endpoint, &text),
            EventText::Unreadable => {
                StreamEvent::from_bytes(endpoint, Bytes::from_static(UNREADABLE))
            }
        };
        if self.0.len() == MOST_SHOWN {
            self.0.pop_front();
        }
        self.0.push_back((event.to_bytes(), frame.raw));
        event
    }

    /// The frame that was shown like this; earlier ones were changed or left out.
    fn frame(&mut self, event: &Bytes) -> Option<Bytes> {
        let at = self.0.iter().position(|(shown, _)| shown == event)?;
        let (_, raw) = self.0.drain(..=at).next_back()?;
        Some(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn frame(event: &str) -> Vec<u8> {
        frame_of(Endpoint::BedrockConverse, event).expect("an event")
    }

    fn delta(text: &str) -> String {
        format!(r#"{{"contentBlockDelta":{{"delta":{{"text":"{text}"}},"contentBlockIndex":0}}}}"#)
    }

    #[test]
    fn a_frame_that_nobody_changed_goes_on_as_it_came() {
        let mut damaged = frame(&delta("b"));
        *damaged.last_mut().expect("a checksum") ^= 1;
        let stream = [frame(&delta("a")), damaged, frame(&delta("a"))].concat();
        let mut codec = EventCodec::new(Framing::Frames, Endpoint::BedrockConverse, 1_000);
        let mut rest = Bytes::from(stream.clone());
        let mut events = codec.push(rest.split_to(20)).events;
        assert!(events.is_empty());
        events.extend(codec.push(rest).events);
        let out: Vec<Bytes> = events.iter().map(|event| codec.encode(event)).collect();
        assert_eq!(out.concat(), stream);
    }

    #[test]
    fn a_changed_event_is_a_frame_of_its_own() {
        let mut codec = EventCodec::new(Framing::Frames, Endpoint::BedrockConverse, 1_000);
        let mut events = codec
            .push([frame(&delta("a")), frame(&delta("b"))].concat().into())
            .events;
        let [first, second] = events.as_mut_slice() else {
            panic!("{events:?}");
        };
        first.set_text_delta(0, "changed").expect("a text");
        assert_eq!(codec.encode(first), frame(&delta("changed")));
        assert_eq!(codec.encode(second), frame(&delta("b")));
        let made = StreamEvent::from_data(
            Endpoint::BedrockConverse,
            &json!({ "contentBlockStop": { "contentBlockIndex": 0 } }).to_string(),
        );
        assert_eq!(codec.encode(&made), frame(made.data().expect("data")));
        let none = StreamEvent::from_data(Endpoint::BedrockConverse, &Value::Null.to_string());
        assert_eq!(codec.encode(&none), Bytes::new());
    }

    #[test]
    fn a_border_that_is_lost_is_no_stream_any_more() {
        let mut codec = EventCodec::new(Framing::Frames, Endpoint::BedrockInvoke, 1_000);
        let read = codec.push([frame(&delta("a")), vec![0; 16]].concat().into());
        assert_eq!(read.events.len(), 1);
        assert!(matches!(
            read.failure,
            Some(Failure::UpstreamProtocol { .. })
        ));
    }
}
