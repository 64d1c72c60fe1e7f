//! A Messages request, written.

use serde_json::{Map, Value, json};

use super::sampling::Sampling;
use super::thinking::Thinking;
use crate::wire::translate::call_id::permitted;
use crate::wire::translate::canonical::{
    Form, Media, Message, Part, Request, Role, Tool, ToolChoice,
};
use crate::wire::translate::{Dropped, TranslateError, schemas, words};

/// The longest answer where the client sets no limit, in tokens: Anthropic wants one, and every model of theirs takes
/// this. (docs.anthropic.com, Models overview, read 2026-11.)
const MAX_TOKENS: u64 = 4096;

pub(in crate::wire::translate) fn write_request(
    mut request: Request,
    dropped: &mut Dropped,
) -> Result<Value, TranslateError> {
    request.drop_seed_and_penalties(dropped);
    let thinking = Thinking::of(&request, dropped);
    let sampling = Sampling::of_claude(&mut request, thinking.is_some(), dropped);
    let stand_ins = request.stand_ins();
    let Request {
        model,
        messages,
        tools,
        tool_choice,
        parallel_tools,
        max_tokens,
        stop,
        stream,
        user,
        form,
        logprobs,
        ..
    } = request;
    let schema = form.map(Form::into_schema).transpose()?;
    if let Some(asked) = logprobs {
        asked.drop_into(dropped);
    }
    let (system, messages) = conversation(messages, dropped)?;
    let with_thinking = |limit: u64| thinking.map_or(limit, |thinking| thinking.limit(limit));
    let max_tokens = match max_tokens {
        None => with_thinking(MAX_TOKENS).into(),
        Some(limit) => limit
            .as_u64()
            .map_or(limit, |limit| with_thinking(limit).into()),
    };
    let mut body = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    };
    put("model", Some(json!(model)));
    put("max_tokens", Some(Value::Number(max_tokens)));
    put("system", (!system.is_empty()).then(|| texts(system)));
    put("messages", Some(Value::Array(messages)));
    put("stream", stream.then(|| json!(true)));
    put("temperature", sampling.temperature);
    put("top_k", sampling.top_k);
    put("top_p", sampling.top_p);
    let mut output = Map::new();
    if let Some(schema) = schema {
        let schema = schemas::closed(schema, dropped)?;
        let format = json!({ "type": "json_schema", "schema": schema });
        output.insert("format".to_owned(), format);
    }
    put(
        "thinking",
        thinking.map(|thinking| thinking.write(&mut output)),
    );
    put("stop_sequences", (!stop.is_empty()).then(|| json!(stop)));
    put("metadata", user.map(|user| json!({ "user_id": user })));
    let (tools, tool_choice) = match stand_ins.is_empty() {
        true => (tools, tool_choice),
        false => (stand_ins, Some(ToolChoice::None)),
    };
    let has_tools = !tools.is_empty();
    let tools: Vec<Value> = tools.into_iter().map(tool).collect();
    put("tools", has_tools.then(|| json!(tools)));
    put(
        "tool_choice",
        choice(tool_choice, parallel_tools, has_tools),
    );
    put(
        "output_config",
        (!output.is_empty()).then_some(Value::Object(output)),
    );
    Ok(Value::Object(body))
}

/// The one text, or all of them as blocks.
fn texts(mut texts: Vec<String>) -> Value {
    match texts.as_mut_slice() {
        [only] => Value::String(std::mem::take(only)),
        _ => texts
            .into_iter()
            .map(|text| json!({ "type": "text", "text": text }))
            .collect(),
    }
}

fn tool(tool: Tool) -> Value {
    let mut written = Map::new();
    written.insert("name".to_owned(), json!(tool.name));
    if let Some(description) = tool.description {
        written.insert("description".to_owned(), json!(description));
    }
    let schema = tool
        .schema
        .unwrap_or_else(|| json!({ "type": "object", "properties": {} }));
    written.insert("input_schema".to_owned(), schema);
    if let Some(true) = tool.strict {
        written.insert("strict".to_owned(), json!(true));
    }
    Value::Object(written)
}

fn choice(choice: Option<ToolChoice>, parallel: Option<bool>, has_tools: bool) -> Option<Value> {
    let one_by_one = parallel == Some(false);
    let choice = match choice {
        None if !one_by_one => return None,
        None => ToolChoice::Auto,
        Some(choice) => choice,
    };
    if !has_tools {
        return None;
    }
    let mut written = match choice {
        ToolChoice::Auto => json!({ "type": "auto" }),
        ToolChoice::None => return Some(json!({ "type": "none" })),
        ToolChoice::Any => json!({ "type": "any" }),
        ToolChoice::Named(name) => json!({ "type": "tool", "name": name }),
    };
    if one_by_one {
        written["disable_parallel_tool_use"] = json!(true);
    }
    Some(written)
}

/// System prompts stand before all else here; messages of one side in a row are one.
fn conversation(
    messages: Vec<Message>,
    dropped: &mut Dropped,
) -> Result<(Vec<String>, Vec<Value>), TranslateError> {
    let mut system = Vec::new();
    let mut turns: Vec<(Role, Vec<Value>)> = Vec::new();
    let mut spoken = String::new();
    for Message { role, parts, path } in messages {
        if role == Role::System {
            if !turns.is_empty() {
                // What it says is carried, where it was said is not.
                dropped.add(words::moved(&path));
            }
            spoken.clone_from(&path);
            for part in parts {
                match part {
                    Part::Text(text) => system.push(text),
                    _ => {
                        return Err(TranslateError::Unsupported {
                            field: path,
                            reason: "system prompts are text",
                        });
                    }
                }
            }
            continue;
        }
        let blocks: Vec<Value> = parts
            .into_iter()
            .filter_map(|part| block(part, &path, dropped))
            .collect();
        match turns.last_mut() {
            Some((last, before)) if *last == role => before.extend(blocks),
            _ => turns.push((role, blocks)),
        }
    }
    if turns.is_empty()
        && let Some(only) = system.pop()
    {
        // Somebody must speak first.
        dropped.add(words::moved(&spoken));
        turns.push((Role::User, vec![json!({ "type": "text", "text": only })]));
    }
    let written = turns.into_iter().filter(|(_, blocks)| !blocks.is_empty());
    let messages = written.map(|(role, blocks)| {
        let role = match role {
            Role::Assistant => "assistant",
            Role::User | Role::System => "user",
        };
        json!({ "role": role, "content": only_text(blocks) })
    });
    Ok((system, messages.collect()))
}

fn only_text(mut blocks: Vec<Value>) -> Value {
    match blocks.as_mut_slice() {
        [only] if only["type"] == "text" => only["text"].take(),
        _ => Value::Array(blocks),
    }
}

/// An id of a call as it may be here. (docs.anthropic.com, Messages, the pattern of `tool_use.id`, read 2026-11.)
fn call_id(id: &str) -> String {
    permitted(id, usize::MAX)
}

/// A block of a message or of an answer. Empty texts, which are refused here, are none.
pub(super) fn block(part: Part, path: &str, dropped: &mut Dropped) -> Option<Value> {
    Some(match part {
        Part::Text(text) | Part::Refusal(text) if text.is_empty() => return None,
        Part::Text(text) | Part::Refusal(text) => json!({ "type": "text", "text": text }),
        Part::Image(media) => json!({ "type": "image", "source": source(media) }),
        Part::Document { media, name } => {
            let mut block = json!({ "type": "document", "source": source(media) });
            if let Some(name) = name {
                block["title"] = json!(name);
            }
            block
        }
        Part::Thinking {
            text,
            signature: Some(signature),
        } => json!({ "type": "thinking", "thinking": text, "signature": signature }),
        // Only what Anthropic signed does it take back.
        Part::Thinking {
            signature: None, ..
        } => {
            dropped.add(format!("{path}.reasoning_content"));
            return None;
        }
        Part::RedactedThinking(data) => json!({ "type": "redacted_thinking", "data": data }),
        Part::ToolUse {
            id, name, input, ..
        } => {
            json!({ "type": "tool_use", "id": call_id(&id), "name": name, "input": input })
        }
        Part::ToolResult {
            id,
            parts,
            is_error,
        } => {
            let content: Vec<Value> = parts
                .into_iter()
                .filter_map(|part| block(part, path, dropped))
                .collect();
            let mut block = json!({ "type": "tool_result", "tool_use_id": call_id(&id) });
            if !content.is_empty() {
                block["content"] = only_text(content);
            }
            if is_error {
                block["is_error"] = json!(true);
            }
            block
        }
    })
}

fn source(media: Media) -> Value {
    match media {
        Media::Url { url, .. } => json!({ "type": "url", "url": url }),
        Media::Base64 {
            media_type, data, ..
        } => {
            json!({ "type": "base64", "media_type": media_type, "data": data })
        }
        Media::Plain(data) => {
            json!({ "type": "text", "media_type": "text/plain", "data": data })
        }
    }
}
