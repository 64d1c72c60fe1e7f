use super::*;
use crate::support::fake_upstream::{FakeUpstream, Script, Step};

#[track_caller]
fn check(answer: &str, body: &str, complete: bool) {
    let upstream = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send(answer.as_bytes().to_vec()),
    ]]);
    let response = exchange(upstream.addr(), post("/", "{}"));
    assert_eq!(
        (response.text(), response.complete),
        (body, complete),
        "{answer:?}"
    );
}

#[test]
fn framings() {
    check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", "ab", true);
    check(
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        "ab",
        false,
    );
    check("HTTP/1.1 204 No\r\n\r\n", "", true);
    check("HTTP/1.0 200 OK\r\n\r\nto the end", "to the end", true);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n";
    check(chunked, "abc", false);
    check(&format!("{chunked}5\r\nde"), "abcde", false);
    check(&format!("{chunked}0\r\n\r\n"), "abc", true);
    check(&format!("{chunked}0\r\ntrailer: x\r\n\r\n"), "abc", true);
}

/// A connection that answers twice to one request.
fn twice() -> Script {
    let answers = "HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na\
                   HTTP/1.1 500 No\r\ncontent-length: 1\r\n\r\nb";
    vec![
        Step::ReadRequest,
        Step::SendSplit(answers.into(), 3),
        Step::ReadToEnd,
    ]
}

#[test]
fn several_answers() {
    let upstream = FakeUpstream::start(vec![twice()]);
    let mut client = RawClient::connect(upstream.addr());
    client.send(post("/", "{}"));
    let seen = [0; 3].map(|_| client.read_response());
    assert_eq!(
        seen.each_ref().map(|response| response.status),
        [103, 200, 500]
    );
    assert_eq!((seen[0].header("Link"), seen[2].text()), (Some("x"), "b"));
}

#[test]
fn slow_sending() {
    let upstream = FakeUpstream::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    let mut client = RawClient::connect(upstream.addr());
    client.read_little();
    let request = post("/", "{}");
    let mut sent = 0;
    client.send_slowly(&request, 7, || {
        sent += 7;
        upstream.wait_received(0, &request.as_bytes()[..sent.min(request.len())]);
    });
    assert_eq!(client.read_response().json(), serde_json::json!({}));
}

#[test]
fn sending_to_nobody() {
    let upstream = FakeUpstream::start(vec![vec![Step::Rst]]);
    let mut client = RawClient::connect(upstream.addr());
    while client.try_send("x").is_ok() {}
    client.send_slowly("xyz", 1, || unreachable!("nobody reads"));
}
