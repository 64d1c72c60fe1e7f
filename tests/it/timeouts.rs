//! Limits of time towards providers, one by one, each with a small value.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::fake_upstream::{Ended, FakeUpstream, Step};
use crate::support::gateway::{TestGateway, Wanted};
use crate::support::signal::Signal;
use crate::support::wire::{
    LAST_CHUNK, STREAM, STREAM_HEAD, Seen, TEXT, WHOLE, asked, chunk, json, scripted,
};

/// It took the limit, and not the default in its place.
#[track_caller]
fn took(seen: &Seen, least_ms: f64) {
    let took_ms = seen.row.duration_ms.expect("a duration");
    assert!((least_ms..5_000.0).contains(&took_ms), "{took_ms} ms");
}

fn limited(upstream: impl Into<String>, limits: &str) -> TestGateway {
    TestGateway::with(Wanted {
        upstream: Some(upstream.into()),
        provider: format!("    timeouts: {{ {limits} }}\n"),
        ..Wanted::default()
    })
}

#[test]
fn connect() {
    // A queue of connections that is full and that nobody empties: further ones are not answered.
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into()).expect("a free port");
    socket.listen(0).expect("a listener");
    let listener: std::net::TcpListener = socket.into();
    let address = listener.local_addr().expect("an address");
    let mut queued = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        queued.push(stream);
    }
    let seen = asked(
        &limited(format!("http://{address}/v1"), "connect_s: 0.2"),
        "m",
        "",
    );
    assert_eq!(
        seen.facts(),
        (502, "upstream_unreachable".into(), "upstream_error")
    );
    took(&seen, 200.0);
}

#[test]
fn f50_tls_handshake() {
    let upstream = FakeUpstream::start(vec![vec![Step::ReadToEnd]]);
    let gateway = limited(format!("https://{}/v1", upstream.addr()), "connect_s: 0.2");
    let seen = asked(&gateway, "m", "");
    assert_eq!(seen.facts(), (502, "upstream_tls".into(), "upstream_error"));
    took(&seen, 200.0);
    upstream.wait_ended(0);
}

#[test]
fn f39_first_byte() {
    let upstream = FakeUpstream::start(vec![vec![Step::ReadRequest, Step::ReadToEnd]]);
    let seen = asked(
        &limited(upstream.base_url(), "first_byte_s: 0.2"),
        "m",
        STREAM,
    );
    assert_eq!(
        seen.facts(),
        (504, "upstream_timeout".into(), "upstream_timeout")
    );
    took(&seen, 200.0);
    assert!(matches!(upstream.wait_ended(0), Ended::Fin | Ended::Rst));
}

#[test]
fn f39_half_a_head_is_no_first_byte() {
    let steps = [
        Step::Send(b"HTTP/1.1 200 OK\r\ncontent".to_vec()),
        Step::ReadToEnd,
    ];
    let seen = scripted(steps, "    timeouts: { first_byte_s: 0.2 }\n", "");
    assert_eq!(
        seen.facts(),
        (504, "upstream_timeout".into(), "upstream_timeout")
    );
}

#[test]
fn f40_idle_in_a_stream() {
    let begun = [STREAM_HEAD.as_bytes(), &chunk(TEXT)].concat();
    let upstream = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send(begun),
        Step::ReadToEnd,
    ]]);
    let seen = asked(&limited(upstream.base_url(), "idle_s: 0.2"), "m", STREAM);
    assert_eq!(
        seen.facts(),
        (200, "upstream_idle_timeout".into(), "upstream_timeout")
    );
    assert_eq!(
        (
            seen.row.response_text.as_deref(),
            seen.row.usage_source.as_deref()
        ),
        (Some("Hällo"), Some("partial"))
    );
    took(&seen, 200.0);
    upstream.wait_ended(0);
}

#[test]
fn f40_idle_in_a_whole_answer() {
    let whole = json(200, "", WHOLE);
    let steps = [
        Step::Send(whole[..whole.len() - 5].to_vec()),
        Step::ReadToEnd,
    ];
    let seen = scripted(steps, "    timeouts: { idle_s: 0.2 }\n", "");
    assert_eq!(seen.row.outcome, "upstream_timeout");
    assert!(
        !seen.answer.complete,
        "the head was out: the body has no end"
    );
    took(&seen, 200.0);
}

#[test]
fn f40_idle_in_an_error() {
    let steps = [
        Step::Send(b"HTTP/1.1 500 Oops\r\ncontent-length: 99\r\n\r\nha".to_vec()),
        Step::ReadToEnd,
    ];
    let seen = scripted(steps, "    timeouts: { idle_s: 0.2 }\n", "");
    assert_eq!(
        seen.facts(),
        (500, "upstream_error".into(), "upstream_error")
    );
    assert_eq!(seen.stored_upstream(), Some(&b"ha"[..]));
}

/// F41: something comes again and again, but it takes too long as a whole.
#[test]
fn f41_total() {
    for (model, more, code) in [
        ("mock-s900-d10", STREAM, "upstream_timeout"),
        ("mock-slow-60000", "", "upstream_timeout"),
    ] {
        let gateway = TestGateway::with(Wanted {
            provider: "    timeouts: { total_s: 0.4 }\n".to_owned(),
            ..Wanted::default()
        });
        let seen = asked(&gateway, model, more);
        assert_eq!(
            (seen.code(), seen.row.outcome.as_str()),
            (code.into(), "upstream_timeout")
        );
        took(&seen, 400.0);
    }
}

/// A slow client is not a slow upstream: the time that it does not read does not count as the upstream's idling.
#[test]
fn a_client_that_pauses_is_no_idle_upstream() {
    let sent = Signal::new();
    let size = 64 << 20;
    let event = format!("data: {}\n\n", "x".repeat(64 << 10));
    let mut script = vec![Step::ReadRequest, Step::Send(STREAM_HEAD.into())];
    script.extend((0..size / event.len()).map(|_| Step::Send(chunk(&event))));
    script.extend([
        Step::Send(chunk(TEXT)),
        Step::Send(LAST_CHUNK.into()),
        Step::Fire(sent.clone()),
        Step::ReadToEnd,
    ]);
    let upstream = FakeUpstream::start(vec![script]);
    let gateway = limited(upstream.base_url(), "idle_s: 0.3");
    let mut client = gateway.connect();
    client.send(crate::support::raw_client::post(
        "/v1/chat/completions",
        &crate::support::gateway::chat_body("m", STREAM),
    ));
    client.read_until(b"\r\n\r\n");
    // Longer than the limit: the pause is the subject.
    let until = Instant::now() + Duration::from_millis(700);
    while Instant::now() < until {
        std::thread::park_timeout(until - Instant::now());
    }
    assert!(!sent.fired(), "the upstream is held back");
    client.discard_chunked();
    let row = gateway.row().record;
    assert_eq!(
        row.error_code.as_deref(),
        Some("upstream_truncated"),
        "read to its end: {row:?}"
    );
}
