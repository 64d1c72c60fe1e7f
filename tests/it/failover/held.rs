//! The head of a stream is held back until its first content, since another target could be asked: what its client and its
//! record see of that time.

use std::time::{Duration, Instant};

use aiproxy::cli::mock::Mock;

use super::{CONTENT, END, ROLE, STREAM, answer_of, pair, wire};
use crate::stream::spool_holds;
use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{TestGateway, Wanted, chat_body, wait_until};
use crate::support::raw_client::{RawClient, exchange, post};
use crate::support::signal::Signal;

const UNKNOWN: &str = "event: future\ndata: {\"type\":\"future\"}\n\n";
const CHAT: &str = "/v1/chat/completions";
const MESSAGE_STREAM: &str = include_str!("../../fixtures/anthropic/stream.sse");
const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

/// An upstream that begins a stream, and sends each of these after its signal.
fn beginning(pieces: &[(&Signal, String)]) -> FakeUpstream {
    let mut steps = vec![
        Step::ReadRequest,
        Step::Send([HEAD, ROLE].concat().into_bytes()),
    ];
    for (signal, piece) in pieces {
        steps.push(Step::Wait((*signal).clone()));
        steps.push(Step::Send(piece.clone().into_bytes()));
    }
    if !pieces.is_empty() {
        steps.push(Step::Fin);
    }
    steps.push(Step::ReadToEnd);
    FakeUpstream::start(vec![steps])
}

fn second() -> FakeUpstream {
    FakeUpstream::answering(wire("200 OK", "", &answer_of("model-b")))
}

#[test]
fn a_half_closed_client_gets_its_stream_while_the_upstream_shows_that_it_lives() {
    let pace = Mock::start(([127, 0, 0, 1], 0).into()).expect("a mock");
    let signals = [Signal::new(), Signal::new()];
    let first = beginning(&[
        (&signals[0], ": ping\n\n".to_owned()),
        (&signals[1], [CONTENT, END].concat()),
    ]);
    let second = second();
    let gateway = pair(&first, &second, "");
    let mut client = gateway.connect();
    client.send(post(CHAT, &chat_body("fast", STREAM)));
    first.wait_received(0, b"\r\n\r\n");
    client.half_close();
    // Together longer than a FIN may stand, each alone not.
    for signal in &signals {
        exchange(pace.addr(), post(CHAT, &chat_body("mock-slow-1300", "")));
        signal.fire();
    }
    let (answer, _) = client.read_to_end();
    let answer = String::from_utf8(answer).expect("text");
    assert!(
        answer.contains("\"hi\"") && answer.contains("[DONE]"),
        "{answer}"
    );
    let row = gateway.row().record;
    assert_eq!((&*row.outcome, second.connections()), ("ok", 0));
    assert!(row.tries.is_empty(), "{:#?}", row.tries);
}

#[test]
fn a_client_that_leaves_while_its_head_is_held_cancels_the_upstream() {
    let half_closed = |client: RawClient| {
        client.half_close();
        client.reset();
    };
    let ways: [(fn(RawClient), u64); 3] = [(RawClient::reset, 0), (half_closed, 0), (drop, 2)];
    for (leave, seconds) in ways {
        let (first, second) = (beginning(&[]), second());
        let gateway = pair(&first, &second, "");
        let mut client = gateway.connect();
        client.send(post(CHAT, &chat_body("fast", STREAM)));
        first.wait_received(0, b"\r\n\r\n");
        let left = Instant::now();
        leave(client);
        first.wait_ended(0);
        let waited = left.elapsed();
        let least = Duration::from_secs(seconds);
        assert!(
            least <= waited && waited < least + Duration::from_secs(1),
            "{waited:?}"
        );
        assert_eq!(gateway.row().record.outcome, "client_disconnected");
        assert_eq!(second.connections(), 0);
    }
}

/// What translates to nothing is on record as it comes, so that it is on disk and not in memory.
#[test]
fn what_a_held_stream_says_that_translates_to_nothing_is_spilled() {
    let go = Signal::new();
    let unknown = UNKNOWN.repeat(10_000);
    let (start, rest) =
        MESSAGE_STREAM.split_at(MESSAGE_STREAM.find("event: ping").expect("a ping"));
    let first = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send([HEAD, start, &unknown].concat().into_bytes()),
        Step::Wait(go.clone()),
        Step::Send(rest.as_bytes().to_vec()),
        Step::Fin,
        Step::ReadToEnd,
    ]]);
    let second = second();
    let gateway = TestGateway::with(Wanted {
        upstream: Some(second.base_url()),
        provider: format!(
            "  - {{ name: a, kind: anthropic, base_url: \"http://{}\", api_keys: [{{ key: sk-ant-0123456789 }}] }}\n",
            first.addr()
        ),
        yaml: "log: { spool_dir: \"$DIR/spool\" }\nmodels: { fast: { targets: [{ provider: a, model: m }, { provider: openai, model: m, tier: 1 }] } }\n"
            .to_owned(),
        ..Wanted::default()
    });
    let mut client = gateway.connect();
    client.send(post(CHAT, &chat_body("fast", STREAM)));
    let spool = gateway.dir.path().join("spool");
    wait_until("they are on disk", || {
        spool_holds(&spool, UNKNOWN.repeat(20).as_bytes())
    });
    go.fire();
    client.read_until(b"[DONE]");
    let row = gateway.row().record;
    let stored = row
        .payload
        .and_then(|payload| payload.upstream_response_body);
    let stored = stored.expect("a body");
    assert_eq!(stored.as_text(), Some(&*[start, &unknown, rest].concat()));
}
