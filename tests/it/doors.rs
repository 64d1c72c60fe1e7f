//! Hosts, targets and paths: which doors there are, and that no trick opens another.

use std::net::SocketAddr;

use crate::client_faults::assert_error;
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{TestGateway, get};
use crate::support::raw_client::{RawClient, exchange};

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
    assert_eq!(gateway.mock().stats().connections, 0);
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
fn a_recorded_page_is_inert_on_the_admin_port() {
    let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 25\r\n\r\n<script>alert(1)</script>";
    let upstream = FakeUpstream::answering(page);
    let gateway = TestGateway::before(upstream.base_url());
    let answer = gateway.get("/v1/files/f/content");
    let id = answer.header("x-aiproxy-request-id").expect("an id");
    gateway.settle();
    let again = gateway.admin_get(&format!("/api/exchanges/{id}/replay"));
    assert_eq!((again.status, &again.body), (200, &answer.body));
    assert_eq!(again.header("content-type"), Some("text/html"));
    let policy = again.header("content-security-policy");
    assert_eq!(policy, Some("sandbox; default-src 'none'"));
    assert_eq!(again.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn the_admin_port_answers_to_head() {
    let gateway = TestGateway::start();
    for path in ["/health", "/metrics"] {
        let mut client = RawClient::connect(gateway.admin);
        client.send(format!(
            "HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ));
        let (answer, _) = client.read_to_end();
        let answer = String::from_utf8(answer).expect("text");
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n"),
            "{path}: {answer}"
        );
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
fn s18_beyond_loopback_the_token_is_the_door() {
    let gateway =
        TestGateway::configured("admin: { host: 0.0.0.0, port: 0, token: admin-token-1 }");
    let admin = SocketAddr::from(([127, 0, 0, 1], gateway.admin.port()));
    let good = "authorization: Bearer admin-token-1\r\n";
    for (host, headers, status) in [
        ("proxy.example:8001", good, 200),
        ("10.1.2.3", good, 200),
        ("proxy.example", "", 401),
        ("rebound.evil.example", "", 401),
        ("x/#@proxy.example", good, 403),
    ] {
        let sent = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
        assert_eq!(exchange(admin, sent).status, status, "{host} {headers}");
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
        "/openai/deployments/a%2F..%2Fb/chat/completions",
        "/openai/deployments/a/x%2Fy",
        "/v1/%2e",
    ] {
        let answer = gateway.get(path);
        assert_error(&answer, 400, "invalid_request_error", "invalid_target");
    }
    assert!(gateway.rows().is_empty());
    assert_eq!(gateway.mock().stats().connections, 0);
    let slash = gateway.get("/v1/models/Qwen%2FQwen3-8B");
    assert_eq!(slash.json()["id"], "Qwen/Qwen3-8B");
    let target = gateway.mock().requests().remove(0).target;
    assert_eq!(target, "/v1/models/Qwen%2FQwen3-8B", "kept as it came");
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
    for path in ["/v1", "/v1/", "/openai", "/openai/", "/openai/v1"] {
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
