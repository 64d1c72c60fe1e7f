//! Messages as Anthropic sends them, whole and streamed, at any cut.

use proptest::prelude::*;

use super::*;
use crate::wire::usage::{self, Usage};

fn fixture(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/anthropic")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

#[track_caller]
fn check_usage(decoded: &Decoded, prompt: u64, completion: u64, cached: Option<u64>) {
    let usage = decoded.usage.expect("usage");
    assert_eq!(
        (usage.prompt, usage.completion, usage.cached),
        (prompt, Some(completion), cached)
    );
    assert_eq!(usage.total, prompt + completion);
}

#[test]
fn a_whole_answer() {
    let decoded = decode_whole(&fixture("plain.json"));
    assert_eq!(decoded.model.as_deref(), Some("claude-sonnet-4-5-20250929"));
    assert_eq!(decoded.finish_reason.as_deref(), Some("stop"));
    assert_eq!(decoded.text.as_deref(), Some("Hello \"you\", café 😀"));
    check_usage(&decoded, 35, 12, Some(20));
    assert_eq!(decoded.usage.and_then(|usage| usage.cache_write), Some(5));
    assert!(
        decoded
            .usage_raw
            .unwrap()
            .starts_with(r#"{"input_tokens":10,"#)
    );
}

#[test]
fn tool_calls_are_in_openais_shape() {
    let decoded = decode_whole(&fixture("tools.json"));
    assert_eq!(decoded.finish_reason.as_deref(), Some("tool_calls"));
    assert_eq!(decoded.text.as_deref(), Some("Looking."));
    assert_eq!(decoded.other_texts, ["Two cities."]);
    let calls: serde_json::Value = serde_json::from_str(&decoded.tool_calls.unwrap()).unwrap();
    let expected = serde_json::json!([
        {"id": "toolu_01", "type": "function", "function": {"name": "get_weather",
            "arguments": "{\"city\":\"Paris\",\"note\":\"a \\\"b\\\"\\n\"}"}},
        {"id": "toolu_02", "type": "function", "function": {"name": "now", "arguments": "{}"}},
    ]);
    assert_eq!(calls, expected);
}

#[test]
fn a_stream() {
    let decoded = decode_stream(fixture("stream.sse").as_bytes());
    assert_eq!(decoded.text.as_deref(), Some("Hello café 😀!"));
    assert_eq!(decoded.finish_reason.as_deref(), Some("stop"));
    assert_eq!(decoded.event_count, 9);
    check_usage(&decoded, 32, 15, Some(7));
    assert_eq!(
        decoded.usage_raw.as_deref(),
        Some(
            r#"{"input_tokens":25,"cache_creation_input_tokens":0,"cache_read_input_tokens":7,"output_tokens":15,"service_tier":"standard"}"#
        )
    );
}

#[test]
fn parallel_calls_of_a_stream_are_kept_apart() {
    let decoded = decode_stream(fixture("stream_tools.sse").as_bytes());
    assert_eq!(
        decoded.tool_calls.as_deref(),
        Some(
            r#"[{"id":"toolu_A","type":"function","function":{"name":"get_weather","arguments":"{\"city\": \"Paris\"}"}},{"id":"toolu_B","type":"function","function":{"name":"now","arguments":"{}"}}]"#
        )
    );
    assert_eq!(
        (decoded.text, decoded.other_texts),
        (None, vec!["Two calls.".to_owned()])
    );
    assert_eq!(decoded.finish_reason.as_deref(), Some("tool_calls"));
    check_usage(
        &decode_stream(fixture("stream_tools.sse").as_bytes()),
        472,
        89,
        None,
    );
}

#[test]
fn an_error_inside_a_stream() {
    let decoded = decode_stream(fixture("stream_error.sse").as_bytes());
    let error = decoded.error.unwrap();
    assert_eq!(
        (error.kind.as_deref(), error.message.as_deref()),
        (Some("overloaded_error"), Some("Overloaded"))
    );
    assert_eq!(
        (decoded.text.as_deref(), decoded.finish_reason),
        (Some("Half"), None)
    );
}

#[test]
fn an_error_answer() {
    let body = r#"{"type":"error","error":{"type":"not_found_error","message":"model: x"},"request_id":"req_1"}"#;
    let error = decode_whole(body).error.unwrap();
    assert_eq!(
        (error.kind.as_deref(), error.message.as_deref()),
        (Some("not_found_error"), Some("model: x"))
    );
}

#[test]
fn stop_reasons_in_openais_words() {
    for (theirs, ours) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something_new", "something_new"),
    ] {
        let body = format!(r#"{{"content":[],"stop_reason":"{theirs}"}}"#);
        assert_eq!(decode_whole(&body).finish_reason.as_deref(), Some(ours));
    }
}

#[test]
fn odd_shapes_leave_the_rest() {
    let decoded = decode_whole(
        r#"{"content":[null,5,{"type":"text","text":null},{"type":"text","text":"a"},{"type":"tool_use"}],"usage":{"input_tokens":-1,"output_tokens":2}}"#,
    );
    assert_eq!(decoded.text.as_deref(), Some("a"));
    assert_eq!(decoded.usage, None);
    assert_eq!(
        decoded.usage_raw.as_deref(),
        Some(r#"{"input_tokens":-1,"output_tokens":2}"#)
    );
    for broken in ["", "[]", "null", r#"{"content":5}"#, "{"] {
        assert_eq!(decode_whole(broken).text, None, "{broken}");
    }
    let cut = decode_whole(fixture("plain.json").trim_end_matches('}'));
    assert_eq!((cut.usage, cut.text.is_some()), (None, true));
    assert_eq!(
        usage::read_anthropic(r#"{"output_tokens":3}"#),
        None::<Usage>
    );
}

#[test]
fn what_is_counted_of_a_request() {
    let request = fixture("request.json");
    let pieces = prompt_pieces(&request);
    assert_eq!(
        (pieces.messages, pieces.names, pieces.broken),
        (3, 0, false)
    );
    assert!(pieces.odd, "an image is for the upstream to count");
    let texts: Vec<&str> = pieces.texts.iter().map(|text| &**text).collect();
    assert_eq!(texts[0], "You are terse.");
    assert!(texts[1].starts_with(r#"{"name":"get_weather""#));
    assert_eq!(
        texts[2..],
        [
            "user",
            "Weather in Paris?",
            "assistant",
            "Ask the tool.",
            "Let me look.",
            "get_weather",
            r#"{"city":"Paris"}"#,
            "user",
            "18 °C",
            "And in words?",
        ]
    );
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..1_500) {
        let text = String::from_utf8_lossy(&bytes);
        decode_whole(&text);
        decode_stream(&bytes);
        prompt_pieces(&text);
        // A stream that breaks off anywhere gives what stands before.
        let stream = fixture("stream_tools.sse");
        let cut = decode_stream(&stream.as_bytes()[..at.min(stream.len())]);
        prop_assert!(cut.event_count <= 14);
    }
}
