//! Hostile heads and bodies: injection, path and host tricks, headers that must not travel.

use crate::client_faults::assert_error;
use crate::support::canary::assert_clean;
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{PROVIDER_KEY, TestGateway, Wanted, chat_body, get};
use crate::support::raw_client::{RawResponse, exchange, request};

const CHAT: &str = "/v1/chat/completions";

/// Texts that do harm where they reach a statement, a line or a page as code.
const HOSTILE: &[&str] = &[
    "' OR 1=1--",
    "'; DROP TABLE exchanges;--",
    "\" OR \"\"=\"",
    "1); DELETE FROM exchange_bodies;--",
    "%",
    "_%' ESCAPE '",
    "$1",
    "?1 :a @b",
    "\\'; --",
    "{{7*7}} ${7*7} <%= 7*7 %>",
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "../../../../etc/passwd",
    "\u{202e}\u{2066}drowssap",
];

fn chat_with(gateway: &TestGateway, headers: &str, body: &str) -> RawResponse {
    let headers = format!("content-type: application/json\r\n{headers}");
    exchange(
        gateway.data,
        request("POST", CHAT, &headers, body.as_bytes()),
    )
}

#[test]
fn s1_hostile_headers_are_stored_as_they_are() {
    let gateway = TestGateway::start();
    for text in HOSTILE {
        let names = [
            "authorization",
            "x-api-key",
            "x-request-id",
            "x-aiproxy-user",
            "x-session-id",
        ];
        let headers: String = names
            .iter()
            .map(|name| format!("{name}: {text}\r\n"))
            .collect();
        let answer = chat_with(&gateway, &headers, &chat_body("mock", ""));
        assert_eq!(answer.status, 200, "{text}");
        let row = gateway.rows().pop().expect("a row").record;
        for stored in [row.client_request_id, row.end_user, row.session_id] {
            assert_eq!(stored.as_deref(), Some(*text));
        }
    }
}

#[test]
fn s1_hostile_model_names_are_stored_as_they_are() {
    let gateway = TestGateway::start();
    let long = "x".repeat(64 << 10);
    let escaped = ["a\u{0}b", "a\nb\r\nc", "\u{1b}[31m", &long];
    for text in HOSTILE.iter().chain(&escaped) {
        let name = serde_json::Value::from(*text);
        let body = format!(r#"{{"model":{name},"messages":[],"user":{name}}}"#);
        let answer = chat_with(&gateway, "", &body);
        assert!(
            matches!(answer.status, 200 | 404),
            "{text}: {}",
            answer.text()
        );
        let row = gateway.rows().pop().expect("a row").record;
        let stored = row.requested_model.expect("a model");
        assert_eq!(
            stored,
            text.replace('\0', ""),
            "NUL cannot stand in SQL text"
        );
    }
}

#[test]
fn s1_bytes_that_no_header_may_hold_are_refused() {
    let gateway = TestGateway::start();
    for value in ["a\0b", "a\rb", "a\nb c", "\u{1b}[31m", "a\u{7f}"] {
        let answer = exchange(
            gateway.data,
            format!("GET /v1/models HTTP/1.1\r\nHost: x\r\nx-request-id: {value}\r\n\r\n"),
        );
        assert_eq!(answer.status, 400, "{value:?}");
    }
    assert!(gateway.rows().is_empty());
}

#[test]
fn s2_hosts_and_targets_with_two_meanings_are_refused() {
    let gateway = TestGateway::start();
    for head in [
        "GET /v1/models HTTP/1.1\r\nHost: a/#@evil",
        "GET /v1/models HTTP/1.1\r\nHost: user@host",
        "GET /v1/models HTTP/1.1\r\nHost: a b",
        "GET /v1/models HTTP/1.1\r\nHost: a:99999",
        "GET /v1/models HTTP/1.1\r\nHost: a,b",
        "GET /v1/models HTTP/1.1\r\nHost: [::1",
        "GET http://evil.example/v1/models HTTP/1.1\r\nHost: evil.example",
        "GET https://evil.example/v1/models HTTP/1.1\r\nHost: localhost",
        "OPTIONS * HTTP/1.1\r\nHost: localhost",
    ] {
        let answer = exchange(gateway.data, format!("{head}\r\n\r\n"));
        assert_error(&answer, 400, "invalid_request_error", "invalid_target");
    }
    let connect = exchange(
        gateway.data,
        "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
    );
    assert_error(&connect, 405, "invalid_request_error", "method_not_allowed");
    assert!(gateway.rows().is_empty(), "counted, not stored");
    assert_eq!(
        gateway.metric_sum("aiproxy_shed_total{reason=\"malformed\"}"),
        10
    );
    assert_eq!(
        gateway.mock.as_ref().expect("a mock").stats().connections,
        0
    );
}

#[test]
fn s2_the_admin_port_is_closed_by_every_door() {
    let gateway = TestGateway::configured("admin: { port: 0, token: admin-token-1 }");
    let paths = [
        "/",
        "/metrics",
        "/api/exchanges",
        "/api/exchanges/x/replay",
        "//metrics",
        "/health/../metrics",
        "/health/%2e%2e/metrics",
        "/health%2f..%2fmetrics",
        "/health;/metrics",
        "/health/",
        "/HEALTH",
        "/health?/metrics",
        "/v1/..;/metrics",
    ];
    let tricks = [
        "",
        "X-Original-URL: /health\r\n",
        "X-Rewrite-URL: /health\r\n",
        "X-Forwarded-Prefix: /health\r\n",
        "X-Forwarded-Host: localhost\r\n",
        "Authorization: Bearer\r\n",
        "Authorization: Bearer \r\n",
        "Authorization: Bearer admin-token-\r\n",
        "Authorization: admin-token-1\r\n",
        "Cookie: token=admin-token-1\r\n",
    ];
    for path in paths {
        for trick in tricks {
            let answer = exchange(
                gateway.admin,
                format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{trick}\r\n"),
            );
            let harmless =
                path.starts_with("/health?") && answer.text().contains("\"status\":\"ok\"");
            assert!(
                matches!(answer.status, 400 | 401 | 404) || harmless,
                "{path} {trick}: {}",
                answer.head
            );
        }
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "x/#@localhost",
        "",
    ] {
        let good = "Authorization: Bearer admin-token-1\r\n";
        let answer = exchange(
            gateway.admin,
            format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n{good}\r\n"),
        );
        assert!(
            matches!(answer.status, 400 | 403),
            "{host}: {}",
            answer.head
        );
    }
    let absolute = exchange(
        gateway.admin,
        "GET http://localhost/metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    );
    assert!(
        matches!(absolute.status, 400 | 401 | 403),
        "{}",
        absolute.head
    );
}

#[test]
fn s2_the_data_port_knows_no_admin_path() {
    let gateway = TestGateway::start();
    for path in [
        "/metrics",
        "/api/exchanges",
        "/api/config",
        "/api/exchanges/x/replay",
        "/dashboard",
    ] {
        assert_error(
            &gateway.get(path),
            404,
            "invalid_request_error",
            "not_found",
        );
    }
    assert!(gateway.rows().is_empty());
}

#[test]
fn s8_a_provider_that_echoes_its_request_does_not_give_the_key_away() {
    let gateway = TestGateway::start();
    let answers = [
        gateway.chat("mock-echo", ""),
        gateway.chat("mock-echo", r#","stream":true"#),
        gateway.chat("mock-err-400-echo", ""),
        gateway.chat("mock-err-401-echo", ""),
        gateway.chat("mock-err-500-echo", r#","stream":true"#),
    ];
    for answer in answers {
        assert_clean("the head", answer.head.as_bytes(), PROVIDER_KEY);
        if 400 <= answer.status {
            assert_clean("an error body", &answer.body, PROVIDER_KEY);
        }
    }
    for row in gateway.rows() {
        assert_clean(
            "a row",
            format!("{:?}", row.record).as_bytes(),
            PROVIDER_KEY,
        );
        let payload = row.record.payload.expect("bodies");
        for body in [
            payload.request_body,
            payload.response_body,
            payload.upstream_response_body,
        ] {
            assert_clean("a body", &body.unwrap_or_default().bytes, PROVIDER_KEY);
        }
    }
}

#[test]
fn s18_the_admin_port_answers_to_its_own_names_only() {
    let gateway = TestGateway::start();
    let port = gateway.admin.port();
    for (host, status) in [
        ("localhost".to_owned(), 200),
        (format!("127.0.0.1:{port}"), 200),
        (format!("[::1]:{port}"), 200),
        ("rebound.evil.example".to_owned(), 403),
        (format!("rebound.evil.example:{port}"), 403),
        ("127.0.0.1.evil.example".to_owned(), 403),
        ("0.0.0.0".to_owned(), 403),
        ("169.254.169.254".to_owned(), 403),
    ] {
        for path in ["/metrics", "/health"] {
            let sent = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(
                exchange(gateway.admin, sent).status,
                status,
                "{host} {path}"
            );
        }
    }
}

#[test]
fn s25_one_byte_at_a_time_gives_the_same_answer_and_row() {
    let gateway = TestGateway::start();
    for more in ["", r#","stream":true"#] {
        let whole = gateway.chat("mock-utf8-s6", more);
        let split = gateway.chat("mock-utf8-bytes1-s6", more);
        let [first, second] = gateway.rows()[..]
            .last_chunk::<2>()
            .expect("two rows")
            .clone();
        let same_text = |row: &aiproxy::access_log::query::Stored| row.record.response_text.clone();
        assert_eq!(same_text(&first), same_text(&second));
        assert!(
            same_text(&first).is_some_and(|text| text.contains('😀') && !text.contains('\u{fffd}'))
        );
        for (answer, row) in [(whole, first), (split, second)] {
            let body = row
                .record
                .payload
                .and_then(|payload| payload.response_body)
                .expect("a body");
            assert_eq!(body.bytes, answer.body);
        }
    }
}

#[test]
fn c3_forwarded_addresses_are_believed_of_trusted_proxies_only() {
    for (trusted, forwarded, expected) in [
        ("", "", "127.0.0.1"),
        ("", "x-forwarded-for: 1.1.1.1\r\n", "127.0.0.1"),
        ("", "x-real-ip: 1.1.1.1\r\n", "127.0.0.1"),
        ("", "forwarded: for=1.1.1.1\r\n", "127.0.0.1"),
        ("10.0.0.0/8", "x-forwarded-for: 1.1.1.1\r\n", "127.0.0.1"),
        ("127.0.0.0/8", "", "127.0.0.1"),
        ("127.0.0.0/8", "x-forwarded-for: 1.1.1.1\r\n", "1.1.1.1"),
        (
            "127.0.0.0/8",
            "x-forwarded-for: 6.6.6.6, 1.1.1.1\r\n",
            "1.1.1.1",
        ),
        (
            "127.0.0.0/8",
            "x-forwarded-for: 6.6.6.6\r\nx-forwarded-for: 1.1.1.1\r\n",
            "1.1.1.1",
        ),
        (
            "127.0.0.0/8, 10.0.0.0/8",
            "x-forwarded-for: 1.1.1.1, 10.1.2.3\r\n",
            "1.1.1.1",
        ),
        (
            "127.0.0.0/8",
            "x-forwarded-for: 1.1.1.1, nonsense\r\n",
            "127.0.0.1",
        ),
        (
            "127.0.0.0/8",
            "x-forwarded-for: 2001:db8::1\r\n",
            "2001:db8::1",
        ),
    ] {
        let yaml = format!("server: {{ port: 0, workers: 1, trusted_proxies: [{trusted}] }}");
        let gateway = TestGateway::configured(&yaml);
        chat_with(&gateway, forwarded, &chat_body("mock", ""));
        assert_eq!(
            gateway.row().record.client_ip.as_deref(),
            Some(expected),
            "{trusted} {forwarded}"
        );
    }
}

#[test]
fn c4_paths_that_lead_elsewhere_are_refused() {
    let gateway = TestGateway::start();
    for path in [
        "/v1/../admin",
        "/v1/%2e%2e/admin",
        "/v1/.%2E/x",
        "/v1/./x",
        "//v1/models",
        "/v1//models",
        "/v1/x;y",
        "/v1/..;/x",
        "/v1/a%2fb",
        "/v1/a%5cb",
        "/v1/a\\b",
        "/v1/%00",
        "/v1/x%0d%0ay",
        "/openai/../x",
        "/..",
        "/v1/models/..%2F..%2Fadmin",
        "/v1/models/%2e%2e%2fx",
        "/v1/files/a%2Fb",
        "/v1/%2e",
    ] {
        let answer = gateway.get(path);
        assert_error(&answer, 400, "invalid_request_error", "invalid_target");
    }
    assert!(gateway.rows().is_empty());
    assert_eq!(
        gateway.mock.as_ref().expect("a mock").stats().connections,
        0
    );
    let slash = gateway.get("/v1/models/Qwen%2FQwen3-8B");
    assert_eq!(slash.json()["id"], "Qwen/Qwen3-8B");
    let target = gateway
        .mock
        .as_ref()
        .expect("a mock")
        .requests()
        .remove(0)
        .target;
    assert_eq!(target, "/v1/models/Qwen%2FQwen3-8B", "kept as it came");
}

#[test]
fn c5_nothing_from_outside_makes_a_header() {
    let gateway = TestGateway::start();
    let long = "m".repeat(300);
    for model in [
        "a\r\nx-evil: 1",
        "a\nx-evil: 1",
        "\r\n\r\n<html>",
        "\0",
        "é\u{202e}",
        "\u{7f}",
        &long,
    ] {
        let name = serde_json::Value::from(model);
        let answer = chat_with(
            &gateway,
            "",
            &format!(r#"{{"model":{name},"messages":[]}}"#),
        );
        assert!(
            answer.header("x-evil").is_none() && !answer.head.contains("<html>"),
            "{}",
            answer.head
        );
        let shown = answer.header("x-aiproxy-model").unwrap_or_default();
        assert!(
            shown.len() <= 256 && !shown.chars().any(char::is_control),
            "{shown:?}"
        );
    }
    let closed = Wanted {
        provider: "    models: { allow: [\"gpt-*\"] }\n".to_owned(),
        ..Wanted::default()
    };
    let gateway = TestGateway::with(closed);
    let answer = chat_with(
        &gateway,
        "",
        r#"{"model":"a\r\nx-evil: 1\u001b[31m","messages":[]}"#,
    );
    assert_error(&answer, 404, "invalid_request_error", "model_not_found");
    let body = answer.json();
    let message = body["error"]["message"].as_str().expect("a message");
    assert!(!message.chars().any(char::is_control), "{message:?}");
}

#[test]
fn c6_redirects_are_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let gateway = TestGateway::start();
        let answer = gateway.chat(&format!("mock-redirect-{status}"), "");
        assert_error(&answer, 502, "api_error", "upstream_redirect");
        assert_eq!(answer.header("location"), None);
        let row = gateway.row().record;
        assert_eq!(
            (row.outcome.as_str(), row.upstream_status),
            ("upstream_error", Some(status))
        );
        assert_eq!(gateway.mock.as_ref().expect("a mock").stats().requests, 1);
    }
}

#[test]
fn unknown_paths_are_not_found_and_strangers_leave_no_row() {
    let upstream = FakeUpstream::answering("HTTP/1.1 200 OK\r\n\r\n");
    let gateway = TestGateway::before(upstream.base_url());
    for path in [
        "/wp-login.php",
        "/admin",
        "/other/chat/completions",
        "/favicon.ico",
        "/V1/models",
    ] {
        assert_error(
            &gateway.get(path),
            404,
            "invalid_request_error",
            "not_found",
        );
    }
    assert!(gateway.rows().is_empty());
    assert_eq!(
        gateway.metric_sum("aiproxy_shed_total{reason=\"unknown_path\"}"),
        5
    );
    for path in ["/v1", "/v1/", "/openai", "/openai/"] {
        assert_error(
            &exchange(gateway.data, get(path)),
            404,
            "invalid_request_error",
            "not_found",
        );
        let row = gateway.rows().pop().expect("a row").record;
        assert_eq!(
            (row.outcome.as_str(), row.status_code, row.path.as_str()),
            ("client_error", 404, path)
        );
    }
    assert_eq!(upstream.connections(), 0);
}
