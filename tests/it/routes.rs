//! Paths, methods and headers of the data port, in ordinary use.

use serde_json::Value;

use crate::client_faults::assert_error;
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{PROVIDER_KEY, TestGateway, Wanted, chat_body};
use crate::support::raw_client::{RawResponse, exchange, request};

fn send(
    gateway: &TestGateway,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> RawResponse {
    exchange(gateway.data, request(method, path, headers, body))
}

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
        let seen = gateway
            .mock
            .as_ref()
            .expect("a mock")
            .requests()
            .pop()
            .expect("a request");
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
        let answer = send(&gateway, method, target, json, body);
        assert_eq!(answer.status, 200, "{method} {target}: {}", answer.text());
        let seen = gateway
            .mock
            .as_ref()
            .expect("a mock")
            .requests()
            .pop()
            .expect("a request");
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
    let upstream = FakeUpstream::answering(head);
    let gateway = TestGateway::before(upstream.base_url());
    for path in ["/v1/models", "/v1/files/f/content"] {
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
        let answer = send(&gateway, "DELETE", "/v1/things/1", "", b"");
        assert_eq!((answer.status, answer.body.len()), (status, 0));
        assert_eq!(answer.header("etag"), Some("\"a\""));
        let row = gateway.row().record;
        assert_eq!(
            (row.outcome.as_str(), row.status_code),
            ("ok", i32::from(status))
        );
    }
}

#[test]
fn c2_request_headers_travel_by_the_list() {
    let gateway = TestGateway::start();
    let headers = "connection: close, x-private, authorization\r\nx-private: 1\r\nauthorization: Bearer sk-client-1234\r\n\
        x-api-key: sk-client-5678\r\napi-key: sk-client-9\r\ncookie: session=1\r\nx-forwarded-for: 1.2.3.4\r\n\
        x-forwarded-proto: https\r\nx-real-ip: 1.2.3.4\r\nforwarded: for=1.2.3.4\r\nte: trailers\r\ntrailer: x\r\n\
        keep-alive: timeout=5\r\nproxy-connection: close\r\nproxy-authorization: Basic eA==\r\nupgrade: h2c\r\n\
        accept-encoding: gzip, br\r\nx-aiproxy-user: u\r\nx-aiproxy-tags: a=b\r\nx-session-id: s\r\n\
        openai-organization: org-1\r\nopenai-project: p\r\nidempotency-key: k\r\nuser-agent: test/1\r\naccept: */*\r\n\
        x-stainless-lang: python\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
        x-twice: 1\r\nx-twice: 2\r\nx-latin: caf\u{e9}\r\n";
    let answer = send(&gateway, "POST", "/v1/things", headers, b"{}");
    assert_eq!(answer.status, 200);
    let seen = gateway.mock.as_ref().expect("a mock").requests().remove(0);
    let mut names: Vec<&str> = seen.headers().map(|(name, _)| name).collect();
    names.sort_unstable_by_key(|name| name.to_ascii_lowercase());
    let names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    assert_eq!(
        names,
        [
            "accept",
            "accept-encoding",
            "authorization",
            "content-length",
            "host",
            "idempotency-key",
            "openai-organization",
            "openai-project",
            "traceparent",
            "user-agent",
            "x-latin",
            "x-stainless-lang",
            "x-twice",
            "x-twice",
        ]
    );
    assert_eq!(
        seen.header("authorization"),
        Some(format!("Bearer {PROVIDER_KEY}").as_str())
    );
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
    assert_ne!(seen.header("host"), Some("localhost"));
    let row = gateway.row().record;
    assert_eq!(
        row.trace_id.as_deref(),
        Some("0af7651916cd43dd8448eb211c80319c")
    );
    assert_eq!(
        (row.end_user.as_deref(), row.session_id.as_deref()),
        (Some("u"), Some("s"))
    );
}

#[test]
fn without_a_key_of_ours_the_client_s_own_travels() {
    let gateway = TestGateway::with(Wanted {
        no_key: true,
        ..Wanted::default()
    });
    let headers =
        "authorization: Bearer sk-client-1234\r\nx-api-key: sk-client-5678\r\ncookie: a=b\r\n";
    assert_eq!(
        send(&gateway, "POST", "/v1/things", headers, b"{}").status,
        200
    );
    let seen = gateway.mock.as_ref().expect("a mock").requests().remove(0);
    assert_eq!(seen.header("authorization"), Some("Bearer sk-client-1234"));
    assert_eq!(
        (seen.header("x-api-key"), seen.header("cookie")),
        (Some("sk-client-5678"), None)
    );
    let stored = gateway
        .row()
        .record
        .payload
        .and_then(|payload| payload.request_headers);
    assert!(stored.is_some_and(|headers| !headers.contains("sk-client")));
}

#[test]
fn response_headers_travel_by_the_list() {
    let upstream = FakeUpstream::answering(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\n\
         X-Request-Id: req_1\r\nOpenAI-Organization: o\r\nX-RateLimit-Remaining-Tokens: 5\r\nRetry-After: 3\r\n\
         Set-Cookie: a=b\r\nAlt-Svc: h3\r\nStrict-Transport-Security: max-age=1\r\nConnection: keep-alive, x-hop\r\n\
         X-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Echo: Bearer {PROVIDER_KEY}\r\nX-Aiproxy-Provider: forged\r\n\
         Access-Control-Allow-Origin: *\r\nX-Twice: 1\r\nX-Twice: 2\r\nETag: \"x\"\r\n\r\n{{}}"
    ));
    let gateway = TestGateway::before(upstream.base_url());
    let answer = send(
        &gateway,
        "GET",
        "/v1/things",
        "origin: https://app.example\r\n",
        b"",
    );
    let mut names: Vec<&str> = answer
        .head
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0))
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "access-control-allow-origin",
            "content-length",
            "content-type",
            "date",
            "etag",
            "openai-organization",
            "retry-after",
            "server-timing",
            "x-aiproxy-attempts",
            "x-aiproxy-provider",
            "x-aiproxy-request-id",
            "x-ratelimit-remaining-tokens",
            "x-request-id",
            "x-twice",
            "x-twice",
        ]
    );
    assert_eq!(
        answer.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(answer.header("x-aiproxy-provider"), Some("openai"));
    assert_eq!(answer.header("x-request-id"), Some("req_1"));
    assert!(
        answer
            .header("server-timing")
            .is_some_and(|timing| timing.starts_with("aiproxy;dur="))
    );
}

#[test]
fn cors_is_ours_where_it_is_configured() {
    let yaml = "server: { port: 0, workers: 1, cors: { origins: [\"https://app.example\"] } }";
    let gateway = TestGateway::configured(yaml);
    let asked = "access-control-request-method: POST\r\naccess-control-request-headers: authorization,x-a\r\n";
    for (origin, allowed) in [
        ("https://app.example", true),
        ("https://evil.example", false),
        ("null", false),
    ] {
        let headers = format!("origin: {origin}\r\n{asked}");
        let preflight = send(&gateway, "OPTIONS", "/v1/chat/completions", &headers, b"");
        let expected = allowed.then_some(origin);
        assert_eq!(preflight.status, 204);
        assert_eq!(preflight.header("access-control-allow-origin"), expected);
        assert_eq!(
            preflight.header("access-control-allow-headers").is_some(),
            allowed
        );
        let answer = send(
            &gateway,
            "GET",
            "/v1/models",
            &format!("origin: {origin}\r\n"),
            b"",
        );
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (200, expected)
        );
        assert_eq!(answer.header("vary"), Some("origin"));
        let refused = send(
            &gateway,
            "POST",
            "/v1/chat/completions",
            &format!("origin: {origin}\r\n"),
            b"}",
        );
        assert_eq!(
            (
                refused.status,
                refused.header("access-control-allow-origin")
            ),
            (400, expected)
        );
    }
    assert_eq!(gateway.rows().len(), 6, "preflights leave no row");
}

#[test]
fn the_log_header_only_makes_logging_stricter() {
    let gateway = TestGateway::start();
    let json = "content-type: application/json\r\n";
    for (value, state, has_bodies) in [
        ("full", "stored", true),
        ("metadata", "metadata_only", false),
        ("none", "off", false),
        ("nonsense", "stored", true),
    ] {
        let headers = format!("{json}x-aiproxy-log: {value}\r\n");
        send(
            &gateway,
            "POST",
            "/v1/chat/completions",
            &headers,
            chat_body("mock", "").as_bytes(),
        );
        let row = gateway.rows().pop().expect("a row").record;
        assert_eq!(
            (row.body_state.as_str(), row.request_text.is_some()),
            (state, has_bodies),
            "{value}"
        );
        let body = row.payload.and_then(|payload| payload.request_body);
        assert_eq!(
            (body.is_some(), row.response_text.is_some()),
            (has_bodies, has_bodies)
        );
        assert_eq!((row.outcome.as_str(), row.prompt_tokens), ("ok", Some(21)));
    }
}

#[test]
fn tags_and_users_are_in_the_row() {
    let gateway = TestGateway::start();
    let headers = "content-type: application/json\r\nx-aiproxy-user: ada\r\nx-aiproxy-tags: team=blue, run=7,bare,=x\r\n\
        x-request-id: mine-1\r\n";
    let body = chat_body("mock", r#","user":"from the body""#);
    send(
        &gateway,
        "POST",
        "/v1/chat/completions",
        headers,
        body.as_bytes(),
    );
    let row = gateway.row().record;
    assert_eq!(row.end_user.as_deref(), Some("ada"));
    assert_eq!(row.client_request_id.as_deref(), Some("mine-1"));
    let tags: Value = serde_json::from_str(&row.tags.expect("tags")).expect("JSON");
    assert_eq!(tags, serde_json::json!({"team": "blue", "run": "7"}));
    gateway.post("/v1/chat/completions", &body);
    let row = gateway.rows().pop().expect("a row").record;
    assert_eq!(
        (row.end_user.as_deref(), row.tags),
        (Some("from the body"), None)
    );
}
