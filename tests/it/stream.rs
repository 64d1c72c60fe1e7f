//! The relay of streams: piece by piece, held back by the reader, the end not before the record.

use std::path::{Path, PathBuf};

use crate::support::fake_upstream::{FakeUpstream, Script, Step};
use crate::support::gateway::{TestGateway, Wanted, chat_body, wait_until};
use crate::support::raw_client::{RawClient, post};
use crate::support::signal::Signal;
use crate::support::wire::{DONE, FINISH, LAST_CHUNK, STREAM, STREAM_HEAD, TEXT, USAGE, chunk};

fn ask(gateway: &TestGateway, model: &str) -> RawClient {
    let mut client = gateway.connect();
    client.send(post("/v1/chat/completions", &chat_body(model, STREAM)));
    client
}

/// Sends each piece only after its signal.
fn on_signals(pieces: &[&str]) -> (Script, Vec<Signal>) {
    let signals: Vec<Signal> = pieces.iter().map(|_| Signal::new()).collect();
    let mut script = vec![Step::ReadRequest, Step::Send(STREAM_HEAD.into())];
    for (piece, signal) in pieces.iter().zip(&signals) {
        script.extend([Step::Wait(signal.clone()), Step::Send(chunk(piece))]);
    }
    script.extend([Step::Send(LAST_CHUNK.into()), Step::ReadToEnd]);
    (script, signals)
}

/// Each piece reaches the client before the next is sent.
#[test]
fn pieces_pass_one_by_one() {
    let half = TEXT.find("delta").expect("a delta");
    let (first_half, second_half) = TEXT.split_at(half);
    let pieces = [TEXT, ": ka\n", TEXT, first_half, second_half, FINISH, DONE];
    let (script, signals) = on_signals(&pieces);
    let upstream = FakeUpstream::start(vec![script]);
    let gateway = TestGateway::before(upstream.base_url());
    let mut client = ask(&gateway, "m");
    client.read_until(b"\r\n\r\n");
    for (piece, signal) in pieces.iter().zip(&signals) {
        signal.fire();
        client.read_until(piece.as_bytes());
    }
    client.read_until(LAST_CHUNK.as_bytes());
    let row = gateway.row().record;
    assert_eq!((row.outcome.as_str(), row.chunk_count), ("ok", Some(5)));
    let times = row
        .payload
        .and_then(|payload| payload.chunk_times)
        .expect("times");
    assert_eq!(times.split(';').count(), pieces.len());
}

/// The head goes out before the first event: a client sees at once that it is heard.
#[test]
fn the_head_does_not_wait_for_the_first_event() {
    let (script, signals) = on_signals(&[TEXT, DONE]);
    let upstream = FakeUpstream::start(vec![script]);
    let gateway = TestGateway::before(upstream.base_url());
    let mut client = ask(&gateway, "m");
    let head = client.read_until(b"\r\n\r\n");
    assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"));
    signals.iter().for_each(Signal::fire);
    client.read_until(LAST_CHUNK.as_bytes());
}

/// Whether a file of the spool has these bytes.
pub(crate) fn spool_holds(dir: &Path, bytes: &[u8]) -> bool {
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => {
                    let content = std::fs::read(path).unwrap_or_default();
                    if memchr::memmem::find(&content, bytes).is_some() {
                        return true;
                    }
                }
            }
        }
    }
    false
}

/// A gateway whose database is away, so that the spool keeps everything; its folders for spool and database.
fn without_database(wanted: Wanted) -> (TestGateway, PathBuf, PathBuf) {
    let dir = tempfile::TempDir::new().expect("a folder");
    let (spool, away) = (dir.path().join("spool"), dir.path().join("away"));
    let wanted = Wanted {
        database_url: Some(format!("sqlite:///{}/test.db", away.display())),
        ..wanted
    };
    (TestGateway::in_dir(dir, wanted), spool, away)
}

/// P3: what ends a stream is on disk before the client sees it.
#[test]
fn p3_the_end_is_on_disk_before_the_client_has_it() {
    let error = "data: {\"error\":{\"message\":\"no\",\"code\":\"x\"}}\n\n";
    for (end, outcome) in [(DONE, "ok"), (error, "upstream_error")] {
        let (script, signals) = on_signals(&[TEXT, FINISH, end]);
        let upstream = FakeUpstream::start(vec![script]);
        let (gateway, spool, away) = without_database(Wanted {
            upstream: Some(upstream.base_url()),
            ..Wanted::default()
        });
        let mut client = ask(&gateway, "m");
        signals[0].fire();
        client.read_until(TEXT.as_bytes());
        assert!(spool_holds(&spool, b"hello"), "the request is on disk");
        assert!(!spool_holds(&spool, end.trim_end().as_bytes()));
        signals[1].fire();
        signals[2].fire();
        client.read_until(end.as_bytes());
        assert!(spool_holds(&spool, end.trim_end().as_bytes()), "{end}");
        std::fs::create_dir(away).expect("a folder");
        assert_eq!(gateway.row().record.outcome, outcome);
    }
}

#[test]
fn p3_a_whole_answer_is_on_disk_before_the_client_has_it() {
    let (gateway, spool, away) = without_database(Wanted::default());
    let answer = gateway.chat("mock", "");
    assert!(spool_holds(&spool, &answer.body));
    std::fs::create_dir(away).expect("a folder");
    assert_eq!(gateway.row().record.outcome, "ok");
}

/// The usage chunk that only we asked for goes no further; the client's own does.
#[test]
fn usage_is_asked_for_and_taken_out_again() {
    let events = format!("{TEXT}{FINISH}{USAGE}{DONE}");
    let answer = [
        Step::ReadRequest,
        Step::Send(crate::support::wire::stream(&events)),
    ];
    let upstream = FakeUpstream::start(vec![[&answer[..]; 3].concat()]);
    let gateway = TestGateway::before(upstream.base_url());
    let without = gateway.chat("m", STREAM);
    assert_eq!(without.text(), format!("{TEXT}{FINISH}{DONE}"));
    upstream.wait_received(0, br#""stream_options":{"include_usage":true}"#);
    let own = gateway.chat(
        "m",
        r#","stream":true,"stream_options":{"include_usage":true}"#,
    );
    assert_eq!(own.text(), events);
    let declined = gateway.chat(
        "m",
        r#","stream":true,"stream_options":{"include_usage":false}"#,
    );
    assert_eq!(declined.text(), format!("{TEXT}{FINISH}{DONE}"));
    for row in gateway.rows() {
        let payload = row.record.payload.as_ref().expect("bodies");
        assert!(
            payload.upstream_request_body.is_none() && payload.upstream_response_body.is_none()
        );
        assert_eq!(
            (row.record.prompt_tokens, row.record.usage_source.as_deref()),
            (Some(7), Some("upstream"))
        );
        assert!(
            row.record
                .usage_raw
                .is_some_and(|raw| raw.contains("\"prompt_tokens\":7"))
        );
    }
}

#[test]
fn a_passive_provider_is_asked_for_nothing() {
    let gateway = TestGateway::with(Wanted {
        provider: "    usage: passive\n".to_owned(),
        ..Wanted::default()
    });
    let body = chat_body("mock-s3", STREAM);
    gateway.post("/v1/chat/completions", &body);
    let requests = gateway.mock.as_ref().expect("a mock").requests();
    assert_eq!(requests[0].body, body.as_bytes());
    let row = gateway.row().record;
    assert!(
        matches!(row.usage_source.as_deref(), Some("counted" | "estimated")),
        "{row:?}"
    );
}

/// A client that does not read stops the upstream, and little is held for it.
#[test]
fn back_pressure_reaches_the_upstream() {
    let sent = Signal::new();
    let event = format!("data: {}\n\n", "x".repeat(64 << 10));
    let mut script = vec![Step::ReadRequest, Step::Send(STREAM_HEAD.into())];
    script.extend((0..1024).map(|_| Step::Send(chunk(&event))));
    script.extend([Step::Fire(sent.clone()), Step::ReadToEnd]);
    let before = crate::support::memory::peak_bytes();
    let held_by_the_script = 1024 * (event.len() as u64 + 16);
    let upstream = FakeUpstream::start(vec![script]);
    let gateway = TestGateway::with(Wanted {
        upstream: Some(upstream.base_url()),
        yaml: "log: { spool_dir: \"$DIR/spool\", body_max_bytes: 65536 }".to_owned(),
        ..Wanted::default()
    });
    let mut client = gateway.connect();
    client.read_little();
    client.send(post("/v1/chat/completions", &chat_body("m", STREAM)));
    client.read_until(b"\r\n\r\n");
    // While this one waits, others are served, and the upstream has not got rid of its 64 MB.
    let others = (0..20).map(|_| gateway.get("/health").status);
    assert!(others.into_iter().all(|status| status == 200));
    assert!(!sent.fired(), "64 MB fit into no buffer on the way");
    let grown = crate::support::memory::peak_bytes() - before;
    assert!(grown < 3 * held_by_the_script + (32 << 20), "{grown} bytes");
    drop(client);
    upstream.wait_connection_over(0);
    assert_eq!(gateway.row().record.outcome, "client_disconnected");
}

/// A stream may go on for long: what of it is not stored leaves nothing behind for each of its pieces.
#[test]
fn times_are_kept_of_the_pieces_that_are_stored() {
    let three_pieces = format!("body_max_bytes: {}", 3 * TEXT.len());
    for (log, timed) in [(three_pieces.as_str(), 3), ("bodies: metadata", 0)] {
        let pieces = [TEXT, TEXT, TEXT, TEXT, TEXT, FINISH, DONE];
        let (script, signals) = on_signals(&pieces);
        let upstream = FakeUpstream::start(vec![script]);
        let gateway = TestGateway::with(Wanted {
            upstream: Some(upstream.base_url()),
            yaml: format!("log: {{ spool_dir: \"$DIR/spool\", {log} }}"),
            ..Wanted::default()
        });
        let mut client = ask(&gateway, "m");
        client.read_until(b"\r\n\r\n");
        for (piece, signal) in pieces.iter().zip(&signals) {
            signal.fire();
            client.read_until(piece.as_bytes());
        }
        let row = gateway.row().record;
        assert_eq!(row.outcome, "ok", "{log}");
        assert!(row.longest_gap_ms.is_some(), "{log}");
        let times = row.payload.and_then(|payload| payload.chunk_times);
        let found = times.map_or(0, |times| times.split(';').count());
        assert_eq!(found, timed, "{log}");
    }
}

/// No pool, no limit of connections stands in the way of many streams on one worker.
#[test]
fn two_hundred_streams_at_once() {
    let gateway = TestGateway::start();
    let mut clients: Vec<RawClient> = (0..200).map(|_| ask(&gateway, "mock-s2-stall-1")).collect();
    for client in &mut clients {
        client.read_until(b"w000000");
    }
    let mock = gateway.mock.as_ref().expect("a mock");
    assert_eq!(mock.stats().open_streams, 200);
    assert_eq!(gateway.chat("mock", "").status, 200);
    drop(clients);
    wait_until("the upstream's streams are closed", || {
        mock.stats().open_streams == 0
    });
    let rows = gateway.rows();
    let left = rows
        .iter()
        .filter(|row| row.record.outcome == "client_disconnected")
        .count();
    assert_eq!((rows.len(), left), (201, 200));
}
