//! How likely tokens were, from what asks for it to the answer.

use serde_json::{Value, json};

use super::{facts, streamed};
use crate::wire::sse;
use crate::wire::translate::fields::parse;
use crate::wire::translate::{ClientFormat, Format, answer, answer_as_stream, request};

const CHAT: &str =
    r#"{"logprobs":true,"top_logprobs":2,"messages":[{"role":"user","content":"x"}]}"#;
const RESPONSES: &str =
    r#"{"include":["message.output_text.logprobs"],"top_logprobs":2,"input":"x"}"#;
const GEMINI: &str = r#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"response_logprobs":true,"logprobs":2}}"#;

fn asked(from: ClientFormat, to: Format, body: &str) -> (Value, Vec<String>) {
    let (made, dropped) = request(from, to, body.as_bytes(), "gpt-4o", false).unwrap();
    (parse(&made).unwrap(), dropped.into_fields())
}

#[test]
fn they_are_asked_for() {
    let of_gemini = [
        "generationConfig.responseLogprobs",
        "generationConfig.logprobs",
    ];
    for (from, body, paths) in [
        (ClientFormat::OpenaiChat, CHAT, ["logprobs", "top_logprobs"]),
        (
            ClientFormat::OpenaiResponses,
            RESPONSES,
            ["include[0]", "top_logprobs"],
        ),
        (ClientFormat::Gemini, GEMINI, of_gemini),
    ] {
        let none: [&str; 0] = [];
        let (chat, dropped) = asked(from, Format::OpenaiChat, body);
        assert_eq!(
            (&chat["logprobs"], &chat["top_logprobs"]),
            (&json!(true), &json!(2))
        );
        assert_eq!(dropped, none, "{body}");
        let (gemini, dropped) = asked(from, Format::Gemini, body);
        let expected = json!({ "responseLogprobs": true, "logprobs": 2 });
        assert_eq!(
            (&gemini["generationConfig"], &*dropped),
            (&expected, &[][..])
        );
        for to in [
            Format::Anthropic,
            Format::BedrockConverse,
            Format::Argo,
            Format::Asksage,
        ] {
            let (made, dropped) = asked(from, to, body);
            assert_eq!(dropped, paths, "{to:?}");
            assert!(!made.to_string().contains("ogprobs"), "{made}");
        }
    }
}

#[test]
fn what_asks_for_none_says_nothing() {
    for (from, body, expected) in [
        (
            ClientFormat::OpenaiChat,
            CHAT.replace("true", "false"),
            "top_logprobs",
        ),
        (
            ClientFormat::OpenaiChat,
            CHAT.replace("true", "false").replace('2', "0"),
            "",
        ),
        (
            ClientFormat::OpenaiResponses,
            RESPONSES.replace("message.output_text.logprobs", "x"),
            "include[0] top_logprobs",
        ),
        (
            ClientFormat::Gemini,
            GEMINI.replace("true", "null"),
            "generationConfig.logprobs",
        ),
    ] {
        for to in [Format::OpenaiChat, Format::Gemini] {
            let (made, dropped) = asked(from, to, &body);
            assert_eq!(dropped.join(" "), expected, "{body}");
            assert!(!made.to_string().contains("ogprobs"), "{made}");
        }
    }
    let (made, _) = asked(
        ClientFormat::OpenaiChat,
        Format::Gemini,
        &CHAT.replace('2', "0"),
    );
    assert_eq!(
        made["generationConfig"],
        json!({ "responseLogprobs": true })
    );
}

/// A list of OpenAI's for two tokens, and the result of Gemini's that says the same.
fn said() -> (Value, Value) {
    let one = |token: &str, logprob: f64| json!({ "token": token, "logprob": logprob, "bytes": token.as_bytes() });
    let mut first = one("Hä", -0.25);
    first["top_logprobs"] = json!([one("Hä", -0.25), one("He", -1.5)]);
    let mut second = json!({ "token": "\u{fffd}", "logprob": -2.0, "bytes": null });
    second["top_logprobs"] = json!([second]);
    let theirs = |token: &str, logprob: f64| json!({ "token": token, "logProbability": logprob });
    let result = json!({
        "topCandidates": [
            { "candidates": [theirs("Hä", -0.25), theirs("He", -1.5)] },
            { "candidates": [theirs("\u{fffd}", -2.0)] },
        ],
        "chosenCandidates": [theirs("Hä", -0.25), theirs("\u{fffd}", -2.0)],
    });
    (json!([first, second]), result)
}

/// Where they stand in whole answers.
fn told(format: ClientFormat, body: &Value) -> &Value {
    match format {
        ClientFormat::Gemini => &body["candidates"][0]["logprobsResult"],
        ClientFormat::OpenaiResponses => &body["output"][0]["content"][0]["logprobs"],
        _ => &body["choices"][0]["logprobs"]["content"],
    }
}

fn events(stream: &str) -> Vec<Value> {
    let events = sse::events(stream.as_bytes());
    events
        .filter_map(|event| parse(&event.data.unwrap_or_default()).ok())
        .collect()
}

#[test]
fn they_are_told_whole_and_streamed() {
    let (list, result) = said();
    let mut with_ids = result.clone();
    with_ids["chosenCandidates"][0]["tokenId"] = json!(7);
    let chat = json!({ "choices": [{ "index": 0, "message": { "role": "assistant", "content": "Häx" },
        "logprobs": { "content": list, "refusal": null }, "finish_reason": "stop" }] });
    let gemini = json!({ "candidates": [{ "content": { "parts": [{ "text": "Häx" }] },
        "logprobsResult": with_ids, "finishReason": "STOP" }] });
    let mut chunk = chat.clone();
    chunk["choices"][0]["delta"] = chunk["choices"][0]["message"].take();
    let choice = chunk["choices"][0].as_object_mut().unwrap();
    choice.shift_remove("message");
    let end = "data: [DONE]\n\n";
    for (from, whole, stream) in [
        (Format::OpenaiChat, &chat, format!("data: {chunk}\n\n{end}")),
        (Format::Gemini, &gemini, format!("data: {gemini}\n\n")),
    ] {
        let whole = whole.to_string();
        for (to, expected) in [
            (ClientFormat::OpenaiChat, &list),
            (ClientFormat::OpenaiResponses, &list),
            (ClientFormat::Gemini, &result),
        ] {
            let (made, dropped) = answer(from, to, whole.as_bytes(), &facts()).unwrap();
            let made = parse(&made).unwrap();
            assert_eq!(told(to, &made), expected, "{from:?} to {to:?}: {made}");
            assert_eq!(dropped.into_fields(), Vec::<String>::new());
            let (of_whole, _) = answer_as_stream(from, to, whole.as_bytes(), &facts()).unwrap();
            let (made, dropped) = streamed(from, to, &stream).unwrap();
            assert_eq!(dropped, Vec::<String>::new());
            for stream in [&*made, std::str::from_utf8(&of_whole).unwrap()] {
                let events = events(stream);
                let told: Vec<&Value> = match to {
                    ClientFormat::OpenaiResponses => {
                        let last = &events.last().unwrap()["response"];
                        let delta = events
                            .iter()
                            .find(|event| event["type"] == "response.output_text.delta");
                        let done = events
                            .iter()
                            .find(|event| event["type"] == "response.output_text.done");
                        assert_eq!(told(to, last), expected, "{stream}");
                        assert_eq!(delta.unwrap()["logprobs"], done.unwrap()["logprobs"]);
                        vec![&delta.unwrap()["logprobs"]]
                    }
                    _ => events.iter().map(|event| told(to, event)).collect(),
                };
                let told: Vec<&Value> = told.into_iter().filter(|told| !told.is_null()).collect();
                assert_eq!(told, [expected], "{from:?} to {to:?}: {stream}");
            }
        }
        for to in [
            ClientFormat::Anthropic,
            ClientFormat::BedrockConverse,
            ClientFormat::BedrockInvoke,
        ] {
            let (_, dropped) = answer(from, to, whole.as_bytes(), &facts()).unwrap();
            assert_eq!(dropped.into_fields(), ["logprobs"], "{to:?}");
            assert_eq!(
                streamed(from, to, &stream).unwrap().1,
                ["logprobs"],
                "{to:?}"
            );
        }
    }
}

/// A server may tell of them behind the text, and piece by piece.
#[test]
fn they_are_told_behind_the_text_too() {
    let (list, result) = said();
    let text = json!({ "choices": [{ "index": 0, "delta": { "content": "Häx" } }] });
    let more = json!({ "choices": [{ "index": 0, "delta": {}, "logprobs": { "content": list } }] });
    let mut late = more.clone();
    late["choices"][0]["finish_reason"] = json!("stop");
    let stream = format!("data: {text}\n\ndata: {more}\n\ndata: {late}\n\ndata: [DONE]\n\n");
    let twice = json!([list.as_array().unwrap().as_slice(); 2].concat());
    for (to, expected) in [
        (ClientFormat::OpenaiChat, vec![&list, &list]),
        (ClientFormat::OpenaiResponses, vec![&twice]),
        (ClientFormat::Gemini, vec![&result, &result]),
    ] {
        let (made, _) = streamed(Format::OpenaiChat, to, &stream).unwrap();
        let events = events(&made);
        let told = events.iter().map(|event| match to {
            ClientFormat::OpenaiResponses => told(to, &event["response"]),
            _ => told(to, event),
        });
        let told: Vec<&Value> = told.filter(|told| !told.is_null()).collect();
        assert_eq!(told, expected, "{to:?}: {made}");
    }
}
