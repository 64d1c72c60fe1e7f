//! Tools in words: a model that Argo gives no tools is told of them in the system's prompt, and calls them by a tag in
//! its text. What was called and came of it before stands in the conversation in the same tags.

use memchr::memmem;
use serde_json::{Map, Value, json};

use crate::wire::translate::canonical::{Message, Part, Request, Role, ToolChoice};
use crate::wire::translate::{Dropped, TranslateError};

const BEGIN: &str = "<tool_call>";
const END: &str = "</tool_call>";

/// How the instructions begin.
const INSTRUCTIONS: &str =
    "You can call tools. To call one, write a line of this form and nothing else in it:";

/// Whether a body of ours tells of tools.
pub(in crate::wire::translate) fn is_told(body: &[u8]) -> bool {
    memmem::find(body, INSTRUCTIONS.as_bytes()).is_some()
}

/// Puts the request's tools, and the calls and results in its conversation, into words.
pub(super) fn tell(request: &mut Request, dropped: &mut Dropped) -> Result<(), TranslateError> {
    for message in &mut request.messages {
        let parts = std::mem::take(&mut message.parts);
        message.parts = parts
            .into_iter()
            .map(|part| in_words(part, &message.path))
            .collect::<Result<_, _>>()?;
    }
    let tools = std::mem::take(&mut request.tools);
    let choice = request.tool_choice.take();
    let parallel = request.parallel_tools.take();
    if tools.is_empty() || choice == Some(ToolChoice::None) {
        return Ok(());
    }
    let tools: Vec<Value> = tools
        .into_iter()
        .map(|tool| {
            if tool.strict == Some(true) {
                dropped.add("tools.strict");
            }
            let mut told = Map::new();
            told.insert("name".to_owned(), json!(tool.name));
            let description = tool.description.map(Value::String);
            let members = [("description", description), ("parameters", tool.schema)];
            for (key, value) in members {
                if let Some(value) = value {
                    told.insert(key.to_owned(), value);
                }
            }
            Value::Object(told)
        })
        .collect();
    let must = match &choice {
        None | Some(ToolChoice::Auto | ToolChoice::None) => {
            "Call a tool only where it helps; else answer in words.".to_owned()
        }
        Some(ToolChoice::Any) => "Call at least one tool now.".to_owned(),
        Some(ToolChoice::Named(name)) => format!("Call the tool `{name}` now."),
    };
    let many = match parallel {
        Some(false) => "Call one tool at most.",
        Some(true) | None => "You may call several, each in a line of its own.",
    };
    let text = format!(
        "{INSTRUCTIONS}\n{BEGIN}{{\"name\": \"NAME\", \"arguments\": {{…}}}}{END}\n\
         What came of it follows between <tool_result> tags. {must} {many} These are the tools, with the JSON schemas \
         of their arguments:\n{}",
        Value::from(tools)
    );
    let system = request
        .messages
        .iter_mut()
        .find(|message| message.role == Role::System);
    match system {
        Some(system) => system.parts.push(Part::Text(text)),
        None => request.messages.insert(
            0,
            Message {
                role: Role::System,
                parts: vec![Part::Text(text)],
                path: "tools".to_owned(),
            },
        ),
    }
    Ok(())
}

fn in_words(part: Part, path: &str) -> Result<Part, TranslateError> {
    Ok(match part {
        Part::ToolUse { name, input, .. } => {
            let call = json!({ "name": name, "arguments": input });
            Part::Text(format!("{BEGIN}{call}{END}"))
        }
        Part::ToolResult {
            id,
            parts,
            is_error,
        } => {
            let mut result = String::new();
            for part in parts {
                let Part::Text(text) = part else {
                    return Err(TranslateError::Unsupported {
                        field: format!("{path}.content"),
                        reason: "results of tools are texts there",
                    });
                };
                result.push_str(&text);
            }
            let error = if is_error { " error=\"true\"" } else { "" };
            Part::Text(format!(
                "<tool_result id=\"{id}\"{error}>\n{result}\n</tool_result>"
            ))
        }
        other => other,
    })
}

/// The parts of a text: what is said, and the calls in it. A tag that holds no call stays text.
pub(super) fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut said, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once(BEGIN) {
        said.push_str(before);
        rest = match call(behind) {
            Some((name, input, after)) => {
                push(&mut said, &mut parts);
                parts.push(Part::ToolUse {
                    id: String::new(),
                    name,
                    input,
                    signature: None,
                });
                after
            }
            None => {
                said.push_str(BEGIN);
                behind
            }
        };
    }
    said.push_str(rest);
    push(&mut said, &mut parts);
    let last = parts.iter_mut().rev().find_map(|part| match part {
        Part::Text(text) => Some(text),
        _ => None,
    });
    if let Some(last) = last {
        last.push_str(&said);
    }
    // An empty text is an answer too.
    if parts.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
    parts
}

/// What is said is a part. Blanks alone are none, as some formats refuse them: they go with the words that follow, or at the
/// end with those before; beside calls alone they are nothing.
fn push(said: &mut String, parts: &mut Vec<Part>) {
    if !said.trim().is_empty() {
        parts.push(Part::Text(std::mem::take(said)));
    }
}

/// The name and the arguments of the call that a text begins with, and the text behind its end tag.
fn call(text: &str) -> Option<(String, Value, &str)> {
    // An end tag may stand in an argument, so the arguments say where they end.
    let text = text.trim_start();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut call = values.next()?.ok()?;
    let after = text.get(values.byte_offset()..)?;
    let after = after.trim_start().strip_prefix(END)?;
    let name = call["name"].as_str().filter(|name| !name.is_empty())?;
    let name = name.to_owned();
    let input = match call.get_mut("arguments").map(Value::take) {
        None | Some(Value::Null) => Value::Object(Map::new()),
        Some(input @ Value::Object(_)) => input,
        Some(Value::String(text)) => serde_json::from_str(&text).ok().filter(Value::is_object)?,
        Some(_) => return None,
    };
    Some((name, input, after))
}
