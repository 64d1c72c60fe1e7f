//! Gemini's streams, which nothing but the end of the body ends, cut at every place.

use super::*;

const CANDIDATES: ScanOptions = ScanOptions {
    dialect: Dialect::Candidates,
    strip_usage: false,
    ..CHAT
};
const DELTA: &str = "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"error \\\"finishReason\\\"\"}]}}]}\r\n\r\n";
const CALL: &str = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"args\":{\"finishReason\":\"STOP\"}}}]}}]}\n\n";
const END: &str =
    "data: {\"candidates\": [{\"finishReason\": \"STOP\"}],\"usageMetadata\": {}}\r\n\r\n";
const BLOCKED: &str = "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}\n\n";
const ERROR: &str = "data: {\"error\":{\"code\":503,\"status\":\"UNAVAILABLE\"}}\n\n";

fn pieces(chunks: &[&str]) -> Vec<Piece> {
    let mut scanner = Scanner::new(CANDIDATES);
    let mut out = Vec::new();
    for chunk in chunks {
        scanner
            .push(Bytes::copy_from_slice(chunk.as_bytes()), &mut out)
            .unwrap();
    }
    assert_eq!(scanner.finish(&mut out), StreamEnd::Complete);
    out
}

#[test]
fn f31_a_stream_passes_unchanged_and_ends_with_a_reason() {
    for text in [
        [DELTA, END].concat(),
        [DELTA, END, DELTA, END].concat(),
        BLOCKED.to_owned(),
    ] {
        let facts = check(&text, CANDIDATES, &text, &[], StreamEnd::Complete).facts;
        assert!(facts.saw_terminal && facts.saw_finish_reason && !facts.saw_done);
    }
}

#[test]
fn what_may_be_the_last_event_waits_for_the_next_or_for_the_end() {
    let end = Bytes::from(END);
    assert_eq!(
        pieces(&[DELTA, END]).last(),
        Some(&Piece::Terminal(end.clone()))
    );
    let (begun, rest) = END.split_at(40);
    assert_eq!(
        pieces(&[DELTA, begun, rest]).last(),
        Some(&Piece::Terminal(Bytes::from(rest)))
    );
    let (begun, rest) = END.split_at(END.len() - 1);
    let whole = [Piece::Terminal(end.clone())];
    assert_eq!(pieces(&[begun, rest]), whole, "its line feed waits too");
    let both = pieces(&[&[DELTA, END].concat(), DELTA, END]);
    let expected = [
        Piece::Send(Bytes::from(DELTA)),
        Piece::Send(end.clone()),
        Piece::Send(Bytes::from(DELTA)),
        Piece::Terminal(end),
    ];
    assert_eq!(both, expected);
}

#[test]
fn f37_a_stream_without_a_reason_is_truncated() {
    for text in [DELTA, CALL] {
        let facts = check(text, CANDIDATES, text, &[], StreamEnd::Truncated).facts;
        assert!(
            facts.first_content_seen && !facts.saw_finish_reason,
            "{text}"
        );
    }
}

#[test]
fn f44_an_error_ends_a_stream() {
    let text = [DELTA, ERROR].concat();
    let facts = check(&text, CANDIDATES, &text, &[], StreamEnd::Complete).facts;
    assert!(facts.saw_error_event && facts.saw_terminal);
}

#[test]
fn a_cut_gives_back_what_waits() {
    let mut scanner = Scanner::new(CANDIDATES);
    let mut out = Vec::new();
    scanner.push(Bytes::from(END), &mut out).unwrap();
    assert!(out.is_empty() && scanner.at_event_border());
    scanner.cut(&mut out);
    assert_eq!(out, [Piece::Send(Bytes::from(END))]);
}
