//! Tests of the frame scanner.

use serde_json::json;

use super::*;
use crate::wire::bedrock::frame_of;

fn converse(events: &[&str]) -> Vec<Vec<u8>> {
    of(Endpoint::BedrockConverse, events)
}

fn of(endpoint: Endpoint, events: &[&str]) -> Vec<Vec<u8>> {
    let frames = events.iter().map(|event| frame_of(endpoint, event));
    frames.map(|frame| frame.expect("an event")).collect()
}

const CONVERSE: &[&str] = &[
    r#"{"messageStart":{"role":"assistant"}}"#,
    r#"{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"Hi"}}}"#,
    r#"{"contentBlockStop":{"contentBlockIndex":0}}"#,
    r#"{"messageStop":{"stopReason":"end_turn"}}"#,
    r#"{"metadata":{"usage":{"inputTokens":7,"outputTokens":2,"totalTokens":9}}}"#,
];

const MESSAGES: &[&str] = &[
    r#"{"type":"message_start","message":{"role":"assistant","stop_reason":null}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"say \"message_stop\""}}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
    r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":7}}"#,
];

const COMPLETION: &[&str] = &[
    r#"{"completion":" Hi","stop_reason":null,"stop":null}"#,
    r#"{"completion":"","stop_reason":"stop_sequence","stop":"\n\nHuman:"}"#,
];

const OTHERS: &[&str] = &[
    r#"{"generation":"Hi","stop_reason":null}"#,
    r#"{"generation":"","stop_reason":"stop","amazon-bedrock-invocationMetrics":{}}"#,
];

/// What a scan came to: what went on at once, what waits for the record, and how the stream ended.
fn scan(endpoint: Endpoint, stream: &[u8], chunk: usize) -> (Vec<u8>, Vec<u8>, StreamEnd, Facts) {
    let mut scanner = FrameScanner::new(endpoint, 10_000);
    let mut pieces = Vec::new();
    for chunk in stream.chunks(chunk) {
        let pushed = scanner.push(Bytes::copy_from_slice(chunk), &mut pieces);
        pushed.expect("no frame is too long");
    }
    let end = scanner.finish(&mut pieces);
    let (mut sent, mut terminal) = (Vec::new(), Vec::new());
    for piece in pieces {
        match piece {
            Piece::Send(bytes) => sent.extend_from_slice(&bytes),
            Piece::Terminal(bytes) => terminal.extend_from_slice(&bytes),
            Piece::Stripped(_) => panic!("nothing is taken out of frames"),
        }
    }
    (sent, terminal, end, *scanner.facts())
}

#[test]
fn the_last_frame_waits_whatever_the_chunks() {
    for (endpoint, events) in [
        (Endpoint::BedrockConverse, CONVERSE),
        (Endpoint::BedrockInvoke, MESSAGES),
        (Endpoint::BedrockInvoke, COMPLETION),
        (Endpoint::BedrockInvoke, OTHERS),
    ] {
        let frames = of(endpoint, events);
        let (last, before) = frames.split_last().expect("frames");
        for chunk in [1, 7, 100_000] {
            let (sent, terminal, end, facts) = scan(endpoint, &frames.concat(), chunk);
            assert_eq!(sent, before.concat(), "{events:?}");
            assert_eq!((&terminal, end), (last, StreamEnd::Complete), "{events:?}");
            assert_eq!(facts.event_count, events.len() as u64);
            assert!(!facts.saw_error_event && !facts.is_damaged);
        }
    }
}

#[test]
fn converse_may_end_without_its_numbers() {
    let frames = converse(&CONVERSE[..4]);
    let (sent, terminal, end, _) = scan(Endpoint::BedrockConverse, &frames.concat(), 9);
    assert_eq!(sent, frames[..3].concat());
    assert_eq!((&terminal, end), (&frames[3], StreamEnd::Complete));
}

#[test]
fn a_stream_without_its_end_is_cut() {
    for (endpoint, events) in [
        (Endpoint::BedrockConverse, &CONVERSE[..3]),
        (Endpoint::BedrockInvoke, &MESSAGES[..3]),
        (Endpoint::BedrockInvoke, &COMPLETION[..1]),
    ] {
        let frames = of(endpoint, events).concat();
        let (sent, terminal, end, _) = scan(endpoint, &frames, 100_000);
        assert_eq!((&sent, terminal.len()), (&frames, 0));
        assert_eq!(end, StreamEnd::Truncated);
    }
    for endpoint in [Endpoint::BedrockConverse, Endpoint::BedrockInvoke] {
        assert_eq!(scan(endpoint, b"", 1).2, StreamEnd::Truncated, "empty");
    }
    assert_eq!(scan(Endpoint::Passthrough, b"", 1).2, StreamEnd::Complete);
    // In the middle of a frame: what came of it is not sent.
    let frames = converse(CONVERSE).concat();
    let (half, _) = frames.split_at(frames.len() - 3);
    let (sent, _, end, _) = scan(Endpoint::BedrockConverse, half, 5);
    assert_eq!(sent, converse(&CONVERSE[..4]).concat());
    assert_eq!(end, StreamEnd::Truncated);
}

#[test]
fn of_a_maker_that_nobody_knows_any_end_will_do() {
    let frames = of(Endpoint::BedrockInvoke, &[r#"{"outputText":"Hi"}"#]).concat();
    let (sent, _, end, _) = scan(Endpoint::BedrockInvoke, &frames, 5);
    assert_eq!((sent, end), (frames, StreamEnd::Complete));
}

#[test]
fn an_exception_ends_a_stream() {
    let exception = json!({ "throttlingException": { "message": "slow down" } }).to_string();
    for endpoint in [Endpoint::BedrockInvoke, Endpoint::BedrockConverse] {
        let frames = of(endpoint, &[&exception]).concat();
        let (_, terminal, end, facts) = scan(endpoint, &frames, 3);
        assert_eq!((terminal, end), (frames, StreamEnd::Complete));
        assert!(facts.saw_error_event);
    }
}

#[test]
fn damage_goes_on_as_it_came_and_is_known() {
    let mut frames = converse(CONVERSE);
    *frames[1].last_mut().expect("a checksum") ^= 1;
    let (sent, terminal, end, facts) = scan(Endpoint::BedrockConverse, &frames.concat(), 11);
    assert_eq!((sent, terminal), (frames[..4].concat(), frames[4].clone()));
    assert_eq!((end, facts.is_damaged), (StreamEnd::Complete, true));

    // Behind lengths that cannot be believed nobody knows where a frame begins.
    let mut frames = converse(CONVERSE);
    frames[3][9] ^= 1;
    let stream = frames.concat();
    let (sent, terminal, end, facts) = scan(Endpoint::BedrockConverse, &stream, 11);
    assert_eq!((sent, terminal.len()), (stream, 0));
    assert_eq!((end, facts.is_damaged), (StreamEnd::Complete, true));
}

#[test]
fn a_frame_that_is_too_long_is_told() {
    let mut scanner = FrameScanner::new(Endpoint::BedrockConverse, 200);
    let long = format!(r#"{{"messageStart":{{"role":"{}"}}}}"#, "a".repeat(200));
    let stream = [converse(&[CONVERSE[2]]), converse(&[&long])]
        .concat()
        .concat();
    let mut pieces = Vec::new();
    let pushed = scanner.push(Bytes::from(stream), &mut pieces);
    assert_eq!(pushed, Err(EventTooLarge { limit: 200 }));
    assert_eq!(pieces.len(), 1);
}
