//! What answers say to every client, whole and streamed: the same, whatever the provider spells oddly or leaves out. Over
//! 400 lines: each oddity is told in both forms.

use serde_json::{Value, json};

use super::{facts, said_in};
use crate::wire::bedrock::frames_of;
use crate::wire::sse;
use crate::wire::translate::{
    ClientFormat, Format, StreamTranslator, TranslateError, answer, answer_as_stream,
};
use crate::wire::{Decoded, decode_stream, decode_whole};
use aiproxy_filters::Endpoint;

pub(super) const CLIENTS: [(ClientFormat, Endpoint); 6] = [
    (ClientFormat::OpenaiChat, Endpoint::ChatCompletions),
    (ClientFormat::OpenaiResponses, Endpoint::Responses),
    (ClientFormat::Anthropic, Endpoint::Messages),
    (ClientFormat::Gemini, Endpoint::GenerateContent),
    (ClientFormat::BedrockConverse, Endpoint::BedrockConverse),
    (ClientFormat::BedrockInvoke, Endpoint::BedrockInvoke),
];

/// Bytes, and the fields that are not carried.
pub(super) type Made = (Vec<u8>, Vec<String>);

/// A reason, a text, and the fields that are not carried.
type Told = (String, Option<String>, Vec<String>);

/// A stream's bytes as the client reads them.
pub(super) fn shaped(endpoint: Endpoint, events: &[u8]) -> Vec<u8> {
    match endpoint {
        Endpoint::BedrockConverse | Endpoint::BedrockInvoke => frames_of(endpoint, events).unwrap(),
        _ => events.to_vec(),
    }
}

/// A stream of these events, in the client's events.
pub(super) fn streamed(
    from: Format,
    to: ClientFormat,
    events: &[Value],
) -> Result<Made, TranslateError> {
    let mut translator = StreamTranslator::new(from, to, &facts());
    let mut out = Vec::new();
    for event in events {
        translator.event(event.to_string().as_bytes(), &mut out)?;
    }
    translator.end(&mut out)?;
    Ok((out, translator.take_dropped()))
}

/// An answer and its fields that are not carried: whole, and as the stream that is made of it.
pub(super) fn whole(
    from: Format,
    to: ClientFormat,
    body: &Value,
) -> Result<[Made; 2], TranslateError> {
    let body = body.to_string();
    let (whole, dropped) = answer(from, to, body.as_bytes(), &facts())?;
    let (made, again) = answer_as_stream(from, to, body.as_bytes(), &facts())?;
    assert_eq!(dropped, again);
    Ok([(whole, dropped.into_fields()), (made, again.into_fields())])
}

/// A whole chat of a choice, and its stream of these deltas.
pub(super) fn chat(choice: &Value, deltas: &[Value], reason: &str) -> (Value, Vec<Value>) {
    let mut choice = choice.clone();
    choice["index"] = json!(0);
    choice["finish_reason"] = json!(reason);
    let chunk = |choice: Value| json!({ "model": "m", "choices": [choice] });
    let mut events: Vec<Value> = deltas
        .iter()
        .map(|delta| chunk(json!({ "index": 0, "delta": delta })))
        .collect();
    events.push(chunk(
        json!({ "index": 0, "delta": {}, "finish_reason": reason }),
    ));
    (chunk(choice), events)
}

#[test]
fn a_call_that_the_longest_length_cuts_does_not_lose_the_answer() {
    let cut = "{\"city\":\"Kö";
    let call = json!({ "index": 0, "id": "a", "type": "function", "function": { "name": "f", "arguments": cut } });
    let message = json!({ "message": { "content": "Look:", "tool_calls": [call] } });
    let deltas = [
        json!({ "content": "Look:" }),
        json!({ "tool_calls": [call] }),
    ];
    let path = "choices[0].message.tool_calls[0].function.arguments";
    let (body, events) = chat(&message, &deltas, "length");
    for (at, (to, endpoint)) in CLIENTS.into_iter().enumerate() {
        let is_text = at < 2;
        let [(answered, dropped), (made, _)] = whole(Format::OpenaiChat, to, &body).unwrap();
        let (passed, left_out) = streamed(Format::OpenaiChat, to, &events).unwrap();
        // A stream of Messages or of converse has the input as a text: it is cut there as it is by its own providers.
        let streams_text = to != ClientFormat::Gemini;
        for (said, dropped, has_call) in [
            (decode_whole(endpoint, &answered), &dropped, is_text),
            (
                decode_stream(endpoint, &shaped(endpoint, &made)),
                &dropped,
                is_text,
            ),
            (
                decode_stream(endpoint, &shaped(endpoint, &passed)),
                &left_out,
                streams_text,
            ),
        ] {
            let told = (said.finish_reason.as_deref(), said.text.as_deref());
            assert_eq!(told, (Some("length"), Some("Look:")), "{to:?}");
            let calls = said.tool_calls.unwrap_or_default();
            let has_text = calls.contains("{\\\"city\\\":\\\"Kö");
            assert_eq!(
                (has_text, calls.is_empty()),
                (has_call, !has_call),
                "{to:?}: {calls}"
            );
            let expected: &[&str] = if has_call { &[] } else { &[path] };
            assert_eq!(dropped, expected, "{to:?}");
        }
    }
    let (body, events) = chat(&message, &deltas, "stop");
    for (to, _) in CLIENTS {
        let error = whole(Format::OpenaiChat, to, &body).unwrap_err();
        let TranslateError::Invalid { field, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(field, path);
    }
    assert!(streamed(Format::OpenaiChat, ClientFormat::Gemini, &events).is_err());
}

#[test]
fn a_call_that_ends_before_the_reason_is_known_may_be_cut_too() {
    let events = |reason: &str| {
        [
            json!({ "type": "message_start", "message": { "model": "m" } }),
            json!({ "type": "content_block_start", "index": 1, "content_block": { "type": "tool_use", "id": "a", "name": "f" } }),
            json!({ "type": "content_block_delta", "index": 1, "delta": { "type": "input_json_delta", "partial_json": "{\"a\":" } }),
            json!({ "type": "content_block_stop", "index": 1 }),
            json!({ "type": "message_delta", "delta": { "stop_reason": reason } }),
            json!({ "type": "message_stop" }),
        ]
    };
    let to = ClientFormat::Gemini;
    let (made, dropped) = streamed(Format::Anthropic, to, &events("max_tokens")).unwrap();
    let (_, calls, reason) = said_in(Endpoint::GenerateContent, &made);
    assert_eq!((calls, reason.as_deref()), (None, Some("length")));
    assert_eq!(dropped, ["content[1].input"]);
    assert!(streamed(Format::Anthropic, to, &events("tool_use")).is_err());
}

#[test]
fn streamed_calls_without_an_index_are_told_apart() {
    let call = |id: Option<&str>, name: &str, arguments: &str| {
        let mut call = json!({ "function": { "name": name, "arguments": arguments } });
        if let Some(id) = id {
            call["id"] = json!(id);
        }
        call
    };
    let delta = |calls: &[Value]| json!({ "tool_calls": calls });
    let first = "{\"x\":1}";
    let second = ["{\"y\"", ":2}"];
    for deltas in [
        // Ollama and Google's compatible API: each call whole, in chunks of their own or in one.
        vec![
            delta(&[call(Some("a"), "f", first)]),
            delta(&[call(Some("b"), "f", "{\"y\":2}")]),
        ],
        vec![delta(&[
            call(Some("a"), "f", first),
            call(Some("b"), "f", "{\"y\":2}"),
        ])],
        // The id repeated, or not.
        vec![
            delta(&[call(Some("a"), "f", first)]),
            delta(&[call(Some("b"), "f", second[0])]),
            delta(&[call(Some("b"), "f", second[1])]),
        ],
        vec![
            delta(&[call(Some("a"), "f", first)]),
            delta(&[call(Some("b"), "f", second[0])]),
            delta(&[call(None, "", second[1])]),
        ],
        // No id at all.
        vec![
            delta(&[call(None, "f", first), call(None, "f", second[0])]),
            delta(&[call(None, "", second[1])]),
        ],
    ] {
        let (_, events) = chat(&json!({}), &deltas, "tool_calls");
        for (to, endpoint) in CLIENTS {
            let (made, _) = streamed(Format::OpenaiChat, to, &events).unwrap();
            let (_, calls, _) = said_in(endpoint, &shaped(endpoint, &made));
            let calls = calls.unwrap_or_default();
            let inputs: Vec<&Value> = calls
                .as_array()
                .into_iter()
                .flatten()
                .map(|call| &call["function"]["arguments"])
                .collect();
            assert_eq!(inputs, [&json!({ "x": 1 }), &json!({ "y": 2 })], "{to:?}");
        }
    }
}

/// Texts, and thoughts by themselves, of an answer in OpenAI's words.
fn said_and_thought(message: &Value) -> (&str, &str) {
    let text = |key: &str| message[key].as_str().unwrap_or_default();
    (text("content"), text("reasoning_content"))
}

#[test]
fn thoughts_of_compatible_servers_are_read_whichever_way_they_are_told() {
    let text = |text: &str| json!({ "type": "text", "text": text });
    let thinking = |thinking: Value| json!({ "type": "thinking", "thinking": thinking });
    let searched = json!({ "type": "reference", "reference_ids": [1] });
    let other = "content[1]";
    for (message, deltas, expected) in [
        // OpenRouter and Groq.
        (
            json!({ "content": "Yes.", "reasoning": "Hm, so." }),
            vec![
                json!({ "reasoning": "Hm, " }),
                json!({ "reasoning": "so." }),
                json!({ "content": "Yes." }),
            ],
            None,
        ),
        // vLLM with both words.
        (
            json!({ "content": "Yes.", "reasoning": "Hm, so.", "reasoning_content": "Hm, so." }),
            vec![
                json!({ "reasoning": "Hm, so.", "reasoning_content": "Hm, so.", "content": "Yes." }),
            ],
            None,
        ),
        // Mistral.
        (
            json!({ "content": [thinking(json!([text("Hm, "), text("so.")])), text("Yes.")] }),
            vec![
                json!({ "content": [thinking(json!([text("Hm, ")]))] }),
                json!({ "content": [thinking(json!([text("so.")])), text("Ye")] }),
                json!({ "content": "s." }),
            ],
            None,
        ),
        (
            json!({ "content": [thinking(json!("Hm, so.")), searched, text("Yes.")] }),
            vec![json!({ "content": [thinking(json!("Hm, so.")), searched, text("Yes.")] })],
            Some(other),
        ),
    ] {
        let (body, events) = chat(&json!({ "message": message }), &deltas, "stop");
        // By way of Messages and back, for whose thoughts the record has no column.
        let to = ClientFormat::Anthropic;
        let [(answered, dropped), (made, _)] = whole(Format::OpenaiChat, to, &body).unwrap();
        let (passed, left_out) = streamed(Format::OpenaiChat, to, &events).unwrap();
        let back = answer(
            Format::Anthropic,
            ClientFormat::OpenaiChat,
            &answered,
            &facts(),
        );
        let back: Value = serde_json::from_slice(&back.unwrap().0).unwrap();
        let message = &back["choices"][0]["message"];
        assert_eq!(said_and_thought(message), ("Yes.", "Hm, so."), "{body}");
        for made in [made, passed] {
            let (text, thought) = (
                deltas_of(&made, "text_delta", "text"),
                deltas_of(&made, "thinking_delta", "thinking"),
            );
            assert_eq!((&*text, &*thought), ("Yes.", "Hm, so."), "{body}");
        }
        let path = |place: &str| expected.map(|part: &str| format!("choices[0].{place}.{part}"));
        assert_eq!(dropped, Vec::from_iter(path("message")));
        assert_eq!(left_out, Vec::from_iter(path("message")));
    }
    let wrong = json!({ "choices": [{ "message": { "content": 5 }, "finish_reason": "stop" }] });
    assert!(whole(Format::OpenaiChat, ClientFormat::Anthropic, &wrong).is_err());
}

/// The text of one kind of delta in a stream of Messages.
pub(super) fn deltas_of(stream: &[u8], kind: &str, key: &str) -> String {
    sse::events(stream)
        .filter_map(|event| serde_json::from_slice::<Value>(&event.data?).ok())
        .filter(|event| event["delta"]["type"] == kind)
        .filter_map(|event| event["delta"][key].as_str().map(str::to_owned))
        .collect()
}

/// What a client is told by an answer, whole, and by its stream: the reason (in the record's words), the text and what is
/// not carried; or the code of an error, empty where it has none.
fn told(
    from: Format,
    client: (ClientFormat, Endpoint),
    body: &Value,
    events: &[Value],
) -> Vec<Result<Told, String>> {
    let (to, endpoint) = client;
    let code = |error| match error {
        TranslateError::Reported(error) => error.code.unwrap_or_default(),
        _ => String::new(),
    };
    let said = |decoded: Decoded, dropped| {
        let reason = decoded.finish_reason.unwrap_or_default();
        (reason, decoded.text, dropped)
    };
    let streamed = streamed(from, to, events).map(|(made, dropped)| {
        let decoded = decode_stream(endpoint, &shaped(endpoint, &made));
        said(decoded, dropped)
    });
    let mut told = vec![streamed.map_err(code)];
    match whole(from, to, body) {
        Ok([(answered, dropped), (made, again)]) => {
            told.push(Ok(said(decode_whole(endpoint, &answered), dropped)));
            let decoded = decode_stream(endpoint, &shaped(endpoint, &made));
            told.push(Ok(said(decoded, again)));
        }
        Err(error) => told.push(Err(code(error))),
    }
    told
}

/// An answer of each format that ends for a reason of its own, whole and streamed, with that reason's path.
fn ended(word: &str, text: &str) -> [(Format, Value, Vec<Value>, &'static str); 4] {
    let parts = match text {
        "" => json!([]),
        text => json!([{ "text": text }]),
    };
    let gemini = json!({ "candidates": [{ "content": { "parts": parts }, "finishReason": word }] });
    let (body, events) = chat(
        &json!({ "message": { "content": text } }),
        &[json!({ "content": text })],
        word,
    );
    let blocks = match text {
        "" => json!([]),
        text => json!([{ "type": "text", "text": text }]),
    };
    let mut message = vec![
        json!({ "type": "message_start", "message": { "model": "m" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } }),
        json!({ "type": "message_delta", "delta": { "stop_reason": word } }),
        json!({ "type": "message_stop" }),
    ];
    let mut converse = vec![
        json!({ "messageStart": { "role": "assistant" } }),
        json!({ "contentBlockDelta": { "contentBlockIndex": 0, "delta": { "text": text } } }),
        json!({ "messageStop": { "stopReason": word } }),
        json!({ "metadata": { "usage": { "inputTokens": 1, "outputTokens": 1 } } }),
    ];
    if text.is_empty() {
        message.remove(1);
        converse.remove(1);
    }
    [
        (
            Format::Gemini,
            gemini.clone(),
            vec![gemini],
            "candidates[0].finishReason",
        ),
        (Format::OpenaiChat, body, events, "choices[0].finish_reason"),
        (
            Format::Anthropic,
            json!({ "content": blocks, "stop_reason": word }),
            message,
            "stop_reason",
        ),
        (
            Format::BedrockConverse,
            json!({ "output": { "message": { "content": parts } }, "stopReason": word }),
            converse,
            "stopReason",
        ),
    ]
}

#[test]
fn an_answer_that_ends_for_a_reason_of_its_own_has_one_of_the_clients() {
    for (from, body, events, path) in ended("MALFORMED_FUNCTION_CALL", "Hm.") {
        for client in CLIENTS {
            for told in told(from, client, &body, &events) {
                let expected = (
                    "stop".to_owned(),
                    Some("Hm.".to_owned()),
                    vec![path.to_owned()],
                );
                assert_eq!(told, Ok(expected), "{from:?} to {client:?}");
            }
        }
    }
}

#[test]
fn an_answer_that_says_nothing_for_no_known_reason_is_an_error() {
    let word = "MALFORMED_FUNCTION_CALL";
    for (from, body, events, _) in ended(word, "") {
        for client in CLIENTS {
            for told in told(from, client, &body, &events) {
                assert_eq!(told, Err(word.to_owned()), "{from:?} to {client:?}");
            }
        }
    }
    for (from, empty) in [
        (Format::Gemini, json!({})),
        (
            Format::Gemini,
            json!({ "candidates": [], "usageMetadata": { "promptTokenCount": 3 } }),
        ),
        (
            Format::Gemini,
            json!({ "candidates": [{ "index": 0 }], "promptFeedback": {} }),
        ),
        (Format::OpenaiChat, json!({ "choices": [] })),
    ] {
        for client in CLIENTS {
            for told in told(from, client, &empty, std::slice::from_ref(&empty)) {
                assert_eq!(told, Err(String::new()), "{from:?} to {client:?}");
            }
        }
    }
    // Nothing is what it may say for a reason that is known.
    let blocked =
        json!({ "promptFeedback": { "blockReason": "SAFETY" }, "candidates": [{ "index": 0 }] });
    let stopped = json!({ "candidates": [{ "finishReason": "STOP" }] });
    for (body, reason) in [(blocked, "content_filter"), (stopped, "stop")] {
        for told in told(
            Format::Gemini,
            CLIENTS[2],
            &body,
            std::slice::from_ref(&body),
        ) {
            assert_eq!(told, Ok((reason.to_owned(), None, Vec::new())));
        }
    }
}

#[test]
fn a_refusal_is_one_for_every_client() {
    let refusal = json!({ "type": "refusal", "refusal": "I won't." });
    for (message, delta) in [
        (
            json!({ "content": null, "refusal": "I won't." }),
            json!({ "refusal": "I won't." }),
        ),
        (
            json!({ "content": [refusal] }),
            json!({ "content": [refusal] }),
        ),
    ] {
        let (body, events) = chat(&json!({ "message": message }), &[delta], "stop");
        for (at, client) in CLIENTS.into_iter().enumerate() {
            let reason = if at < 2 { "stop" } else { "content_filter" };
            for told in told(Format::OpenaiChat, client, &body, &events) {
                let expected = (reason.to_owned(), Some("I won't.".to_owned()), Vec::new());
                assert_eq!(told, Ok(expected), "{client:?}");
            }
        }
    }
}
