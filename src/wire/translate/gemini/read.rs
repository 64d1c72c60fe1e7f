//! A request of Gemini's, read. Over 400 lines: one place for all of its parts. Names of fields may be spelt as in JSON
//! or as in Google's own files (`inline_data`).

use serde_json::{Map, Value};

use super::schema::json_schema;
use crate::wire::translate::canonical::{
    Form, Media, Message, Part, Reasoning, Request, Role, Schema, Tool, ToolChoice,
};
use crate::wire::translate::fields::Fields;
use crate::wire::translate::{Dropped, TranslateError, logprobs};

/// What changes the answer so much that it cannot be left out.
const REFUSED: &[(&str, &str)] = &[("cachedContent", "what one provider keeps is not at another")];

pub(in crate::wire::translate) fn read_request(
    body: Value,
    dropped: &mut Dropped,
) -> Result<Request, TranslateError> {
    let mut fields = Fields::of(camel(body), "")?;
    fields.refuse(REFUSED)?;
    let mut request = Request::default();
    tools(&mut fields, &mut request, dropped)?;
    tool_choice(&mut fields, &mut request, dropped)?;
    settings(&mut fields, &mut request, dropped)?;
    let mut calls = Calls::default();
    if let Some(system) = fields.take("systemInstruction") {
        let path = "systemInstruction".to_owned();
        let parts = content(system, &path, &mut calls, dropped)?.1;
        request.messages.push(Message {
            role: Role::System,
            parts,
            path,
        });
    }
    let contents = match fields.take("contents") {
        Some(Value::Array(contents)) => contents,
        Some(one @ Value::Object(_)) => vec![one],
        _ => return Err(fields.invalid("contents", "a list")),
    };
    for (at, item) in contents.into_iter().enumerate() {
        let path = format!("contents[{at}]");
        let (role, parts) = content(item, &path, &mut calls, dropped)?;
        request.messages.push(Message { role, parts, path });
    }
    // The path says both.
    fields.ignore(&["model", "stream"]);
    fields.drop_rest(dropped);
    Ok(request)
}

/// Objects whose keys are not Google's.
const OPAQUE: &[&str] = &[
    "args",
    "response",
    "parameters",
    "parametersJsonSchema",
    "responseSchema",
    "responseJsonSchema",
    "labels",
];

/// Keys as JSON spells them.
fn camel(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(camel).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(key, value)| {
                let mut words = key.split('_');
                let mut spelt = words.next().unwrap_or_default().to_owned();
                for word in words {
                    let mut letters = word.chars();
                    spelt.extend(letters.next().map(|first| first.to_ascii_uppercase()));
                    spelt.push_str(letters.as_str());
                }
                let is_opaque = OPAQUE.contains(&&*spelt);
                (spelt, if is_opaque { value } else { camel(value) })
            })
            .collect(),
        other => other,
    }
}

fn tools(
    fields: &mut Fields,
    request: &mut Request,
    dropped: &mut Dropped,
) -> Result<(), TranslateError> {
    for (at, item) in fields
        .list("tools")?
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        let mut tool = Fields::of(item, &format!("tools[{at}]"))?;
        let path = tool.path("functionDeclarations");
        let declared = tool.list("functionDeclarations")?.unwrap_or_default();
        if let Some(key) = tool.first_key().map(str::to_owned) {
            return Err(tool.unsupported(&key, "this tool is the provider's own"));
        }
        for (at, item) in declared.into_iter().enumerate() {
            let mut function = Fields::of(item, &format!("{path}[{at}]"))?;
            let schema = function.take("parameters").map(json_schema);
            let read = Tool {
                name: function.wanted_text("name")?,
                description: function.text("description")?,
                schema: function.take("parametersJsonSchema").or(schema),
                strict: None,
            };
            function.drop_rest(dropped);
            request.tools.push(read);
        }
    }
    Ok(())
}

fn tool_choice(
    fields: &mut Fields,
    request: &mut Request,
    dropped: &mut Dropped,
) -> Result<(), TranslateError> {
    let Some(mut config) = fields.object("toolConfig")? else {
        return Ok(());
    };
    if let Some(mut calling) = config.object("functionCallingConfig")? {
        let wrong = calling.invalid("allowedFunctionNames", "a list of texts");
        let allowed = calling.list("allowedFunctionNames")?.unwrap_or_default();
        let allowed: Vec<String> = allowed
            .into_iter()
            .map(|name| {
                name.as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| wrong.clone())
            })
            .collect::<Result<_, _>>()?;
        let mode = calling.text("mode")?.unwrap_or_default();
        request.tool_choice = match mode.to_ascii_uppercase().as_str() {
            "" | "MODE_UNSPECIFIED" => None,
            "AUTO" | "VALIDATED" => Some(ToolChoice::Auto),
            "NONE" => Some(ToolChoice::None),
            "ANY" => match <[String; 1]>::try_from(allowed.clone()) {
                Ok([name]) => Some(ToolChoice::Named(name)),
                Err(_) => Some(ToolChoice::Any),
            },
            _ => return Err(calling.unsupported("mode", "only AUTO, ANY, NONE and VALIDATED")),
        };
        // Elsewhere tools are allowed by being there.
        if 1 < allowed.len() {
            request.tools.retain(|tool| allowed.contains(&tool.name));
        }
        calling.drop_rest(dropped);
    }
    config.drop_rest(dropped);
    Ok(())
}

fn settings(
    fields: &mut Fields,
    request: &mut Request,
    dropped: &mut Dropped,
) -> Result<(), TranslateError> {
    let Some(mut settings) = fields.object("generationConfig")? else {
        return Ok(());
    };
    settings.refuse(&[("speechConfig", "sound is not translated")])?;
    let count = settings.number("candidateCount")?;
    if count.is_some_and(|count| count.as_f64() != Some(1.0)) {
        return Err(settings.unsupported("candidateCount", "there is one answer to a request"));
    }
    let modalities = settings.list("responseModalities")?.unwrap_or_default();
    let is_text = |modality: &Value| {
        let word = modality.as_str().unwrap_or_default();
        word.eq_ignore_ascii_case("text")
    };
    if !modalities.iter().all(is_text) {
        return Err(settings.unsupported("responseModalities", "answers are text"));
    }
    request.max_tokens = settings.number("maxOutputTokens")?;
    request.temperature = settings.number("temperature")?;
    request.top_p = settings.number("topP")?;
    request.top_k = settings.number("topK")?;
    let is_asked = settings.truth("responseLogprobs")?.unwrap_or(false);
    let path = is_asked.then(|| settings.path("responseLogprobs"));
    request.logprobs = logprobs::asked(&mut settings, path, "logprobs", dropped)?;
    request.seed = settings.number("seed")?;
    request.presence_penalty = settings.penalty("presencePenalty")?;
    request.frequency_penalty = settings.penalty("frequencyPenalty")?;
    let wrong = settings.invalid("stopSequences", "a list of texts");
    for stop in settings.list("stopSequences")?.unwrap_or_default() {
        match stop {
            Value::String(text) => request.stop.push(text),
            _ => return Err(wrong),
        }
    }
    let schemas = ["responseJsonSchema", "responseSchema"].map(|key| {
        let schema = settings.take(key).map(json_schema)?;
        Some(Form::Schema(Schema {
            name: None,
            schema,
            strict: None,
            path: settings.path(key),
        }))
    });
    let schema = schemas.into_iter().flatten().next();
    let path = settings.path("responseMimeType");
    request.form = match settings.text("responseMimeType")?.as_deref() {
        None | Some("text/plain") => schema,
        Some("application/json") => Some(schema.unwrap_or(Form::Json { path })),
        Some(_) => {
            let reason = "only text and JSON can be asked for";
            return Err(settings.unsupported("responseMimeType", reason));
        }
    };
    if let Some(mut thinking) = settings.object("thinkingConfig")? {
        let budget = thinking.number("thinkingBudget")?;
        let budget = budget.and_then(|budget| budget.as_i64());
        request.reasoning = reasoning(&mut thinking, budget)?;
        let given = budget.and_then(|budget| u64::try_from(budget).ok());
        request.thinking_tokens = given.filter(|given| 0 < *given);
        thinking.ignore(&["includeThoughts"]);
        thinking.drop_rest(dropped);
    }
    settings.drop_rest(dropped);
    Ok(())
}

/// Where the model is to decide itself, nothing is said.
fn reasoning(
    thinking: &mut Fields,
    budget: Option<i64>,
) -> Result<Option<Reasoning>, TranslateError> {
    let level = thinking.text("thinkingLevel")?.unwrap_or_default();
    Ok(match level.to_ascii_lowercase().as_str() {
        "minimal" => Some(Reasoning::Off),
        "low" => Some(Reasoning::Low),
        "medium" => Some(Reasoning::Medium),
        "high" => Some(Reasoning::High),
        "" | "thinking_level_unspecified" => match budget {
            None | Some(..0) => None,
            Some(0) => Some(Reasoning::Off),
            Some(..=2048) => Some(Reasoning::Low),
            Some(..=8192) => Some(Reasoning::Medium),
            Some(_) => Some(Reasoning::High),
        },
        _ => return Err(thinking.invalid("thinkingLevel", "minimal, low, medium or high")),
    })
}

/// Calls in their order: a result may tell its function only, and then is that of the first call without one.
#[derive(Default)]
struct Calls {
    count: usize,
    /// Names and ids of those without a result.
    open: Vec<(String, String)>,
}

impl Calls {
    fn begin(&mut self, id: Option<String>, name: &str) -> String {
        let id = id.unwrap_or_else(|| format!("call_{}", self.count));
        self.count += 1;
        self.open.push((name.to_owned(), id.clone()));
        id
    }

    fn result(&mut self, id: Option<String>, name: &str) -> Option<String> {
        let is_its = |(of, call): &(String, String)| match &id {
            Some(id) => call == id,
            None => of == name,
        };
        let place = self.open.iter().position(is_its)?;
        Some(self.open.remove(place).1)
    }
}

fn content(
    item: Value,
    path: &str,
    calls: &mut Calls,
    dropped: &mut Dropped,
) -> Result<(Role, Vec<Part>), TranslateError> {
    if let Value::String(text) = item {
        return Ok((Role::User, vec![Part::Text(text)]));
    }
    let mut fields = Fields::of(item, path)?;
    let role = match fields.text("role")?.as_deref() {
        None | Some("user" | "function" | "system") => Role::User,
        Some("model") => Role::Assistant,
        Some(_) => return Err(fields.invalid("role", "user or model")),
    };
    let items = match fields.take("parts") {
        None => Vec::new(),
        Some(Value::Array(items)) => items,
        Some(one @ Value::Object(_)) => vec![one],
        Some(_) => return Err(fields.invalid("parts", "a list")),
    };
    let path = fields.path("parts");
    let mut parts = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        let mut read = Fields::of(item, &format!("{path}[{at}]"))?;
        parts.push(part(&mut read, calls, dropped)?);
        read.drop_rest(dropped);
    }
    fields.drop_rest(dropped);
    Ok((role, parts))
}

fn part(
    part: &mut Fields,
    calls: &mut Calls,
    dropped: &mut Dropped,
) -> Result<Part, TranslateError> {
    let is_thought = part.truth("thought")?.unwrap_or(false);
    let signature = part.text("thoughtSignature")?;
    if let Some(text) = part.text("text")? {
        if is_thought {
            return Ok(Part::Thinking { text, signature });
        }
        if signature.is_some() {
            dropped.add(part.path("thoughtSignature"));
        }
        return Ok(Part::Text(text));
    }
    if let Some(mut call) = part.object("functionCall")? {
        let name = call.wanted_text("name")?;
        let input = match call.take("args") {
            None => Value::Object(Map::new()),
            Some(input @ Value::Object(_)) => input,
            Some(_) => return Err(call.invalid("args", "an object")),
        };
        let id = call.text("id")?.filter(|id| !id.is_empty());
        return Ok(Part::ToolUse {
            id: calls.begin(id, &name),
            name,
            input,
            signature,
        });
    }
    if let Some(mut result) = part.object("functionResponse")? {
        let name = result.wanted_text("name")?;
        let id = result.text("id")?.filter(|id| !id.is_empty());
        let Some(id) = calls.result(id, &name) else {
            return Err(part.unsupported("functionResponse", "a result needs its call before it"));
        };
        let (text, is_error) = response(result.take("response").unwrap_or_default());
        let mut parts = vec![Part::Text(text)];
        let path = result.path("parts");
        let shown = result.list("parts")?.unwrap_or_default();
        for (at, item) in shown.into_iter().enumerate() {
            let mut item = Fields::of(item, &format!("{path}[{at}]"))?;
            parts.push(media(&mut item)?);
        }
        result.drop_rest(dropped);
        return Ok(Part::ToolResult {
            id,
            parts,
            is_error,
        });
    }
    media(part)
}

/// What a function gave: the text alone where there is no more.
fn response(response: Value) -> (String, bool) {
    if let Value::Object(members) = &response
        && members.len() == 1
    {
        for (key, is_error) in [("output", false), ("error", true)] {
            if let Some(Value::String(text)) = members.get(key) {
                return (text.clone(), is_error);
            }
        }
    }
    (response.to_string(), false)
}

fn media(part: &mut Fields) -> Result<Part, TranslateError> {
    let (key, media_type, media, name) = if let Some(mut data) = part.object("inlineData")? {
        let media_type = data.wanted_text("mimeType")?;
        let media = Media::Base64 {
            media_type: media_type.clone(),
            data: data.wanted_text("data")?,
            path: part.path("inlineData"),
        };
        ("inlineData", media_type, media, data.text("displayName")?)
    } else if let Some(mut file) = part.object("fileData")? {
        let said = file.text("mimeType")?;
        let url = file.wanted_text("fileUri")?;
        let Some(media_type) = type_at(&url, said.as_deref()) else {
            let reason =
                "only images and PDFs elsewhere than with Google can be named by their URL";
            return Err(file.unsupported("fileUri", reason));
        };
        let name = file.text("displayName")?;
        let path = part.path("fileData");
        ("fileData", media_type, Media::Url { url, path }, name)
    } else {
        let key = part.first_key().unwrap_or("text").to_owned();
        let reason = "parts of this kind are the provider's own";
        return Err(part.unsupported(&key, reason));
    };
    if media_type.starts_with("audio/") || media_type.starts_with("video/") {
        return Err(part.unsupported(key, "sound and video are not translated"));
    }
    Ok(match media_type.starts_with("image/") {
        true => Part::Image(media),
        false => Part::Document { media, name },
    })
}

/// Types by the ends of names.
const ENDS: &[(&str, &str)] = &[
    (".png", "image/png"),
    (".jpg", "image/jpeg"),
    (".jpeg", "image/jpeg"),
    (".gif", "image/gif"),
    (".webp", "image/webp"),
    (".pdf", "application/pdf"),
];

/// The media type of what is at a URL that any provider can fetch. `None`: only Google can, or it is neither an image nor
/// a PDF.
fn type_at(url: &str, said: Option<&str>) -> Option<String> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    let (host, path) = rest.split_once('/')?;
    let is_of = |name: &str| host == name || host.ends_with(&format!(".{name}"));
    if ["googleapis.com", "youtube.com", "youtu.be"]
        .into_iter()
        .any(is_of)
    {
        return None;
    }
    let path = path
        .split(['?', '#'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let named = ENDS.iter().find(|(end, _)| path.ends_with(end));
    let media_type = said.or(named.map(|(_, media_type)| *media_type))?;
    let is_known = ["image/", "audio/", "video/", "application/pdf"]
        .iter()
        .any(|known| media_type.starts_with(known));
    is_known.then(|| media_type.to_owned())
}
