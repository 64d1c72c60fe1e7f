//! Errors, cuts and what happens to connections.

use super::*;

#[test]
fn error_statuses() {
    for status in [400, 401, 403, 404, 422, 429, 500, 503, 529] {
        let seen = chat(&format!("mock-err-{status}"));
        assert_eq!(seen.status(), status);
        assert!(
            seen.json()["error"]["message"]
                .as_str()
                .unwrap()
                .contains("mock error")
        );
        let waits = matches!(status, 429 | 503 | 529).then_some("1");
        assert_eq!(seen.header("retry-after"), waits, "{status}");
    }
    let seen = chat_stream("mock-err-500-noretry-after-7");
    assert_eq!(
        (seen.header("x-should-retry"), seen.header("retry-after")),
        (Some("false"), Some("7"))
    );
}

#[test]
fn errors_that_pass() {
    let mock = start();
    let request = request("/v1/chat/completions", &ask("mock-err-503-times-2"));
    let statuses = [0; 3].map(|_| talk(&mock, request.as_bytes()).status());
    assert_eq!(statuses, [503, 503, 200]);
}

#[test]
fn odd_answers() {
    assert!(chat("mock-html").text().starts_with("<!doctype html>"));
    assert_eq!(chat("mock-err-502-html").status(), 502);
    assert_eq!(
        chat("mock-redirect").header("location"),
        Some("http://mock/redirected")
    );
    assert_eq!(chat("mock-redirect-308").status(), 308);
    assert_eq!(chat("mock-notype").header("content-type"), None);
    assert_eq!(
        chat("mock-plaintype").header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(chat("mock-trailing").body.len(), 2 * 670);
}

#[test]
fn echo_gives_headers_back() {
    let seen = chat("mock-echo");
    assert_eq!(seen.header("x-echo-authorization"), Some("Bearer sk-1"));
    assert!(seen.text().contains("Bearer sk-1"));
    assert!(
        chat("mock-err-401-echo").json()["error"]["message"]
            .to_string()
            .contains("sk-1")
    );
}

#[test]
fn cut_streams() {
    let seen = chat_stream("mock-s10-cut");
    assert!(seen.reset && !seen.whole);
    assert_eq!(seen.events().len(), 6);
    assert_eq!(chat_stream("mock-s10-cut-3").events().len(), 4);
    assert_eq!(chat_stream("mock-cut-0").events().len(), 1);
    let early = chat_stream("mock-s10-eof-4");
    assert!(early.whole && !early.reset && !early.done());
    assert!(!early.text().contains("\"stop\""));
}

#[test]
fn cut_bodies() {
    let seen = chat("mock-cut");
    assert!(seen.reset && seen.body.len() == 335 && seen.header("content-length") == Some("670"));
    let early = chat("mock-eof");
    assert!(early.whole && early.body.len() == 335);
    assert!(chat("mock-cut-big-1m").reset);
    assert!(chat("mock-eof-big-1m").whole);
}

#[test]
fn no_answer_at_all() {
    let seen = chat("mock-hangup");
    assert!(seen.head.is_empty() && !seen.reset);
    let seen = chat("mock-reset");
    assert!(seen.head.is_empty() && seen.reset);
}

#[test]
fn stalls_until_the_peer_goes() {
    for model in [
        "mock-stall",
        "mock-slow-3600000",
        "mock-d3600000",
        "mock-stall-big-1m",
    ] {
        let mock = start();
        let mut body = ask(model);
        body["stream"] = json!(true);
        let mut stream = TcpStream::connect(mock.addr()).unwrap();
        stream
            .write_all(request("/v1/chat/completions", &body).as_bytes())
            .unwrap();
        wait_for(&mock, |stats| stats.open_streams == 1);
        stream.shutdown(Shutdown::Both).unwrap();
        wait_for(&mock, |stats| {
            stats.open_streams == 0 && stats.abandoned == 1
        });
    }
}

#[test]
fn slow_first_byte() {
    let begun = std::time::Instant::now();
    assert_eq!(chat("mock-slow-50").status(), 200);
    assert!(begun.elapsed() >= Duration::from_millis(50));
    assert!(chat_stream("mock-s3-d10").done());
    assert!(begun.elapsed() >= Duration::from_millis(80));
}

#[test]
fn connections_are_kept() {
    let mock = start();
    let kept = request("/v1/chat/completions", &ask("mock")).replace("connection: close\r\n", "");
    let last = request("/v1/chat/completions", &ask("mock-s1"));
    let seen = talk(&mock, format!("{kept}{kept}{last}").as_bytes());
    assert_eq!(
        String::from_utf8(seen.body)
            .unwrap()
            .matches("HTTP/1.1 200 OK")
            .count(),
        2
    );
    assert_eq!((mock.stats().requests, mock.stats().connections), (3, 1));
}

#[test]
fn closes_without_a_word() {
    let kept =
        request("/v1/chat/completions", &ask("mock-close")).replace("connection: close\r\n", "");
    let seen = talk(&start(), kept.as_bytes());
    assert_eq!((seen.whole, seen.header("connection")), (true, None));
}

#[test]
fn old_clients_get_the_end_of_the_connection() {
    let body = json!({"model": "mock-s2", "messages": [], "stream": true});
    let old = request("/v1/chat/completions", &body).replace("HTTP/1.1", "HTTP/1.0");
    let seen = talk(&start(), old.as_bytes());
    assert_eq!(seen.header("transfer-encoding"), None);
    assert!(seen.done());
}
