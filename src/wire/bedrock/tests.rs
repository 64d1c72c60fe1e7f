//! Tests of what Bedrock's bodies and frames say.

use super::event::{frame_of, text_of};
use super::*;
use crate::wire::aws_event_stream::{Header, HeaderValue, encode};

fn stream(endpoint: Endpoint, events: &[&str]) -> Vec<u8> {
    let frames = events.iter().map(|event| frame_of(endpoint, event));
    frames
        .map(|frame| frame.expect("an event"))
        .collect::<Vec<_>>()
        .concat()
}

fn tokens(decoded: &Decoded) -> Option<(u64, Option<u64>, Option<u64>)> {
    let usage = decoded.usage?;
    Some((usage.prompt, usage.completion, usage.cached))
}

#[test]
fn paths_name_a_model_and_what_is_done_with_it() {
    for (path, model, verb, endpoint) in [
        (
            "/model/a.b-v2%3A1/invoke",
            "a.b-v2%3A1",
            "invoke",
            Endpoint::BedrockInvoke,
        ),
        (
            "/model/m/invoke-with-response-stream",
            "m",
            "invoke-with-response-stream",
            Endpoint::BedrockInvoke,
        ),
        (
            "/model/m/converse",
            "m",
            "converse",
            Endpoint::BedrockConverse,
        ),
        (
            "/model/arn:a/b/converse-stream",
            "arn:a/b",
            "converse-stream",
            Endpoint::BedrockConverse,
        ),
        (
            "/model/m/count-tokens",
            "m",
            "count-tokens",
            Endpoint::Passthrough,
        ),
    ] {
        let read = ModelPath::read(path).expect("a path");
        assert_eq!(
            (read.model, read.verb, read.endpoint()),
            (model, verb, endpoint)
        );
        assert_eq!(is_stream(path), verb.contains("stream"), "{path}");
    }
    for path in [
        "/model",
        "/model/",
        "/model/m",
        "/model//invoke",
        "/model/m/",
        "/models/m/invoke",
    ] {
        assert_eq!(ModelPath::read(path), None, "{path}");
    }
}

#[test]
fn converse_whole_and_streamed_say_the_same() {
    let whole = r#"{"output":{"message":{"role":"assistant","content":[
        {"reasoningContent":{"reasoningText":{"text":"hm","signature":"s"}}},
        {"text":"Hällo \"you\""},
        {"toolUse":{"toolUseId":"t1","name":"look","input":{"at":"it"}}}]}},
        "stopReason":"tool_use","usage":{"inputTokens":7,"outputTokens":2,"totalTokens":19,"cacheReadInputTokens":10},
        "metrics":{"latencyMs":5}}"#;
    let events = [
        r#"{"messageStart":{"role":"assistant"}}"#,
        r#"{"contentBlockDelta":{"delta":{"reasoningContent":{"text":"hm"}},"contentBlockIndex":0}}"#,
        r#"{"contentBlockDelta":{"contentBlockIndex":1,"delta":{"text":"Hällo "}}}"#,
        r#"{"contentBlockDelta":{"contentBlockIndex":1,"delta":{"text":"\"you\""}}}"#,
        r#"{"contentBlockStart":{"start":{"toolUse":{"toolUseId":"t1","name":"look"}},"contentBlockIndex":2}}"#,
        r#"{"contentBlockDelta":{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"at\":"}}}}"#,
        r#"{"contentBlockDelta":{"contentBlockIndex":2,"delta":{"toolUse":{"input":"\"it\"}"}}}}"#,
        r#"{"messageStop":{"stopReason":"tool_use"}}"#,
        r#"{"metadata":{"usage":{"inputTokens":7,"outputTokens":2,"totalTokens":19,"cacheReadInputTokens":10},"metrics":{"latencyMs":5}}}"#,
    ];
    let endpoint = Endpoint::BedrockConverse;
    let (whole, streamed) = (
        decode_whole(endpoint, whole),
        decode_stream(endpoint, &stream(endpoint, &events)),
    );
    assert_eq!(streamed.event_count, events.len() as u64);
    for decoded in [&whole, &streamed] {
        assert_eq!(decoded.text.as_deref(), Some("Hällo \"you\""));
        let calls = r#"[{"id":"t1","type":"function","function":{"name":"look","arguments":"{\"at\":\"it\"}"}}]"#;
        assert_eq!(decoded.tool_calls.as_deref(), Some(calls));
        assert_eq!(decoded.finish_reason.as_deref(), Some("tool_calls"));
        assert_eq!(decoded.other_texts, ["hm"]);
        assert_eq!(tokens(decoded), Some((17, Some(2), Some(10))));
        assert_eq!(decoded.error, None);
    }
}

#[test]
fn invoke_answers_as_the_models_maker_does() {
    let endpoint = Endpoint::BedrockInvoke;
    let message = r#"{"id":"m","type":"message","role":"assistant","model":"claude-3","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":7,"output_tokens":2}}"#;
    let decoded = decode_whole(endpoint, message);
    assert_eq!(decoded.text.as_deref(), Some("Hi"));
    assert_eq!(tokens(&decoded), Some((7, Some(2), None)));
    let completion = r#"{"completion":" Hi","stop_reason":"max_tokens","stop":null}"#;
    let decoded = decode_whole(endpoint, completion);
    assert_eq!(decoded.text.as_deref(), Some(" Hi"));
    assert_eq!(decoded.finish_reason.as_deref(), Some("length"));
    assert_eq!(tokens(&decoded), None);

    let metrics = r#""amazon-bedrock-invocationMetrics":{"inputTokenCount":9,"outputTokenCount":3,"invocationLatency":5,"firstByteLatency":4}"#;
    let last =
        format!(r#"{{"completion":"i","stop_reason":"stop_sequence","stop":null,{metrics}}}"#);
    let events = [
        r#"{"completion":"H","stop_reason":null,"stop":null}"#,
        &last,
    ];
    let decoded = decode_stream(endpoint, &stream(endpoint, &events));
    assert_eq!(decoded.text.as_deref(), Some("Hi"));
    assert_eq!(decoded.finish_reason.as_deref(), Some("stop"));
    assert_eq!(tokens(&decoded), Some((9, Some(3), None)));

    // The maker's own numbers know more than Bedrock's.
    let last = format!(r#"{{"type":"message_stop",{metrics}}}"#);
    let events = [
        r#"{"type":"message_start","message":{"model":"claude-3","usage":{"input_tokens":4,"cache_read_input_tokens":5,"output_tokens":1}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}"#,
        &last,
    ];
    let decoded = decode_stream(endpoint, &stream(endpoint, &events));
    assert_eq!(decoded.model.as_deref(), Some("claude-3"));
    assert_eq!(tokens(&decoded), Some((9, Some(3), Some(5))));

    let last = format!(r#"{{"generation":"Hi","stop_reason":"stop",{metrics}}}"#);
    let decoded = decode_stream(endpoint, &stream(endpoint, &[&last]));
    assert_eq!(tokens(&decoded), Some((9, Some(3), None)));
}

#[test]
fn the_prompts_of_every_maker_are_counted() {
    for (body, expected) in [
        (r#"{"prompt":"Hi"}"#, vec!["Hi"]),
        (r#"{"inputText":"Hi"}"#, vec!["Hi"]),
        (
            r#"{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#,
            vec!["user", "Hi"],
        ),
        (
            r#"{"message":"Hi","chat_history":[{"role":"USER","message":"a"},7],"preamble":"Be brief.","p":0.1}"#,
            vec!["Hi", "a", "Be brief."],
        ),
        (r#"{"texts":["Hi","Ho"]}"#, vec!["Hi", "Ho"]),
        (r#"{"inputText":{}}"#, vec![]),
        (r#"{"other":"Hi"}"#, vec![]),
    ] {
        let pieces = invoke_prompt_pieces(body);
        assert_eq!(pieces.texts, expected, "{body}");
    }
}

#[test]
fn errors_are_told_whole_and_streamed() {
    let endpoint = Endpoint::BedrockConverse;
    let said = decode_whole(endpoint, r#"{"message":"too long"}"#).error;
    assert_eq!(
        said.and_then(|said| said.message).as_deref(),
        Some("too long")
    );
    let answer = r#"{"message":"a word of the answer","output":{}}"#;
    assert_eq!(decode_whole(endpoint, answer).error, None);
    for endpoint in [Endpoint::BedrockConverse, Endpoint::BedrockInvoke] {
        let events = [r#"{"throttlingException":{"message":"slow down"}}"#];
        let said = decode_stream(endpoint, &stream(endpoint, &events))
            .error
            .expect("an error");
        assert_eq!(said.kind.as_deref(), Some("ThrottlingException"));
        assert_eq!(said.message.as_deref(), Some("slow down"));
    }
}

#[test]
fn f46_numbers_that_cannot_be_are_not_believed() {
    for wrong in ["-7", "1e18", "\"7\"", "9223372036854775808"] {
        let whole = format!(r#"{{"usage":{{"inputTokens":{wrong},"outputTokens":2}}}}"#);
        let decoded = decode_whole(Endpoint::BedrockConverse, &whole);
        assert_eq!(tokens(&decoded), None, "{wrong}");
        assert!(decoded.usage_raw.is_some());
    }
}

#[test]
fn frames_that_cannot_be_read_say_nothing() {
    let header = |name, text| Header {
        name,
        value: HeaderValue::Text(text),
    };
    let event = |kind, payload: &str| {
        let headers = [
            header(":event-type", kind),
            header(":message-type", "event"),
        ];
        encode(&headers, payload.as_bytes()).expect("a frame")
    };
    for payload in [
        "",
        "no",
        r#"{"p":"a"}"#,
        r#"{"bytes":"%"}"#,
        r#"{"bytes":"bm8="}"#,
        r#"{"bytes":"/w=="}"#,
    ] {
        let frame = event("chunk", payload);
        let read = frames(&frame).next().map(|frame| text_of(&frame));
        assert_eq!(read, Some(EventText::Unreadable), "{payload}");
    }
    let mut damaged = event("metadata", "{}");
    damaged[20] ^= 1;
    let read = frames(&damaged).next().map(|frame| text_of(&frame));
    assert_eq!(read, Some(EventText::Unreadable));
    // What AWS sends when it fails itself has no payload.
    let headers = [
        header(":error-code", "InternalError"),
        header(":error-message", "gone"),
        header(":message-type", "error"),
    ];
    let frame = encode(&headers, b"").expect("a frame");
    let said = decode_stream(Endpoint::BedrockInvoke, &frame)
        .error
        .expect("an error");
    assert_eq!(said.message.as_deref(), Some("gone"));
}

#[test]
fn only_events_become_frames() {
    for text in ["", "null", "[1]", "{}", r#"{"a":1"#] {
        assert_eq!(frame_of(Endpoint::BedrockConverse, text), None, "{text}");
    }
    assert_eq!(frame_of(Endpoint::BedrockInvoke, "[1]"), None);
    let text = r#"{"type":"ping"}"#;
    let frame = frame_of(Endpoint::BedrockInvoke, text).expect("a frame");
    let back = frames(&frame).next().map(|frame| text_of(&frame));
    assert_eq!(back, Some(EventText::Json(text.to_owned())));
}

#[test]
fn what_is_asked() {
    let body = r#"{"system":[{"text":"Be brief."}],"messages":[{"role":"user","content":[{"text":"a"},{"image":{"format":"png"}},{"text":"b"}]}],
        "toolConfig":{"tools":[{"toolSpec":{"name":"look"}}]}}"#;
    assert_eq!(request_text(body).as_deref(), Some("a\nb"));
    let pieces = converse_prompt_pieces(body);
    assert_eq!(pieces.messages, 1);
    assert_eq!(
        pieces.texts,
        ["Be brief.", "a", "b", r#"[{"toolSpec":{"name":"look"}}]"#]
    );
    assert!(pieces.odd && !pieces.broken);
    let no_text = r#"{"messages":[{"role":"user","content":[{"image":{}}]}]}"#;
    assert_eq!(request_text(no_text).as_deref(), Some(r#"[{"image":{}}]"#));
    assert_eq!(request_text("{}"), None);
    assert!(converse_prompt_pieces(r#"{"messages":[{"content":[{"text":"a"}"#).broken);
    assert!(has_prompt(br#"{"prompt":"Human: a"}"#) && !has_prompt(br#"{"messages":[]}"#));
    assert_eq!(
        invoke_prompt_pieces(r#"{"prompt":"Human: a"}"#).texts,
        ["Human: a"]
    );
}

#[test]
fn the_last_turn_of_a_prompt_is_what_a_person_said() {
    for (prompt, said) in [
        ("\n\nHuman: a\n\nAssistant:", "a"),
        ("Human: a\nAssistant: b\nHuman: c\nAssistant: Well", "c"),
        ("Human: a", "a"),
        ("Assistant: b", "Assistant: b"),
        ("Human:", ""),
        ("", ""),
    ] {
        assert_eq!(last_turn(prompt), said, "{prompt}");
    }
}
