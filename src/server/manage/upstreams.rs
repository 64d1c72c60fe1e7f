//! Who would be asked for a model: its route for clients of one call, and how a target of it is shown.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::mask_url;
use crate::filter::{Dialect, Endpoint};
use crate::pipeline::failure::Failure;
use crate::pipeline::translation::is_translated;
use crate::routing::table::{Question, Reach};
use crate::routing::target::{Route, Target};
use crate::server::state::DataState;
use crate::upstream::provider::{Place, Provider};
use crate::wire::percent;

/// The calls that can be asked about, and whose clients make them. The first one whose clients reach the model counts where a
/// question names none.
const CALLS: &[(Endpoint, Dialect)] = &[
    (Endpoint::ChatCompletions, Dialect::Openai),
    (Endpoint::Completions, Dialect::Openai),
    (Endpoint::Embeddings, Dialect::Openai),
    (Endpoint::Responses, Dialect::Openai),
    (Endpoint::Messages, Dialect::Anthropic),
    (Endpoint::GenerateContent, Dialect::Gemini),
    (Endpoint::EmbedContent, Dialect::Gemini),
    (Endpoint::BedrockConverse, Dialect::Bedrock),
];

/// A model's route, with the call that it is for.
pub(super) struct Found {
    /// The targets.
    pub(super) route: Arc<Route>,
    /// The call.
    pub(super) endpoint: Endpoint,
}

/// The words of the calls that can be asked about.
pub(super) fn calls() -> Vec<&'static str> {
    CALLS.iter().map(|(call, _)| call.as_str()).collect()
}

/// The call of a word.
pub(super) fn call(word: &str) -> Option<Endpoint> {
    let found = CALLS.iter().find(|(call, _)| call.as_str() == word);
    found.map(|(call, _)| *call)
}

/// Finds the route of a model, for one call, or for the first whose clients reach it.
pub(super) fn find(
    state: &DataState,
    model: &str,
    wanted: Option<Endpoint>,
) -> Result<Found, Failure> {
    let table = state.worker.routing.table();
    let calls = CALLS.iter();
    for (endpoint, dialect) in calls.filter(|(call, _)| wanted.is_none_or(|it| it == *call)) {
        let found = table.route(Question {
            named: None,
            model: Some(model),
            reach: Reach::Clients {
                dialect: *dialect,
                translatable: is_translated(*endpoint).then_some(*endpoint),
            },
        });
        if let Ok(route) = found {
            return Ok(Found {
                route,
                endpoint: *endpoint,
            });
        }
    }
    Err(Failure::UnknownModel {
        model: model.to_owned(),
        nearest: table.nearest(model),
    })
}

/// A target. `asked`: the model that clients ask for.
pub(super) fn shown(state: &DataState, found: &Found, index: usize, asked: &str) -> Value {
    let target = &found.route.targets[index];
    let provider = &state.worker.providers[target.provider];
    let model = target.model.as_deref().unwrap_or(asked);
    json!({
        "provider_id": provider.name,
        "model_id": model,
        "endpoint": url(provider, target, found.endpoint, model).map(|url| mask_url(&url)),
        "base_weight": target.weight,
        "region": target.region.as_deref(),
        "max_qps": max_qps(state, target.provider),
        "meta_hash": null,
        "updated_at": null,
        "kind": provider.api.kind,
        "tier": target.tier,
        "is_translated": target.is_translated,
        "has_conditions": target.when.is_some(),
        "price_usd_per_mtok": target.price,
    })
}

/// What all keys of a provider may have in a second; `None` where one of them has no limit, or there is none.
fn max_qps(state: &DataState, provider: usize) -> Option<u32> {
    let pool = state.worker.routing.pool(provider);
    let keys = pool.states(state.worker.clock.now());
    let limits = keys.iter().map(|key| key.max_rps);
    let limits = limits.map(|limit| (limit != 0).then_some(limit));
    limits
        .reduce(|sum, limit| Some(sum?.saturating_add(limit?)))
        .flatten()
}

/// Where the call would go.
fn url(provider: &Provider, target: &Target, endpoint: Endpoint, model: &str) -> Option<String> {
    let (rest, query, dialect) = match target.is_translated {
        true => {
            let generation = provider.generation(endpoint)?;
            let (rest, query) = (generation.place)(model, false);
            let own = provider.api.dialects.first();
            (rest, query, own.copied().unwrap_or(Dialect::Openai))
        }
        false => {
            let (_, dialect) = CALLS.iter().find(|(call, _)| *call == endpoint)?;
            (path(endpoint, model)?, "", *dialect)
        }
    };
    Some(provider.url(&Place {
        rest: &rest,
        query,
        model: Some(model),
        dialect,
    }))
}

/// The path of a call as its clients write it, behind the version where that is theirs.
fn path(endpoint: Endpoint, model: &str) -> Option<String> {
    let mut name = String::new();
    percent::push_encoded(&mut name, model);
    Some(match endpoint {
        Endpoint::ChatCompletions => "/chat/completions".to_owned(),
        Endpoint::Completions => "/completions".to_owned(),
        Endpoint::Embeddings => "/embeddings".to_owned(),
        Endpoint::Responses => "/responses".to_owned(),
        Endpoint::Messages => "/messages".to_owned(),
        Endpoint::GenerateContent => format!("/v1beta/models/{name}:generateContent"),
        Endpoint::EmbedContent => format!("/v1beta/models/{name}:embedContent"),
        Endpoint::BedrockConverse => format!("/model/{name}/converse"),
        Endpoint::MessagesCountTokens
        | Endpoint::CountTokens
        | Endpoint::BedrockInvoke
        | Endpoint::AsksageQuery
        | Endpoint::ArgoChat
        | Endpoint::ArgoEmbed
        | Endpoint::Models
        | Endpoint::Passthrough => return None,
    })
}
