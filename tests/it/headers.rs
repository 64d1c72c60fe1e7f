//! Headers both ways: what travels, what stays, and what is ours.

use serde_json::Value;

use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{PROVIDER_KEY, TestGateway, Wanted, chat_body};

#[test]
fn c2_request_headers_travel_by_the_list() {
    let gateway = TestGateway::start();
    let headers = "connection: close, x-private, authorization\r\nx-private: 1\r\nauthorization: Bearer sk-client-1234\r\n\
        x-api-key: sk-client-1234\r\napi-key: sk-client-1234\r\ncookie: session=1\r\nx-forwarded-for: 1.2.3.4\r\n\
        x-forwarded-proto: https\r\nx-real-ip: 1.2.3.4\r\nforwarded: for=1.2.3.4\r\nte: trailers\r\ntrailer: x\r\n\
        keep-alive: timeout=5\r\nproxy-connection: close\r\nproxy-authorization: Basic eA==\r\nupgrade: h2c\r\n\
        accept-encoding: gzip, br\r\nx-aiproxy-user: u\r\nx-aiproxy-tags: a=b\r\nx-session-id: s\r\n\
        openai-organization: org-1\r\nopenai-project: p\r\nidempotency-key: k\r\nuser-agent: test/1\r\naccept: */*\r\n\
        x-stainless-lang: python\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
        x-twice: 1\r\nx-twice: 2\r\nx-latin: caf\u{e9}\r\n";
    let answer = gateway.send("POST", "/v1/things", headers, b"{}");
    assert_eq!(answer.status, 200);
    let seen = gateway.mock().requests().remove(0);
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
        "authorization: Bearer sk-client-1234\r\nx-api-key: sk-client-1234\r\ncookie: a=b\r\n";
    assert_eq!(
        gateway.send("POST", "/v1/things", headers, b"{}").status,
        200
    );
    let seen = gateway.mock().requests().remove(0);
    assert_eq!(seen.header("authorization"), Some("Bearer sk-client-1234"));
    assert_eq!(
        (seen.header("x-api-key"), seen.header("cookie")),
        (Some("sk-client-1234"), None)
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
    let answer = gateway.send("GET", "/v1/things", "origin: https://app.example\r\n", b"");
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
    let yaml = "server: { port: 0, workers: 1, cors: { origins: [\"https://App.example\"] } }";
    let gateway = TestGateway::configured(yaml);
    let asked = "access-control-request-method: POST\r\naccess-control-request-headers: authorization,x-a\r\n";
    for (origin, allowed) in [
        ("https://app.example", true),
        ("https://evil.example", false),
        ("null", false),
    ] {
        let headers = format!("origin: {origin}\r\n{asked}");
        let preflight = gateway.send("OPTIONS", "/v1/chat/completions", &headers, b"");
        let expected = allowed.then_some(origin);
        assert_eq!(preflight.status, 204);
        assert_eq!(preflight.header("access-control-allow-origin"), expected);
        assert_eq!(
            preflight.header("access-control-allow-headers").is_some(),
            allowed
        );
        let answer = gateway.send("GET", "/v1/models", &format!("origin: {origin}\r\n"), b"");
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (200, expected)
        );
        assert_eq!(answer.header("vary"), Some("origin"));
        let refused = gateway.send(
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
        gateway.send(
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
    gateway.send("POST", "/v1/chat/completions", headers, body.as_bytes());
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

/// What the README's section on security says of web pages: such a request needs no preflight, and the port does not look at
/// its origin. Whether the page can read the answer is the provider's word, or that of the origins configured.
#[test]
fn a_web_page_can_send_plain_posts() {
    let gateway = TestGateway::start();
    let headers = "origin: https://evil.example\r\ncontent-type: text/plain;charset=UTF-8\r\n";
    let body = chat_body("mock", "");
    let answer = gateway.send("POST", "/v1/chat/completions", headers, body.as_bytes());
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, None)
    );
}
