//! Which provider, model and key an exchange goes to. Pure: it chooses from what it is given, and never sends. What is
//! shared by all workers, the table of targets, pools of keys and what is known of them, is in [`Routing`].

pub mod breaker;
pub mod budget;
pub mod by_metrics;
pub mod candidates;
pub mod current;
pub mod explain;
pub mod failover;
pub mod figures;
pub mod health;
pub mod key_pool;
pub mod lists;
pub mod table;
pub mod target;
pub mod weighted;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::clock::{Clock, Dice};
use crate::config::{Config, LogicalModelConfig, PriceConfig, ProviderConfig, RoutingConfig};
use crate::routing::breaker::BreakerSettings;
use crate::routing::budget::RetryBudget;
use crate::routing::health::{Health, TargetState};
use crate::routing::key_pool::{KeyPool, KeySpec};
use crate::routing::table::{Parts, Table};
use crate::upstream::discovery::{Discovery, ModelLists, Refresher, Snapshot};
use crate::upstream::provider::Provider;

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

/// Extra tries that are always within the retry budget, in ten seconds.
const LEAST_RETRIES: u32 = 10;

/// What all workers choose by, for one configuration.
pub struct Routing {
    /// What holds for every choice.
    pub settings: RoutingConfig,
    /// How many tries beyond the first there may be.
    pub budget: RetryBudget,
    /// Chance.
    pub dice: Dice,
    /// What is known of targets; of those that stay it outlives a configuration.
    pub health: Arc<Health>,
    providers: Arc<[Provider]>,
    pools: Vec<Arc<KeyPool>>,
    states: Vec<Arc<TargetState>>,
    logical: Vec<LogicalModelConfig>,
    prices: Vec<PriceConfig>,
    lists: Arc<ModelLists>,
    refresher: Refresher,
    /// What the table is made of.
    snapshot: RwLock<Arc<Snapshot>>,
    table: RwLock<Arc<Table>>,
}

impl Routing {
    /// For a configuration and its providers. `before`: that of the configuration before, whose keys and figures stay known.
    pub fn new(
        config: &Config,
        providers: Arc<[Provider]>,
        clock: &Clock,
        before: Option<&Self>,
    ) -> Self {
        let now = clock.now();
        let settings = config.routing.clone();
        let is_same = |before: &&Self| has_same_breakers(&before.settings, &settings);
        let health = match before.filter(is_same) {
            Some(before) => before.health.of_those_who_stay(|name| {
                let mut providers = providers.iter();
                let provider = providers.find(|provider| provider.name == name);
                provider.is_some_and(|provider| before.index_of(provider).is_some())
            }),
            None => Health::new(now, breaker_settings(&settings)),
        };
        let health = Arc::new(health);
        let pools = config.providers.iter().zip(providers.iter());
        let pools = pools
            .map(|(config, provider)| pool(config, provider, before))
            .collect();
        let parts = Parts {
            providers: providers.clone(),
            discovered: &[],
            logical: &config.models,
            prices: &config.prices,
            strategy: settings.strategy,
            has_prefix_affinity: settings.prefix_affinity,
            health: &health,
        };
        Self {
            states: providers
                .iter()
                .map(|provider| health.of_provider(&provider.name))
                .collect(),
            budget: RetryBudget::new(now, settings.retry_budget_percent, LEAST_RETRIES),
            dice: Dice::machine(),
            table: RwLock::new(Arc::new(Table::new(&parts))),
            logical: config.models.clone(),
            prices: config.prices.clone(),
            refresher: Refresher::default(),
            lists: Arc::new(ModelLists::none()),
            snapshot: RwLock::default(),
            settings,
            health,
            providers,
            pools,
        }
    }

    /// With what these providers were found to have, and will be.
    pub fn with_lists(mut self, discovery: &Discovery) -> Self {
        self.lists = discovery.lists();
        self.refresher = discovery.refresher();
        self.follow_lists();
        // Only now is it known which models the configuration before had and this one has not.
        let table = self.table();
        self.health.retain(|state| table.has_state(state));
        self
    }

    /// The index of a provider of another configuration, if it was there in this one, at the same place.
    fn index_of(&self, provider: &Provider) -> Option<usize> {
        self.providers.iter().position(|known| {
            let is_same_place = known.base_url == provider.base_url && known.urls == provider.urls;
            known.name == provider.name && known.api.kind == provider.api.kind && is_same_place
        })
    }

    /// The table as it is now; it stays the same for who holds it.
    pub fn table(&self) -> Arc<Table> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.clone()
    }

    /// What the providers were found to have: the models of each, by its index in [`Routing::providers`], with their devices
    /// and nodes, when the list came, and why there is no newer one; `None` for a provider whose list is not asked for. What
    /// it says can be asked for: the table knows it already.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let snapshot = self.snapshot.read().unwrap_or_else(PoisonError::into_inner);
        snapshot.clone()
    }

    /// Where the lists come in. Who tells of them reads [`Routing::snapshot`].
    pub fn lists(&self) -> &Arc<ModelLists> {
        &self.lists
    }

    /// A way to have all lists asked for at once.
    pub fn refresher(&self) -> &Refresher {
        &self.refresher
    }

    /// Takes the lists of now. The table is made anew where what can be asked for has changed; most often it has not.
    pub fn follow_lists(&self) {
        let snapshot = self.lists.snapshot();
        if snapshot.version != self.snapshot().version {
            let made = Table::new(&Parts {
                providers: self.providers.clone(),
                discovered: &lists::listed(&snapshot, self.providers.len()),
                logical: &self.logical,
                prices: &self.prices,
                strategy: self.settings.strategy,
                has_prefix_affinity: self.settings.prefix_affinity,
                health: &self.health,
            });
            *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(made);
        }
        *self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    /// The keys of a provider, by its index.
    pub fn pool(&self, provider: usize) -> &KeyPool {
        &self.pools[provider]
    }

    /// What is known of a provider, by its index, whatever its models.
    pub fn provider_state(&self, provider: usize) -> &Arc<TargetState> {
        &self.states[provider]
    }

    /// The logical models, in the order of the configuration.
    pub fn logical_models(&self) -> &[LogicalModelConfig] {
        &self.logical
    }

    /// The price of a model, if the configuration has one.
    pub fn price_of(&self, model: &str) -> Option<&PriceConfig> {
        self.prices.iter().find(|price| price.model == model)
    }

    /// The providers, in the order of the configuration.
    pub fn providers(&self) -> &Arc<[Provider]> {
        &self.providers
    }
}

/// Whether breakers of the one are good for the other.
fn has_same_breakers(one: &RoutingConfig, other: &RoutingConfig) -> bool {
    let of = |settings: &RoutingConfig| (settings.breaker_failures, settings.breaker_open);
    of(one) == of(other)
}

impl fmt::Debug for Routing {
    /// Its name alone: what it knows is long, and some of it secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routing").finish_non_exhaustive()
    }
}

fn breaker_settings(settings: &RoutingConfig) -> BreakerSettings {
    BreakerSettings {
        failures: settings.breaker_failures,
        open_for: settings.breaker_open,
        ..BreakerSettings::default()
    }
}

/// The pool of a provider's keys; the one of before where its keys are the same.
fn pool(config: &ProviderConfig, provider: &Provider, before: Option<&Routing>) -> Arc<KeyPool> {
    let specs: Vec<KeySpec> = match config.api_keys.as_slice() {
        // A key that signs is not among them.
        [] => provider
            .keys
            .iter()
            .map(|key| KeySpec::plain(&key.name))
            .collect(),
        keys => keys
            .iter()
            .map(|key| KeySpec {
                name: key.name.clone(),
                weight: key.weight,
                max_rps: key.max_rps,
            })
            .collect(),
    };
    let known = before.and_then(|before| {
        let index = before.index_of(provider)?;
        let is_same = before.providers[index].has_same_keys(provider);
        before
            .pools
            .get(index)
            .filter(|pool| is_same && pool.is_of(&specs, config.key_selection))
    });
    known
        .cloned()
        .unwrap_or_else(|| Arc::new(KeyPool::new(specs, config.key_selection)))
}
