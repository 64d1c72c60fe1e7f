//! C1: heads and bodies that two readers could read in two ways. Whatever comes, one request in is at most one
//! request out, and its body is the one on record.

use crate::support::gateway::TestGateway;
use crate::support::raw_client::RawClient;

/// A request behind the first one; it must never be read out of that one's body.
const SMUGGLED: &str = "GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

/// Header lines before an empty body in chunks: an encoding that is odd, or stands beside a length.
const ODD_ENCODINGS: &[&str] = &[
    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding: identity, chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: gzip\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding: chunkedx\r\n",
    "Transfer-Encoding: \"chunked\"\r\n",
    "Transfer-Encoding: chunked;q=1\r\n",
    "Transfer-Encoding: \u{b}chunked\r\n",
    "Transfer-Encoding: ch\u{e9}unked\r\n",
    "Transfer-Encoding:\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Transfer-Encoding\t: chunked\r\n",
    "Transfer-Encoding\u{0}: chunked\r\n",
    " Transfer-Encoding: chunked\r\n",
    "X: y\r\n Transfer-Encoding: chunked\r\n",
    "X: y\r\n\tTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding:\r\n chunked\r\n",
];

/// Header lines before a body of five bytes: a length that is odd, or told twice, or lines that are none.
const ODD_LENGTHS: &[&str] = &[
    "Content-Length: 5\r\nTransfer-Encoding: identity\r\n",
    "Content-Length: 5\r\nContent-Length: 6\r\n",
    "Content-Length: 5\r\nContent-Length: 5\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length: 5,6\r\n",
    "Content-Length: +5\r\n",
    "Content-Length: -5\r\n",
    "Content-Length: 0x5\r\n",
    "Content-Length: 5.0\r\n",
    "Content-Length: 5 5\r\n",
    "Content-Length: five\r\n",
    "Content-Length: \r\n",
    "Content-Length: 18446744073709551616\r\n",
    "Content-Length: 99999999999999999999999999\r\n",
    "Content-Length: 5;q=1\r\n",
    "Content-Length: \u{b}5\r\n",
    "Content-Length : 5\r\n",
    "Content-Length\t: 5\r\n",
    " Content-Length: 5\r\n",
    "X: y\rContent-Length: 5\r\n",
    "X: a\u{0}b\r\nContent-Length: 5\r\n",
    "X: y\r\nno colon here\r\nContent-Length: 5\r\n",
    ": no name\r\nContent-Length: 5\r\n",
    "X y: z\r\nContent-Length: 5\r\n",
    "X(y): z\r\nContent-Length: 5\r\n",
    "Host: other\r\nContent-Length: 5\r\n",
    "X: a\u{1b}[31m\r\nContent-Length: 5\r\n",
];

/// Bodies in chunks that are none.
const BROKEN_CHUNKS: &[&str] = &[
    "x\r\nabcde\r\n0\r\n\r\n{S}",
    "-5\r\nabcde\r\n0\r\n\r\n{S}",
    "+5\r\nabcde\r\n0\r\n\r\n{S}",
    "0x5\r\nabcde\r\n0\r\n\r\n{S}",
    "\r\nabcde\r\n0\r\n\r\n{S}",
    "5\rabcde\r\n0\r\n\r\n{S}",
    "5\nabcde\r\n0\r\n\r\n{S}",
    "5\r\nabcdeXX0\r\n\r\n{S}",
    "5\r\nabcdef\r\n0\r\n\r\n{S}",
    "FFFFFFFFFFFFFFFFF\r\nabcde\r\n0\r\n\r\n{S}",
    "5\r\nabcde\r\n",
    "5\r\nabc",
];

/// Header lines and bodies that there is one way to read, and how many requests they are.
const SOUND: &[(&str, &str, u64)] = &[
    ("Content-Length: 5\r\n", "abcde", 1),
    ("Content-Length:5\r\n", "abcde", 1),
    ("content-length: 005\r\n", "abcde", 1),
    (
        "Transfer-Encoding: chunked\r\n",
        "5\r\nabcde\r\n0\r\n\r\n",
        1,
    ),
    (
        "transfer-encoding: CHUNKED\r\n",
        "5\r\nabcde\r\n0\r\n\r\n",
        1,
    ),
    (
        "Transfer-Encoding: chunked\r\n",
        "5;ext=\"1\"\r\nabcde\r\n0\r\n\r\n",
        1,
    ),
    (
        "Transfer-Encoding: chunked\r\n",
        "00005\r\nabcde\r\n0\r\n\r\n",
        1,
    ),
    (
        "Transfer-Encoding: chunked\r\n",
        "5\r\nabcde\r\n0\r\nContent-Length: 0\r\n\r\n",
        1,
    ),
    (
        "Content-Length: 5\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n",
        "abcde",
        1,
    ),
    ("Content-Length: 5\r\nExpect: something\r\n", "abcde", 1),
    (
        "Content-Length: 5\r\nX-HTTP-Method-Override: DELETE\r\n",
        "abcde",
        1,
    ),
    ("Content-Length: 5\r\n", "abcde{S}", 2),
    (
        "Transfer-Encoding: chunked\r\n",
        "5\r\nabcde\r\n0\r\n\r\n{S}",
        2,
    ),
    ("", "{S}", 2),
    ("Content-Length: 0\r\n", "{S}", 2),
];

/// A case: header lines, what follows them with `{S}` for the smuggled request, and how many requests go upstream; 0:
/// it is refused, and the connection closed.
type Case = (&'static str, &'static str, u64);

fn cases() -> Vec<Case> {
    let encodings = ODD_ENCODINGS
        .iter()
        .map(|lines| (*lines, "0\r\n\r\n{S}", 0));
    let lengths = ODD_LENGTHS.iter().map(|lines| (*lines, "abcde{S}", 0));
    let chunked = "Transfer-Encoding: chunked\r\n";
    let chunks = BROKEN_CHUNKS.iter().map(|body| (chunked, *body, 0));
    let short = [("Content-Length: 9\r\n", "abcde", 0)];
    let refused = encodings.chain(lengths).chain(chunks).chain(short);
    refused.chain(SOUND.iter().copied()).collect()
}

/// Runs the cases on one path, on one gateway.
fn check(path: &str, content_type: &str) {
    let gateway = TestGateway::start();
    let mock = gateway.mock();
    for (headers, rest, passed) in cases() {
        let rest = rest.replace("{S}", SMUGGLED);
        let case = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n{headers}\r\n{rest}"
        );
        let before = mock.stats().requests;
        let answered = send_all(&gateway, case.as_bytes());
        gateway.settle();
        let asked = mock.stats().requests - before;
        assert_eq!(asked, passed, "{case:?} -> {answered}");
        // A broken chunk that comes after the head may end the connection without a word.
        let refused = !answered.contains("HTTP/1.1 2");
        assert_eq!(refused, passed == 0, "{case:?} -> {answered}");
    }
    assert_bodies_are_on_record(&gateway);
}

/// Each upstream request has a row of its own with its body, in their order.
fn assert_bodies_are_on_record(gateway: &TestGateway) {
    let rows = gateway.rows();
    let recorded = rows
        .iter()
        .filter(|row| row.record.upstream_status.is_some());
    let seen = gateway.mock().requests();
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
    assert_eq!(gateway.mock().stats().connections, 0);
}

#[test]
fn c1_the_corpus_is_large_enough() {
    assert!(60 <= cases().len(), "{}", cases().len());
}
