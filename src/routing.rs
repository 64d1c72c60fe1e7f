//! Which provider an exchange goes to. Pure: chooses from what it is given, never sends.

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
/// `named`: the provider in the path. Else `provider/model` wins, then the first provider that takes the model; a
/// request without a model goes to the first provider. Names with a slash are models unless the first part is
/// a provider's name.
///
/// # Errors
/// [`NoTarget`]; never another model than the one asked for.
pub fn choose(
    providers: &[Provider],
    named: Option<&str>,
    model: Option<&str>,
) -> Result<Target, NoTarget> {
    let by_name = |name: &str| providers.iter().position(|provider| provider.name == name);
    if let Some(name) = named {
        // `/openai/…` means the first provider where none has that name.
        let fallback = (name == "openai" && !providers.is_empty()).then_some(0);
        let provider = by_name(name)
            .or(fallback)
            .ok_or(NoTarget::UnknownProvider)?;
        return Ok(Target {
            provider,
            model: None,
        });
    }
    let Some(model) = model else {
        return match providers.is_empty() {
            false => Ok(Target {
                provider: 0,
                model: None,
            }),
            true => Err(NoTarget::UnknownProvider),
        };
    };
    if let Some((name, rest)) = model.split_once('/')
        && let Some(provider) = by_name(name)
        && !rest.is_empty()
    {
        return Ok(Target {
            provider,
            model: Some(rest.to_owned()),
        });
    }
    providers
        .iter()
        .position(|provider| provider.takes(model))
        .map(|provider| Target {
            provider,
            model: None,
        })
        .ok_or_else(|| NoTarget::UnknownModel {
            model: model.to_owned(),
        })
}
