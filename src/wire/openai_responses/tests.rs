use super::*;

fn fixture(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/openai_responses")
        .join(name);
    std::fs::read(path).unwrap()
}

const CALL: &str = r#"[{"id":"call_a","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Köln\"}"}}]"#;

#[test]
fn a_stream_says_what_the_whole_says() {
    let whole = decode_whole(std::str::from_utf8(&fixture("whole.json")).unwrap());
    let stream = decode_stream(&fixture("stream.sse"));
    assert_eq!(
        Decoded {
            event_count: 0,
            ..stream.clone()
        },
        whole
    );
    assert_eq!(stream.event_count, 8);
    assert_eq!(
        (whole.text.as_deref(), whole.tool_calls.as_deref()),
        (Some("Hello there"), Some(CALL))
    );
    assert_eq!(whole.finish_reason.as_deref(), Some("tool_calls"));
    let usage = whole.usage.unwrap();
    assert_eq!(
        (
            usage.prompt,
            usage.completion,
            usage.cached,
            usage.reasoning
        ),
        (12, Some(9), Some(3), Some(2))
    );
}

#[test]
fn a_cut_stream_says_what_came() {
    let cut = decode_stream(&fixture("stream_cut.sse"));
    assert_eq!(
        (cut.text.as_deref(), cut.tool_calls.as_deref()),
        (Some("Hello there"), Some(CALL))
    );
    assert_eq!(
        (cut.model.as_deref(), cut.finish_reason, cut.usage),
        (Some("gpt-4o-2024-08-06"), None, None)
    );
}

#[test]
fn ends_in_openai_words() {
    for (status, expected) in [
        (r#""status":"completed""#, Some("stop")),
        (
            r#""status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}"#,
            Some("length"),
        ),
        (
            r#""status":"incomplete","incomplete_details":{"reason":"content_filter"}"#,
            Some("content_filter"),
        ),
        (
            r#""status":"failed","error":{"code":"x","message":"m"}"#,
            None,
        ),
        (r#""status":null"#, None),
    ] {
        assert_eq!(
            decode_whole(&format!("{{{status}}}"))
                .finish_reason
                .as_deref(),
            expected,
            "{status}"
        );
    }
}

#[test]
fn refusals_and_errors() {
    let refusal =
        r#"{"output":[{"type":"message","content":[{"type":"refusal","refusal":"no"}]}]}"#;
    assert_eq!(decode_whole(refusal).text.as_deref(), Some("no"));
    let refused =
        decode_stream(b"data: {\"type\":\"response.refusal.delta\",\"delta\":\"no\"}\n\n");
    assert_eq!(refused.text.as_deref(), Some("no"));
    for error in [
        "event: error\ndata: {\"type\":\"error\",\"code\":\"c\",\"message\":\"m\"}\n\n",
        "event: error\ndata: {\"code\":\"c\",\"message\":\"m\"}\n\n",
        "data: {\"error\":{\"code\":\"c\",\"message\":\"m\"},\"type\":\"error\"}\n\n",
        "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"c\",\"message\":\"m\"}}}\n\n",
    ] {
        let found = decode_stream(error.as_bytes()).error.unwrap();
        assert_eq!(
            (found.code.as_deref(), found.message.as_deref()),
            (Some("c"), Some("m")),
            "{error}"
        );
    }
}

#[test]
fn odd_shapes_teach_nothing() {
    for body in [
        "",
        "[]",
        r#"{"output":null}"#,
        r#"{"output":[null,5,{"type":5}]}"#,
        r#"{"usage":[]}"#,
        r#"{"output":"x"}"#,
    ] {
        let decoded = decode_whole(body);
        assert_eq!(
            (decoded.text, decoded.tool_calls, decoded.usage),
            (None, None, None),
            "{body}"
        );
    }
}

#[test]
fn prompts_are_counted() {
    let pieces = prompt_pieces(
        r#"{"instructions":"i","input":[{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image"}]},
        {"type":"function_call_output","call_id":"c","output":"o"}],"tools":[{"a":1}]}"#,
    );
    assert_eq!(pieces.texts, ["i", "user", "a", "c", "o", "{\"a\":1}"]);
    assert_eq!((pieces.messages, pieces.odd), (3, true));
    let text = prompt_pieces(r#"{"input":"a","previous_response_id":null}"#);
    assert_eq!((text.texts.len(), text.messages, text.odd), (1, 1, false));
    assert!(prompt_pieces(r#"{"input":"a","previous_response_id":"r"}"#).odd);
}
