//! A whole answer of `converse`, read.

use serde_json::Value;

use crate::wire::translate::canonical::{Answer, Part, Stop, Usage};
use crate::wire::translate::fields::Fields;
use crate::wire::translate::{Dropped, TranslateError};

pub(in crate::wire::translate) fn read_answer(
    body: Value,
    dropped: &mut Dropped,
) -> Result<Answer, TranslateError> {
    let mut answer = Fields::of(body, "")?;
    let output = answer.object("output")?;
    let mut output = output.ok_or_else(|| answer.invalid("output", "an object"))?;
    let message = output.object("message")?;
    let mut message = message.ok_or_else(|| output.invalid("message", "an object"))?;
    let content = message.list("content")?.unwrap_or_default();
    let stop = answer.text("stopReason")?;
    let mut read = Answer {
        stop: stop.as_deref().and_then(stop_of),
        stop_word: stop,
        usage: answer.take("usage").as_ref().map(usage),
        parts: Vec::with_capacity(content.len()),
        ..Answer::default()
    };
    for (at, item) in content.into_iter().enumerate() {
        let path = format!("output.message.content[{at}]");
        let mut fields = Fields::of(item, &path)?;
        match part(&mut fields, dropped)? {
            Some(part) => {
                let says_nothing = matches!(&part, Part::Text(text) if text.is_empty());
                read.parts.extend((!says_nothing).then_some(part));
                fields.drop_rest(dropped);
            }
            // Such as a search of the provider's own: the answer stands without it.
            None => dropped.add(path),
        }
    }
    message.ignore(&["role"]);
    message.drop_rest(dropped);
    output.drop_rest(dropped);
    answer.ignore(&["metrics"]);
    answer.drop_rest(dropped);
    Ok(read)
}

/// A part of an answer; `None` for one that has no counterpart.
fn part(block: &mut Fields, dropped: &mut Dropped) -> Result<Option<Part>, TranslateError> {
    if let Some(text) = block.text("text")? {
        return Ok(Some(Part::Text(text)));
    }
    if let Some(mut cited) = block.object(CITED)? {
        let mut text = String::new();
        let path = cited.path("content");
        for (at, item) in (0..).zip(cited.list("content")?.unwrap_or_default()) {
            let mut item = Fields::of(item, &format!("{path}[{at}]"))?;
            text.push_str(&item.text("text")?.unwrap_or_default());
            item.drop_rest(dropped);
        }
        cited.drop_rest(dropped);
        return Ok(Some(Part::Text(text)));
    }
    if let Some(mut call) = block.object("toolUse")? {
        if call.text("type")?.as_deref() == Some(SERVERS_OWN) {
            return Ok(None);
        }
        return Ok(Some(Part::ToolUse {
            id: call.text("toolUseId")?.unwrap_or_default(),
            name: call.wanted_text("name")?,
            input: match call.take("input") {
                None => Value::Object(serde_json::Map::new()),
                Some(input @ Value::Object(_)) => input,
                Some(_) => return Err(call.invalid("input", "an object")),
            },
            signature: None,
        }));
    }
    let Some(mut thought) = block.object("reasoningContent")? else {
        return Ok(None);
    };
    if let Some(mut thought) = thought.object("reasoningText")? {
        return Ok(Some(Part::Thinking {
            text: thought.text("text")?.unwrap_or_default(),
            signature: thought.text("signature")?,
        }));
    }
    Ok(thought.text("redactedContent")?.map(Part::RedactedThinking))
}

/// A text with what it cites; in a stream the text comes as any other, and the citations beside it.
pub(super) const CITED: &str = "citationsContent";

/// The type of a call that the provider makes and answers itself.
pub(super) const SERVERS_OWN: &str = "server_tool_use";

pub(super) fn stop_of(word: &str) -> Option<Stop> {
    Some(match word {
        "end_turn" => Stop::End,
        "stop_sequence" => Stop::Sequence,
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        "tool_use" => Stop::ToolUse,
        "guardrail_intervened" | "content_filtered" => Stop::Refused,
        _ => return None,
    })
}

/// What the cache read and wrote is counted beside the input here.
pub(super) fn usage(usage: &Value) -> Usage {
    let number = |key: &str| usage[key].as_u64();
    let (cached, cache_write) = (
        number("cacheReadInputTokens"),
        number("cacheWriteInputTokens"),
    );
    let beside = [cached, cache_write].into_iter().flatten();
    Usage {
        input: number("inputTokens").map(|input| beside.fold(input, u64::saturating_add)),
        output: number("outputTokens"),
        cached,
        cache_write,
        reasoning: None,
    }
}
