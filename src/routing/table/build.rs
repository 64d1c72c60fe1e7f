//! Makes a table of the configuration and of what providers were found to have.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use super::{Listed, Logical, Table};
use crate::config::{LogicalModelConfig, PriceConfig, Strategy};
use crate::routing::health::Health;
use crate::routing::target::Target;
use crate::upstream::provider::Provider;

/// What a table is made of.
pub struct Parts<'a> {
    /// The providers, in the order of the configuration.
    pub providers: Arc<[Provider]>,
    /// What each of them was found to have.
    pub discovered: &'a [Vec<Listed>],
    /// The logical models.
    pub logical: &'a [LogicalModelConfig],
    /// Prices of models.
    pub prices: &'a [PriceConfig],
    /// How one of several providers of a model is chosen.
    pub strategy: Strategy,
    /// Whether requests that begin alike go to the same of several providers of a model.
    pub has_prefix_affinity: bool,
    /// What is known of targets.
    pub health: &'a Arc<Health>,
}

impl Table {
    /// Makes it.
    pub fn new(parts: &Parts<'_>) -> Self {
        let providers = parts.providers.clone();
        let indices = providers.iter().enumerate();
        let by_name: HashMap<String, usize> = indices
            .map(|(index, provider)| (provider.name.clone(), index))
            .collect();
        let mut listed: HashMap<String, Vec<(usize, Option<String>)>> = HashMap::new();
        for (index, provider) in providers.iter().enumerate() {
            let own = provider.list.iter().map(|name| (name, None));
            let found = parts.discovered.get(index).into_iter().flatten();
            let found = found.map(|found| (&found.name, found.upstream.clone()));
            for (name, upstream) in own.chain(found) {
                let known = listed.entry(name.clone()).or_default();
                if known.last().is_none_or(|(last, _)| *last != index) {
                    known.push((index, upstream));
                }
            }
        }
        let has_patterns = |provider: &Provider| provider.allow.iter().any(|glob| !glob.is_any());
        let with_patterns = providers.iter().enumerate();
        let with_patterns = with_patterns.filter(|(_, provider)| has_patterns(provider));
        let with_patterns = with_patterns.map(|(index, _)| index).collect();
        let states = providers.iter();
        let states = states.map(|provider| parts.health.of_provider(&provider.name));
        let prices = parts.prices.iter();
        let prices = prices.map(|price| (price.model.clone(), mixed(price)));
        let mut table = Self {
            states: states.collect(),
            by_name,
            listed,
            with_patterns,
            known: HashMap::new(),
            logical: HashMap::new(),
            prices: prices.collect(),
            strategy: parts.strategy,
            has_prefix_affinity: parts.has_prefix_affinity,
            has_denials: providers.iter().any(|provider| !provider.deny.is_empty()),
            health: parts.health.clone(),
            kept: RwLock::default(),
            providers,
        };
        let logical = parts.logical.iter();
        let logical = logical.map(|model| (model.name.clone(), table.logical_model(model)));
        table.logical = logical.collect();
        table.known = table.known_names();
        table
    }

    fn known_names(&self) -> HashMap<String, Vec<usize>> {
        let mut known: HashMap<String, Vec<usize>> = HashMap::new();
        for name in self.prices.keys().chain(self.listed.keys()) {
            known.entry(name.clone()).or_default();
        }
        let listed = self.listed.iter().flat_map(|(name, by)| {
            let asked = move |upstream: &Option<String>| upstream.as_ref().unwrap_or(name).clone();
            by.iter()
                .map(move |(index, upstream)| (asked(upstream), *index))
        });
        let logical = self.logical.values().flat_map(|logical| &logical.targets);
        let logical = logical.filter_map(|target| Some((target.model.clone()?, target.provider)));
        for (asked, index) in listed.chain(logical) {
            known.entry(asked).or_default().push(index);
        }
        known
    }

    fn logical_model(&self, config: &LogicalModelConfig) -> Logical {
        let targets = config.targets.iter().filter_map(|target| {
            let index = *self.by_name.get(&target.provider)?;
            // A discovered name may be another one upstream.
            let known = self.listed.get(&target.model).into_iter().flatten();
            let upstream = known
                .filter(|(provider, _)| *provider == index)
                .find_map(|(_, upstream)| upstream.clone());
            let model = upstream.unwrap_or_else(|| target.model.clone());
            Some(Target {
                weight: target.weight,
                tier: target.tier,
                region: (!target.region.is_empty()).then(|| Arc::from(&*target.region)),
                when: (!target.when.is_always()).then(|| Arc::new(target.when.clone())),
                ..self.target(index, Some(model), false)
            })
        });
        Logical {
            name: Arc::from(&*config.name),
            strategy: config.strategy,
            is_sticky: config.sticky,
            has_prefix_affinity: config.prefix_affinity,
            targets: targets.collect(),
        }
    }
}

/// The price of a token where the answer is a quarter of all, in USD for a million.
fn mixed(price: &PriceConfig) -> f64 {
    0.75 * price.input_usd_per_mtok + 0.25 * price.output_usd_per_mtok
}
