//! Stream filters at the edges of a stream: its last bytes, its end, a client that leaves, a filter that buffers.
//! Over 400 lines: the filters that look on and cut are shared by all of them.

use aiproxy::access_log::record::LogRecord;
use aiproxy::filter::{
    Context, Filter, FilterError, LlmRequest, Outbox, Refusal, RequestVerdict, StreamEnd,
    StreamEvent, StreamFilter, StreamRun, StreamVerdict,
};
use async_trait::async_trait;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{TestGateway, Wanted, chat_body};
use crate::support::raw_client::post;
use crate::support::records::tags_of;
use crate::support::shouts::shouts;
use crate::support::signal::Signal;
use crate::support::wire::{
    DONE, FINISH, LAST_CHUNK, STREAM, STREAM_HEAD, Seen, TEXT, USAGE, asked, chunk, stream,
};

/// Sees every stream and changes nothing.
const LOOKS_ON: &str = "filters: [{ kind: block_patterns, words: [nowhere], on: [response] }]";

fn before(upstream: &FakeUpstream, yaml: &str) -> TestGateway {
    TestGateway::with(Wanted {
        upstream: Some(upstream.base_url()),
        yaml: yaml.to_owned(),
        provider: "    max_event_bytes: 4096\n".to_owned(),
        ..Wanted::default()
    })
}

fn with_filter(upstream: &FakeUpstream, yaml: &str, filter: Filter) -> TestGateway {
    TestGateway::with(Wanted {
        upstream: Some(upstream.base_url()),
        yaml: yaml.to_owned(),
        extend: Some(Box::new(move |gateway| gateway.with(filter))),
        ..Wanted::default()
    })
}

fn verdicts(seen: &Seen) -> Vec<String> {
    let verdicts = seen.row.verdicts.iter();
    verdicts
        .map(|v| format!("{} {} {}", v.filter, v.phase, v.verdict))
        .collect()
}

/// An upstream that sends a stream in chunks of these bytes.
fn in_chunks(pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> FakeUpstream {
    let mut wire = STREAM_HEAD.as_bytes().to_vec();
    pieces
        .into_iter()
        .for_each(|piece| wire.extend(chunk(piece)));
    wire.extend_from_slice(LAST_CHUNK.as_bytes());
    FakeUpstream::answering(wire)
}

#[test]
fn f31_the_last_line_end_may_come_apart() {
    let last = DONE.replace('\n', "\r\n");
    let (most, line_feed) = last.split_at(last.len() - 1);
    let begins = [
        STREAM_HEAD.as_bytes(),
        &chunk(TEXT),
        &chunk(FINISH),
        &chunk(most),
    ]
    .concat();
    let go = Signal::new();
    let upstream = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send(begins),
        Step::Wait(go.clone()),
        Step::Send(chunk(line_feed)),
        Step::Send(LAST_CHUNK.into()),
        Step::ReadToEnd,
    ]]);
    let gateway = before(&upstream, LOOKS_ON);
    let mut client = gateway.connect();
    client.send(post("/v1/chat/completions", &chat_body("m", STREAM)));
    client.read_until(most.as_bytes());
    go.fire();
    client.read_until(LAST_CHUNK.as_bytes());
    let row = gateway.row().record;
    let stored = row.payload.and_then(|payload| payload.response_body);
    let expected = [TEXT, FINISH, &last].concat();
    assert_eq!(stored.expect("a body").bytes, expected.as_bytes());
    assert_eq!((&*row.outcome, row.response_complete), ("ok", Some(true)));
    let verdict = row.verdicts.first().expect("a verdict");
    assert_eq!((&*verdict.phase, &*verdict.verdict), ("stream", "passed"));
}

#[test]
fn what_carries_nothing_still_goes_behind_the_end() {
    let late = [DONE, ": bye\n\n", TEXT].concat();
    let upstream = in_chunks([[TEXT, FINISH, DONE].concat(), late]);
    let seen = asked(&before(&upstream, LOOKS_ON), "m", STREAM);
    seen.is_exactly([TEXT, FINISH, DONE, DONE, ": bye\n\n"].concat());
}

#[test]
fn comments_without_end_are_an_event_too_large() {
    let upstream = in_chunks([TEXT.to_owned(), ":\n".repeat(4096)]);
    let seen = asked(&before(&upstream, LOOKS_ON), "m", STREAM);
    assert_eq!(
        seen.facts(),
        (200, "upstream_event_too_large".into(), "upstream_truncated")
    );
    assert!(seen.answer.complete && seen.answer.body.starts_with(TEXT.as_bytes()));
}

/// Lets everything pass and objects at the end.
#[derive(Clone)]
struct Objects;

impl StreamFilter for Objects {
    fn open(&self, _: &mut Context<'_>) -> Option<Box<dyn StreamRun>> {
        Some(Box::new(Self))
    }
}

#[async_trait(?Send)]
impl StreamRun for Objects {
    async fn on_event(
        &mut self,
        event: StreamEvent,
        out: &mut Outbox,
    ) -> Result<StreamVerdict, FilterError> {
        out.send(event);
        Ok(StreamVerdict::Continue)
    }

    async fn on_end(
        &mut self,
        _: &StreamEnd,
        _: &mut Outbox,
    ) -> Result<StreamVerdict, FilterError> {
        Ok(StreamVerdict::Cut(Refusal::new("no")))
    }
}

#[test]
fn a_cut_at_the_end_of_a_stream_without_a_terminal_event_is_a_cut() {
    let upstream = FakeUpstream::answering(stream([TEXT, FINISH].concat()));
    let yaml = "server: { port: 0, workers: 1, shutdown_grace_s: 3, repair_streams: false }";
    let objects = Filter::named("objects").on_stream(Objects);
    let seen = asked(&with_filter(&upstream, yaml, objects), "m", STREAM);
    assert!(!seen.answer.complete, "{seen:#?}");
    assert_eq!(
        (seen.row.outcome.as_str(), seen.row.response_complete),
        ("filter_blocked", Some(false))
    );
    assert_eq!(verdicts(&seen), ["objects stream cut"]);
}

#[test]
fn a_client_that_leaves_takes_no_verdict_with_it() {
    let upstream = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send([STREAM_HEAD.as_bytes(), &chunk(TEXT)].concat()),
        Step::ReadToEnd,
    ]]);
    let gateway = before(&upstream, LOOKS_ON);
    let mut client = gateway.connect();
    client.send(post("/v1/chat/completions", &chat_body("m", STREAM)));
    client.read_until(b"llo");
    client.reset();
    let row = gateway.row().record;
    assert_eq!(row.outcome, "client_disconnected");
    assert!(row.filter_ms.is_some());
    let verdict = row.verdicts.first().expect("a verdict");
    assert_eq!((&*verdict.phase, &*verdict.verdict), ("stream", "passed"));
}

#[test]
fn a_client_that_leaves_before_the_head_takes_no_tag_with_it() {
    let upstream = FakeUpstream::start(vec![vec![Step::ReadRequest, Step::ReadToEnd]]);
    let tags =
        Filter::named("tags").on_request(async |_: &mut LlmRequest, cx: &mut Context<'_>| {
            cx.tag("team", "blue");
            Ok(RequestVerdict::Continue)
        });
    let gateway = with_filter(&upstream, "", tags);
    let mut client = gateway.connect();
    client.send(post("/v1/chat/completions", &chat_body("m", STREAM)));
    upstream.wait_received(0, b"\r\n\r\n");
    client.reset();
    let row = gateway.row().record;
    assert_eq!(row.outcome, "client_disconnected");
    assert_eq!(tags_of(&row), json!({"team": "blue"}));
    assert_eq!(row.verdicts.len(), 1);
}

#[test]
fn a_stream_that_one_filter_buffers_is_seen_by_the_others_too() {
    let block = |pattern: &str| {
        format!("filters: [{{ kind: block_patterns, patterns: [\"{pattern}\"], on: [response] }}]")
    };
    for (pattern, status, outcome) in [("ÄLL", 400, "filter_blocked"), ("äll", 200, "ok")] {
        let upstream = FakeUpstream::answering(stream([TEXT, TEXT, FINISH, DONE].concat()));
        let gateway = with_filter(&upstream, &block(pattern), shouts());
        let seen = asked(&gateway, "m", STREAM);
        assert_eq!((seen.answer.status, &*seen.row.outcome), (status, outcome));
        let verdict = if status == 200 { "passed" } else { "cut" };
        assert_eq!(
            verdicts(&seen),
            [
                "shouts response changed".to_owned(),
                format!("block_patterns stream {verdict}")
            ]
        );
    }
}

#[test]
fn a_buffered_stream_without_an_end_is_not_taken_for_whole() {
    for wire in [
        stream(TEXT),
        [STREAM_HEAD.as_bytes(), &chunk(TEXT), b"zz"].concat(),
    ] {
        let upstream = FakeUpstream::answering(wire);
        let seen = asked(&with_filter(&upstream, "", shouts()), "m", STREAM);
        assert_eq!(seen.answer.status, 502);
        assert_eq!(seen.stored_upstream(), Some(TEXT.as_bytes()), "{seen:#?}");
    }
}

#[test]
fn a_buffered_stream_is_mended_and_judged_like_others() {
    let wire = format!("\u{feff}{TEXT}data:\n\n{FINISH}");
    let upstream = FakeUpstream::answering(stream(wire));
    let seen = asked(&with_filter(&upstream, "", shouts()), "m", STREAM);
    seen.is_exactly([TEXT, FINISH, DONE].concat().replace("Hällo", "HÄLLO"));
    let repairs = r#"["bom","empty_event","done"]"#;
    assert_eq!(seen.row.repairs.as_deref(), Some(repairs));
    let error = "data: {\"error\":{\"message\":\"no\"}}\n\n";
    let upstream = FakeUpstream::answering(stream([TEXT, error].concat()));
    let seen = asked(&with_filter(&upstream, "", shouts()), "m", STREAM);
    assert_eq!(
        (&*seen.row.outcome, seen.row.response_complete),
        ("upstream_error", Some(false))
    );
}

/// Events of the Responses API.
fn response_events(terminal: &str) -> String {
    let delta = |text: &str| {
        format!(
            "data: {{\"type\":\"response.output_text.delta\",\"output_index\":1,\"content_index\":0,\"delta\":\"{text}\"}}\n\n"
        )
    };
    let events = [
        "data: {\"type\":\"response.created\",\"response\":{\"status\":\"in_progress\",\"output\":[]}}\n\n",
        &delta("low "),
        &delta("voice"),
        terminal,
    ];
    events.concat()
}

#[test]
fn a_buffered_response_is_seen_however_its_end_repeats_it() {
    for (terminal, expected) in [
        (
            "data: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":[{\"type\":\"reasoning\"},{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"low voice\"}]}]}}\n\n",
            "\"text\":\"LOW VOICE\"",
        ),
        (
            "data: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":[]}}\n\n",
            "\"output\":[]",
        ),
    ] {
        let upstream = FakeUpstream::answering(stream(response_events(terminal)));
        let gateway = with_filter(&upstream, "", shouts());
        let answer = gateway.post(
            "/v1/responses",
            r#"{"model":"m","input":"hello","stream":true}"#,
        );
        let text = answer.text();
        assert!(
            text.contains("\"delta\":\"LOW VOICE\"") && text.contains("\"delta\":\"\""),
            "{text}"
        );
        assert!(text.contains(expected) && !text.contains("voice"), "{text}");
        assert_eq!(tags_of(&gateway.row().record), json!({"saw": "low voice"}));
    }
}

#[test]
fn a_refusal_says_when_to_come_back() {
    let closed =
        Filter::named("closed").on_request(async |_: &mut LlmRequest, _: &mut Context<'_>| {
            let wait = std::time::Duration::from_millis(6_500);
            let refusal = Refusal::new("closed")
                .with_status(429)
                .with_retry_after(wait);
            Ok(RequestVerdict::Refuse(refusal))
        });
    let upstream = FakeUpstream::answering("");
    let answer = with_filter(&upstream, "", closed).chat("m", "");
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (429, Some("7"))
    );
}

/// One event of a stream, usual or odd.
fn event() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(TEXT.to_owned()),
        1 => Just(TEXT.replace('\n', "\r\n")),
        1 => Just(TEXT.replace('\n', "\r")),
        1 => Just(": comment\n\n".to_owned()),
        1 => Just("data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"ää\"}}]}\n\n".to_owned()),
        1 => Just("data: {\"choices\":[{\"index\":0,\"delta\":{\"refusal\":\"no\"}}]}\n\n".to_owned()),
        1 => Just(USAGE.to_owned()),
    ]
}

/// F31, P1: any chunking of the same bytes gives the same client bytes, row and tokens, with filters and without.
#[test]
fn f31_any_chunking_gives_the_same_answer_row_and_tokens() {
    let case = (
        prop::collection::vec(event(), 0..6),
        prop::sample::select(vec!["\n", "\r\n", "\r"]),
        prop::collection::vec(1_usize..120, 1..20),
        any::<bool>(),
    );
    let config = Config {
        cases: 16,
        ..Config::default()
    };
    let run = |(events, line_end, sizes, filtered): (Vec<String>, &str, Vec<usize>, bool)| {
        let ending = [FINISH, DONE].concat().replace('\n', line_end);
        let wire = events.concat() + &ending;
        let scripts = [vec![wire.len()], sizes].map(|sizes| {
            let answer = closing(cut_up(wire.as_bytes(), &sizes));
            vec![Step::ReadRequest, Step::Send(answer), Step::Fin]
        });
        let upstream = FakeUpstream::start(scripts.to_vec());
        let gateway = before(&upstream, if filtered { LOOKS_ON } else { "" });
        let answers = [gateway.chat("m", STREAM), gateway.chat("m", STREAM)];
        let [whole, cut] = <[_; 2]>::try_from(gateway.rows())
            .expect("two rows")
            .map(|row| row.record);
        prop_assert_eq!(facts(&cut), facts(&whole));
        let kept = events.iter().filter(|event| *event != USAGE);
        let expected = kept.map(String::as_str).collect::<String>() + &ending;
        for answer in &answers {
            prop_assert_eq!(answer.text(), &expected);
            prop_assert!(answer.complete);
        }
        Ok(())
    };
    TestRunner::new(config)
        .run(&case, run)
        .unwrap_or_else(|error| panic!("{error}"));
}

/// The bytes in pieces of these sizes, again and again.
fn cut_up<'a>(bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        let (piece, after) = rest.split_at(rest.len().min(*size));
        pieces.push(piece);
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    pieces
}

/// A stream in chunks of these bytes, on a connection that ends with it.
fn closing(pieces: Vec<&[u8]>) -> Vec<u8> {
    let mut wire = STREAM_HEAD
        .replace("transfer", "connection: close\r\ntransfer")
        .into_bytes();
    pieces.iter().for_each(|piece| wire.extend(chunk(piece)));
    wire.extend_from_slice(LAST_CHUNK.as_bytes());
    wire
}

/// All that a row says of an answer, times left out.
fn facts(row: &LogRecord) -> Vec<String> {
    let payload = row.payload.as_ref().expect("bodies");
    let verdicts: Vec<_> = row
        .verdicts
        .iter()
        .map(|v| (&v.filter, &v.phase, &v.verdict))
        .collect();
    vec![
        format!("{:?}", payload.response_body),
        format!("{:?}", payload.upstream_response_body),
        format!(
            "{:?} {:?} {:?}",
            row.outcome, row.response_complete, row.repairs
        ),
        format!(
            "{:?} {:?} {:?}",
            row.response_text, row.tool_calls, row.finish_reason
        ),
        format!(
            "{:?} {:?} {:?}",
            row.usage_source, row.usage_raw, row.chunk_count
        ),
        format!(
            "{:?} {:?} {:?}",
            row.prompt_tokens, row.completion_tokens, row.total_tokens
        ),
        format!("{verdicts:?}"),
    ]
}
