//! What can be asked for, as far as it is known without asking anybody: logical models, what was found, what is listed,
//! and patterns that take more.

use serde::Serialize;

use crate::config::Config;
use crate::upstream::discovery::DiscoverySettings;
use crate::upstream::discovery::cache::Cached;
use crate::upstream::provider::Provider;

/// What models of providers that name no device run on.
const API: &str = "API";

/// A name that can be asked for, and one place where it goes.
#[derive(Debug, Serialize)]
pub(super) struct Place<'a> {
    /// The name, or a pattern of names.
    pub(super) name: String,
    pub(super) provider: &'a str,
    /// What the provider calls it; `None` for a pattern: as it was asked for.
    pub(super) model: Option<&'a str>,
    /// Whence it is known.
    pub(super) source: &'static str,
    /// What it runs on, where that is known.
    pub(super) device: Option<&'a str>,
    /// How many nodes serve it, where there are such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nodes: Option<u32>,
}

/// All of them: logical models, then provider by provider.
pub(super) fn places<'a>(
    config: &'a Config,
    providers: &'a [Provider],
    cached: &'a Cached,
) -> Vec<Place<'a>> {
    let place = |name: String, provider: &'a str, source| Place {
        name,
        provider,
        model: None,
        source,
        device: None,
        nodes: None,
    };
    let mut places = Vec::new();
    for logical in &config.models {
        places.extend(logical.targets.iter().map(|target| Place {
            model: Some(&target.model),
            ..place(logical.name.clone(), &target.provider, "logical")
        }));
    }
    for (index, (config, provider)) in config.providers.iter().zip(providers).enumerate() {
        let name = config.name.as_str();
        let found = cached.of(provider).filter(|_| config.models.discover);
        if let Some(found) = found {
            let filter = DiscoverySettings::of_one(index, config).filter(found.refused.clone());
            let before = filter.before_names();
            let counted = found.models.iter().filter(|model| filter.counts(&model.id));
            places.extend(counted.map(|model| Place {
                model: Some(&model.id),
                device: Some(model.device.as_deref().unwrap_or(API)),
                nodes: model.device.as_ref().map(|_| model.nodes),
                ..place(format!("{before}{}", model.id), name, "discovered")
            }));
        }
        places.extend(config.models.list.iter().map(|model| Place {
            model: Some(model),
            ..place(model.clone(), name, "listed")
        }));
        let allowed = config.models.allow.iter();
        places.extend(allowed.map(|glob| place(glob.as_str().to_owned(), name, "allowed pattern")));
    }
    places
}
