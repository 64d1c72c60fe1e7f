//! How much a model is to think, in the words of each maker: what it does not know is said as the next lower effort.

use serde_json::{Value, json};

use super::requests::asked;
use crate::wire::translate::{ClientFormat, Format};

const CHAT: ClientFormat = ClientFormat::OpenaiChat;
const RESPONSES: ClientFormat = ClientFormat::OpenaiResponses;
const MESSAGES: ClientFormat = ClientFormat::Anthropic;
const CONVERSE: ClientFormat = ClientFormat::BedrockConverse;

/// An effort in the client's words, and their name where it is lowered.
fn effort(from: ClientFormat, word: &str) -> (Value, &'static str) {
    let adaptive =
        json!({ "thinking": { "type": "adaptive" }, "output_config": { "effort": word } });
    match from {
        CHAT => (
            json!({ "reasoning_effort": word }),
            "reasoning_effort (lowered)",
        ),
        RESPONSES => (
            json!({ "reasoning": { "effort": word } }),
            "reasoning.effort (lowered)",
        ),
        CONVERSE => (
            json!({ "additionalModelRequestFields": adaptive }),
            "additionalModelRequestFields.output_config.effort (lowered)",
        ),
        _ => (adaptive, "output_config.effort (lowered)"),
    }
}

#[test]
fn what_a_model_does_not_know_is_said_as_the_next_lower_and_named() {
    let (openai, gemini) = (Format::OpenaiChat, Format::Gemini);
    let (claude, converse) = (Format::Anthropic, Format::BedrockConverse);
    let tokens = |count: u64| json!(count);
    for (from, word, to, model, expected, is_lowered) in [
        (RESPONSES, "low", openai, "o3", json!("low"), false),
        (RESPONSES, "high", openai, "o3", json!("high"), false),
        (RESPONSES, "xhigh", openai, "gpt-5.1", json!("high"), true),
        (RESPONSES, "xhigh", openai, "my-model", json!("high"), true),
        (
            RESPONSES,
            "xhigh",
            openai,
            "gpt-5.1-codex-max",
            json!("xhigh"),
            false,
        ),
        (
            RESPONSES,
            "xhigh",
            openai,
            "openai/gpt-5.2-2025-12-11",
            json!("xhigh"),
            false,
        ),
        (MESSAGES, "xhigh", openai, "gpt-6", json!("xhigh"), false),
        (MESSAGES, "max", openai, "gpt-5.2", json!("xhigh"), true),
        (MESSAGES, "max", openai, "gpt-5", json!("high"), true),
        (CONVERSE, "max", openai, "gpt-4.1", json!("high"), true),
        (CHAT, "high", Format::Asksage, "m", json!("high"), false),
        (CHAT, "xhigh", Format::Asksage, "m", json!("high"), true),
        (
            CHAT,
            "xhigh",
            claude,
            "claude-opus-4-7",
            json!("xhigh"),
            false,
        ),
        (
            CHAT,
            "xhigh",
            claude,
            "claude-opus-4-6",
            json!("high"),
            true,
        ),
        (
            MESSAGES,
            "max",
            converse,
            "anthropic.claude-opus-4-6-v1",
            json!("max"),
            false,
        ),
        (
            CHAT,
            "xhigh",
            claude,
            "claude-sonnet-4-5",
            tokens(16_384),
            true,
        ),
        (
            MESSAGES,
            "max",
            converse,
            "anthropic.claude-opus-4-v1:0",
            tokens(16_384),
            true,
        ),
        (CONVERSE, "max", claude, "my-profile", json!("max"), false),
        (CHAT, "high", gemini, "gemini-3-pro", tokens(24_576), false),
        (CHAT, "xhigh", gemini, "gemini-3-pro", tokens(24_576), true),
        (
            MESSAGES,
            "max",
            gemini,
            "gemini-3-pro",
            tokens(24_576),
            true,
        ),
    ] {
        let (said, name) = effort(from, word);
        let (made, dropped) = asked(from, to, model, &said).unwrap();
        let own = match to {
            Format::BedrockConverse => &made["additionalModelRequestFields"],
            _ => &made,
        };
        let got = [
            "/reasoning_effort",
            "/output_config/effort",
            "/thinking/budget_tokens",
            "/generationConfig/thinkingConfig/thinkingBudget",
        ];
        let got: Vec<&Value> = got.iter().filter_map(|at| own.pointer(at)).collect();
        assert_eq!(got, [&expected], "{said} for {model}: {made}");
        let named: &[&str] = if is_lowered { &[name] } else { &[] };
        assert_eq!(dropped, named, "{said} for {model}");
    }
}

#[test]
fn what_is_not_carried_at_all_is_not_named_twice() {
    let tools = json!([{ "type": "function", "function": { "name": "f" } }]);
    let forced = json!({ "reasoning_effort": "xhigh", "tools": tools, "tool_choice": "required" });
    let plain = json!({ "reasoning_effort": "xhigh" });
    for (to, model, said) in [
        (Format::Anthropic, "claude-opus-4-6", forced),
        (
            Format::BedrockConverse,
            "amazon.nova-pro-v1:0",
            plain.clone(),
        ),
        (Format::Argo, "gpt5", plain),
    ] {
        let (_, dropped) = asked(CHAT, to, model, &said).unwrap();
        assert_eq!(dropped, ["reasoning_effort"], "{to:?}");
    }
}
