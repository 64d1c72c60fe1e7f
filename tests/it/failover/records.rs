//! What a failed try leaves behind: its entry in the row and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aiproxy::access_log::record::{LogRecord, StoredBody};
use aiproxy::filter::{
    Context, Filter, FilterError, LlmRequest, Outbox, RequestVerdict, StreamEvent, StreamRun,
    StreamVerdict,
};
use async_trait::async_trait;

use super::{CONTENT, END, ROLE, STREAM, answer_of, pair, pair_at, seen, streaming, wire};
use crate::replay::{assert_same, id_of, replay};
use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{TestGateway, Wanted, chat_body};
use crate::support::raw_client::post;

const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":2}}"#;

fn failing(head: &str) -> FakeUpstream {
    FakeUpstream::answering(wire("500 No", head, r#"{"error":{"message":"broken"}}"#))
}

fn good() -> FakeUpstream {
    FakeUpstream::answering(wire("200 OK", "", &answer_of("model-b")))
}

fn text(body: Option<StoredBody>) -> Option<String> {
    body.map(|body| body.as_text().expect("text").to_owned())
}

/// A model `fast` that is first `one`'s and then `two`'s, each of its kind.
fn kinds(one: (&str, &FakeUpstream), two: (&str, &FakeUpstream)) -> TestGateway {
    kinds_with("", one, two)
}

/// As [`kinds`], with more of a configuration.
fn kinds_with(yaml: &str, one: (&str, &FakeUpstream), two: (&str, &FakeUpstream)) -> TestGateway {
    let provider = |name: &str, (kind, upstream): (&str, &FakeUpstream)| {
        let version = if kind == "openai" { "/v1" } else { "" };
        format!(
            "  - {{ name: {name}, kind: {kind}, base_url: \"http://{}{version}\", api_keys: [{{ key: sk-{name}-0123456789abcdef }}] }}\n",
            upstream.addr()
        )
    };
    TestGateway::with(Wanted {
        provider: provider("one", one) + &provider("two", two),
        yaml: format!(
            "{yaml}models: {{ fast: {{ targets: [{{ provider: one, model: m }}, {{ provider: two, model: m, tier: 1 }}] }} }}\n"
        ),
        ..Wanted::default()
    })
}

/// The row of one chat that the second target answers.
#[track_caller]
fn row_of(gateway: &TestGateway, more: &str) -> LogRecord {
    let answer = gateway.chat("fast", more);
    assert_eq!(seen(&answer), (200, Some("two"), Some("2")));
    gateway.row().record
}

#[test]
fn a_translated_try_leaves_nothing_to_one_that_is_not() {
    let (first, second) = (failing(""), good());
    let gateway = kinds(("anthropic", &first), ("openai", &second));
    let row = row_of(&gateway, r#","logit_bias":{"1":1}"#);
    assert_eq!((row.dropped, row.error_message), (None, None));
    assert_eq!(
        (row.prompt_tokens, row.upstream_status),
        (Some(1), Some(200))
    );
    let payload = row.payload.expect("bodies");
    // The name alone is no change of the body: the row tells it.
    assert_eq!(text(payload.upstream_request_body), None);
    assert_eq!(row.target_model.as_deref(), Some("m"));
    assert_eq!(text(payload.upstream_response_body), None);
    assert_eq!(text(payload.response_body), Some(answer_of("model-b")));
}

#[test]
fn a_translated_try_has_its_own_bodies_alone() {
    let first = failing("");
    let second = FakeUpstream::answering(wire("200 OK", "", MESSAGE));
    let gateway = kinds(("openai", &first), ("anthropic", &second));
    let row = row_of(&gateway, r#","logit_bias":{"1":1}"#);
    assert_eq!(row.dropped.as_deref(), Some(r#"["logit_bias"]"#));
    assert_eq!(
        (row.prompt_tokens, row.completion_tokens),
        (Some(7), Some(2))
    );
    let payload = row.payload.expect("bodies");
    let sent = text(payload.upstream_request_body).expect("a body");
    assert!(sent.contains("max_tokens"), "{sent}");
    assert_eq!(
        text(payload.upstream_response_body).as_deref(),
        Some(MESSAGE)
    );
}

#[test]
fn two_translated_tries_are_not_mixed() {
    let first = failing("");
    let second = FakeUpstream::answering(wire("200 OK", "", MESSAGE));
    let gateway = kinds(("gemini", &first), ("anthropic", &second));
    let row = row_of(&gateway, "");
    let payload = row.payload.expect("bodies");
    let sent = text(payload.upstream_request_body).expect("a body");
    assert!(!sent.contains("contents"), "{sent}");
    assert_eq!(
        text(payload.upstream_response_body).as_deref(),
        Some(MESSAGE)
    );
    assert_eq!(row.tries[0].error_message.as_deref(), Some("broken"));
}

#[test]
fn what_a_filter_changed_stays_on_record_after_a_failed_try() {
    for first_kind in ["openai", "anthropic"] {
        let (first, second) = (failing(""), good());
        let gateway = kinds_with(
            "filters: [{ kind: model_override, model: fast }]\n",
            (first_kind, &first),
            ("openai", &second),
        );
        let answer = gateway.chat("other", "");
        assert_eq!(seen(&answer), (200, Some("two"), Some("2")));
        let row = gateway.row().record;
        let models = [&row.requested_model, &row.target_model].map(Option::as_deref);
        assert_eq!(models, [Some("other"), Some("m")], "{first_kind}");
        let sent = row
            .payload
            .and_then(|payload| payload.upstream_request_body);
        assert_eq!(text(sent), Some(chat_body("fast", "")), "{first_kind}");
    }
}

#[test]
fn tags_of_a_failed_try_go_with_it() {
    let node = "x-computing-node: QmPeer\r\n";
    for (tags, expected) in [
        ("", None),
        (
            "x-aiproxy-tags: computing_node=mine\r\n",
            Some(r#"{"computing_node":"mine"}"#),
        ),
    ] {
        let (first, second) = (failing(node), good());
        let gateway = kinds(("ocf", &first), ("openai", &second));
        let headers = format!("content-type: application/json\r\n{tags}");
        let body = chat_body("fast", "");
        let answer = gateway.send("POST", "/v1/chat/completions", &headers, body.as_bytes());
        assert_eq!(seen(&answer), (200, Some("two"), Some("2")));
        let row = gateway.row().record;
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(row.tags.as_deref().map(value), expected.map(value));
    }
}

#[test]
fn a_connection_that_never_was_has_no_time() {
    let first = failing("");
    let gateway = pair_at(&first.base_url(), "http://127.0.0.1:1/v1", "");
    let answer = gateway.chat("fast", "");
    assert_eq!(seen(&answer), (502, Some("b"), Some("2")));
    let row = gateway.row().record;
    assert_eq!((row.connect_ms, row.upstream_status), (None, None));
    assert!(row.tries[0].connect_ms.is_some(), "{row:#?}");
    let upstream_ms = row.upstream_ms.expect("a time");
    assert!(
        row.tries
            .iter()
            .all(|tried| tried.duration_ms <= upstream_ms)
    );
}

#[test]
fn who_is_passed_over_stands_in_the_row_and_is_no_try() {
    let limited = wire("429 No", "retry-after: 60\r\n", "{}");
    let (first, second) = (FakeUpstream::answering(limited), good());
    let gateway = pair(&first, &second, "");
    assert_eq!(seen(&gateway.chat("fast", "")), (200, Some("b"), Some("2")));
    assert_eq!(seen(&gateway.chat("fast", "")), (200, Some("b"), Some("1")));
    assert_eq!(first.connections(), 1);
    let row = gateway.rows().pop().expect("a row").record;
    assert_eq!((row.attempts, row.prompt_tokens), (1, Some(1)));
    let tries = row.tries.iter();
    let tries: Vec<_> = tries
        .map(|tried| (tried.number, &*tried.provider, tried.skip_reason.as_deref()))
        .collect();
    assert_eq!(
        tries,
        [(1, "openai", Some("key_cooling_down")), (2, "b", None)]
    );
    let attempts = |metric: &str| gateway.metric(&format!("attempts_total{{upstream={metric}}}"));
    assert_eq!(attempts(r#""openai",result="rate_limited""#), 1.0);
    assert_eq!(attempts(r#""b",result="ok""#), 2.0);
}

/// Where those that are left are passed over, the failure before is the answer, and its usage is none.
#[test]
fn who_is_passed_over_after_a_failure_hides_nothing_of_it() {
    let error = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n";
    let limited = wire("429 No", "retry-after: 60\r\n", "{}");
    let first = streaming(error);
    let second = FakeUpstream::answering(limited);
    let gateway = pair(&first, &second, "");
    assert_eq!(gateway.chat("fast", STREAM).status, 429);
    let answer = gateway.chat("fast", STREAM);
    assert_eq!((seen(&answer).2, answer.text()), (Some("1"), error));
    let row = gateway.rows().pop().expect("a row").record;
    assert_eq!(
        (&*row.outcome, row.provider.as_deref()),
        ("upstream_error", Some("openai"))
    );
    let tries = row.tries.iter();
    let reasons: Vec<_> = tries.map(|tried| tried.skip_reason.as_deref()).collect();
    assert_eq!(reasons, [Some("error_status"), Some("key_cooling_down")]);
    assert_eq!((row.prompt_tokens, row.completion_tokens), (None, None));
}

#[test]
fn f94_what_another_target_answered_replays_as_it_came() {
    for (whole, more) in [(true, ""), (false, STREAM)] {
        let first = failing("");
        let second = match whole {
            true => good(),
            false => streaming(&format!("{ROLE}{CONTENT}{END}")),
        };
        let gateway = pair(&first, &second, "");
        let answer = gateway.chat("fast", more);
        assert_eq!(seen(&answer), (200, Some("b"), Some("2")));
        gateway.settle();
        assert_same(&replay(&gateway, &id_of(&answer), ""), &answer);
    }
}

#[derive(Default)]
struct Count(Arc<AtomicUsize>);

#[async_trait(?Send)]
impl StreamRun for Count {
    async fn on_event(
        &mut self,
        event: StreamEvent,
        out: &mut Outbox,
    ) -> Result<StreamVerdict, FilterError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        out.send(event);
        Ok(StreamVerdict::Continue)
    }
}

#[test]
fn filters_see_a_request_once_and_the_stream_that_answers() {
    let (asked, opened, events) =
        <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let (their_asked, their_opened, their_events) = (asked.clone(), opened.clone(), events.clone());
    let filter = Filter::named("count")
        .on_request(async move |_: &mut LlmRequest, _: &mut Context<'_>| {
            their_asked.fetch_add(1, Ordering::SeqCst);
            Ok(RequestVerdict::Continue)
        })
        .on_stream(move |_: &mut Context<'_>| -> Option<Box<dyn StreamRun>> {
            their_opened.fetch_add(1, Ordering::SeqCst);
            Some(Box::new(Count(their_events.clone())))
        });
    let error = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n";
    let first = streaming(&format!("{ROLE}{ROLE}{ROLE}{ROLE}{error}"));
    let second = streaming(&format!("{CONTENT}{END}"));
    let gateway = TestGateway::with(Wanted {
        upstream: Some(first.base_url()),
        provider: format!(
            "  - {{ name: b, kind: openai, base_url: \"{}\", api_keys: [{{ key: sk-second-0123456789 }}] }}\n",
            second.base_url()
        ),
        yaml: "models: { fast: { targets: [{ provider: openai, model: m }, { provider: b, model: m, tier: 1 }] } }\n"
            .to_owned(),
        extend: Some(Box::new(move |gateway| gateway.with(filter))),
        ..Wanted::default()
    });
    let answer = gateway.chat("fast", STREAM);
    assert_eq!(seen(&answer), (200, Some("b"), Some("2")));
    assert_eq!(answer.text(), format!("{CONTENT}{END}"));
    let counts = [asked, opened, events].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(counts[..2], [1, 1]);
    assert!((2..=3).contains(&counts[2]), "{counts:?}");
}

#[test]
fn f10_f11_a_client_that_leaves_ends_the_second_try() {
    let first = failing("");
    let second = FakeUpstream::start(vec![vec![Step::ReadRequest, Step::ReadToEnd]]);
    let gateway = pair(&first, &second, "");
    let mut client = gateway.connect();
    client.send(post("/v1/chat/completions", &chat_body("fast", STREAM)));
    second.wait_received(0, b"hello");
    client.reset();
    second.wait_ended(0);
    let row = gateway.row().record;
    assert_eq!(
        (&*row.outcome, row.status_code, row.attempts),
        ("client_disconnected", 499, 2)
    );
    let tries = row.tries.iter();
    let outcomes: Vec<_> = tries.map(|tried| tried.outcome.as_str()).collect();
    assert_eq!(outcomes, ["upstream_error", "client_disconnected"]);
}

#[test]
fn f10_a_client_that_left_is_no_reason_for_another_try() {
    let go = crate::support::signal::Signal::new();
    let first = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Wait(go.clone()),
        Step::Send(wire("500 No", "", "{}").into_bytes()),
        Step::ReadToEnd,
    ]]);
    let second = good();
    let gateway = pair(&first, &second, "");
    let mut client = gateway.connect();
    client.send(post("/v1/chat/completions", &chat_body("fast", "")));
    first.wait_received(0, b"hello");
    client.reset();
    gateway.breathe();
    go.fire();
    let row = gateway.row().record;
    assert_eq!((&*row.outcome, row.attempts), ("client_disconnected", 1));
    assert_eq!(second.connections(), 0);
}
