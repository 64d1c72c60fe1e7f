//! What upstreams do wrong inside event streams, by the numbers of the fault list. Over 400 lines: one
//! number after the other, as the list has them.

use crate::support::fake_upstream::Step;
use crate::support::gateway::{TestGateway, Wanted, chat_body};
use crate::support::raw_client::post;
use crate::support::wire::{
    DONE, FINISH, LAST_CHUNK, STREAM, STREAM_HEAD, Seen, TEXT, USAGE, answered, asked, chunk,
    mocked, scripted, stream,
};

/// The stream was cut: an error event at its end, no `[DONE]`, a clean end of the body.
#[track_caller]
fn is_cut(seen: &Seen, code: &str, outcome: &str) {
    assert_eq!(seen.facts(), (200, code.to_owned(), outcome), "{seen:#?}");
    let text = String::from_utf8(seen.answer.body.clone()).expect("text");
    assert!(
        !text.contains("[DONE]") && text.ends_with("}\n\n"),
        "{text}"
    );
    assert!(seen.answer.complete, "the body ends cleanly");
    assert_eq!(seen.row.response_complete, Some(false));
    assert_eq!(seen.row.error_code.as_deref(), Some(code));
    assert_eq!(seen.stored(), seen.answer.body);
}

fn repairs(seen: &Seen) -> &str {
    seen.row.repairs.as_deref().unwrap_or("none")
}

#[test]
fn f31_one_byte_a_segment() {
    let events = format!("{TEXT}{FINISH}{DONE}");
    for every in [1, 2, 3] {
        let steps = [Step::SendSplit(stream(&events), every), Step::ReadToEnd];
        let seen = scripted(steps, "", STREAM);
        seen.is_exactly(&events);
        assert_eq!((seen.row.outcome.as_str(), repairs(&seen)), ("ok", "none"));
        assert_eq!(seen.row.response_text.as_deref(), Some("Hällo"));
    }
}

#[test]
fn f31_characters_cut_by_chunks() {
    for model in ["mock-utf8", "mock-utf8-bytes1-s3", "mock-s3-bytes5"] {
        let seen = mocked(model, STREAM);
        seen.is_exactly(&seen.answer.body);
        let text = seen.row.response_text.as_deref().expect("a text");
        assert!(!text.contains('\u{fffd}') && !text.is_empty(), "{text}");
        assert_eq!(
            (seen.row.outcome.as_str(), seen.row.prompt_tokens),
            ("ok", Some(21))
        );
    }
}

/// What goes in, what comes out, which repairs are flagged.
#[test]
fn f32_variants_of_event_streams() {
    let usual = format!("{TEXT}{FINISH}{DONE}");
    let crlf = usual.replace('\n', "\r\n");
    let cr = usual.replace('\n', "\r");
    let comments = format!(": hi\n\n:\n{TEXT}: ka\n{FINISH}{DONE}");
    let fields = format!("event: message\nid: 7\nretry: 10\n{TEXT}{FINISH}{DONE}");
    let tight = usual.replace("data: ", "data:");
    let lines = format!(
        "{}{FINISH}{DONE}",
        TEXT.replace(",\"created\"", ",\ndata: \"created\"")
    );
    let mixed = format!(
        "{}{}{DONE}",
        TEXT.replace('\n', "\r\n"),
        FINISH.replace('\n', "\r")
    );
    let bom = format!("\u{feff}{usual}");
    let empty = format!("{TEXT}data:\n\n{FINISH}data: \n\n{DONE}");
    let no_end = usual.trim_end().to_owned();
    let cases = [
        (&crlf, &crlf, "none"),
        (&cr, &cr, "none"),
        (&mixed, &mixed, "none"),
        (&comments, &comments, "none"),
        (&fields, &fields, "none"),
        (&tight, &tight, "none"),
        (&lines, &lines, "none"),
        (&bom, &usual, "[\"bom\"]"),
        (&empty, &usual, "[\"empty_event\"]"),
        (&no_end, &usual, "[\"final_blank_line\"]"),
    ];
    for (wire, client, flagged) in cases {
        let seen = answered(stream(wire), STREAM);
        seen.is_exactly(client);
        assert_eq!(
            (seen.row.outcome.as_str(), repairs(&seen)),
            ("ok", flagged),
            "{wire:?}"
        );
        assert_eq!(seen.row.response_text.as_deref(), Some("Hällo"), "{wire:?}");
    }
}

#[test]
fn f32_pass_through_and_an_unrepaired_server_change_nothing() {
    let odd = format!("\u{feff}{TEXT}data:\n\n{FINISH}data: [DONE]");
    let yaml = "server: { port: 0, workers: 1, repair_streams: false }";
    let upstream = crate::support::fake_upstream::FakeUpstream::answering(stream(&odd));
    let gateway = TestGateway::with(Wanted {
        upstream: Some(upstream.base_url()),
        yaml: yaml.to_owned(),
        ..Wanted::default()
    });
    let seen = asked(&gateway, "m", STREAM);
    seen.is_exactly(&odd);
    assert_eq!((seen.row.outcome.as_str(), repairs(&seen)), ("ok", "none"));
    let gateway = TestGateway::before(upstream.base_url());
    let answer = gateway.post("/v1/other/path", r#"{"stream":true}"#);
    assert_eq!(
        answer.body.escape_ascii().to_string(),
        odd.as_bytes().escape_ascii().to_string()
    );
    assert_eq!(gateway.row().record.repairs, None);
}

#[test]
fn f33_an_event_without_end() {
    for (model, limit) in [
        ("mock-line-64m", ""),
        ("mock-line-2m", "    max_event_bytes: 65536\n"),
    ] {
        let gateway = TestGateway::with(Wanted {
            provider: limit.to_owned(),
            ..Wanted::default()
        });
        let mut client = gateway.connect();
        let before = crate::support::memory::peak_bytes();
        client.send(post("/v1/chat/completions", &chat_body(model, STREAM)));
        client.read_until(b"\r\n\r\n");
        let size = client.discard_chunked();
        let grown = crate::support::memory::peak_bytes() - before;
        let row = gateway.row().record;
        let facts = (row.outcome.as_str(), row.error_code.as_deref());
        assert_eq!(
            facts,
            ("upstream_truncated", Some("upstream_event_too_large"))
        );
        assert!(
            size < 9 << 20 && grown < 48 << 20,
            "{size} bytes, {grown} more in memory"
        );
    }
}

#[test]
fn f33_the_client_is_told_of_an_event_without_end() {
    let line = format!("data: {}", "x".repeat(100_000));
    let gateway_limit = "    max_event_bytes: 65536\n";
    let wire = [STREAM_HEAD.as_bytes(), &chunk(TEXT), &chunk(&line)].concat();
    let seen = scripted([Step::Send(wire), Step::ReadToEnd], gateway_limit, STREAM);
    is_cut(&seen, "upstream_event_too_large", "upstream_truncated");
    assert!(
        seen.answer.text().starts_with(TEXT),
        "what was whole went out"
    );
}

#[test]
fn f33_a_long_event_below_the_limit_passes() {
    let seen = mocked("mock-line-1m-s2", STREAM);
    seen.is_exactly(&seen.answer.body);
    assert_eq!((seen.row.outcome.as_str(), repairs(&seen)), ("ok", "none"));
}

#[test]
fn f36_a_missing_done_is_added() {
    let seen = answered(stream(format!("{TEXT}{FINISH}{USAGE}")), STREAM);
    seen.is_exactly(format!("{TEXT}{FINISH}{DONE}"));
    assert_eq!(
        (seen.row.outcome.as_str(), repairs(&seen)),
        ("ok", "[\"done\"]")
    );
    assert_eq!(seen.row.response_complete, Some(true));
    let usage = (seen.row.usage_source.as_deref(), seen.row.completion_tokens);
    assert_eq!(usage, (Some("upstream"), Some(2)));
    let seen = mocked("mock-nodone", STREAM);
    assert!(seen.answer.text().ends_with(DONE));
}

#[test]
fn f37_an_end_before_the_finish_reason() {
    let seen = answered(stream(TEXT), STREAM);
    is_cut(&seen, "upstream_truncated", "upstream_truncated");
    assert_eq!(seen.row.response_text.as_deref(), Some("Hällo"));
    assert_eq!(
        (seen.row.usage_source.as_deref(), repairs(&seen)),
        (Some("partial"), "[\"error_event\"]")
    );
    is_cut(
        &mocked("mock-eof-3", STREAM),
        "upstream_truncated",
        "upstream_truncated",
    );
    is_cut(
        &answered(stream(""), STREAM),
        "upstream_truncated",
        "upstream_truncated",
    );
}

#[test]
fn f38_a_connection_that_breaks() {
    let begun = [STREAM_HEAD.as_bytes(), &chunk(TEXT)].concat();
    let inside = [STREAM_HEAD.as_bytes(), b"fff\r\n", TEXT.as_bytes()].concat();
    for end in [Step::Fin, Step::Rst] {
        for wire in [begun.clone(), inside.clone()] {
            let seen = scripted([Step::Send(wire), end.clone()], "", STREAM);
            is_cut(&seen, "upstream_disconnected", "upstream_truncated");
            assert_eq!(seen.row.upstream_status, Some(200));
        }
    }
    let seen = mocked("mock-cut-2", STREAM);
    is_cut(&seen, "upstream_disconnected", "upstream_truncated");
    assert!(seen.row.response_text.is_some_and(|text| !text.is_empty()));
}

/// An unfinished event goes if it was held, and is closed off if it had gone out.
#[test]
fn f38_a_cut_inside_an_event() {
    for cut in [1, 8, 40, TEXT.len() - 2, TEXT.len() - 1] {
        let wire = [
            STREAM_HEAD.as_bytes(),
            &chunk(TEXT),
            &chunk(&TEXT.as_bytes()[..cut]),
        ]
        .concat();
        let seen = scripted([Step::Send(wire), Step::Rst], "", STREAM);
        is_cut(&seen, "upstream_disconnected", "upstream_truncated");
        let text = seen.answer.text();
        let error = text
            .rfind("\n\ndata: {\"error\"")
            .expect("an event of its own");
        assert!(text.starts_with(TEXT) && 0 < error, "{text}");
    }
}

/// What follows the end is not waited for, and cannot spoil it.
#[test]
fn f38_a_break_after_done_is_no_break() {
    let whole = [
        STREAM_HEAD.as_bytes(),
        &chunk(format!("{TEXT}{FINISH}{DONE}")),
    ]
    .concat();
    for end in [Step::Fin, Step::Rst] {
        let seen = scripted([Step::Send(whole.clone()), end], "", STREAM);
        seen.is_exactly(format!("{TEXT}{FINISH}{DONE}"));
        assert_eq!(
            (seen.row.outcome.as_str(), seen.row.response_complete),
            ("ok", Some(true))
        );
    }
}

#[test]
fn f40_a_stream_that_stalls() {
    let gateway = TestGateway::with(Wanted {
        provider: "    timeouts: { idle_s: 0.2 }\n".to_owned(),
        ..Wanted::default()
    });
    let seen = asked(&gateway, "mock-stall-2", STREAM);
    is_cut(&seen, "upstream_idle_timeout", "upstream_timeout");
    assert!(seen.row.response_text.is_some_and(|text| !text.is_empty()));
    assert!(
        seen.row
            .duration_ms
            .is_some_and(|ms| (200.0..5000.0).contains(&ms))
    );
    assert!(
        !seen.answer.body.starts_with(b":"),
        "heartbeats are off by default"
    );
}

#[test]
fn f42_garbage_passes_and_is_kept() {
    let bad = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\xff\xfe\x00b\"},\"finish_reason\":\"stop\"}]}\n\n";
    let noise = b"\x00\x01\xffnoise without a field\n\n";
    let events = [&bad[..], noise, DONE.as_bytes()].concat();
    let seen = answered(stream(&events), STREAM);
    seen.is_exactly(&events);
    assert_eq!((seen.row.outcome.as_str(), repairs(&seen)), ("ok", "none"));
    let whole = [&b"{\"choices\":\"\xff\x00"[..], b"\"}"].concat();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        whole.len()
    );
    let seen = answered([head.as_bytes(), &whole].concat(), "");
    seen.is_exactly(&whole);
    assert_eq!(seen.row.outcome, "ok");
}

#[test]
fn f44_an_error_inside_a_stream() {
    let error = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\",\"code\":\"busy\"}}\n\n";
    for events in [
        format!("{TEXT}{error}"),
        format!("{TEXT}{error}{DONE}"),
        error.to_owned(),
    ] {
        let seen = answered(stream(&events), STREAM);
        seen.is_exactly(&events);
        assert_eq!(
            (seen.row.outcome.as_str(), seen.row.status_code),
            ("upstream_error", 200)
        );
        assert_eq!(
            (seen.row.error_code.as_deref(), seen.row.response_complete),
            (Some("busy"), Some(false))
        );
        assert_eq!(seen.row.upstream_status, Some(200));
    }
    let seen = mocked("mock-errevent", STREAM);
    assert_eq!(seen.row.outcome, "upstream_error");
}

/// Where usage stands, and what is believed of it.
#[test]
fn f46_usage_that_can_and_cannot_be_believed() {
    for (style, believed) in [
        ("none", false),
        ("empty", false),
        ("negative", false),
        ("huge", false),
        ("string", false),
        ("first", true),
        ("every", true),
        ("last", true),
    ] {
        for more in [
            "",
            STREAM,
            ",\"stream\":true,\"stream_options\":{\"include_usage\":true}",
        ] {
            let seen = mocked(&format!("gpt-4o/mock-s4-usage-{style}"), more);
            let source = seen.row.usage_source.as_deref();
            assert_eq!(seen.row.outcome, "ok");
            seen.is_exactly(&seen.answer.body);
            if believed {
                let tokens = (seen.row.prompt_tokens, seen.row.completion_tokens);
                assert_eq!(
                    (source, tokens),
                    (Some("upstream"), (Some(21), Some(4))),
                    "{style} {more}"
                );
            } else {
                assert!(
                    matches!(source, Some("counted" | "estimated")),
                    "{style} {more}: {source:?}"
                );
                assert!(
                    seen.row
                        .prompt_tokens
                        .is_some_and(|count| (1..100).contains(&count))
                );
                assert!(
                    seen.row
                        .completion_tokens
                        .is_some_and(|count| (1..1000).contains(&count))
                );
            }
            assert_eq!(
                seen.row.usage_raw.is_none(),
                style == "none",
                "{style} {more}"
            );
        }
    }
}

#[test]
fn an_unrepaired_stream_that_breaks_has_no_end() {
    let upstream = crate::support::fake_upstream::FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send([STREAM_HEAD.as_bytes(), &chunk(TEXT)].concat()),
        Step::Rst,
    ]]);
    let gateway = TestGateway::with(Wanted {
        upstream: Some(upstream.base_url()),
        yaml: "server: { port: 0, workers: 1, repair_streams: false }".to_owned(),
        ..Wanted::default()
    });
    let seen = asked(&gateway, "m", STREAM);
    assert_eq!((seen.answer.text(), seen.answer.complete), (TEXT, false));
    assert_eq!(seen.row.outcome, "upstream_truncated");
}

#[test]
fn the_end_of_the_chunks_alone_is_not_waited_for() {
    let whole = stream(format!("{TEXT}{FINISH}{DONE}"));
    let short = &whole[..whole.len() - LAST_CHUNK.len()];
    let steps = [Step::Send(short.to_vec()), Step::ReadToEnd];
    let seen = scripted(steps, "    timeouts: { idle_s: 0.2 }\n", STREAM);
    seen.is_exactly(format!("{TEXT}{FINISH}{DONE}"));
    assert_eq!(seen.row.outcome, "ok");
}
