//! Anthropic's streams, cut at every place.

use super::*;

const MESSAGES: ScanOptions = ScanOptions {
    dialect: Dialect::Messages,
    strip_usage: false,
    ..CHAT
};
const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"stop_reason\":null,\"content\":[]}}\n\n";
const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"error message_stop \\\"stop_reason\\\"\"}}\n\n";
const END: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":1}}\n\n";
const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const ERROR: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";

#[test]
fn f31_a_stream_passes_unchanged_and_ends_with_message_stop() {
    let text = [START, PING, DELTA, END, STOP].concat();
    let facts = check(&text, MESSAGES, &text, &[], StreamEnd::Complete).facts;
    assert!(facts.saw_terminal && facts.saw_finish_reason && facts.first_content_seen);
    assert!(!facts.saw_error_event && !facts.saw_done);
    assert_eq!(facts.event_count, 5);
    let mut out = Vec::new();
    Scanner::new(MESSAGES)
        .push(Bytes::from(text), &mut out)
        .unwrap();
    assert_eq!(out.last(), Some(&Piece::Terminal(Bytes::from(STOP))));
}

#[test]
fn f36_a_missing_message_stop_is_added_after_a_stop_reason() {
    let text = [START, DELTA, END].concat();
    let mended = [&text, STOP].concat();
    check(&text, MESSAGES, &mended, &["done"], StreamEnd::Complete);
    let raw = ScanOptions {
        repair: false,
        ..MESSAGES
    };
    check(&text, raw, &text, &[], StreamEnd::Complete);
}

#[test]
fn f37_a_stream_without_a_stop_reason_is_truncated() {
    let text = [START, DELTA].concat();
    let facts = check(&text, MESSAGES, &text, &[], StreamEnd::Truncated).facts;
    assert!(
        !facts.saw_finish_reason,
        "a text that says so is no stop reason"
    );
    check(START, MESSAGES, START, &[], StreamEnd::Truncated);
}

#[test]
fn f44_an_error_event_ends_a_stream() {
    let text = [START, DELTA, ERROR].concat();
    let facts = check(&text, MESSAGES, &text, &[], StreamEnd::Complete).facts;
    assert!(facts.saw_error_event && facts.saw_terminal);
}

#[test]
fn f32_a_last_event_without_its_blank_line_gets_it() {
    let text = [START, END, STOP.trim_end()].concat();
    let mended = [START, END, STOP].concat();
    let repairs = &["final_blank_line"];
    check(&text, MESSAGES, &mended, repairs, StreamEnd::Complete);
}
