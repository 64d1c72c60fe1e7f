//! The client's own words for what a writer names: all writers use those of chats.

use super::{ClientFormat, Dropped, TranslateError};

/// A chat's word, and that of Responses, Messages, Gemini and `converse`. Where one has no such field, the chat's.
type Words = (&'static str, [&'static str; 4]);

/// An effort that is written as a lower one.
pub(super) const LOWERED: &str = "reasoning_effort (lowered)";

const FIELDS: &[Words] = &[
    (
        "max_tokens",
        [
            "max_output_tokens",
            "max_tokens",
            "generationConfig.maxOutputTokens",
            "inferenceConfig.maxTokens",
        ],
    ),
    (
        "temperature",
        [
            "temperature",
            "temperature",
            "generationConfig.temperature",
            "inferenceConfig.temperature",
        ],
    ),
    (
        "top_p",
        [
            "top_p",
            "top_p",
            "generationConfig.topP",
            "inferenceConfig.topP",
        ],
    ),
    (
        "top_k",
        [
            "top_k",
            "top_k",
            "generationConfig.topK",
            "additionalModelRequestFields.top_k",
        ],
    ),
    ("seed", ["seed", "seed", "generationConfig.seed", "seed"]),
    (
        "presence_penalty",
        [
            "presence_penalty",
            "presence_penalty",
            "generationConfig.presencePenalty",
            "presence_penalty",
        ],
    ),
    (
        "frequency_penalty",
        [
            "frequency_penalty",
            "frequency_penalty",
            "generationConfig.frequencyPenalty",
            "frequency_penalty",
        ],
    ),
    (
        "stop",
        [
            "stop",
            "stop_sequences",
            "generationConfig.stopSequences",
            "inferenceConfig.stopSequences",
        ],
    ),
    ("user", ["user", "metadata.user_id", "user", "user"]),
    (
        "reasoning_effort",
        [
            "reasoning.effort",
            "thinking",
            "generationConfig.thinkingConfig",
            "additionalModelRequestFields.thinking",
        ],
    ),
    (
        LOWERED,
        [
            "reasoning.effort (lowered)",
            "output_config.effort (lowered)",
            "generationConfig.thinkingConfig (lowered)",
            "additionalModelRequestFields.output_config.effort (lowered)",
        ],
    ),
    (
        "thinking_tokens",
        [
            "reasoning.effort",
            "thinking.budget_tokens",
            "generationConfig.thinkingConfig.thinkingBudget",
            "additionalModelRequestFields.thinking.budget_tokens",
        ],
    ),
    (
        "parallel_tool_calls",
        [
            "parallel_tool_calls",
            "tool_choice.disable_parallel_tool_use",
            "parallel_tool_calls",
            "parallel_tool_calls",
        ],
    ),
    (
        "tools.strict",
        [
            "tools.strict",
            "tools.strict",
            "tools.strict",
            "toolConfig.tools.strict",
        ],
    ),
    (
        "tool_choice",
        [
            "tool_choice",
            "tool_choice",
            "toolConfig.functionCallingConfig",
            "toolConfig.toolChoice",
        ],
    ),
    (
        "response_format",
        [
            "text.format",
            "output_config.format",
            "generationConfig.responseMimeType",
            "outputConfig.textFormat",
        ],
    ),
    ("messages", ["input", "messages", "contents", "messages"]),
];

/// The same of what stands behind the path of a message.
const ENDS: &[Words] = &[
    (
        ".thinking",
        ["", ".thinking", ".thought", ".reasoningContent"],
    ),
    (
        ".reasoning_content",
        ["", ".thinking", ".thought", ".reasoningContent"],
    ),
    (".is_error", ["", ".is_error", ".error", ".status"]),
];

/// A field in the client's words.
pub(super) fn of(client: ClientFormat, field: String) -> String {
    let column = match client {
        ClientFormat::OpenaiChat | ClientFormat::OpenaiCompletions => None,
        ClientFormat::OpenaiResponses => Some(0),
        ClientFormat::Anthropic | ClientFormat::BedrockInvoke => Some(1),
        ClientFormat::Gemini => Some(2),
        ClientFormat::BedrockConverse => Some(3),
    };
    let word = |words: &[&'static str; 4]| column.and_then(|column| words.get(column)).copied();
    let whole = FIELDS.iter().find(|(chat, _)| *chat == field);
    if let Some(word) = whole.and_then(|(_, words)| word(words)) {
        return word.to_owned();
    }
    for (end, words) in ENDS {
        if let Some(message) = field.strip_suffix(end) {
            // Chats have the thought of a message under this name.
            let chats = if *end == ".thinking" {
                ".reasoning_content"
            } else {
                end
            };
            return [message, word(words).unwrap_or(chats)].concat();
        }
    }
    field
}

/// Names what a writer dropped.
pub(super) fn drop(client: ClientFormat, written: Dropped, dropped: &mut Dropped) {
    for field in written.into_fields() {
        dropped.add(of(client, field));
    }
}

/// A writer's refusal.
pub(super) fn refusal(client: ClientFormat, error: TranslateError) -> TranslateError {
    match error {
        TranslateError::Unsupported { field, reason } => TranslateError::Unsupported {
            field: of(client, field),
            reason,
        },
        other => other,
    }
}

/// Where a system prompt stood that is said by another or elsewhere.
pub(super) fn moved(path: &str) -> String {
    match path.ends_with(']') {
        true => format!("{path}.role"),
        false => path.to_owned(),
    }
}
