//! A chat's whole answer, read and written.

use serde_json::{Map, Value, json};

use super::calls::{CallsOf, calls};
use super::read::thoughts;
use super::write::call;
use super::{content, old_call};
use crate::wire::translate::canonical::{Answer, Part, Stop, Usage};
use crate::wire::translate::fields::Fields;
use crate::wire::translate::{AnswerFacts, Dropped, TranslateError, fields, logprobs};

pub(in crate::wire::translate) fn read_answer(
    body: Value,
    dropped: &mut Dropped,
) -> Result<Answer, TranslateError> {
    if !body["error"].is_null() {
        return Err(TranslateError::Reported(fields::error(&body)));
    }
    let mut answer = Fields::of(body, "")?;
    let choices = answer.list("choices")?;
    let mut choices = choices
        .ok_or_else(|| answer.invalid("choices", "a list"))?
        .into_iter();
    let mut read = Answer {
        model: answer.text("model")?,
        usage: answer.take("usage").as_ref().map(usage),
        ..Answer::default()
    };
    if let Some(first) = choices.next() {
        let mut choice = Fields::of(first, "choices[0]")?;
        let stop = choice.text("finish_reason")?;
        read.stop = stop.as_deref().and_then(stop_of);
        read.stop_word = stop;
        if let Some(said) = choice.take("logprobs") {
            read.logprobs = logprobs::of_choice(said, dropped);
        }
        if let Some(mut message) = choice.object("message")? {
            read.parts = thoughts(&mut message)?;
            content::reasoning(&mut message, &mut read.parts, dropped);
            content::read(&mut message, &mut read.parts, dropped)?;
            let refusal = message.text("refusal")?.filter(|text| !text.is_empty());
            read.parts.extend(refusal.map(Part::Refusal));
            let may_be_cut = read.stop == Some(Stop::Length);
            let mut cut = may_be_cut.then_some(&mut read.cut_calls);
            let of = CallsOf::Answer(cut.as_deref_mut());
            calls(&mut message, &mut read.parts, of, dropped)?;
            let is_call = |part: &Part| matches!(part, Part::ToolUse { .. });
            let has_cut = cut.as_ref().is_some_and(|cut| !cut.is_empty());
            if !has_cut && !read.parts.iter().any(is_call) {
                old_call::read(&mut message, &mut read.parts, cut, dropped)?;
            }
            // Some servers say `stop` of calls too.
            if read.stop == Some(Stop::End) && read.parts.iter().any(is_call) {
                read.stop = Some(Stop::ToolUse);
            }
            message.take("role");
            message.drop_rest(dropped);
        }
        choice.take("index");
        choice.drop_rest(dropped);
    }
    if choices.next().is_some() {
        dropped.add("choices[1]");
    }
    answer.ignore(&[
        "id",
        "object",
        "created",
        "service_tier",
        "system_fingerprint",
    ]);
    answer.drop_rest(dropped);
    Ok(read)
}

pub(super) fn stop_of(word: &str) -> Option<Stop> {
    Some(match word {
        "stop" => Stop::End,
        "length" => Stop::Length,
        "tool_calls" | "function_call" => Stop::ToolUse,
        "content_filter" => Stop::Refused,
        _ => return None,
    })
}

pub(in crate::wire::translate) fn word_of(stop: Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence => "stop",
        Stop::Length => "length",
        Stop::ToolUse => "tool_calls",
        Stop::Refused => "content_filter",
    }
}

pub(super) fn usage(usage: &Value) -> Usage {
    let number = |value: &Value| value.as_u64();
    Usage {
        input: number(&usage["prompt_tokens"]),
        output: number(&usage["completion_tokens"]),
        cached: number(&usage["prompt_tokens_details"]["cached_tokens"]),
        // Not OpenAI's own, but of servers that pay for writing too.
        cache_write: number(&usage["prompt_tokens_details"]["cache_write_tokens"]),
        reasoning: number(&usage["completion_tokens_details"]["reasoning_tokens"]),
    }
}

/// What is not known is not there.
pub(in crate::wire::translate) fn write_usage(usage: &Usage) -> Value {
    let mut written = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            written.insert(key.to_owned(), value);
        }
    };
    put("prompt_tokens", usage.input.map(Value::from));
    put("completion_tokens", usage.output.map(Value::from));
    let total = usage.input.zip(usage.output);
    put(
        "total_tokens",
        total.map(|(input, output)| input.saturating_add(output).into()),
    );
    let mut details = Map::new();
    if let Some(cached) = usage.cached {
        details.insert("cached_tokens".to_owned(), json!(cached));
    }
    if let Some(cache_write) = usage.cache_write {
        details.insert("cache_write_tokens".to_owned(), json!(cache_write));
    }
    put(
        "prompt_tokens_details",
        (!details.is_empty()).then_some(Value::Object(details)),
    );
    let reasoning = usage
        .reasoning
        .map(|reasoning| json!({ "reasoning_tokens": reasoning }));
    put("completion_tokens_details", reasoning);
    Value::Object(written)
}

/// Thoughts stand in `reasoning_content`, as compatible servers have them; with signatures, without which they cannot go
/// back to who thought them, in `thinking_blocks` too.
pub(in crate::wire::translate) fn write_answer(answer: Answer, facts: &AnswerFacts) -> Value {
    let (mut text, mut refusal, mut thought) = (None::<String>, None::<String>, None::<String>);
    let (mut blocks, mut calls) = (Vec::new(), Vec::new());
    for part in answer.parts {
        match part {
            Part::Text(piece) => text.get_or_insert_default().push_str(&piece),
            Part::Refusal(piece) => refusal.get_or_insert_default().push_str(&piece),
            Part::Thinking { text, signature } => {
                thought.get_or_insert_default().push_str(&text);
                if let Some(signature) = signature.filter(|signature| !signature.is_empty()) {
                    let block =
                        json!({ "type": "thinking", "thinking": text, "signature": signature });
                    blocks.push(block);
                }
            }
            Part::RedactedThinking(data) => {
                blocks.push(json!({ "type": "redacted_thinking", "data": data }));
            }
            Part::ToolUse {
                id,
                name,
                input,
                signature,
            } => calls.push(call(&id, &name, input.to_string(), signature)),
            // No answer has them.
            Part::Image(_) | Part::Document { .. } | Part::ToolResult { .. } => {}
        }
    }
    for cut in answer.cut_calls {
        calls.push(call(&cut.id, &cut.name, cut.input, cut.signature));
    }
    let mut message = Map::new();
    message.insert("role".to_owned(), json!("assistant"));
    message.insert("content".to_owned(), json!(text));
    message.insert("refusal".to_owned(), json!(refusal));
    if let Some(thought) = thought {
        message.insert("reasoning_content".to_owned(), json!(thought));
    }
    if !blocks.is_empty() {
        message.insert("thinking_blocks".to_owned(), Value::Array(blocks));
    }
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), Value::Array(calls));
    }
    let logprobs: Value =
        serde_json::from_str(&logprobs::choice(&answer.logprobs)).unwrap_or_default();
    let choice = json!({
        "index": 0, "message": message, "logprobs": logprobs, "finish_reason": answer.stop.map(word_of),
    });
    let mut written = json!({
        "id": format!("chatcmpl-{}", facts.request_id), "object": "chat.completion",
        "created": facts.created_s, "model": answer.model.as_ref().unwrap_or(&facts.model),
        "choices": [choice],
    });
    if let Some(usage) = &answer.usage {
        written["usage"] = write_usage(usage);
    }
    written
}
