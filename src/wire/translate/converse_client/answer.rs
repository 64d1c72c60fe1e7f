//! A whole answer of `converse`, written.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::wire::translate::canonical::{Answer, Part, Stop, Usage};
use crate::wire::translate::{Dropped, signed_id};

pub(in crate::wire::translate) fn write_answer(answer: Answer, dropped: &mut Dropped) -> Value {
    if !answer.logprobs.is_empty() {
        dropped.add("logprobs");
    }
    let parts = answer.parts.into_iter();
    let content: Vec<Value> = parts.filter_map(|part| block(part, dropped)).collect();
    json!({
        "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": word_of(answer.stop),
        "usage": write_usage(&answer.usage.unwrap_or_default()),
        "metrics": metrics(),
    })
}

fn block(part: Part, dropped: &mut Dropped) -> Option<Value> {
    Some(match part {
        Part::Text(text) | Part::Refusal(text) => json!({ "text": text }),
        Part::Thinking { text, signature } => {
            let mut said = json!({ "text": text });
            if let Some(signature) = signature {
                said["signature"] = json!(signature);
            }
            json!({ "reasoningContent": { "reasoningText": said } })
        }
        Part::RedactedThinking(data) => {
            json!({ "reasoningContent": { "redactedContent": STANDARD.encode(data) } })
        }
        Part::ToolUse {
            id,
            name,
            input,
            signature,
        } => {
            let signature = signature.as_deref();
            let most = signed_id::MOST_IN_CONVERSE;
            let signed = signature.and_then(|signature| signed_id::sign(&id, signature, most));
            if signature.is_some() && signed.is_none() {
                dropped.add(signed_id::FIELD);
            }
            let id = signed.unwrap_or(id);
            json!({ "toolUse": { "toolUseId": id, "name": name, "input": input } })
        }
        // No answer has them.
        Part::Image(_) | Part::Document { .. } | Part::ToolResult { .. } => return None,
    })
}

/// A member that every answer has. How long it took stands in the row, and is not known here.
pub(super) fn metrics() -> Value {
    json!({ "latencyMs": 0 })
}

/// There is a reason in every answer.
pub(super) fn word_of(stop: Option<Stop>) -> &'static str {
    match stop {
        None | Some(Stop::End) => "end_turn",
        Some(Stop::Sequence) => "stop_sequence",
        Some(Stop::Length) => "max_tokens",
        Some(Stop::ToolUse) => "tool_use",
        Some(Stop::Refused) => "content_filtered",
    }
}

/// What a cache gave or took is counted beside the input here, and in the total.
pub(super) fn write_usage(usage: &Usage) -> Value {
    let input = usage.input.unwrap_or_default();
    let output = usage.output.unwrap_or_default();
    let cached = usage.cached.unwrap_or_default();
    let beside = cached.saturating_add(usage.cache_write.unwrap_or_default());
    let mut written = json!({
        "inputTokens": input.saturating_sub(beside),
        "outputTokens": output,
        "totalTokens": input.saturating_add(output),
    });
    if let Some(cached) = usage.cached {
        written["cacheReadInputTokens"] = json!(cached);
    }
    if let Some(cache_write) = usage.cache_write {
        written["cacheWriteInputTokens"] = json!(cache_write);
    }
    written
}
