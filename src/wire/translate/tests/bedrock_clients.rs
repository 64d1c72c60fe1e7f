//! Bedrock's clients before other providers.

use serde_json::{Value, json};

use super::{
    CHAT, CHAT_STREAM, CHAT_TOOLS, GEMINI, GEMINI_TOOLS, MESSAGE, MESSAGE_STREAM, MESSAGE_TOOLS,
    REASONED, REASONED_STREAM, TOOLS, facts, pretty, said, said_in, streamed,
};
use crate::wire::bedrock::frames_of;
use crate::wire::translate::{
    ClientFormat, Format, TranslateError, answer, answer_as_stream, request,
};
use aiproxy_filters::Endpoint;

const CONVERSE: ClientFormat = ClientFormat::BedrockConverse;
const INVOKE: ClientFormat = ClientFormat::BedrockInvoke;
const FORMATS: [(&str, Format); 3] = [
    ("chat", Format::OpenaiChat),
    ("message", Format::Anthropic),
    ("gemini", Format::Gemini),
];

fn asked(from: ClientFormat, to: Format, body: &Value) -> Result<String, TranslateError> {
    let body = body.to_string();
    request(from, to, body.as_bytes(), "the-model", true).map(pretty)
}

fn conversation() -> Value {
    json!({
        "system": [{ "text": "Be terse." }, { "cachePoint": { "type": "default" } }],
        "messages": [
            { "role": "user", "content": [
                { "text": "Look." },
                { "image": { "format": "png", "source": { "bytes": "eA==" } } },
                { "document": { "format": "pdf", "name": "a", "source": { "bytes": "JVBERi0=" }, "citations": { "enabled": true } } },
                { "document": { "format": "md", "name": "b", "source": { "bytes": "IyBIw6RsbG8=" } } },
                { "document": { "format": "txt", "name": "c", "source": { "content": [{ "text": "one" }, { "text": "two" }] } } },
                { "guardContent": { "text": { "text": "Mind this.", "qualifiers": ["query"] } } },
                { "cachePoint": { "type": "default" } },
            ] },
            { "role": "assistant", "content": [
                { "reasoningContent": { "reasoningText": { "text": "Hm.", "signature": "c2ln" } } },
                { "reasoningContent": { "redactedContent": "ZUE9PQ==" } },
                { "citationsContent": { "content": [{ "text": "Calls." }], "citations": [{ "title": "t" }] } },
                { "toolUse": { "toolUseId": "a", "name": "f", "input": { "city": "Köln" } } },
                { "toolUse": { "toolUseId": "b", "name": "f", "input": {} } },
            ] },
            { "role": "user", "content": [
                { "toolResult": { "toolUseId": "a", "status": "success", "content": [
                    { "text": "18 °C" }, { "json": { "wind": [1, 2.50] } },
                ] } },
                { "toolResult": { "toolUseId": "b", "status": "error", "content": [
                    { "text": "gone" }, { "image": { "format": "jpeg", "source": { "bytes": "eQ==" } } },
                ] } },
            ] },
        ],
        "inferenceConfig": { "maxTokens": 9000, "temperature": 0.5, "topP": 0.9, "stopSequences": ["x"] },
        "toolConfig": {
            "tools": [
                { "toolSpec": { "name": "f", "description": "d", "inputSchema": { "json": { "type": "object", "required": ["city"] } } } },
                { "toolSpec": { "name": "g" } },
                { "cachePoint": { "type": "default" } },
            ],
            "toolChoice": { "tool": { "name": "f" } },
        },
        "additionalModelRequestFields": { "top_k": 5, "anthropic_beta": ["b"] },
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
        "requestMetadata": { "team": "t" },
        "performanceConfig": { "latency": "standard" },
        "outputConfig": { "textFormat": { "type": "json_schema", "structure": { "jsonSchema": {
            "schema": "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}", "name": "s", "description": "d",
        } } } },
    })
}

#[test]
fn requests() {
    for (name, to) in FORMATS {
        insta::assert_snapshot!(
            format!("converse_as_{name}"),
            asked(CONVERSE, to, &conversation()).unwrap()
        );
    }
}

#[test]
fn thinking_is_asked_for_in_the_words_of_the_maker() {
    let body = json!({
        "messages": [{ "role": "user", "content": [{ "text": "x" }] }],
        "additionalModelRequestFields": { "thinking": { "type": "enabled", "budget_tokens": 4096 } },
        "toolConfig": { "tools": [{ "toolSpec": { "name": "f" } }], "toolChoice": { "auto": {} } },
    });
    let made = asked(CONVERSE, CHAT.1, &body).unwrap();
    assert!(made.contains(r#""reasoning_effort": "medium""#), "{made}");
    assert!(made.contains(r#""tool_choice": "auto""#), "{made}");
    let tokens = "--- dropped\nadditionalModelRequestFields.thinking.budget_tokens";
    assert!(made.ends_with(tokens), "{made}");
}

#[test]
fn answers() {
    for (name, from, whole) in [
        ("message", Format::Anthropic, MESSAGE),
        ("chat", Format::OpenaiChat, REASONED),
        ("gemini", Format::Gemini, GEMINI),
    ] {
        let made = answer(from, CONVERSE, whole.as_bytes(), &facts()).unwrap();
        insta::assert_snapshot!(format!("{name}_answer_as_converse"), pretty(made));
        for (to, endpoint) in [
            (CONVERSE, Endpoint::BedrockConverse),
            (INVOKE, Endpoint::BedrockInvoke),
        ] {
            let (made, _) = answer(from, to, whole.as_bytes(), &facts()).unwrap();
            let (stream, _) = answer_as_stream(from, to, whole.as_bytes(), &facts()).unwrap();
            let frames = frames_of(endpoint, &stream).unwrap();
            let whole = crate::wire::decode_whole(endpoint, &made);
            let got = crate::wire::decode_stream(endpoint, &frames);
            assert!(1 < got.event_count && whole.text.is_some(), "{name}");
            let facts = |said: crate::wire::Decoded| {
                (said.finish_reason, said.text, said.tool_calls, said.usage)
            };
            assert_eq!(facts(got), facts(whole), "{name} as {endpoint:?}");
        }
    }
}

#[test]
fn streams() {
    for (name, from, stream) in [
        ("message", Format::Anthropic, MESSAGE_TOOLS),
        ("chat", Format::OpenaiChat, REASONED_STREAM),
        ("gemini", Format::Gemini, GEMINI_TOOLS),
    ] {
        let (made, dropped) = streamed(from, CONVERSE, stream).unwrap();
        let made = format!("{made}--- dropped\n{}", dropped.join("\n"));
        insta::assert_snapshot!(format!("{name}_stream_as_converse"), made);
    }
}

#[test]
fn streams_say_as_frames_what_they_said() {
    for (from, native, stream) in [
        (Format::OpenaiChat, ClientFormat::OpenaiChat, CHAT_STREAM),
        (Format::OpenaiChat, ClientFormat::OpenaiChat, CHAT_TOOLS),
        (Format::Anthropic, ClientFormat::Anthropic, MESSAGE_STREAM),
        (Format::Anthropic, ClientFormat::Anthropic, MESSAGE_TOOLS),
        (Format::Gemini, ClientFormat::Gemini, GEMINI_TOOLS),
    ] {
        for to in [CONVERSE, INVOKE] {
            let (made, _) = streamed(from, to, stream).unwrap();
            let endpoint = match to == CONVERSE {
                true => Endpoint::BedrockConverse,
                false => Endpoint::BedrockInvoke,
            };
            let frames = frames_of(endpoint, made.as_bytes()).unwrap();
            let got = said_in(endpoint, &frames);
            let (text, calls, finish) = said(native, stream);
            assert_eq!((got.0, got.2), (text, finish), "{made}");
            let names = |calls: Option<Value>| {
                let calls = calls.unwrap_or_default();
                let calls = calls.as_array().cloned().unwrap_or_default();
                let function = calls.into_iter().map(|call| call["function"].clone());
                function.collect::<Vec<Value>>()
            };
            assert_eq!(names(got.1), names(calls), "{made}");
        }
    }
}

#[test]
fn an_invoked_stream_ends_with_the_numbers_that_bedrock_adds() {
    let (made, _) = streamed(Format::Anthropic, INVOKE, MESSAGE_STREAM).unwrap();
    let (_, last) = made.trim_end().rsplit_once("data: ").unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    let (_, native) = MESSAGE_STREAM.split_once("\"usage\":").unwrap();
    assert!(native.contains("input_tokens"), "{native}");
    let metrics = &last["amazon-bedrock-invocationMetrics"];
    assert_eq!(last["type"], "message_stop");
    assert!(
        metrics["inputTokenCount"]
            .as_u64()
            .is_some_and(|count| 0 < count),
        "{last}"
    );
    assert!(
        metrics["outputTokenCount"]
            .as_u64()
            .is_some_and(|count| 0 < count),
        "{last}"
    );
    let (made, _) = streamed(Format::Anthropic, ClientFormat::Anthropic, MESSAGE_STREAM).unwrap();
    assert!(!made.contains("invocationMetrics"), "{made}");
}

#[test]
fn calls_come_one_behind_the_other() {
    let call = |index: u64, id: &str, arguments: &str| {
        let mut call = json!({ "index": index, "function": { "arguments": arguments } });
        if !id.is_empty() {
            call["id"] = json!(id);
            call["function"]["name"] = json!("f");
        }
        let chunk = json!({ "choices": [{ "index": 0, "delta": { "tool_calls": [call] } }] });
        format!("data: {chunk}\n\n")
    };
    let stream = [
        call(0, "a", "{\"n\":"),
        call(1, "b", "{\"m\":"),
        call(0, "", "1}"),
        call(1, "", "2}"),
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
            .to_owned(),
    ]
    .concat();
    let (made, _) = streamed(Format::OpenaiChat, CONVERSE, &stream).unwrap();
    let events: Vec<Value> = made
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .collect();
    let begun = |index: u64, id: &str| {
        json!({ "contentBlockStart": {
            "contentBlockIndex": index, "start": { "toolUse": { "toolUseId": id, "name": "f" } },
        } })
    };
    let input = |index: u64, json: &str| {
        json!({ "contentBlockDelta": {
            "contentBlockIndex": index, "delta": { "toolUse": { "input": json } },
        } })
    };
    let ended = |index: u64| json!({ "contentBlockStop": { "contentBlockIndex": index } });
    let unknown = json!({ "inputTokens": 0, "outputTokens": 0, "totalTokens": 0 });
    let expected = [
        json!({ "messageStart": { "role": "assistant" } }),
        begun(0, "a"),
        input(0, "{\"n\":"),
        input(0, "1}"),
        ended(0),
        begun(1, "b"),
        input(1, "{\"m\":"),
        input(1, "2}"),
        ended(1),
        json!({ "messageStop": { "stopReason": "tool_use" } }),
        json!({ "metadata": { "metrics": { "latencyMs": 0 }, "usage": unknown } }),
    ];
    assert_eq!(events, expected, "{made}");
}

#[test]
fn claudes_body_is_a_message_whose_path_says_the_rest() {
    let mut body: Value = serde_json::from_str(TOOLS).unwrap();
    let (plain, _) = request(
        ClientFormat::Anthropic,
        CHAT.1,
        body.to_string().as_bytes(),
        "the-model",
        false,
    )
    .unwrap();
    let members = body.as_object_mut().unwrap();
    members.shift_remove("model");
    members.insert("anthropic_version".to_owned(), json!("bedrock-2023-05-31"));
    members.insert("stream".to_owned(), json!(true));
    let body = body.to_string();
    let (made, dropped) = request(INVOKE, CHAT.1, body.as_bytes(), "the-model", false).unwrap();
    let read = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap();
    let mut plain = read(&plain);
    plain.as_object_mut().unwrap().shift_remove("stream");
    let mut made = read(&made);
    assert_ne!(made["stream"], true, "{made}");
    made.as_object_mut().unwrap().shift_remove("stream");
    assert_eq!(made, plain);
    let dropped = dropped.into_fields();
    assert!(
        !dropped.contains(&"anthropic_version".to_owned()),
        "{dropped:?}"
    );
}

#[test]
fn what_cannot_be_asked_is_named() {
    let with = |more: Value| {
        let mut body = json!({ "messages": [{ "role": "user", "content": [{ "text": "x" }] }] });
        let more = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        body
    };
    let block = |block: Value| json!({ "messages": [{ "role": "user", "content": [block] }] });
    let tool = |tool: Value| with(json!({ "toolConfig": { "tools": [tool] } }));
    let block_path = |rest: &str| format!("messages[0].content[0].{rest}");
    for (from, body, expected) in [
        (CONVERSE, json!({}), "messages".to_owned()),
        (
            CONVERSE,
            json!({ "messages": [1] }),
            "messages[0]".to_owned(),
        ),
        (
            CONVERSE,
            json!({ "messages": [{ "role": "system", "content": [] }] }),
            "messages[0].role".to_owned(),
        ),
        (
            CONVERSE,
            with(json!({ "guardrailConfig": { "guardrailIdentifier": "g" } })),
            "guardrailConfig".to_owned(),
        ),
        (
            CONVERSE,
            with(json!({ "promptVariables": { "a": { "text": "b" } } })),
            "promptVariables".to_owned(),
        ),
        (
            CONVERSE,
            with(json!({ "inferenceConfig": { "maxTokens": "9" } })),
            "inferenceConfig.maxTokens".to_owned(),
        ),
        (
            CONVERSE,
            tool(json!({ "systemTool": { "name": "nova_grounding" } })),
            "toolConfig.tools[0].systemTool".to_owned(),
        ),
        (
            CONVERSE,
            block(json!({ "video": { "format": "mp4" } })),
            block_path("video"),
        ),
        (
            CONVERSE,
            block(
                json!({ "image": { "format": "png", "source": { "s3Location": { "uri": "s3://b/f" } } } }),
            ),
            block_path("image.source.s3Location"),
        ),
        (
            CONVERSE,
            block(
                json!({ "document": { "format": "odt", "name": "a", "source": { "bytes": "eA==" } } }),
            ),
            block_path("document.format"),
        ),
        (
            CONVERSE,
            block(
                json!({ "document": { "format": "txt", "name": "a", "source": { "bytes": "/w==" } } }),
            ),
            block_path("document.source.bytes"),
        ),
        (
            CONVERSE,
            block(
                json!({ "toolResult": { "toolUseId": "a", "content": [{ "searchResult": {} }] } }),
            ),
            block_path("toolResult.content[0].searchResult"),
        ),
        (INVOKE, json!({ "prompt": "x" }), "prompt".to_owned()),
        (INVOKE, json!({ "inputText": "x" }), "messages".to_owned()),
    ] {
        match asked(from, CHAT.1, &body).unwrap_err() {
            TranslateError::Unsupported { field, .. } | TranslateError::Invalid { field, .. } => {
                assert_eq!(field, expected, "{body}");
            }
            other => panic!("{other}"),
        }
    }
}
