//! A request of Gemini's, written. The model stands in the path.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::wire::translate::canonical::{
    Form, Media, Message, Part, Reasoning, Request, Role, Tool, ToolChoice,
};
use crate::wire::translate::{Dropped, TranslateError, signed_id, words};

pub(in crate::wire::translate) fn write_request(
    request: Request,
    dropped: &mut Dropped,
) -> Result<Value, TranslateError> {
    let (system, mut contents) = conversation(request.messages, dropped)?;
    if wants_signatures(&request.model) {
        for turn in &mut contents {
            if sign(turn) {
                dropped.add(signed_id::FIELD);
            }
        }
    }
    let mut body = Map::new();
    body.insert("contents".to_owned(), Value::Array(contents));
    if !system.is_empty() {
        let parts: Vec<Value> = system
            .into_iter()
            .map(|text| json!({ "text": text }))
            .collect();
        body.insert("systemInstruction".to_owned(), json!({ "parts": parts }));
    }
    let mut settings = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            settings.insert(key.to_owned(), value);
        }
    };
    put("maxOutputTokens", request.max_tokens.map(Value::Number));
    put("temperature", request.temperature.map(Value::Number));
    put("topP", request.top_p.map(Value::Number));
    put("topK", request.top_k.map(Value::Number));
    put("seed", request.seed.map(Value::Number));
    let penalty = request.presence_penalty;
    put("presencePenalty", penalty.map(Value::Number));
    let penalty = request.frequency_penalty;
    put("frequencyPenalty", penalty.map(Value::Number));
    let stop = request.stop;
    put("stopSequences", (!stop.is_empty()).then(|| json!(stop)));
    let given = request.thinking_tokens;
    let thinking = request.reasoning.map(|asked| {
        let asked = asked.among(Reasoning::COMMON, dropped);
        thinking(asked, given)
    });
    put("thinkingConfig", thinking);
    if let Some(asked) = request.logprobs {
        put("responseLogprobs", Some(json!(true)));
        put("logprobs", asked.top.map(Value::Number));
    }
    if let Some(form) = request.form {
        put("responseMimeType", Some(json!("application/json")));
        put(
            "responseJsonSchema",
            match form {
                Form::Json { .. } => None,
                Form::Schema(schema) => Some(schema.schema),
            },
        );
    }
    if !settings.is_empty() {
        body.insert("generationConfig".to_owned(), Value::Object(settings));
    }
    let has_tools = !request.tools.is_empty();
    if has_tools {
        let declared: Vec<Value> = request
            .tools
            .into_iter()
            .map(|tool| declared(tool, dropped))
            .collect();
        body.insert(
            "tools".to_owned(),
            json!([{ "functionDeclarations": declared }]),
        );
    }
    if let Some(choice) = request.tool_choice.filter(|_| has_tools) {
        let config = json!({ "functionCallingConfig": choice_config(choice) });
        body.insert("toolConfig".to_owned(), config);
    }
    if request.parallel_tools == Some(false) {
        dropped.add("parallel_tool_calls");
    }
    if request.user.is_some() {
        dropped.add("user");
    }
    Ok(Value::Object(body))
}

/// Stands for the signature of a call that was not signed by Gemini, or whose signature did not come back: Google's own
/// word for that, as clients of several makers send it.
const UNSIGNED: &str = "skip_thought_signature_validator";

/// Whether a model refuses calls without a signature: Gemini 3 and newer, and the names that mean the newest.
fn wants_signatures(model: &str) -> bool {
    let Some((_, version)) = model.rsplit_once("gemini-") else {
        return false;
    };
    let digits = version
        .split(|letter: char| !letter.is_ascii_digit())
        .next();
    match digits.and_then(|digits| digits.parse::<u64>().ok()) {
        Some(major) => 3 <= major,
        None => version.ends_with("-latest"),
    }
}

/// Signs the first call of a turn, which signs for those beside it. Whether that was needed: the thought behind it is lost.
fn sign(turn: &mut Value) -> bool {
    let parts = turn["parts"].as_array_mut().into_iter().flatten();
    let mut calls = parts.filter(|part| part.get("functionCall").is_some());
    let unsigned = calls
        .next()
        .filter(|call| call.get("thoughtSignature").is_none());
    match unsigned {
        Some(first) => {
            first["thoughtSignature"] = json!(UNSIGNED);
            true
        }
        None => false,
    }
}

/// Budgets of thinking in tokens, as OpenAI's words are read by Google's own compatible API. (ai.google.dev, OpenAI
/// compatibility, read 2026-11.)
fn thinking(reasoning: Reasoning, given: Option<u64>) -> Value {
    if let Some(given) = given {
        return json!({ "thinkingBudget": given, "includeThoughts": true });
    }
    match reasoning {
        Reasoning::Off => json!({ "thinkingBudget": 0 }),
        Reasoning::Low => json!({ "thinkingBudget": 1024, "includeThoughts": true }),
        Reasoning::Medium => json!({ "thinkingBudget": 8192, "includeThoughts": true }),
        Reasoning::High | Reasoning::XHigh | Reasoning::Max => {
            json!({ "thinkingBudget": 24576, "includeThoughts": true })
        }
        Reasoning::Auto => json!({ "thinkingBudget": -1, "includeThoughts": true }),
    }
}

fn declared(tool: Tool, dropped: &mut Dropped) -> Value {
    let mut written = Map::new();
    written.insert("name".to_owned(), json!(tool.name));
    if let Some(description) = tool.description {
        written.insert("description".to_owned(), json!(description));
    }
    if let Some(schema) = tool.schema {
        written.insert("parametersJsonSchema".to_owned(), schema);
    }
    if tool.strict == Some(true) {
        dropped.add("tools.strict");
    }
    Value::Object(written)
}

fn choice_config(choice: ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!({ "mode": "AUTO" }),
        ToolChoice::None => json!({ "mode": "NONE" }),
        ToolChoice::Any => json!({ "mode": "ANY" }),
        ToolChoice::Named(name) => json!({ "mode": "ANY", "allowedFunctionNames": [name] }),
    }
}

/// System prompts stand apart here; messages of one side in a row are one.
fn conversation(
    messages: Vec<Message>,
    dropped: &mut Dropped,
) -> Result<(Vec<String>, Vec<Value>), TranslateError> {
    let mut system = Vec::new();
    let mut turns: Vec<(Role, Vec<Value>)> = Vec::new();
    let mut spoken = String::new();
    // A result names its function here, and elsewhere its call.
    let mut names = HashMap::new();
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
                    _ => return Err(unsupported(&path, "system prompts are text")),
                }
            }
            continue;
        }
        let mut written = Vec::new();
        for part in parts {
            if let Part::ToolUse { id, name, .. } = &part {
                names.insert(id.clone(), name.clone());
            }
            write_part(part, &path, &names, &mut written, dropped)?;
        }
        match turns.last_mut() {
            Some((last, before)) if *last == role => before.extend(written),
            _ => turns.push((role, written)),
        }
    }
    if turns.is_empty()
        && let Some(only) = system.pop()
    {
        // Somebody must speak first.
        dropped.add(words::moved(&spoken));
        turns.push((Role::User, vec![json!({ "text": only })]));
    }
    let said = turns.into_iter().filter(|(_, parts)| !parts.is_empty());
    let contents = said.map(|(role, parts)| {
        let role = match role {
            Role::Assistant => "model",
            Role::User | Role::System => "user",
        };
        json!({ "role": role, "parts": parts })
    });
    Ok((system, contents.collect()))
}

fn write_part(
    part: Part,
    path: &str,
    names: &HashMap<String, String>,
    written: &mut Vec<Value>,
    dropped: &mut Dropped,
) -> Result<(), TranslateError> {
    written.push(match part {
        Part::Text(text) | Part::Refusal(text) if text.is_empty() => return Ok(()),
        Part::Text(text) | Part::Refusal(text) => json!({ "text": text }),
        Part::Image(media) | Part::Document { media, .. } => match media {
            Media::Base64 {
                media_type, data, ..
            } => {
                json!({ "inlineData": { "mimeType": media_type, "data": data } })
            }
            Media::Plain(text) => json!({ "text": text }),
            Media::Url { path, .. } => {
                let reason = "images and documents must be in the request, not at a URL";
                return Err(unsupported(&path, reason));
            }
        },
        // Whose thoughts these are is not known here.
        Part::Thinking { .. } | Part::RedactedThinking(_) => {
            dropped.add(format!("{path}.thinking"));
            return Ok(());
        }
        Part::ToolUse {
            id,
            name,
            input,
            signature,
        } => {
            let mut written = json!({ "functionCall": { "id": id, "name": name, "args": input } });
            if let Some(signature) = signature {
                written["thoughtSignature"] = json!(signature);
            }
            written
        }
        Part::ToolResult {
            id,
            parts,
            is_error,
        } => {
            let Some(name) = names.get(&id) else {
                return Err(unsupported(path, "a result needs its call before it"));
            };
            let mut texts = Vec::new();
            let mut shown = Vec::new();
            for part in parts {
                match part {
                    Part::Text(text) => texts.push(text),
                    other => write_part(other, path, names, &mut shown, dropped)?,
                }
            }
            let key = if is_error { "error" } else { "output" };
            let response = json!({ key: texts.join("\n") });
            let result = json!({ "id": id, "name": name, "response": response });
            written.push(json!({ "functionResponse": result }));
            written.extend(shown);
            return Ok(());
        }
    });
    Ok(())
}

fn unsupported(path: &str, reason: &'static str) -> TranslateError {
    TranslateError::Unsupported {
        field: path.to_owned(),
        reason,
    }
}
