use serde_json::{Value, json};

use crate::wire::translate::{
    AnswerFacts, ClientFormat, Format, StreamTranslator, TranslateError, answer, answer_as_stream,
    request,
};

const CLIENT: ClientFormat = ClientFormat::OpenaiCompletions;
const MESSAGE: &str = include_str!("../../../../tests/fixtures/anthropic/plain.json");
const MESSAGE_STREAM: &str = include_str!("../../../../tests/fixtures/anthropic/stream.sse");
const GEMINI: &str = include_str!("../../../../tests/fixtures/gemini/plain.json");
const ASKSAGE: &str = include_str!("../../../../tests/fixtures/asksage/plain.json");

const ALL: [(&str, Format); 6] = [
    ("chat", Format::OpenaiChat),
    ("anthropic", Format::Anthropic),
    ("gemini", Format::Gemini),
    ("asksage", Format::Asksage),
    ("argo", Format::Argo),
    ("converse", Format::BedrockConverse),
];

fn facts(include_usage: bool) -> AnswerFacts {
    AnswerFacts {
        request_id: "id-1".to_owned(),
        model: "asked".to_owned(),
        created_s: 1,
        include_usage,
        echo: Default::default(),
        tools_in_words: false,
    }
}

fn asked(to: Format, body: &Value) -> Result<(Value, Vec<String>), TranslateError> {
    let body = body.to_string();
    let (made, dropped) = request(CLIENT, to, body.as_bytes(), "m", false)?;
    let made = serde_json::from_slice(&made).expect("JSON");
    Ok((made, dropped.into_fields()))
}

#[test]
fn a_prompt_is_what_the_user_says_everywhere() {
    let body = json!({
        "model": "m", "prompt": ["Say hello."], "max_tokens": 5, "temperature": 0.5, "stop": ["\n"],
        "n": 1, "best_of": 2, "echo": false, "logit_bias": { "50256": -100 },
    });
    for (name, to) in ALL {
        let (made, dropped) = asked(to, &body).expect("written");
        let made = format!("{made:#}\n--- dropped\n{}", dropped.join("\n"));
        insta::assert_snapshot!(format!("as_{name}"), made);
    }
}

#[test]
fn what_chats_cannot_do_is_refused_by_name() {
    for (field, value) in [
        ("prompt", json!(["a", "b"])),
        ("prompt", json!([1, 2])),
        ("prompt", json!({})),
        ("prompt", Value::Null),
        ("n", json!(2)),
        ("echo", json!(true)),
        ("suffix", json!("end")),
        ("stop", json!([1])),
        ("max_tokens", json!("5")),
        ("stream", json!("yes")),
    ] {
        let mut body = json!({ "model": "m", "prompt": "p" });
        body[field] = value;
        match asked(Format::Anthropic, &body) {
            Err(
                TranslateError::Unsupported { field: named, .. }
                | TranslateError::Invalid { field: named, .. },
            ) => assert_eq!(named, field),
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn answers_are_completions() {
    let thought = json!({
        "model": "m", "stop_reason": "max_tokens", "usage": { "input_tokens": 3, "output_tokens": 4 },
        "content": [{ "type": "thinking", "thinking": "hm", "signature": "s" }, { "type": "text", "text": "a" }],
    });
    for (name, from, body) in [
        ("message", Format::Anthropic, MESSAGE),
        ("thought", Format::Anthropic, &*thought.to_string()),
        ("content", Format::Gemini, GEMINI),
        ("query", Format::Asksage, ASKSAGE),
    ] {
        let (made, dropped) = answer(from, CLIENT, body.as_bytes(), &facts(false)).expect("made");
        let made: Value = serde_json::from_slice(&made).expect("JSON");
        let made = format!(
            "{made:#}\n--- dropped\n{}",
            dropped.into_fields().join("\n")
        );
        insta::assert_snapshot!(format!("{name}_as_completion"), made);
    }
}

#[test]
fn streams_are_streams_of_completions() {
    let mut made = Vec::new();
    let mut translator = StreamTranslator::new(Format::Anthropic, CLIENT, &facts(true));
    for event in crate::wire::sse::events(MESSAGE_STREAM.as_bytes()) {
        let data = event.data.expect("data");
        translator.event(data.as_ref(), &mut made).expect("read");
    }
    translator.end(&mut made).expect("an end");
    insta::assert_snapshot!("stream", String::from_utf8(made).expect("text"));
    let (whole, _) =
        answer_as_stream(Format::Asksage, CLIENT, ASKSAGE.as_bytes(), &facts(false)).expect("made");
    let whole = String::from_utf8(whole).expect("text");
    assert!(
        whole.ends_with("\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"),
        "{whole}"
    );
}
