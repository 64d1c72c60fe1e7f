//! Streams for every client before every provider: however they are cut, whatever they are decorated with, and with every
//! bad end.

use aiproxy::filter::Endpoint;
use aiproxy::wire::bedrock::frame_of;

use super::pair::{Kind, Pair, Seen, every_pair};
use crate::support::fake_upstream::Step;
use crate::support::wire::{LAST_CHUNK, chunk, json};

/// What stands in streams only where they are complete.
const ENDS: [&str; 5] = [
    "[DONE]",
    "message_stop",
    "response.completed",
    "STOP",
    "messageStop",
];

/// A stream of this kind of provider's with these bytes in chunks.
fn chunked<'a>(kind: &Kind, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let chunks = chunks.into_iter().flat_map(chunk).collect();
    [kind.stream_head(), chunks, LAST_CHUNK.into()].concat()
}

/// The events up to the middle of the text.
fn half(pair: &Pair) -> Vec<u8> {
    let events = pair.kind.events(&pair.client);
    let text = events.windows(3).position(|bytes| bytes == b"llo");
    // In frames of `invoke` no text can be seen.
    let at = text.unwrap_or(events.len() / 2);
    events.get(..at).expect("a half").to_vec()
}

impl Seen {
    /// The client was told that the stream has failed.
    #[track_caller]
    fn is_cut(&self, code: &str, outcome: &str) {
        let facts = (
            self.answer.status,
            self.row.error_code.as_deref(),
            &*self.row.outcome,
            self.row.response_complete,
        );
        assert_eq!(facts, (200, Some(code), outcome, Some(false)), "{self:#?}");
        let text = self.text();
        for end in ENDS {
            assert!(!text.contains(end), "{self:#?}");
        }
        let told = ["error", "Exception"];
        assert!(told.iter().any(|word| text.contains(word)), "{self:#?}");
    }
}

#[test]
fn f31_chunks_do_not_matter() {
    every_pair(|pair| {
        let events = pair.kind.events(&pair.client);
        let answers = [1, 7].map(|bytes| (chunked(&pair.kind, events.chunks(bytes)), true));
        for seen in pair.each_answered(answers.into()) {
            seen.is_answer();
        }
    });
}

#[test]
fn f32_variants_of_event_streams_are_read() {
    every_pair(|pair| {
        if pair.kind.is_framed() {
            return;
        }
        let events = String::from_utf8(pair.kind.events(&pair.client)).expect("text");
        let plain = events.replace("\r\n", "\n");
        let variants = [
            plain.replace('\n', "\r\n"),
            plain.replace("data: ", "data:"),
            plain.replace("data: ", ": a comment\nid: 7\nretry: 5\ndata: "),
            format!("\u{feff}{plain}"),
        ];
        let answers = variants.map(|variant| (chunked(&pair.kind, [variant.as_bytes()]), true));
        for seen in pair.each_answered(answers.into()) {
            seen.is_answer();
        }
    });
}

#[test]
fn f37_an_early_end_is_told() {
    every_pair(|pair| {
        let wire = chunked(&pair.kind, [&*half(&pair)]);
        let seen = pair.answered(wire, true);
        seen.is_cut("upstream_truncated", "upstream_truncated");
        let wire = chunked(&pair.kind, []);
        let seen = pair.answered(wire, true);
        assert_ne!(seen.row.outcome, "ok", "{seen:#?}");
        assert_eq!(seen.row.response_complete, Some(false), "{seen:#?}");
    });
}

#[test]
fn f38_a_stream_that_breaks_never_looks_complete() {
    every_pair(|pair| {
        let script = vec![
            Step::ReadRequest,
            Step::Send(pair.kind.stream_head()),
            Step::Send(chunk(half(&pair))),
            Step::Rst,
        ];
        let seen = pair.scripted(script, true);
        seen.is_cut("upstream_disconnected", "upstream_truncated");
    });
}

#[test]
fn f42_bytes_that_are_no_text() {
    every_pair(|pair| {
        let broken = |bytes: &[u8]| {
            let at = bytes.windows(2).position(|pair| pair == "ä".as_bytes());
            let mut bytes = bytes.to_vec();
            bytes.splice(at.map_or(0..0, |at| at..at + 2), [0xff, 0x00]);
            bytes
        };
        let whole = broken(pair.kind.whole(&pair.client).as_bytes());
        let length = whole.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        let seen = pair.answered([head.as_bytes(), &whole].concat(), false);
        match pair.is_native() {
            true => assert_eq!((seen.answer.status, &seen.answer.body), (200, &whole)),
            false => seen.is_error(502, "upstream_protocol", "upstream_error"),
        }
        if pair.kind.is_framed() {
            return;
        }
        let events = broken(&pair.kind.events(&pair.client));
        let seen = pair.answered(chunked(&pair.kind, [&*events]), true);
        match pair.is_native() {
            true => {
                let mut passed = seen.answer.body.windows(2);
                assert!(passed.any(|bytes| bytes == [0xff, 0x00]), "{seen:#?}");
                assert_eq!((seen.answer.status, &*seen.row.outcome), (200, "ok"));
            }
            false => seen.is_cut("upstream_protocol", "upstream_error"),
        }
    });
}

#[test]
fn f44_an_error_inside_a_stream_is_one() {
    every_pair(|pair| {
        let error = match (pair.kind.name, pair.client.name) {
            ("anthropic", _) => br#"event: error
data: {"type":"error","error":{"type":"api_error","message":"boom"}}

"#
            .to_vec(),
            ("gemini", _) => {
                b"data: {\"error\":{\"code\":500,\"message\":\"boom\",\"status\":\"INTERNAL\"}}\r\n\r\n".to_vec()
            }
            ("bedrock", _) => frame_of(
                Endpoint::BedrockConverse,
                r#"{"internalServerException":{"message":"boom"}}"#,
            )
            .expect("an event"),
            (_, "responses") => br#"event: error
data: {"type":"error","sequence_number":1,"code":"server_error","message":"boom","param":null}

"#
            .to_vec(),
            _ => b"data: {\"error\":{\"message\":\"boom\",\"type\":\"server_error\",\"code\":\"server_error\"}}\n\n".to_vec(),
        };
        let seen = pair.answered(chunked(&pair.kind, [&*error]), true);
        let facts = (seen.answer.status, &*seen.row.outcome);
        // A client of another dialect may be told before its stream has begun.
        assert_eq!(facts.1, "upstream_error", "{seen:#?}");
        assert!(seen.text().contains("boom"), "{seen:#?}");
        assert_ne!(seen.row.response_complete, Some(true), "{seen:#?}");
        let message = seen.row.error_message.as_deref();
        assert!(
            message.is_some_and(|said| said.contains("boom")),
            "{seen:#?}"
        );
    });
}

#[test]
fn a_stream_that_is_asked_for_may_be_answered_whole() {
    every_pair(|pair| {
        let whole = pair.kind.whole(&pair.client);
        let seen = pair.answered(json(200, "", whole), true);
        assert_eq!(
            (seen.answer.status, &*seen.row.outcome),
            (200, "ok"),
            "{seen:#?}"
        );
        assert_eq!(
            seen.row.response_text.as_deref(),
            Some("Hällo"),
            "{seen:#?}"
        );
    });
}
