//! A request of Ask Sage's, written. It has texts of two speakers and one system prompt; calls of tools and their
//! results, for which it has no place, stand among the texts between tags.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::wire::translate::canonical::{
    Media, Message, Part, Reasoning, Request, Role, is_default,
};
use crate::wire::translate::openai_chat::{effort, tool, tool_choice};
use crate::wire::translate::{Dropped, TranslateError};

pub(in crate::wire::translate) fn write_request(
    mut request: Request,
    dropped: &mut Dropped,
) -> Result<Value, TranslateError> {
    request.drop_seed_and_penalties(dropped);
    if request.form.is_some() {
        return Err(unsupported(
            "response_format",
            "its answers are texts of any form",
        ));
    }
    let (system, messages) = conversation(request.messages, dropped)?;
    if messages.is_empty() {
        return Err(unsupported(
            "messages",
            "there must be one beside the system's",
        ));
    }
    let mut body = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    };
    put("model", Some(json!(request.model)));
    put("message", Some(Value::Array(messages)));
    if let Some(asked) = request.logprobs {
        asked.drop_into(dropped);
    }
    let has_system = !system.is_empty();
    put(
        "system_prompt",
        has_system.then(|| json!(system.join("\n\n"))),
    );
    put("temperature", request.temperature.map(Value::Number));
    if request.thinking_tokens.is_some() {
        dropped.add("thinking_tokens");
    }
    let asked = request.reasoning;
    let asked = asked.map(|asked| asked.among(Reasoning::COMMON, dropped));
    put("reasoning_effort", asked.and_then(effort));
    let has_tools = !request.tools.is_empty();
    let tools: Vec<Value> = request.tools.into_iter().map(tool).collect();
    put("tools", has_tools.then(|| json!(tools)));
    let choice = request.tool_choice.filter(|_| has_tools);
    put("tool_choice", choice.map(tool_choice));
    // Nothing of the web, no list of documents behind the answer, and the count of tokens.
    put("live", Some(json!(0)));
    put("limit_references", Some(json!(0)));
    put("usage", Some(json!(true)));
    for (field, is_asked) in [
        ("max_tokens", request.max_tokens.is_some()),
        (
            "top_p",
            request.top_p.is_some_and(|given| !is_default(&given)),
        ),
        ("top_k", request.top_k.is_some()),
        ("stop", !request.stop.is_empty()),
        ("user", request.user.is_some()),
        (
            "parallel_tool_calls",
            request.parallel_tools == Some(false) && has_tools,
        ),
    ] {
        if is_asked {
            dropped.add(field);
        }
    }
    Ok(Value::Object(body))
}

/// All system prompts, and what was said by whom.
fn conversation(
    messages: Vec<Message>,
    dropped: &mut Dropped,
) -> Result<(Vec<String>, Vec<Value>), TranslateError> {
    let (mut system, mut said) = (Vec::new(), Vec::new());
    let mut names = HashMap::new();
    for Message { role, parts, path } in messages {
        // What a model said in pieces is one text; what others said in parts are lines.
        let between = if role == Role::Assistant { "" } else { "\n" };
        let text = joined(parts, between, &path, &mut names, dropped)?;
        let speaker = match role {
            Role::System => {
                system.extend((!text.is_empty()).then_some(text));
                continue;
            }
            Role::User => "me",
            Role::Assistant => "gpt",
        };
        said.push(json!({ "user": speaker, "message": text }));
    }
    Ok((system, said))
}

/// Parts as one text. `between`: what stands between two that are texts themselves.
fn joined(
    parts: Vec<Part>,
    between: &str,
    path: &str,
    names: &mut HashMap<String, String>,
    dropped: &mut Dropped,
) -> Result<String, TranslateError> {
    let (mut joined, mut was_text) = (String::new(), false);
    for part in parts {
        let is_text = matches!(part, Part::Text(_) | Part::Refusal(_));
        let Some(text) = text(part, path, names, dropped)? else {
            continue;
        };
        if !joined.is_empty() {
            joined.push_str(if is_text && was_text { between } else { "\n\n" });
        }
        joined.push_str(&text);
        was_text = is_text;
    }
    Ok(joined)
}

/// A part as text; `None` for what is left out. `names`: of the tools, by the ids of their calls.
fn text(
    part: Part,
    path: &str,
    names: &mut HashMap<String, String>,
    dropped: &mut Dropped,
) -> Result<Option<String>, TranslateError> {
    Ok(match part {
        Part::Text(text) | Part::Refusal(text) => Some(text),
        Part::Document {
            media: Media::Plain(text),
            ..
        } => Some(text),
        Part::Image(media) => {
            let field = place(&media, path);
            return Err(unsupported(field, "images are not taken, only texts"));
        }
        Part::Document { media, .. } => {
            let field = place(&media, path);
            return Err(unsupported(field, "files are not taken, only texts"));
        }
        Part::Thinking { .. } | Part::RedactedThinking(_) => {
            dropped.add(format!("{path}.thinking"));
            None
        }
        Part::ToolUse {
            id, name, input, ..
        } => {
            let call = format!("<tool_call id=\"{id}\" name=\"{name}\">\n{input}\n</tool_call>");
            names.insert(id, name);
            Some(call)
        }
        Part::ToolResult {
            id,
            parts,
            is_error,
        } => {
            let result = joined(parts, "\n", path, names, dropped)?;
            let name = names.get(&id).map(|name| format!(" name=\"{name}\""));
            let name = name.unwrap_or_default();
            let error = if is_error { " error=\"true\"" } else { "" };
            Some(format!(
                "<tool_result id=\"{id}\"{name}{error}>\n{result}\n</tool_result>"
            ))
        }
    })
}

/// Where something stood in the message of this path.
fn place<'a>(media: &'a Media, message: &'a str) -> &'a str {
    match media {
        Media::Url { path, .. } | Media::Base64 { path, .. } => path,
        Media::Plain(_) => message,
    }
}

fn unsupported(field: &str, reason: &'static str) -> TranslateError {
    TranslateError::Unsupported {
        field: field.to_owned(),
        reason,
    }
}
