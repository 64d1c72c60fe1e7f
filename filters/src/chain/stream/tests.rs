//! Stream filters in a row: hold-back, cuts, ends. Over 400 lines: all run on one bench of recording filters.

use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;

use super::*;
use crate::testing::{ExchangeBuilder, FakeClock, Reply};
use crate::{
    Context, Endpoint, Entry, Filter, FilterError, LlmResponse, OnError, Outbox, Refusal,
    ResponseFilter, ResponseVerdict, StreamRun, StreamVerdict, Target, WhenStreamed,
};

type Log = Arc<Mutex<Vec<String>>>;

/// A run that does what its letter says with events whose data holds that letter; with `k` it cuts at the end, with `q` it panics there.
struct Scripted {
    script: &'static str,
    kept: Vec<StreamEvent>,
    log: Log,
    clock: Arc<FakeClock>,
}

#[async_trait(?Send)]
impl StreamRun for Scripted {
    async fn on_event(
        &mut self,
        mut event: StreamEvent,
        out: &mut Outbox,
    ) -> Result<StreamVerdict, FilterError> {
        let data = event.data().unwrap_or("").to_owned();
        let letter = self.script.chars().find(|letter| data.contains(*letter));
        match letter {
            Some('d') => drop(event),
            Some('h') => self.kept.push(event),
            Some('r') => {
                out.send(event);
                self.kept.drain(..).for_each(|event| out.send(event));
            }
            Some('2') => {
                out.send(event.clone());
                out.send(event);
            }
            Some('e') => {
                event.set("by", &self.script.into())?;
                out.send(event);
            }
            Some('n') => out.send(StreamEvent::from_data(
                Endpoint::ChatCompletions,
                "{\"new\":1}",
            )),
            Some('i') => {
                let two = Bytes::from_static(b"data: {}\n\ndata: {}\n\n");
                out.send(StreamEvent::from_bytes(Endpoint::ChatCompletions, two));
            }
            Some('c') => {
                out.send(event);
                return Ok(StreamVerdict::Cut(Refusal::new("no").with_reason("why")));
            }
            Some('p') => {
                out.send(event);
                panic!("a secret text");
            }
            Some('f') => return Err(FilterError::new("no luck")),
            Some('w') => std::future::pending().await,
            Some('b') => {
                self.clock.advance(Duration::from_secs(3));
                out.send(event);
            }
            Some(_) | None => out.send(event),
        }
        Ok(StreamVerdict::Continue)
    }

    async fn on_end(
        &mut self,
        end: &StreamEnd,
        out: &mut Outbox,
    ) -> Result<StreamVerdict, FilterError> {
        self.log
            .lock()
            .unwrap()
            .push(format!("{} {end:?}", self.script));
        assert!(!self.script.contains('q'), "a secret text");
        if self.script.contains('k') {
            return Ok(StreamVerdict::Cut(Refusal::new("no")));
        }
        self.kept.drain(..).for_each(|event| out.send(event));
        Ok(StreamVerdict::Continue)
    }
}

struct Bench {
    stream: StreamChain,
    clock: Arc<FakeClock>,
    log: Log,
    sent: String,
}

impl Bench {
    /// A chain of scripted filters, in the order of the configuration.
    fn new(scripts: &[&'static str], on_error: OnError) -> Self {
        let (clock, log) = (FakeClock::new(), Log::default());
        let entry = |script: &&'static str| {
            let (script, log, clock) = (*script, Arc::clone(&log), Arc::clone(&clock));
            let open = move |_: &mut Context<'_>| {
                let (kept, log, clock) = (Vec::new(), Arc::clone(&log), Arc::clone(&clock));
                let run: Box<dyn StreamRun> = Box::new(Scripted {
                    script,
                    kept,
                    log,
                    clock,
                });
                Some(run)
            };
            let filter = Filter::named(script).on_stream(open);
            Entry::new(filter)
                .on_error(on_error)
                .hold_back(100, Duration::from_secs(5))
        };
        let entries = scripts.iter().map(entry).collect();
        let run = ExchangeBuilder::chat_text("{}").run(entries, Arc::clone(&clock));
        let stream = run.unwrap().open_stream().unwrap().unwrap();
        Self {
            stream,
            clock,
            log,
            sent: String::new(),
        }
    }

    fn take(&mut self, step: StreamStep) -> Reply {
        for event in step.events {
            self.sent.push_str(event.data().unwrap_or(""));
            self.sent.push(' ');
        }
        step.cut.as_ref().map_or(Reply::Continue, Reply::from)
    }

    /// Pushes an event whose data is a JSON string of these letters.
    async fn push(&mut self, data: &str) -> Reply {
        let event = StreamEvent::from_data(Endpoint::ChatCompletions, data);
        let step = self.stream.push(event).await;
        self.take(step)
    }

    async fn end(&mut self, end: StreamEnd) -> Reply {
        let step = self.stream.end(end).await;
        self.take(step)
    }

    async fn check_hold(&mut self) -> Reply {
        let step = self.stream.check_hold().await;
        self.take(step)
    }

    fn verdicts(&self) -> Vec<(String, &'static str)> {
        let verdicts = self.stream.verdicts();
        verdicts
            .iter()
            .map(|verdict| (verdict.filter.to_string(), verdict.verdict.as_str()))
            .collect()
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

fn named(verdicts: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    verdicts
        .iter()
        .map(|(filter, verdict)| ((*filter).to_owned(), *verdict))
        .collect()
}

#[tokio::test]
async fn events_pass_last_to_first_and_leave_as_they_came() {
    let mut bench = Bench::new(&["e1", "e2", "x"], OnError::Refuse);
    bench.push("{\"e\":0}").await;
    assert_eq!(bench.sent, "{\"e\":0,\"by\":\"e1\"} ");
    let raw = Bytes::from_static(b"data: 1\n\n");
    let event = StreamEvent::from_bytes(Endpoint::ChatCompletions, raw.clone());
    let step = bench.stream.push(event).await;
    assert_eq!(step.events[0].to_bytes().as_ptr(), raw.as_ptr());
    let expected = named(&[("x", "passed"), ("e2", "changed"), ("e1", "changed")]);
    assert_eq!(bench.verdicts(), expected);
}

#[tokio::test]
async fn filters_may_drop_double_reorder_and_make_events() {
    let mut bench = Bench::new(&["dh2rn"], OnError::Refuse);
    for data in ["1", "\"d\"", "22", "\"h\"", "\"r\"", "\"n\""] {
        assert_eq!(bench.push(data).await, Reply::Continue);
    }
    assert_eq!(bench.sent, "1 22 22 \"r\" \"h\" {\"new\":1} ");
    assert_eq!(bench.stream.hold_deadline(), None);
    assert_eq!(bench.verdicts(), named(&[("dh2rn", "changed")]));
}

#[tokio::test]
async fn what_is_held_leaves_at_the_end_through_the_others() {
    let mut bench = Bench::new(&["e", "h"], OnError::Refuse);
    bench.push("{\"h\":1,\"e\":1}").await;
    assert_eq!(bench.sent, "");
    bench.clock.advance(Duration::from_millis(20));
    assert_eq!(bench.end(StreamEnd::Finished).await, Reply::Continue);
    assert_eq!(bench.sent, "{\"h\":1,\"e\":1,\"by\":\"e\"} ");
    assert_eq!(bench.stream.held_time(), Duration::from_millis(20));
    assert_eq!(bench.log(), ["h Finished", "e Finished"]);
    assert_eq!(
        bench.verdicts(),
        named(&[("h", "passed"), ("e", "changed")])
    );
    assert_eq!(bench.push("1").await, Reply::Continue);
    bench.end(StreamEnd::ClientGone).await;
    assert_eq!(
        (bench.log().len(), bench.sent.as_str()),
        (2, "{\"h\":1,\"e\":1,\"by\":\"e\"} ")
    );
}

#[tokio::test]
async fn when_the_client_has_gone_runs_end_and_nothing_is_sent() {
    let mut bench = Bench::new(&["h"], OnError::Refuse);
    bench.push("\"h\"").await;
    bench.end(StreamEnd::ClientGone).await;
    assert_eq!(
        (bench.sent.as_str(), bench.log()),
        ("", vec!["h ClientGone".to_owned()])
    );
}

#[tokio::test]
async fn a_cut_for_nobody_is_no_cut() {
    let mut bench = Bench::new(&["hk"], OnError::Refuse);
    bench.push("\"h\"").await;
    bench.end(StreamEnd::ClientGone).await;
    assert_eq!(bench.verdicts(), named(&[("hk", "changed")]));
}

#[tokio::test]
async fn a_dropped_stream_still_ends_its_runs_once() {
    let mut bench = Bench::new(&["a", "h"], OnError::Refuse);
    bench.push("\"h\"").await;
    let log = Arc::clone(&bench.log);
    drop(bench);
    assert_eq!(*log.lock().unwrap(), ["h ClientGone", "a ClientGone"]);
}

#[tokio::test]
async fn a_cut_drops_what_is_held_and_ends_every_run_once() {
    let mut bench = Bench::new(&["h", "c", "z"], OnError::Skip);
    bench.push("\"h\"").await;
    bench.push("1").await;
    let cut = Reply::Refusal {
        status: None,
        message: "no".to_owned(),
    };
    assert_eq!(bench.push("\"c\"").await, cut);
    assert_eq!(bench.sent, "1 \"c\" ");
    assert_eq!(bench.push("2").await, Reply::Continue);
    assert_eq!(bench.end(StreamEnd::Finished).await, Reply::Continue);
    assert_eq!(bench.sent, "1 \"c\" ");
    assert_eq!(
        bench.log(),
        ["z ClientGone", "c ClientGone", "h ClientGone"]
    );
    assert_eq!(bench.stream.verdicts()[1].detail.as_deref(), Some("why"));
    assert_eq!(bench.verdicts()[1], ("c".to_owned(), "cut"));
}

/// A failure with both policies: cut, or the events held and the current one as they came.
async fn check_failure(script: &'static str, kind: &'static str) {
    let letter = script.get(..1).unwrap();
    let data = format!("{{\"{letter}\":1}}");
    let mut bench = Bench::new(&[script], OnError::Refuse);
    bench.push("\"h\"").await;
    assert_eq!(bench.push(&data).await, Reply::Failure(kind));
    assert_eq!(
        (bench.sent.as_str(), bench.verdicts()),
        ("", named(&[(script, "failed")]))
    );
    let detail = bench.stream.verdicts()[0].detail.clone().unwrap();
    assert!(
        detail.starts_with(kind) && !detail.contains("secret"),
        "{detail}"
    );
    let mut bench = Bench::new(&["e", script], OnError::Skip);
    bench.push("\"h\"").await;
    assert_eq!(bench.push(&data).await, Reply::Continue);
    bench.push("\"h\"").await;
    bench.end(StreamEnd::Finished).await;
    assert_eq!(bench.sent, format!("\"h\" {data} \"h\" "));
    assert_eq!(
        bench.verdicts(),
        named(&[(script, "skipped"), ("e", "passed")])
    );
    assert_eq!(bench.log(), ["e Finished"]);
}

#[tokio::test(start_paused = true)]
async fn failures_cut_or_let_go() {
    check_failure("ph", "panic").await;
    check_failure("fh", "error").await;
    check_failure("wh", "timeout").await;
    check_failure("bh", "blocked").await;
    check_failure("ih", "invalid").await;
}

#[tokio::test]
async fn a_panic_at_the_end_is_for_the_policy() {
    for (on_error, reply, sent) in [
        (OnError::Refuse, Reply::Failure("panic"), ""),
        (OnError::Skip, Reply::Continue, "\"h\" "),
    ] {
        let mut bench = Bench::new(&["e", "hq"], on_error);
        bench.push("\"h\"").await;
        assert_eq!(bench.end(StreamEnd::Finished).await, reply);
        assert_eq!(bench.sent, sent);
        let ends = match on_error {
            OnError::Refuse => "e ClientGone",
            OnError::Skip => "e Finished",
        };
        assert_eq!(bench.log(), ["hq Finished", ends]);
    }
}

#[tokio::test]
async fn bytes_held_have_a_limit() {
    for (on_error, reply, sent) in [
        (OnError::Refuse, Reply::Failure("hold_limit"), 0),
        (OnError::Skip, Reply::Continue, 107),
    ] {
        let mut bench = Bench::new(&["h"], on_error);
        let data = format!("\"h{}\"", "x".repeat(50));
        assert_eq!(bench.push(&data).await, Reply::Continue);
        assert_eq!(bench.push(&data).await, reply);
        assert_eq!(bench.sent.len().min(107), sent);
    }
}

#[tokio::test]
async fn what_another_filter_added_counts_as_held() {
    let mut bench = Bench::new(&["h", "e"], OnError::Refuse);
    let data = format!("{{\"h\":\"{}\",\"e\":1}}", "x".repeat(70));
    assert_eq!(data.len() + "data: \n\n".len(), 92);
    assert_eq!(bench.push(&data).await, Reply::Failure("hold_limit"));
}

#[tokio::test]
async fn time_held_has_a_limit() {
    for (on_error, reply, sent) in [
        (OnError::Refuse, Reply::Failure("hold_limit"), ""),
        (OnError::Skip, Reply::Continue, "\"h\" \"h2\" "),
    ] {
        let mut bench = Bench::new(&["x", "h"], on_error);
        bench.push("\"h\"").await;
        let deadline = bench.stream.hold_deadline().unwrap();
        bench.clock.advance(Duration::from_secs(4));
        bench.push("\"h2\"").await;
        assert_eq!(bench.stream.hold_deadline(), Some(deadline));
        assert_eq!(bench.check_hold().await, Reply::Continue);
        assert_eq!(bench.sent, "");
        bench.clock.advance(Duration::from_secs(1));
        assert_eq!(bench.check_hold().await, reply);
        assert_eq!(bench.sent, sent);
        assert_eq!(bench.stream.hold_deadline(), None);
        assert_eq!(bench.stream.held_time(), Duration::from_secs(5));
    }
}

#[tokio::test]
async fn time_in_hooks_is_counted() {
    let mut bench = Bench::new(&["b"], OnError::Skip);
    bench.push("\"b\"").await;
    assert_eq!(bench.stream.filter_time(), Duration::from_secs(3));
}

#[test]
fn a_panic_on_opening_is_for_the_policy() {
    let opens = |on_error| {
        let panics = Filter::named("p").on_stream(|_: &mut Context<'_>| panic!("a secret text"));
        let entry = Entry::new(panics).on_error(on_error);
        let run = ExchangeBuilder::chat_text("{}").run(vec![entry], FakeClock::new());
        run.unwrap().open_stream().map(|stream| stream.is_some())
    };
    assert!(matches!(opens(OnError::Skip), Ok(false)));
    assert_eq!(
        opens(OnError::Refuse).map_err(|stop| Reply::from(&stop)),
        Err(Reply::Failure("panic"))
    );
}

#[test]
fn a_filter_that_buffers_streams_does_not_see_their_events() {
    #[derive(Clone)]
    struct Buffers;

    #[async_trait(?Send)]
    impl ResponseFilter for Buffers {
        fn when_streamed(&self) -> WhenStreamed {
            WhenStreamed::Buffer
        }

        async fn on_response(
            &self,
            _: &mut LlmResponse,
            cx: &mut Context<'_>,
        ) -> Result<ResponseVerdict, FilterError> {
            let target = cx.target().map(|target| target.provider.clone());
            cx.tag("target", target);
            cx.tag("attempts", cx.attempts());
            cx.tag("has_deadline", cx.deadline().is_some());
            Ok(ResponseVerdict::Continue)
        }
    }

    let opens = |_: &mut Context<'_>| -> Option<Box<dyn StreamRun>> { unreachable!() };
    let filter = Filter::named("b").on_response(Buffers).on_stream(opens);
    let run = ExchangeBuilder::chat_text("{}").run(vec![Entry::new(filter)], FakeClock::new());
    let mut run = run.unwrap();
    assert!(run.open_stream().unwrap().is_none());
    run.set_target(
        Target {
            provider: "p".to_owned(),
            model: "m".to_owned(),
        },
        2,
        Instant::now(),
    );
    let mut response = LlmResponse::answer("a");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(run.response(&mut response));
    assert_eq!(
        serde_json::json!(run.tags()),
        serde_json::json!({"target": "p", "attempts": 2, "has_deadline": true})
    );
}

#[test]
fn nobody_interested_is_no_chain() {
    let filter = Filter::named("n").on_stream(|_: &mut Context<'_>| None);
    let run = ExchangeBuilder::chat_text("{}").run(vec![Entry::new(filter)], FakeClock::new());
    assert!(run.unwrap().open_stream().unwrap().is_none());
}
