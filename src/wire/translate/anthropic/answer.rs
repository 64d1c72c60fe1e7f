//! A whole message, read and written.

use serde_json::{Value, json};

use super::read::block;
use super::write;
use crate::wire::translate::canonical::{Answer, Part, Stop, Usage};
use crate::wire::translate::fields::Fields;
use crate::wire::translate::{AnswerFacts, Dropped, TranslateError, call_id, fields, signed_id};

pub(in crate::wire::translate) fn read_answer(
    body: Value,
    dropped: &mut Dropped,
) -> Result<Answer, TranslateError> {
    if body["type"] == "error" {
        return Err(TranslateError::Reported(fields::error(&body)));
    }
    let mut answer = Fields::of(body, "")?;
    let content = answer.list("content")?;
    let content = content.ok_or_else(|| answer.invalid("content", "a list"))?;
    let stop = answer.text("stop_reason")?;
    let mut read = Answer {
        model: answer.text("model")?,
        stop: stop.as_deref().and_then(stop_of),
        stop_word: stop,
        stop_sequence: answer.text("stop_sequence")?,
        usage: answer.take("usage").as_ref().map(usage),
        parts: Vec::with_capacity(content.len()),
        ..Answer::default()
    };
    for (at, mut item) in content.into_iter().enumerate() {
        if item["type"] == "tool_use" && item["id"].is_null() {
            // Some servers of this API have none.
            item["id"] = json!("");
        }
        let path = format!("content[{at}]");
        let mut fields = Fields::of(item, &path)?;
        match block(&mut fields, dropped) {
            // They are of requests.
            Ok(Part::Image(_) | Part::Document { .. } | Part::ToolResult { .. }) => {
                dropped.add(path);
            }
            Ok(part) => {
                read.parts.push(part);
                fields.drop_rest(dropped);
            }
            // Such as a search of the provider's own: the answer stands without it.
            Err(TranslateError::Unsupported { .. }) => dropped.add(path),
            Err(error) => return Err(error),
        }
    }
    answer.ignore(&["id", "type", "role"]);
    answer.drop_rest(dropped);
    Ok(read)
}

pub(super) fn stop_of(word: &str) -> Option<Stop> {
    Some(match word {
        "end_turn" | "pause_turn" => Stop::End,
        "stop_sequence" => Stop::Sequence,
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        "tool_use" => Stop::ToolUse,
        "refusal" => Stop::Refused,
        _ => return None,
    })
}

pub(super) fn word_of(stop: Stop) -> &'static str {
    match stop {
        Stop::End => "end_turn",
        Stop::Sequence => "stop_sequence",
        Stop::Length => "max_tokens",
        Stop::ToolUse => "tool_use",
        Stop::Refused => "refusal",
    }
}

/// Anthropic counts what its cache read and wrote beside the input.
pub(super) fn usage(usage: &Value) -> Usage {
    let number = |key: &str| usage[key].as_u64();
    let (cached, cache_write) = (
        number("cache_read_input_tokens"),
        number("cache_creation_input_tokens"),
    );
    let beside = [cached, cache_write].into_iter().flatten();
    Usage {
        input: number("input_tokens").map(|input| beside.fold(input, u64::saturating_add)),
        output: number("output_tokens"),
        cached,
        cache_write,
        reasoning: None,
    }
}

/// Clients of Anthropic's read both numbers without asking whether they are there.
pub(super) fn write_usage(usage: &Usage) -> Value {
    let cached = usage.cached.unwrap_or_default();
    let beside = cached.saturating_add(usage.cache_write.unwrap_or_default());
    let input = usage.input.unwrap_or_default().saturating_sub(beside);
    let mut written = json!({ "input_tokens": input });
    if let Some(cache_write) = usage.cache_write {
        written["cache_creation_input_tokens"] = json!(cache_write);
    }
    if let Some(cached) = usage.cached {
        written["cache_read_input_tokens"] = json!(cached);
    }
    written["output_tokens"] = json!(usage.output.unwrap_or_default());
    written
}

/// The same as Bedrock adds it to a stream. How long it took stands in the row, and is not known here.
pub(super) fn write_metrics(usage: &Usage) -> Value {
    let counted = write_usage(usage);
    let mut written = json!({ "invocationLatency": 0, "firstByteLatency": 0 });
    for (theirs, ours) in [
        ("inputTokenCount", "input_tokens"),
        ("outputTokenCount", "output_tokens"),
        ("cacheReadInputTokenCount", "cache_read_input_tokens"),
        ("cacheWriteInputTokenCount", "cache_creation_input_tokens"),
    ] {
        if let Some(count) = counted.get(ours) {
            written[theirs] = count.clone();
        }
    }
    written
}

pub(in crate::wire::translate) fn write_answer(
    answer: Answer,
    facts: &AnswerFacts,
    dropped: &mut Dropped,
) -> Value {
    if !answer.logprobs.is_empty() {
        dropped.add("logprobs");
    }
    let mut content = Vec::new();
    for part in answer.parts {
        match part {
            // Not signed by anybody, but the client's to see.
            Part::Thinking {
                text,
                signature: None,
            } => content.push(json!({ "type": "thinking", "thinking": text, "signature": "" })),
            Part::ToolUse {
                id,
                name,
                input,
                signature: Some(signature),
            } => {
                let id = call_id::permitted(&id, usize::MAX);
                let signed = signed_id::sign(&id, &signature, usize::MAX);
                if signed.is_none() {
                    dropped.add(signed_id::FIELD);
                }
                let id = signed.unwrap_or(id);
                content.push(json!({ "type": "tool_use", "id": id, "name": name, "input": input }));
            }
            part => content.extend(write::block(part, "choices[0].message", dropped)),
        }
    }
    json!({
        "id": format!("msg_{}", facts.request_id), "type": "message", "role": "assistant",
        "model": answer.model.as_ref().unwrap_or(&facts.model), "content": content,
        "stop_reason": answer.stop.map(word_of), "stop_sequence": answer.stop_sequence,
        "usage": write_usage(&answer.usage.unwrap_or_default()),
    })
}
