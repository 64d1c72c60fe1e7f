//! What a client's stream is made of: translations are written as events, which become it here and nowhere else.

use bytes::Bytes;

use crate::filter::Endpoint;
use crate::wire::aws_event_stream;
use crate::wire::bedrock::frames_of;
use crate::wire::gemini::array::{self, ArrayWriter};
use crate::wire::gemini::asks_for_events;
use crate::wire::translate::TranslateError;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// An event stream.
    Events,
    /// One JSON array, as Gemini's are without `alt=sse`.
    Array,
    /// Frames of this API of Bedrock's.
    Frames(Endpoint),
}

/// Writes the pieces of a stream in its shape.
#[derive(Debug)]
pub(super) enum ShapeWriter {
    Events,
    Array(ArrayWriter),
    Frames(Endpoint),
}

impl Shape {
    /// The shape of the streams of an endpoint. `query`: the client's, raw.
    pub fn of(endpoint: Endpoint, query: &str) -> Self {
        match endpoint {
            Endpoint::GenerateContent if !asks_for_events(query) => Self::Array,
            Endpoint::BedrockInvoke | Endpoint::BedrockConverse => Self::Frames(endpoint),
            _ => Self::Events,
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Events => "text/event-stream; charset=utf-8",
            Self::Array => "application/json",
            Self::Frames(_) => aws_event_stream::CONTENT_TYPE,
        }
    }

    /// All events of a stream.
    ///
    /// # Errors
    /// [`TranslateError`] when one cannot be said in this shape.
    pub(super) fn whole(self, events: Vec<u8>) -> Result<Bytes, TranslateError> {
        Ok(match self {
            Self::Events => Bytes::from(events),
            Self::Array => array::of_events(&events),
            Self::Frames(endpoint) => Bytes::from(frames(endpoint, &events)?),
        })
    }

    pub(super) fn writer(self) -> ShapeWriter {
        match self {
            Self::Events => ShapeWriter::Events,
            Self::Array => ShapeWriter::Array(ArrayWriter::default()),
            Self::Frames(endpoint) => ShapeWriter::Frames(endpoint),
        }
    }
}

impl ShapeWriter {
    /// Whole events. Frames know no comments: what is none but comments comes to nothing.
    ///
    /// # Errors
    /// [`TranslateError`] when one cannot be said in this shape.
    pub(super) fn events(&mut self, events: Vec<u8>) -> Result<Vec<u8>, TranslateError> {
        match self {
            Self::Events => Ok(events),
            Self::Array(array) => Ok(array.events(&events)),
            Self::Frames(endpoint) => frames(*endpoint, &events),
        }
    }

    /// What stands behind the last event.
    pub(super) fn end(&mut self) -> &'static [u8] {
        match self {
            Self::Events | Self::Frames(_) => b"",
            Self::Array(array) => array.end(),
        }
    }
}

fn frames(endpoint: Endpoint, events: &[u8]) -> Result<Vec<u8>, TranslateError> {
    frames_of(endpoint, events)
        .ok_or_else(|| TranslateError::Malformed("an event has no frame".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::bedrock::frame_of;

    #[test]
    fn events_become_what_the_client_reads() {
        let event = r#"{"messageStart":{"role":"assistant"}}"#;
        let events = format!(": ping\ndata: {event}\n\n").into_bytes();
        let converse = Endpoint::BedrockConverse;
        let frame = frame_of(converse, event).expect("a frame");
        for (endpoint, query, expected) in [
            (converse, "", &*frame),
            (Endpoint::GenerateContent, "?alt=sse", &*events),
            (
                Endpoint::GenerateContent,
                "",
                format!("[{event}]").as_bytes(),
            ),
            (Endpoint::Messages, "", &*events),
        ] {
            let shape = Shape::of(endpoint, query);
            let whole = shape.whole(events.clone());
            assert_eq!(whole.as_deref(), Ok(expected), "{shape:?}");
            let mut writer = shape.writer();
            let mut written = writer.events(events.clone()).expect("events");
            written.extend_from_slice(writer.end());
            assert_eq!(written, expected, "{shape:?}");
        }
    }

    #[test]
    fn a_comment_has_no_frame_and_what_is_no_event_ends_the_stream() {
        let shape = Shape::of(Endpoint::BedrockConverse, "");
        let mut writer = shape.writer();
        assert_eq!(writer.events(b": ping\n".to_vec()), Ok(Vec::new()));
        let wrong = b"data: {\"a\":{},\"b\":{}}\n\ndata: {\"messageStop\":{}}\n\n";
        assert!(writer.events(wrong.to_vec()).is_err());
        assert!(shape.whole(wrong.to_vec()).is_err());
    }
}
