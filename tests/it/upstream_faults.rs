//! What upstreams do wrong before and around their answers, by the numbers of the fault list.

use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{PROVIDER_KEY, TestGateway, Wanted, chat_body};
use crate::support::raw_client::{exchange, post};
use crate::support::signal::Signal;
use crate::support::wire::{
    DONE, FINISH, STREAM, TEXT, WHOLE, answered, asked, json, mocked, scripted, stream,
};

/// Nobody reads it by calling itself: it passes, and the row is whole.
#[test]
fn f18_answers_nested_too_deep_pass() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let whole = WHOLE.replacen("{\"id\"", &format!("{{\"deep\":{deep},\"id\""), 1);
    let seen = answered(json(200, "", &whole), "");
    seen.is_exactly(&whole);
    assert_eq!(seen.row.outcome, "ok");
    let event = format!("data: {{\"deep\":{deep},\"choices\":[]}}\n\n");
    let events = format!("{event}{TEXT}{FINISH}{DONE}");
    let seen = answered(stream(&events), STREAM);
    seen.is_exactly(&events);
    assert_eq!(
        (seen.row.outcome.as_str(), seen.row.response_text.as_deref()),
        ("ok", Some("Hällo"))
    );
}

#[test]
fn f27_redirects_are_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let target = FakeUpstream::answering(json(200, "", WHOLE));
        let location = format!("location: {}/chat/completions\r\n", target.base_url());
        let seen = answered(json(status, &location, "{}"), "");
        assert_eq!(
            seen.facts(),
            (502, "upstream_redirect".into(), "upstream_error")
        );
        assert_eq!(
            (target.connections(), seen.row.upstream_status),
            (0, Some(status.into()))
        );
        assert!(seen.answer.header("location").is_none());
    }
}

#[test]
fn f28_errors_are_relayed_after_one_attempt() {
    for status in [500, 502, 503, 529] {
        let gateway = TestGateway::start();
        let seen = asked(&gateway, &format!("mock-err-{status}"), "");
        let outcome = (seen.answer.status, seen.row.outcome.as_str());
        assert_eq!(outcome, (status, "upstream_error"));
        seen.is_exactly(&seen.answer.body);
        let requests = gateway.mock.as_ref().expect("a mock").stats().requests;
        let tried = seen.row.tries.iter().map(|tried| tried.status_code);
        assert_eq!(
            (requests, tried.collect::<Vec<_>>()),
            (1, vec![Some(status)])
        );
        assert_eq!(seen.answer.header("x-aiproxy-attempts"), Some("1"));
    }
}

#[test]
fn f28_an_error_page_gets_our_shape_and_is_on_record() {
    let page = "HTTP/1.1 503 Busy\r\ncontent-type: text/html\r\nretry-after: 3\r\ncontent-length: 6\r\n\r\n<html>";
    let seen = answered(page, STREAM);
    assert_eq!(
        seen.facts(),
        (503, "upstream_error".into(), "upstream_error")
    );
    assert_eq!(seen.stored_upstream(), Some(&b"<html>"[..]));
    assert_eq!(seen.answer.header("retry-after"), Some("3"));
    assert_eq!(seen.answer.header("content-type"), Some("application/json"));
    assert_eq!(
        seen.answer.json()["request_id"],
        seen.row.request_id.as_str()
    );
}

#[test]
fn a_rate_limit_keeps_its_wait_whatever_its_body() {
    for body in [
        "slow down",
        "",
        r#"{"error":{"message":"slow","code":"rate_limit_exceeded"}}"#,
    ] {
        let head =
            "retry-after: 7\r\nretry-after-ms: 6500\r\nx-ratelimit-remaining-requests: 0\r\n";
        let seen = answered(json(429, head, body), "");
        assert_eq!(
            (seen.answer.status, seen.row.outcome.as_str()),
            (429, "rate_limited")
        );
        assert_eq!(seen.answer.header("retry-after"), Some("7"), "{body}");
        assert_eq!(seen.answer.header("retry-after-ms"), Some("6500"));
    }
}

#[test]
fn f29_wrong_requests_are_relayed_as_they_are() {
    for status in [400, 404, 409, 413, 422] {
        let body = r#"{"error": {"message":"no","type":"invalid_request_error","code":"x9"}}"#;
        let seen = answered(json(status, "x-request-id: req_1\r\n", body), "");
        seen.is_exactly(body);
        assert_eq!(seen.facts(), (status, "x9".into(), "upstream_error"));
        assert_eq!(seen.answer.header("x-request-id"), Some("req_1"));
        assert_eq!(
            (seen.row.error_code.as_deref(), seen.row.attempts),
            (Some("x9"), 1)
        );
    }
}

#[test]
fn f29_a_refusal_of_our_key_is_not_the_clients_fault() {
    for status in [401, 403] {
        let seen = answered(
            json(status, "", r#"{"error":{"code":"invalid_api_key"}}"#),
            "",
        );
        assert_eq!(
            seen.facts(),
            (502, "upstream_auth".into(), "upstream_error")
        );
        assert_eq!(seen.row.upstream_status, Some(status.into()));
        assert!(seen.stored_upstream().is_some());
    }
}

#[test]
fn f29_a_refusal_of_the_clients_own_key_passes() {
    for status in [401, 403] {
        let body = r#"{"error":{"message":"bad key","code":"invalid_api_key"}}"#;
        let upstream = FakeUpstream::answering(json(status, "", body));
        let gateway = TestGateway::with(Wanted {
            upstream: Some(upstream.base_url()),
            no_key: true,
            ..Wanted::default()
        });
        let seen = asked(&gateway, "m", "");
        seen.is_exactly(body);
        assert_eq!(
            seen.facts(),
            (status, "invalid_api_key".into(), "upstream_error")
        );
        upstream.wait_received(0, b"authorization: Bearer sk-raw\r\n");
    }
}

#[test]
fn f29_a_key_in_an_error_is_masked() {
    let body = format!(r#"{{"error":{{"message":"Incorrect key: {PROVIDER_KEY}."}}}}"#);
    let header = format!("x-debug: Bearer {PROVIDER_KEY}\r\n");
    for (status, shown) in [(400, 400), (401, 502), (500, 500)] {
        let seen = answered(json(status, &header, &body), "");
        let told = format!("{}{}", seen.answer.head, seen.answer.text());
        assert_eq!(seen.answer.status, shown);
        assert!(!told.contains(PROVIDER_KEY), "{told}");
        let row = format!("{:?}", seen.row);
        assert!(!row.contains(PROVIDER_KEY), "{row}");
        assert_eq!(seen.answer.header("x-debug"), None);
    }
}

#[test]
fn an_echoed_key_stays_in_a_good_answer_and_out_of_the_record() {
    let seen = mocked("mock-echo", "");
    assert!(
        seen.answer.text().contains(PROVIDER_KEY),
        "below 400 bytes are not touched"
    );
    assert!(!seen.answer.head.contains(PROVIDER_KEY));
    let row = format!("{:?}", seen.row);
    assert!(!row.contains(PROVIDER_KEY), "{row}");
}

#[test]
fn f30_a_good_status_with_a_wrong_type_is_no_answer() {
    for model in ["mock-html", "mock-plaintype", "mock-notype"] {
        for more in ["", STREAM] {
            let seen = mocked(model, more);
            let code = "upstream_bad_content_type";
            assert_eq!(
                seen.facts(),
                (502, code.into(), "upstream_error"),
                "{model}"
            );
            assert_eq!(seen.row.upstream_status, Some(200));
            assert!(
                seen.stored_upstream().is_some_and(|body| !body.is_empty()),
                "{model}"
            );
        }
    }
}

#[test]
fn f30_a_stream_answered_whole_is_relayed_whole() {
    let seen = mocked("mock-whole", STREAM);
    assert_eq!(seen.facts(), (200, String::new(), "ok"));
    seen.is_exactly(&seen.answer.body);
    assert_eq!(seen.answer.header("content-type"), Some("application/json"));
    assert_eq!((seen.row.stream, seen.row.chunk_count), (Some(true), None));
    assert_eq!(seen.row.prompt_tokens, Some(21));
}

#[test]
fn f39_an_upstream_that_never_answers() {
    for more in ["", STREAM] {
        let seen = scripted(
            [Step::ReadToEnd],
            "    timeouts: { first_byte_s: 0.2 }\n",
            more,
        );
        assert_eq!(
            seen.facts(),
            (504, "upstream_timeout".into(), "upstream_timeout")
        );
        assert_eq!((seen.row.attempts, seen.row.upstream_status), (1, None));
        assert_eq!(seen.row.response_complete, None);
        assert!(
            seen.row.upstream_ms.is_some_and(|ms| 200.0 <= ms),
            "{:?}",
            seen.row
        );
    }
}

#[test]
fn f39_a_stuck_upstream_keeps_nobody_else_waiting() {
    let good = [
        Step::ReadRequest,
        Step::Send(json(200, "", WHOLE)),
        Step::ReadToEnd,
    ];
    let upstream = FakeUpstream::start(vec![vec![Step::ReadRequest, Step::ReadToEnd], good.into()]);
    let gateway = TestGateway::with(Wanted {
        upstream: Some(upstream.base_url()),
        provider: "    timeouts: { first_byte_s: 2 }\n".to_owned(),
        ..Wanted::default()
    });
    let mut stuck = gateway.connect();
    stuck.send(post("/v1/chat/completions", &chat_body("m", "")));
    upstream.wait_received(0, b"hello");
    assert_eq!(gateway.chat("m", "").status, 200);
    drop(stuck);
}

#[test]
fn f45_bytes_behind_the_json_are_relayed() {
    let seen = mocked("mock-trailing", "");
    assert_eq!(seen.facts(), (200, String::new(), "ok"));
    seen.is_exactly(&seen.answer.body);
    assert!(seen.row.prompt_tokens.is_some_and(|tokens| 0 < tokens));
    let source = seen.row.usage_source.as_deref();
    assert!(
        matches!(source, Some("counted" | "estimated")),
        "what is behind it makes all of it doubtful: {source:?}"
    );
}

#[test]
fn f48_a_stale_connection_is_replaced_once() {
    let go = Signal::new();
    let first = vec![
        Step::ReadRequest,
        Step::Send(json(200, "", WHOLE)),
        Step::ReadRequest,
        Step::Fin,
    ];
    let second = vec![
        Step::ReadRequest,
        Step::Send(json(200, "", WHOLE)),
        Step::Wait(go.clone()),
    ];
    let upstream = FakeUpstream::start(vec![first, second]);
    let gateway = TestGateway::before(upstream.base_url());
    let statuses = [0; 2].map(|_| gateway.chat("m", "").status);
    go.fire();
    assert_eq!((statuses, upstream.connections()), ([200, 200], 2));
    let row = &gateway.rows()[1].record;
    let tries: Vec<_> = row
        .tries
        .iter()
        .map(|tried| {
            (
                tried.number,
                tried.skip_reason.as_deref(),
                tried.status_code,
            )
        })
        .collect();
    assert_eq!(
        tries,
        [(1, Some("stale_connection"), None), (2, None, Some(200))]
    );
    assert_eq!((row.attempts, row.outcome.as_str()), (2, "ok"));
}

#[test]
fn f48_a_fresh_connection_that_ends_is_not_retried() {
    for end in [Step::Fin, Step::Rst] {
        let upstream = FakeUpstream::start(vec![vec![Step::ReadRequest, end]]);
        let gateway = TestGateway::before(upstream.base_url());
        let seen = asked(&gateway, "m", "");
        assert_eq!(
            seen.facts(),
            (502, "upstream_disconnected".into(), "upstream_error")
        );
        assert_eq!((seen.row.attempts, upstream.connections()), (1, 1));
    }
}

#[test]
fn f48_a_half_answer_on_a_kept_connection_is_not_retried() {
    let upstream = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send(json(200, "", WHOLE)),
        Step::ReadRequest,
        Step::Send(b"HTTP/1.1 200".to_vec()),
        Step::Fin,
    ]]);
    let gateway = TestGateway::before(upstream.base_url());
    assert_eq!(gateway.chat("m", "").status, 200);
    assert_eq!(gateway.chat("m", "").status, 502);
    assert_eq!(
        (upstream.connections(), gateway.rows()[1].record.attempts),
        (1, 1)
    );
}

#[test]
fn no_upstream_at_all() {
    let upstream = FakeUpstream::answering("");
    let url = upstream.base_url();
    drop(upstream);
    let seen = asked(&TestGateway::before(url), "m", "");
    assert_eq!(
        seen.facts(),
        (502, "upstream_unreachable".into(), "upstream_error")
    );
    let seen = asked(
        &TestGateway::before("http://no-such-host.invalid/v1"),
        "m",
        "",
    );
    assert_eq!(seen.facts(), (502, "upstream_dns".into(), "upstream_error"));
    assert!(!seen.answer.text().contains("invalid/"));
}

#[test]
fn a_kept_connection_is_used_again() {
    let gateway = TestGateway::start();
    let body = chat_body("mock", "");
    for _ in 0..3 {
        exchange(gateway.data, post("/v1/chat/completions", &body));
    }
    let stats = gateway.mock.as_ref().expect("a mock").stats();
    assert_eq!((stats.requests, stats.connections), (3, 1));
    let connects = gateway
        .rows()
        .iter()
        .map(|row| row.record.connect_ms.is_some())
        .collect::<Vec<_>>();
    assert_eq!(connects, [true, false, false]);
}
