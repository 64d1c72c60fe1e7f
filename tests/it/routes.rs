//! Paths and methods of the data port, in ordinary use.

use serde_json::Value;

use crate::client_faults::assert_error;
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{TestGateway, chat_body};

#[test]
fn own_paths_say_what_this_is_and_leave_no_row() {
    let gateway = TestGateway::start();
    for (path, key, value) in [
        ("/", "name", Value::from("aiproxy")),
        ("/health", "status", "ok".into()),
        ("/healthz", "status", "ok".into()),
        ("/livez", "status", "ok".into()),
        ("/readyz", "ready", true.into()),
        ("/version", "version", env!("CARGO_PKG_VERSION").into()),
        ("/v1/docs", "name", "aiproxy".into()),
    ] {
        let answer = gateway.get(path);
        assert_eq!(
            (answer.status, &answer.json()[key]),
            (200, &value),
            "{path}"
        );
        assert!(answer.header("x-aiproxy-request-id").is_some());
        let posted = gateway.post(path, "{}");
        assert_error(&posted, 405, "invalid_request_error", "method_not_allowed");
    }
    assert!(gateway.rows().is_empty());
}

#[test]
fn both_styles_of_base_url_and_the_provider_s_name_lead_to_the_same() {
    let gateway = TestGateway::start();
    let body = chat_body("mock", "");
    for (path, endpoint) in [
        ("/v1/chat/completions", "chat.completions"),
        ("/chat/completions", "chat.completions"),
        ("/openai/chat/completions", "chat.completions"),
        ("/openai/v1/chat/completions", "chat.completions"),
        ("/v1/completions", "completions"),
        ("/completions", "completions"),
        ("/v1/embeddings", "embeddings"),
        ("/embeddings", "embeddings"),
        ("/v1/responses", "responses"),
        ("/responses", "responses"),
    ] {
        assert_eq!(gateway.post(path, &body).status, 200, "{path}");
        let row = gateway.rows().pop().expect("a row").record;
        assert_eq!((row.endpoint.as_str(), row.path.as_str()), (endpoint, path));
        let seen = gateway.last_request();
        assert!(
            path.ends_with(seen.target.strip_prefix("/v1").expect("a version")),
            "{}",
            seen.target
        );
    }
    for path in [
        "/v1/models",
        "/models",
        "/v1/models/mock",
        "/models/mock",
        "/openai/models",
    ] {
        assert_eq!(gateway.get(path).status, 200, "{path}");
        assert_eq!(
            gateway.rows().pop().expect("a row").record.endpoint,
            "models"
        );
    }
}

#[test]
fn other_paths_pass_with_method_query_and_body() {
    let gateway = TestGateway::start();
    for (method, target, body) in [
        (
            "GET",
            "/v1/fine_tuning/jobs?limit=2&after=a%20b&x=%2F..%2F",
            b"".as_slice(),
        ),
        ("POST", "/v1/threads", b""),
        ("POST", "/v1/threads", b"{\"a\": 1.0,\"a\":2}"),
        ("POST", "/v1/threads", b"not JSON"),
        ("DELETE", "/v1/files/file-1", b""),
        ("DELETE", "/v1/responses/r_1", b"{}"),
        ("PUT", "/v1/things/1", b"\x00\xff"),
        ("PATCH", "/v1/things/1", b"x"),
        ("OPTIONS", "/v1/things/1", b""),
        ("POST", "/v1/moderations", b"{\"input\":\"x\"}"),
        ("GET", "/v1/batches/b?", b""),
        ("PROPFIND", "/v1/things", b""),
    ] {
        let json = "content-type: application/json\r\n";
        let answer = gateway.send(method, target, json, body);
        assert_eq!(answer.status, 200, "{method} {target}: {}", answer.text());
        let seen = gateway.last_request();
        assert_eq!(
            (seen.method.as_str(), seen.target.as_str()),
            (method, target)
        );
        assert_eq!(seen.body, body);
        let row = gateway.rows().pop().expect("a row").record;
        assert_eq!(
            (row.endpoint.as_str(), row.method.as_str()),
            ("passthrough", method)
        );
        assert_eq!((row.path.as_str(), row.outcome.as_str()), (target, "ok"));
        assert_eq!(row.request_bytes, Some(body.len() as i64));
    }
}

#[test]
fn head_has_the_length_and_no_body() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12345\r\n\r\n";
    for path in ["/v1/models", "/v1/files/f/content"] {
        let upstream = FakeUpstream::answering(head);
        let gateway = TestGateway::before(upstream.base_url());
        let mut client = gateway.connect();
        client.send(format!(
            "HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ));
        let (answer, _) = client.read_to_end();
        let answer = String::from_utf8(answer).expect("UTF-8");
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n"),
            "{answer}"
        );
        assert_eq!(
            answer.matches("content-length: 12345").count(),
            1,
            "{answer}"
        );
        let row = gateway.rows().pop().expect("a row").record;
        assert_eq!((row.outcome.as_str(), row.status_code), ("ok", 200));
    }
}

#[test]
fn answers_without_a_body_stay_without() {
    for (status, line) in [
        (204, "204 No Content"),
        (304, "304 Not Modified"),
        (200, "200 OK"),
    ] {
        let length = if status == 200 {
            "Content-Length: 0\r\n"
        } else {
            ""
        };
        let upstream =
            FakeUpstream::answering(format!("HTTP/1.1 {line}\r\nETag: \"a\"\r\n{length}\r\n"));
        let gateway = TestGateway::before(upstream.base_url());
        let answer = gateway.send("DELETE", "/v1/things/1", "", b"");
        assert_eq!((answer.status, answer.body.len()), (status, 0));
        assert_eq!(answer.header("etag"), Some("\"a\""));
        let row = gateway.row().record;
        assert_eq!(
            (row.outcome.as_str(), row.status_code),
            ("ok", i32::from(status))
        );
    }
}
