//! A request, read.

use serde_json::Value;

use super::input::input;
use crate::wire::translate::canonical::{
    Form, Logprobs, Message, Part, Reasoning, Request, Role, Tool, ToolChoice,
};
use crate::wire::translate::fields::Fields;
use crate::wire::translate::openai_chat::{effort_of, form_of, named_schema};
use crate::wire::translate::{Dropped, TranslateError, logprobs};

/// What changes the answer so much that it cannot be left out.
const REFUSED: &[(&str, &str)] = &[
    (
        "previous_response_id",
        "responses are not kept here: send the conversation as input",
    ),
    (
        "conversation",
        "conversations are kept at one provider: send it as input",
    ),
    ("prompt", "a prompt kept at one provider is not at another"),
    (
        "background",
        "nothing is kept here that could be asked for later",
    ),
];

pub(in crate::wire::translate) fn read_request(
    body: Value,
    dropped: &mut Dropped,
) -> Result<Request, TranslateError> {
    let mut fields = Fields::of(body, "")?;
    fields.refuse(REFUSED)?;
    let mut request = Request {
        model: fields.text("model")?.unwrap_or_default(),
        max_tokens: fields.number("max_output_tokens")?,
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        stream: fields.truth("stream")?.unwrap_or(false),
        user: fields.text("user")?,
        reasoning: reasoning(&mut fields, dropped)?,
        form: form(&mut fields, dropped)?,
        tools: tools(&mut fields, dropped)?,
        parallel_tools: fields.truth("parallel_tool_calls")?,
        ..Request::default()
    };
    tool_choice(&mut fields, &mut request)?;
    let safety_identifier = fields.text("safety_identifier")?;
    request.user = request.user.or(safety_identifier);
    if let Some(instructions) = fields.text("instructions")? {
        request.messages.push(Message {
            role: Role::System,
            parts: vec![Part::Text(instructions)],
            path: "instructions".to_owned(),
        });
    }
    input(&mut fields, &mut request.messages, dropped)?;
    request.logprobs = includes(&mut fields, dropped)?;
    says_nothing(&mut fields, dropped)?;
    fields.drop_rest(dropped);
    Ok(request)
}

/// What is asked for besides: how likely the tokens are, and what is not known elsewhere.
fn includes(
    fields: &mut Fields,
    dropped: &mut Dropped,
) -> Result<Option<Logprobs>, TranslateError> {
    let mut path = None;
    let includes = fields.list("include")?.unwrap_or_default();
    for (at, included) in includes.iter().enumerate() {
        let included_at = format!("include[{at}]");
        match included.as_str().unwrap_or_default() {
            "message.output_text.logprobs" => path = Some(included_at),
            // What a thought needs to go back comes anyway.
            "reasoning.encrypted_content" => {}
            _ => dropped.add(included_at),
        }
    }
    logprobs::asked(fields, path, "top_logprobs", dropped)
}

/// Takes what asks for no more than is done anyway.
fn says_nothing(fields: &mut Fields, dropped: &mut Dropped) -> Result<(), TranslateError> {
    if fields.truth("store")? == Some(true) {
        dropped.add("store");
    }
    if fields
        .text("truncation")?
        .is_some_and(|word| word != "disabled")
    {
        dropped.add("truncation");
    }
    // Of the stream's own form; falsehoods.
    fields.ignore(&["stream_options", "background"]);
    fields.ignore_defaults(&[("service_tier", "auto")]);
    Ok(())
}

fn reasoning(
    fields: &mut Fields,
    dropped: &mut Dropped,
) -> Result<Option<Reasoning>, TranslateError> {
    let Some(mut reasoning) = fields.object("reasoning")? else {
        return Ok(None);
    };
    let effort = match reasoning.text("effort")? {
        None => None,
        Some(word) => Some(effort_of(&word).ok_or_else(|| {
            reasoning.invalid("effort", "none, minimal, low, medium, high or xhigh")
        })?),
    };
    // Summaries are what the provider gives; how long they are is not said elsewhere.
    for key in ["summary", "generate_summary"] {
        if reasoning.text(key)?.is_some_and(|word| word != "auto") {
            dropped.add(reasoning.path(key));
        }
    }
    reasoning.drop_rest(dropped);
    Ok(effort)
}

fn form(fields: &mut Fields, dropped: &mut Dropped) -> Result<Option<Form>, TranslateError> {
    let Some(mut text) = fields.object("text")? else {
        return Ok(None);
    };
    let format = text.object("format")?;
    text.ignore_defaults(&[("verbosity", "medium")]);
    text.drop_rest(dropped);
    match format {
        None => Ok(None),
        Some(format) => form_of(format, |format| named_schema(format, dropped)),
    }
}

fn tools(fields: &mut Fields, dropped: &mut Dropped) -> Result<Vec<Tool>, TranslateError> {
    let tools = fields.list("tools")?.unwrap_or_default();
    let read = |(at, item)| {
        let mut tool = Fields::of(item, &format!("tools[{at}]"))?;
        if tool.wanted_text("type")? != "function" {
            return Err(tool.unsupported("type", "only functions are tools of every provider"));
        }
        tool.into_tool("parameters", dropped)
    };
    tools.into_iter().enumerate().map(read).collect()
}

fn tool_choice(fields: &mut Fields, request: &mut Request) -> Result<(), TranslateError> {
    let reason = "only auto, none, required, one function or allowed functions";
    let unknown = fields.unsupported("tool_choice", reason);
    let choice = match fields.take("tool_choice") {
        None => return Ok(()),
        Some(Value::String(word)) => mode(&word).ok_or(unknown)?,
        Some(choice) => {
            let mut choice = Fields::of(choice, "tool_choice")?;
            match choice.wanted_text("type")?.as_str() {
                "function" => ToolChoice::Named(choice.wanted_text("name")?),
                "allowed_tools" => allowed(&mut choice, &mut request.tools)?,
                _ => return Err(choice.unsupported("type", reason)),
            }
        }
    };
    request.tool_choice = Some(choice);
    Ok(())
}

fn mode(word: &str) -> Option<ToolChoice> {
    Some(match word {
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        "required" => ToolChoice::Any,
        _ => return None,
    })
}

/// What is not allowed is not offered.
fn allowed(choice: &mut Fields, tools: &mut Vec<Tool>) -> Result<ToolChoice, TranslateError> {
    let word = choice.wanted_text("mode")?;
    let chosen = mode(&word).filter(|mode| *mode != ToolChoice::None);
    let chosen = chosen.ok_or_else(|| choice.invalid("mode", "auto or required"))?;
    let path = choice.path("tools");
    let items = choice.list("tools")?;
    let items = items.ok_or_else(|| choice.invalid("tools", "a list"))?;
    let mut names = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        let mut item = Fields::of(item, &format!("{path}[{at}]"))?;
        if item.wanted_text("type")? != "function" {
            return Err(item.unsupported("type", "only functions are tools of every provider"));
        }
        let name = item.wanted_text("name")?;
        if !tools.iter().any(|tool| tool.name == name) {
            return Err(item.invalid("name", "that of one of the tools"));
        }
        names.push(name);
    }
    tools.retain(|tool| names.contains(&tool.name));
    Ok(chosen)
}
