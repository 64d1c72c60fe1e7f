//! What an exchange asks for, and what is decided before anything is sent: which provider, which body.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::filter::{Dialect, Endpoint, Headers};
use crate::pipeline::exchange::{Body, Exchange};
use crate::pipeline::failure::Failure;
use crate::pipeline::translation::{self, Shape, Translation};
use crate::pipeline::{Worker, argo, lacking, models, openai_at_google, other_form};
use crate::routing::NoTarget;
use crate::routing::table::{Question, Reach, Table};
use crate::routing::target::{Route, Target};
use crate::upstream::provider::{Provider, Timeouts};
use crate::upstream::signing::is_signature;
use crate::wire::argo::raw;
use crate::wire::json_check::{self, RequestHead};
use crate::wire::translate::AnswerFacts;
use crate::wire::{bedrock, gemini};

/// What a body asks for; the default where it is not JSON that is ours to read.
pub type Asked = RequestHead<'static>;

/// Checks the client's body and puts on record what it asks for.
///
/// # Errors
/// [`Failure`] when the body is no JSON that we take.
pub fn check(exchange: &mut Exchange) -> Result<Asked, Failure> {
    let mut asked = read_head(exchange)?;
    if other_form::settle(exchange, &asked)? {
        asked = read_head(exchange)?;
    }
    let is_whole = matches!(exchange.body, Body::Whole(_));
    if let Some(opened) = exchange.guard.opened_mut() {
        opened.requested_model = asked.model.as_deref().map(str::to_owned);
        opened.stream = is_whole.then(|| asked.stream.unwrap_or(false));
    }
    Ok(asked)
}

/// Reads what a body asks for; a deployment in the path counts as its model.
///
/// # Errors
/// [`Failure`] when the body is no JSON that we take.
pub fn read_head(exchange: &Exchange) -> Result<Asked, Failure> {
    let head = match &exchange.body {
        Body::None | Body::Flowing(..) => Asked::default(),
        Body::Whole(body) => match json_check::check(body, json_check::MAX_KEYS) {
            Ok(head) => head.into_owned(),
            // Other paths take what their provider takes.
            Err(_) if exchange.endpoint == Endpoint::Passthrough => Asked::default(),
            Err(error) => return Err(error.into()),
        },
    };
    let head = match exchange.dialect {
        Dialect::Gemini => Asked {
            stream: Some(gemini::is_stream(&exchange.rest)),
            ..head
        },
        Dialect::Bedrock => Asked {
            stream: Some(bedrock::is_stream(&exchange.rest)),
            ..head
        },
        Dialect::Openai | Dialect::Azure | Dialect::Anthropic => head,
    };
    Ok(match &exchange.deployment {
        None => head,
        Some(deployment) => Asked {
            model: Some(Cow::Owned(deployment.clone())),
            ..head
        },
    })
}

/// The model in the body where the path names a deployment, which counts in its place. Bodies name none where
/// the path alone asks.
pub fn body_model(exchange: &Exchange) -> Option<String> {
    if exchange.dialect.asks_in_path() {
        return None;
    }
    let (Body::Whole(body), Some(_)) = (&exchange.body, &exchange.deployment) else {
        return None;
    };
    let head = json_check::check(body, json_check::MAX_KEYS).ok()?;
    head.model.map(Cow::into_owned)
}

/// A filter that names another model in the body means it, whatever deployment the path names.
pub fn follow_model(exchange: &mut Exchange, before: Option<String>) {
    let now = body_model(exchange);
    if now.is_some() && now != before {
        exchange.deployment = now;
    }
}

/// What is sent to one target.
pub struct Plan {
    /// The path to ask for, where this target has another name for the model in it than the client.
    pub rest: Option<String>,
    /// The body to send, when it differs from the exchange's.
    pub changed: Option<Bytes>,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// Whether usage is asked for on our own account.
    pub usage_asked: bool,
    /// The model as the provider is asked for it.
    pub model: Option<String>,
    /// How the provider is asked where it does not understand the client.
    pub translation: Option<Translation>,
    /// The time limits.
    pub timeouts: Timeouts,
    /// The body for the record, where it is another than the client's by more than our own additions and the model's name,
    /// which the row tells.
    pub recorded: Option<Bytes>,
    /// The API that is called, where the request was translated.
    pub translated_to: Option<Endpoint>,
    /// Fields that a translation could not carry.
    pub dropped: Vec<String>,
}

/// Finds the targets of an exchange.
///
/// # Errors
/// [`Failure`] when nobody takes the model.
pub fn route(exchange: &Exchange, head: &Asked, worker: &Worker) -> Result<Arc<Route>, Failure> {
    let named = exchange.provider.as_deref();
    let (dialect, endpoint) = (exchange.dialect, exchange.endpoint);
    let table = worker.routing.table();
    if endpoint == Endpoint::ArgoChat {
        return argo::route(exchange, head, &table, worker);
    }
    let model_in_path = models::model_in_path(exchange);
    let is_whole = matches!(exchange.body, Body::Whole(_));
    let model = match is_whole {
        true => head.model.as_deref(),
        false => model_in_path.as_deref().or(head.model.as_deref()),
    };
    if is_whole {
        lacking::check(exchange, model, worker)?;
    }
    let route = match openai_at_google::is_asked(exchange) {
        true => openai_at_google::route(exchange, model, &table),
        false => {
            let is_translatable = is_whole && translation::is_translated(endpoint);
            let translatable = is_translatable.then_some(endpoint);
            let reach = Reach::Clients {
                dialect,
                translatable,
            };
            table.route(Question {
                named,
                model,
                reach,
            })
        }
    };
    route.map_err(|none| unknown_target(none, &table))
}

/// Makes the body that a target is sent.
///
/// # Errors
/// [`Failure`] when it cannot be asked for this.
pub fn plan(
    exchange: &mut Exchange,
    head: &Asked,
    target: &Target,
    worker: &Worker,
) -> Result<Plan, Failure> {
    let provider = &worker.providers[target.provider];
    if exchange.endpoint == Endpoint::ArgoChat {
        return argo::plan(exchange, head, target, provider);
    }
    let asked_model = || head.model.as_deref().map(str::to_owned);
    let Body::Whole(body) = &exchange.body else {
        let named = models::model_in_path(exchange).and(target.model.as_deref());
        return Ok(Plan {
            rest: named.map(|model| format!("/models/{}", model.replace('/', "%2F"))),
            model: target.model.clone().or_else(asked_model),
            changed: None,
            stream: false,
            usage_asked: false,
            translation: None,
            timeouts: provider.timeouts,
            recorded: None,
            translated_to: None,
            dropped: Vec::new(),
        });
    };
    if target.is_translated {
        return translated(exchange, head, target, provider, worker);
    }
    if !provider.has_key() && is_signed(&exchange.headers) {
        return Err(Failure::ForeignSignature);
    }
    let deployment = exchange.deployment.as_deref();
    let deployment = deployment.filter(|_| !provider.api.model_in_url);
    let renamed = match exchange.dialect {
        Dialect::Gemini => {
            let model = target.model.as_deref().or(exchange.deployment.as_deref());
            let other = model.filter(|model| !path_names(&exchange.rest, model));
            other.and_then(|model| gemini::rename(body, model))
        }
        Dialect::Bedrock => None,
        Dialect::Openai | Dialect::Azure | Dialect::Anthropic => {
            rename(body, head, target.model.as_deref().or(deployment))
        }
    };
    let (changed, usage_asked) =
        with_usage_asked(exchange.endpoint, provider, body, renamed.as_ref(), head)?;
    Ok(Plan {
        rest: None,
        model: target.model.clone().or_else(asked_model),
        changed,
        stream: head.stream.unwrap_or(false),
        usage_asked,
        translation: None,
        timeouts: provider.timeouts,
        recorded: None,
        translated_to: None,
        dropped: Vec::new(),
    })
}

/// The plan for a provider that does not understand the client: its own call, with the body in its own format.
fn translated(
    exchange: &Exchange,
    head: &Asked,
    target: &Target,
    provider: &Provider,
    worker: &Worker,
) -> Result<Plan, Failure> {
    let unknown = || match head.model.as_deref() {
        None => Failure::MissingModel,
        Some(model) => Failure::UnknownModel {
            model: model.to_owned(),
            nearest: Vec::new(),
        },
    };
    let model = target.model.as_deref().or(head.model.as_deref());
    let stream = head.stream.unwrap_or(false);
    let (Body::Whole(body), Some(model), Some(generation)) = (
        &exchange.body,
        model,
        provider.generation(exchange.endpoint),
    ) else {
        return Err(unknown());
    };
    let settings = settings(provider, &exchange.headers)?;
    let timeouts = timeouts(provider, body)?;
    let written = Translation::begin(
        translation::Asked {
            client: exchange.endpoint,
            body,
            model,
            stream,
            shape: Shape::of(exchange.endpoint, &exchange.query),
            settings: &settings,
            facts: AnswerFacts {
                request_id: exchange.request_id.clone(),
                model: model.to_owned(),
                created_s: worker.clock.wall_us() / 1_000_000,
                include_usage: head.has_include_usage,
                echo: serde_json::Map::new(),
                tools_in_words: false,
            },
        },
        generation,
    )?;
    let changed = match stream && provider.ask_for_usage {
        // The translation reads the usage that is asked for, and gives it to the client only if that asked.
        true => {
            let checked = json_check::check(&written.body, json_check::MAX_KEYS)?;
            let asked =
                with_usage_asked(generation.endpoint, provider, &written.body, None, &checked)?;
            asked.0
        }
        false => None,
    };
    let mut dropped = written.dropped;
    // It is heeded here.
    dropped.retain(|field| !provider.quirks.timeout_member || field != "timeout");
    Ok(Plan {
        rest: None,
        changed: Some(changed.unwrap_or_else(|| written.body.clone())),
        stream,
        usage_asked: false,
        model: Some(model.to_owned()),
        translation: Some(written.translation),
        timeouts,
        recorded: Some(written.body),
        translated_to: Some(generation.endpoint),
        dropped,
    })
}

/// The time limits of a request: the provider's, and where its requests have one of their own, that within the
/// longest of the provider's.
pub(super) fn timeouts(provider: &Provider, body: &[u8]) -> Result<Timeouts, Failure> {
    let own = match provider.quirks.timeout_member {
        true => raw::timeout(body).map_err(|error| Failure::Untranslatable {
            field: "timeout".to_owned(),
            reason: error.to_string(),
        })?,
        false => None,
    };
    let timeouts = provider.timeouts;
    Ok(own.map_or(timeouts, |own| {
        let limit = own.min(timeouts.total);
        Timeouts {
            connect: timeouts.connect,
            first_byte: limit,
            idle: limit,
            total: limit,
        }
    }))
}

/// What the provider's settings add to each request. With `user_passthrough` the user is who the client says it is.
pub(super) fn settings<'a>(
    provider: &'a Provider,
    headers: &Headers,
) -> Result<Cow<'a, [(&'static str, serde_json::Value)]>, Failure> {
    let fields = &provider.request_fields;
    let shown = provider.user_passthrough.then(|| key_shown(headers));
    match shown {
        None => Ok(Cow::Borrowed(fields)),
        Some(Some(user)) => {
            let others = fields.iter().filter(|(name, _)| *name != "user").cloned();
            Ok(Cow::Owned(others.chain([("user", user.into())]).collect()))
        }
        Some(None) if fields.iter().any(|(name, _)| *name == "user") => Ok(Cow::Borrowed(fields)),
        Some(None) => Err(Failure::BadHeader {
            name: "authorization",
            reason: "expected the user's name with this provider as its key",
        }),
    }
}

/// Whether a client signed its request, which it did for our address and not for the provider's.
fn is_signed(headers: &Headers) -> bool {
    let shown = headers.get("authorization");
    shown.is_some_and(|shown| is_signature(shown.as_bytes()))
}

/// What a client shows as its key, in any dialect.
fn key_shown(headers: &Headers) -> Option<&str> {
    let bearer = headers
        .get("authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    let plain = || {
        ["x-api-key", "x-goog-api-key", "api-key"]
            .iter()
            .find_map(|name| headers.get(name))
    };
    let shown = bearer.or_else(plain).map(str::trim);
    shown.filter(|shown| !shown.is_empty())
}

/// Whether a path of Gemini's names this model.
fn path_names(path: &str, model: &str) -> bool {
    let named = gemini::ModelPath::read(path).and_then(|path| models::percent_decoded(path.model));
    named.as_deref() == Some(model)
}

/// The body with another name of the model, where there is one: without its provider, or the path's. `None` when the
/// body names it already, or is no object of ours to change.
fn rename(body: &Bytes, head: &RequestHead<'_>, model: Option<&str>) -> Option<Bytes> {
    let model = serde_json::to_string(model?).ok()?;
    match &head.model_value {
        Some(range) if body.get(range.clone()) == Some(model.as_bytes()) => None,
        Some(range) => json_check::splice(body, range.clone(), model.as_bytes()),
        // Not JSON that we read: it passes as it is.
        None if head.open == 0 => None,
        None => {
            let comma = if head.is_empty { "" } else { "," };
            let member = format!("\"model\":{model}{comma}");
            json_check::splice(body, head.open..head.open, member.as_bytes())
        }
    }
}

/// The body with `include_usage` asked for where that is ours to do. Our own addition is no change of the
/// exchange: the record does not show it.
fn with_usage_asked(
    endpoint: Endpoint,
    provider: &Provider,
    body: &Bytes,
    renamed: Option<&Bytes>,
    head: &RequestHead<'_>,
) -> Result<(Option<Bytes>, bool), Failure> {
    let streams_usage = matches!(endpoint, Endpoint::ChatCompletions | Endpoint::Completions);
    if !streams_usage || !provider.ask_for_usage || head.stream != Some(true) {
        return Ok((renamed.cloned(), false));
    }
    let asked = match renamed {
        None => json_check::ask_for_usage(body, head),
        Some(renamed) => {
            json_check::ask_for_usage(renamed, &json_check::check(renamed, json_check::MAX_KEYS)?)
        }
    };
    let usage_asked = asked.is_some();
    Ok((asked.or_else(|| renamed.cloned()), usage_asked))
}

pub(super) fn unknown_target(none: NoTarget, table: &Table) -> Failure {
    match none {
        NoTarget::UnknownModel { model } => Failure::UnknownModel {
            nearest: table.nearest(&model),
            model,
        },
        NoTarget::MissingModel => Failure::MissingModel,
        NoTarget::UnknownProvider => Failure::UnknownPath,
    }
}
