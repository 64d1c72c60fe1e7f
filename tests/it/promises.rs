//! The promises of the design over real sockets, by their numbers.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{TestGateway, Wanted, chat_body, wait_until};
use crate::support::wire::{
    DONE, FINISH, LAST_CHUNK, STREAM, STREAM_HEAD, TEXT, USAGE, WHOLE, asked, chunk, json,
};

/// One event of a stream, usual or odd, and what the client gets of it.
fn event() -> impl Strategy<Value = (String, bool)> {
    prop_oneof![
        4 => Just((TEXT.to_owned(), true)),
        1 => Just((TEXT.replace('\n', "\r\n"), true)),
        1 => Just((": comment\n".to_owned(), true)),
        1 => "[a-zä😀\"\\\\{}: ]{0,40}".prop_map(|text| (format!("event: x\ndata: {text}!\n\n"), true)),
        1 => Just((USAGE.to_owned(), false)),
    ]
}

/// P1: whatever the chunks and whatever the segments, bytes out are bytes in; what we asked for goes out again. P9: and
/// so they replay.
#[test]
fn p1_p9_bytes_out_are_bytes_in_and_replay() {
    let config = Config {
        cases: 48,
        ..Config::default()
    };
    let gateway_to = |upstream: &FakeUpstream| TestGateway::before(upstream.base_url());
    let case = (
        prop::collection::vec(event(), 0..8),
        prop::collection::vec(1_usize..90, 1..20),
        1_usize..200,
    );
    let run = |(events, sizes, segment): (Vec<(String, bool)>, Vec<usize>, usize)| {
        let ending = format!("{FINISH}{DONE}");
        let wire: String = events
            .iter()
            .map(|(event, _)| event.as_str())
            .collect::<String>()
            + &ending;
        let kept = events
            .iter()
            .filter(|(_, kept)| *kept)
            .map(|(event, _)| event.as_str());
        let expected = kept.collect::<String>() + &ending;
        let mut bytes = STREAM_HEAD.as_bytes().to_vec();
        let mut rest = wire.as_bytes();
        for size in sizes.iter().cycle() {
            let (piece, after) = rest.split_at(rest.len().min(*size));
            bytes.extend(chunk(piece));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        bytes.extend_from_slice(LAST_CHUNK.as_bytes());
        let upstream = FakeUpstream::start(vec![vec![
            Step::ReadRequest,
            Step::SendSplit(bytes, segment),
            Step::ReadToEnd,
        ]]);
        let gateway = gateway_to(&upstream);
        let seen = asked(&gateway, "m", STREAM);
        seen.is_exactly(&expected);
        prop_assert_eq!(&seen.row.outcome, "ok");
        let again = format!("/api/exchanges/{}/replay", seen.row.request_id);
        prop_assert_eq!(gateway.admin_get(&again).body, seen.answer.body);
        let texts = events
            .iter()
            .filter(|(event, _)| event.contains("Hällo"))
            .count();
        let text = seen.row.response_text.unwrap_or_default();
        prop_assert_eq!(text, "Hällo".repeat(texts));
        let asked_usage = events.iter().any(|(_, kept)| !kept);
        prop_assert_eq!(
            seen.row.usage_source.as_deref() == Some("upstream"),
            asked_usage
        );
        Ok(())
    };
    TestRunner::new(config)
        .run(&case, run)
        .unwrap_or_else(|error| panic!("{error}"));
}

/// P1 the other way: the request goes out as it came, but for what we ask for on our own account.
#[test]
fn p1_requests_go_out_as_they_came() {
    let gateway = TestGateway::start();
    let bodies = [
        "{ \"model\" : \"mock\",\n \"n\":1.0e0, \"x\":12345678901234567890, \"messages\":[{\"role\":\"user\",\"content\":\"\\ud83d\\ude00 \\u00e4 ä\"}] }",
        r#"{"messages":[],"unknown":{"b":1,"a":[null,true,1e400]},"model":"mock"}"#,
    ];
    for body in bodies {
        assert_eq!(gateway.post("/v1/chat/completions", body).status, 200);
    }
    let requests = gateway.mock.as_ref().expect("a mock").requests();
    let got: Vec<&[u8]> = requests.iter().map(|request| &request.body[..]).collect();
    assert_eq!(got, bodies.map(str::as_bytes));
    let streamed = chat_body("mock-s2", STREAM);
    gateway.post("/v1/chat/completions", &streamed);
    let last = gateway
        .mock
        .as_ref()
        .expect("a mock")
        .requests()
        .pop()
        .expect("a request");
    let sent = std::str::from_utf8(&last.body).expect("text");
    let asked = r#""stream_options":{"include_usage":true}"#;
    assert_eq!(
        sent.replace(&format!(",{asked}"), "")
            .replace(&format!("{asked},"), ""),
        streamed
    );
}

/// P2: every exchange is somewhere at every moment, and in exactly one row at the end.
#[test]
fn p2_every_exchange_has_one_row() {
    let gateway = TestGateway::with(Wanted {
        provider: "    timeouts: { first_byte_s: 0.3, idle_s: 0.3 }\n".to_owned(),
        ..Wanted::default()
    });
    let models = [
        "mock",
        "mock-err-500",
        "mock-err-429",
        "mock-cut",
        "mock-eof",
        "mock-stall-1",
        "mock-slow-5000",
        "mock-hangup",
        "mock-reset",
        "mock-html",
        "mock-redirect",
    ];
    let mut expected = 0;
    std::thread::scope(|scope| {
        for model in models {
            for more in ["", STREAM] {
                let gateway = &gateway;
                let data = gateway.data;
                expected += 1;
                scope.spawn(move || {
                    let request = crate::support::raw_client::post(
                        "/v1/chat/completions",
                        &chat_body(model, more),
                    );
                    crate::support::raw_client::exchange(data, request)
                });
            }
        }
        let left = crate::support::raw_client::RawClient::connect(gateway.data);
        drop(left);
    });
    let rows = gateway.rows();
    let ids: std::collections::HashSet<&str> = rows
        .iter()
        .map(|row| row.record.request_id.as_str())
        .collect();
    assert_eq!((rows.len(), ids.len()), (expected, expected));
    let metrics = gateway.admin_get("/metrics").text().to_owned();
    let value = |name: &str| {
        let line = metrics
            .lines()
            .find(|line| line.starts_with(&format!("aiproxy_log_{name} ")));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
    };
    assert_eq!(value("accepted_total"), Some(expected as f64), "{metrics}");
    assert_eq!(value("stored_total"), Some(expected as f64));
    assert_eq!(
        (value("open"), value("queued"), value("spooled")),
        (Some(0.0), Some(0.0), Some(0.0))
    );
}

/// P3: a row whose client saw the end is there after a stop without a database, and a start with one.
#[test]
fn p3_rows_outlive_a_process_without_a_database() {
    let dir = tempfile::TempDir::new().expect("a folder");
    let away = dir.path().join("away");
    let wanted = || Wanted {
        database_url: Some(format!("sqlite:///{}/test.db", away.display())),
        ..Wanted::default()
    };
    let gateway = TestGateway::in_dir(dir, wanted());
    let answers = ["mock", "mock-s3"].map(|model| gateway.chat(model, STREAM));
    let dir = gateway.stop();
    std::fs::create_dir(&away).expect("a folder");
    let gateway = TestGateway::in_dir(dir, wanted());
    wait_until("the rows of the earlier process are there", || {
        gateway.metric_sum("aiproxy_log_stored_total") == 2
    });
    let ids: Vec<String> = gateway
        .rows_now()
        .into_iter()
        .map(|row| row.record.request_id)
        .collect();
    let told = answers
        .each_ref()
        .map(|answer| answer.header("x-aiproxy-request-id").expect("an id"));
    assert_eq!(ids, told);
    // Observers are shown the exchanges of their own process only: the usual check at the end does not fit.
    gateway.stop();
}

/// P4: a database that is broken from the start, or breaks later, is nothing that clients see.
#[test]
fn p4_clients_see_nothing_of_a_broken_database() {
    let dir = tempfile::TempDir::new().expect("a folder");
    let file = dir.path().join("test.db");
    std::fs::create_dir(&file).expect("a folder in the file's place");
    let gateway = TestGateway::in_dir(dir, Wanted::default());
    for more in ["", STREAM] {
        let answer = gateway.chat("mock", more);
        assert!(answer.status == 200 && answer.complete);
    }
    assert_eq!(
        gateway.get("/readyz").status,
        200,
        "a dead log store does not make it unready"
    );
    std::fs::remove_dir(&file).expect("it is empty");
    assert_eq!(gateway.rows().len(), 2);
}

/// P7: what is not known is NULL, never 0.
#[test]
fn p7_unknown_is_null() {
    let refused = asked(&TestGateway::start(), "mock-err-500", "").row;
    let numbers = [
        refused.prompt_tokens,
        refused.completion_tokens,
        refused.total_tokens,
        refused.cached_tokens,
        refused.reasoning_tokens,
        refused.cost_nano_usd,
        refused.chunk_count,
    ];
    assert_eq!(numbers, [None; 7]);
    assert_eq!(
        (refused.usage_source.as_deref(), refused.finish_reason),
        (Some("none"), None)
    );
    assert_eq!(
        (
            refused.first_token_ms,
            refused.longest_gap_ms,
            refused.filter_ms,
            refused.output_tokens_per_s
        ),
        (None, None, None, None)
    );
    let upstream = FakeUpstream::answering(json(
        200,
        "",
        &WHOLE.replace("\"completion_tokens\":2", "\"completion_tokens\":0"),
    ));
    let zero = asked(&TestGateway::before(upstream.base_url()), "m", "").row;
    assert_eq!(
        (zero.completion_tokens, zero.cached_tokens),
        (Some(0), None),
        "a reported 0 is 0"
    );
    let unread = asked(&TestGateway::before("http://127.0.0.1:1/v1"), "m", "").row;
    assert_eq!(
        (
            unread.upstream_status,
            unread.response_complete,
            unread.connect_ms
        ),
        (None, None, None)
    );
}

/// P8: what the proxy added is told to the client and stands in the row.
#[test]
fn p8_overhead_is_told() {
    for (model, more) in [
        ("mock-slow-200", ""),
        ("mock-s3-slow-200", STREAM),
        ("mock-err-404", ""),
    ] {
        let seen = asked(&TestGateway::start(), model, more);
        let timing = seen.answer.header("server-timing").expect("a header");
        let part = |name: &str| {
            let entry = timing
                .split(", ")
                .find_map(|entry| entry.strip_prefix(name));
            entry.and_then(|text| text.strip_prefix(";dur=")?.parse::<f64>().ok())
        };
        let (own, upstream) = (
            part("aiproxy").expect("ours"),
            part("upstream").expect("theirs"),
        );
        let least = if model.contains("slow") { 200.0 } else { 0.0 };
        assert!(own < 150.0 && least <= upstream, "{timing}");
        let row = &seen.row;
        assert!(
            row.overhead_ms.is_some_and(|ms| 0.0 < ms && ms < 200.0),
            "{row:?}"
        );
        assert!(row.upstream_ms.is_some_and(|ms| least <= ms));
        assert_eq!(seen.answer.header("x-aiproxy-provider"), Some("openai"));
        assert_eq!(seen.answer.header("x-aiproxy-model"), Some(model));
        assert_eq!(
            seen.answer.header("x-aiproxy-request-id"),
            Some(row.request_id.as_str())
        );
    }
}

/// P9: an exchange replays byte for byte, at once or in its own time.
#[test]
fn p9_replays_are_the_same() {
    let gateway = TestGateway::start();
    for (model, more, least_ms) in [
        ("mock-s4-d60", STREAM, 240.0),
        ("mock-utf8-s3", STREAM, 0.0),
        ("mock", "", 0.0),
        ("mock-err-404", "", 0.0),
    ] {
        let first = gateway.chat(model, more);
        gateway.settle();
        let id = first.header("x-aiproxy-request-id").expect("an id");
        for speed in ["0", "1", "4"] {
            let path = format!(
                "/v1/chat/completions\r\nx-aiproxy-replay: {id}\r\nx-aiproxy-replay-speed: {speed}"
            );
            let (path, headers) = path.split_once("\r\n").expect("headers");
            let request = format!(
                "POST {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\ncontent-length: 0\r\n\r\n"
            );
            let again = crate::support::raw_client::exchange(gateway.data, request);
            assert_eq!(
                (again.status, &again.body),
                (first.status, &first.body),
                "{model} {speed}"
            );
            assert_eq!(again.header("content-type"), first.header("content-type"));
            assert_eq!(again.header("x-aiproxy-replayed"), Some(id));
            let row = gateway.rows().pop().expect("a row").record;
            assert_eq!(
                (row.outcome.as_str(), row.replay_of.as_deref()),
                ("replayed", Some(id))
            );
            let factor = match speed {
                "1" => 1.0,
                "4" => 0.25,
                _ => 0.0,
            };
            let took_ms = row.duration_ms.expect("a duration");
            assert!(
                least_ms * factor <= took_ms,
                "{model} at {speed} took {took_ms} ms"
            );
            assert!(speed != "0" || took_ms < 200.0, "at once: {took_ms} ms");
        }
    }
    let mock = gateway.mock.as_ref().expect("a mock");
    assert_eq!(mock.stats().requests, 4, "a replay asks nobody");
}
