//! A whole answer of Gemini's, read.

use serde_json::Value;

use crate::wire::translate::canonical::{Answer, Part, Stop, Usage};
use crate::wire::translate::fields::Fields;
use crate::wire::translate::{Dropped, TranslateError, call_id, fields, logprobs};

pub(in crate::wire::translate) fn read_answer(
    body: Value,
    dropped: &mut Dropped,
) -> Result<Answer, TranslateError> {
    if !body["error"].is_null() {
        return Err(TranslateError::Reported(fields::error(&body)));
    }
    let mut answer = Fields::of(body, "")?;
    let id = answer.text("responseId")?.unwrap_or_default();
    let mut read = Answer {
        model: answer.text("modelVersion")?,
        usage: answer.take("usageMetadata").as_ref().map(usage),
        ..Answer::default()
    };
    if let Some(mut feedback) = answer.object("promptFeedback")? {
        read.stop = feedback.text("blockReason")?.map(|_| Stop::Refused);
    }
    let mut candidates = answer.list("candidates")?.unwrap_or_default().into_iter();
    if let Some(first) = candidates.next() {
        candidate(first, &id, &mut read, dropped)?;
    }
    if candidates.next().is_some() {
        dropped.add("candidates[1]");
    }
    answer.ignore(&["createTime"]);
    answer.drop_rest(dropped);
    Ok(read)
}

fn candidate(
    candidate: Value,
    id: &str,
    read: &mut Answer,
    dropped: &mut Dropped,
) -> Result<(), TranslateError> {
    let mut candidate = Fields::of(candidate, "candidates[0]")?;
    let reason = candidate.text("finishReason")?;
    if let Some(mut content) = candidate.object("content")? {
        for (at, item) in content
            .list("parts")?
            .unwrap_or_default()
            .into_iter()
            .enumerate()
        {
            let path = format!("candidates[0].content.parts[{at}]");
            match part(
                Fields::of(item, &path)?,
                &call_id::made(id, read.parts.len()),
                dropped,
            )? {
                Some(part) => read.parts.push(part),
                // Such as code that was run: the answer stands without it.
                None => dropped.add(path),
            }
        }
    }
    let calls = read
        .parts
        .iter()
        .any(|part| matches!(part, Part::ToolUse { .. }));
    if let Some(reason) = reason {
        read.stop = stop_of(&reason).map(|stop| match stop {
            Stop::End if calls => Stop::ToolUse,
            stop => stop,
        });
        read.stop_word = Some(reason);
    }
    if let Some(said) = candidate.take("logprobsResult") {
        read.logprobs = logprobs::of_candidate(said, dropped);
    }
    candidate.ignore(&["index", "safetyRatings"]);
    candidate.drop_rest(dropped);
    Ok(())
}

/// A part; `None` for one that has no counterpart. `own_id`: for a call without one.
pub(super) fn part(
    mut part: Fields,
    own_id: &str,
    dropped: &mut Dropped,
) -> Result<Option<Part>, TranslateError> {
    let is_thought = part.truth("thought")?.unwrap_or(false);
    let signature = part.text("thoughtSignature")?;
    if let Some(text) = part.text("text")? {
        if signature.is_some() {
            dropped.add(part.path("thoughtSignature"));
        }
        return Ok(Some(match is_thought {
            true => Part::Thinking {
                text,
                signature: None,
            },
            false => Part::Text(text),
        }));
    }
    let Some(mut call) = part.object("functionCall")? else {
        return Ok(None);
    };
    let id = call.text("id")?;
    Ok(Some(Part::ToolUse {
        id: id.unwrap_or_else(|| own_id.to_owned()),
        name: call.wanted_text("name")?,
        input: match call.take("args") {
            None => Value::Object(serde_json::Map::new()),
            Some(input @ Value::Object(_)) => input,
            Some(_) => return Err(call.invalid("args", "an object")),
        },
        signature,
    }))
}

pub(super) fn stop_of(word: &str) -> Option<Stop> {
    Some(match word {
        "STOP" => Stop::End,
        "MAX_TOKENS" => Stop::Length,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_RECITATION"
        | "IMAGE_PROHIBITED_CONTENT" => Stop::Refused,
        _ => return None,
    })
}

/// Thoughts are counted beside the answer here, results of Gemini's own tools beside the prompt.
pub(super) fn usage(usage: &Value) -> Usage {
    let number = |key: &str| usage[key].as_u64();
    let sum = |first: &str, second: &str| match (number(first), number(second)) {
        (None, None) => None,
        (first, second) => Some(first.unwrap_or(0).saturating_add(second.unwrap_or(0))),
    };
    let input = sum("promptTokenCount", "toolUsePromptTokenCount");
    let rest = number("totalTokenCount").zip(input);
    let rest = rest.and_then(|(total, input)| total.checked_sub(input));
    Usage {
        input,
        output: sum("candidatesTokenCount", "thoughtsTokenCount").or(rest),
        cached: number("cachedContentTokenCount"),
        cache_write: None,
        reasoning: number("thoughtsTokenCount"),
    }
}
