//! Filters that panic, never return, keep their thread, or make what cannot be sent: by the numbers of the fault list.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aiproxy::access_log::record::LogRecord;
use aiproxy::filter::{
    Context, Endpoint, Entry, Filter, FilterError, Glob, LlmRequest, LlmResponse, OnError, Outbox,
    RequestVerdict, ResponseFilter, ResponseVerdict, StreamEvent, StreamFilter, StreamRun,
    StreamVerdict, When, WhenStreamed,
};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;

use crate::client_faults::assert_error;
use crate::filters::opening;
use crate::support::gateway::{TestGateway, Wanted, chat_body, wait_until};
use crate::support::raw_client::{RawClient, post};
use crate::support::signal::Signal;
use crate::support::wire::STREAM;

/// A gateway with one filter of the test's own.
fn with(entry: Entry) -> TestGateway {
    TestGateway::with(Wanted {
        extend: Some(Box::new(move |gateway| gateway.entry(entry))),
        ..Wanted::default()
    })
}

/// One that fails when it is asked for these models only.
fn for_models(filter: Filter, models: &str) -> Entry {
    Entry::new(filter).when(When {
        models: vec![Glob::new(models)],
        ..When::default()
    })
}

/// The record says which filter failed and how, and nothing of what it said; so does the metric.
#[track_caller]
fn assert_failed(gateway: &TestGateway, row: &LogRecord, filter: &str, kind: &str) {
    assert_eq!(row.outcome, "filter_error", "{row:#?}");
    assert_eq!(row.filtered_by.as_deref(), Some(filter));
    assert_verdict(gateway, row, "failed", filter, kind);
}

#[track_caller]
fn assert_verdict(gateway: &TestGateway, row: &LogRecord, word: &str, filter: &str, kind: &str) {
    let verdict = row.verdicts.iter().find(|one| one.verdict == word);
    let verdict = verdict.expect("a failure on record");
    let detail = verdict.detail.as_deref().unwrap_or_default();
    assert_eq!(verdict.filter, filter);
    assert!(
        detail.starts_with(&format!("{kind}:")) && !detail.contains("on purpose"),
        "{detail}"
    );
    let name = format!(r#"filter_errors_total{{filter="{filter}",kind="{kind}"}}"#);
    wait_until("it is counted", || {
        gateway.admin_get("/metrics").text().contains(&name)
    });
    assert!(1.0 <= gateway.metric(&name));
}

fn bomb() -> Filter {
    Filter::named("bomb").on_request(async |request: &mut LlmRequest, _: &mut Context<'_>| {
        assert_ne!(request.model(), Some("mock-b1"), "on purpose");
        Ok(RequestVerdict::Continue)
    })
}

#[test]
fn f78_a_panic_in_a_request_filter_is_an_error_of_that_request_alone() {
    let gateway = with(Entry::new(bomb()));
    let answer = gateway.chat("mock-b1", "");
    assert_error(&answer, 500, "api_error", "filter_error");
    assert!(!answer.text().contains("on purpose"));
    assert_eq!(gateway.chat("mock", "").status, 200);
    let rows = gateway.rows();
    assert_failed(&gateway, &rows[0].record, "bomb", "panic");
    assert_eq!(rows[1].record.outcome, "ok");
    assert_eq!(gateway.mock().stats().requests, 1);
}

#[test]
fn f78_a_filter_that_may_be_skipped_is() {
    let gateway = with(Entry::new(bomb()).on_error(OnError::Skip));
    assert_eq!(gateway.chat("mock-b1", "").status, 200);
    let row = gateway.row().record;
    assert_eq!(
        (row.outcome.as_str(), row.filtered_by.as_deref()),
        ("ok", None)
    );
    assert_verdict(&gateway, &row, "skipped", "bomb", "panic");
}

/// Panics at the event with these words.
struct BombAt(&'static str);

impl StreamFilter for BombAt {
    fn open(&self, _: &mut Context<'_>) -> Option<Box<dyn StreamRun>> {
        Some(Box::new(Self(self.0)))
    }
}

#[async_trait(?Send)]
impl StreamRun for BombAt {
    async fn on_event(
        &mut self,
        event: StreamEvent,
        out: &mut Outbox,
    ) -> Result<StreamVerdict, FilterError> {
        assert!(
            !event.data().is_some_and(|data| data.contains(self.0)),
            "on purpose"
        );
        out.send(event);
        Ok(StreamVerdict::Continue)
    }
}

#[test]
fn f79_a_panic_in_a_stream_filter_ends_the_stream_with_an_error() {
    let gateway = with(Entry::new(
        Filter::named("bomb").on_stream(BombAt("w000001")),
    ));
    let since = Instant::now();
    let answer = gateway.chat("mock-s900-d20", STREAM);
    let mock = gateway.mock();
    wait_until("the upstream is left", || mock.stats().open_streams == 0);
    assert!(
        since.elapsed() < Duration::from_secs(1),
        "{:?}",
        since.elapsed()
    );
    let text = answer.text();
    assert!(answer.complete && text.contains("w000000"), "{text}");
    assert!(
        text.contains(r#""code":"filter_error""#) && !text.contains("[DONE]"),
        "{text}"
    );
    let row = gateway.row().record;
    assert_failed(&gateway, &row, "bomb", "panic");
    assert_eq!(row.response_complete, Some(false));
    assert_eq!(row.response_text.as_deref(), Some("w000000 "));
}

/// Does this to every whole answer.
struct Spoils(fn(&mut LlmResponse));

#[async_trait(?Send)]
impl ResponseFilter for Spoils {
    fn when_streamed(&self) -> WhenStreamed {
        WhenStreamed::Skip
    }

    async fn on_response(
        &self,
        response: &mut LlmResponse,
        _: &mut Context<'_>,
    ) -> Result<ResponseVerdict, FilterError> {
        self.0(response);
        Ok(ResponseVerdict::Continue)
    }
}

#[test]
fn f79_a_panic_in_a_response_filter_takes_the_answer_s_place() {
    let spoils = Spoils(|response| assert!(response.body().is_none(), "on purpose"));
    let gateway =
        with(Entry::new(Filter::named("bomb").on_response(spoils)).on_error(OnError::Refuse));
    let answer = gateway.chat("mock", "");
    assert_error(&answer, 500, "api_error", "filter_error");
    let row = gateway.row().record;
    assert_failed(&gateway, &row, "bomb", "panic");
    let kept = row
        .payload
        .and_then(|payload| payload.upstream_response_body);
    assert!(kept.is_some_and(|body| !body.bytes.is_empty()));
}

/// Counts itself out when it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn f80_filters_that_never_return_are_timed_out_and_leave_nothing() {
    const ALL: usize = 100;
    let alive = Arc::<AtomicUsize>::default();
    let counter = alive.clone();
    let sleeper = Filter::named("sleeper").on_request(
        async move |_: &mut LlmRequest, _: &mut Context<'_>| {
            counter.fetch_add(1, Ordering::SeqCst);
            let _counted = Counted(counter.clone());
            std::future::pending().await
        },
    );
    let gateway = with(Entry::new(sleeper).timeout(Duration::from_millis(300)));
    let request = post("/v1/chat/completions", &chat_body("mock", ""));
    let mut clients: Vec<RawClient> = (0..ALL).map(|_| gateway.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(&request));
    for client in &mut clients {
        assert_error(&client.read_response(), 504, "api_error", "filter_timeout");
    }
    let rows = gateway.rows();
    assert_eq!((rows.len(), alive.load(Ordering::SeqCst)), (ALL, 0));
    for row in &rows {
        assert_failed(&gateway, &row.record, "sleeper", "timeout");
    }
}

#[test]
fn f81_blocking_work_runs_beside_the_worker() {
    let gateway = with(Entry::new(Filter::named("digger").on_request(
        async |_: &mut LlmRequest, cx: &mut Context<'_>| {
            let here = std::thread::current().id();
            let there = cx.blocking(|| std::thread::current().id()).await?;
            if here == there {
                return Err(FilterError::new("on the worker itself"));
            }
            Ok(RequestVerdict::Continue)
        },
    )));
    assert_eq!(gateway.chat("mock", "").status, 200);
}

#[test]
fn f81_with_every_place_taken_only_that_filter_s_requests_fail() {
    const PLACES: usize = 4;
    let (go, begun) = (Signal::new(), Arc::<AtomicUsize>::default());
    let (theirs, counter) = (go.clone(), begun.clone());
    let digger = Filter::named("digger").on_request(
        async move |_: &mut LlmRequest, cx: &mut Context<'_>| {
            let (go, begun) = (theirs.clone(), counter.clone());
            cx.blocking(move || {
                begun.fetch_add(1, Ordering::SeqCst);
                go.wait();
            })
            .await?;
            Ok(RequestVerdict::Continue)
        },
    );
    let gateway = with(for_models(digger, "mock-b*").timeout(Duration::from_secs(15)));
    let stuck: Vec<RawClient> = (0..PLACES)
        .map(|_| {
            let mut client = gateway.connect();
            client.send(post("/v1/chat/completions", &chat_body("mock-b10", "")));
            client
        })
        .collect();
    wait_until("every place is taken", || {
        begun.load(Ordering::SeqCst) == PLACES
    });
    let since = Instant::now();
    let refused = gateway.chat("mock-b10", "");
    assert_error(&refused, 503, "api_error", "filter_busy");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let waited = since.elapsed();
    assert!(
        (1.0..3.0).contains(&waited.as_secs_f64()),
        "a second in the queue, not {waited:?}"
    );
    assert_eq!(gateway.chat("mock", "").status, 200, "others pass");
    go.fire();
    for mut client in stuck {
        assert_eq!(client.read_response().status, 200);
    }
    assert_eq!(
        gateway.chat("mock-b10", "").status,
        200,
        "the places are free again"
    );
    let refused = gateway.rows().into_iter().map(|row| row.record);
    let refused = refused
        .filter(|row| row.outcome != "ok")
        .collect::<Vec<_>>();
    assert_eq!(refused.len(), 1);
    assert_failed(&gateway, &refused[0], "digger", "pool_full");
}

#[test]
fn f81_a_filter_that_keeps_its_thread_is_reported_and_ends_its_request() {
    let go = Signal::new();
    let theirs = go.clone();
    let keeper =
        Filter::named("keeper").on_request(async move |_: &mut LlmRequest, _: &mut Context<'_>| {
            theirs.wait();
            Ok(RequestVerdict::Continue)
        });
    let gateway = with(for_models(keeper, "mock-b*").timeout(Duration::from_millis(100)));
    let mut client = gateway.connect();
    let since = Instant::now();
    client.send(post("/v1/chat/completions", &chat_body("mock-b10", "")));
    wait_until("it is reported", || gateway.metric("worker_stuck") == 1.0);
    assert!(
        since.elapsed() < Duration::from_millis(1_500),
        "{:?}",
        since.elapsed()
    );
    assert_eq!(gateway.admin_get("/health").status, 200);
    go.fire();
    assert_error(&client.read_response(), 504, "api_error", "filter_timeout");
    wait_until("it is over", || gateway.metric("worker_stuck") == 0.0);
    assert_eq!(gateway.chat("mock", "").status, 200);
    assert_failed(&gateway, &gateway.rows()[0].record, "keeper", "blocked");
}

/// Does this to every request.
fn spoils(how: fn(&mut LlmRequest) -> Result<RequestVerdict, FilterError>) -> Filter {
    Filter::named("vandal")
        .on_request(async move |request: &mut LlmRequest, _: &mut Context<'_>| how(request))
}

#[test]
fn f82_what_a_request_filter_makes_is_checked() {
    type Spoil = fn(&mut LlmRequest) -> Result<RequestVerdict, FilterError>;
    let ways: [(&str, Spoil); 5] = [
        ("no model", |request| {
            request.remove("model")?;
            Ok(RequestVerdict::Continue)
        }),
        ("a model that is no text", |request| {
            request.set("model", &json!(7))?;
            Ok(RequestVerdict::Continue)
        }),
        ("no JSON", |request| {
            *request = LlmRequest::new(request.endpoint(), Bytes::from_static(b"{\"model\":"));
            Ok(RequestVerdict::Continue)
        }),
        ("another endpoint", |request| {
            *request = LlmRequest::new(Endpoint::Embeddings, request.body().clone());
            Ok(RequestVerdict::Continue)
        }),
        ("an answer that is no JSON", |request| {
            let body = Bytes::from_static(b"<html>");
            let answer = LlmResponse::from_body(request.endpoint(), 200, body);
            Ok(RequestVerdict::Answer(answer))
        }),
    ];
    for (name, way) in ways {
        let gateway = with(Entry::new(spoils(way)).on_error(OnError::Refuse));
        let answer = gateway.chat("mock", "");
        assert_eq!(answer.status, 500, "{name}: {}", answer.text());
        assert_error(&answer, 500, "api_error", "filter_invalid_output");
        assert_failed(&gateway, &gateway.row().record, "vandal", "invalid");
        let mock = gateway.mock();
        assert_eq!(mock.stats().requests, 0, "{name}");
    }
}

#[test]
fn f82_what_a_response_filter_makes_is_checked() {
    let html = Spoils(|response| {
        *response = LlmResponse::from_body(Endpoint::ChatCompletions, 200, "<html>".into());
    });
    let gateway =
        with(Entry::new(Filter::named("vandal").on_response(html)).on_error(OnError::Refuse));
    let answer = gateway.chat("mock", "");
    assert_error(&answer, 500, "api_error", "filter_invalid_output");
    assert_failed(&gateway, &gateway.row().record, "vandal", "invalid");
}

/// Holds everything back.
#[derive(Default)]
struct Hoard(Vec<StreamEvent>);

#[async_trait(?Send)]
impl StreamRun for Hoard {
    async fn on_event(
        &mut self,
        event: StreamEvent,
        _: &mut Outbox,
    ) -> Result<StreamVerdict, FilterError> {
        self.0.push(event);
        Ok(StreamVerdict::Continue)
    }
}

#[test]
fn f83_holding_back_too_much_or_too_long_is_a_failure() {
    for (model, bytes, time) in [
        ("mock-s3-stall", 1 << 20, Duration::from_millis(100)),
        ("mock-s900-d5", 2_000, Duration::from_secs(60)),
    ] {
        let miser = Entry::new(Filter::named("miser").on_stream(opening::<Hoard>));
        let gateway = with(miser.hold_back(bytes, time).on_error(OnError::Refuse));
        let answer = gateway.chat(model, STREAM);
        let text = answer.text();
        assert!(text.contains(r#""code":"filter_error""#), "{text}");
        assert_failed(&gateway, &gateway.row().record, "miser", "hold_limit");
    }
}
