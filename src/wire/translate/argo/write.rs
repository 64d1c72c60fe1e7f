//! A request of Argo's, written. Whom it is for stands in the provider's settings (`user`).

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Number, Value, json};

use super::prompted;
use crate::wire::argo::model::{Family, Sampling, id, knows_no_system};
use crate::wire::translate::canonical::{Message, Part, Reasoning, Request, Role, is_default};
use crate::wire::translate::{Dropped, TranslateError, openai_chat};

/// What Anthropic's models must be told, where the client says nothing.
const MAX_TOKENS: u64 = 4096;

/// Most tokens that Anthropic's models are asked for whole: beyond it, Argo wants a stream.
const MOST_TOKENS_WHOLE: u64 = 21_000;

/// What stands in place of a user's message where there is none, for models that want one.
const GO_ON: &str = "[continue]";

/// Whether the answer to this body can be a stream: streams have texts alone, no calls of tools.
pub(in crate::wire::translate) fn streams(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Asked {
        tools: Option<IgnoredAny>,
    }
    let asked = serde_json::from_slice::<Asked>(body);
    asked.is_ok_and(|asked| asked.tools.is_none()) && !prompted::is_told(body)
}

pub(in crate::wire::translate) fn write_request(
    mut request: Request,
    dropped: &mut Dropped,
) -> Result<Value, TranslateError> {
    if request.form.is_some() {
        return Err(TranslateError::Unsupported {
            field: "response_format".to_owned(),
            reason: "its answers are texts of any form",
        });
    }
    if let Some(asked) = request.logprobs.take() {
        asked.drop_into(dropped);
    }
    request.drop_seed_and_penalties(dropped);
    // It takes no effort, so none is lowered.
    request.reasoning = request.reasoning.map(|asked| asked.min(Reasoning::High));
    request.model = id(&request.model);
    let family = Family::of(&request.model);
    let streams = request.stream && request.tools.is_empty();
    if family != Family::Openai {
        prompted::tell(&mut request, dropped)?;
    }
    shape(&mut request, family, streams, dropped);
    sampling(&mut request, dropped);
    let mut written = match openai_chat::write_request(request, dropped)? {
        Value::Object(written) => written,
        _ => Map::new(),
    };
    for (field, is_told) in [
        ("stream", false),
        ("user", true),
        ("reasoning_effort", true),
        ("parallel_tool_calls", true),
    ] {
        if written.remove(field).is_some() && is_told {
            dropped.add(field);
        }
    }
    let messages = written.get_mut("messages").and_then(Value::as_array_mut);
    for message in messages.into_iter().flatten() {
        // It does not take null.
        if message["content"].is_null() {
            message["content"] = json!("");
        }
    }
    Ok(Value::Object(written))
}

/// What a model's family wants to be different.
fn shape(request: &mut Request, family: Family, streams: bool, dropped: &mut Dropped) {
    let systems = request.messages.iter_mut();
    for message in systems.filter(|message| message.role == Role::System) {
        joined(&mut message.parts);
    }
    if knows_no_system(&request.model) {
        for message in &mut request.messages {
            if message.role == Role::System {
                message.role = Role::User;
            }
        }
    }
    match family {
        Family::Claude => {
            let most = match streams {
                true => u64::MAX,
                false => MOST_TOKENS_WHOLE,
            };
            let asked = request.max_tokens.take();
            let wanted = asked.as_ref().map_or(Some(MAX_TOKENS), Number::as_u64);
            request.max_tokens = match wanted {
                Some(wanted) if most < wanted => {
                    dropped.add("max_tokens");
                    Some(most.into())
                }
                Some(wanted) => Some(wanted.into()),
                None => asked,
            };
        }
        Family::OpenaiO | Family::Openai | Family::Gemini | Family::Other => {}
    }
    let has_user = request
        .messages
        .iter()
        .any(|message| message.role == Role::User);
    if matches!(family, Family::Claude | Family::Gemini) && !has_user {
        request.messages.push(Message {
            role: Role::User,
            parts: vec![Part::Text(GO_ON.to_owned())],
            path: "messages".to_owned(),
        });
    }
}

/// Leaves out what the model would refuse to be told.
fn sampling(request: &mut Request, dropped: &mut Dropped) {
    let (temperature, top_p) = match Sampling::of(&request.model) {
        Sampling::Any => (true, true),
        Sampling::OneOfBoth => (true, request.temperature.is_none()),
        Sampling::AsItIs => (request.temperature.as_ref().is_none_or(is_default), false),
        Sampling::Nothing => (false, false),
    };
    for (name, value, is_taken) in [
        ("temperature", &mut request.temperature, temperature),
        ("top_p", &mut request.top_p, top_p),
    ] {
        let left = value.take_if(|_| !is_taken);
        if left.is_some_and(|given| !is_default(&given)) {
            dropped.add(name);
        }
    }
}

/// Texts as one: not every model takes a system's prompt in parts.
fn joined(parts: &mut Vec<Part>) {
    let texts: Option<Vec<&str>> = parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => Some(&**text),
            _ => None,
        })
        .collect();
    if let Some(texts) = texts {
        *parts = vec![Part::Text(texts.join("\n\n"))];
    }
}
