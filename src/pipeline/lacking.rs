//! What a client calls and its model's provider does not have: its kind has no such call, and none of its own that could
//! stand for it.

use crate::filter::{Dialect, Endpoint};
use crate::pipeline::Worker;
use crate::pipeline::exchange::Exchange;
use crate::pipeline::failure::Failure;
use crate::pipeline::translation;
use crate::routing::table::{Question, Reach};
use crate::upstream::provider::Provider;

/// The calls that not every kind has or has another one for, and what they ask for. All others are texts, which are
/// translated for every kind, and lists of models.
const NOT_EVERYWHERE: &[(Endpoint, &str)] = &[
    (Endpoint::Embeddings, "embeddings"),
    (Endpoint::EmbedContent, "embeddings"),
    (Endpoint::MessagesCountTokens, COUNTS),
    (Endpoint::CountTokens, COUNTS),
    (Endpoint::ArgoChat, "call of Argo's"),
    (Endpoint::Passthrough, "such call"),
];

const COUNTS: &str = "counts of tokens";

/// Whether the provider that makes texts with this model can be asked for what the client calls.
///
/// # Errors
/// [`Failure`] when its kind has none, and no other provider takes the call: never a guess of ours in the place of a count
/// of tokens, and nobody is asked for another one's model.
pub(super) fn check(
    exchange: &Exchange,
    model: Option<&str>,
    worker: &Worker,
) -> Result<(), Failure> {
    let (endpoint, dialect) = (exchange.endpoint, exchange.dialect);
    let mut calls = NOT_EVERYWHERE.iter();
    let Some((_, lacks)) = calls.find(|(call, _)| *call == endpoint) else {
        return Ok(());
    };
    let named = exchange.provider.as_deref();
    let providers = &worker.providers;
    let table = worker.routing.table();
    let find = |translatable: Option<Endpoint>| {
        let reach = Reach::Clients {
            dialect,
            translatable,
        };
        let question = Question {
            named,
            model,
            reach,
        };
        table.route(question).ok()
    };
    let Some(route) = find(Some(Endpoint::ChatCompletions)) else {
        return Ok(());
    };
    let target = route.first();
    let provider = &providers[target.provider];
    // A provider in the path gets what it is sent, unless nobody is its client.
    let is_its_own =
        named.is_some() && (!target.is_translated || endpoint == Endpoint::Passthrough);
    if is_its_own || has(provider, endpoint, dialect) {
        return Ok(());
    }
    // Who takes every name knows no better than who says this one.
    let names = |index: usize| model.is_some_and(|model| table.names(index, model));
    let is_said = target.model.is_some() || names(target.provider);
    let translatable = translation::is_translated(endpoint).then_some(endpoint);
    let other = find(translatable).map(|route| route.first().provider);
    let other = other.filter(|other| *other != target.provider);
    let is_anothers = match endpoint {
        // Its models are Argo's, unless somebody says otherwise.
        Endpoint::ArgoChat => !is_said,
        Endpoint::Passthrough => other.is_some(),
        _ => other.is_some_and(|other| !is_said || names(other)),
    };
    if is_anothers {
        return Ok(());
    }
    Err(match *lacks {
        COUNTS => {
            let counting = providers.iter().filter(|other| other.speaks(dialect));
            Failure::CountNotTranslated {
                model: model.unwrap_or_default().to_owned(),
                counting: counting.map(|provider| provider.name.clone()).collect(),
            }
        }
        lacks => Failure::LacksCall {
            model: model.map(str::to_owned),
            kind: provider.api.kind,
            lacks,
        },
    })
}

/// Whether a provider can be asked for what is called.
fn has(provider: &Provider, endpoint: Endpoint, dialect: Dialect) -> bool {
    match endpoint {
        Endpoint::ArgoChat => provider.own_call(endpoint).is_some(),
        Endpoint::Embeddings | Endpoint::EmbedContent => {
            provider.speaks(dialect) || provider.generation(endpoint).is_some()
        }
        _ => provider.speaks(dialect),
    }
}
