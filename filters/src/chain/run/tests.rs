//! A chain's way in and out: order, time limits, faults, policies. Over 400 lines: each fault is tried in each phase
//! with the same few filters, which would be written again in every file.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::testing::{ExchangeBuilder, FakeClock, Reply, RequestDone, capabilities};
use crate::{
    BlockingError, BlockingJob, BlockingOutput, BlockingPool, Context, Endpoint, Failure,
    FailureKind, Filter, FilterError, Glob, OnError, Refusal, RequestVerdict, ResponseFilter,
    ResponseVerdict, When, WhenStreamed,
};

type RequestResult = Result<RequestVerdict, FilterError>;

/// Writes its name into the request's `trail`, and into the reply's text on the way out.
pub(super) fn trail(name: &'static str) -> Filter {
    Filter::named(name)
        .on_request(async move |request: &mut LlmRequest, _: &mut Context<'_>| {
            let trail = request.string("trail").unwrap_or_default();
            request.set("trail", &json!(trail + name))?;
            Ok(RequestVerdict::Continue)
        })
        .on_response(Append(name))
}

fn answers(text: &'static str) -> Filter {
    Filter::named("answers").on_request(async move |_: &mut LlmRequest, _: &mut Context<'_>| {
        RequestResult::Ok(RequestVerdict::answer(text))
    })
}

#[derive(Clone)]
struct Append(&'static str);

#[async_trait(?Send)]
impl ResponseFilter for Append {
    fn when_streamed(&self) -> WhenStreamed {
        if self.0 == "buffer" {
            WhenStreamed::Buffer
        } else {
            WhenStreamed::Skip
        }
    }

    async fn on_response(
        &self,
        response: &mut LlmResponse,
        cx: &mut Context<'_>,
    ) -> Result<ResponseVerdict, FilterError> {
        *cx.scratch::<usize>() += 1;
        match self.0 {
            "panic" => panic!("a secret text"),
            "refuse" => return Ok(ResponseVerdict::Refuse(Refusal::new("no"))),
            "formless" => *response = LlmResponse::answer("lost"),
            "status" => {
                let body = response.body().cloned().unwrap_or_default();
                *response = LlmResponse::from_body(Endpoint::ChatCompletions, 500, body);
            }
            "html" => {
                let body = Bytes::from_static(b"<html>");
                *response = LlmResponse::from_body(Endpoint::ChatCompletions, 200, body);
            }
            name => {
                response.map_texts(&mut |text| Some(format!("{text}{name}")))?;
            }
        }
        Ok(ResponseVerdict::Continue)
    }
}

async fn through(filters: impl IntoIterator<Item = Filter>, body: &str) -> RequestDone {
    let entries = filters.into_iter().map(Entry::new).collect();
    ExchangeBuilder::chat_text(body)
        .request_through(entries)
        .await
}

fn words(done: &RequestDone) -> Vec<(&str, &'static str)> {
    done.verdicts
        .iter()
        .map(|verdict| (&*verdict.filter, verdict.verdict.as_str()))
        .collect()
}

/// Runs a hook that spoils everything, with both policies: with `refuse` the client gets a
/// failure of this kind, with `skip` the request and the tags are as before.
async fn check_failure(filter: Filter, kind: FailureKind) {
    let body = r#"{"model":"m","stream":false}"#;
    let done = through([filter.clone()], body).await;
    assert_eq!(done.reply, Reply::Failure(kind.as_str()));
    assert_eq!(words(&done), [(filter.name(), "failed")]);
    let detail = done.verdicts[0].detail.clone().unwrap();
    assert!(
        detail.starts_with(kind.as_str()) && !detail.contains("secret"),
        "{detail}"
    );
    let skipping = Entry::new(filter.clone()).on_error(OnError::Skip);
    let entries = vec![skipping, Entry::new(trail("after"))];
    let done = ExchangeBuilder::chat_text(body)
        .request_through(entries)
        .await;
    assert_eq!(done.reply, Reply::Continue);
    assert_eq!(
        done.request.body(),
        r#"{"model":"m","stream":false,"trail":"after"}"#
    );
    assert!(done.tags.is_empty());
    assert_eq!(
        words(&done),
        [(filter.name(), "skipped"), ("after", "changed")]
    );
}

fn spoiler<H>(spoil: H) -> Filter
where
    H: AsyncFn(&mut LlmRequest, &mut Context<'_>) -> RequestResult + Send + Sync + 'static,
{
    Filter::named("spoiler").on_request(spoil)
}

#[tokio::test]
async fn inward_in_order_and_outward_in_reverse() {
    let entries = ["a", "b", "c"].map(|name| Entry::new(trail(name)));
    let exchange = ExchangeBuilder::chat_text("{}");
    let mut run = exchange.run(entries.to_vec(), FakeClock::new()).unwrap();
    let mut request = LlmRequest::new(Endpoint::ChatCompletions, Bytes::from_static(b"{}"));
    assert!(matches!(
        run.request(&mut request).await,
        RequestOutcome::Continue
    ));
    assert_eq!(request.string("trail").as_deref(), Some("abc"));
    let mut response = LlmResponse::answer("");
    let outcome = run.response(&mut response).await;
    assert!(matches!(outcome, ResponseOutcome::Continue));
    assert_eq!(response.text().as_deref(), Some("cba"));
    assert_eq!(run.verdicts().len(), 6);
}

#[tokio::test]
async fn an_answer_passes_the_response_filters_before_it_in_reverse() {
    let done = through([trail("a"), trail("b"), answers("!"), trail("c")], "{}").await;
    assert_eq!(done.reply, Reply::answer("!ba"));
    assert_eq!(done.request.string("trail").as_deref(), Some("ab"));
    let expected = [
        ("a", "changed"),
        ("b", "changed"),
        ("answers", "answered"),
        ("b", "changed"),
        ("a", "changed"),
    ];
    assert_eq!(words(&done), expected);
}

#[tokio::test]
async fn an_answer_can_be_refused_on_its_way_out() {
    let done = through([trail("refuse"), answers("!")], "{}").await;
    assert_eq!(
        done.reply,
        Reply::Refusal {
            status: None,
            message: "no".to_owned()
        }
    );
    assert_eq!(done.verdicts[2].phase, Phase::Response);
}

#[tokio::test]
async fn a_refusal_ends_the_way() {
    let refuses = spoiler(async |_, _| {
        let refusal = Refusal::new("no").with_status(403).with_reason("why");
        Ok(RequestVerdict::Refuse(refusal))
    });
    let done = through([refuses, trail("a")], "{}").await;
    assert_eq!(done.reply, Reply::refusal(403, "no"));
    assert_eq!(
        (words(&done), done.verdicts[0].detail.as_deref()),
        (vec![("spoiler", "refused")], Some("why"))
    );
}

#[tokio::test]
async fn errors_and_panics_are_for_the_policy() {
    let fails = spoiler(async |request: &mut LlmRequest, cx: &mut Context<'_>| {
        request.set_model("other")?;
        cx.tag("a", 1);
        Err(FilterError::new("no luck"))
    });
    check_failure(fails, FailureKind::Error).await;
    let panics = spoiler(async |request: &mut LlmRequest, _: &mut Context<'_>| {
        request.set_model("other")?;
        panic!("a secret text")
    });
    check_failure(panics, FailureKind::Panic).await;
}

#[tokio::test(start_paused = true)]
async fn a_filter_that_never_returns_is_dropped() {
    struct Dropped;
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    impl Drop for Dropped {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            panic!("a secret text");
        }
    }
    let waits = spoiler(async |request: &mut LlmRequest, cx: &mut Context<'_>| {
        let _dropped = Dropped;
        request.set_model("other")?;
        cx.tag("a", 1);
        std::future::pending().await
    });
    check_failure(waits, FailureKind::Timeout).await;
    assert_eq!(DROPPED.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_filter_that_keeps_its_thread_is_reported() {
    let clock = FakeClock::new();
    let slow = Arc::clone(&clock);
    let keeps = spoiler(async move |_: &mut LlmRequest, _: &mut Context<'_>| {
        slow.advance(Duration::from_secs(2));
        RequestResult::Ok(RequestVerdict::Continue)
    });
    let mut run = ExchangeBuilder::chat_text("{}")
        .run(vec![Entry::new(keeps)], clock)
        .unwrap();
    let mut request = LlmRequest::new(Endpoint::ChatCompletions, Bytes::from_static(b"{}"));
    let RequestOutcome::Stopped(stop) = run.request(&mut request).await else {
        panic!()
    };
    assert_eq!(Reply::from(&stop), Reply::Failure("blocked"));
    assert_eq!(run.filter_time(), Duration::from_secs(2));
}

#[tokio::test]
async fn output_that_cannot_be_sent_is_a_failure() {
    let invalid = FailureKind::Invalid;
    check_failure(
        spoiler(async |request: &mut LlmRequest, _: &mut Context<'_>| {
            request.remove("model")?;
            Ok(RequestVerdict::Continue)
        }),
        invalid,
    )
    .await;
    check_failure(
        spoiler(async |request: &mut LlmRequest, _: &mut Context<'_>| {
            request.set("model", &json!(7))?;
            Ok(RequestVerdict::Continue)
        }),
        invalid,
    )
    .await;
    check_failure(
        spoiler(async |request: &mut LlmRequest, _: &mut Context<'_>| {
            request.set("stream", &json!(true))?;
            Ok(RequestVerdict::Continue)
        }),
        invalid,
    )
    .await;
    check_failure(
        spoiler(async |request: &mut LlmRequest, _: &mut Context<'_>| {
            *request = LlmRequest::new(Endpoint::Embeddings, request.body().clone());
            Ok(RequestVerdict::Continue)
        }),
        invalid,
    )
    .await;
    check_failure(
        spoiler(async |request: &mut LlmRequest, _: &mut Context<'_>| {
            *request = LlmRequest::new(Endpoint::ChatCompletions, Bytes::from_static(b"secret"));
            Ok(RequestVerdict::Continue)
        }),
        invalid,
    )
    .await;
    check_failure(
        spoiler(async |_: &mut LlmRequest, _: &mut Context<'_>| {
            let body = Bytes::from_static(b"{}");
            let answer = LlmResponse::from_body(Endpoint::ChatCompletions, 99, body);
            Ok(RequestVerdict::Answer(answer))
        }),
        invalid,
    )
    .await;
    check_failure(
        spoiler(async |_: &mut LlmRequest, _: &mut Context<'_>| {
            let body = Bytes::from_static(b"secret");
            let answer = LlmResponse::from_body(Endpoint::ChatCompletions, 200, body);
            Ok(RequestVerdict::Answer(answer))
        }),
        invalid,
    )
    .await;
}

#[tokio::test]
async fn an_oversized_request_is_a_failure() {
    let chain = Arc::new(Chain::new(vec![Entry::new(trail("a long name"))]).with_max_body_bytes(9));
    let selection = chain.select(Endpoint::ChatCompletions, None, None).unwrap();
    let mut run = ChainRun::new(chain, selection, info(), capabilities(FakeClock::new()));
    let mut request = LlmRequest::new(Endpoint::ChatCompletions, Bytes::from_static(b"{}"));
    let RequestOutcome::Stopped(stop) = run.request(&mut request).await else {
        panic!()
    };
    assert_eq!(Reply::from(&stop), Reply::Failure("invalid"));
}

#[tokio::test]
async fn a_key_that_stands_twice_is_malformed() {
    let done = through([trail("a")], r#"{"user":"a","user":"b"}"#).await;
    assert_eq!((done.reply, done.verdicts.len()), (Reply::Malformed, 0));
}

#[tokio::test]
async fn only_real_changes_are_changes() {
    let same =
        Filter::named("same").on_request(async |request: &mut LlmRequest, _: &mut Context<'_>| {
            request.set_model("m")?;
            Ok(RequestVerdict::Continue)
        });
    assert_eq!(
        words(&through([same.clone()], r#"{"model":"m"}"#).await),
        [("same", "passed")]
    );
    assert_eq!(
        words(&through([same], r#"{"model":"n"}"#).await),
        [("same", "changed")]
    );
}

#[tokio::test]
async fn failures_on_the_way_out() {
    for (name, on_error, expected, text) in [
        ("panic", OnError::Refuse, Reply::Failure("panic"), "b"),
        ("panic", OnError::Skip, Reply::Continue, "b"),
        ("html", OnError::Refuse, Reply::Failure("invalid"), ""),
        ("html", OnError::Skip, Reply::Continue, "b"),
        ("formless", OnError::Skip, Reply::Continue, "b"),
        (
            "formless",
            OnError::Refuse,
            Reply::Failure("invalid"),
            "lost",
        ),
        ("status", OnError::Refuse, Reply::Failure("invalid"), "b"),
        (
            "refuse",
            OnError::Skip,
            Reply::Refusal {
                status: None,
                message: "no".to_owned(),
            },
            "b",
        ),
    ] {
        let entry = Entry::new(Filter::named(name).on_response(Append(name))).on_error(on_error);
        let mut run = ExchangeBuilder::chat_text("{}")
            .run(vec![entry], FakeClock::new())
            .unwrap();
        let body = Bytes::from_static(br#"{"choices":[{"message":{"content":"b"}}]}"#);
        let mut response = LlmResponse::from_body(Endpoint::ChatCompletions, 200, body);
        let reply = match run.response(&mut response).await {
            ResponseOutcome::Continue => Reply::Continue,
            ResponseOutcome::Stopped(stop) => Reply::from(&stop),
        };
        assert_eq!(
            (reply, response.text().unwrap_or_default().as_str()),
            (expected, text),
            "{name}"
        );
    }
}

#[test]
fn whole_responses_are_wanted_only_by_those_who_look_at_them() {
    let run = |filter: Filter| {
        ExchangeBuilder::chat_text("{}")
            .run(vec![Entry::new(filter)], FakeClock::new())
            .unwrap()
    };
    for (filter, whole, streamed) in [
        (answers("a"), false, false),
        (trail("skip"), true, false),
        (trail("buffer"), true, true),
    ] {
        let run = run(filter);
        assert_eq!(run.needs_whole_response(Delivery::Whole), whole);
        assert_eq!(run.needs_whole_response(Delivery::Streamed), streamed);
    }
    let chain = Chain::new(vec![Entry::new(trail("buffer")), Entry::new(trail("a"))]);
    assert_eq!(chain.buffering().collect::<Vec<_>>(), ["buffer"]);
}

#[tokio::test]
async fn a_panic_in_the_drop_of_a_scratch_value_stays_inside() {
    #[derive(Default)]
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a secret text");
        }
    }
    let arms = spoiler(async |_: &mut LlmRequest, cx: &mut Context<'_>| {
        cx.scratch::<Bomb>();
        Ok(RequestVerdict::Continue)
    });
    assert_eq!(through([arms], "{}").await.reply, Reply::Continue);
}

#[test]
fn nothing_is_selected_where_nothing_fits() {
    let when = When {
        models: vec![Glob::new("gpt-*")],
        ..When::default()
    };
    let chain = Chain::new(vec![Entry::new(answers("a")).when(when)]);
    assert_eq!(
        chain.select(Endpoint::ChatCompletions, Some("claude"), None),
        None
    );
    assert_eq!(chain.select(Endpoint::ChatCompletions, None, None), None);
    assert!(
        chain
            .select(Endpoint::Embeddings, Some("gpt-4"), None)
            .is_some()
    );
    assert_eq!(
        Chain::default().select(Endpoint::ChatCompletions, None, None),
        None
    );
}

#[tokio::test]
async fn scratch_lasts_through_the_exchange() {
    let counts =
        Filter::named("counts").on_request(async |_: &mut LlmRequest, cx: &mut Context<'_>| {
            *cx.scratch::<usize>() += 1;
            let seen = *cx.scratch::<usize>();
            cx.tag(format!("seen {seen}"), true);
            RequestResult::Ok(RequestVerdict::Continue)
        });
    let done = through(
        [
            counts.clone(),
            counts.on_response(Append("x")),
            answers("a"),
        ],
        "{}",
    )
    .await;
    assert_eq!(json!(done.tags), json!({"seen 1": true}));
}

fn info() -> ExchangeInfo {
    ExchangeInfo {
        request_id: String::new(),
        endpoint: Endpoint::ChatCompletions,
        caller: crate::Caller::default(),
        headers: crate::Headers::default(),
        deadline: None,
    }
}

/// A pool whose places are all taken, for as long as it is asked to wait.
struct FullPool;

#[async_trait(?Send)]
impl BlockingPool for FullPool {
    async fn run(&self, _: BlockingJob, wait: Duration) -> Result<BlockingOutput, BlockingError> {
        tokio::time::sleep(wait).await;
        Err(BlockingError::Full)
    }
}

fn blocks() -> Filter {
    Filter::named("blocks").on_request(async |request: &mut LlmRequest, cx: &mut Context<'_>| {
        let text = request.text().unwrap_or_default().into_owned();
        let length = cx
            .blocking(move || {
                if text.is_empty() {
                    panic!("empty")
                } else {
                    text.len()
                }
            })
            .await?;
        cx.tag("length", length);
        Ok(RequestVerdict::Continue)
    })
}

#[tokio::test(start_paused = true)]
async fn a_full_pool_is_not_a_timeout() {
    let chain = Arc::new(Chain::new(vec![
        Entry::new(blocks()).timeout(Duration::from_millis(10)),
    ]));
    let selection = chain.select(Endpoint::ChatCompletions, None, None).unwrap();
    let capabilities = Capabilities {
        blocking: Arc::new(FullPool),
        ..capabilities(FakeClock::new())
    };
    let mut run = ChainRun::new(chain, selection, info(), capabilities);
    let mut request = LlmRequest::new(Endpoint::ChatCompletions, Bytes::from_static(b"{}"));
    let RequestOutcome::Stopped(stop) = run.request(&mut request).await else {
        panic!()
    };
    let StopCause::Failed(Failure { kind, .. }) = stop.cause else {
        panic!()
    };
    assert_eq!(kind, FailureKind::PoolFull);
}

#[tokio::test(start_paused = true)]
async fn jobs_without_a_wait_bring_no_more_time() {
    /// Has room for everybody; a job takes 100 ms.
    struct RoomyPool;

    #[async_trait(?Send)]
    impl BlockingPool for RoomyPool {
        async fn run(
            &self,
            job: BlockingJob,
            _: Duration,
        ) -> Result<BlockingOutput, BlockingError> {
            let output = job();
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(output)
        }
    }

    let works = spoiler(async |_: &mut LlmRequest, cx: &mut Context<'_>| {
        loop {
            cx.blocking(|| ()).await?;
        }
    });
    let chain = Arc::new(Chain::new(vec![Entry::new(works)]));
    let selection = chain.select(Endpoint::ChatCompletions, None, None).unwrap();
    let capabilities = Capabilities {
        blocking: Arc::new(RoomyPool),
        ..capabilities(FakeClock::new())
    };
    let mut run = ChainRun::new(chain, selection, info(), capabilities);
    let mut request = LlmRequest::new(Endpoint::ChatCompletions, Bytes::from_static(b"{}"));
    let before = tokio::time::Instant::now();
    let RequestOutcome::Stopped(stop) = run.request(&mut request).await else {
        panic!()
    };
    assert_eq!(Reply::from(&stop), Reply::Failure("timeout"));
    assert!(before.elapsed() <= Duration::from_secs(2) + crate::chain::DEFAULT_TIMEOUT);
}

#[tokio::test]
async fn blocking_work_returns_its_value_or_its_panic() {
    let done = through([blocks()], r#"{"messages":[{"content":"four"}]}"#).await;
    assert_eq!(json!(done.tags), json!({"length": 4}));
    assert_eq!(
        through([blocks()], "{}").await.reply,
        Reply::Failure("panic")
    );
}
