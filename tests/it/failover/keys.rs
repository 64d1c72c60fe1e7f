//! Several keys of one provider: their shares, the one that is left alone for a while, and whose key a refusal means.

use aiproxy::access_log::record::LogRecord;
use jiff::{SignedDuration, Timestamp};

use super::{STREAM, answer_of, pair, pair_at, seen, wire};
use crate::support::fake_upstream::{FakeUpstream, Script, Step};
use crate::support::gateway::{TestGateway, Wanted};
use crate::support::raw_client::post;
use crate::support::signal::Signal;
use crate::support::wire::{DONE, FINISH, STREAM_HEAD, TEXT, chunk, stream};

/// A gateway whose only provider has the keys `first` and `second`, in turns.
fn two_keys(upstream: &FakeUpstream, more: &str) -> TestGateway {
    TestGateway::with(Wanted {
        upstream: Some(upstream.base_url()),
        no_key: true,
        provider: "    api_keys:\n      - { key: sk-first-0123456789, name: first }\n      \
                   - { key: sk-second-0123456789, name: second }\n"
            .to_owned(),
        yaml: more.to_owned(),
        ..Wanted::default()
    })
}

/// One connection for each of these answers; the last one for all that follow.
fn each(answers: &[String]) -> FakeUpstream {
    let script = |answer: &String| {
        vec![
            Step::ReadRequest,
            Step::Send(answer.clone().into_bytes()),
            Step::ReadToEnd,
        ]
    };
    FakeUpstream::start(answers.iter().map(script).collect())
}

fn good() -> String {
    wire("200 OK", "", &answer_of("m"))
}

/// The names of the keys that were shown, one a connection.
fn shown(upstream: &FakeUpstream) -> Vec<String> {
    let all = (0..upstream.connections()).map(|connection| upstream.received(connection));
    all.map(|sent| {
        let sent = String::from_utf8(sent).expect("text");
        let (_, key) = sent.split_once("authorization: Bearer sk-").expect("a key");
        key.split('-').next().expect("a name").to_owned()
    })
    .collect()
}

/// Key and reason of each try.
fn tries(row: &LogRecord) -> Vec<(Option<&str>, Option<&str>)> {
    let tries = row.tries.iter();
    tries
        .map(|tried| (tried.provider_key.as_deref(), tried.skip_reason.as_deref()))
        .collect()
}

#[test]
fn f26_a_key_that_is_over_its_rate_is_left_alone() {
    let date = Timestamp::now() + SignedDuration::from_secs(60);
    let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT");
    for wait in [
        "retry-after: 60\r\n".to_owned(),
        "retry-after-ms: 60000\r\n".to_owned(),
        format!("retry-after: {date}\r\n"),
    ] {
        let upstream = each(&[
            wire("429 No", &wait, r#"{"error":{"message":"slow"}}"#),
            good(),
        ]);
        let gateway = two_keys(&upstream, "");
        let answer = gateway.chat("m", "");
        assert_eq!(seen(&answer), (200, Some("openai"), Some("2")), "{wait}");
        for _ in 0..6 {
            assert_eq!(seen(&gateway.chat("m", "")).2, Some("1"));
        }
        let mut expected = vec!["first"];
        expected.extend(["second"; 7]);
        assert_eq!(shown(&upstream), expected, "{wait}");
        let rows = gateway.rows();
        let first = &rows[0].record;
        assert_eq!(
            tries(first),
            [
                (Some("first"), Some("rate_limited")),
                (Some("second"), None)
            ]
        );
        assert_eq!(first.provider_key.as_deref(), Some("second"));
        let metric = r#"key_coolings_total{upstream="openai",key="first",reason="rate_limited"}"#;
        assert_eq!(gateway.metric(metric), 1.0);
        assert_eq!(gateway.metric(r#"upstream_health{upstream="openai"}"#), 1.0);
    }
}

#[test]
fn f26_a_wait_that_is_over_gives_the_key_its_turns_again() {
    let upstream = each(&[wire("429 No", "retry-after-ms: 1\r\n", "{}"), good()]);
    let gateway = two_keys(&upstream, "");
    for _ in 0..5 {
        assert_eq!(gateway.chat("m", "").status, 200);
    }
    let used = shown(&upstream);
    assert!(used[2..].iter().any(|key| key == "first"), "{used:?}");
}

#[test]
fn f26_where_no_key_is_left_the_client_is_told_and_the_next_request_tries() {
    let limited = wire(
        "429 No",
        "retry-after: 5\r\n",
        r#"{"error":{"message":"slow"}}"#,
    );
    let upstream = each(&[limited.clone(), limited, good()]);
    let gateway = two_keys(&upstream, "");
    let answer = gateway.chat("m", "");
    assert_eq!(seen(&answer), (429, Some("openai"), Some("2")));
    assert_eq!(answer.header("retry-after"), Some("5"));
    // Rather a key that cools down than none.
    assert_eq!(
        seen(&gateway.chat("m", "")),
        (200, Some("openai"), Some("1"))
    );
    assert_eq!(gateway.rows()[0].record.outcome, "rate_limited");
}

#[test]
fn f29_f53_a_refused_key_is_left_alone_and_the_next_one_answers() {
    for status in ["401 No", "403 No"] {
        let refusal = wire(status, "", r#"{"error":{"code":"invalid_api_key"}}"#);
        let upstream = each(&[refusal, good()]);
        let gateway = two_keys(&upstream, "");
        for expected in ["2", "1", "1", "1"] {
            let answer = gateway.chat("m", "");
            assert_eq!(seen(&answer), (200, Some("openai"), Some(expected)));
        }
        assert_eq!(
            shown(&upstream),
            ["first", "second", "second", "second", "second"]
        );
        let first = &gateway.rows()[0].record;
        assert_eq!(
            tries(first),
            [(Some("first"), Some("key_refused")), (Some("second"), None)]
        );
        let metric = r#"key_coolings_total{upstream="openai",key="first",reason="key_refused"}"#;
        assert_eq!(gateway.metric(metric), 1.0);
    }
}

#[test]
fn f53_a_key_that_is_revoked_leaves_its_streams_alone() {
    let go = Signal::new();
    let sending = |bytes: Vec<u8>| vec![Step::ReadRequest, Step::Send(bytes), Step::ReadToEnd];
    let begun = [STREAM_HEAD.as_bytes(), &chunk(TEXT)].concat();
    let running: Script = vec![
        Step::ReadRequest,
        Step::Send(begun),
        Step::Wait(go.clone()),
        Step::Send([chunk(FINISH), chunk(DONE), b"0\r\n\r\n".to_vec()].concat()),
        Step::ReadToEnd,
    ];
    let upstream = FakeUpstream::start(vec![
        running,
        sending(good().into_bytes()),
        sending(wire("401 No", "", "{}").into_bytes()),
        sending(good().into_bytes()),
    ]);
    let gateway = two_keys(&upstream, "");
    let mut streaming = gateway.connect();
    let body = crate::support::gateway::chat_body("m", STREAM);
    streaming.send(post("/v1/chat/completions", &body));
    streaming.read_until("Hällo".as_bytes());
    assert_eq!(seen(&gateway.chat("m", "")).2, Some("1"));
    assert_eq!(
        seen(&gateway.chat("m", "")),
        (200, Some("openai"), Some("2"))
    );
    go.fire();
    streaming.read_until(b"[DONE]");
    let used = shown(&upstream);
    assert_eq!(used, ["first", "second", "first", "second"]);
    let rows = gateway.rows();
    let stream = rows.iter().find(|row| row.record.stream == Some(true));
    let stream = &stream.expect("a stream").record;
    assert_eq!(
        (&*stream.outcome, stream.provider_key.as_deref()),
        ("ok", Some("first"))
    );
}

#[test]
fn f29_the_clients_own_key_is_nobody_elses_trouble() {
    for status in ["401 No", "403 No"] {
        let body = r#"{"error":{"message":"bad key","code":"invalid_api_key"}}"#;
        let first = FakeUpstream::answering(wire(status, "", body));
        let second = FakeUpstream::answering(good());
        let gateway = TestGateway::with(Wanted {
            upstream: Some(first.base_url()),
            no_key: true,
            provider: format!(
                "  - name: b\n    kind: openai\n    base_url: {}\n    api_keys: [{{ key: sk-second-0123456789 }}]\n",
                second.base_url()
            ),
            yaml: "models: { fast: { targets: [{ provider: openai, model: m }, { provider: b, model: m, tier: 1 }] } }\n"
                .to_owned(),
            ..Wanted::default()
        });
        let answer = gateway.chat("fast", "");
        assert_eq!((answer.text(), seen(&answer).2), (body, Some("1")));
        assert_eq!(second.connections(), 0);
    }
}

#[test]
fn f29_a_400_that_speaks_of_our_key_is_about_our_key() {
    let refused = r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#;
    let whole = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]},"finishReason":"STOP","index":0}],"modelVersion":"gem","responseId":"r1"}"#;
    let upstream = each(&[wire("400 No", "", refused), wire("200 OK", "", whole)]);
    let gateway = TestGateway::with(Wanted {
        provider: format!(
            "  - name: google\n    kind: gemini\n    base_url: http://{}\n    models: {{ list: [gem] }}\n    \
             api_keys: [{{ key: sk-first-0123456789, name: first }}, {{ key: sk-second-0123456789, name: second }}]\n",
            upstream.addr()
        ),
        ..Wanted::default()
    });
    let answer = gateway.chat("gem", "");
    assert_eq!(seen(&answer), (200, Some("google"), Some("2")));
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "hi");
    assert_eq!(
        tries(&gateway.row().record),
        [(Some("first"), Some("key_refused")), (Some("second"), None)]
    );
}

#[test]
fn what_may_belong_to_a_key_stays_with_the_first_one() {
    let upstream = each(&[good()]);
    let gateway = two_keys(&upstream, "");
    for _ in 0..3 {
        assert_eq!(gateway.get("/v1/files").status, 200);
    }
    assert_eq!(shown(&upstream), ["first"; 3]);
}

#[test]
fn a_stream_has_a_key_too() {
    let upstream = FakeUpstream::answering(stream([TEXT, FINISH, DONE].concat()));
    let other = FakeUpstream::answering(good());
    let gateway = pair(&upstream, &other, "");
    assert_eq!(gateway.chat("fast", STREAM).status, 200);
    let row = gateway.row().record;
    assert_eq!(row.provider_key.as_deref(), Some("primary"));
}

#[test]
fn a_key_that_cools_down_is_asked_where_nobody_else_is_left() {
    // The second target is nobody's address: its circuit opens after one try.
    let limited = wire("429 No", "retry-after: 60\r\n", "{}");
    let good = wire("200 OK", "", &answer_of("model-a"));
    let first = FakeUpstream::start(vec![
        vec![
            Step::ReadRequest,
            Step::Send(limited.into_bytes()),
            Step::ReadToEnd,
        ],
        vec![
            Step::ReadRequest,
            Step::Send(good.into_bytes()),
            Step::ReadToEnd,
        ],
    ]);
    let nobody = "http://127.0.0.1:1/v1";
    let gateway = pair_at(
        &first.base_url(),
        nobody,
        "routing: { breaker_failures: 1 }\n",
    );
    assert_eq!(gateway.chat("fast", "").status, 502);
    let answer = gateway.chat("fast", "");
    assert_eq!(
        (seen(&answer), first.connections()),
        ((200, Some("openai"), Some("1")), 2)
    );
    let rows = gateway.rows();
    let tries = rows.last().expect("a row").record.tries.iter();
    let reasons: Vec<_> = tries.map(|tried| tried.skip_reason.as_deref()).collect();
    assert_eq!(
        reasons,
        [Some("key_cooling_down"), Some("circuit_open"), None]
    );
}
