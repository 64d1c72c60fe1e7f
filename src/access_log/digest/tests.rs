//! From an exchange to its row. Over 400 lines: one exchange, changed in one point a test, is what all of them start
//! from.

mod masking;

use aiproxy_filters::Dialect;
use bytes::Bytes;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::access_log::draft::{ChunkTime, RecordedError};

fn fixture(name: &str) -> Bytes {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    Bytes::from(std::fs::read(path).unwrap())
}

fn captured(bytes: impl Into<Bytes>) -> Option<Captured> {
    let bytes = bytes.into();
    let size = bytes.len() as u64;
    Some(Captured {
        pieces: vec![bytes],
        size,
        ..Captured::default()
    })
}

fn opened(endpoint: Endpoint) -> Opened {
    Opened {
        request_id: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001),
        created_at_us: 1_764_000_000_000_000,
        instance: "host:8000".into(),
        config_version: "c0ffee".into(),
        client_request_id: None,
        end_user: None,
        session_id: None,
        trace_id: None,
        client_ip: None,
        endpoint,
        dialect: Dialect::Openai,
        method: "POST".into(),
        path: "/v1/x".to_owned(),
        stream: Some(false),
        requested_model: Some("gpt-4o-mini".to_owned()),
        keep: Keep::Full,
        request_headers: Some("{}".to_owned()),
    }
}

fn closed() -> Closed {
    Closed {
        finished_at_us: 1_764_000_000_250_000,
        upstream_status: Some(200),
        provider: Some("openai".to_owned()),
        provider_key: Some("primary".to_owned()),
        sent_model: Some("gpt-4o-mini".to_owned()),
        attempts: 1,
        response_complete: Some(true),
        times: Times {
            duration_ms: 250.0,
            upstream_ms: Some(200.0),
            ..Times::default()
        },
        request_bytes: 100,
        response_bytes: Some(200),
        response_headers: Some("{}".to_owned()),
        ..Closed::new(Outcome::Ok, 200)
    }
}

/// An exchange that ended well, with bodies from fixtures.
fn exchange(endpoint: Endpoint, request: &str, response: &str) -> Finished {
    let is_stream = response.ends_with(".sse");
    let bodies = Bodies {
        request: captured(fixture(request)),
        response: captured(fixture(response)),
        ..Bodies::default()
    };
    let opened = Opened {
        stream: Some(is_stream),
        ..opened(endpoint)
    };
    Finished {
        opened,
        closed: Some(Closed {
            response_is_stream: is_stream,
            ..closed()
        }),
        bodies,
    }
}

fn chat(response: &str) -> Finished {
    exchange(
        Endpoint::ChatCompletions,
        "openai_chat/request.json",
        response,
    )
}

fn digest(finished: Finished) -> LogRecord {
    Digest::default().digest(&finished)
}

#[track_caller]
fn snapshot(name: &str, finished: Finished) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_json_snapshot!(name, digest(finished)));
}

#[test]
fn rows_of_chat() {
    snapshot("row_chat_plain", chat("openai_chat/plain.json"));
    snapshot("row_chat_tools_counted", chat("openai_chat/tools.json"));
    snapshot("row_chat_stream", chat("openai_chat/stream.sse"));
    snapshot(
        "row_chat_stream_counted",
        chat("openai_chat/stream_no_usage.sse"),
    );
    snapshot(
        "row_chat_stream_tools",
        chat("openai_chat/stream_tools.sse"),
    );
}

#[test]
fn rows_of_the_other_formats() {
    let responses = |answer| exchange(Endpoint::Responses, "openai_responses/request.json", answer);
    snapshot("row_responses", responses("openai_responses/whole.json"));
    snapshot(
        "row_responses_stream",
        responses("openai_responses/stream.sse"),
    );
    snapshot(
        "row_completions_counted",
        exchange(
            Endpoint::Completions,
            "openai_completions/request.json",
            "openai_completions/plain.json",
        ),
    );
    snapshot(
        "row_embeddings",
        exchange(
            Endpoint::Embeddings,
            "openai_embeddings/request.json",
            "openai_embeddings/plain.json",
        ),
    );
}

#[test]
fn row_of_a_crash() {
    let mut crashed = chat("openai_chat/stream_cut.sse");
    crashed.closed = None;
    snapshot("row_crashed", crashed);
}

fn with(finished: Finished, change: impl FnOnce(&mut Closed)) -> Finished {
    let Finished {
        opened,
        closed,
        bodies,
    } = finished;
    let mut closed = closed.unwrap();
    change(&mut closed);
    Finished {
        opened,
        closed: Some(closed),
        bodies,
    }
}

#[track_caller]
fn check_source(finished: Finished, source: &str, completion: Option<i64>) -> LogRecord {
    let record = digest(finished);
    assert_eq!(record.usage_source.as_deref(), Some(source));
    assert_eq!(record.completion_tokens, completion);
    record
}

#[test]
fn usage_that_was_taken_out_of_the_stream_counts() {
    let taken = with(chat("openai_chat/stream_no_usage.sse"), |closed| {
        closed.usage_asked = true;
        closed.usage_chunk =
            Some(r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7}}"#.to_owned());
    });
    let record = check_source(taken, "upstream", Some(7));
    assert_eq!(record.total_tokens, Some(12));
    assert_eq!(
        record.usage_raw.as_deref(),
        Some(r#"{"prompt_tokens":5,"completion_tokens":7}"#)
    );
    let nonsense = with(chat("openai_chat/stream_no_usage.sse"), |closed| {
        closed.usage_chunk =
            Some(r#"{"choices":[],"usage":{"prompt_tokens":-5,"completion_tokens":7}}"#.to_owned());
    });
    let record = check_source(nonsense, "counted", Some(4));
    assert!(record.usage_raw.unwrap().contains("-5"));
}

#[test]
fn a_cut_answer_is_counted_over_what_came() {
    let cut = |outcome| {
        with(chat("openai_chat/stream_cut.sse"), |closed| {
            closed.outcome = outcome;
            closed.response_complete = Some(false);
        })
    };
    for outcome in [
        Outcome::ClientDisconnected,
        Outcome::UpstreamTruncated,
        Outcome::Shutdown,
        Outcome::FilterBlocked,
    ] {
        let record = check_source(cut(outcome), "partial", Some(3));
        assert!(record.prompt_tokens.is_some_and(|prompt| 0 < prompt));
        assert_eq!(record.response_text.as_deref(), Some("Grüße"));
    }
    // The client left before the head: the prompt was read all the same.
    let mut early = with(chat("openai_chat/plain.json"), |closed| {
        closed.outcome = Outcome::ClientDisconnected;
        (
            closed.upstream_status,
            closed.status_code,
            closed.response_complete,
        ) = (None, 499, None);
    });
    early.bodies.response = None;
    assert!(
        check_source(early, "partial", Some(0))
            .prompt_tokens
            .is_some()
    );
}

#[test]
fn nothing_is_counted_where_nothing_was_asked() {
    for (outcome, upstream_status, attempts) in [
        (Outcome::ClientError, None, 0),
        (Outcome::Rejected, None, 0),
        (Outcome::FilterBlocked, None, 0),
        (Outcome::FilterAnswered, None, 0),
        (Outcome::UpstreamError, Some(500), 1),
        (Outcome::UpstreamError, None, 2),
        (Outcome::RateLimited, Some(429), 1),
        (Outcome::UpstreamTimeout, None, 1),
    ] {
        let refused = with(chat("openai_chat/tools.json"), |closed| {
            (closed.outcome, closed.upstream_status, closed.attempts) =
                (outcome, upstream_status, attempts);
        });
        let record = check_source(refused, "none", None);
        assert_eq!(
            (record.prompt_tokens, record.total_tokens),
            (None, None),
            "{outcome:?}"
        );
    }
    let mut models = chat("openai_chat/plain.json");
    models.opened.endpoint = Endpoint::Models;
    check_source(models, "none", None);
}

#[test]
fn a_filters_answer_is_no_upstreams() {
    let answered = with(chat("openai_chat/plain.json"), |closed| {
        closed.outcome = Outcome::FilterAnswered;
        (closed.upstream_status, closed.attempts, closed.sent_model) = (None, 0, None);
    });
    let record = check_source(answered, "none", None);
    assert_eq!(
        (record.model, record.response_text.as_deref()),
        (None, Some("Four 😀 é"))
    );
}

#[test]
fn a_replay_costs_nothing() {
    let replayed = with(chat("openai_chat/plain.json"), |closed| {
        closed.outcome = Outcome::Replayed;
        (closed.upstream_status, closed.attempts) = (None, 0);
        closed.replay_of = Some(Uuid::from_u128(1));
    });
    let record = check_source(replayed, "none", None);
    assert_eq!(
        (
            record.prompt_tokens,
            record.usage_raw,
            record.output_tokens_per_s
        ),
        (None, None, None)
    );
    assert_eq!(
        record.replay_of.as_deref(),
        Some("00000000-0000-0000-0000-000000000001")
    );
    assert_eq!(record.response_text.as_deref(), Some("Four 😀 é"));
}

#[test]
fn f44_an_error_inside_a_stream_is_told() {
    let failed = with(chat("openai_chat/stream_error.sse"), |closed| {
        closed.outcome = Outcome::UpstreamError
    });
    let record = digest(failed);
    let error = (
        record.error_type.as_deref(),
        record.error_code.as_deref(),
        record.error_message.as_deref(),
    );
    assert_eq!(
        error,
        (Some("server_error"), Some("503"), Some("overloaded"))
    );
    let told = with(chat("openai_chat/stream_error.sse"), |closed| {
        closed.outcome = Outcome::UpstreamError;
        closed.error = Some(RecordedError {
            code: Some("ours".to_owned()),
            ..RecordedError::default()
        });
    });
    assert_eq!(digest(told).error_code.as_deref(), Some("ours"));
}

#[test]
fn f45_f46_usage_that_cannot_be_believed_is_counted() {
    let plain = String::from_utf8(fixture("openai_chat/plain.json").to_vec()).unwrap();
    for answer in [
        plain.replace("\"prompt_tokens\":19", "\"prompt_tokens\":-19"),
        plain.replace("\"completion_tokens\":10", "\"completion_tokens\":\"10\""),
        plain.replace("\"completion_tokens\":10", "\"completion_tokens\":1e18"),
        plain
            .replace(":19", ":0")
            .replace(":10,", ":0,")
            .replace(":29", ":0"),
        format!("{plain}{plain}"),
    ] {
        let mut finished = chat("openai_chat/plain.json");
        finished.bodies.response = captured(answer.clone());
        let record = digest(finished);
        assert_eq!(record.usage_source.as_deref(), Some("counted"), "{answer}");
        assert!(record.usage_raw.is_some() && record.completion_tokens != Some(10));
        assert_eq!(record.response_text.as_deref(), Some("Four 😀 é"));
    }
}

#[test]
fn other_models_are_estimated() {
    let mut finished = chat("openai_chat/tools.json");
    finished.bodies.response =
        captured(r#"{"model":"llama","choices":[{"message":{"content":"hello world"}}]}"#);
    check_source(finished, "estimated", Some(2));
    let mut image = chat("openai_chat/tools.json");
    image.bodies.request =
        captured(r#"{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}"#);
    image.bodies.response =
        captured(r#"{"model":"gpt-4o","choices":[{"message":{"content":"hello world"}}]}"#);
    let record = check_source(image, "estimated", Some(2));
    assert_eq!(
        record.request_text.as_deref(),
        Some(r#"[{"type":"image_url"}]"#)
    );
}

#[test]
fn less_is_kept_when_asked() {
    for (keep, state) in [(Keep::Metadata, "metadata_only"), (Keep::Nothing, "off")] {
        let mut finished = chat("openai_chat/tools.json");
        finished.opened.keep = keep;
        let record = digest(finished);
        assert_eq!(record.body_state, state);
        assert!(record.payload.is_none() && record.tool_calls.is_none());
        assert_eq!((record.request_text, record.response_text), (None, None));
        assert!(record.prompt_tokens.is_some());
        assert_eq!(record.end_user.as_deref(), Some("ann"));
    }
}

#[test]
fn bodies_are_stored_with_size_and_hash() {
    let mut finished = with(chat("openai_chat/plain.json"), |closed| {
        closed.chunks = vec![
            ChunkTime {
                offset: 0,
                length: 5,
                at_us: 17,
            },
            ChunkTime {
                offset: 5,
                length: 1,
                at_us: 20,
            },
        ];
    });
    let pieces = vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")];
    finished.bodies.request = Some(Captured {
        pieces,
        size: 3,
        ..Captured::default()
    });
    finished.bodies.upstream_request = Some(Captured {
        size: 9,
        sha256: Some([0xab; 32]),
        truncated: true,
        ..Captured::default()
    });
    finished.bodies.upstream_response = Some(Captured {
        size: 9,
        truncated: true,
        ..Captured::default()
    });
    let record = digest(finished);
    assert_eq!(record.body_state, "truncated");
    let payload = record.payload.unwrap();
    let request = payload.request_body.unwrap();
    assert_eq!((&request.bytes[..], request.size), (&b"abc"[..], 3));
    assert_eq!(
        request.sha256,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    let upstream = payload.upstream_request_body.unwrap();
    assert_eq!((upstream.size, upstream.sha256), (9, "ab".repeat(32)));
    assert_eq!(payload.upstream_response_body.unwrap().sha256, "");
    assert_eq!(payload.chunk_times.as_deref(), Some("0,5,17;5,1,20"));
}

#[test]
fn a_cut_body_is_counted_as_far_as_it_goes() {
    let mut finished = chat("openai_chat/plain.json");
    let answer = fixture("openai_chat/plain.json");
    let pieces = vec![answer.slice(..answer.len() - 200)];
    finished.bodies.response = Some(Captured {
        pieces,
        size: 9_000_000,
        truncated: true,
        ..Captured::default()
    });
    let record = digest(finished);
    assert_eq!(
        (record.usage_source.as_deref(), record.body_state.as_str()),
        (Some("partial"), "truncated")
    );
    assert_eq!(record.response_text.as_deref(), Some("Four 😀 é"));
}

#[test]
fn filters_show_the_client_one_thing_and_usage_another() {
    let mut finished = chat("openai_chat/plain.json");
    finished.bodies.upstream_response = finished.bodies.response.take();
    finished.bodies.response =
        captured(r#"{"choices":[{"message":{"content":"***"},"finish_reason":"stop"}]}"#);
    let record = check_source(finished, "upstream", Some(10));
    assert_eq!(record.response_text.as_deref(), Some("***"));
    assert_eq!(record.model.as_deref(), Some("gpt-4o-mini-2024-07-18"));
}

#[test]
fn a_legacy_function_call_stands_as_an_object() {
    let record = digest(chat("openai_chat/stream_function_call.sse"));
    assert_eq!(
        record.tool_calls.as_deref(),
        Some(r#"{"name":"weather","arguments":"{\"a\":1}"}"#)
    );
    assert_eq!(record.finish_reason.as_deref(), Some("function_call"));
}

#[test]
fn lists_pass_through() {
    let mut finished = with(chat("openai_chat/plain.json"), |closed| {
        closed.repairs = vec!["bom".to_owned(), "done".to_owned()];
        closed.tags = vec![
            ("team".to_owned(), "blue".to_owned()),
            ("q\"".to_owned(), "\n".to_owned()),
        ];
        (closed.times.duration_ms, closed.times.first_token_ms) = (1_100.0, Some(100.0));
    });
    finished.opened.end_user = Some("header".to_owned());
    let record = digest(finished);
    assert_eq!(record.repairs.as_deref(), Some(r#"["bom","done"]"#));
    assert_eq!(
        record.tags.as_deref(),
        Some("{\"team\":\"blue\",\"q\\\"\":\"\\n\"}")
    );
    assert_eq!(
        (record.end_user.as_deref(), record.output_tokens_per_s),
        (Some("header"), Some(10.0))
    );
}

proptest! {
    #[test]
    fn no_body_costs_the_row(bytes in prop::collection::vec(any::<u8>(), 0..80), is_stream: bool, endpoint in 0usize..6) {
        let endpoint = [Endpoint::ChatCompletions, Endpoint::Completions, Endpoint::Embeddings, Endpoint::Responses,
            Endpoint::Models, Endpoint::Passthrough][endpoint];
        let bodies = Bodies { request: captured(bytes.clone()), response: captured(bytes), ..Bodies::default() };
        let closed = Closed { response_is_stream: is_stream, ..closed() };
        digest(Finished { opened: opened(endpoint), closed: Some(closed), bodies });
    }

    #[test]
    fn f31_pieces_make_no_difference(cuts in prop::collection::vec(0usize..900, 0..10)) {
        let whole = chat("openai_chat/stream.sse");
        let mut cut = chat("openai_chat/stream.sse");
        let body = fixture("openai_chat/stream.sse");
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(body.len())).chain([0, body.len()]).collect();
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| body.slice(pair[0]..pair[1])).collect();
        cut.bodies.response = Some(Captured { pieces, size: body.len() as u64, ..Captured::default() });
        let json = |record: LogRecord| serde_json::to_string(&record).unwrap();
        prop_assert_eq!(json(digest(cut)), json(digest(whole)));
    }
}
