//! A whole answer of Gemini's, written.

use serde_json::{Value, json};

use crate::wire::translate::canonical::{Answer, Part, Stop, Usage};
use crate::wire::translate::{AnswerFacts, Dropped, logprobs};

pub(in crate::wire::translate) fn write_answer(
    answer: Answer,
    facts: &AnswerFacts,
    dropped: &mut Dropped,
) -> Value {
    let mut parts = Vec::new();
    for part in answer.parts {
        let (mut written, signature) = match part {
            Part::Text(text) | Part::Refusal(text) => (json!({ "text": text }), None),
            Part::Thinking { text, signature } => {
                (json!({ "text": text, "thought": true }), signature)
            }
            Part::ToolUse {
                id,
                name,
                input,
                signature,
            } => (
                json!({ "functionCall": { "id": id, "name": name, "args": input } }),
                signature,
            ),
            Part::RedactedThinking(_) => {
                dropped.add("redacted_thinking");
                continue;
            }
            // No answer has them.
            Part::Image(_) | Part::Document { .. } | Part::ToolResult { .. } => continue,
        };
        if let Some(signature) = signature.filter(|signature| !signature.is_empty()) {
            written["thoughtSignature"] = json!(signature);
        }
        parts.push(written);
    }
    let mut candidate = json!({ "content": { "parts": parts, "role": "model" } });
    if let Some(stop) = answer.stop {
        candidate["finishReason"] = json!(reason_of(stop));
    }
    if !answer.logprobs.is_empty() {
        candidate["logprobsResult"] = logprobs::candidate(&answer.logprobs);
    }
    candidate["index"] = json!(0);
    let mut written = json!({ "candidates": [candidate] });
    if let Some(usage) = &answer.usage {
        written["usageMetadata"] = write_usage(usage);
    }
    written["modelVersion"] = json!(answer.model.as_ref().unwrap_or(&facts.model));
    written["responseId"] = json!(facts.request_id);
    written
}

/// Calls have no reason of their own.
pub(super) fn reason_of(stop: Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence | Stop::ToolUse => "STOP",
        Stop::Length => "MAX_TOKENS",
        Stop::Refused => "SAFETY",
    }
}

/// Thoughts are counted beside the answer here.
pub(super) fn write_usage(usage: &Usage) -> Value {
    let thought = usage.reasoning.unwrap_or_default();
    let answer = usage.output.map(|output| output.saturating_sub(thought));
    let total = usage.input.zip(usage.output);
    let total = total.map(|(input, output)| input.saturating_add(output));
    let mut written = json!({});
    for (key, count) in [
        ("promptTokenCount", usage.input),
        ("candidatesTokenCount", answer),
        ("totalTokenCount", total),
        ("cachedContentTokenCount", usage.cached),
        ("thoughtsTokenCount", usage.reasoning),
    ] {
        if let Some(count) = count {
            written[key] = json!(count);
        }
    }
    written
}
