//! Requests that are wrong, too much, or never whole.

use aiproxy::access_log::record::LogRecord;

use crate::support::gateway::{TestGateway, chat_body};
use crate::support::raw_client::{RawClient, RawResponse, exchange, request};

const CHAT: &str = "/v1/chat/completions";
const JSON: &str = "content-type: application/json\r\n";

fn chat(gateway: &TestGateway, body: &[u8]) -> RawResponse {
    exchange(gateway.data, request("POST", CHAT, JSON, body))
}

/// An error in the client's dialect, with our id in both places.
#[track_caller]
pub(crate) fn assert_error(answer: &RawResponse, status: u16, kind: &str, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let body = answer.json();
    assert_eq!(
        (&body["error"]["type"], &body["error"]["code"]),
        (&kind.into(), &code.into())
    );
    assert!(body["error"]["message"].is_string() && body["error"]["param"].is_null());
    assert_eq!(
        body["request_id"].as_str(),
        answer.header("x-aiproxy-request-id")
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

/// Bodies that are refused before any upstream is asked, and stored as they came.
#[track_caller]
fn check_refused(bodies: &[&[u8]], code: &str) {
    let gateway = TestGateway::start();
    for body in bodies {
        assert_error(&chat(&gateway, body), 400, "invalid_request_error", code);
    }
    let rows = gateway.rows();
    assert_eq!(rows.len(), bodies.len());
    for (row, body) in rows.iter().map(|row| &row.record).zip(bodies) {
        assert_eq!(
            (row.outcome.as_str(), row.status_code, row.attempts),
            ("client_error", 400, 0)
        );
        assert_eq!(request_body(row), *body);
        assert!(row.tries.is_empty() && row.model.is_none());
    }
    assert_eq!(
        gateway.mock.as_ref().expect("a mock").stats().connections,
        0
    );
}

fn request_body(row: &LogRecord) -> &[u8] {
    let payload = row.payload.as_ref();
    let body = payload.and_then(|payload| payload.request_body.as_ref());
    body.map_or(&[], |body| &body.bytes)
}

/// Bodies that reach the upstream as they are, byte for byte, in the record too.
#[track_caller]
fn check_untouched(bodies: &[&str]) {
    let gateway = TestGateway::start();
    for body in bodies {
        let answer = chat(&gateway, body.as_bytes());
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
    }
    let seen = gateway.mock.as_ref().expect("a mock").requests();
    for ((row, seen), body) in gateway.rows().iter().zip(seen).zip(bodies) {
        assert_eq!(seen.body, body.as_bytes());
        assert_eq!(request_body(&row.record), body.as_bytes());
        assert_eq!(row.record.outcome, "ok");
    }
}

#[test]
fn f1_body_is_not_json() {
    check_refused(
        &[
            b"",
            b"[]",
            b"null",
            b"hello",
            b"{\"model\":\"mock\"",
            b"{\"model\":\"mock\",\"temperature\":NaN}",
            b"{\"model\":\"mock\",}",
            b"\xef\xbb\xbf{\"model\":\"mock\",\"messages\":[]}",
            b"{\"model\":\"mock\",\"model\":\"other\"}",
            b"{\"model\":\"mock\",\"mod\\u0065l\":\"other\"}",
            b"{\"model\":\"mock\",\"stream\":true,\"stream\":false}",
        ],
        "invalid_json",
    );
}

#[test]
fn f2_body_goes_on_behind_its_end() {
    check_refused(
        &[
            b"{\"model\":\"mock\"}{\"model\":\"mock\"}",
            b"{\"model\":\"mock\"} x",
            b"{\"model\":\"mock\"}\n\n{}",
            b"{\"model\":\"mock\"}\0",
        ],
        "invalid_json",
    );
}

#[test]
fn f3_invalid_utf8_is_refused() {
    check_refused(
        &[
            b"{\"model\":\"mock\",\"user\":\"\xff\"}",
            b"{\"model\":\"mock\",\"user\":\"\xc3\"}",
        ],
        "invalid_json",
    );
}

#[test]
fn f3_lone_surrogate_escapes_pass() {
    check_untouched(&[
        r#"{"model":"mock","messages":[{"role":"user","content":"a\ud800b"}]}"#,
        r#"{"model":"mock","messages":[{"role":"user","content":"\udc00"}],"user":"\ud83d"}"#,
    ]);
}

#[test]
fn f4_numbers_and_unknown_fields_keep_their_text() {
    check_untouched(&[
        r#"{"model":"mock","messages":[],"seed":9223372036854775807,"n":18446744073709551616}"#,
        r#"{"model":"mock","messages":[],"temperature":0.1,"top_p":1.0,"x":1e400,"y":-0.0}"#,
        "{ \"zz\" : [1,  2],\n\t\"model\":\"mock\",\"messages\":[] ,\"unknown\":{\"a\":{}}}\r\n",
        r#"{"model":"mock","messages":[],"text":"\u0041\/ é 😀"}"#,
    ]);
}

#[test]
fn f5_client_closes_before_its_body_is_whole() {
    let gateway = TestGateway::start();
    let head = format!("POST {CHAT} HTTP/1.1\r\nHost: x\r\n{JSON}Content-Length: 100\r\n\r\n");
    for leave in [RawClient::reset as fn(RawClient), drop] {
        let mut client = gateway.connect();
        client.send(format!("{head}{{\"model\":"));
        leave(client);
    }
    crate::support::gateway::wait_until("both rows are there", || gateway.rows().len() == 2);
    for row in gateway.rows().into_iter().map(|row| row.record) {
        assert_eq!(
            (row.outcome.as_str(), row.status_code),
            ("client_disconnected", 499)
        );
        assert_eq!((row.attempts, row.upstream_status), (0, None));
        let read = row.request_bytes.expect("what had come is counted");
        assert!(read <= 9, "{read}");
    }
    assert_eq!(
        gateway.mock.as_ref().expect("a mock").stats().connections,
        0
    );
}

#[test]
fn f7_bodies_that_stop_coming_end_with_408() {
    let gateway = TestGateway::configured("server: { port: 0, workers: 1, body_idle_s: 0.3 }");
    for (path, headers) in [
        (
            CHAT,
            "content-type: application/json\r\ncontent-length: 100\r\n",
        ),
        (
            CHAT,
            "content-type: application/json\r\ntransfer-encoding: chunked\r\n",
        ),
        (
            "/v1/files",
            "content-type: application/octet-stream\r\ncontent-length: 100\r\n",
        ),
        (
            "/v1/files",
            "content-type: application/octet-stream\r\ntransfer-encoding: chunked\r\n",
        ),
    ] {
        let mut client = gateway.connect();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n5\r\n{{\"mod"
        ));
        assert_error(
            &client.read_response(),
            408,
            "invalid_request_error",
            "body_timeout",
        );
        client.half_close();
        assert!(
            client.read_to_end().0.is_empty(),
            "the connection is closed"
        );
    }
    for row in gateway.rows().into_iter().map(|row| row.record) {
        assert_eq!(
            (row.outcome.as_str(), row.status_code),
            ("client_error", 408),
            "{}",
            row.path
        );
        assert!(0 < row.request_bytes.unwrap_or(0));
    }
}

/// Requests that come before the answer to the one before them, their bodies there already, later, or never.
#[test]
fn f7_requests_one_behind_the_other() {
    let gateway = TestGateway::configured("server: { port: 0, workers: 1, body_idle_s: 0.3 }");
    let body = br#"{"model":"mock","messages":[{"role":"user","content":"x"}]}"#;
    let whole = request("POST", CHAT, "content-type: application/json\r\n", body);
    let (begun, rest) = whole.split_at(whole.len() - body.len());
    let mut client = gateway.connect();
    client.send([&*whole, &*whole, begun].concat());
    for _ in 0..2 {
        assert_eq!(client.read_response().status, 200);
    }
    client.send(rest);
    assert_eq!(client.read_response().status, 200);
    let mut client = gateway.connect();
    client.send([&*whole, begun].concat());
    assert_eq!(client.read_response().status, 200);
    let late = client.read_response();
    assert_error(&late, 408, "invalid_request_error", "body_timeout");
    assert_eq!(gateway.rows().len(), 5);
}

#[test]
fn f7_bodies_that_drip_have_a_limit_in_all() {
    let gateway = TestGateway::configured("server: { port: 0, workers: 1, body_total_s: 0.4 }");
    let body = " ".repeat(2_000);
    for (path, headers) in [
        (CHAT, JSON),
        ("/v1/files", "content-type: application/octet-stream\r\n"),
    ] {
        let mut client = gateway.connect();
        let request = request("POST", path, headers, body.as_bytes());
        client.send_slowly(request, 20, || {
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        });
        assert_error(
            &client.read_response(),
            408,
            "invalid_request_error",
            "body_timeout",
        );
        let row = gateway.rows().pop().expect("a row").record;
        assert_eq!(
            (row.outcome.as_str(), row.path.as_str()),
            ("client_error", path)
        );
    }
}

#[test]
fn f9_half_closed_clients_get_their_whole_answer() {
    let gateway = TestGateway::start();
    for (model, more) in [
        ("mock", ""),
        ("mock-slow-300", ""),
        ("mock-big-300k", ""),
        ("mock-s5-d40", r#","stream":true"#),
        ("mock-slow-300-s2", r#","stream":true"#),
    ] {
        let mut client = gateway.connect();
        client.send(crate::support::raw_client::post(
            CHAT,
            &chat_body(model, more),
        ));
        client.half_close();
        let answer = client.read_response();
        assert!(
            answer.status == 200 && answer.complete,
            "{model}: {}",
            answer.head
        );
        let text = answer.text();
        assert!(
            more.is_empty() || text.ends_with("data: [DONE]\n\n"),
            "{text}"
        );
        assert!(text.matches(": ka\n").count() <= 1, "{text}");
        let row = gateway.rows().pop().expect("a row").record;
        assert_eq!(
            (row.outcome.as_str(), row.response_complete),
            ("ok", Some(true)),
            "{model}"
        );
        let stored = row
            .payload
            .and_then(|payload| payload.response_body)
            .expect("a body");
        assert_eq!(stored.as_text(), Some(text.replace(": ka\n", "").as_str()));
    }
}

#[test]
fn f16_bodies_over_the_limit_are_refused_while_they_come() {
    let gateway =
        TestGateway::configured("server: { port: 0, workers: 1, max_body_bytes: 100000 }");
    let body = format!("{{\"model\":\"mock\",\"x\":\"{}\"}}", "y".repeat(3_000_000));
    let chunked = format!(
        "POST {CHAT} HTTP/1.1\r\nHost: x\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    for sent in [
        request("POST", CHAT, JSON, body.as_bytes()),
        chunked.into_bytes(),
    ] {
        let mut client = gateway.connect();
        // The refusal may come, and the connection end, while this is still writing.
        drop(client.try_send(sent));
        let answer = client.read_response();
        assert_error(&answer, 413, "invalid_request_error", "body_too_large");
        assert_eq!(answer.header("connection"), Some("close"));
    }
    for row in gateway.rows().into_iter().map(|row| row.record) {
        assert_eq!(
            (row.outcome.as_str(), row.status_code, row.attempts),
            ("rejected", 413, 0)
        );
        let kept = request_body(&row);
        assert!(
            body.as_bytes().starts_with(kept) && kept.len() == 64 << 10,
            "{}",
            kept.len()
        );
        assert_eq!(row.body_state, "truncated");
        assert!(Some(64 << 10) <= row.request_bytes && row.request_bytes < Some(300_000));
    }
    assert_eq!(
        gateway.mock.as_ref().expect("a mock").stats().connections,
        0
    );
}

#[test]
fn f18_json_nested_too_deep_is_refused() {
    let lists = format!("{{\"model\":\"mock\",\"a\":{}", "[".repeat(100_000));
    let objects = format!("{{\"model\":\"mock\",\"a\":{}", "{\"a\":".repeat(100_000));
    check_refused(&[lists.as_bytes(), objects.as_bytes()], "json_too_deep");
}

#[test]
fn f20_heads_that_are_too_much_are_refused() {
    let gateway = TestGateway::start();
    let many: String = (0..101).map(|n| format!("x-{n}: 1\r\n")).collect();
    let long = format!("x-long: {}\r\n", "y".repeat(64 << 10));
    let path = format!("/v1/models?{}", "y".repeat(8 << 10));
    for (path, headers, status, code) in [
        ("/v1/models", many.as_str(), 431, None),
        ("/v1/models", &long, 431, Some("headers_too_large")),
        (&path, "", 414, Some("uri_too_long")),
    ] {
        let sent = request("GET", path, headers, b"");
        let answer = exchange(gateway.data, sent);
        assert_eq!(answer.status, status, "{}", answer.head);
        if let Some(code) = code {
            assert_error(&answer, status, "invalid_request_error", code);
        }
    }
    let outcomes: Vec<_> = gateway
        .rows()
        .into_iter()
        .map(|row| (row.record.outcome, row.record.status_code))
        .collect();
    let client_error = |status| ("client_error".to_owned(), status);
    assert_eq!(outcomes, [client_error(431), client_error(414)]);
    assert_eq!(
        gateway.metric_sum("aiproxy_shed_total{reason=\"no_request\"}"),
        1
    );
}
