//! Bedrock's streams: frames go on as they came, however they are cut, and a bad end is told in its own way.

use aiproxy::cli::mock::Mock;
use aiproxy::filter::Endpoint;
use serde_json::json;

use super::{
    CONVERSE, MESSAGES, PROMPT, REQUEST, STREAMS, answered, ask, before, frames, streamed,
};
use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::TestGateway;

#[test]
fn f31_streams_pass_byte_for_byte_whatever_their_chunks() {
    for (verb, body, endpoint, events) in STREAMS {
        let stream = frames(endpoint, events).concat();
        for bytes in [1, 7, stream.len()] {
            let (answer, row) = answered(streamed(&stream, bytes), "", verb, body);
            assert_eq!((answer.status, &answer.body), (200, &stream), "by {bytes}");
            assert!(answer.complete);
            let count = i64::try_from(events.lines().count()).ok();
            let facts = (&*row.outcome, row.response_complete, row.stream);
            assert_eq!(facts, ("ok", Some(true), Some(true)), "{verb} by {bytes}");
            assert_eq!(row.chunk_count, count);
            let text = row.response_text.as_deref().map(str::trim_start);
            assert_eq!(text, Some("Hello café 😀!"), "{verb}");
            let tokens = (row.prompt_tokens, row.completion_tokens);
            assert_eq!(tokens, (Some(32), Some(15)), "{verb}");
            assert_eq!(row.usage_source.as_deref(), Some("upstream"));
            assert_eq!(
                (row.finish_reason.as_deref(), row.repairs),
                (Some("stop"), None)
            );
            assert!(row.first_token_ms.is_some());
        }
    }
}

/// The frame of an exception.
fn exception(kind: &str, message: &str) -> Vec<u8> {
    let event = json!({ kind: { "message": message } }).to_string();
    frames(Endpoint::BedrockConverse, &event).concat()
}

#[test]
fn f36_f37_f38_f44_streams_that_end_badly() {
    let all = frames(Endpoint::BedrockConverse, CONVERSE);
    let truncated = exception(
        "serviceUnavailableException",
        "the provider's answer ended before its end",
    );
    let broken = exception(
        "serviceUnavailableException",
        "the connection to the provider broke",
    );

    // Clean ends: behind the reason nothing is missing but numbers, before it everything is.
    let stopped = all[..6].concat();
    let (answer, row) = answered(streamed(&stopped, 64), "", "converse-stream", REQUEST);
    assert_eq!(answer.body, stopped);
    assert_eq!((&*row.outcome, row.response_complete), ("ok", Some(true)));
    assert_eq!(row.usage_source.as_deref(), Some("estimated"));
    let begun = all[..3].concat();
    let (answer, row) = answered(streamed(&begun, 64), "", "converse-stream", REQUEST);
    assert_eq!(answer.body, [begun.clone(), truncated.clone()].concat());
    assert_eq!(
        (&*row.outcome, row.response_complete),
        ("upstream_truncated", Some(false))
    );
    assert_eq!(row.response_text.as_deref(), Some("Hello café 😀"));

    // In the middle of a frame: what came of it is not sent, so that the exception can be read.
    let half = [begun.clone(), all[3][..20].to_vec()].concat();
    let (answer, _) = answered(streamed(&half, 64), "", "converse-stream", REQUEST);
    assert_eq!(answer.body, [begun.clone(), truncated].concat());
    let wire = streamed(&half, 1_000);
    let wire = wire
        .strip_suffix(b"0\r\n\r\n")
        .expect("a last chunk")
        .to_vec();
    let script = vec![Step::ReadRequest, Step::Send(wire), Step::Fin];
    let upstream = FakeUpstream::start(vec![script]);
    let gateway = before(&upstream, "");
    let answer = ask(&gateway, "converse-stream", REQUEST);
    assert_eq!(answer.body, [begun, broken].concat());
    assert_eq!(gateway.row().record.outcome, "upstream_truncated");

    let failed = [
        all[..2].concat(),
        exception("throttlingException", "slow down"),
    ]
    .concat();
    let (answer, row) = answered(streamed(&failed, 64), "", "converse-stream", REQUEST);
    assert_eq!(answer.body, failed);
    let facts = (
        &*row.outcome,
        row.error_type.as_deref(),
        row.response_complete,
    );
    assert_eq!(
        facts,
        ("upstream_error", Some("ThrottlingException"), Some(false))
    );
    assert_eq!(row.error_message.as_deref(), Some("slow down"));
}

#[test]
fn damaged_frames_pass_and_are_on_record() {
    for at in [9, 40] {
        let mut all = frames(Endpoint::BedrockConverse, CONVERSE);
        all[2][at] ^= 1;
        let stream = all.concat();
        let (answer, row) = answered(streamed(&stream, 30), "", "converse-stream", REQUEST);
        assert_eq!((answer.status, &answer.body), (200, &stream));
        let facts = (
            &*row.outcome,
            row.error_code.as_deref(),
            row.response_complete,
        );
        assert_eq!(
            facts,
            ("upstream_error", Some("upstream_protocol"), Some(false))
        );
        assert!(
            row.response_text
                .is_some_and(|text| text.starts_with("Hello"))
        );
    }
}

#[test]
fn f33_a_frame_that_is_too_long_ends_the_stream() {
    let long = CONVERSE.replace("Hello", &"a".repeat(5_000));
    let stream = frames(Endpoint::BedrockConverse, &long).concat();
    let upstream = FakeUpstream::answering(streamed(&stream, 700));
    let mut wanted = super::wanted(&format!("http://{}", upstream.addr()), "");
    wanted.provider.push_str("    max_event_bytes: 2000\n");
    let gateway = TestGateway::with(wanted);
    let answer = ask(&gateway, "converse-stream", REQUEST);
    let (first, rest) = answer
        .body
        .split_at(frames(Endpoint::BedrockConverse, CONVERSE)[0].len());
    assert_eq!(first, frames(Endpoint::BedrockConverse, CONVERSE)[0]);
    assert!(String::from_utf8_lossy(rest).contains("serviceUnavailableException"));
    assert_eq!(gateway.row().record.outcome, "upstream_truncated");
}

#[test]
fn the_mock_speaks_it_with_its_faults() {
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).expect("a mock");
    let gateway = TestGateway::with(super::wanted(&format!("http://{}", mock.addr()), ""));
    let send = |model: &str, verb: &str, body: &str| {
        let path = format!("/model/{model}/{verb}");
        gateway.send("POST", &path, "", body.as_bytes()).status
    };
    for (model, verb, body, status, outcome, tokens) in [
        ("mock", "converse", REQUEST, 200, "ok", Some(10)),
        (
            "mock-tools",
            "converse-stream",
            REQUEST,
            200,
            "ok",
            Some(10),
        ),
        ("mock-s3", "converse-stream", REQUEST, 200, "ok", Some(3)),
        ("mock", "invoke", MESSAGES, 200, "ok", Some(10)),
        ("mock", "invoke", PROMPT, 200, "ok", Some(10)),
        (
            "mock-s3",
            "invoke-with-response-stream",
            MESSAGES,
            200,
            "ok",
            Some(3),
        ),
        (
            "mock-s3",
            "invoke-with-response-stream",
            PROMPT,
            200,
            "ok",
            Some(3),
        ),
        (
            "mock-err-429",
            "converse",
            REQUEST,
            429,
            "rate_limited",
            None,
        ),
        (
            "mock-errevent",
            "converse-stream",
            REQUEST,
            200,
            "upstream_error",
            None,
        ),
        (
            "mock-cut-2",
            "converse-stream",
            REQUEST,
            200,
            "upstream_truncated",
            None,
        ),
        (
            "mock-eof-2",
            "invoke-with-response-stream",
            MESSAGES,
            200,
            "upstream_truncated",
            None,
        ),
        (
            "mock-nodone",
            "converse-stream",
            REQUEST,
            200,
            "upstream_truncated",
            None,
        ),
        (
            "mock-badcrc",
            "converse-stream",
            REQUEST,
            200,
            "upstream_error",
            None,
        ),
        (
            "mock-badlength",
            "invoke-with-response-stream",
            MESSAGES,
            200,
            "upstream_error",
            None,
        ),
    ] {
        assert_eq!(send(model, verb, body), status, "{model} {verb}");
        let row = gateway.rows().pop().expect("a row").record;
        assert_eq!(row.outcome, outcome, "{model} {verb}: {row:#?}");
        if tokens.is_some() {
            assert_eq!(row.completion_tokens, tokens, "{model} {verb}");
            assert_eq!(row.usage_source.as_deref(), Some("upstream"));
        }
    }
}
