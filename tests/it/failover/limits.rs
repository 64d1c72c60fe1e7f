//! How often, how long and how many others are tried.

use std::time::{Duration, Instant};

use aiproxy::cli::mock::{Mock, MockHandle};

use super::{answer_of, pair, pair_at, seen, wire};
use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{TestGateway, Wanted, chat_body};
use crate::support::raw_client::{exchange, post, request};
use crate::support::signal::Signal;
use crate::support::wire::STREAM;

fn failing(status: &str) -> FakeUpstream {
    FakeUpstream::answering(wire(status, "", r#"{"error":{"message":"no"}}"#))
}

fn good() -> FakeUpstream {
    FakeUpstream::answering(wire("200 OK", "", &answer_of("m")))
}

/// A gateway whose model `fast` has these targets, one after the other, `m` at each.
fn row_of(upstreams: &[FakeUpstream], more: &str) -> TestGateway {
    let (mut provider, mut targets) = (String::new(), String::new());
    for (index, upstream) in upstreams.iter().enumerate() {
        let name = match index {
            0 => "openai".to_owned(),
            _ => {
                let name = format!("p{index}");
                provider += &format!(
                    "  - {{ name: {name}, kind: openai, base_url: \"{}\", api_keys: [{{ key: sk-other-0123456789 }}] }}\n",
                    upstream.base_url()
                );
                name
            }
        };
        targets += &format!("      - {{ provider: {name}, model: m, tier: {index} }}\n");
    }
    TestGateway::with(Wanted {
        upstream: Some(upstreams[0].base_url()),
        provider,
        yaml: format!("models:\n  fast:\n    targets:\n{targets}{more}"),
        ..Wanted::default()
    })
}

fn mock() -> MockHandle {
    Mock::start(([127, 0, 0, 1], 0).into()).expect("a mock")
}

#[test]
fn f28_no_more_than_so_many_are_tried() {
    for (more, most) in [
        ("", 3),
        ("routing: { max_attempts: 1 }\n", 1),
        ("routing: { max_attempts: 4 }\n", 4),
    ] {
        let upstreams = [(); 5].map(|()| failing("500 No"));
        let gateway = row_of(&upstreams, more);
        let answer = gateway.chat("fast", "");
        let attempts = most.to_string();
        assert_eq!(
            (answer.status, seen(&answer).2),
            (500, Some(attempts.as_str()))
        );
        let asked = upstreams.iter().map(FakeUpstream::connections);
        let expected = (0..5).map(|index| usize::from(index < most));
        assert!(asked.eq(expected), "{more}");
        let row = gateway.row().record;
        assert_eq!(row.tries.len(), most);
        assert!(
            row.tries
                .iter()
                .zip(1..)
                .all(|(tried, n)| tried.number == n)
        );
    }
}

#[test]
fn f28_nobody_is_tried_when_the_time_is_over() {
    for (total, status, asked) in [("0.3", 504, 0), ("9", 200, 1)] {
        let silent = FakeUpstream::start(vec![vec![Step::ReadRequest, Step::ReadToEnd]]);
        let second = good();
        let gateway = TestGateway::with(Wanted {
            upstream: Some(silent.base_url()),
            provider: format!(
                "    timeouts: {{ first_byte_s: 0.3, total_s: {total} }}\n  - {{ name: b, kind: openai, base_url: \"{}\", timeouts: {{ total_s: {total} }} }}\n",
                second.base_url()
            ),
            yaml: "models: { fast: { targets: [{ provider: openai, model: m }, { provider: b, model: m, tier: 1 }] } }\n"
                .to_owned(),
            ..Wanted::default()
        });
        let answer = gateway.chat("fast", "");
        assert_eq!((answer.status, second.connections()), (status, asked));
    }
}

#[test]
fn f28_f52_there_is_no_storm_of_tries() {
    const REQUESTS: u64 = 40;
    let mocks = [mock(), mock()];
    let [first, second] = mocks
        .each_ref()
        .map(|mock| format!("http://{}/v1", mock.addr()));
    let gateway = TestGateway::with(Wanted {
        upstream: Some(first),
        provider: format!(
            "  - {{ name: b, kind: openai, base_url: \"{second}\", api_keys: [{{ key: sk-other-0123456789 }}] }}\n"
        ),
        yaml: "models: { fast: { targets: [{ provider: openai, model: mock-err-500 }, { provider: b, model: mock-err-500 }] } }\n"
            .to_owned(),
        ..Wanted::default()
    });
    for _ in 0..REQUESTS {
        assert_eq!(gateway.chat("fast", "").status, 500);
    }
    let asked: u64 = mocks.iter().map(|mock| mock.stats().requests).sum();
    let extra = asked - REQUESTS;
    assert!((10..=REQUESTS / 5 + 10).contains(&extra), "{extra}");
    gateway.settle();
    let counted = ["openai", "b"].map(|name| {
        let metric = format!("attempts_total{{upstream=\"{name}\",result=\"upstream_error\"}}");
        gateway.metric(&metric) as u64
    });
    assert_eq!(counted.iter().sum::<u64>(), asked);
}

#[test]
fn f48_a_connection_that_ends_after_the_request_is_one_try() {
    for end in [Step::Fin, Step::Rst] {
        let first = FakeUpstream::start(vec![vec![Step::ReadRequest, end]]);
        let second = good();
        let gateway = pair(&first, &second, "");
        let answer = gateway.chat("fast", "");
        assert_eq!(seen(&answer), (200, Some("b"), Some("2")));
        assert_eq!((first.requests(), second.requests()), (1, 1));
        let row = gateway.row().record;
        let tries = row.tries.iter();
        let tries: Vec<_> = tries
            .map(|tried| (&*tried.provider, tried.skip_reason.as_deref()))
            .collect();
        assert_eq!(tries, [("openai", Some("broken")), ("b", None)]);
    }
}

#[test]
fn f48_a_stale_connection_counts_beside_the_tries_of_others() {
    let stale = vec![
        Step::ReadRequest,
        Step::Send(crate::support::wire::json(200, "", &answer_of("m"))),
        Step::ReadRequest,
        Step::Fin,
    ];
    let dead = vec![Step::ReadRequest, Step::Fin];
    let first = FakeUpstream::start(vec![stale, dead]);
    let second = good();
    let gateway = pair(&first, &second, "");
    assert_eq!(seen(&gateway.chat("fast", "")).1, Some("openai"));
    assert_eq!(seen(&gateway.chat("fast", "")), (200, Some("b"), Some("3")));
    let row = gateway.rows().pop().expect("a row").record;
    let tries = row.tries.iter();
    let reasons: Vec<_> = tries
        .map(|tried| (tried.number, tried.skip_reason.as_deref()))
        .collect();
    assert_eq!(
        reasons,
        [
            (1, Some("stale_connection")),
            (2, Some("broken")),
            (3, None)
        ]
    );
}

#[test]
fn f39_who_is_silent_is_left_and_keeps_nobody_waiting() {
    for more in ["", STREAM] {
        let silent = FakeUpstream::start(vec![vec![Step::ReadRequest, Step::ReadToEnd]]);
        let whole = good();
        let gateway = TestGateway::with(Wanted {
            upstream: Some(silent.base_url()),
            provider: format!(
                "    timeouts: {{ first_byte_s: 0.4 }}\n  - {{ name: b, kind: openai, base_url: \"{}\", api_keys: [{{ key: sk-other-0123456789 }}] }}\n",
                whole.base_url()
            ),
            yaml: "models: { fast: { targets: [{ provider: openai, model: m }, { provider: b, model: m, tier: 1 }] } }\n"
                .to_owned(),
            ..Wanted::default()
        });
        let mut waiting = gateway.connect();
        waiting.send(post("/v1/chat/completions", &chat_body("fast", more)));
        silent.wait_received(0, b"hello");
        assert_eq!(gateway.chat("b/m", "").status, 200);
        let answer = waiting.read_response();
        assert_eq!(seen(&answer), (200, Some("b"), Some("2")), "{more}");
        let rows = gateway.rows();
        let tried = rows.iter().find_map(|row| row.record.tries.first());
        let tried = tried.expect("a row with tries");
        assert_eq!(tried.skip_reason.as_deref(), Some("timeout"));
        assert!(tried.duration_ms >= 400.0, "{tried:?}");
    }
}

#[test]
fn what_flows_is_sent_once() {
    let form = "content-type: multipart/form-data; boundary=bound\r\n";
    let body =
        b"--bound\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nfast\r\n--bound--\r\n";
    let first = failing("500 No");
    let second = good();
    let gateway = pair(&first, &second, "");
    let path = "/openai/deployments/fast/audio/transcriptions?api-version=2024-10-21";
    let answer = exchange(gateway.data, request("POST", path, form, body));
    assert_eq!((answer.status, seen(&answer).2), (500, Some("1")));
    assert_eq!((first.connections(), second.connections()), (1, 0));
}

#[test]
fn f96_a_target_that_is_overloaded_is_left_alone_while_another_serves() {
    let first = FakeUpstream::answering(wire("503 No", "retry-after: 60\r\n", "{}"));
    let second = good();
    let gateway = pair(&first, &second, "");
    for _ in 0..10 {
        assert_eq!(gateway.chat("fast", "").status, 200);
    }
    assert_eq!((first.requests(), second.requests()), (1, 10));
    assert_eq!(gateway.metric(r#"upstream_health{upstream="openai"}"#), 0.5);
    assert_eq!(gateway.metric(r#"upstream_health{upstream="b"}"#), 1.0);
}

#[test]
fn f51_one_probe_finds_out_whether_somebody_is_there_again() {
    let silent = || vec![Step::ReadRequest, Step::ReadToEnd];
    let (go, answered) = (Signal::new(), wire("200 OK", "", &answer_of("m")));
    let probe = vec![
        Step::ReadRequest,
        Step::Wait(go.clone()),
        Step::Send(answered.clone().into_bytes()),
        Step::ReadToEnd,
    ];
    let well = vec![
        Step::ReadRequest,
        Step::Send(answered.into_bytes()),
        Step::ReadToEnd,
    ];
    let upstream = FakeUpstream::start(vec![silent(), silent(), probe, well]);
    let gateway = TestGateway::with(Wanted {
        upstream: Some(upstream.base_url()),
        provider: "    timeouts: { first_byte_s: 0.3 }\n".to_owned(),
        yaml: "routing: { breaker_failures: 2, breaker_open_s: 1 }\n".to_owned(),
        ..Wanted::default()
    });
    let statuses = [0; 2].map(|_| gateway.chat("m", "").status);
    assert_eq!(statuses, [504; 2]);
    // At once, and nobody is asked.
    let times = [0; 4].map(|_| {
        let since = Instant::now();
        let answer = gateway.chat("m", "");
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (503, Some("1"))
        );
        since.elapsed()
    });
    let quickest = times.into_iter().min().expect("times");
    assert!(quickest < Duration::from_millis(50), "{quickest:?}");
    assert_eq!(upstream.connections(), 2);
    let health = r#"upstream_health{upstream="openai"}"#;
    assert_eq!(gateway.metric(health), 0.0);
    crate::support::gateway::wait_until("it may be asked again", || gateway.metric(health) == 0.5);
    // Of those that come at the same time one asks.
    let mut probing = gateway.connect();
    let body = chat_body("m", "");
    probing.send(post("/v1/chat/completions", &body));
    upstream.wait_received(2, b"hello");
    for _ in 0..4 {
        assert_eq!(gateway.chat("m", "").status, 503);
    }
    assert_eq!(upstream.connections(), 3);
    go.fire();
    assert_eq!(probing.read_response().status, 200);
    assert_eq!(gateway.metric(health), 1.0);
    assert_eq!(gateway.chat("m", "").status, 200);
}

#[test]
fn a_target_whose_circuit_is_open_is_passed_over_and_counts_as_no_try() {
    let nobody = "http://127.0.0.1:1/v1";
    let second = good();
    let gateway = pair_at(
        nobody,
        &second.base_url(),
        "routing: { breaker_failures: 1 }\n",
    );
    assert_eq!(seen(&gateway.chat("fast", "")), (200, Some("b"), Some("2")));
    assert_eq!(seen(&gateway.chat("fast", "")), (200, Some("b"), Some("1")));
    let row = gateway.rows().pop().expect("a row").record;
    assert_eq!((row.attempts, &*row.outcome), (1, "ok"));
    let attempts = |metric: &str| gateway.metric(&format!("attempts_total{{upstream={metric}}}"));
    assert_eq!(attempts(r#""openai",result="upstream_error""#), 1.0);
    assert_eq!(attempts(r#""b",result="ok""#), 2.0);
}
