//! Clients that leave: at which moment, how, and what then becomes of the upstream and the row.

use std::time::{Duration, Instant};

use aiproxy::access_log::record::LogRecord;

use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{TestGateway, chat_body, wait_until};
use crate::support::raw_client::{RawClient, post};
use crate::support::signal::Signal;

const CHAT: &str = "/v1/chat/completions";
const STREAM: &str = r#","stream":true"#;

/// Longest time from a client's leaving to the end of the upstream connection.
const SOON: Duration = Duration::from_secs(1);

/// The ways to leave.
const WAYS: [fn(RawClient); 2] = [RawClient::reset, drop];

const ANSWER: &str = r#"{"id":"1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#;

fn whole_answer() -> Vec<u8> {
    let length = ANSWER.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{ANSWER}")
        .into_bytes()
}

fn asking(gateway: &TestGateway, model: &str, more: &str) -> RawClient {
    let mut client = gateway.connect();
    client.send(post(CHAT, &chat_body(model, more)));
    client
}

/// An upstream that reads a request, waits for the signal, sends `answer`, and reads on.
fn waiting_upstream(go: &Signal, answer: Vec<u8>) -> FakeUpstream {
    FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Wait(go.clone()),
        Step::Send(answer),
        Step::ReadToEnd,
    ]])
}

#[track_caller]
fn assert_disconnected(row: &LogRecord, status: i32) {
    let said = (row.outcome.as_str(), row.status_code);
    assert_eq!(said, ("client_disconnected", status), "{row:#?}");
}

#[test]
fn f10_reset_before_the_head_of_a_stream_cancels_it() {
    let upstream = FakeUpstream::start(vec![vec![Step::ReadRequest, Step::ReadToEnd]]);
    let gateway = TestGateway::before(upstream.base_url());
    let client = asking(&gateway, "m", STREAM);
    upstream.wait_received(0, b"\r\n\r\n");
    let left = Instant::now();
    client.reset();
    upstream.wait_ended(0);
    assert!(left.elapsed() < SOON, "{:?}", left.elapsed());
    let row = gateway.row().record;
    assert_disconnected(&row, 499);
    assert_eq!(
        (row.attempts, row.upstream_status, row.response_bytes),
        (1, None, None)
    );
}

#[test]
fn f10_reset_before_the_head_of_a_whole_answer_finishes_it() {
    let go = Signal::new();
    let upstream = waiting_upstream(&go, whole_answer());
    let gateway = TestGateway::before(upstream.base_url());
    let client = asking(&gateway, "m", "");
    upstream.wait_received(0, b"\r\n\r\n");
    client.reset();
    gateway.breathe();
    go.fire();
    let row = gateway.row().record;
    assert_disconnected(&row, 499);
    assert_eq!(
        (row.upstream_status, row.prompt_tokens),
        (Some(200), Some(7))
    );
    assert_eq!(
        (row.usage_source.as_deref(), row.first_byte_ms),
        (Some("upstream"), None)
    );
    assert_eq!(row.response_text.as_deref(), Some("hi"));
}

#[test]
fn f10_an_error_for_a_client_that_has_gone_is_still_its_leaving() {
    let go = Signal::new();
    let upstream = waiting_upstream(
        &go,
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_vec(),
    );
    let gateway = TestGateway::before(upstream.base_url());
    let client = asking(&gateway, "m", "");
    upstream.wait_received(0, b"\r\n\r\n");
    client.reset();
    gateway.breathe();
    go.fire();
    let row = gateway.row().record;
    assert_disconnected(&row, 499);
    assert_eq!(row.upstream_status, Some(500));
}

#[test]
fn f10_only_so_many_exchanges_go_on_without_their_client() {
    const ALL: usize = 70;
    let go = Signal::new();
    let upstream = waiting_upstream(&go, whole_answer());
    let gateway = TestGateway::before(upstream.base_url());
    let clients: Vec<_> = (0..ALL).map(|_| asking(&gateway, "m", "")).collect();
    wait_until("all are asked", || upstream.requests() == ALL);
    clients.into_iter().for_each(RawClient::reset);
    wait_until("the surplus is over", || {
        gateway.rows_now().len() == ALL - 64
    });
    go.fire();
    let rows = gateway.rows();
    let finished = rows
        .iter()
        .filter(|row| row.record.upstream_status == Some(200))
        .count();
    assert_eq!((rows.len(), finished), (ALL, 64));
    rows.iter()
        .for_each(|row| assert_disconnected(&row.record, 499));
}

#[test]
fn f11_leaving_while_the_upstream_sends_cancels_it() {
    for leave in WAYS {
        let gateway = TestGateway::start();
        let mut client = asking(&gateway, "mock-s5000-d2", STREAM);
        for _ in 0..3 {
            client.read_until(b"\"content\":\"");
        }
        let left = Instant::now();
        leave(client);
        assert_cancelled(&gateway, left);
    }
}

#[test]
fn f12_leaving_while_the_upstream_is_silent_cancels_it() {
    for leave in WAYS {
        let gateway = TestGateway::start();
        let mut client = asking(&gateway, "mock-s10-stall-3", STREAM);
        for _ in 0..3 {
            client.read_until(b"\"content\":\"");
        }
        client.read_until(b"\n\n");
        let left = Instant::now();
        leave(client);
        assert_cancelled(&gateway, left);
    }
}

/// The mock's only stream ends soon, and the row has what came so far.
#[track_caller]
fn assert_cancelled(gateway: &TestGateway, left: Instant) {
    let mock = gateway.mock.as_ref().expect("a mock");
    wait_until("the upstream's stream is over", || {
        mock.stats().open_streams == 0
    });
    assert!(left.elapsed() < SOON, "{:?}", left.elapsed());
    let row = gateway.row().record;
    assert_disconnected(&row, 200);
    assert_eq!(
        (row.response_complete, row.usage_source.as_deref()),
        (Some(false), Some("partial"))
    );
    assert!(row.response_text.is_some_and(|text| !text.is_empty()));
    assert!(Some(0) < row.completion_tokens, "never billed as zero");
}

#[test]
fn f12_leaving_before_the_head_of_a_stream_cancels_it() {
    let upstream = FakeUpstream::start(vec![vec![Step::ReadRequest, Step::ReadToEnd]]);
    let gateway = TestGateway::before(upstream.base_url());
    let client = asking(&gateway, "m", STREAM);
    upstream.wait_received(0, b"\r\n\r\n");
    let left = Instant::now();
    drop(client);
    upstream.wait_ended(0);
    let waited = left.elapsed();
    assert!(
        Duration::from_secs(2) <= waited && waited < SOON * 3,
        "{waited:?}"
    );
    assert_disconnected(&gateway.row().record, 499);
}

#[test]
fn f12_half_closed_clients_survive_a_silence() {
    let go = Signal::new();
    let event = |text: &str| {
        let event = format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n"
        );
        format!("{:x}\r\n{event}\r\n", event.len())
    };
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let upstream = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send(format!("{head}{}", event("one")).into_bytes()),
        Step::Wait(go.clone()),
        Step::Send(format!("{}e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n", event("two")).into_bytes()),
        Step::ReadToEnd,
    ]]);
    let gateway = TestGateway::before(upstream.base_url());
    let mut client = asking(&gateway, "m", STREAM);
    client.read_until(b"one");
    client.half_close();
    client.read_until(b": ka\n");
    go.fire();
    let (rest, _) = client.read_to_end();
    let rest = String::from_utf8(rest).expect("UTF-8");
    assert!(
        rest.contains("two") && rest.contains("[DONE]") && !rest.contains(": ka"),
        "{rest}"
    );
    let row = gateway.row().record;
    assert_eq!(
        (row.outcome.as_str(), row.response_text.as_deref()),
        ("ok", Some("onetwo"))
    );
}

#[test]
fn f14_leaving_a_whole_answer_leaves_it_to_be_finished() {
    for leave in WAYS {
        let go = Signal::new();
        let answer = whole_answer();
        let (first, second) = answer.split_at(answer.len() - 50);
        let upstream = FakeUpstream::start(vec![vec![
            Step::ReadRequest,
            Step::Send(first.to_vec()),
            Step::Wait(go.clone()),
            Step::Send(second.to_vec()),
            Step::ReadToEnd,
        ]]);
        let gateway = TestGateway::before(upstream.base_url());
        let mut client = asking(&gateway, "m", "");
        client.read_until(b"choices");
        leave(client);
        gateway.breathe();
        go.fire();
        let row = gateway.row().record;
        assert!(
            matches!(row.outcome.as_str(), "ok" | "client_disconnected"),
            "{row:#?}"
        );
        assert_eq!((row.status_code, row.prompt_tokens), (200, Some(7)));
        let body = row
            .payload
            .and_then(|payload| payload.response_body)
            .expect("a body");
        assert_eq!(body.as_text(), Some(ANSWER));
    }
}

#[test]
fn f14_a_fin_during_a_long_whole_answer_changes_nothing() {
    let go = Signal::new();
    let upstream = waiting_upstream(&go, whole_answer());
    let gateway = TestGateway::before(upstream.base_url());
    let client = asking(&gateway, "m", "");
    upstream.wait_received(0, b"\r\n\r\n");
    drop(client);
    gateway.breathe();
    go.fire();
    let row = gateway.row().record;
    assert_eq!(
        (row.upstream_status, row.prompt_tokens),
        (Some(200), Some(7))
    );
    assert_eq!(row.response_text.as_deref(), Some("hi"));
}

#[test]
fn long_whole_answers_are_ok_and_not_a_leaving() {
    let gateway = TestGateway::start();
    for model in ["mock-big-3m", "mock-bytes1", "mock-b200k"] {
        let answer = gateway.chat(model, "");
        assert!(answer.complete && answer.status == 200, "{model}");
    }
    for row in gateway.rows().into_iter().map(|row| row.record) {
        assert_eq!((row.outcome.as_str(), row.status_code), ("ok", 200));
        assert_eq!(row.response_complete, Some(true));
    }
}

/// Over every byte of the answer, by both ways of leaving.
#[test]
fn f15_leaving_at_any_byte_leaves_one_true_row() {
    let gateway = TestGateway::start();
    let whole = asking(&gateway, "mock-s2", STREAM).read_response();
    let length = whole.head.len() + whole.body.len();
    for offset in 1..length {
        let mut client = asking(&gateway, "mock-s2", STREAM);
        client.read_at_least(offset);
        WAYS[offset % 2](client);
    }
    let rows = gateway.rows();
    assert_eq!(rows.len(), length);
    let mut rows = rows.into_iter().map(|row| row.record);
    let first = rows.next().expect("the row of the whole answer");
    let all = first.response_text.unwrap_or_default();
    for row in rows {
        let text = row.response_text.as_deref().unwrap_or_default();
        assert!(all.starts_with(text), "{row:#?}");
        match row.outcome.as_str() {
            "ok" => assert_eq!(
                (row.response_complete, row.completion_tokens, text),
                (Some(true), Some(2), &*all)
            ),
            _ => {
                assert_disconnected(&row, 200);
                let counted = row.completion_tokens.is_some_and(|tokens| 0 < tokens);
                assert_eq!(counted, !text.is_empty(), "what came is counted: {row:#?}");
            }
        }
    }
}

#[test]
fn f15_leaving_before_done_is_seen_or_not_but_never_twice() {
    for leave in WAYS {
        let gateway = TestGateway::start();
        let mut client = asking(&gateway, "mock-s3-d30-nodone", STREAM);
        client.read_until(b"\"finish_reason\":\"stop\"");
        leave(client);
        let row = gateway.row().record;
        assert!(
            matches!(row.outcome.as_str(), "ok" | "client_disconnected"),
            "{row:#?}"
        );
        assert!(row.response_text.is_some_and(|text| !text.is_empty()));
    }
}
