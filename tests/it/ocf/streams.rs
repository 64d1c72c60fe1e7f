//! What a node says in the place of events when it does not reach a peer.

use super::{CHAT, answering, before, last, stored};
use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::chat_body;
use crate::support::raw_client::post;
use crate::support::signal::Signal;
use crate::support::wire::{DONE, FINISH, LAST_CHUNK, STREAM, STREAM_HEAD, TEXT, chunk, stream};

/// Answers of the same failure where events were to come: as the first and only text, as data, and behind an event.
fn unreached_streams() -> [(String, bool); 4] {
    let only = |text: &str| {
        let length = text.len();
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {length}\r\n\r\n{text}"
        )
    };
    let behind = |text: &str| {
        let wire = String::from_utf8(stream([TEXT, text].concat())).expect("text");
        (wire, true)
    };
    [
        (only("ERROR: failed to dial\n"), false),
        (only("data: ERROR: failed to dial\n\n"), false),
        behind("data: ERROR: failed to dial\n\n"),
        behind("ERROR: failed to dial"),
    ]
}

#[test]
fn a_peer_that_is_not_reached_is_told_in_streams_too() {
    for (path, more) in [
        (CHAT, STREAM),
        ("/v1/messages", r#","max_tokens":9,"stream":true"#),
        (
            "/v1beta/models/node%2Facme%2Fm-1:streamGenerateContent?alt=sse",
            "",
        ),
    ] {
        for (wire, has_begun) in unreached_streams() {
            let (_upstream, gateway) = answering(wire.clone());
            let body = match path {
                CHAT => chat_body("acme/m-1", more),
                "/v1/messages" => chat_body("node/acme/m-1", more),
                _ => r#"{"contents":[{"parts":[{"text":"Hello?"}]}]}"#.to_owned(),
            };
            let answer = gateway.post(path, &body);
            let said = answer.text();
            assert!(!said.contains("dial"), "{path}: {said}");
            let row = last(&gateway);
            assert_eq!(&*row.outcome, "upstream_error", "{path} {wire}: {said}");
            assert_eq!(row.upstream_status, Some(200), "{path}");
            let message = row.error_message.expect("a message");
            assert!(
                message.contains("ERROR: failed to dial"),
                "{path}: {message}"
            );
            assert_eq!(
                row.error_code.as_deref(),
                Some("upstream_unreachable"),
                "{path}"
            );
            let [only] = &*row.tries else {
                panic!("{path} {wire}: {:?}", row.tries)
            };
            assert_eq!(only.outcome.as_str(), "upstream_error");
            assert_eq!(only.error_message.as_deref(), Some("ERROR: failed to dial"));
            let payload = row.payload.expect("bodies");
            let came = stored(&payload.upstream_response_body);
            assert!(came.trim_end().ends_with("ERROR: failed to dial"), "{came}");
            assert_eq!(came.starts_with(TEXT), has_begun, "{path}: {came}");
            if !has_begun {
                assert_eq!(answer.status, 502, "{path}: {said}");
                continue;
            }
            assert_eq!(answer.status, 200, "{path}: {said}");
            assert!(
                !said.contains("[DONE]") && said.contains("Hällo"),
                "{path}: {said}"
            );
            let told = match path {
                CHAT => r#""code":"upstream_unreachable"}}"#,
                "/v1/messages" => r#"{"type":"error","error":{"type":"api_error""#,
                _ => r#""reason":"upstream_unreachable""#,
            };
            assert!(said.contains(told), "{path}: {said}");
            assert_eq!(row.response_complete, Some(false), "{path}");
        }
    }
}

#[test]
fn a_stream_begins_with_its_head_and_ends_with_its_client() {
    let upstream = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send(STREAM_HEAD.into()),
        Step::ReadToEnd,
    ]]);
    let gateway = before(&upstream);
    let mut client = gateway.connect();
    client.send(post(CHAT, &chat_body("acme/m-1", STREAM)));
    client.read_until(b"\r\n\r\n");
    client.reset();
    upstream.wait_ended(0);
    let row = last(&gateway);
    assert_eq!(
        (&*row.outcome, row.status_code),
        ("client_disconnected", 200)
    );
}

#[test]
fn a_mark_behind_the_head_is_told_in_the_stream() {
    let go = Signal::new();
    let event = "data: ERROR: failed to dial\n\n";
    let upstream = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send(STREAM_HEAD.into()),
        Step::Wait(go.clone()),
        Step::Send([&*chunk(event.as_bytes()), LAST_CHUNK.as_bytes()].concat()),
        Step::Fin,
    ]]);
    let gateway = before(&upstream);
    let mut client = gateway.connect();
    client.send(post(CHAT, &chat_body("acme/m-1", STREAM)));
    client.read_until(b"\r\n\r\n");
    go.fire();
    client.read_until(br#""code":"upstream_unreachable""#);
    let row = last(&gateway);
    assert_eq!((&*row.outcome, row.tries.len()), ("upstream_error", 1));
    let payload = row.payload.expect("bodies");
    assert_eq!(stored(&payload.upstream_response_body), event);
}

#[test]
fn streams_that_only_speak_of_errors_pass_byte_for_byte() {
    let spoken = TEXT.replace("Hällo", "ERROR: is what it said");
    let events = [&spoken, ": ERROR: a comment\n\n", FINISH, DONE].concat();
    for bytes in [1, 5, 1_000] {
        let upstream = FakeUpstream::start(vec![vec![
            Step::ReadRequest,
            Step::SendSplit(stream(&events), bytes),
            Step::Fin,
        ]]);
        let gateway = before(&upstream);
        let answer = gateway.post(CHAT, &chat_body("acme/m-1", STREAM));
        assert_eq!((answer.status, answer.text()), (200, &*events));
        assert_eq!(last(&gateway).outcome, "ok");
    }
}

#[test]
fn a_stream_without_a_mark_is_on_record_once() {
    for events in [3, 3_000] {
        let events = [&*TEXT.repeat(events), FINISH, DONE].concat();
        let (_upstream, gateway) = answering(stream(&events));
        let answer = gateway.post(CHAT, &chat_body("acme/m-1", STREAM));
        assert_eq!((answer.status, answer.text()), (200, &*events));
        let payload = last(&gateway).payload.expect("bodies");
        assert_eq!(stored(&payload.response_body), events);
        assert!(payload.upstream_response_body.is_none());
    }
}
