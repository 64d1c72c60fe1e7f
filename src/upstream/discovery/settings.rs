//! What of the configuration decides whether and how a provider's list is looked at.

use std::time::Duration;

use super::NameFilter;
use crate::config::{Glob, ProviderConfig};

/// What is looked at of one provider.
#[derive(Debug, Clone)]
pub struct DiscoverySettings {
    /// Its index in the configuration.
    pub provider: usize,
    /// Whether its list says which models it takes. Else it is only asked whether it is well.
    pub discovers: bool,
    /// How long a list is good.
    pub ttl: Duration,
    /// Patterns of names that count; none: all do.
    pub allow: Vec<Glob>,
    /// Patterns of names that do not.
    pub deny: Vec<Glob>,
    /// What is put before the names with a slash; empty: nothing.
    pub prefix: String,
    /// How often it is asked whether it is well, when nobody else asks it anything; `None`: never.
    pub probe: Option<Duration>,
}

impl DiscoverySettings {
    /// What of the list counts, but for what `refused` us.
    pub fn filter(&self, refused: Vec<String>) -> NameFilter {
        NameFilter {
            allow: self.allow.clone(),
            deny: self.deny.clone(),
            refused,
            prefix: self.prefix.clone(),
        }
    }

    /// Those of the configuration, of each provider that is looked at.
    pub fn of(configs: &[ProviderConfig]) -> Vec<Self> {
        let all = configs.iter().enumerate();
        let looked_at = all.filter(|(_, config)| config.models.discover || config.probe.is_some());
        looked_at
            .map(|(index, config)| Self::of_one(index, config))
            .collect()
    }

    /// Those of one provider, whether it is looked at or not.
    pub fn of_one(provider: usize, config: &ProviderConfig) -> Self {
        Self {
            provider,
            discovers: config.models.discover,
            ttl: config.models.ttl,
            allow: config.models.allow.clone(),
            deny: config.models.deny.clone(),
            prefix: config.prefix.clone(),
            probe: config.probe,
        }
    }
}
