//! Filters on the whole way: from the configuration and from Rust, on requests, answers and streams.

mod answers;

use std::time::Duration;

use aiproxy::access_log::query::Stored;
use aiproxy::filter::{
    Context, Entry, Filter, FilterError, LlmRequest, LlmResponse, Outbox, Refusal, RequestVerdict,
    ResponseFilter, ResponseVerdict, StreamEnd, StreamEvent, StreamRun, StreamVerdict,
    WhenStreamed,
};
use async_trait::async_trait;

use crate::support::gateway::{TestGateway, Wanted, chat_body};
use crate::support::raw_client::post;
use crate::support::records::tags_of;
use crate::support::wire::{DONE, STREAM};

fn with_filter(filter: Filter) -> TestGateway {
    TestGateway::with(Wanted {
        extend: Some(Box::new(move |gateway| gateway.with(filter))),
        ..Wanted::default()
    })
}

/// A stream filter that opens a new run for each stream.
pub(crate) fn opening<R: StreamRun + Default + 'static>(
    _: &mut Context<'_>,
) -> Option<Box<dyn StreamRun>> {
    Some(Box::new(R::default()))
}

fn verdicts(row: &Stored) -> Vec<String> {
    let verdicts = row.record.verdicts.iter();
    verdicts
        .map(|v| format!("{} {} {}", v.filter, v.phase, v.verdict))
        .collect()
}

fn text_of(bytes: Option<aiproxy::access_log::record::StoredBody>) -> String {
    String::from_utf8(bytes.expect("a body").bytes.to_vec()).expect("text")
}

const BANNED: &str = "filters: [{ kind: banned_users, users: [mallory], message: go away }]";

#[test]
fn a_banned_user_gets_an_answer_that_looks_like_one() {
    let gateway = TestGateway::configured(BANNED);
    let answer = gateway.chat("mock", r#","user":"mallory""#).json();
    assert_eq!(answer["model"], "request_filter");
    assert_eq!(answer["choices"][0]["message"]["content"], "go away");
    assert_eq!(answer["usage"]["total_tokens"], 0);
    let row = gateway.row();
    assert_eq!(
        (row.record.outcome.as_str(), row.record.attempts),
        ("filter_answered", 0)
    );
    assert_eq!(row.record.filtered_by.as_deref(), Some("banned_users"));
    assert_eq!(verdicts(&row), ["banned_users request answered"]);
    assert_eq!(gateway.mock.as_ref().expect("a mock").stats().requests, 0);
}

#[test]
fn a_banned_user_who_streams_gets_a_stream_with_a_real_ending() {
    let gateway = TestGateway::configured(BANNED);
    let answer = gateway.chat("mock", r#","user":"mallory","stream":true"#);
    assert_eq!(
        answer.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    assert!(
        answer.text().contains(r#""content":"go away""#),
        "{}",
        answer.text()
    );
    assert!(
        answer
            .text()
            .ends_with("\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
    );
    assert_eq!(
        gateway.row().record.response_text.as_deref(),
        Some("go away")
    );
}

#[test]
fn others_pass_untouched() {
    let gateway = TestGateway::configured(BANNED);
    assert_eq!(gateway.chat("mock", r#","user":"alice""#).status, 200);
    let row = gateway.row();
    assert_eq!(verdicts(&row), ["banned_users request passed"]);
    assert!(
        row.record
            .payload
            .expect("bodies")
            .upstream_request_body
            .is_none()
    );
}

#[test]
fn require_user_refuses_with_its_status() {
    let gateway = TestGateway::configured("filters: [{ kind: require_user, status: 403 }]");
    let answer = gateway.chat("mock", "");
    assert_eq!(answer.status, 403);
    let error = &answer.json()["error"];
    assert_eq!(
        (&error["type"], &error["code"]),
        (&"request_filter_error".into(), &"blocked_by_filter".into())
    );
    assert_eq!(error["message"], "user is required");
    assert_eq!(gateway.row().record.outcome, "filter_blocked");
}

#[test]
fn model_override_sends_another_model_and_keeps_both_bodies() {
    let gateway = TestGateway::configured(
        "filters: [{ kind: model_override, model: mock-b100, unless: [\"gpt-*\"] }]",
    );
    assert_eq!(gateway.chat("other", "").json()["model"], "mock-b100");
    let record = gateway.row().record;
    assert_eq!(record.requested_model.as_deref(), Some("other"));
    let payload = record.payload.expect("bodies");
    let sent = r#"{"model":"mock-b100","messages":[{"role":"user","content":"hello"}]}"#;
    assert_eq!(text_of(payload.upstream_request_body), sent);
    assert_eq!(
        text_of(payload.request_body),
        sent.replace("mock-b100", "other")
    );
}

#[test]
fn words_are_masked_in_whole_answers() {
    let gateway = TestGateway::configured(
        "filters: [{ kind: block_patterns, words: [fox], action: mask, on: [response] }]",
    );
    let answer = gateway.chat("mock", "");
    assert!(
        !answer.text().contains("fox") && answer.text().contains("brown *** jumps"),
        "{}",
        answer.text()
    );
    let record = gateway.row().record;
    assert_eq!(record.outcome, "ok");
    let payload = record.payload.expect("bodies");
    assert_eq!(text_of(payload.response_body).as_bytes(), answer.body);
    assert!(text_of(payload.upstream_response_body).contains("fox"));
}

#[test]
fn words_are_masked_in_streams_across_chunks() {
    let gateway = TestGateway::configured(
        "filters: [{ kind: block_patterns, patterns: [quw000001], action: mask, on: [response] }]",
    );
    let answer = gateway.chat("mock-s3", r#","stream":true"#);
    assert!(
        answer.text().ends_with("data: [DONE]\n\n"),
        "{}",
        answer.text()
    );
    let record = gateway.row().record;
    assert_eq!(
        record.response_text.as_deref(),
        Some("w000000 the *** the quw000002 the qu")
    );
    assert!(text_of(record.payload.expect("bodies").upstream_response_body).contains("w000000 th"));
}

#[test]
fn a_stream_is_cut_at_a_forbidden_word() {
    let gateway = TestGateway::configured(
        "filters: [{ kind: block_patterns, patterns: [w000002], on: [response] }]",
    );
    let answer = gateway.chat("mock-s5", r#","stream":true"#);
    assert!(
        answer.text().contains("w000001") && !answer.text().contains("w000002"),
        "{}",
        answer.text()
    );
    assert!(
        answer.text().contains(r#""code":"blocked_by_filter""#)
            && !answer.text().contains("[DONE]")
    );
    let row = gateway.row();
    assert_eq!(
        (row.record.outcome.as_str(), row.record.status_code),
        ("filter_blocked", 200)
    );
    assert_eq!(row.record.filtered_by.as_deref(), Some("block_patterns"));
    assert_eq!(row.record.response_complete, Some(false));
}

#[test]
fn a_stream_that_no_filter_changes_leaves_as_it_came() {
    let gateway = TestGateway::configured("filters: [{ kind: block_patterns, words: [nowhere] }]");
    let filtered = gateway.chat("mock-s5", r#","stream":true"#);
    let plain = TestGateway::start().chat("mock-s5", r#","stream":true"#);
    assert_eq!(filtered.body, plain.body);
    assert!(
        gateway
            .row()
            .record
            .payload
            .expect("bodies")
            .upstream_response_body
            .is_none()
    );
}

#[test]
fn tags_land_in_the_row() {
    let gateway = TestGateway::configured("filters: [{ kind: tag, tags: { team: blue } }]");
    gateway.chat("mock", "");
    let tags = tags_of(&gateway.row().record);
    assert_eq!(tags, serde_json::json!({ "team": "blue" }));
}

#[test]
fn canned_answers_answer_what_when_selects() {
    let gateway = TestGateway::configured(
        "filters: [{ kind: canned_answer, text: canned, when: { models: [\"fake-*\"] } }]",
    );
    let canned = gateway.chat("fake-1", "").json();
    assert_eq!(canned["choices"][0]["message"]["content"], "canned");
    assert_eq!(gateway.chat("mock", "").json()["model"], "mock");
    assert_eq!(gateway.rows().len(), 2);
}

#[derive(Clone)]
struct Shout(WhenStreamed);

#[async_trait(?Send)]
impl ResponseFilter for Shout {
    fn when_streamed(&self) -> WhenStreamed {
        self.0
    }

    async fn on_response(
        &self,
        response: &mut LlmResponse,
        _: &mut Context<'_>,
    ) -> Result<ResponseVerdict, FilterError> {
        if response.text().is_some_and(|text| text.contains("w000004")) {
            return Ok(ResponseVerdict::Refuse(Refusal::new("too long")));
        }
        response.map_texts(&mut |text| Some(text.to_uppercase()))?;
        Ok(ResponseVerdict::Continue)
    }
}

#[test]
fn a_response_filter_may_buffer_streams() {
    let gateway = with_filter(Filter::named("shout").on_response(Shout(WhenStreamed::Buffer)));
    let answer = gateway.chat("mock-s3", r#","stream":true"#);
    assert!(
        answer.text().ends_with("data: [DONE]\n\n"),
        "{}",
        answer.text()
    );
    let refused = gateway.chat("mock-s6", r#","stream":true"#);
    assert_eq!(
        (refused.status, refused.json()["error"]["type"].as_str()),
        (400, Some("response_filter_error"))
    );
    let rows = gateway.rows();
    assert_eq!(
        rows[0].record.response_text.as_deref(),
        Some("W000000 THE QUW000001 THE QUW000002 THE QU")
    );
    assert_eq!(rows[1].record.outcome, "filter_blocked");
}

#[test]
fn a_response_filter_that_skips_streams_leaves_them_alone() {
    let gateway = with_filter(Filter::named("shout").on_response(Shout(WhenStreamed::Skip)));
    gateway.chat("mock-s3", r#","stream":true"#);
    assert_eq!(
        gateway.row().record.response_text.as_deref(),
        Some("w000000 the quw000001 the quw000002 the qu")
    );
}

/// Holds every event until the next one comes, and then lets it go in capitals.
#[derive(Default)]
struct LateShout(Option<StreamEvent>);

#[async_trait(?Send)]
impl StreamRun for LateShout {
    async fn on_event(
        &mut self,
        mut event: StreamEvent,
        out: &mut Outbox,
    ) -> Result<StreamVerdict, FilterError> {
        event.map_text_deltas(&mut |_, text| Some(text.to_uppercase()));
        if let Some(before) = self.0.replace(event) {
            out.send(before);
        }
        Ok(StreamVerdict::Continue)
    }

    async fn on_end(
        &mut self,
        _: &StreamEnd,
        out: &mut Outbox,
    ) -> Result<StreamVerdict, FilterError> {
        if let Some(last) = self.0.take() {
            out.send(last);
        }
        Ok(StreamVerdict::Continue)
    }
}

/// P5: filters see streams, rewrite and delay them, and what they hold back is measured; one that never comes back
/// breaks its own request, while those beside it on the same worker go on.
#[test]
fn p5_a_filter_touches_its_own_request_alone() {
    let stuck =
        Filter::named("stuck").on_request(async |request: &mut LlmRequest, _: &mut Context<'_>| {
            match request.model() {
                Some("mock-b1") => std::future::pending().await,
                _ => Ok(RequestVerdict::Continue),
            }
        });
    let late = Filter::named("late").on_stream(opening::<LateShout>);
    let gateway = TestGateway::with(Wanted {
        extend: Some(Box::new(|gateway| {
            gateway
                .with(late)
                .entry(Entry::new(stuck).timeout(Duration::from_secs(3)))
        })),
        ..Wanted::default()
    });
    let mut waiting = gateway.connect();
    waiting.send(post("/v1/chat/completions", &chat_body("mock-b1", "")));
    let streamed = gateway.chat("mock-s4-d100", STREAM);
    assert!(streamed.complete, "it is not kept waiting by the other");
    let text = streamed.text();
    assert!(text.contains("W000003") && text.ends_with(DONE), "{text}");
    let refused = waiting.read_response();
    assert_eq!(refused.json()["error"]["code"], "filter_timeout");
    let rows = gateway.rows();
    let row = |outcome: &str| {
        let found = rows.iter().find(|row| row.record.outcome == outcome);
        &found.expect(outcome).record
    };
    let (late, stuck) = (row("ok"), row("filter_error"));
    assert!(late.filter_held_ms.is_some_and(|ms| 90.0 <= ms), "{late:?}");
    assert!(late.filter_ms.is_some() && stuck.filtered_by.as_deref() == Some("stuck"));
    let kept = late
        .payload
        .as_ref()
        .and_then(|payload| payload.upstream_response_body.as_ref());
    assert!(kept.is_some_and(|body| body.as_text().is_some_and(|text| text.contains("w000003"))));
}
