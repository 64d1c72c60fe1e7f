//! A chat's request, read.

use serde_json::Value;

use super::calls::{CallsOf, calls};
use crate::wire::translate::canonical::{
    Form, Logprobs, Media, Message, Part, Reasoning, Request, Role, Schema, Tool, ToolChoice,
};
use crate::wire::translate::fields::Fields;
use crate::wire::translate::{Dropped, TranslateError, logprobs};

/// What changes the answer so much that it cannot be left out.
const REFUSED: &[(&str, &str)] = &[
    ("functions", "functions are of an older form: use tools"),
    ("function_call", "functions are of an older form: use tools"),
    (
        "system",
        "a chat has a message of the role system; Anthropic's form is asked at /v1/messages",
    ),
    (
        "contents",
        "Gemini's form is asked at /v1beta/models/MODEL:generateContent",
    ),
    ("audio", "sound is not translated"),
    ("web_search_options", "the provider's search is another one"),
];

pub(in crate::wire::translate) fn read_request(
    body: Value,
    dropped: &mut Dropped,
) -> Result<Request, TranslateError> {
    let mut fields = Fields::of(body, "")?;
    fields.refuse(REFUSED)?;
    if fields.number("n")?.is_some_and(|n| n.as_f64() != Some(1.0)) {
        return Err(fields.unsupported("n", "there is one answer to a request"));
    }
    let modalities = fields.list("modalities")?.unwrap_or_default();
    if modalities.iter().any(|modality| modality != "text") {
        return Err(fields.unsupported("modalities", "answers are text"));
    }
    let mut request = Request {
        model: fields.text("model")?.unwrap_or_default(),
        max_tokens: fields.number("max_completion_tokens")?,
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        // Not OpenAI's own, but of many compatible servers.
        top_k: fields.number("top_k")?,
        seed: fields.number("seed")?,
        presence_penalty: fields.penalty("presence_penalty")?,
        frequency_penalty: fields.penalty("frequency_penalty")?,
        stop: stop_words(&mut fields)?,
        stream: fields.truth("stream")?.unwrap_or(false),
        user: fields.text("user")?,
        reasoning: reasoning(&mut fields)?,
        form: form(&mut fields, dropped)?,
        tools: tools(&mut fields, dropped)?,
        tool_choice: tool_choice(&mut fields)?,
        parallel_tools: fields.truth("parallel_tool_calls")?,
        logprobs: logprobs(&mut fields, dropped)?,
        ..Request::default()
    };
    let max_tokens = fields.number("max_tokens")?;
    request.max_tokens = request.max_tokens.or(max_tokens);
    let safety_identifier = fields.text("safety_identifier")?;
    request.user = request.user.or(safety_identifier);
    // The stream's usage is the translation's own affair.
    fields.take("stream_options");
    fields.ignore_defaults(&[
        ("store", "false"),
        ("service_tier", "auto"),
        ("verbosity", "medium"),
    ]);
    let messages = fields.list("messages")?;
    let messages = messages.ok_or_else(|| fields.invalid("messages", "a list"))?;
    for (at, item) in messages.into_iter().enumerate() {
        message(item, &format!("messages[{at}]"), &mut request, dropped)?;
    }
    fields.drop_rest(dropped);
    Ok(request)
}

fn logprobs(
    fields: &mut Fields,
    dropped: &mut Dropped,
) -> Result<Option<Logprobs>, TranslateError> {
    let is_asked = fields.truth("logprobs")?.unwrap_or(false);
    let path = is_asked.then(|| fields.path("logprobs"));
    logprobs::asked(fields, path, "top_logprobs", dropped)
}

/// What ends an answer: a text, or a list of them.
pub(in crate::wire::translate) fn stop_words(
    fields: &mut Fields,
) -> Result<Vec<String>, TranslateError> {
    let wrong = fields.invalid("stop", "a text or a list of texts");
    match fields.take("stop") {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text]),
        Some(Value::Array(items)) => items
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Ok(text),
                _ => Err(wrong.clone()),
            })
            .collect(),
        Some(_) => Err(wrong),
    }
}

fn reasoning(fields: &mut Fields) -> Result<Option<Reasoning>, TranslateError> {
    let Some(word) = fields.text("reasoning_effort")? else {
        return Ok(None);
    };
    let expected = "none, minimal, low, medium, high or xhigh";
    let effort = effort_of(&word).ok_or_else(|| fields.invalid("reasoning_effort", expected))?;
    Ok(Some(effort))
}

/// OpenAI's words for how much is to be thought.
pub(in crate::wire::translate) fn effort_of(word: &str) -> Option<Reasoning> {
    Some(match word {
        "none" | "minimal" => Reasoning::Off,
        "low" => Reasoning::Low,
        "medium" => Reasoning::Medium,
        "high" => Reasoning::High,
        "xhigh" => Reasoning::XHigh,
        _ => return None,
    })
}

fn form(fields: &mut Fields, dropped: &mut Dropped) -> Result<Option<Form>, TranslateError> {
    let Some(format) = fields.object("response_format")? else {
        return Ok(None);
    };
    form_of(format, |mut format| {
        let asked = format.object("json_schema")?;
        let asked = asked.ok_or_else(|| format.invalid("json_schema", "an object"))?;
        named_schema(asked, dropped)
    })
}

/// The form that an object's type names, as chats and Responses have it.
pub(in crate::wire::translate) fn form_of(
    mut format: Fields,
    schema: impl FnOnce(Fields) -> Result<Schema, TranslateError>,
) -> Result<Option<Form>, TranslateError> {
    match format.wanted_text("type")?.as_str() {
        "text" => Ok(None),
        "json_object" => Ok(Some(Form::Json {
            path: format.path("type"),
        })),
        "json_schema" => schema(format).map(|schema| Some(Form::Schema(schema))),
        _ => {
            let reason = "only text, json_object and json_schema can be asked for";
            Err(format.unsupported("type", reason))
        }
    }
}

/// A schema with its name, as chats and Responses have it.
pub(in crate::wire::translate) fn named_schema(
    mut asked: Fields,
    dropped: &mut Dropped,
) -> Result<Schema, TranslateError> {
    let schema = asked.take("schema");
    let schema = Schema {
        name: asked.text("name")?,
        schema: schema.ok_or_else(|| asked.invalid("schema", "an object"))?,
        strict: Some(asked.truth("strict")?.unwrap_or(false)),
        path: asked.path("schema"),
    };
    asked.drop_rest(dropped);
    Ok(schema)
}

fn tools(fields: &mut Fields, dropped: &mut Dropped) -> Result<Vec<Tool>, TranslateError> {
    let tools = fields.list("tools")?.unwrap_or_default();
    let read = |(at, item)| {
        let mut tool = Fields::of(item, &format!("tools[{at}]"))?;
        if tool.wanted_text("type")? != "function" {
            return Err(tool.unsupported("type", "only functions are tools of every provider"));
        }
        let function = tool.object("function")?;
        let function = function.ok_or_else(|| tool.invalid("function", "an object"))?;
        let read = function.into_tool("parameters", dropped)?;
        tool.drop_rest(dropped);
        Ok(read)
    };
    tools.into_iter().enumerate().map(read).collect()
}

fn tool_choice(fields: &mut Fields) -> Result<Option<ToolChoice>, TranslateError> {
    let unknown = fields.unsupported("tool_choice", "only auto, none, required or one function");
    match fields.take("tool_choice") {
        None => Ok(None),
        Some(Value::String(word)) => match word.as_str() {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "none" => Ok(Some(ToolChoice::None)),
            "required" => Ok(Some(ToolChoice::Any)),
            _ => Err(unknown),
        },
        Some(choice) => match choice["function"]["name"].as_str() {
            Some(name) if choice["type"] == "function" => {
                Ok(Some(ToolChoice::Named(name.to_owned())))
            }
            _ => Err(unknown),
        },
    }
}

fn message(
    item: Value,
    path: &str,
    request: &mut Request,
    dropped: &mut Dropped,
) -> Result<(), TranslateError> {
    let mut fields = Fields::of(item, path)?;
    let role = fields.wanted_text("role")?;
    let content = content(&mut fields, dropped)?;
    let (role, parts) = match role.as_str() {
        "system" | "developer" => (Role::System, content),
        "user" => (Role::User, content),
        "assistant" => {
            let mut parts = thoughts(&mut fields)?;
            parts.extend(content);
            parts.extend(fields.text("refusal")?.map(Part::Refusal));
            calls(&mut fields, &mut parts, CallsOf::Conversation, dropped)?;
            fields.refuse(&[("function_call", "functions are of an older form: use tools")])?;
            (Role::Assistant, parts)
        }
        "tool" => {
            let id = fields.wanted_text("tool_call_id")?;
            let result = Part::ToolResult {
                id,
                parts: content,
                is_error: false,
            };
            (Role::User, vec![result])
        }
        _ => {
            let reason = "only system, developer, user, assistant and tool";
            return Err(fields.unsupported("role", reason));
        }
    };
    fields.drop_rest(dropped);
    request.messages.push(Message {
        role,
        parts,
        path: path.to_owned(),
    });
    Ok(())
}

fn content(fields: &mut Fields, dropped: &mut Dropped) -> Result<Vec<Part>, TranslateError> {
    let items = match fields.take("content") {
        None => return Ok(Vec::new()),
        Some(Value::String(text)) => return Ok(vec![Part::Text(text)]),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(fields.invalid("content", "a text or a list of parts")),
    };
    let path = fields.path("content");
    let read = |(at, item)| {
        let mut part = Fields::of(item, &format!("{path}[{at}]"))?;
        let read = self::part(&mut part, dropped)?;
        part.drop_rest(dropped);
        Ok(read)
    };
    items.into_iter().enumerate().map(read).collect()
}

fn part(part: &mut Fields, dropped: &mut Dropped) -> Result<Part, TranslateError> {
    Ok(match part.wanted_text("type")?.as_str() {
        "text" => Part::Text(part.wanted_text("text")?),
        "refusal" => Part::Refusal(part.wanted_text("refusal")?),
        "image_url" => {
            let image = part.object("image_url")?;
            let mut image = image.ok_or_else(|| part.invalid("image_url", "an object"))?;
            let media = media(image.wanted_text("url")?, part.path("image_url"));
            image.ignore_defaults(&[("detail", "auto")]);
            image.drop_rest(dropped);
            Part::Image(media)
        }
        "file" => {
            let file = part.object("file")?;
            let mut file = file.ok_or_else(|| part.invalid("file", "an object"))?;
            file.refuse(&[("file_id", "a file kept at one provider is not at another")])?;
            let document = Part::Document {
                media: media(file.wanted_text("file_data")?, part.path("file")),
                name: file.text("filename")?,
            };
            file.drop_rest(dropped);
            document
        }
        _ => return Err(part.unsupported("type", "only text, image_url, file and refusal")),
    })
}

/// A URL, or what a `data:` URL in base64 holds.
pub(in crate::wire::translate) fn media(url: String, path: String) -> Media {
    let inside = url
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(";base64,"));
    match inside {
        Some((media_type, data)) => Media::Base64 {
            media_type: media_type.to_owned(),
            data: data.to_owned(),
            path,
        },
        None => Media::Url { url, path },
    }
}

/// What the model thought, as our own answers give it (see `write_answer`).
pub(super) fn thoughts(fields: &mut Fields) -> Result<Vec<Part>, TranslateError> {
    let path = fields.path("thinking_blocks");
    let blocks = fields.list("thinking_blocks")?.unwrap_or_default();
    let plain = fields.text("reasoning_content")?;
    if blocks.is_empty() {
        let thought = plain.filter(|text| !text.is_empty());
        return Ok(thought
            .map(|text| Part::Thinking {
                text,
                signature: None,
            })
            .into_iter()
            .collect());
    }
    let read = |(at, block)| {
        let mut block = Fields::of(block, &format!("{path}[{at}]"))?;
        match block.wanted_text("type")?.as_str() {
            "thinking" => Ok(Part::Thinking {
                text: block.text("thinking")?.unwrap_or_default(),
                signature: block.text("signature")?,
            }),
            "redacted_thinking" => Ok(Part::RedactedThinking(block.wanted_text("data")?)),
            _ => Err(block.invalid("type", "thinking or redacted_thinking")),
        }
    };
    blocks.into_iter().enumerate().map(read).collect()
}
