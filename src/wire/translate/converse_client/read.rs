//! A request of `converse`, read. The path names the model and says whether a stream is asked for.

use serde_json::Value;

use super::content::content;
use crate::wire::translate::canonical::{Form, Request, Schema, Tool, ToolChoice};
use crate::wire::translate::fields::Fields;
use crate::wire::translate::{Dropped, TranslateError, anthropic, conversation};

/// What changes the answer so much that it cannot be left out.
const REFUSED: &[(&str, &str)] = &[
    ("guardrailConfig", "a guardrail is the provider's own"),
    (
        "promptVariables",
        "a prompt kept at one provider is not at another",
    ),
];

pub(in crate::wire::translate) fn read_request(
    body: Value,
    dropped: &mut Dropped,
) -> Result<Request, TranslateError> {
    let mut fields = Fields::of(body, "")?;
    fields.refuse(REFUSED)?;
    let mut request = Request::default();
    settings(&mut fields, &mut request, dropped)?;
    tools(&mut fields, &mut request, dropped)?;
    output(&mut fields, &mut request, dropped)?;
    conversation::read(
        &mut fields,
        conversation::TWO_ROLES,
        content,
        &mut request.messages,
        dropped,
    )?;
    fields.drop_rest(dropped);
    Ok(request)
}

fn settings(
    fields: &mut Fields,
    request: &mut Request,
    dropped: &mut Dropped,
) -> Result<(), TranslateError> {
    if let Some(mut settings) = fields.object("inferenceConfig")? {
        request.max_tokens = settings.number("maxTokens")?;
        request.temperature = settings.number("temperature")?;
        request.top_p = settings.number("topP")?;
        let wrong = settings.invalid("stopSequences", "a list of texts");
        for stop in settings.list("stopSequences")?.unwrap_or_default() {
            match stop {
                Value::String(text) => request.stop.push(text),
                _ => return Err(wrong),
            }
        }
        settings.drop_rest(dropped);
    }
    // In the words of the model's maker: those of Claude's are understood.
    if let Some(mut more) = fields.object("additionalModelRequestFields")? {
        request.top_k = more.number("top_k")?;
        anthropic::read_output(&mut more, request, dropped)?;
        more.drop_rest(dropped);
    }
    Ok(())
}

fn tools(
    fields: &mut Fields,
    request: &mut Request,
    dropped: &mut Dropped,
) -> Result<(), TranslateError> {
    let Some(mut config) = fields.object("toolConfig")? else {
        return Ok(());
    };
    let path = config.path("tools");
    let tools = config.list("tools")?.unwrap_or_default();
    for (at, item) in tools.into_iter().enumerate() {
        let mut tool = Fields::of(item, &format!("{path}[{at}]"))?;
        if let Some(spec) = tool.object("toolSpec")? {
            request.tools.push(self::tool(spec, dropped)?);
        } else if tool.take("cachePoint").is_some() {
            dropped.add(tool.path("cachePoint"));
        } else {
            let key = tool.first_key().unwrap_or("toolSpec").to_owned();
            return Err(tool.unsupported(&key, "this tool is the provider's own"));
        }
        tool.drop_rest(dropped);
    }
    if let Some(mut choice) = config.object("toolChoice")? {
        request.tool_choice = if choice.take("auto").is_some() {
            Some(ToolChoice::Auto)
        } else if choice.take("any").is_some() {
            Some(ToolChoice::Any)
        } else if let Some(mut tool) = choice.object("tool")? {
            Some(ToolChoice::Named(tool.wanted_text("name")?))
        } else if let Some(key) = choice.first_key() {
            return Err(choice.unsupported(key, "only auto, any and tool"));
        } else {
            None
        };
        choice.drop_rest(dropped);
    }
    config.drop_rest(dropped);
    Ok(())
}

fn tool(mut spec: Fields, dropped: &mut Dropped) -> Result<Tool, TranslateError> {
    let schema = match spec.object("inputSchema")? {
        None => None,
        Some(mut schema) => {
            let json = schema.take("json");
            schema.drop_rest(dropped);
            json
        }
    };
    let tool = spec.into_tool("inputSchema", dropped)?;
    Ok(Tool { schema, ..tool })
}

/// The form of what it is to say; a schema stands there as a text.
fn output(
    fields: &mut Fields,
    request: &mut Request,
    dropped: &mut Dropped,
) -> Result<(), TranslateError> {
    let Some(mut output) = fields.object("outputConfig")? else {
        return Ok(());
    };
    if let Some(mut format) = output.object("textFormat")? {
        if format.wanted_text("type")? != "json_schema" {
            return Err(format.unsupported("type", "only json_schema can be asked for"));
        }
        let mut structure = wanted(&mut format, "structure")?;
        let mut read = wanted(&mut structure, "jsonSchema")?;
        let text = read.wanted_text("schema")?;
        let schema = serde_json::from_str(&text);
        request.form = Some(Form::Schema(Schema {
            name: read.text("name")?,
            schema: schema.map_err(|_| read.invalid("schema", "JSON in a text"))?,
            strict: None,
            path: read.path("schema"),
        }));
        read.drop_rest(dropped);
        structure.drop_rest(dropped);
        format.drop_rest(dropped);
    }
    output.drop_rest(dropped);
    Ok(())
}

fn wanted(fields: &mut Fields, key: &str) -> Result<Fields, TranslateError> {
    let object = fields.object(key)?;
    object.ok_or_else(|| fields.invalid(key, "an object"))
}
