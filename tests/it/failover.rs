//! Several targets for one model: who is asked when one fails, and what the client and the record see of it.

mod examples;
mod held;
mod keys;
mod limits;
mod paths;
mod records;
mod stopped;
mod strategies;
mod streams;
mod unreachable;

use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{TestGateway, Wanted};
use crate::support::raw_client::RawResponse;

/// An answer with this status line, head and body.
fn wire(status: &str, head: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n{head}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// An upstream that answers each request with an event stream, which ends with its connection.
fn streaming(events: &str) -> FakeUpstream {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send([head, events].concat().into_bytes()),
        Step::Fin,
        Step::ReadToEnd,
    ]])
}

fn answer_of(model: &str) -> String {
    format!(
        r#"{{"id":"c","object":"chat.completion","created":1,"model":"{model}","choices":[{{"index":0,"message":{{"role":"assistant","content":"hi"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}}}"#
    )
}

/// A gateway whose model `fast` is first `a`'s and then `b`'s, each at its own upstream.
fn pair(first: &FakeUpstream, second: &FakeUpstream, more: &str) -> TestGateway {
    pair_at(&first.base_url(), &second.base_url(), more)
}

fn pair_at(first: &str, second: &str, more: &str) -> TestGateway {
    TestGateway::with(Wanted {
        upstream: Some(first.to_owned()),
        provider: format!(
            "    models: {{ list: [model-a] }}\n  - name: b\n    kind: openai\n    base_url: {second}\n    models: {{ list: [model-b] }}\n    api_keys: [{{ key: sk-second-0123456789, name: second }}]\n"
        ),
        yaml: format!(
            "models:\n  fast:\n    strategy: priority\n    targets:\n      - {{ provider: openai, model: model-a }}\n      - {{ provider: b, model: model-b, tier: 1 }}\n{more}"
        ),
        ..Wanted::default()
    })
}

const STREAM: &str = r#","stream":true"#;

const CONTENT: &str =
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n";

const ROLE: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";

const END: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// Status, provider and attempts, as the client sees them.
fn seen(answer: &RawResponse) -> (u16, Option<&str>, Option<&str>) {
    (
        answer.status,
        answer.header("x-aiproxy-provider"),
        answer.header("x-aiproxy-attempts"),
    )
}

#[test]
fn f28_another_target_answers_where_one_fails() {
    for (status, head, reason) in [
        ("500 No", "", "error_status"),
        ("503 No", "retry-after: 3\r\n", "error_status"),
        ("529 No", "", "error_status"),
        ("429 No", "retry-after: 7\r\n", "rate_limited"),
        ("401 No", "", "key_refused"),
        ("302 No", "location: /else\r\n", "broken"),
    ] {
        let bad = FakeUpstream::answering(wire(
            status,
            head,
            r#"{"error":{"message":"down for now"}}"#,
        ));
        let good = FakeUpstream::answering(wire("200 OK", "", &answer_of("model-b")));
        let gateway = pair(&bad, &good, "");
        let answer = gateway.chat("fast", "");
        assert_eq!(seen(&answer), (200, Some("b"), Some("2")), "{status}");
        assert_eq!(answer.text(), answer_of("model-b"));
        let row = gateway.row().record;
        assert_eq!((&*row.outcome, row.attempts), ("ok", 2));
        assert_eq!(row.requested_model.as_deref(), Some("fast"));
        assert_eq!(row.model.as_deref(), Some("model-b"));
        assert_eq!(row.provider_key.as_deref(), Some("second"));
        let [first, second] = &*row.tries else {
            panic!("{:?}", row.tries)
        };
        let status: Option<u16> = status.get(..3).and_then(|digits| digits.parse().ok());
        assert_eq!((&*first.provider, first.status_code), ("openai", status));
        assert_eq!(first.skip_reason.as_deref(), Some(reason));
        assert_eq!((second.status_code, &*second.provider), (Some(200), "b"));
        let sent = String::from_utf8(good.received(0)).expect("text");
        assert!(sent.contains(r#""model":"model-b""#), "{sent}");
    }
}

#[test]
fn f29_the_clients_own_errors_are_told_and_nobody_else_is_asked() {
    for status in ["400 No", "404 No", "409 No", "413 No", "422 No"] {
        let body = r#"{"error":{"message":"no","code":"x9"}}"#;
        let first = FakeUpstream::answering(wire(status, "", body));
        let second = FakeUpstream::answering(wire("200 OK", "", &answer_of("model-b")));
        let gateway = pair(&first, &second, "");
        let answer = gateway.chat("fast", "");
        assert_eq!((answer.text(), second.connections()), (body, 0), "{status}");
        assert_eq!(seen(&answer).2, Some("1"));
    }
}

#[test]
fn f28_the_last_failure_is_the_answer_and_every_try_is_on_record() {
    let first = FakeUpstream::answering(wire("500 No", "", r#"{"error":{"message":"one"}}"#));
    let body = r#"{"error":{"message":"two"}}"#;
    let second = FakeUpstream::answering(wire("503 No", "", body));
    let gateway = pair(&first, &second, "");
    let answer = gateway.chat("fast", "");
    assert_eq!(
        (seen(&answer), answer.text()),
        ((503, Some("b"), Some("2")), body)
    );
    let row = gateway.row().record;
    assert_eq!(
        (&*row.outcome, row.upstream_status),
        ("upstream_error", Some(503))
    );
    let tries = row.tries.iter();
    let said: Vec<_> = tries.map(|tried| tried.error_message.as_deref()).collect();
    assert_eq!(said[0], Some("one"));
    assert_eq!(said.len(), 2);
}

#[test]
fn f26_after_several_the_client_is_told_the_soonest_time() {
    let first = FakeUpstream::answering(wire("429 No", "retry-after: 30\r\n", "{}"));
    let second = FakeUpstream::answering(wire("429 No", "retry-after-ms: 6500\r\n", "{}"));
    let gateway = pair(&first, &second, "");
    let answer = gateway.chat("fast", "");
    assert_eq!(seen(&answer), (429, Some("b"), Some("2")));
    assert_eq!(answer.header("retry-after"), Some("7"));
    assert_eq!(answer.header("retry-after-ms"), None);
    assert_eq!(gateway.row().record.outcome, "rate_limited");
}

#[test]
fn f38_a_stream_that_fails_before_its_content_is_asked_for_elsewhere() {
    let error = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n";
    for (events, reason) in [
        (error.to_owned(), "error_status"),
        (format!("{ROLE}{error}"), "error_status"),
        (": ping\n\n".to_owned(), "broken"),
        (ROLE.to_owned(), "broken"),
        (String::new(), "broken"),
    ] {
        let first = streaming(&events);
        let second = streaming(&format!("{ROLE}{CONTENT}{END}"));
        let gateway = pair(&first, &second, "");
        let answer = gateway.chat("fast", STREAM);
        assert_eq!(seen(&answer), (200, Some("b"), Some("2")), "{events:?}");
        assert_eq!(answer.text(), format!("{ROLE}{CONTENT}{END}"));
        let row = gateway.row().record;
        assert_eq!((&*row.outcome, row.tries.len()), ("ok", 2));
        assert_eq!(row.tries[0].skip_reason.as_deref(), Some(reason));
        assert_eq!(row.response_text.as_deref(), Some("hi"));
    }
}

#[test]
fn f38_after_its_first_content_a_stream_is_nobody_elses() {
    let first = streaming(CONTENT);
    let second = streaming(END);
    let gateway = pair(&first, &second, "");
    let answer = gateway.chat("fast", STREAM);
    assert_eq!((seen(&answer).2, second.connections()), (Some("1"), 0));
    assert!(
        answer.text().contains("upstream_truncated"),
        "{}",
        answer.text()
    );
    assert_eq!(gateway.row().record.outcome, "upstream_truncated");
}

#[test]
fn a_stream_that_fails_everywhere_is_given_as_the_last_one_came() {
    let error = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n";
    let (first, second) = (streaming(error), streaming(error));
    let gateway = pair(&first, &second, "");
    let answer = gateway.chat("fast", STREAM);
    assert_eq!(
        (seen(&answer), answer.text()),
        ((200, Some("b"), Some("2")), error)
    );
    assert_eq!(gateway.row().record.outcome, "upstream_error");
}

#[test]
fn f51_where_nobody_can_be_reached_the_answer_is_quick() {
    let nobody = "http://127.0.0.1:1/v1";
    let gateway = pair_at(nobody, nobody, "routing: { breaker_failures: 2 }\n");
    for _ in 0..2 {
        let answer = gateway.chat("fast", "");
        assert_eq!(seen(&answer), (502, Some("b"), Some("2")));
    }
    let answer = gateway.chat("fast", "");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["error"]["code"], "no_upstream_available");
    let wait: u32 = answer
        .header("retry-after")
        .expect("a wait")
        .parse()
        .expect("a number");
    assert!((1..=10).contains(&wait));
    let rows = gateway.rows();
    let row = &rows.last().expect("a row").record;
    assert_eq!((&*row.outcome, row.attempts), ("upstream_error", 0));
    let reasons = row.tries.iter().map(|tried| tried.skip_reason.as_deref());
    assert_eq!(reasons.collect::<Vec<_>>(), [Some("circuit_open"); 2]);
}
