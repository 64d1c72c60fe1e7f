//! Calls of tools: their ids, where each begins, and what is passed to them.

use serde_json::{Value, json};

use super::answers::{CLIENTS, chat, shaped, streamed, whole};
use super::said_in;
use crate::wire::translate::call_id::MOST_CALLS;
use crate::wire::translate::{ClientFormat, Format, TranslateError, request};
use crate::wire::{decode_stream, decode_whole};
use aiproxy_filters::Endpoint;

/// An answer with calls of these ids, whole and, where the format has streams, as its events.
fn with_ids(from: Format, ids: &[Value]) -> (Value, Option<Vec<Value>>) {
    let each = |make: &dyn Fn(usize, &Value) -> Value| -> Vec<Value> {
        ids.iter()
            .enumerate()
            .map(|(at, id)| make(at, id))
            .collect()
    };
    let function = json!({ "name": "f", "arguments": "{}" });
    let openai = each(&|_, id| json!({ "id": id, "type": "function", "function": function }));
    match from {
        Format::OpenaiChat => {
            let deltas = each(
                &|at, id| json!({ "tool_calls": [{ "index": at, "id": id, "function": function }] }),
            );
            let (body, events) = chat(
                &json!({ "message": { "tool_calls": openai } }),
                &deltas,
                "tool_calls",
            );
            (body, Some(events))
        }
        Format::Argo => (
            json!({ "response": { "content": "", "tool_calls": openai } }),
            None,
        ),
        Format::Asksage => (
            json!({ "message": "", "status": 200, "uuid": "u", "tool_calls_unified": openai }),
            None,
        ),
        Format::Gemini => {
            let chunk = |parts: &[Value], reason: Option<&str>| json!({ "candidates": [{ "content": { "parts": parts }, "finishReason": reason }] });
            let parts = each(&|_, id| json!({ "functionCall": { "id": id, "name": "f" } }));
            let mut events: Vec<Value> = parts
                .iter()
                .map(|part| chunk(std::slice::from_ref(part), None))
                .collect();
            events.push(chunk(&[], Some("STOP")));
            (chunk(&parts, Some("STOP")), Some(events))
        }
        Format::Anthropic => {
            let blocks =
                each(&|_, id| json!({ "type": "tool_use", "id": id, "name": "f", "input": {} }));
            let mut events = vec![json!({ "type": "message_start", "message": { "model": "m" } })];
            for (at, block) in blocks.iter().enumerate() {
                events.extend([
                    json!({ "type": "content_block_start", "index": at, "content_block": block }),
                    json!({ "type": "content_block_stop", "index": at }),
                ]);
            }
            let delta = json!({ "stop_reason": "tool_use" });
            events.extend([
                json!({ "type": "message_delta", "delta": delta }),
                json!({ "type": "message_stop" }),
            ]);
            (
                json!({ "content": blocks, "stop_reason": "tool_use" }),
                Some(events),
            )
        }
        Format::BedrockConverse => {
            let blocks = each(&|_, id| json!({ "toolUse": { "toolUseId": id, "name": "f" } }));
            let mut events = vec![json!({ "messageStart": { "role": "assistant" } })];
            for (at, block) in blocks.iter().enumerate() {
                events.extend([
                    json!({ "contentBlockStart": { "contentBlockIndex": at, "start": block } }),
                    json!({ "contentBlockStop": { "contentBlockIndex": at } }),
                ]);
            }
            events.extend([
                json!({ "messageStop": { "stopReason": "tool_use" } }),
                json!({ "metadata": {} }),
            ]);
            let output = json!({ "message": { "content": blocks } });
            (
                json!({ "output": output, "stopReason": "tool_use" }),
                Some(events),
            )
        }
    }
}

const SOURCES: [Format; 6] = [
    Format::OpenaiChat,
    Format::Argo,
    Format::Asksage,
    Format::Gemini,
    Format::Anthropic,
    Format::BedrockConverse,
];

/// One member of each call.
fn of_each(calls: &Value, member: &str) -> Vec<Value> {
    let calls = calls.as_array().into_iter().flatten();
    calls
        .filter_map(|call| call.pointer(member).cloned())
        .collect()
}

#[test]
fn every_call_of_an_answer_has_an_id_of_its_own() {
    let ids = [
        json!(null),
        json!(""),
        json!("a"),
        json!("a"),
        json!("call_id1_5"),
        json!(null),
    ];
    let expected = [
        "call_id1_0",
        "call_id1_1",
        "a",
        "call_id1_3",
        "call_id1_5",
        "call_id1_6",
    ];
    for from in SOURCES {
        let (body, events) = with_ids(from, &ids);
        for (to, endpoint) in CLIENTS {
            let [(answered, _), (made, _)] = whole(from, to, &body).unwrap();
            let calls = decode_whole(endpoint, &answered).tool_calls.unwrap();
            let calls: Value = serde_json::from_str(&calls).unwrap();
            assert_eq!(of_each(&calls, "/id"), expected, "{from:?} {to:?}, whole");
            let mut streams = vec![made];
            if let Some(events) = &events {
                streams.push(streamed(from, to, events).unwrap().0);
            }
            for stream in streams {
                let (_, calls, _) = said_in(endpoint, &shaped(endpoint, &stream));
                let calls = calls.unwrap();
                assert_eq!(of_each(&calls, "/id"), expected, "{from:?} {to:?}");
            }
        }
    }
}

#[test]
fn an_answer_has_so_many_calls_and_no_more() {
    let to = ClientFormat::OpenaiChat;
    let is_told = |error: TranslateError| {
        let told = error.to_string();
        assert!(told.contains("more than 1024 calls"), "{told}");
    };
    for from in SOURCES {
        for (more, is_taken) in [(0, true), (1, false)] {
            let (body, events) = with_ids(from, &vec![json!(null); MOST_CALLS + more]);
            let mut made = vec![whole(from, to, &body).map(|_| ())];
            made.extend(events.map(|events| streamed(from, to, &events).map(|_| ())));
            for made in made {
                assert_eq!(made.is_ok(), is_taken, "{from:?} {made:?}");
                made.err().into_iter().for_each(is_told);
            }
        }
    }
}

/// What a stream of these calls, each in a chunk, comes to for every client and for the record: names and inputs.
#[track_caller]
fn check_stream(calls: &[Value], expected: &[(&str, Value)]) {
    let deltas: Vec<Value> = calls
        .iter()
        .map(|call| json!({ "tool_calls": [call] }))
        .collect();
    let (_, events) = chat(&json!({}), &deltas, "tool_calls");
    let from = Format::OpenaiChat;
    let own: String = events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    let mut streams = vec![(Endpoint::ChatCompletions, own.into_bytes())];
    for (to, endpoint) in CLIENTS {
        let (made, dropped) = streamed(from, to, &events).unwrap();
        assert!(dropped.is_empty(), "{dropped:?}");
        streams.push((endpoint, shaped(endpoint, &made)));
    }
    for (endpoint, stream) in streams {
        let (_, calls, _) = said_in(endpoint, &stream);
        let calls = calls.unwrap();
        let names = of_each(&calls, "/function/name");
        let inputs = of_each(&calls, "/function/arguments");
        let said: Vec<(&str, Value)> = names
            .iter()
            .map(|name| name.as_str().unwrap_or_default())
            .zip(inputs)
            .collect();
        assert_eq!(said, expected, "{endpoint:?} {calls}");
    }
}

#[test]
fn calls_under_one_index_are_told_apart() {
    let call = |id: &str, name: &str, arguments: &str| json!({ "index": 0, "id": id, "function": { "name": name, "arguments": arguments } });
    let one = json!({ "x": 1 });
    // Every call whole, without ids.
    check_stream(
        &[call("", "f", "{\"x\":1}"), call("", "g", "{\"x\":1}")],
        &[("f", one.clone()), ("g", one.clone())],
    );
    check_stream(
        &[call("", "f", "{\"x\":1}"), call("", "f", "{\"x\":2}")],
        &[("f", one.clone()), ("f", json!({ "x": 2 }))],
    );
    // In pieces that have no name, and in such as repeat it with the id.
    check_stream(
        &[
            call("", "f", ""),
            call("", "", "{\"x\""),
            call("", "", ":2}"),
            call("", "g", "{\"x\""),
            call("", "", ":1}"),
        ],
        &[("f", json!({ "x": 2 })), ("g", one.clone())],
    );
    check_stream(
        &[
            call("a", "f", ""),
            call("a", "f", "{\"x\""),
            call("a", "f", ":1}"),
        ],
        &[("f", one)],
    );
}

#[test]
fn what_is_passed_may_be_an_object() {
    let call = |index: usize, input: &Value| json!({ "index": index, "id": format!("c{index}"), "function": { "name": "f", "arguments": input } });
    let input = json!({ "city": "Paris \"é\"\n", "at": { "n": [1.5, null] } });
    check_stream(
        &[call(0, &input), call(1, &json!({})), call(2, &json!(null))],
        &[("f", input.clone()), ("f", json!({})), ("f", json!({}))],
    );
    for (arguments, is_taken) in [
        (input.clone(), true),
        (json!({}), true),
        (json!([1]), false),
        (json!(1), false),
    ] {
        let message = json!({ "role": "assistant", "tool_calls": [call(0, &arguments)] });
        let (body, _) = chat(&json!({ "message": message }), &[], "tool_calls");
        for (to, endpoint) in CLIENTS {
            let Ok([(answered, _), _]) = whole(Format::OpenaiChat, to, &body) else {
                assert!(!is_taken, "{arguments}");
                continue;
            };
            let calls = decode_whole(endpoint, &answered).tool_calls.unwrap();
            let calls: Value = serde_json::from_str(&calls).unwrap();
            let said = calls[0]["function"]["arguments"].as_str().unwrap();
            let said: Value = serde_json::from_str(said).unwrap();
            assert!(is_taken && said == arguments, "{to:?} {calls}");
        }
        let item = json!({ "type": "function_call", "call_id": "c0", "name": "f", "arguments": arguments });
        for (from, body, path) in [
            (
                ClientFormat::OpenaiChat,
                json!({ "messages": [message] }),
                "messages[0].tool_calls[0].function.arguments",
            ),
            (
                ClientFormat::OpenaiResponses,
                json!({ "input": [item] }),
                "input[0].arguments",
            ),
        ] {
            let body = body.to_string();
            match request(from, Format::Anthropic, body.as_bytes(), "m", false) {
                Ok((made, _)) => {
                    let made: Value = serde_json::from_slice(&made).unwrap();
                    assert!(is_taken, "{made}");
                    assert_eq!(made["messages"][0]["content"][0]["input"], arguments);
                }
                Err(error) => {
                    let told = format!("'{path}' must be the JSON of an object");
                    assert!(!is_taken);
                    assert_eq!(error.to_string(), told);
                }
            }
        }
    }
}

#[test]
fn an_object_that_is_passed_keeps_its_digits() {
    let event = r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":{"n": 1.10, "m": 12345678901234567890123}}}]},"finish_reason":"tool_calls"}]}"#;
    let stream = format!("data: {event}\n\n");
    let (made, _) = super::streamed(Format::OpenaiChat, ClientFormat::OpenaiChat, &stream).unwrap();
    let decoded = decode_stream(Endpoint::ChatCompletions, made.as_bytes());
    let calls = decoded.tool_calls.unwrap();
    assert!(
        calls.contains(r#"{\"n\": 1.10, \"m\": 12345678901234567890123}"#),
        "{calls}"
    );
}

/// A whole chat of a call, and its stream.
fn called(call: &Value) -> (Value, Vec<Value>) {
    let said = json!({ "tool_calls": [call] });
    chat(&json!({ "message": said }), &[said], "tool_calls")
}

#[test]
fn a_signature_beside_a_call_is_carried() {
    let call = json!({ "index": 0, "id": "a", "type": "function", "function": { "name": "f", "arguments": "{}" },
        "extra_content": { "google": { "thought_signature": "c2ln" } } });
    let (body, events) = called(&call);
    for (to, expected) in [
        (ClientFormat::OpenaiChat, "\"thought_signature\":\"c2ln\""),
        (ClientFormat::Gemini, "\"thoughtSignature\":\"c2ln\""),
        (ClientFormat::Anthropic, "\"a__thought__c2ln\""),
    ] {
        let [whole, _] = whole(Format::OpenaiChat, to, &body).unwrap();
        for (made, dropped) in [whole, streamed(Format::OpenaiChat, to, &events).unwrap()] {
            let made = String::from_utf8(made).unwrap();
            assert!(made.contains(expected), "{to:?}: {made}");
            assert_eq!(dropped, Vec::<String>::new());
        }
    }
}

#[test]
fn calls_of_another_kind_are_refused() {
    let (body, events) = called(
        &json!({ "index": 0, "id": "a", "type": "custom", "custom": { "name": "f", "input": "x" } }),
    );
    for (to, _) in CLIENTS {
        let refused = whole(Format::OpenaiChat, to, &body).unwrap_err();
        let field = "choices[0].message.tool_calls[0].type";
        assert!(refused.to_string().contains(field), "{refused}");
        let streamed = streamed(Format::OpenaiChat, to, &events).unwrap_err();
        assert_eq!(streamed, refused, "{to:?}");
    }
}

#[test]
fn what_a_call_of_messages_begins_with_is_passed() {
    let input = json!({ "city": "Köln \"é\"\n", "at": { "n": [1.5] } });
    let more = |part: &str| json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "input_json_delta", "partial_json": part } });
    let ended = json!({ "type": "content_block_stop", "index": 0 });
    for (between, expected) in [
        (vec![ended.clone()], &input),
        (vec![], &input),
        (vec![more(""), ended.clone()], &input),
        // What comes piece by piece is the whole.
        (vec![more("{\"x\""), more(":1}"), ended], &json!({ "x": 1 })),
    ] {
        let mut events = vec![
            json!({ "type": "message_start", "message": { "model": "m" } }),
            json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "tool_use", "id": "a", "name": "f", "input": input } }),
        ];
        events.extend(between);
        events.extend([
            json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" } }),
            json!({ "type": "message_stop" }),
        ]);
        for (to, endpoint) in CLIENTS {
            let (made, _) = streamed(Format::Anthropic, to, &events).unwrap();
            let (_, calls, _) = said_in(endpoint, &shaped(endpoint, &made));
            let passed = of_each(&calls.unwrap(), "/function/arguments");
            assert_eq!(passed, std::slice::from_ref(expected), "{to:?}");
        }
    }
}
