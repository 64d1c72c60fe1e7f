//! Recorded answers served again, and what keeps them from being served.

use std::time::{Duration, Instant};

use crate::client_faults::assert_error;
use crate::support::gateway::{TestGateway, chat_body};
use crate::support::raw_client::{RawResponse, exchange, post, request};

const UNKNOWN: &str = "019a0000-0000-7000-8000-000000000000";

/// Asks for what was recorded.
pub(crate) fn replay(gateway: &TestGateway, id: &str, headers: &str) -> RawResponse {
    let headers = format!("x-aiproxy-replay: {id}\r\n{headers}");
    exchange(
        gateway.data,
        request("POST", "/v1/chat/completions", &headers, b""),
    )
}

/// The id of an exchange.
pub(crate) fn id_of(answer: &RawResponse) -> String {
    answer
        .header("x-aiproxy-request-id")
        .expect("an id")
        .to_owned()
}

/// The same bytes in the same form.
#[track_caller]
pub(crate) fn assert_same(again: &RawResponse, first: &RawResponse) {
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.header("content-type"), first.header("content-type"));
    assert_eq!(
        again.header("x-aiproxy-replayed"),
        first.header("x-aiproxy-request-id")
    );
}

#[test]
fn f94_whatever_was_answered_replays_byte_for_byte() {
    let gateway = TestGateway::start();
    let stream = r#","stream":true"#;
    let first = [
        gateway.chat("mock", ""),
        gateway.chat("mock-utf8", ""),
        gateway.chat("mock-s20", stream),
        gateway.chat("mock-utf8-s20", stream),
        gateway.chat("mock-crlf-comments-s5", stream),
        gateway.chat("mock-tools", stream),
        gateway.chat("mock-big-5m", ""),
        gateway.chat("mock-big-5m", stream),
        gateway.chat("mock-err-429", ""),
        gateway.post(
            "/v1/responses",
            r#"{"model":"mock-s3","input":"x","stream":true}"#,
        ),
        gateway.post("/v1/embeddings", r#"{"model":"mock","input":"x"}"#),
        gateway.post("/v1/audio/speech", r#"{"model":"mock","input":"x"}"#),
        gateway.get("/v1/models"),
        gateway.chat("not json", "}"),
    ];
    gateway.settle();
    for first in &first {
        assert_same(&replay(&gateway, &id_of(first), ""), first);
        let by_admin = gateway.admin_get(&format!("/api/exchanges/{}/replay", id_of(first)));
        assert_same(&by_admin, first);
    }
    let asked = gateway.mock.as_ref().expect("a mock").stats().requests;
    assert_eq!(asked, 13, "a replay asks no upstream");
}

/// What a filter made of an answer is what replays, and filters are not asked again.
#[test]
fn f94_what_a_filter_made_replays_as_it_was_sent() {
    let gateway = TestGateway::configured(
        "filters:\n  - { kind: block_patterns, words: [fox], action: mask, on: [response] }\n  \
         - { kind: banned_users, users: [mallory], message: no fox }\n",
    );
    let stream = r#","stream":true"#;
    let first = [
        gateway.chat("mock", ""),
        gateway.chat("mock", r#","user":"mallory""#),
        gateway.chat("mock-s5", stream),
        gateway.chat("mock-s5", r#","user":"mallory","stream":true"#),
    ];
    gateway.settle();
    assert!(first[0].text().contains("***"));
    for first in &first {
        assert_same(&replay(&gateway, &id_of(first), ""), first);
    }
    assert_eq!(gateway.mock.as_ref().expect("a mock").stats().requests, 2);
}

#[test]
fn f94_a_replay_is_a_row_of_its_own() {
    let gateway = TestGateway::start();
    let id = id_of(&gateway.chat("mock-s3", r#","stream":true"#));
    gateway.settle();
    let again = replay(&gateway, &id, "");
    let row = gateway.rows().pop().expect("a row").record;
    assert_eq!(
        (row.outcome.as_str(), row.replay_of.as_deref()),
        ("replayed", Some(id.as_str()))
    );
    assert_eq!(
        (row.attempts, row.cost_nano_usd, row.provider),
        (0, None, None)
    );
    assert_eq!(row.request_id, id_of(&again));
    let body = row
        .payload
        .and_then(|payload| payload.response_body)
        .expect("a body");
    assert_eq!(body.bytes, again.body);
}

#[test]
fn f94_unknown_ids_are_not_found() {
    let gateway = TestGateway::start();
    for id in [
        UNKNOWN,
        "x",
        "%",
        "' OR 1=1--",
        "019a0000",
        &"9".repeat(4_000),
    ] {
        let answer = replay(&gateway, id, "");
        assert_error(&answer, 404, "invalid_request_error", "replay_not_found");
        assert_eq!(answer.header("x-should-retry"), Some("false"));
        let row = gateway.rows().pop().expect("a row").record;
        assert_eq!(
            (row.outcome.as_str(), row.replay_of),
            ("client_error", None)
        );
    }
}

#[test]
fn f94_unfinished_exchanges_are_not_complete() {
    let gateway = TestGateway::start();
    let mut client = gateway.connect();
    let asked = chat_body("mock-s3-stall-1", r#","stream":true"#);
    client.send(post("/v1/chat/completions", &asked));
    let head = String::from_utf8(client.read_until(b"\r\n\r\n")).expect("UTF-8");
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("x-aiproxy-request-id: "));
    let answer = replay(&gateway, line.expect("an id"), "");
    assert_error(&answer, 409, "invalid_request_error", "replay_not_complete");
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    drop(client);
}

#[test]
fn f94_bodies_that_are_not_stored_whole_are_unavailable() {
    let gateway =
        TestGateway::configured("log: { spool_dir: \"$DIR/spool\", body_max_bytes: 1000 }");
    let headers = "content-type: application/json\r\nx-aiproxy-log: ";
    let body = chat_body("mock", "");
    let quiet = |how: &str| {
        let headers = format!("{headers}{how}\r\n");
        exchange(
            gateway.data,
            request("POST", "/v1/chat/completions", &headers, body.as_bytes()),
        )
    };
    let long = gateway.chat("mock-b2k", "");
    let long_stream = gateway.chat("mock-s20", r#","stream":true"#);
    let first = [long, long_stream, quiet("metadata"), quiet("none")];
    gateway.settle();
    for first in first {
        assert_eq!(first.status, 200);
        let answer = replay(&gateway, &id_of(&first), "");
        assert_error(
            &answer,
            409,
            "invalid_request_error",
            "replay_body_unavailable",
        );
        assert_eq!(answer.header("x-should-retry"), Some("false"));
    }
}

#[test]
fn f94_cut_streams_replay_with_a_flag() {
    let gateway = TestGateway::start();
    let first = gateway.chat("mock-s10-cut-4", r#","stream":true"#);
    assert!(!first.text().contains("[DONE]"), "{}", first.text());
    gateway.settle();
    let again = replay(&gateway, &id_of(&first), "");
    assert_same(&again, &first);
    assert_eq!(again.header("x-aiproxy-replay-incomplete"), Some("true"));
}

#[test]
fn f94_streams_replay_in_their_own_time_if_asked() {
    let gateway = TestGateway::start();
    let first = gateway.chat("mock-s6-d40", r#","stream":true"#);
    let id = id_of(&first);
    gateway.settle();
    let timed = |headers: &str| {
        let started = Instant::now();
        assert_same(&replay(&gateway, &id, headers), &first);
        started.elapsed()
    };
    let recorded = Duration::from_millis(240);
    let (own, quick, at_once) = (
        timed("x-aiproxy-replay-speed: 1\r\n"),
        timed("x-aiproxy-replay-speed: 4\r\n"),
        timed("x-aiproxy-replay-speed: 0\r\n"),
    );
    assert!(recorded <= own, "{own:?}");
    assert!(recorded / 4 <= quick && quick < own, "{quick:?}");
    assert!(at_once < recorded, "{at_once:?}");
}

#[test]
fn f94_speeds_that_are_none_are_refused() {
    let gateway = TestGateway::start();
    let id = id_of(&gateway.chat("mock", ""));
    gateway.settle();
    for speed in ["-1", "fast", "NaN", "inf", "1e999", "0x10"] {
        let answer = replay(
            &gateway,
            &id,
            &format!("x-aiproxy-replay-speed: {speed}\r\n"),
        );
        assert_error(&answer, 400, "invalid_request_error", "invalid_header");
    }
}

#[test]
fn f94_a_replay_whose_client_leaves_is_a_leaving() {
    let gateway = TestGateway::start();
    let id = id_of(&gateway.chat("mock-s6-d200", r#","stream":true"#));
    gateway.settle();
    let mut client = gateway.connect();
    let headers = format!("x-aiproxy-replay: {id}\r\nx-aiproxy-replay-speed: 1\r\n");
    client.send(request("POST", "/v1/chat/completions", &headers, b""));
    client.read_until(b"data:");
    client.reset();
    let row = gateway.rows().pop().expect("a row").record;
    assert_eq!(
        (row.outcome.as_str(), row.response_complete),
        ("client_disconnected", Some(false))
    );
}
