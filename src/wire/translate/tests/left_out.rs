//! A stream names what it cannot carry as the whole answer of the same content does, and once.

use serde_json::{Value, json};

use super::answers::{CLIENTS, chat, streamed, whole};
use super::streams::COMPLETIONS;
use crate::wire::translate::{ClientFormat, Format, StreamTranslator};

/// Each client is told of these paths besides what its own format has no place for, whole and streamed.
#[track_caller]
fn check(from: Format, body: &Value, events: &[Value], expected: &[&str]) {
    for (to, _) in CLIENTS.into_iter().chain([COMPLETIONS]) {
        let sorted = |mut dropped: Vec<String>| {
            dropped.sort();
            dropped
        };
        let [(_, told), _] = whole(from, to, body).unwrap();
        let told = sorted(told);
        let (_, dropped) = streamed(from, to, events).unwrap();
        assert_eq!(sorted(dropped), told, "{from:?} to {to:?}: {body}");
        if to == ClientFormat::OpenaiChat {
            let mut expected = expected.to_vec();
            expected.sort_unstable();
            assert_eq!(told, expected, "{from:?}: {body}");
        }
    }
}

#[test]
fn of_chats() {
    let cited = json!([{ "type": "url_citation", "url_citation": { "url": "https://e.org" } }]);
    let safe = json!({ "hate": { "filtered": false, "severity": "safe" } });
    let text = |text: &str| json!({ "content": text });
    let calls = [
        json!({ "index": 0, "id": "a", "type": "function", "extra_content": { "google": { "thought_signature": "c2ln" } },
            "function": { "name": "f", "arguments": "{}" } }),
        json!({ "index": 1, "id": "b", "type": "function", "own": 0, "none": {}, "function": { "name": "f", "arguments": "{}", "own": [1] } }),
    ];
    let message = |more: Value| {
        let mut message = json!({ "role": "assistant", "content": "Hi." });
        message
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({ "message": message })
    };
    for (more, deltas, expected) in [
        (
            json!({ "annotations": cited }),
            vec![
                text("Hi."),
                json!({ "annotations": cited }),
                json!({ "annotations": cited }),
            ],
            ["choices[0].message.annotations"].as_slice(),
        ),
        (
            json!({ "audio": { "id": "a", "data": "eA==" } }),
            vec![
                text("Hi."),
                json!({ "audio": { "id": "a" } }),
                json!({ "audio": { "data": "eA==" } }),
            ],
            &["choices[0].message.audio"],
        ),
        (
            json!({ "own": 0, "o\"wn": "", "reasoning": [1] }),
            vec![json!({ "content": "Hi.", "own": 0, "o\"wn": "", "reasoning": [1] })],
            &[
                "choices[0].message.own",
                "choices[0].message.o\"wn",
                "choices[0].message.reasoning",
            ],
        ),
        // What says nothing.
        (
            json!({ "annotations": [], "audio": null, "own": {}, "function_call": null, "refusal": null }),
            vec![
                json!({ "content": "Hi.", "annotations": [], "audio": null, "own": {}, "function_call": {} }),
            ],
            &[],
        ),
        // Parts of a content that is a list, whose texts come in several events.
        (
            json!({ "content": [{ "type": "text", "text": "Hi." }, { "type": "x" }, { "type": "text", "text": "Ho." }, { "type": "y" }] }),
            vec![
                text("H"),
                json!({ "content": [{ "type": "text", "text": "i." }, { "type": "x" }] }),
                json!({ "content": [{ "type": "text", "text": "Ho" }] }),
                json!({ "content": [{ "type": "text", "text": "." }] }),
                json!({ "content": [{ "type": "y" }] }),
            ],
            &[
                "choices[0].message.content[1]",
                "choices[0].message.content[3]",
            ],
        ),
        // Calls, which may be told in several events; of a signature nothing is left out.
        (
            json!({ "tool_calls": [calls[0], calls[1]] }),
            vec![
                text("Hi."),
                json!({ "tool_calls": [calls[0]] }),
                json!({ "tool_calls": [{ "index": 1, "id": "b", "own": 0, "function": { "name": "f", "arguments": "{" } }] }),
                json!({ "tool_calls": [{ "index": 1, "type": "function", "function": { "arguments": "}", "own": [1] } }] }),
            ],
            &[
                "choices[0].message.tool_calls[1].own",
                "choices[0].message.tool_calls[1].function.own",
            ],
        ),
    ] {
        let (body, events) = chat(&message(more), &deltas, "stop");
        check(Format::OpenaiChat, &body, &events, expected);
    }
    // Azure's.
    let (mut body, mut events) = chat(&message(json!({})), &[text("H"), text("i.")], "stop");
    let prompt = json!([{ "prompt_index": 0, "content_filter_results": safe }]);
    body["prompt_filter_results"] = prompt.clone();
    body["choices"][0]["content_filter_results"] = safe.clone();
    for event in &mut events {
        event["choices"][0]["content_filter_results"] = safe.clone();
        event["obfuscation"] = json!("xyz");
    }
    events.insert(
        0,
        json!({ "choices": [], "model": "", "prompt_filter_results": prompt }),
    );
    let names = ["choices[0].content_filter_results", "prompt_filter_results"];
    check(Format::OpenaiChat, &body, &events, &names);
    // Of other choices nothing else is told.
    body["choices"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "index": 1, "own": 1 }));
    events.push(json!({ "choices": [{ "own": 1, "index": 1, "delta": { "own": 1 } }] }));
    check(
        Format::OpenaiChat,
        &body,
        &events,
        &["choices[1]", names[0], names[1]],
    );
}

#[test]
fn signatures_of_chats_are_carried() {
    let block = |text: &str, signature: Value| json!({ "type": "thinking", "thinking": text, "signature": signature });
    let hidden = json!({ "type": "redacted_thinking", "data": "eA==" });
    let message = json!({ "content": "Yes.", "reasoning_content": "Hm, so.", "thinking_blocks": [block("Hm, so.", json!("s")), hidden] });
    for deltas in [
        // As LiteLLM has them, and as we do.
        vec![
            json!({ "reasoning_content": "Hm, ", "thinking_blocks": [block("Hm, ", Value::Null)] }),
            json!({ "reasoning_content": "so.", "thinking_blocks": [block("so.", Value::Null)] }),
            json!({ "thinking_blocks": [block("", json!("s"))] }),
            json!({ "thinking_blocks": [hidden] }),
            json!({ "content": "Yes." }),
        ],
        vec![
            json!({ "reasoning_content": "Hm, so." }),
            json!({ "thinking_blocks": [block("Hm, so.", json!("s"))] }),
            json!({ "thinking_blocks": [hidden] }),
            json!({ "content": "Yes." }),
        ],
        vec![
            json!({ "content": "Yes.", "thinking_blocks": [block("Hm, so.", json!("s")), hidden] }),
        ],
    ] {
        let (body, events) = chat(&json!({ "message": message }), &deltas, "stop");
        check(Format::OpenaiChat, &body, &events, &[]);
        let (made, _) = streamed(Format::OpenaiChat, ClientFormat::Anthropic, &events).unwrap();
        let thought = super::answers::deltas_of(&made, "thinking_delta", "thinking");
        let signature = super::answers::deltas_of(&made, "signature_delta", "signature");
        let made = String::from_utf8(made).unwrap();
        assert_eq!((&*thought, &*signature), ("Hm, so.", "s"), "{made}");
        assert!(made.contains("\"data\":\"eA==\""), "{made}");
    }
}

#[test]
fn of_messages() {
    let cited = json!([{ "type": "char_location", "cited_text": "x" }]);
    let searched = json!({ "type": "server_tool_use", "id": "s", "name": "web_search", "input": { "query": "q" } });
    let found = json!({ "type": "web_search_tool_result", "tool_use_id": "s", "content": [] });
    let image = json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "eA==" } });
    let called = json!({ "type": "tool_use", "id": "a", "name": "f", "input": {}, "caller": { "type": "direct" } });
    let body = json!({
        "id": "m", "type": "message", "role": "assistant", "model": "m", "container": { "id": "c" }, "stop_sequence": null,
        "content": [searched, found, { "type": "text", "text": "Hi.", "citations": cited }, image, called],
        "stop_reason": "tool_use", "stop_details": null, "context_management": { "applied_edits": [1] },
        "usage": { "input_tokens": 1, "output_tokens": 1 },
    });
    let begun = |index: usize, block: &Value| json!({ "type": "content_block_start", "index": index, "content_block": block });
    let more = |index: usize, delta: Value| json!({ "type": "content_block_delta", "index": index, "delta": delta });
    let ended = |index: usize| json!({ "type": "content_block_stop", "index": index });
    let citation = json!({ "type": "citations_delta", "citation": cited[0] });
    let events = [
        json!({ "type": "message_start", "message": {
            "id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null, "stop_sequence": null,
            "container": null, "usage": { "input_tokens": 1, "output_tokens": 1 },
        } }),
        begun(
            0,
            &json!({ "type": "server_tool_use", "id": "s", "name": "web_search", "input": {} }),
        ),
        more(
            0,
            json!({ "type": "input_json_delta", "partial_json": "{\"query\":\"q\"}" }),
        ),
        ended(0),
        begun(1, &found),
        // Of a kind that nobody knows yet, in a block of which that is true too.
        more(1, json!({ "type": "result_delta", "result": "r" })),
        more(1, json!({ "type": "text_delta", "text": "not carried" })),
        ended(1),
        begun(2, &json!({ "type": "text", "text": "", "citations": [] })),
        more(2, json!({ "type": "text_delta", "text": "Hi." })),
        more(2, citation.clone()),
        more(2, citation),
        ended(2),
        begun(3, &image),
        ended(3),
        begun(4, &called),
        ended(4),
        json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use", "stop_details": null, "container": { "id": "c" } },
            "usage": { "output_tokens": 1 }, "context_management": { "applied_edits": [1] } }),
        json!({ "type": "message_stop" }),
    ];
    let expected = [
        "content[0]",
        "content[1]",
        "content[2].citations",
        "content[3]",
        "content[4].caller",
        "container",
        "context_management",
    ];
    check(Format::Anthropic, &body, &events, &expected);
    let (made, _) = streamed(Format::Anthropic, ClientFormat::OpenaiChat, &events).unwrap();
    assert!(!String::from_utf8(made).unwrap().contains("not carried"));
}

#[test]
fn of_gemini() {
    let (text, thought) = (
        |text: &str| json!({ "text": text }),
        json!({ "text": "Hm.", "thought": true }),
    );
    let (code, image) = (
        json!({ "executableCode": { "code": "1" } }),
        json!({ "inlineData": { "mimeType": "image/png", "data": "eA==" } }),
    );
    let called =
        |n: &str| format!("{{\"functionCall\":{{\"name\":\"f\",\"args\":{{\"n\":{n}}}}}}}");
    let called: Value = serde_json::from_str(&called("1")).unwrap();
    let signed = json!({ "text": "Ho.", "thoughtSignature": "c2ln" });
    let said = json!({ "webSearchQueries": ["q"] });
    let candidate = |parts: Value| json!({ "content": { "parts": parts, "role": "model" }, "index": 0, "safetyRatings": [1] });
    let mut whole = candidate(json!([thought, text("Hi."), code, image, signed, called]));
    let mut last = candidate(json!([text("o."), called]));
    last["content"]["parts"][0]["thoughtSignature"] = json!("c2ln");
    for candidate in [&mut whole, &mut last] {
        candidate["finishReason"] = json!("STOP");
        candidate["finishMessage"] = json!("done");
        for key in [
            "groundingMetadata",
            "citationMetadata",
            "urlContextMetadata",
        ] {
            candidate[key] = said.clone();
        }
    }
    let mut first = candidate(json!([{ "text": "H", "thought": true }]));
    first["groundingMetadata"] = said.clone();
    first["citationMetadata"] = json!({});
    let chunk = |candidates: Value| json!({ "candidates": candidates, "modelVersion": "m", "responseId": "r", "own": 1 });
    let other = json!({ "index": 1, "content": { "parts": [text("not carried")] }, "own": 1 });
    let events = [
        chunk(json!([first])),
        chunk(json!([candidate(
            json!([{ "text": "m.", "thought": true }, text("H")])
        )])),
        chunk(json!([other])),
        chunk(json!([candidate(json!([text("i.")]))])),
        chunk(json!([candidate(json!([code, image, text("H")]))])),
        chunk(json!([last])),
    ];
    let body = chunk(json!([whole, other]));
    let expected = [
        "candidates[0].content.parts[2]",
        "candidates[0].content.parts[3]",
        "candidates[0].content.parts[4].thoughtSignature",
        "candidates[0].groundingMetadata",
        "candidates[0].citationMetadata",
        "candidates[0].urlContextMetadata",
        "candidates[0].finishMessage",
        "candidates[1]",
        "own",
    ];
    check(Format::Gemini, &body, &events, &expected);
    let (made, _) = streamed(Format::Gemini, ClientFormat::OpenaiChat, &events).unwrap();
    assert!(!String::from_utf8(made).unwrap().contains("not carried"));
}

/// Numbers of more digits than are carried, by the place of their part in the whole answer.
#[test]
fn of_numbers_of_gemini() {
    let call = |n: &str| format!("{{\"functionCall\":{{\"name\":\"f\",\"args\":{{\"n\":{n}}}}}}}");
    let long = "12345678901234567890123";
    let chunk = |parts: &[String], end: &str| {
        format!(
            "{{\"candidates\":[{{\"content\":{{\"parts\":[{}]}}{end}}}]}}",
            parts.join(",")
        )
    };
    let end = ",\"finishReason\":\"STOP\"";
    let body = chunk(&[call("1"), call(long)], end);
    let (_, dropped) = crate::wire::translate::answer(
        Format::Gemini,
        ClientFormat::OpenaiChat,
        body.as_bytes(),
        &super::facts(),
    )
    .unwrap();
    let mut translator =
        StreamTranslator::new(Format::Gemini, ClientFormat::OpenaiChat, &super::facts());
    for event in [chunk(&[call("1")], ""), chunk(&[call(long)], end)] {
        translator.event(event.as_bytes(), &mut Vec::new()).unwrap();
    }
    let expected = ["candidates[0].content.parts[1].functionCall.args.n"];
    assert_eq!(translator.take_dropped(), expected);
    assert_eq!(dropped.into_fields(), expected);
}

#[test]
fn of_converse() {
    let cited = json!([{ "title": "t", "source": "s" }]);
    let body = json!({
        "output": { "message": { "role": "assistant", "content": [
            { "toolUse": { "toolUseId": "s", "name": "search", "input": { "q": 1 }, "type": "server_tool_use" } },
            { "toolResult": { "toolUseId": "s", "content": [{ "text": "r" }] } },
            { "citationsContent": { "content": [{ "text": "H" }, { "text": "i." }], "citations": cited } },
            { "image": { "format": "png", "source": { "bytes": "eA==" } } },
            { "text": "Ho.", "own": [1] },
        ] } },
        "stopReason": "end_turn", "usage": { "inputTokens": 1, "outputTokens": 1 }, "metrics": { "latencyMs": 1 },
        "additionalModelResponseFields": { "a": 1 }, "trace": { "guardrail": { "b": 1 } }, "performanceConfig": {},
    });
    let begun = |index: usize, start: Value| json!({ "contentBlockStart": { "contentBlockIndex": index, "start": start } });
    let more = |index: usize, delta: Value| json!({ "contentBlockDelta": { "contentBlockIndex": index, "delta": delta, "p": "abc" } });
    let ended =
        |index: usize| json!({ "contentBlockStop": { "contentBlockIndex": index, "p": "abc" } });
    let events = [
        json!({ "messageStart": { "role": "assistant", "p": "abc" } }),
        begun(
            0,
            json!({ "toolUse": { "toolUseId": "s", "name": "search", "type": "server_tool_use" } }),
        ),
        more(0, json!({ "toolUse": { "input": "{\"q\":1}" } })),
        ended(0),
        begun(1, json!({ "toolResult": { "toolUseId": "s" } })),
        more(1, json!({ "toolResult": [{ "text": "r" }] })),
        more(1, json!({ "text": "not carried" })),
        ended(1),
        more(2, json!({ "text": "Hi." })),
        more(2, json!({ "citation": cited[0] })),
        more(2, json!({ "citation": cited[0] })),
        ended(2),
        // Without its beginning.
        more(3, json!({ "image": { "source": { "bytes": "eA==" } } })),
        ended(3),
        more(4, json!({ "text": "H", "own": [1] })),
        more(4, json!({ "own": [2] })),
        more(4, json!({ "text": "o." })),
        ended(4),
        json!({ "messageStop": { "stopReason": "end_turn", "additionalModelResponseFields": { "a": 1 }, "p": "abc" } }),
        json!({ "metadata": { "usage": { "inputTokens": 1, "outputTokens": 1 }, "metrics": { "latencyMs": 1 },
            "trace": { "guardrail": { "b": 1 } }, "performanceConfig": {}, "p": "abc" } }),
    ];
    let place = |rest: &str| format!("output.message.content[{rest}");
    let [search, result, citations, image, own] =
        ["0]", "1]", "2].citationsContent.citations", "3]", "4].own"].map(place);
    let expected = [
        &*search,
        &result,
        &citations,
        &image,
        &own,
        "additionalModelResponseFields",
        "trace",
    ];
    check(Format::BedrockConverse, &body, &events, &expected);
    let chat = ClientFormat::OpenaiChat;
    let (made, _) = streamed(Format::BedrockConverse, chat, &events).unwrap();
    let made = String::from_utf8(made).unwrap();
    assert!(
        made.contains("\"o.\"") && !made.contains("not carried"),
        "{made}"
    );
    let [(answered, _), _] = whole(Format::BedrockConverse, chat, &body).unwrap();
    let answered: Value = serde_json::from_slice(&answered).unwrap();
    assert_eq!(answered["choices"][0]["message"]["content"], "Hi.Ho.");
}

/// However often it is taken, and however often it comes.
#[test]
fn each_is_told_once() {
    let mut translator =
        StreamTranslator::new(Format::OpenaiChat, ClientFormat::Gemini, &super::facts());
    let event =
        json!({ "model": "m", "choices": [{ "index": 0, "delta": { "content": "x", "own": 1 } }] })
            .to_string();
    let mut told = Vec::new();
    for _ in 0..3 {
        translator.event(event.as_bytes(), &mut Vec::new()).unwrap();
        told.extend(translator.take_dropped());
    }
    assert_eq!(told, ["choices[0].message.own"]);
}
