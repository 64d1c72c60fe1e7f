//! A chat's request, written.

use serde_json::{Map, Value, json};

use crate::wire::translate::call_id::{MOST_IN_CHATS, fitting};
use crate::wire::translate::canonical::{
    Form, Media, Message, Part, Reasoning, Request, Role, Tool, ToolChoice,
};
use crate::wire::translate::{Dropped, TranslateError, schemas};

pub(in crate::wire::translate) fn write_request(
    request: Request,
    dropped: &mut Dropped,
) -> Result<Value, TranslateError> {
    let mut messages = Vec::new();
    for message in request.messages {
        write_message(message, &mut messages, dropped)?;
    }
    let mut body = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    };
    let limit = match wants_completion_tokens(&request.model) {
        true => "max_completion_tokens",
        false => "max_tokens",
    };
    put("model", Some(json!(request.model)));
    put("messages", Some(Value::Array(messages)));
    put("stream", request.stream.then(|| json!(true)));
    put(limit, request.max_tokens.map(Value::Number));
    put("temperature", request.temperature.map(Value::Number));
    put("top_p", request.top_p.map(Value::Number));
    if request.top_k.is_some() {
        dropped.add("top_k");
    }
    put("seed", request.seed.map(Value::Number));
    let penalty = request.presence_penalty;
    put("presence_penalty", penalty.map(Value::Number));
    let penalty = request.frequency_penalty;
    put("frequency_penalty", penalty.map(Value::Number));
    let stop = request.stop;
    put("stop", (!stop.is_empty()).then(|| json!(stop)));
    put("user", request.user.map(Value::String));
    if request.thinking_tokens.is_some() {
        dropped.add("thinking_tokens");
    }
    let asked = request.reasoning;
    let asked = asked.map(|asked| asked.among(efforts(&request.model), dropped));
    put("reasoning_effort", asked.and_then(effort));
    let has_tools = !request.tools.is_empty();
    let tools: Vec<Value> = request.tools.into_iter().map(tool).collect();
    put("tools", has_tools.then(|| json!(tools)));
    put("tool_choice", request.tool_choice.map(tool_choice));
    let parallel = request.parallel_tools.filter(|_| has_tools);
    put("parallel_tool_calls", parallel.map(Value::Bool));
    if let Some(asked) = request.logprobs {
        put("logprobs", Some(json!(true)));
        put("top_logprobs", asked.top.map(Value::Number));
    }
    put(
        "response_format",
        request.form.map(|form| match form {
            Form::Json { .. } => json!({ "type": "json_object" }),
            Form::Schema(schema) => {
                let name = schema.name.unwrap_or_else(|| "answer".to_owned());
                let strict = schema.strict;
                let strict = strict.unwrap_or_else(|| schemas::is_strict(&schema.schema));
                let schema = json!({ "name": name, "schema": schema.schema, "strict": strict });
                json!({ "type": "json_schema", "json_schema": schema })
            }
        }),
    );
    Ok(Value::Object(body))
}

/// OpenAI's models that reason refuse `max_tokens`; many compatible servers know only that. (platform.openai.com, API
/// reference, read 2026-11.)
fn wants_completion_tokens(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    ["o1", "o3", "o4", "gpt-5"]
        .iter()
        .any(|family| name.starts_with(family))
}

/// The efforts that a model knows. `xhigh` is refused by older models and by most compatible servers.
/// (platform.openai.com, API reference, `reasoning_effort`, read 2026-11.)
fn efforts(model: &str) -> &'static [Reasoning] {
    const NEWER: &[Reasoning] = &[
        Reasoning::Low,
        Reasoning::Medium,
        Reasoning::High,
        Reasoning::XHigh,
    ];
    let name = model.rsplit('/').next().unwrap_or(model);
    let version = name.strip_prefix("gpt-").unwrap_or_default();
    let number = |text: &str| text.parse::<u64>().ok();
    let mut numbers = version.split('-').next().unwrap_or_default().split('.');
    let major = numbers.next().and_then(number);
    let minor = numbers.next().and_then(number).unwrap_or(0);
    let is_newer = major.is_some_and(|major| (5, 2) <= (major, minor));
    match is_newer || version.starts_with("5.1-codex-max") {
        true => NEWER,
        false => Reasoning::COMMON,
    }
}

pub(in crate::wire::translate) fn effort(reasoning: Reasoning) -> Option<Value> {
    match reasoning {
        // What the model does by itself; not every model takes the word `none`.
        Reasoning::Off => None,
        Reasoning::Low => Some(json!("low")),
        Reasoning::Medium | Reasoning::Auto => Some(json!("medium")),
        Reasoning::High => Some(json!("high")),
        Reasoning::XHigh | Reasoning::Max => Some(json!("xhigh")),
    }
}

pub(in crate::wire::translate) fn tool(tool: Tool) -> Value {
    let mut function = Map::new();
    function.insert("name".to_owned(), json!(tool.name));
    if let Some(description) = tool.description {
        function.insert("description".to_owned(), json!(description));
    }
    if let Some(schema) = tool.schema {
        function.insert("parameters".to_owned(), schema);
    }
    if let Some(strict) = tool.strict {
        function.insert("strict".to_owned(), json!(strict));
    }
    json!({ "type": "function", "function": function })
}

pub(in crate::wire::translate) fn tool_choice(choice: ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Any => json!("required"),
        ToolChoice::Named(name) => json!({ "type": "function", "function": { "name": name } }),
    }
}

fn write_message(
    message: Message,
    messages: &mut Vec<Value>,
    dropped: &mut Dropped,
) -> Result<(), TranslateError> {
    let Message { role, parts, path } = message;
    match role {
        Role::System => {
            let content = content(parts, &path)?;
            messages.push(json!({ "role": "system", "content": content }));
        }
        Role::Assistant => messages.push(assistant(parts, &path, dropped)?),
        Role::User => {
            let (results, mut rest): (Vec<Part>, Vec<Part>) = parts
                .into_iter()
                .partition(|part| matches!(part, Part::ToolResult { .. }));
            let had_results = !results.is_empty();
            let mut shown = Vec::new();
            for result in results {
                messages.push(tool_message(result, &mut shown, &path, dropped)?);
            }
            // A tool's message holds text only: what a tool shows comes with what the user says next.
            shown.append(&mut rest);
            if !(had_results && shown.is_empty()) {
                let content = content(shown, &path)?;
                messages.push(json!({ "role": "user", "content": content }));
            }
        }
    }
    Ok(())
}

fn tool_message(
    result: Part,
    shown: &mut Vec<Part>,
    path: &str,
    dropped: &mut Dropped,
) -> Result<Value, TranslateError> {
    let Part::ToolResult {
        id,
        parts,
        is_error,
    } = result
    else {
        return Err(elsewhere(path));
    };
    if is_error {
        dropped.add(format!("{path}.is_error"));
    }
    let (texts, others): (Vec<Part>, Vec<Part>) = parts
        .into_iter()
        .partition(|part| matches!(part, Part::Text(_)));
    shown.extend(others);
    let content = content(texts, path)?;
    let id = fitting(id, MOST_IN_CHATS);
    Ok(json!({ "role": "tool", "tool_call_id": id, "content": content }))
}

fn assistant(parts: Vec<Part>, path: &str, dropped: &mut Dropped) -> Result<Value, TranslateError> {
    let (mut text, mut refusal) = (None::<String>, None::<String>);
    let mut calls = Vec::new();
    for part in parts {
        match part {
            Part::Text(piece) => text.get_or_insert_default().push_str(&piece),
            Part::Refusal(piece) => refusal.get_or_insert_default().push_str(&piece),
            Part::ToolUse {
                id,
                name,
                input,
                signature,
            } => {
                let id = fitting(id, MOST_IN_CHATS);
                calls.push(call(&id, &name, input.to_string(), signature));
            }
            // Servers differ in whether they take thoughts back, and under which name.
            Part::Thinking { .. } | Part::RedactedThinking(_) => {
                dropped.add(format!("{path}.thinking"));
            }
            Part::Image(_) | Part::Document { .. } | Part::ToolResult { .. } => {
                return Err(elsewhere(path));
            }
        }
    }
    let mut message = Map::new();
    message.insert("role".to_owned(), json!("assistant"));
    message.insert("content".to_owned(), json!(text));
    if let Some(refusal) = refusal {
        message.insert("refusal".to_owned(), json!(refusal));
    }
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), Value::Array(calls));
    }
    Ok(Value::Object(message))
}

pub(super) fn call(id: &str, name: &str, arguments: String, signature: Option<String>) -> Value {
    let function = json!({ "name": name, "arguments": arguments });
    let mut call = json!({ "id": id, "type": "function", "function": function });
    if let Some(signature) = signature {
        call["extra_content"] = json!({ "google": { "thought_signature": signature } });
    }
    call
}

/// A text where that is all there is; every server takes it.
fn content(mut parts: Vec<Part>, path: &str) -> Result<Value, TranslateError> {
    if let [Part::Text(text)] = parts.as_mut_slice() {
        return Ok(Value::String(std::mem::take(text)));
    }
    if parts.is_empty() {
        return Ok(json!(""));
    }
    let parts: Result<Vec<Value>, _> = parts
        .into_iter()
        .map(|part| write_part(part, path))
        .collect();
    Ok(Value::Array(parts?))
}

fn write_part(part: Part, path: &str) -> Result<Value, TranslateError> {
    Ok(match part {
        Part::Text(text) | Part::Refusal(text) => json!({ "type": "text", "text": text }),
        Part::Image(media) => {
            let url = match media {
                Media::Url { url, .. } | Media::Plain(url) => url,
                Media::Base64 {
                    media_type, data, ..
                } => format!("data:{media_type};base64,{data}"),
            };
            json!({ "type": "image_url", "image_url": { "url": url } })
        }
        Part::Document {
            media: Media::Plain(text),
            ..
        } => json!({ "type": "text", "text": text }),
        Part::Document {
            media: Media::Base64 {
                media_type, data, ..
            },
            name,
        } => {
            let name = name.unwrap_or_else(|| "document".to_owned());
            let data = format!("data:{media_type};base64,{data}");
            json!({ "type": "file", "file": { "filename": name, "file_data": data } })
        }
        Part::Document {
            media: Media::Url { path, .. },
            ..
        } => {
            return Err(TranslateError::Unsupported {
                field: path,
                reason: "a document must be in the request, not at a URL",
            });
        }
        Part::Thinking { .. }
        | Part::RedactedThinking(_)
        | Part::ToolUse { .. }
        | Part::ToolResult { .. } => return Err(elsewhere(path)),
    })
}

fn elsewhere(path: &str) -> TranslateError {
    TranslateError::Unsupported {
        field: path.to_owned(),
        reason: "a message of this role cannot have such a part",
    }
}
