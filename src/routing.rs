//! Which provider an exchange goes to. Pure: chooses from what it is given, never sends.

use crate::filter::Dialect;
use crate::upstream::provider::Provider;

/// Where an exchange goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Index of the provider in the list that was given.
    pub provider: usize,
    /// The model to ask for instead of the one in the body, when the name had a provider's prefix.
    pub model: Option<String>,
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
    /// The path names a provider that does not exist.
    #[error("no provider has this name")]
    UnknownProvider,
}

/// Finds the provider of a request.
///
/// `named`: the provider in the path, which takes whatever it is sent. Else only providers count that understand clients
/// of this `dialect`: `provider/model` wins, then the first one that takes the model; a request without a model goes to
/// the first one. Names with a slash are models unless the first part is a provider's name.
///
/// # Errors
/// [`NoTarget`]; never another model than the one asked for.
pub fn choose(
    providers: &[Provider],
    named: Option<&str>,
    model: Option<&str>,
    dialect: Dialect,
) -> Result<Target, NoTarget> {
    let by_name = |name: &str| providers.iter().position(|provider| provider.name == name);
    let first = |dialect| {
        providers
            .iter()
            .position(|provider| provider.speaks(dialect))
    };
    if let Some(name) = named {
        // `/openai/…` and `/googleaistudio/…` mean the first provider of that kind where none has that name.
        let provider = by_name(name)
            .or_else(|| first(Dialect::Openai).filter(|_| name == "openai"))
            .or_else(|| first(Dialect::Gemini).filter(|_| name == "googleaistudio"))
            .ok_or(NoTarget::UnknownProvider)?;
        return Ok(Target {
            provider,
            model: None,
        });
    }
    let Some(model) = model else {
        return first(dialect)
            .map(|provider| Target {
                provider,
                model: None,
            })
            .ok_or(NoTarget::UnknownProvider);
    };
    if let Some((name, rest)) = model.split_once('/')
        && let Some(provider) = by_name(name)
        && providers[provider].speaks(dialect)
        && !rest.is_empty()
    {
        return Ok(Target {
            provider,
            model: Some(rest.to_owned()),
        });
    }
    providers
        .iter()
        .position(|provider| provider.speaks(dialect) && provider.takes(model))
        .map(|provider| Target {
            provider,
            model: None,
        })
        .ok_or_else(|| NoTarget::UnknownModel {
            model: model.to_owned(),
        })
}
