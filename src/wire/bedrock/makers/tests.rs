//! Tests of what models of other makers than Anthropic's answer to `invoke`, whole and streamed.

use super::*;
use crate::wire::bedrock::{decode_stream, decode_whole, frame_of, usage_in_headers};
use aiproxy_filters::Endpoint;

const METRICS: &str = r#""amazon-bedrock-invocationMetrics":{"inputTokenCount":9,"outputTokenCount":3,"invocationLatency":5,"firstByteLatency":4}"#;

/// Text, finish reason, calls, and tokens of prompt and completion.
type Said<'a> = (
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    Option<(u64, Option<u64>)>,
);

#[track_caller]
fn check(decoded: &Decoded, expected: Said<'_>, from: &str) {
    let said = (
        decoded.text.as_deref(),
        decoded.finish_reason.as_deref(),
        decoded.tool_calls.as_deref(),
        decoded.usage.map(|usage| (usage.prompt, usage.completion)),
    );
    assert_eq!(said, expected, "{from}");
}

#[track_caller]
fn check_whole(answer: &str, expected: Said<'_>) {
    let decoded = decode_whole(Endpoint::BedrockInvoke, answer);
    check(&decoded, expected, answer);
}

#[track_caller]
fn check_stream(events: &str, expected: Said<'_>) {
    let events = events.replace("METRICS", METRICS);
    let frames = events
        .lines()
        .map(|event| frame_of(Endpoint::BedrockInvoke, event.trim()).expect("an event"));
    let stream = frames.collect::<Vec<_>>().concat();
    let decoded = decode_stream(Endpoint::BedrockInvoke, &stream);
    check(&decoded, expected, &events);
    assert_eq!(decoded.event_count, events.lines().count() as u64);
}

#[test]
fn whole_answers_of_every_maker() {
    let call =
        r#"[{"id":"","type":"function","function":{"name":"look","arguments":"{\"at\":\"it\"}"}}]"#;
    let chats_call =
        r#"[{"id":"c1","type":"function","function":{"name":"look","arguments":"{}"}}]"#;
    let calls = format!(
        r#"{{"choices":[{{"index":0,"message":{{"role":"assistant","content":"","tool_calls":{chats_call}}},"stop_reason":"tool_calls"}}]}}"#
    );
    for (answer, expected) in [
        // Titan.
        (
            r#"{"inputTextTokenCount":5,"results":[{"tokenCount":3,"outputText":"\nH\u00e9","completionReason":"FINISHED"}]}"#,
            (Some("\nHé"), Some("stop"), None, Some((5, Some(3)))),
        ),
        (
            r#"{"inputTextTokenCount":5,"results":[{"tokenCount":3,"outputText":"Hi","completionReason":"LENGTH"}]}"#,
            (Some("Hi"), Some("length"), None, Some((5, Some(3)))),
        ),
        (
            r#"{"inputTextTokenCount":5,"results":[{"tokenCount":0,"outputText":"","completionReason":"CONTENT_FILTERED"}]}"#,
            (Some(""), Some("content_filter"), None, Some((5, Some(0)))),
        ),
        (
            r#"{"embedding":[0.1,0.2],"inputTextTokenCount":5}"#,
            (None, None, None, Some((5, None))),
        ),
        // Nova.
        (
            r#"{"output":{"message":{"content":[{"text":"Hi"}],"role":"assistant"}},"stopReason":"max_tokens","usage":{"inputTokens":5,"outputTokens":3,"totalTokens":10,"cacheReadInputTokenCount":2,"cacheWriteInputTokenCount":0}}"#,
            (Some("Hi"), Some("length"), None, Some((7, Some(3)))),
        ),
        // Llama, and models that one brings along.
        (
            r#"{"generation":"\n\nHi","prompt_token_count":5,"generation_token_count":3,"stop_reason":"stop"}"#,
            (Some("\n\nHi"), Some("stop"), None, Some((5, Some(3)))),
        ),
        // Mistral.
        (
            r#"{"outputs":[{"text":" Hi","stop_reason":"length"}]}"#,
            (Some(" Hi"), Some("length"), None, None),
        ),
        (
            &*calls,
            (Some(""), Some("tool_calls"), Some(chats_call), None),
        ),
        // Cohere's Command R, and its elder.
        (
            r#"{"response_id":"r","text":"Hi","generation_id":"g","chat_history":[{"role":"USER","message":"a"},{"role":"CHATBOT","message":"Hi"}],"finish_reason":"MAX_TOKENS","tool_calls":[{"name":"look","parameters":{"at":"it"}}],"meta":{"api_version":{"version":"1"},"billed_units":{"input_tokens":5,"output_tokens":3}}}"#,
            (Some("Hi"), Some("length"), Some(call), Some((5, Some(3)))),
        ),
        (
            r#"{"generations":[{"finish_reason":"COMPLETE","id":"g","text":"Hi"},{"finish_reason":"ERROR_TOXIC","id":"h","text":"Ho"}],"id":"r","prompt":"a"}"#,
            (Some("Hi"), Some("stop"), None, None),
        ),
        // Jamba, gpt-oss and others.
        (
            r#"{"id":"j","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}"#,
            (Some("Hi"), Some("stop"), None, Some((5, Some(3)))),
        ),
        // DeepSeek.
        (
            r#"{"choices":[{"text":"Hi","stop_reason":"length"}]}"#,
            (Some("Hi"), Some("length"), None, None),
        ),
        // Nobody knows whose.
        (r#"{"images":["aGk="]}"#, (None, None, None, None)),
        ("[1]", (None, None, None, None)),
    ] {
        check_whole(answer, expected);
    }
    let both = r#"{"generations":[{"text":"Hi"},{"text":"Ho"}]}"#;
    let decoded = decode_whole(Endpoint::BedrockInvoke, both);
    assert_eq!(decoded.other_texts, ["Ho"]);
}

#[test]
fn streams_of_every_maker() {
    for (events, expected) in [
        (
            r#"{"index":0,"inputTextTokenCount":5,"totalOutputTextTokenCount":null,"outputText":"H","completionReason":null}
               {"index":0,"inputTextTokenCount":null,"totalOutputTextTokenCount":3,"outputText":"i","completionReason":"FINISH",METRICS}"#,
            (Some("Hi"), Some("stop"), None, Some((5, Some(3)))),
        ),
        (
            r#"{"messageStart":{"role":"assistant"}}
               {"contentBlockDelta":{"delta":{"text":"H"},"contentBlockIndex":0}}
               {"contentBlockDelta":{"delta":{"text":"i"},"contentBlockIndex":0}}
               {"contentBlockStop":{"contentBlockIndex":0}}
               {"messageStop":{"stopReason":"end_turn"}}
               {"metadata":{"usage":{"inputTokens":5,"outputTokens":4},"metrics":{}},METRICS}"#,
            (Some("Hi"), Some("stop"), None, Some((5, Some(4)))),
        ),
        (
            r#"{"generation":"","prompt_token_count":5,"generation_token_count":1,"stop_reason":null}
               {"generation":"H","prompt_token_count":null,"generation_token_count":2,"stop_reason":null}
               {"generation":"i","prompt_token_count":null,"generation_token_count":4,"stop_reason":"length",METRICS}"#,
            (Some("Hi"), Some("length"), None, Some((5, Some(4)))),
        ),
        (
            r#"{"outputs":[{"text":"H","stop_reason":null}]}
               {"outputs":[{"text":"i","stop_reason":"stop"}],METRICS}"#,
            (Some("Hi"), Some("stop"), None, Some((9, Some(3)))),
        ),
        (
            r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"H"},"stop_reason":null}]}
               {"choices":[{"index":0,"message":{"role":"assistant","content":"i"},"stop_reason":"length"}],METRICS}"#,
            (Some("Hi"), Some("length"), None, Some((9, Some(3)))),
        ),
        (
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"},"finish_reason":null}]}
               {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],METRICS}"#,
            (Some("Hi"), Some("stop"), None, Some((9, Some(3)))),
        ),
        (
            r#"{"choices":[{"text":"Hi","stop_reason":null}]}
               {"choices":[{"text":"","stop_reason":"stop"}],METRICS}"#,
            (Some("Hi"), Some("stop"), None, Some((9, Some(3)))),
        ),
        (
            r#"{"event_type":"stream-start","is_finished":false,"generation_id":"g"}
               {"event_type":"text-generation","is_finished":false,"text":"H"}
               {"event_type":"text-generation","is_finished":false,"text":"i"}
               {"event_type":"stream-end","is_finished":true,"finish_reason":"COMPLETE","response":{"text":"Hi","meta":{"billed_units":{"input_tokens":5,"output_tokens":4}}},METRICS}"#,
            (Some("Hi"), Some("stop"), None, Some((5, Some(4)))),
        ),
        (
            r#"{"is_finished":false,"text":"Hi"}
               {"is_finished":true,"finish_reason":"COMPLETE",METRICS}"#,
            (Some("Hi"), Some("stop"), None, Some((9, Some(3)))),
        ),
        // Cut off: what came counts, a number that is missing is not zero.
        (
            r#"{"index":0,"inputTextTokenCount":5,"totalOutputTextTokenCount":null,"outputText":"H","completionReason":null}"#,
            (Some("H"), None, None, Some((5, None))),
        ),
        (r#"{"other":1}"#, (None, None, None, None)),
        (
            "{\"other\":1}\n{\"other\":2,METRICS}",
            (None, None, None, Some((9, Some(3)))),
        ),
    ] {
        check_stream(events, expected);
    }
}

#[test]
fn f46_numbers_of_makers_that_cannot_be_are_not_believed() {
    for wrong in ["-7", "1e18", "\"7\"", "[7]", "9223372036854775808"] {
        let whole = format!(
            r#"{{"generation":"Hi","prompt_token_count":5,"generation_token_count":{wrong}}}"#
        );
        check_whole(&whole, (Some("Hi"), None, None, None));
    }
    for broken in [
        r#"{"generation":"Hi","prompt_token_count":5,"generation_token_count":3"#,
        r#"{"generation":"Hi","prompt_token_count":5,"generation_token_count":3}}"#,
    ] {
        check_whole(broken, (Some("Hi"), None, None, None));
    }
    for odd in [
        r#"{"results":7}"#,
        r#"{"results":[7]}"#,
        r#"{"outputs":{}}"#,
        r#"{"choices":null}"#,
        r#"{"choices":[7]}"#,
        r#"{"generation":7}"#,
        r#"{"meta":[],"text":null,"tool_calls":[1]}"#,
    ] {
        check_whole(odd, (None, None, None, None));
    }
}

#[test]
fn numbers_in_headers() {
    let headers = |inside: &str| format!(r#"{{"content-type":"application/json"{inside}}}"#);
    for (inside, expected) in [
        (
            r#","x-amzn-bedrock-input-token-count":"8","x-amzn-bedrock-output-token-count":"3""#,
            Some((8, Some(3), None)),
        ),
        (
            r#","x-amzn-bedrock-input-token-count":"8""#,
            Some((8, None, None)),
        ),
        (
            r#","x-amzn-bedrock-input-token-count":"8","x-amzn-bedrock-output-token-count":"3","x-amzn-bedrock-cache-read-input-token-count":"10","x-amzn-bedrock-cache-write-input-token-count":"0""#,
            Some((18, Some(3), Some(10))),
        ),
        (
            r#","x-amzn-bedrock-input-token-count":"8","x-amzn-bedrock-output-token-count":"-3""#,
            Some((8, None, None)),
        ),
        (r#","x-amzn-bedrock-output-token-count":"3""#, None),
        (r#","x-amzn-bedrock-input-token-count":"no""#, None),
        ("", None),
    ] {
        let read = usage_in_headers(&headers(inside));
        let read = read.map(|(usage, _)| (usage.prompt, usage.completion, usage.cached));
        assert_eq!(read, expected, "{inside}");
    }
}
