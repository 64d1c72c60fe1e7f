//! Answers as Gemini sends them, whole, as events and as an array, at any cut.

use proptest::prelude::*;

use super::*;
use crate::wire::usage;

fn fixture(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/gemini")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

fn reason(json: &str) -> Option<String> {
    decode_whole(json).finish_reason
}

#[test]
fn a_whole_answer() {
    let decoded = decode_whole(&fixture("plain.json"));
    assert_eq!(decoded.model.as_deref(), Some("gemini-2.5-flash-001"));
    assert_eq!(decoded.finish_reason.as_deref(), Some("stop"));
    assert_eq!(decoded.text.as_deref(), Some("Hello \"you\", café 😀"));
    assert_eq!(decoded.other_texts, ["Let me think."]);
    let usage = decoded.usage.expect("usage");
    assert_eq!(
        (usage.prompt, usage.completion, usage.total),
        (35, Some(19), 54)
    );
    assert_eq!((usage.cached, usage.reasoning), (Some(20), Some(7)));
    assert!(
        decoded
            .usage_raw
            .unwrap()
            .contains("toolUsePromptTokenCount")
    );
}

#[test]
fn a_stream_says_the_same_as_events_and_as_an_array() {
    let events = decode_stream(fixture("stream.sse").as_bytes());
    assert_eq!(events.event_count, 4);
    assert_eq!(events.text.as_deref(), Some("Hello café 😀!"));
    let usage = events.usage.expect("usage");
    assert_eq!((usage.prompt, usage.completion), (32, Some(15)));
    let array = decode_whole(&fixture("stream_array.json"));
    let expected = Decoded {
        event_count: 0,
        ..events
    };
    assert_eq!(array, expected);
}

#[test]
fn calls_are_in_openais_shape() {
    let decoded = decode_stream(fixture("stream_tools.sse").as_bytes());
    assert_eq!(decoded.finish_reason.as_deref(), Some("tool_calls"));
    let calls: serde_json::Value = serde_json::from_str(&decoded.tool_calls.unwrap()).unwrap();
    let expected = serde_json::json!([
        {"id": "f1", "type": "function", "function": {"name": "get_weather",
            "arguments": "{\"city\": \"Paris\",\"finishReason\": \"STOP\"}"}},
        {"id": "", "type": "function", "function": {"name": "get_time", "arguments": "{}"}},
    ]);
    assert_eq!(calls, expected);
    assert_eq!(decoded.usage.and_then(|usage| usage.completion), Some(11));
}

#[test]
fn reasons_in_openais_words() {
    for (word, expected) in [
        ("STOP", Some("stop")),
        ("MAX_TOKENS", Some("length")),
        ("SAFETY", Some("content_filter")),
        ("RECITATION", Some("content_filter")),
        ("MALFORMED_FUNCTION_CALL", Some("MALFORMED_FUNCTION_CALL")),
        ("FINISH_REASON_UNSPECIFIED", None),
    ] {
        let json = format!(r#"{{"candidates":[{{"finishReason":"{word}"}}]}}"#);
        assert_eq!(reason(&json).as_deref(), expected, "{word}");
        assert_eq!(ends_answer(&json), expected.is_some(), "{word}");
    }
    let blocked = decode_whole(&fixture("blocked.json"));
    assert_eq!(blocked.finish_reason.as_deref(), Some("content_filter"));
    assert_eq!((blocked.text, blocked.tool_calls), (None, None));
    assert_eq!(blocked.usage.and_then(|usage| usage.completion), Some(0));
    assert!(ends_answer(&fixture("blocked.json")));
    for json in [
        r#"{"candidates":[]}"#,
        "{}",
        "[]",
        "5",
        "",
        r#"{"candidates":[5,{"content":null}]}"#,
    ] {
        assert_eq!((reason(json), ends_answer(json)), (None, false), "{json}");
    }
    let nested = r#"{"candidates":[{"content":{"parts":[{"functionCall":{"args":{"finishReason":"STOP"}}}]}}]}"#;
    assert!(!ends_answer(nested), "an argument is no reason");
}

#[test]
fn candidates_are_told_apart() {
    let decoded = decode_whole(
        r#"{"candidates":[{"content":{"parts":[{"text":"b"}]},"index":1},{"content":{"parts":[{"text":"a"}]},"index":0,"finishReason":"STOP"}]}"#,
    );
    assert_eq!(decoded.text.as_deref(), Some("a"));
    assert_eq!(decoded.other_texts, ["b"]);
    assert_eq!(decoded.finish_reason.as_deref(), Some("stop"));
}

#[test]
fn errors_and_what_breaks_off() {
    let error = decode_stream(fixture("stream_error.sse").as_bytes());
    assert_eq!(error.text.as_deref(), Some("Hello"));
    let told = error.error.expect("an error");
    assert_eq!(told.kind.as_deref(), Some("UNAVAILABLE"));
    assert_eq!(told.code.as_deref(), Some("503"));
    let plain = fixture("plain.json");
    let trailing = decode_whole(&format!("{plain}{{}}"));
    assert!(trailing.text.is_some() && trailing.usage.is_none(), "f45");
}

#[test]
fn f46_usage_that_cannot_be_true() {
    for raw in [
        r#"{"promptTokenCount":-1}"#,
        r#"{"promptTokenCount":"5"}"#,
        r#"{"promptTokenCount":1,"candidatesTokenCount":1e18}"#,
        r#"{"promptTokenCount":1,"thoughtsTokenCount":-2}"#,
        r#"{"totalTokenCount":5}"#,
        "{}",
        "null",
        "5",
    ] {
        assert_eq!(usage::read_gemini(raw), None, "{raw}");
    }
    let only = usage::read_gemini(r#"{"promptTokenCount":5}"#).expect("usage");
    assert_eq!((only.completion, only.total), (None, 5));
}

#[test]
fn the_last_content_of_a_request() {
    for (body, expected) in [
        (&*fixture("request.json"), Some("And in words?")),
        (
            r#"{"contents":[{"parts":[{"text":"a"},{"text":"b"}]}]}"#,
            Some("a\nb"),
        ),
        (r#"{"contents":{"parts":{"text":"a"}}}"#, Some("a")),
        (r#"{"contents":"a"}"#, Some("a")),
        (
            r#"{"contents":[{"parts":[{"inlineData":{"data":"x"}}]}]}"#,
            Some(r#"[{"inlineData":{"data":"x"}}]"#),
        ),
        (r#"{"content":{"parts":[{"text":"e"}]}}"#, Some("e")),
        (
            r#"{"requests":[{"content":{"parts":[{"text":"a"}]}},{"content":{"parts":[{"text":"b"}]}}]}"#,
            Some("a\nb"),
        ),
        (
            r#"{"generateContentRequest":{"contents":[{"parts":[{"text":"c"}]}]}}"#,
            Some("c"),
        ),
        (r#"{"contents":[{"parts":[{"text":"a"}]},{"pa"#, Some("a")),
        (r#"{"contents":[]}"#, None),
        ("[]", None),
    ] {
        let found = request_text(body);
        // What breaks off inside a content has begun another one.
        let expected = expected.filter(|_| !body.ends_with("{\"pa"));
        assert_eq!(found.as_deref(), expected, "{body}");
    }
}

#[test]
fn what_is_counted_of_a_request() {
    let request = fixture("request.json");
    let pieces = prompt_pieces(&request);
    assert_eq!(
        (pieces.messages, pieces.odd, pieces.broken),
        (3, false, false)
    );
    assert!(pieces.texts.iter().any(|text| text == "Speak of Paris."));
    assert!(
        pieces
            .texts
            .iter()
            .any(|text| text.contains("Paris is mild."))
    );
    let image = r#"{"contents":[{"parts":[{"inlineData":{"data":"x"}}]}]}"#;
    assert!(prompt_pieces(image).odd);
    assert!(prompt_pieces(r#"{"contents":[{"#).broken);
}

proptest! {
    #[test]
    fn nothing_panics(cut in 0usize..2_000, from in prop::sample::select(&["plain.json", "stream_array.json", "request.json"][..])) {
        let text = fixture(from);
        let text: String = text.chars().take(cut).collect();
        let _whole = (decode_whole(&text), request_text(&text), array::to_events(text.as_bytes()));
        let _stream = decode_stream(text.as_bytes());
    }
}
