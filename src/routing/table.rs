//! Which targets a request has: by a logical model, a provider's name before a slash, the providers that name the model,
//! else the first that takes any. Immutable; made anew when the configuration or what providers list has changed. Over 400
//! lines: every way in which a name resolves, in one place.

mod build;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::config::Strategy;
use crate::filter::{Dialect, Endpoint};
use crate::routing::NoTarget;
use crate::routing::health::{Health, TargetState};
use crate::routing::target::{Route, Target};
use crate::upstream::provider::Provider;

pub use self::build::Parts;

/// Most sets of providers whose routes are kept. A route is large where many providers have patterns.
const MOST_SETS: usize = 1_000;

/// Most names that are remembered by which patterns they have, and the longest of them in bytes.
const MOST_LATELY: usize = 1_000;
const LONGEST_LATELY: usize = 256;

/// No model is asked for by this name.
const NO_NAME: &str = "";

/// A model that a provider lists, by the name that clients ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What clients ask for.
    pub name: String,
    /// What the provider is asked for, where that is another name.
    pub upstream: Option<String>,
}

/// Which calls a provider must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// It understands these clients, or, where the call is `translatable`, can be asked in its own dialect.
    Clients {
        /// Whose clients.
        dialect: Dialect,
        /// The call, where calls of its kind are translated.
        translatable: Option<Endpoint>,
    },
    /// A call of its own, which is of no client's dialect.
    Own(Endpoint),
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The provider in the path, which takes whatever it is sent.
    pub named: Option<&'a str>,
    /// The model that the request names.
    pub model: Option<&'a str>,
    /// Which calls count.
    pub reach: Reach,
}

/// See the module.
pub struct Table {
    providers: Arc<[Provider]>,
    states: Vec<Arc<TargetState>>,
    by_name: HashMap<String, usize>,
    /// Who lists a model, in the order of the configuration.
    listed: HashMap<String, Vec<(usize, Option<String>)>>,
    /// Providers that take names by patterns that are not true of every name.
    with_patterns: Vec<usize>,
    /// The names that the configuration or a provider's list has, with the providers that are asked for them. Others are
    /// made up by clients: nothing is kept for each of those.
    known: HashMap<String, Vec<usize>>,
    logical: HashMap<String, Logical>,
    prices: HashMap<String, f64>,
    strategy: Strategy,
    has_prefix_affinity: bool,
    /// Whether a provider denies names.
    has_denials: bool,
    health: Arc<Health>,
    kept: RwLock<HashMap<Reach, Kept>>,
}

/// Routes that were made before, so that their targets take turns.
#[derive(Default)]
struct Kept {
    /// By names that are known.
    names: HashMap<String, Arc<Route>>,
    /// By the providers that take a name by patterns alone. Such names differ in nothing else.
    sets: HashMap<Vec<usize>, Arc<Route>>,
    /// Names of such kind that came lately: looking for their patterns again would take the longer, the more providers there
    /// are. Forgotten all at once where there are too many; the turns stand with the sets.
    lately: HashMap<String, Arc<Route>>,
}

#[derive(Debug)]
struct Logical {
    name: Arc<str>,
    strategy: Strategy,
    is_sticky: bool,
    has_prefix_affinity: bool,
    targets: Vec<Target>,
}

impl Table {
    /// The providers, in the order of the configuration.
    pub fn providers(&self) -> &Arc<[Provider]> {
        &self.providers
    }

    /// What is known of a provider, whatever its models.
    pub fn state(&self, provider: usize) -> &Arc<TargetState> {
        &self.states[provider]
    }

    /// Finds the targets of a request.
    ///
    /// A provider in the path is the only one. A logical model has its own, and no others where none of them is reached;
    /// `provider/model` means that provider. Else
    /// those count that name the model, who understands the client before who is asked in its own dialect; where nobody
    /// does, the first that takes any name, in the same order. A request without a model goes to the first one that
    /// understands the client. Names with a slash are models unless the first part is a provider's name.
    ///
    /// # Errors
    /// [`NoTarget`]; never another model than the one asked for.
    pub fn route(&self, question: Question<'_>) -> Result<Arc<Route>, NoTarget> {
        let Question {
            named,
            model,
            reach,
        } = question;
        if let Some(name) = named {
            return self.named(name, reach).map(Arc::new);
        }
        let Some(model) = model else {
            return self.without_model(reach).map(Arc::new);
        };
        if let Some(known) = self.kept(reach, model).filter(|_| model != NO_NAME) {
            return Ok(known);
        }
        let found = match self.logical.get(model) {
            Some(logical) => self
                .of_logical(logical, reach)
                .map(|route| self.keep(reach, model, route)),
            None => self
                .prefixed(model, reach)
                .map(|only| Arc::new(Route::only(only)))
                .or_else(|| self.of_those_who_name(model, reach))
                .or_else(|| self.of_who_takes_any(model, reach)),
        };
        found.ok_or_else(|| NoTarget::UnknownModel {
            model: model.to_owned(),
        })
    }

    /// The first that takes any name. The same for all names where nobody denies one, so it is kept under none.
    fn of_who_takes_any(&self, model: &str, reach: Reach) -> Option<Arc<Route>> {
        if let Some(known) = self.kept(reach, NO_NAME).filter(|_| !self.has_denials) {
            return Some(known);
        }
        let takes_any = |provider: &Provider| provider.takes_any() && !provider.denies(model);
        let route = Route::only(self.first_that(reach, takes_any)?);
        Some(match self.has_denials {
            true => Arc::new(route),
            false => self.keep(reach, NO_NAME, route),
        })
    }

    /// Whether a provider says of this model that it takes it.
    pub fn names(&self, provider: usize, model: &str) -> bool {
        let listed = self.listed.get(model);
        let is_listed =
            listed.is_some_and(|known| known.iter().any(|(index, _)| *index == provider));
        is_listed || self.providers[provider].matches(model)
    }

    /// Whether a provider takes this model.
    pub fn takes(&self, provider: usize, model: &str) -> bool {
        let taker = &self.providers[provider];
        self.names(provider, model) || taker.takes_any() && !taker.denies(model)
    }

    /// The names of the logical models, sorted.
    pub fn logical_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.logical.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Every name that a provider lists, or a logical model has, sorted, with the indices of the providers.
    pub fn names_listed(&self) -> Vec<(&str, Vec<usize>)> {
        let listed = self.listed.iter().map(|(name, by)| {
            let by = by.iter().map(|(index, _)| *index).collect();
            (name.as_str(), by)
        });
        let mut names: Vec<_> = listed.collect();
        names.sort_unstable();
        names
    }

    fn target(&self, index: usize, model: Option<String>, is_translated: bool) -> Target {
        let provider = &self.providers[index];
        let state = match &model {
            None => self.states[index].clone(),
            Some(model) => self.health.of_target(&provider.name, model),
        };
        let price = model.as_ref().and_then(|model| self.prices.get(model));
        Target {
            provider: index,
            price: price.copied(),
            model,
            is_translated,
            weight: provider.weight,
            tier: 0,
            region: provider.region.clone(),
            when: None,
            state,
        }
    }

    /// The target that a provider is for a model of this name, with figures of its own.
    fn target_of(
        &self,
        index: usize,
        name: &str,
        upstream: Option<String>,
        reach: Reach,
    ) -> Option<Target> {
        let is_translated = self.reached(index, reach)?;
        let asked = upstream.as_deref().unwrap_or(name);
        Some(Target {
            state: self.state_of(index, asked),
            price: self
                .prices
                .get(asked)
                .or_else(|| self.prices.get(name))
                .copied(),
            // Who understands the client goes first.
            tier: u32::from(is_translated),
            is_translated,
            model: upstream,
            ..self.target(index, None, is_translated)
        })
    }

    /// What is known of a provider's model. Whatever name a client makes up has no figures of its own.
    fn state_of(&self, index: usize, asked: &str) -> Arc<TargetState> {
        match self.has_own_state(index, asked) {
            true => self.health.of_target(&self.providers[index].name, asked),
            false => self.states[index].clone(),
        }
    }

    fn has_own_state(&self, index: usize, asked: &str) -> bool {
        let matches = || self.providers[index].matches(asked);
        let known = self.known.get(asked);
        known.is_some_and(|by| by.contains(&index) || matches())
    }

    /// Whether it is a target's of this table.
    pub fn has_state(&self, state: &TargetState) -> bool {
        let index = self.by_name.get(&*state.provider);
        index
            .is_some_and(|index| state.model.is_empty() || self.has_own_state(*index, &state.model))
    }

    /// Whether a provider can be asked; `true` where it does not understand the client.
    fn reached(&self, index: usize, reach: Reach) -> Option<bool> {
        let provider = &self.providers[index];
        match reach {
            Reach::Own(endpoint) => provider.own_call(endpoint).map(|_| false),
            Reach::Clients { dialect, .. } if provider.speaks(dialect) => Some(false),
            Reach::Clients { translatable, .. } => provider.generation(translatable?).map(|_| true),
        }
    }

    fn named(&self, name: &str, reach: Reach) -> Result<Route, NoTarget> {
        let first = |dialect| {
            self.providers
                .iter()
                .position(|provider| provider.speaks(dialect))
        };
        let by_name = self.by_name.get(name).copied();
        if let Reach::Own(_) = reach {
            let own = by_name.filter(|index| self.reached(*index, reach).is_some());
            let own = own.ok_or(NoTarget::UnknownProvider)?;
            return Ok(Route::only(self.target(own, None, false)));
        }
        // `/openai/…`, `/anthropic/…`, `/googleaistudio/…` and `/bedrock-claude/…` mean the first provider of that kind where none has that name.
        let index = by_name
            .or_else(|| first(Dialect::Openai).filter(|_| name == "openai"))
            .or_else(|| first(Dialect::Anthropic).filter(|_| name == "anthropic"))
            .or_else(|| first(Dialect::Gemini).filter(|_| name == "googleaistudio"))
            .or_else(|| first(Dialect::Bedrock).filter(|_| name == "bedrock-claude"))
            .ok_or(NoTarget::UnknownProvider)?;
        let is_foreign = self.reached(index, reach) == Some(true);
        let is_translated = self.providers[index].has_no_clients() && is_foreign;
        Ok(Route::only(self.target(index, None, is_translated)))
    }

    fn without_model(&self, reach: Reach) -> Result<Route, NoTarget> {
        let reached = |index| self.reached(index, reach);
        let mut indices = 0..self.providers.len();
        match indices.clone().find(|index| reached(*index) == Some(false)) {
            Some(index) => Ok(Route::only(self.target(index, None, false))),
            None if indices.any(|index| reached(index) == Some(true)) => {
                Err(NoTarget::MissingModel)
            }
            None => Err(NoTarget::UnknownProvider),
        }
    }

    fn of_logical(&self, logical: &Logical, reach: Reach) -> Option<Route> {
        let targets: Vec<Target> = logical
            .targets
            .iter()
            .filter_map(|target| {
                let is_translated = self.reached(target.provider, reach)?;
                Some(Target {
                    is_translated,
                    ..target.clone()
                })
            })
            .collect();
        (!targets.is_empty()).then(|| Route {
            logical: Some(logical.name.clone()),
            is_sticky: logical.is_sticky,
            has_prefix_affinity: logical.has_prefix_affinity,
            ..Route::of(targets, logical.strategy)
        })
    }

    fn prefixed(&self, model: &str, reach: Reach) -> Option<Target> {
        let (name, rest) = model.split_once('/').filter(|(_, rest)| !rest.is_empty())?;
        let index = *self.by_name.get(name)?;
        let is_translated = self.reached(index, reach)?;
        // A discovered name may be another one upstream.
        let known = self.listed.get(rest).into_iter().flatten();
        let mut own = known.filter(|(provider, _)| *provider == index);
        let own = own.find_map(|(_, upstream)| upstream.as_deref());
        let asked = own.unwrap_or(rest);
        Some(Target {
            model: Some(asked.to_owned()),
            price: self.prices.get(asked).copied(),
            state: self.state_of(index, asked),
            ..self.target(index, None, is_translated)
        })
    }

    fn of_those_who_name(&self, model: &str, reach: Reach) -> Option<Arc<Route>> {
        let known = self.listed.get(model).map_or(&[][..], Vec::as_slice);
        let listed = known
            .iter()
            .filter(|(index, _)| !self.providers[*index].denies(model));
        let mut named: Vec<(usize, Option<String>)> = listed.cloned().collect();
        for index in &self.with_patterns {
            let is_listed = named.iter().any(|(known, _)| known == index);
            if !is_listed && self.providers[*index].matches(model) {
                named.push((*index, None));
            }
        }
        named.sort_by_key(|(index, _)| *index);
        let set: Option<Vec<usize>> = (!self.known.contains_key(model))
            .then(|| named.iter().map(|(index, _)| *index).collect());
        if let Some(kept) = set.as_ref().and_then(|set| self.kept_for(reach, set)) {
            self.remember(reach, model, &kept);
            return Some(kept);
        }
        let mut targets: Vec<Target> = named
            .into_iter()
            .filter_map(|(index, upstream)| self.target_of(index, model, upstream, reach))
            .collect();
        if self.strategy == Strategy::Priority {
            // In the order of the list, who understands the client before who is translated.
            targets.sort_by_key(|target| target.tier);
            for (target, place) in targets.iter_mut().zip(0..) {
                target.tier = place;
            }
        }
        if targets.is_empty() {
            return None;
        }
        let route = Route {
            has_prefix_affinity: self.has_prefix_affinity,
            ..Route::of(targets, self.strategy)
        };
        Some(match set {
            Some(set) => self.keep_for(reach, set, route),
            None => self.keep(reach, model, route),
        })
    }

    /// The first provider that is accepted, one that understands the client before others.
    fn first_that(&self, reach: Reach, accepts: impl Fn(&Provider) -> bool) -> Option<Target> {
        let found = |is_translated: bool| {
            (0..self.providers.len()).find(|index| {
                let is_reached = self.reached(*index, reach) == Some(is_translated);
                is_reached && accepts(&self.providers[*index])
            })
        };
        let native = found(false).map(|index| self.target(index, None, false));
        native.or_else(|| found(true).map(|index| self.target(index, None, true)))
    }

    fn kept(&self, reach: Reach, model: &str) -> Option<Arc<Route>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get(&reach)?;
        kept.names
            .get(model)
            .or_else(|| kept.lately.get(model))
            .cloned()
    }

    /// Remembers the route of a name that nothing but patterns is true of.
    fn remember(&self, reach: Reach, model: &str, route: &Arc<Route>) {
        if LONGEST_LATELY < model.len() {
            return;
        }
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        let lately = &mut kept.entry(reach).or_default().lately;
        if MOST_LATELY <= lately.len() {
            lately.clear();
        }
        lately.insert(model.to_owned(), route.clone());
    }

    /// Keeps the route of a name that is known. There are no more than the configuration and lists have.
    fn keep(&self, reach: Reach, model: &str, route: Route) -> Arc<Route> {
        let route = Arc::new(route);
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        let names = &mut kept.entry(reach).or_default().names;
        names.entry(model.to_owned()).or_insert(route).clone()
    }

    fn kept_for(&self, reach: Reach, set: &[usize]) -> Option<Arc<Route>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.get(&reach)?.sets.get(set).cloned()
    }

    /// Keeps the route of these providers, if there is room. What is kept stays.
    fn keep_for(&self, reach: Reach, set: Vec<usize>, route: Route) -> Arc<Route> {
        let route = Arc::new(route);
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        let count: usize = kept.values().map(|kept| kept.sets.len()).sum();
        if MOST_SETS <= count {
            return route;
        }
        let sets = &mut kept.entry(reach).or_default().sets;
        sets.entry(set).or_insert(route).clone()
    }

    /// The names that are nearest to one that nobody takes; none to a logical model's that has no target for a call.
    pub fn nearest(&self, model: &str) -> Vec<String> {
        if self.logical.contains_key(model) {
            return Vec::new();
        }
        let names = self.logical.keys().chain(self.listed.keys());
        nearest(model, names.map(String::as_str))
    }
}

/// Most names that are looked through for near ones.
const MOST_COMPARED: usize = 2_000;

/// Most near names that are told.
const MOST_NEAREST: usize = 3;

fn nearest<'a>(model: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let model: String = model.chars().take(128).collect();
    let known: Vec<&str> = names.take(MOST_COMPARED).collect();
    crate::config::nearest(&model, &known, MOST_NEAREST)
        .into_iter()
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests;
