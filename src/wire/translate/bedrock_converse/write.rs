//! A request of `converse`, written. The model stands in the path, and so does whether a stream is asked for.

use serde_json::{Map, Number, Value, json};

use super::document::{document, image};
use crate::wire::translate::anthropic::{Sampling, Thinking};
use crate::wire::translate::call_id::permitted;
use crate::wire::translate::canonical::{
    Form, Message, Part, Reasoning, Request, Role, Schema, Tool, ToolChoice,
};
use crate::wire::translate::{Dropped, TranslateError, schemas, signed_id, words};

pub(in crate::wire::translate) fn write_request(
    mut request: Request,
    dropped: &mut Dropped,
) -> Result<Value, TranslateError> {
    request.drop_seed_and_penalties(dropped);
    let schema = request.form.take().map(Form::into_schema).transpose()?;
    let is_claude = may_be_claude(&request.model);
    let thinking = thinking(&request, is_claude, dropped);
    let sampling = match is_claude {
        true => Sampling::of_claude(&mut request, thinking.is_some(), dropped),
        false => Sampling::of_others(&mut request, dropped),
    };
    let stand_ins = request.stand_ins();
    let tools = match stand_ins.is_empty() {
        true => {
            let choice = request.tool_choice.as_ref();
            tool_config(&request.tools, choice, &request.messages)?
        }
        // Calls cannot be forbidden here but by what the tools say.
        false => tool_config(&stand_ins, None, &[])?,
    };
    let mut settings = Map::new();
    let mut own = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            settings.insert(key.to_owned(), value);
        }
    };
    let limit = request.max_tokens.as_ref().and_then(Number::as_u64);
    let max_tokens = match limit.zip(thinking) {
        Some((limit, thinking)) => Some(thinking.limit(limit).into()),
        None => request.max_tokens,
    };
    put("maxTokens", max_tokens.map(Value::Number));
    put("temperature", sampling.temperature);
    put("topP", sampling.top_p);
    let stop = request.stop;
    put("stopSequences", (!stop.is_empty()).then(|| json!(stop)));
    if let Some(top_k) = sampling.top_k {
        own.insert("top_k".to_owned(), top_k);
    }
    if let Some(thinking) = thinking {
        let mut output = Map::new();
        own.insert("thinking".to_owned(), thinking.write(&mut output));
        if let Some(output) = object(output) {
            own.insert("output_config".to_owned(), output);
        }
    }
    if request.parallel_tools == Some(false) {
        dropped.add("parallel_tool_calls");
    }
    if let Some(asked) = request.logprobs {
        asked.drop_into(dropped);
    }
    if request.user.is_some() {
        dropped.add("user");
    }
    let (system, messages) = conversation(request.messages, dropped)?;
    let output = schema.map(|schema| output(schema, dropped));
    let output = output.transpose()?;
    let mut body = Map::new();
    body.insert("messages".to_owned(), Value::Array(messages));
    for (key, value) in [
        (
            "system",
            (!system.is_empty()).then_some(Value::Array(system)),
        ),
        ("inferenceConfig", object(settings)),
        ("toolConfig", tools),
        ("additionalModelRequestFields", object(own)),
        ("outputConfig", output),
    ] {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    }
    Ok(Value::Object(body))
}

fn object(members: Map<String, Value>) -> Option<Value> {
    (!members.is_empty()).then_some(Value::Object(members))
}

/// Whether a model takes what only Claude's do. Names of models say who made them; a name that does not, such as that of
/// a profile of one's own, may stand for any.
fn may_be_claude(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    name.contains("claude") || !name.contains('.')
}

/// How it is to think, where it may.
fn thinking(request: &Request, is_claude: bool, dropped: &mut Dropped) -> Option<Thinking> {
    if is_claude {
        return Thinking::of(request, dropped);
    }
    if request
        .reasoning
        .is_some_and(|asked| asked != Reasoning::Off)
    {
        dropped.add("reasoning_effort");
    }
    None
}

/// A schema of the answer, which is a text here.
fn output(mut schema: Schema, dropped: &mut Dropped) -> Result<Value, TranslateError> {
    let name = schema.name.take();
    let schema = schemas::closed(schema, dropped)?;
    let mut written = json!({ "schema": schema.to_string() });
    if let Some(name) = name {
        written["name"] = json!(name);
    }
    let structure = json!({ "jsonSchema": written });
    Ok(json!({ "textFormat": { "type": "json_schema", "structure": structure } }))
}

/// The tools, and which of them is to be called. No tool may be called where there is none; but a conversation with
/// calls needs its tools.
fn tool_config(
    tools: &[Tool],
    choice: Option<&ToolChoice>,
    messages: &[Message],
) -> Result<Option<Value>, TranslateError> {
    if tools.is_empty() {
        return Ok(None);
    }
    let choice = match choice {
        None => None,
        Some(ToolChoice::Auto) => Some(json!({ "auto": {} })),
        Some(ToolChoice::Any) => Some(json!({ "any": {} })),
        Some(ToolChoice::Named(name)) => Some(json!({ "tool": { "name": name } })),
        Some(ToolChoice::None) => {
            let mut parts = messages.iter().flat_map(|message| &message.parts);
            let has_calls =
                parts.any(|part| matches!(part, Part::ToolUse { .. } | Part::ToolResult { .. }));
            return match has_calls {
                false => Ok(None),
                true => Err(TranslateError::Unsupported {
                    field: "tool_choice".to_owned(),
                    reason: "calls cannot be forbidden in a conversation that has some",
                }),
            };
        }
    };
    let tools: Vec<Value> = tools.iter().map(tool).collect();
    let mut written = json!({ "tools": tools });
    if let Some(choice) = choice {
        written["toolChoice"] = choice;
    }
    Ok(Some(written))
}

fn tool(tool: &Tool) -> Value {
    let mut spec = json!({ "name": tool.name });
    if let Some(description) = tool.description.as_deref().filter(|text| !text.is_empty()) {
        spec["description"] = json!(description);
    }
    spec["inputSchema"] = match &tool.schema {
        Some(schema) => json!({ "json": schema }),
        None => json!({ "json": { "type": "object", "properties": {} } }),
    };
    if tool.strict == Some(true) {
        spec["strict"] = json!(true);
    }
    json!({ "toolSpec": spec })
}

/// System prompts stand apart here; messages of one side in a row are one.
fn conversation(
    messages: Vec<Message>,
    dropped: &mut Dropped,
) -> Result<(Vec<Value>, Vec<Value>), TranslateError> {
    let mut system = Vec::new();
    let mut turns: Vec<(Role, Vec<Value>)> = Vec::new();
    let mut spoken = String::new();
    let mut names = Vec::new();
    for Message { role, parts, path } in messages {
        if role == Role::System {
            if !turns.is_empty() {
                // What it says is carried, where it was said is not.
                dropped.add(words::moved(&path));
            }
            spoken.clone_from(&path);
            for part in parts {
                match part {
                    Part::Text(said) => system.extend(text(said, &path, dropped)),
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
        let mut blocks = Vec::new();
        for part in parts {
            blocks.extend(block(part, &path, &mut names, dropped)?);
        }
        match turns.last_mut() {
            Some((last, before)) if *last == role => before.extend(blocks),
            // A message that says nothing is none, so that sides take turns.
            _ if blocks.is_empty() => {}
            _ => turns.push((role, blocks)),
        }
    }
    if turns.is_empty()
        && let Some(only) = system.pop()
    {
        // Somebody must speak first.
        dropped.add(words::moved(&spoken));
        turns.push((Role::User, vec![only]));
    }
    let messages = turns.into_iter().map(|(role, blocks)| {
        let role = match role {
            Role::Assistant => "assistant",
            Role::User | Role::System => "user",
        };
        json!({ "role": role, "content": blocks })
    });
    Ok((system, messages.collect()))
}

/// A block of text. One of blanks alone would be refused.
fn text(text: String, path: &str, dropped: &mut Dropped) -> Option<Value> {
    if !text.trim().is_empty() {
        return Some(json!({ "text": text }));
    }
    if !text.is_empty() {
        dropped.add(path);
    }
    None
}

/// A block of a message; `None` for what says nothing or is dropped.
fn block(
    part: Part,
    path: &str,
    names: &mut Vec<String>,
    dropped: &mut Dropped,
) -> Result<Option<Value>, TranslateError> {
    Ok(Some(match part {
        Part::Text(said) | Part::Refusal(said) => return Ok(text(said, path, dropped)),
        Part::Image(media) => image(media, path)?,
        Part::Document { media, name } => document(media, name.as_deref(), names, path)?,
        Part::Thinking {
            text,
            signature: Some(signature),
        } => {
            let thought = json!({ "text": text, "signature": signature });
            json!({ "reasoningContent": { "reasoningText": thought } })
        }
        // Only what is signed is taken back.
        Part::Thinking {
            signature: None, ..
        } => {
            dropped.add(format!("{path}.reasoning_content"));
            return Ok(None);
        }
        Part::RedactedThinking(data) => {
            json!({ "reasoningContent": { "redactedContent": data } })
        }
        Part::ToolUse {
            id, name, input, ..
        } => {
            json!({ "toolUse": { "toolUseId": permitted(&id, signed_id::MOST_IN_CONVERSE), "name": name, "input": input } })
        }
        Part::ToolResult {
            id,
            parts,
            is_error,
        } => {
            let mut content = Vec::new();
            for part in parts {
                content.extend(block(part, path, names, dropped)?);
            }
            let mut result = json!({ "toolUseId": permitted(&id, signed_id::MOST_IN_CONVERSE), "content": content });
            // Some models do not take the word; success is what is meant without it.
            if is_error {
                result["status"] = json!("error");
            }
            json!({ "toolResult": result })
        }
    }))
}
