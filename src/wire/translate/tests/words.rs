//! What is dropped or refused is named in the client's own words, and only where something was asked.

use serde_json::{Value, json};

use super::requests::{asked, refused};
use crate::wire::translate::{ClientFormat, Format};

const CHAT: ClientFormat = ClientFormat::OpenaiChat;
const MESSAGES: ClientFormat = ClientFormat::Anthropic;
const GEMINI: ClientFormat = ClientFormat::Gemini;
const RESPONSES: ClientFormat = ClientFormat::OpenaiResponses;
const CONVERSE: ClientFormat = ClientFormat::BedrockConverse;

#[track_caller]
fn named(from: ClientFormat, to: Format, more: &Value, expected: &[&str]) {
    let (_, dropped) = asked(from, to, "claude-opus-4-7", more).unwrap();
    assert_eq!(dropped, expected, "{more} for {to:?}");
}

#[test]
fn fields_have_the_clients_names() {
    let gemini = |config: Value| json!({ "generationConfig": config });
    named(
        GEMINI,
        Format::OpenaiChat,
        &gemini(json!({ "topK": 5 })),
        &["generationConfig.topK"],
    );
    named(
        GEMINI,
        Format::Anthropic,
        &gemini(json!({ "seed": 5, "presencePenalty": 1, "temperature": 0.5, "topP": 0.5 })),
        &[
            "generationConfig.seed",
            "generationConfig.presencePenalty",
            "generationConfig.temperature",
            "generationConfig.topP",
        ],
    );
    named(
        GEMINI,
        Format::Asksage,
        &gemini(json!({ "maxOutputTokens": 5, "stopSequences": ["x"] })),
        &[
            "generationConfig.maxOutputTokens",
            "generationConfig.stopSequences",
        ],
    );
    let limits =
        json!({ "inferenceConfig": { "maxTokens": 5, "topP": 0.5, "stopSequences": ["x"] } });
    named(
        CONVERSE,
        Format::Asksage,
        &limits,
        &[
            "inferenceConfig.maxTokens",
            "inferenceConfig.topP",
            "inferenceConfig.stopSequences",
        ],
    );
    let own = json!({ "metadata": { "user_id": "u" }, "stop_sequences": ["x"] });
    named(
        MESSAGES,
        Format::Asksage,
        &own,
        &["stop_sequences", "metadata.user_id"],
    );
    let forced = json!({
        "tools": [{ "type": "function", "name": "f" }], "tool_choice": "required",
        "reasoning": { "effort": "low" }, "max_output_tokens": 5,
    });
    named(RESPONSES, Format::Anthropic, &forced, &["reasoning.effort"]);
    let thought = |key: &str, part: Value| json!({ key: [{ "role": "assistant", "content": [part] }, { "role": "user", "content": "x" }] });
    let signed = json!({ "type": "thinking", "thinking": "t", "signature": "s" });
    named(
        MESSAGES,
        Format::Gemini,
        &thought("messages", signed),
        &["messages[0].thinking"],
    );
    let chat =
        json!({ "messages": [{ "role": "assistant", "content": "x", "reasoning_content": "t" }] });
    for to in [Format::OpenaiChat, Format::Anthropic, Format::Gemini] {
        named(CHAT, to, &chat, &["messages[0].reasoning_content"]);
    }
    let alone = json!({ "systemInstruction": { "parts": [{ "text": "s" }] }, "contents": [] });
    named(GEMINI, Format::Anthropic, &alone, &["systemInstruction"]);
}

#[test]
fn refusals_have_the_clients_names() {
    let schema = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
    let gemini = json!({ "generationConfig": { "responseMimeType": "application/json", "responseSchema": schema } });
    let messages =
        json!({ "output_config": { "format": { "type": "json_schema", "schema": schema } } });
    for to in [Format::Argo, Format::Asksage] {
        refused(GEMINI, to, &gemini, "generationConfig.responseMimeType");
        refused(MESSAGES, to, &messages, "output_config.format");
    }
    refused(
        GEMINI,
        Format::Asksage,
        &json!({ "contents": [] }),
        "contents",
    );
}

#[test]
fn defaults_ask_for_nothing() {
    let chat = json!({
        "logprobs": false, "frequency_penalty": 0, "presence_penalty": 0.0, "store": false, "service_tier": "auto",
        "verbosity": "medium", "n": 1, "logit_bias": {}, "metadata": {}, "top_logprobs": 0, "temperature": 1, "top_p": 1.0,
        "messages": [{ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": "data:image/png;base64,eA==", "detail": "auto" } }] }],
    });
    for to in [Format::Anthropic, Format::BedrockConverse, Format::Gemini] {
        named(CHAT, to, &chat, &[]);
    }
    let others =
        json!({ "store": true, "service_tier": "flex", "verbosity": "low", "temperature": 0.5 });
    let names = ["store", "service_tier", "verbosity", "temperature"];
    named(CHAT, Format::Anthropic, &others, &names);
    let responses = json!({ "service_tier": "auto", "text": { "verbosity": "medium" }, "truncation": "disabled" });
    named(RESPONSES, Format::Gemini, &responses, &[]);
    named(
        MESSAGES,
        Format::OpenaiChat,
        &json!({ "service_tier": "auto" }),
        &[],
    );
}

#[test]
fn a_beginning_of_the_answer_is_named_where_it_is_a_turn_like_others() {
    let said = |text: Value| json!({ "messages": [{ "role": "user", "content": [{ "text": "x", "type": "text" }] }, { "role": "assistant", "content": [text] }] });
    let messages = said(json!({ "type": "text", "text": "{" }));
    for (to, expected) in [
        (Format::OpenaiChat, ["messages[1] (prefill)"].as_slice()),
        (Format::Gemini, &["messages[1] (prefill)"]),
        (Format::Asksage, &["messages[1] (prefill)"]),
        (Format::Anthropic, &[]),
        (Format::BedrockConverse, &[]),
    ] {
        named(MESSAGES, to, &messages, expected);
        named(ClientFormat::BedrockInvoke, to, &messages, expected);
        named(CHAT, to, &messages, &[]);
    }
}
