//! A Messages request, read.

use serde_json::Value;

use crate::wire::translate::canonical::{
    Form, Media, Part, Reasoning, Request, Role, Schema, Tool, ToolChoice,
};
use crate::wire::translate::fields::Fields;
use crate::wire::translate::{Dropped, TranslateError, conversation, signed_id};

/// What changes the answer so much that it cannot be left out.
const REFUSED: &[(&str, &str)] = &[
    ("mcp_servers", "tools of a server are the provider's own"),
    ("container", "a container is the provider's own"),
];

/// Other servers of this API take the system's messages among the others.
const ROLES: &[(&str, Role)] = &[
    ("user", Role::User),
    ("assistant", Role::Assistant),
    ("system", Role::System),
];

pub(in crate::wire::translate) fn read_request(
    body: Value,
    dropped: &mut Dropped,
) -> Result<Request, TranslateError> {
    read_fields(Fields::of(body, "")?, dropped)
}

pub(in crate::wire::translate) fn read_fields(
    mut fields: Fields,
    dropped: &mut Dropped,
) -> Result<Request, TranslateError> {
    fields.refuse(REFUSED)?;
    let mut request = Request {
        model: fields.text("model")?.unwrap_or_default(),
        max_tokens: fields.number("max_tokens")?,
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        top_k: fields.number("top_k")?,
        stream: fields.truth("stream")?.unwrap_or(false),
        tools: tools(&mut fields, dropped)?,
        ..Request::default()
    };
    let wrong_stop = fields.invalid("stop_sequences", "a list of texts");
    for stop in fields.list("stop_sequences")?.unwrap_or_default() {
        match stop {
            Value::String(text) => request.stop.push(text),
            _ => return Err(wrong_stop),
        }
    }
    if let Some(mut metadata) = fields.object("metadata")? {
        request.user = metadata.text("user_id")?;
        metadata.drop_rest(dropped);
    }
    tool_choice(&mut fields, &mut request)?;
    read_output(&mut fields, &mut request, dropped)?;
    conversation::read(&mut fields, ROLES, content, &mut request.messages, dropped)?;
    fields.ignore_defaults(&[("service_tier", "auto")]);
    fields.drop_rest(dropped);
    Ok(request)
}

fn tools(fields: &mut Fields, dropped: &mut Dropped) -> Result<Vec<Tool>, TranslateError> {
    let tools = fields.list("tools")?.unwrap_or_default();
    let read = |(at, item)| {
        let mut tool = Fields::of(item, &format!("tools[{at}]"))?;
        if tool.text("type")?.is_some_and(|kind| kind != "custom") {
            return Err(tool.unsupported("type", "this tool is the provider's own"));
        }
        tool.into_tool("input_schema", dropped)
    };
    tools.into_iter().enumerate().map(read).collect()
}

fn tool_choice(fields: &mut Fields, request: &mut Request) -> Result<(), TranslateError> {
    let Some(mut choice) = fields.object("tool_choice")? else {
        return Ok(());
    };
    request.tool_choice = Some(match choice.wanted_text("type")?.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Any,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(choice.wanted_text("name")?),
        _ => return Err(choice.unsupported("type", "only auto, any, none and tool")),
    });
    let disabled = choice.truth("disable_parallel_tool_use")?;
    request.parallel_tools = disabled.map(|disabled| !disabled);
    Ok(())
}

/// How it is to think, and the form of what it says.
pub(in crate::wire::translate) fn read_output(
    fields: &mut Fields,
    request: &mut Request,
    dropped: &mut Dropped,
) -> Result<(), TranslateError> {
    let mut effort = None;
    if let Some(mut output) = fields.object("output_config")? {
        effort = match output.text("effort")?.as_deref() {
            None => None,
            Some("low") => Some(Reasoning::Low),
            Some("medium") => Some(Reasoning::Medium),
            Some("high") => Some(Reasoning::High),
            Some("xhigh") => Some(Reasoning::XHigh),
            Some("max") => Some(Reasoning::Max),
            Some(_) => return Err(output.invalid("effort", "low, medium, high, xhigh or max")),
        };
        if let Some(format) = output.object("format")? {
            request.form = Some(Form::Schema(schema(format, dropped)?));
        }
        output.drop_rest(dropped);
    }
    // Its place before it was beside the effort.
    if let Some(format) = fields.object("output_format")? {
        let schema = schema(format, dropped)?;
        request.form.get_or_insert(Form::Schema(schema));
    }
    if let Some(mut thinking) = fields.object("thinking")? {
        request.reasoning = match thinking.wanted_text("type")?.as_str() {
            "disabled" => Some(Reasoning::Off),
            "enabled" => {
                let budget = thinking.number("budget_tokens")?;
                let budget = budget
                    .and_then(|budget| budget.as_u64())
                    .unwrap_or_default();
                request.thinking_tokens = Some(budget).filter(|budget| 0 < *budget);
                Some(effort.unwrap_or(match budget {
                    0..=2048 => Reasoning::Low,
                    2049..=8192 => Reasoning::Medium,
                    _ => Reasoning::High,
                }))
            }
            "adaptive" => {
                request.adaptive = true;
                Some(effort.unwrap_or(Reasoning::Auto))
            }
            _ => return Err(thinking.invalid("type", "enabled, adaptive or disabled")),
        };
        thinking.drop_rest(dropped);
    } else {
        request.reasoning = effort;
    }
    Ok(())
}

fn schema(mut format: Fields, dropped: &mut Dropped) -> Result<Schema, TranslateError> {
    if format.wanted_text("type")? != "json_schema" {
        return Err(format.unsupported("type", "only json_schema can be asked for"));
    }
    let schema = format.take("schema");
    let schema = Schema {
        name: None,
        schema: schema.ok_or_else(|| format.invalid("schema", "an object"))?,
        strict: None,
        path: format.path("schema"),
    };
    format.drop_rest(dropped);
    Ok(schema)
}

fn content(
    fields: &mut Fields,
    key: &str,
    dropped: &mut Dropped,
) -> Result<Vec<Part>, TranslateError> {
    let items = match fields.take(key) {
        None => return Ok(Vec::new()),
        Some(Value::String(text)) => return Ok(vec![Part::Text(text)]),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(fields.invalid(key, "a text or a list of blocks")),
    };
    let path = fields.path(key);
    let read = |(at, item)| {
        let mut block = Fields::of(item, &format!("{path}[{at}]"))?;
        let read = self::block(&mut block, dropped)?;
        block.drop_rest(dropped);
        Ok(read)
    };
    items.into_iter().enumerate().map(read).collect()
}

/// A block of a message or of an answer.
pub(super) fn block(block: &mut Fields, dropped: &mut Dropped) -> Result<Part, TranslateError> {
    Ok(match block.wanted_text("type")?.as_str() {
        "text" => Part::Text(block.wanted_text("text")?),
        "thinking" => Part::Thinking {
            text: block.text("thinking")?.unwrap_or_default(),
            signature: block.text("signature")?,
        },
        "redacted_thinking" => Part::RedactedThinking(block.wanted_text("data")?),
        "image" => Part::Image(source(block)?),
        "document" => Part::Document {
            name: block.text("title")?,
            media: source(block)?,
        },
        "tool_use" => {
            let (id, signature) = signed_id::read(block.wanted_text("id")?);
            Part::ToolUse {
                id,
                name: block.wanted_text("name")?,
                input: match block.take("input") {
                    None => Value::Object(serde_json::Map::new()),
                    Some(input @ Value::Object(_)) => input,
                    Some(_) => return Err(block.invalid("input", "an object")),
                },
                signature,
            }
        }
        "tool_result" => Part::ToolResult {
            id: signed_id::read(block.wanted_text("tool_use_id")?).0,
            parts: content(block, "content", dropped)?,
            is_error: block.truth("is_error")?.unwrap_or(false),
        },
        _ => {
            let reason = "blocks of this type are the provider's own";
            return Err(block.unsupported("type", reason));
        }
    })
}

fn source(block: &mut Fields) -> Result<Media, TranslateError> {
    let source = block.object("source")?;
    let mut source = source.ok_or_else(|| block.invalid("source", "an object"))?;
    let path = block.path("source");
    Ok(match source.wanted_text("type")?.as_str() {
        "base64" => Media::Base64 {
            media_type: source.wanted_text("media_type")?,
            data: source.wanted_text("data")?,
            path,
        },
        "url" => Media::Url {
            url: source.wanted_text("url")?,
            path,
        },
        "text" => Media::Plain(source.wanted_text("data")?),
        _ => {
            let reason = "a file kept at one provider is not at another";
            return Err(source.unsupported("type", reason));
        }
    })
}
