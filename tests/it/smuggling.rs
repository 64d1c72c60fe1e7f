//! C1: heads and bodies that two readers could read in two ways. Whatever comes, one request in is at most one
//! request out, and its body is the one on record.

use crate::support::gateway::TestGateway;
use crate::support::raw_client::RawClient;

/// What must become of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Refused, the connection closed, the upstream never asked.
    Refused,
    /// Read in the one way that there is: so many requests go upstream.
    Passes(usize),
}
use Fate::{Passes, Refused};

/// A request behind the first one; it must never be read out of that one's body.
const SMUGGLED: &str = "GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

/// Header lines and what follows them, with `{S}` for the smuggled request.
const CASES: &[(&str, &str, Fate)] = &[
    // Both lengths.
    (
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Content-Length: 5\r\nTransfer-Encoding: identity\r\n",
        "abcde{S}",
        Refused,
    ),
    // Two or odd lengths.
    (
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "abcde{S}",
        Refused,
    ),
    (
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "abcde{S}",
        Refused,
    ),
    ("Content-Length: 5, 5\r\n", "abcde{S}", Refused),
    ("Content-Length: 5,6\r\n", "abcde{S}", Refused),
    ("Content-Length: +5\r\n", "abcde{S}", Refused),
    ("Content-Length: -5\r\n", "abcde{S}", Refused),
    ("Content-Length: 0x5\r\n", "abcde{S}", Refused),
    ("Content-Length: 5.0\r\n", "abcde{S}", Refused),
    ("Content-Length: 5 5\r\n", "abcde{S}", Refused),
    ("Content-Length: five\r\n", "abcde{S}", Refused),
    ("Content-Length: \r\n", "{S}", Refused),
    (
        "Content-Length: 18446744073709551616\r\n",
        "abcde{S}",
        Refused,
    ),
    (
        "Content-Length: 99999999999999999999999999\r\n",
        "abcde{S}",
        Refused,
    ),
    ("Content-Length: 5;q=1\r\n", "abcde{S}", Refused),
    ("Content-Length: \u{b}5\r\n", "abcde{S}", Refused),
    // Odd encodings.
    (
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Transfer-Encoding: chunked, identity\r\n",
        "0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Transfer-Encoding: identity, chunked\r\n",
        "0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Transfer-Encoding: gzip, chunked\r\n",
        "0\r\n\r\n{S}",
        Refused,
    ),
    ("Transfer-Encoding: gzip\r\n", "0\r\n\r\n{S}", Refused),
    ("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n{S}", Refused),
    ("Transfer-Encoding: chunkedx\r\n", "0\r\n\r\n{S}", Refused),
    (
        "Transfer-Encoding: \"chunked\"\r\n",
        "0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Transfer-Encoding: chunked;q=1\r\n",
        "0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Transfer-Encoding: \u{b}chunked\r\n",
        "0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Transfer-Encoding: ch\u{e9}unked\r\n",
        "0\r\n\r\n{S}",
        Refused,
    ),
    ("Transfer-Encoding:\r\n", "0\r\n\r\n{S}", Refused),
    ("Transfer-Encoding : chunked\r\n", "0\r\n\r\n{S}", Refused),
    ("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n{S}", Refused),
    (
        "Transfer-Encoding\u{0}: chunked\r\n",
        "0\r\n\r\n{S}",
        Refused,
    ),
    (" Transfer-Encoding: chunked\r\n", "0\r\n\r\n{S}", Refused),
    (
        "X: y\r\n Transfer-Encoding: chunked\r\n",
        "0\r\n\r\n{S}",
        Refused,
    ),
    (
        "X: y\r\n\tTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Transfer-Encoding:\r\n chunked\r\n",
        "0\r\n\r\n{S}",
        Refused,
    ),
    // Odd lines.
    ("Content-Length : 5\r\n", "abcde{S}", Refused),
    ("Content-Length\t: 5\r\n", "abcde{S}", Refused),
    (" Content-Length: 5\r\n", "abcde{S}", Refused),
    ("X: y\rContent-Length: 5\r\n", "abcde{S}", Refused),
    ("X: a\u{0}b\r\nContent-Length: 5\r\n", "abcde{S}", Refused),
    (
        "X: y\r\nno colon here\r\nContent-Length: 5\r\n",
        "abcde{S}",
        Refused,
    ),
    (": no name\r\nContent-Length: 5\r\n", "abcde{S}", Refused),
    ("X y: z\r\nContent-Length: 5\r\n", "abcde{S}", Refused),
    ("X(y): z\r\nContent-Length: 5\r\n", "abcde{S}", Refused),
    ("Host: other\r\nContent-Length: 5\r\n", "abcde{S}", Refused),
    (
        "X: a\u{1b}[31m\r\nContent-Length: 5\r\n",
        "abcde{S}",
        Refused,
    ),
    // Broken chunks.
    (
        "Transfer-Encoding: chunked\r\n",
        "x\r\nabcde\r\n0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Transfer-Encoding: chunked\r\n",
        "-5\r\nabcde\r\n0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Transfer-Encoding: chunked\r\n",
        "+5\r\nabcde\r\n0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Transfer-Encoding: chunked\r\n",
        "0x5\r\nabcde\r\n0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Transfer-Encoding: chunked\r\n",
        "\r\nabcde\r\n0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Transfer-Encoding: chunked\r\n",
        "5\rabcde\r\n0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Transfer-Encoding: chunked\r\n",
        "5\nabcde\r\n0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Transfer-Encoding: chunked\r\n",
        "5\r\nabcdeXX0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Transfer-Encoding: chunked\r\n",
        "5\r\nabcdef\r\n0\r\n\r\n{S}",
        Refused,
    ),
    (
        "Transfer-Encoding: chunked\r\n",
        "FFFFFFFFFFFFFFFFF\r\nabcde\r\n0\r\n\r\n{S}",
        Refused,
    ),
    ("Transfer-Encoding: chunked\r\n", "5\r\nabcde\r\n", Refused),
    ("Transfer-Encoding: chunked\r\n", "5\r\nabc", Refused),
    ("Content-Length: 9\r\n", "abcde", Refused),
    // Read in one way by everybody.
    ("Content-Length: 5\r\n", "abcde", Passes(1)),
    ("Content-Length:5\r\n", "abcde", Passes(1)),
    ("content-length: 005\r\n", "abcde", Passes(1)),
    (
        "Transfer-Encoding: chunked\r\n",
        "5\r\nabcde\r\n0\r\n\r\n",
        Passes(1),
    ),
    (
        "transfer-encoding: CHUNKED\r\n",
        "5\r\nabcde\r\n0\r\n\r\n",
        Passes(1),
    ),
    (
        "Transfer-Encoding: chunked\r\n",
        "5;ext=\"1\"\r\nabcde\r\n0\r\n\r\n",
        Passes(1),
    ),
    (
        "Transfer-Encoding: chunked\r\n",
        "00005\r\nabcde\r\n0\r\n\r\n",
        Passes(1),
    ),
    (
        "Transfer-Encoding: chunked\r\n",
        "5\r\nabcde\r\n0\r\nContent-Length: 0\r\n\r\n",
        Passes(1),
    ),
    (
        "Content-Length: 5\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n",
        "abcde",
        Passes(1),
    ),
    (
        "Content-Length: 5\r\nExpect: something\r\n",
        "abcde",
        Passes(1),
    ),
    (
        "Content-Length: 5\r\nX-HTTP-Method-Override: DELETE\r\n",
        "abcde",
        Passes(1),
    ),
    // Two requests are two requests.
    ("Content-Length: 5\r\n", "abcde{S}", Passes(2)),
    (
        "Transfer-Encoding: chunked\r\n",
        "5\r\nabcde\r\n0\r\n\r\n{S}",
        Passes(2),
    ),
    ("", "{S}", Passes(2)),
    ("Content-Length: 0\r\n", "{S}", Passes(2)),
];

/// Runs the cases on one path, on one gateway.
fn check(path: &str, content_type: &str) {
    let gateway = TestGateway::start();
    let mock = gateway.mock.as_ref().expect("a mock");
    for (headers, rest, fate) in CASES {
        let rest = rest.replace("{S}", SMUGGLED);
        let case = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n{headers}\r\n{rest}"
        );
        let before = mock.stats().requests;
        let answered = send_all(&gateway, case.as_bytes());
        gateway.settle();
        let asked = mock.stats().requests - before;
        let passed = match fate {
            Refused => 0,
            Passes(requests) => *requests as u64,
        };
        assert_eq!(asked, passed, "{case:?} -> {answered}");
        // A broken chunk that comes after the head may end the connection without a word.
        let refused = !answered.contains("HTTP/1.1 2");
        assert_eq!(refused, *fate == Refused, "{case:?} -> {answered}");
    }
    assert_bodies_are_on_record(&gateway);
}

/// Each upstream request has a row of its own with its body, in their order.
fn assert_bodies_are_on_record(gateway: &TestGateway) {
    let rows = gateway.rows();
    let recorded = rows
        .iter()
        .filter(|row| row.record.upstream_status.is_some());
    let seen = gateway.mock.as_ref().expect("a mock").requests();
    for (row, seen) in recorded.clone().zip(&seen) {
        let payload = row.record.payload.as_ref().expect("bodies");
        let body = payload.request_body.as_ref().map(|body| body.bytes.clone());
        assert_eq!(body.unwrap_or_default(), seen.body, "{}", row.record.path);
    }
    assert_eq!(recorded.count(), seen.len());
}

fn send_all(gateway: &TestGateway, bytes: &[u8]) -> String {
    let mut client: RawClient = gateway.connect();
    // A refusal may end the connection while this is still writing.
    drop(client.try_send(bytes));
    client.end_writing();
    let (answer, _) = client.read_to_end();
    answer.escape_ascii().to_string()
}

#[test]
fn c1_flowing_bodies_cannot_hide_a_request() {
    check("/v1/anything", "application/octet-stream");
}

#[test]
fn c1_held_bodies_cannot_hide_a_request() {
    check("/v1/anything", "application/json");
}

#[test]
fn c1_request_lines_that_are_odd_are_refused() {
    let gateway = TestGateway::start();
    for line in [
        "GET /v1/models HTTP/1.1 extra",
        "GET  /v1/models HTTP/1.1",
        "GET\t/v1/models\tHTTP/1.1",
        "GET /v1/mod els HTTP/1.1",
        "GET /v1/models HTTP/2.0",
        "GET /v1/models HTTP/1.2",
        "GET /v1/models http/1.1",
        "GET /v1/models",
        "G\u{0}T /v1/models HTTP/1.1",
        "GET /v1/models\u{0} HTTP/1.1",
        "PRI * HTTP/2.0",
        " GET /v1/models HTTP/1.1",
    ] {
        let answered = send_all(&gateway, format!("{line}\r\nHost: x\r\n\r\n").as_bytes());
        assert!(answered.starts_with("HTTP/1.1 4"), "{line:?} -> {answered}");
    }
    let without_host = send_all(&gateway, b"GET /v1/models HTTP/1.1\r\n\r\n");
    assert!(without_host.starts_with("HTTP/1.1 400"), "{without_host}");
    let encoded_in_1_0 =
        b"POST /v1/x HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let encoded_in_1_0 = send_all(&gateway, encoded_in_1_0);
    assert!(
        encoded_in_1_0.starts_with("HTTP/1.1 400"),
        "{encoded_in_1_0}"
    );
    assert_eq!(
        gateway.mock.as_ref().expect("a mock").stats().connections,
        0
    );
}

#[test]
fn c1_the_corpus_is_large_enough() {
    assert!(60 <= CASES.len(), "{}", CASES.len());
}
