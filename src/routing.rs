//! Which provider an exchange goes to. Pure: chooses from what it is given, never sends.

pub mod breaker;
pub mod budget;
pub mod by_metrics;
pub mod figures;

use crate::filter::{Dialect, Endpoint};
use crate::upstream::provider::Provider;

/// Where an exchange goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Index of the provider in the list that was given.
    pub provider: usize,
    /// The model to ask for instead of the one in the body, when the name had a provider's prefix.
    pub model: Option<String>,
    /// Whether the provider does not understand the client and is asked in its own dialect.
    pub is_translated: bool,
}

/// Why there is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoTarget {
    /// No provider takes the model.
    #[error("no provider takes the model '{model}'")]
    UnknownModel {
        /// As asked for.
        model: String,
    },
    /// No model is named, and only a provider of another dialect could be asked for one.
    #[error("no model is named")]
    MissingModel,
    /// The path names a provider that does not exist.
    #[error("no provider has this name")]
    UnknownProvider,
}

/// Finds the provider of a call that it takes as its own clients write it, although it is of no client's dialect: the
/// one in the path, the one before a slash in the model's name, else the first one that takes the model.
///
/// # Errors
/// [`NoTarget`]; never another model than the one asked for.
pub fn choose_own(
    providers: &[Provider],
    named: Option<&str>,
    model: &str,
    endpoint: Endpoint,
) -> Result<Target, NoTarget> {
    let find = |accepts: &dyn Fn(&Provider) -> bool| {
        let takes =
            |provider: &Provider| provider.own_call(endpoint).is_some() && accepts(provider);
        providers.iter().position(takes)
    };
    let target = |provider: usize, model: Option<&str>| Target {
        provider,
        model: model.map(str::to_owned),
        is_translated: false,
    };
    if let Some(name) = named {
        let found = find(&|provider| provider.name == name).ok_or(NoTarget::UnknownProvider)?;
        return Ok(target(found, None));
    }
    let prefixed = model.split_once('/').filter(|(_, rest)| !rest.is_empty());
    let prefixed = prefixed.and_then(|(name, rest)| {
        let found = find(&|provider| provider.name == name)?;
        Some(target(found, Some(rest)))
    });
    let taken = || find(&|provider| provider.takes(model)).map(|found| target(found, None));
    prefixed
        .or_else(taken)
        .ok_or_else(|| NoTarget::UnknownModel {
            model: model.to_owned(),
        })
}

/// Finds the provider of a request.
///
/// `named`: the provider in the path, which takes whatever it is sent; what is `translatable` is translated for one that
/// has no clients of its own. Else only providers count that understand clients
/// of this `dialect`, or, where the call is `translatable`, that can be asked in their own: `provider/model` wins, then the
/// first one that takes the model. One that is asked in the client's own dialect goes first, unless it takes every name and
/// the other one names this model. A request without a model goes to the first one of the dialect. Names with a slash are
/// models unless the first part is a provider's name.
///
/// # Errors
/// [`NoTarget`]; never another model than the one asked for.
pub fn choose(
    providers: &[Provider],
    named: Option<&str>,
    model: Option<&str>,
    dialect: Dialect,
    translatable: Option<Endpoint>,
) -> Result<Target, NoTarget> {
    let by_name = |name: &str| providers.iter().position(|provider| provider.name == name);
    let first = |dialect| {
        providers
            .iter()
            .position(|provider| provider.speaks(dialect))
    };
    let is_foreign = |provider: &Provider| {
        let call = translatable.and_then(|endpoint| provider.generation(endpoint));
        call.is_some() && !provider.speaks(dialect)
    };
    let native = |provider: usize| Target {
        provider,
        model: None,
        is_translated: false,
    };
    if let Some(name) = named {
        // `/openai/…`, `/anthropic/…`, `/googleaistudio/…` and `/bedrock-claude/…` mean the first provider of that kind where none has that name.
        let provider = by_name(name)
            .or_else(|| first(Dialect::Openai).filter(|_| name == "openai"))
            .or_else(|| first(Dialect::Anthropic).filter(|_| name == "anthropic"))
            .or_else(|| first(Dialect::Gemini).filter(|_| name == "googleaistudio"))
            .or_else(|| first(Dialect::Bedrock).filter(|_| name == "bedrock-claude"))
            .ok_or(NoTarget::UnknownProvider)?;
        return Ok(Target {
            is_translated: providers[provider].has_no_clients() && is_foreign(&providers[provider]),
            ..native(provider)
        });
    }
    let Some(model) = model else {
        let none = match providers.iter().any(is_foreign) {
            true => NoTarget::MissingModel,
            false => NoTarget::UnknownProvider,
        };
        return first(dialect).map(native).ok_or(none);
    };
    if let Some((name, rest)) = model.split_once('/')
        && let Some(index) = by_name(name)
        && let provider = &providers[index]
        && (provider.speaks(dialect) || is_foreign(provider))
        && !rest.is_empty()
    {
        return Ok(Target {
            provider: index,
            model: Some(rest.to_owned()),
            is_translated: !provider.speaks(dialect),
        });
    }
    let find = |accepts: &dyn Fn(&Provider) -> bool| providers.iter().position(accepts);
    let own = find(&|provider| provider.speaks(dialect) && provider.takes(model));
    if let Some(own) = own.filter(|own| providers[*own].names(model)) {
        return Ok(native(own));
    }
    let foreign = |provider: usize| Target {
        is_translated: true,
        ..native(provider)
    };
    find(&|provider| is_foreign(provider) && provider.names(model))
        .map(foreign)
        .or_else(|| own.map(native))
        .or_else(|| find(&|provider| is_foreign(provider) && provider.takes(model)).map(foreign))
        .ok_or_else(|| NoTarget::UnknownModel {
            model: model.to_owned(),
        })
}
