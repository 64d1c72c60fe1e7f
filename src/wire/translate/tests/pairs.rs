//! The pairs of a client's format and a provider's that no other test shows whole: what is asked, and what is answered
//! whole and streamed.

use super::{
    CONVERSATION, GEMINI, GEMINI_TOOLS, MESSAGE, MESSAGE_TOOLS, REASONED, REASONED_STREAM, TOOLS,
    facts, pretty,
};
use crate::wire::sse;
use crate::wire::translate::bedrock_converse::tests::{ANSWER, EVENTS};
use crate::wire::translate::{
    AnswerFacts, ClientFormat, Format, StreamTranslator, TranslateError, answer, answer_as_stream,
    echo, request,
};

const RESPONSES: &[&str] = &[
    include_str!("../../../../tests/fixtures/translate/responses_tools.json"),
    include_str!("../../../../tests/fixtures/translate/responses_files.json"),
];
const CONTENTS: &str = include_str!("../../../../tests/fixtures/translate/gemini_tools.json");
const CONVERSE: &str = include_str!("../../../../tests/fixtures/translate/converse_tools.json");
const INVOKE: &str = include_str!("../../../../tests/fixtures/translate/invoke_tools.json");
const ASKSAGE: &str = include_str!("../../../../tests/fixtures/asksage/tools.json");
const ARGO: &str = r#"{"response":{"content":"I look.","tool_calls":[{"id":"toolu_1","name":"look","input":{"at":"it"},"type":"tool_use"}]}}"#;

/// A client's format and what it asks, and the formats of providers.
const PAIRS: &[(&str, ClientFormat, &[&str], &str)] = &[
    (
        "responses",
        ClientFormat::OpenaiResponses,
        RESPONSES,
        "chat anthropic gemini converse argo asksage",
    ),
    (
        "gemini",
        ClientFormat::Gemini,
        &[CONTENTS],
        "converse argo asksage",
    ),
    (
        "converse",
        ClientFormat::BedrockConverse,
        &[CONVERSE],
        "argo asksage",
    ),
    (
        "invoke",
        ClientFormat::BedrockInvoke,
        &[INVOKE],
        "chat anthropic gemini argo asksage",
    ),
    ("chat", ClientFormat::OpenaiChat, &[CONVERSATION], "argo"),
    ("anthropic", ClientFormat::Anthropic, &[TOOLS], "argo"),
];

/// A provider's format, a whole answer and the events of a stream; without any, it has no streams.
fn provider(name: &str) -> (Format, &'static str, Vec<Vec<u8>>) {
    let events = |stream: &str| {
        let events = sse::events(stream.as_bytes());
        events
            .filter_map(|event| event.data)
            .map(|data| data.to_vec())
            .collect()
    };
    let of = |events: &[&str]| {
        events
            .iter()
            .map(|event| event.as_bytes().to_vec())
            .collect()
    };
    match name {
        "chat" => (Format::OpenaiChat, REASONED, events(REASONED_STREAM)),
        "anthropic" => (Format::Anthropic, MESSAGE, events(MESSAGE_TOOLS)),
        "gemini" => (Format::Gemini, GEMINI, events(GEMINI_TOOLS)),
        "converse" => (Format::BedrockConverse, ANSWER, of(EVENTS)),
        "argo" => (Format::Argo, ARGO, of(&["Hä", "llo \"you\"\n", "😀"])),
        "asksage" => (Format::Asksage, ASKSAGE, Vec::new()),
        other => panic!("{other}"),
    }
}

fn streamed(
    from: Format,
    to: ClientFormat,
    events: &[Vec<u8>],
    facts: &AnswerFacts,
) -> Result<String, TranslateError> {
    let mut translator = StreamTranslator::new(from, to, facts);
    let mut out = Vec::new();
    for event in events {
        translator.event(event, &mut out)?;
    }
    translator.end(&mut out)?;
    let dropped = translator.take_dropped().join("\n");
    Ok(format!(
        "{}--- dropped\n{dropped}",
        String::from_utf8_lossy(&out)
    ))
}

#[test]
fn pairs() {
    for (client, to, requests, providers) in PAIRS {
        for name in providers.split(' ') {
            let (from, whole, events) = provider(name);
            let mut shown = String::new();
            for body in *requests {
                let asked = request(*to, from, body.as_bytes(), "the-model", true);
                let asked = asked.map_or_else(|error| format!("refused: {error}"), pretty);
                shown.push_str(&format!("=== request\n{asked}\n"));
            }
            let facts = AnswerFacts {
                echo: echo(*to, requests[0].as_bytes()),
                ..facts()
            };
            let answered = pretty(answer(from, *to, whole.as_bytes(), &facts).unwrap());
            let stream = match events.is_empty() {
                false => streamed(from, *to, &events, &facts).unwrap(),
                true => {
                    let made = answer_as_stream(from, *to, whole.as_bytes(), &facts).unwrap();
                    String::from_utf8(made.0).unwrap()
                }
            };
            shown.push_str(&format!("=== answer\n{answered}\n=== stream\n{stream}"));
            insta::assert_snapshot!(format!("{client}_to_{name}"), shown);
        }
    }
}
