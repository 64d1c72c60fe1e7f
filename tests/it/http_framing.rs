//! F47 and F35: answers whose HTTP is odd, split, cut, doubled or endless.

use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{TestGateway, Wanted, get};
use crate::support::raw_client::exchange;
use crate::support::signal::Signal;
use crate::support::wire::{
    DONE, FINISH, STREAM, STREAM_HEAD, Seen, TEXT, WHOLE, answered, chunk, json, scripted, stream,
};

/// An answer in order, and what the client must get.
#[test]
fn f47_odd_but_readable_heads() {
    let plain =
        |head: &str| format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{head}\r\n\r\n");
    let length = format!("content-length: {}", WHOLE.len());
    let chunked = |more: &str| {
        let chunk = format!("{:X};ext=\"1\"\r\n{WHOLE}\r\n0\r\n{more}\r\n", WHOLE.len());
        format!("{}{chunk}", plain("transfer-encoding: Chunked"))
    };
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n";
    let cases = [
        (
            "interim",
            format!("{interim}{interim}{}{WHOLE}", plain(&length)),
        ),
        (
            "continue",
            format!("HTTP/1.1 100 Continue\r\n\r\n{}{WHOLE}", plain(&length)),
        ),
        ("extension", chunked("")),
        ("trailer", chunked("x-checksum: 1\r\n")),
        (
            "spaces",
            format!("{}{WHOLE}", plain(&format!("x-odd  :  y  \r\n{length}"))),
        ),
        (
            "latin-1",
            format!(
                "{}{WHOLE}",
                plain(&format!("x-name: J\u{f6}rg\r\n{length}"))
            ),
        ),
    ];
    for (name, wire) in cases {
        let seen = answered(wire, "");
        assert_eq!(seen.facts(), (200, String::new(), "ok"), "{name}");
        seen.is_exactly(WHOLE);
    }
}

#[test]
fn f47_a_head_in_pieces() {
    for every in [1, 7] {
        let steps = [
            Step::SendSplit(json(200, "", WHOLE), every),
            Step::ReadToEnd,
        ];
        scripted(steps, "", "").is_exactly(WHOLE);
    }
}

#[test]
fn f47_bodies_that_end_by_closing() {
    for version in ["1.0", "1.1"] {
        let head = |kind: &str| format!("HTTP/{version} 200 OK\r\ncontent-type: {kind}\r\n\r\n");
        let whole = format!("{}{WHOLE}", head("application/json"));
        let seen = scripted([Step::Send(whole.into()), Step::Fin], "", "");
        seen.is_exactly(WHOLE);
        assert_eq!(seen.row.outcome, "ok");
        let events = format!("{}{TEXT}{FINISH}{DONE}", head("text/event-stream"));
        let seen = scripted([Step::Send(events.into()), Step::Fin], "", STREAM);
        seen.is_exactly(format!("{TEXT}{FINISH}{DONE}"));
    }
}

#[test]
fn f47_no_content_has_no_body() {
    let wire = "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello";
    let upstream = FakeUpstream::answering(wire);
    let gateway = TestGateway::before(upstream.base_url());
    let answers = [0; 2].map(|_| exchange(gateway.data, get("/v1/files/1")));
    for answer in answers {
        assert_eq!(
            (answer.status, answer.body.len(), answer.complete),
            (204, 0, true)
        );
    }
    assert_eq!(
        upstream.connections(),
        2,
        "the connection is not used again"
    );
}

#[test]
fn f47_what_cannot_be_read_is_an_error() {
    let many: String = (0..300)
        .map(|number| format!("x-{number}: 1\r\n"))
        .collect();
    let cases = [
        (
            "lengths",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}".to_owned(),
        ),
        (
            "folded",
            "HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
        ),
        (
            "no number",
            "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n{}".to_owned(),
        ),
        (
            "coding",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n".to_owned(),
        ),
        (
            "many",
            format!("HTTP/1.1 200 OK\r\n{many}content-length: 2\r\n\r\n{{}}"),
        ),
        ("not HTTP", "SSH-2.0-OpenSSH\r\n\r\n".to_owned()),
        (
            "HTTP/2",
            "HTTP/2 200\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
        ),
        (
            "long",
            format!("HTTP/1.1 200 OK\r\nx: {}\r\n", "x".repeat(200 << 10)),
        ),
        (
            "switch",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n".to_owned(),
        ),
    ];
    for (name, wire) in cases {
        let seen = answered(wire, "");
        assert_eq!(
            seen.facts(),
            (502, "upstream_protocol".into(), "upstream_error"),
            "{name}"
        );
        assert_eq!(seen.row.attempts, 1, "{name}");
    }
}

/// A second answer for one request must not become the answer to the next one.
#[test]
fn f47_two_answers_for_one_request() {
    let (first, poison) = (json(200, "", WHOLE), json(200, "", r#"{"poison":true}"#));
    let first_stream = stream(format!("{TEXT}{FINISH}{DONE}"));
    let half = poison.len() / 2;
    for first in [first, first_stream] {
        for cut in [0, half, poison.len()] {
            let poisoned = Signal::new();
            let script = vec![
                Step::ReadRequest,
                Step::Send([&first[..], &poison[..cut]].concat()),
                Step::Send(poison[cut..].to_vec()),
                Step::Fire(poisoned.clone()),
                Step::ReadToEnd,
            ];
            let upstream = FakeUpstream::start(vec![script]);
            let gateway = TestGateway::before(upstream.base_url());
            for _ in 0..2 {
                let answer = gateway.chat("m", STREAM);
                assert!(
                    !answer.body.windows(6).any(|part| part == b"poison"),
                    "{answer:?}"
                );
                upstream.wait_received(0, b"hello");
                // What comes later, on a request of its own, is its answer.
                poisoned.wait();
            }
            assert_eq!(
                upstream.connections(),
                2,
                "the connection is not used again"
            );
        }
    }
}

/// An interim answer whose final one comes late must not be taken for the answer.
#[test]
fn f47_an_interim_answer_long_before_the_final_one() {
    let go = Signal::new();
    let upstream = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send(b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec()),
        Step::Wait(go.clone()),
        Step::Send(json(200, "", WHOLE)),
        Step::ReadToEnd,
    ]]);
    let gateway = TestGateway::before(upstream.base_url());
    let waiting = std::thread::spawn({
        let (data, body) = (gateway.data, crate::support::gateway::chat_body("m", ""));
        move || {
            exchange(
                data,
                crate::support::raw_client::post("/v1/chat/completions", &body),
            )
        }
    });
    upstream.wait_received(0, b"hello");
    go.fire();
    assert_eq!(waiting.join().expect("an answer").text(), WHOLE);
}

/// Bodies that break off, however they are framed and whether the head has gone out or not.
#[test]
fn f38_whole_answers_that_break_off() {
    let sized = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{WHOLE}"
    );
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunked = [head.as_bytes(), &chunk(WHOLE)].concat();
    let inside = [head.as_bytes(), b"999\r\n", WHOLE.as_bytes()].concat();
    for (wire, end) in [
        (sized.into_bytes(), Step::Fin),
        (chunked, Step::Fin),
        (inside.clone(), Step::Fin),
        (inside, Step::Rst),
    ] {
        let seen = scripted([Step::Send(wire), end], "", "");
        assert_eq!(seen.row.outcome, "upstream_truncated");
        assert_eq!(seen.row.response_complete, Some(false));
        let told = seen.answer.status == 502 && seen.code().starts_with("upstream_");
        assert!(
            told || !seen.answer.complete,
            "never looks complete: {:?}",
            seen.answer
        );
    }
}

#[test]
fn f38_a_body_that_is_no_chunks() {
    let seen = answered(format!("{STREAM_HEAD}zz\r\n{TEXT}"), STREAM);
    assert_eq!(
        (seen.code(), seen.row.outcome.as_str()),
        ("upstream_protocol".into(), "upstream_error")
    );
    assert_eq!(seen.row.response_complete, Some(false));
}

#[test]
fn f35_an_endless_body_flows() {
    let gateway = TestGateway::with(Wanted {
        yaml: "log: { spool_dir: \"$DIR/spool\", body_max_bytes: 65536 }".to_owned(),
        ..Wanted::default()
    });
    let mut client = gateway.connect();
    let body = crate::support::gateway::chat_body("mock-big-256m", "");
    let before = crate::support::memory::peak_bytes();
    client.send(crate::support::raw_client::post(
        "/v1/chat/completions",
        &body,
    ));
    client.read_until(b"\r\n\r\n");
    let size = client.discard_chunked();
    let grown = crate::support::memory::peak_bytes() - before;
    let row = gateway.row().record;
    assert_eq!(
        (row.outcome.as_str(), row.body_state.as_str()),
        ("ok", "truncated")
    );
    let stored = row
        .payload
        .and_then(|payload| payload.response_body)
        .expect("a body");
    assert_eq!(
        (stored.bytes.len(), stored.size),
        (65536, i64::try_from(size).expect("a size"))
    );
    assert!(
        256 << 20 <= size && grown < 64 << 20,
        "{size} bytes, {grown} more in memory"
    );
}

#[test]
fn f35_a_body_too_long_for_a_filter_is_refused() {
    let gateway = TestGateway::configured(
        "server: { port: 0, workers: 1, max_body_bytes: 100000 }\n\
         filters: [{ kind: block_patterns, words: [nowhere], on: [response] }]",
    );
    for model in ["mock-big-300k", "mock-b300k"] {
        let answer = gateway.chat(model, "");
        let row = gateway.rows().pop().expect("a row").record;
        let seen = Seen { answer, row };
        assert_eq!(
            seen.facts(),
            (502, "upstream_body_too_large".into(), "upstream_error"),
            "{model}"
        );
    }
}

#[test]
fn an_answer_to_head_has_a_length_and_no_body() {
    let upstream = FakeUpstream::answering(json(200, "", ""));
    let gateway = TestGateway::before(upstream.base_url());
    let mut client = gateway.connect();
    client.send("HEAD /v1/files/1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let (bytes, _) = client.read_to_end();
    assert!(
        bytes.starts_with(b"HTTP/1.1 200") && bytes.ends_with(b"\r\n\r\n"),
        "{bytes:?}"
    );
}
