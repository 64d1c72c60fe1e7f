//! Tokens that a client gives to thinking itself.

use serde_json::{Value, json};

use super::requests::asked;
use crate::wire::translate::{ClientFormat, Format};

const CLAUDE: &str = "claude-sonnet-4-5";

fn message(tokens: u64, limit: u64) -> (ClientFormat, Value) {
    let thinking = json!({ "type": "enabled", "budget_tokens": tokens });
    let asked = json!({ "max_tokens": limit, "thinking": thinking });
    (ClientFormat::Anthropic, asked)
}

fn content(tokens: u64, limit: u64) -> (ClientFormat, Value) {
    let thinking = json!({ "thinkingBudget": tokens });
    let asked =
        json!({ "generationConfig": { "maxOutputTokens": limit, "thinkingConfig": thinking } });
    (ClientFormat::Gemini, asked)
}

#[test]
fn they_stay_as_many_and_within_the_limit() {
    let chat = json!({ "max_tokens": 100, "reasoning_effort": "high" });
    for ((from, said), to, model, tokens, limit) in [
        (
            message(31_999, 32_000),
            Format::BedrockConverse,
            "anthropic.claude-opus-4-v1:0",
            31_999,
            32_000,
        ),
        (
            message(20_000, 30_000),
            Format::Gemini,
            "gemini-2.5-pro",
            20_000,
            30_000,
        ),
        (
            content(2_000, 8_000),
            Format::Anthropic,
            CLAUDE,
            2_000,
            8_000,
        ),
        // Fewer are refused.
        (content(100, 8_000), Format::Anthropic, CLAUDE, 1_024, 8_000),
        // A limit below them is refused.
        (
            content(4_000, 3_000),
            Format::Anthropic,
            CLAUDE,
            4_000,
            7_000,
        ),
        // An effort gives none: they come on top.
        (
            (ClientFormat::OpenaiChat, chat),
            Format::Anthropic,
            CLAUDE,
            16_384,
            16_484,
        ),
    ] {
        let (made, dropped) = asked(from, to, model, &said).unwrap();
        let (at, limit_at) = match to {
            Format::Anthropic => ("/thinking/budget_tokens", "/max_tokens"),
            Format::Gemini => (
                "/generationConfig/thinkingConfig/thinkingBudget",
                "/generationConfig/maxOutputTokens",
            ),
            _ => (
                "/additionalModelRequestFields/thinking/budget_tokens",
                "/inferenceConfig/maxTokens",
            ),
        };
        let got = [at, limit_at].map(|at| made.pointer(at).and_then(Value::as_u64));
        assert_eq!(got, [Some(tokens), Some(limit)], "{said}: {made}");
        assert_eq!(dropped, Vec::<String>::new(), "{said}");
    }
}

#[test]
fn who_knows_words_only_is_told_them_and_the_number_is_named() {
    for ((from, said), to, model, name) in [
        (
            message(2_000, 8_000),
            Format::OpenaiChat,
            "o3",
            "thinking.budget_tokens",
        ),
        (
            content(2_000, 8_000),
            Format::Anthropic,
            "claude-opus-4-7",
            "generationConfig.thinkingConfig.thinkingBudget",
        ),
    ] {
        let (_, dropped) = asked(from, to, model, &said).unwrap();
        assert_eq!(dropped, [name], "{said}");
    }
}
