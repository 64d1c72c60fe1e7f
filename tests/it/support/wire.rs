//! Bytes of upstream answers, and a reading of what the client and the record make of them.

use aiproxy::access_log::record::LogRecord;
use aiproxy::wire::aws_event_stream::{CONTENT_TYPE, Decoder};
use aiproxy::wire::bedrock::text_of;

use bytes::Bytes;

use super::fake_upstream::{FakeUpstream, Step};
use super::gateway::{TestGateway, Wanted};
use super::raw_client::RawResponse;

/// A chunk with text.
pub(crate) const TEXT: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hällo\"},\"finish_reason\":null}]}\n\n";
/// The chunk that ends the choice.
pub(crate) const FINISH: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
/// The extra chunk with usage.
pub(crate) const USAGE: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9}}\n\n";
/// The end.
pub(crate) const DONE: &str = "data: [DONE]\n\n";
/// A whole answer.
pub(crate) const WHOLE: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#;
/// The head of an event stream in chunks.
pub(crate) const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
/// The end of a body in chunks.
pub(crate) const LAST_CHUNK: &str = "0\r\n\r\n";

/// What asks for a stream, in a body.
pub(crate) const STREAM: &str = r#","stream":true"#;

/// One HTTP chunk.
pub(crate) fn chunk(data: impl AsRef<[u8]>) -> Vec<u8> {
    let data = data.as_ref();
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// A whole event stream in one chunk.
pub(crate) fn stream(events: impl AsRef<[u8]>) -> Vec<u8> {
    let mut wire = STREAM_HEAD.as_bytes().to_vec();
    if !events.as_ref().is_empty() {
        wire.extend(chunk(events));
    }
    wire.extend_from_slice(LAST_CHUNK.as_bytes());
    wire
}

/// An answer of JSON with its length.
pub(crate) fn json(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Any\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// What came of one exchange.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) answer: RawResponse,
    pub(crate) row: LogRecord,
}

impl Seen {
    /// `error.code` that the client was told, in the body or in the last event; empty without one.
    pub(crate) fn code(&self) -> String {
        code(&self.answer.body)
    }

    /// Status, code and outcome.
    pub(crate) fn facts(&self) -> (u16, String, &str) {
        (self.answer.status, self.code(), &self.row.outcome)
    }

    /// The stored bytes of what the client got.
    pub(crate) fn stored(&self) -> &[u8] {
        let payload = self.row.payload.as_ref().expect("bodies");
        payload
            .response_body
            .as_ref()
            .map_or(b"", |body| &body.bytes)
    }

    /// The stored bytes of what the upstream sent, where that differs.
    pub(crate) fn stored_upstream(&self) -> Option<&[u8]> {
        let payload = self.row.payload.as_ref().expect("bodies");
        Some(&payload.upstream_response_body.as_ref()?.bytes)
    }

    /// The client got exactly this, whole, and so it stands on record.
    #[track_caller]
    pub(crate) fn is_exactly(&self, body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        assert_eq!(
            self.answer.body.escape_ascii().to_string(),
            body.escape_ascii().to_string()
        );
        assert!(self.answer.complete, "{self:#?}");
        assert_eq!(self.stored(), body);
    }
}

/// An answer's body as text, frames of Bedrock's as the events that they mean, one a line.
#[track_caller]
pub(crate) fn answer_text(answer: &RawResponse) -> String {
    match answer.header("content-type") {
        Some(CONTENT_TYPE) => events_of(&answer.body).join("\n"),
        _ => answer.text().to_owned(),
    }
}

/// The events that frames mean; what is no event of a whole frame ends the test.
#[track_caller]
pub(crate) fn events_of(body: &[u8]) -> Vec<String> {
    let mut decoder = Decoder::new(usize::MAX);
    let mut frames = Vec::new();
    decoder
        .push(Bytes::copy_from_slice(body), &mut frames)
        .expect("frames");
    assert!(decoder.is_at_border(), "half a frame");
    let texts = frames.iter().map(|frame| text_of(&frame.frame()));
    texts
        .map(|text| text.into_text().expect("a frame that can be read"))
        .collect()
}

/// `error.code` in a body, or in the last event of a stream; empty without one.
pub(crate) fn code(body: &[u8]) -> String {
    let events = body.split(|byte| *byte == b'\n');
    let mut events = events.filter_map(|line| line.strip_prefix(b"data: "));
    let last = events.rfind(|data| data.starts_with(b"{\"error\""));
    let value: serde_json::Value = serde_json::from_slice(last.unwrap_or(body)).unwrap_or_default();
    value["error"]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// One chat request of a model of the mock, with further keys of its body.
#[track_caller]
pub(crate) fn mocked(model: &str, more: &str) -> Seen {
    asked(&TestGateway::start(), model, more)
}

/// One chat request to an upstream that sends these bytes and closes when the proxy does.
#[track_caller]
pub(crate) fn answered(wire: impl Into<Vec<u8>>, more: &str) -> Seen {
    let upstream = FakeUpstream::answering(wire);
    asked(&TestGateway::before(upstream.base_url()), "m", more)
}

/// One chat request to an upstream that runs these steps after reading it, with lines of the provider.
#[track_caller]
pub(crate) fn scripted(steps: impl IntoIterator<Item = Step>, provider: &str, more: &str) -> Seen {
    let upstream =
        FakeUpstream::start(vec![[Step::ReadRequest].into_iter().chain(steps).collect()]);
    let gateway = TestGateway::with(Wanted {
        upstream: Some(upstream.base_url()),
        provider: provider.to_owned(),
        ..Wanted::default()
    });
    asked(&gateway, "m", more)
}

/// The only exchange of a gateway.
#[track_caller]
pub(crate) fn asked(gateway: &TestGateway, model: &str, more: &str) -> Seen {
    let answer = gateway.chat(model, more);
    let row = gateway.row().record;
    Seen { answer, row }
}
