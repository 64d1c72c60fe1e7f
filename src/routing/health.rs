//! How targets do: what is known of each by its provider's and its model's name, so that it outlives the table that the
//! targets stand in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::routing::breaker::{Breaker, BreakerSettings, BreakerState};
use crate::routing::figures::Figures;

/// Most targets of which figures of their own are kept; further ones share those of their provider.
const MOST_TARGETS: usize = 20_000;

/// What is known of one target.
#[derive(Debug)]
pub struct TargetState {
    /// Its provider's name.
    pub provider: Box<str>,
    /// The model as the provider knows it; empty for the provider as a whole.
    pub model: Box<str>,
    /// Its times, errors and what is in flight.
    pub figures: Figures,
    /// Whether it is tried at all.
    pub breaker: Breaker,
}

impl TargetState {
    /// Whether it is tried only where no other is left: it cools down, or its circuit is open.
    pub fn is_passed_over(&self, now: Instant) -> bool {
        let is_open = || matches!(self.breaker.state(now), BreakerState::Open { .. });
        self.breaker.cooling_until(now).is_some() || is_open()
    }
}

/// What is known of all targets. One for a configuration; what is known of those that stay is the same in the next.
#[derive(Debug)]
pub struct Health {
    base: Instant,
    settings: BreakerSettings,
    known: Mutex<HashMap<String, HashMap<String, Arc<TargetState>>>>,
}

impl Health {
    /// Nothing is known at `base`.
    pub fn new(base: Instant, settings: BreakerSettings) -> Self {
        Self {
            base,
            settings,
            known: Mutex::default(),
        }
    }

    /// The same for another configuration, which has these providers still.
    pub fn of_those_who_stay(&self, stays: impl Fn(&str) -> bool) -> Self {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let staying = known.iter().filter(|(provider, _)| stays(provider));
        let staying = staying.map(|(provider, models)| (provider.clone(), models.clone()));
        Self {
            base: self.base,
            settings: self.settings.clone(),
            known: Mutex::new(staying.collect()),
        }
    }

    /// Forgets all others. Who holds what was known of one of them holds it still.
    pub fn retain(&self, stays: impl Fn(&TargetState) -> bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for models in known.values_mut() {
            models.retain(|_, state| stays(state));
        }
        known.retain(|_, models| !models.is_empty());
    }

    /// What is known of a provider, whatever its models.
    pub fn of_provider(&self, provider: &str) -> Arc<TargetState> {
        self.of_target(provider, "")
    }

    /// What is known of a provider's model. Made when first asked for.
    pub fn of_target(&self, provider: &str, model: &str) -> Arc<TargetState> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = known.get(provider).and_then(|models| models.get(model)) {
            return state.clone();
        }
        let count: usize = known.values().map(HashMap::len).sum();
        let models = known.entry(provider.to_owned()).or_default();
        let model = if count < MOST_TARGETS { model } else { "" };
        // Where its provider is not reached, a new one is not either.
        let breaker = match models.get("") {
            Some(provider) => provider.breaker.like(),
            None => Breaker::new(self.settings.clone()),
        };
        let state = models.entry(model.to_owned());
        let new = || {
            Arc::new(TargetState {
                provider: provider.into(),
                model: model.into(),
                figures: Figures::new(self.base),
                breaker,
            })
        };
        state.or_insert_with(new).clone()
    }

    /// What is known of all targets, in no order, but of no more than `most`.
    pub fn states(&self, most: usize) -> Vec<Arc<TargetState>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let states = known.values().flat_map(HashMap::values);
        states.take(most).cloned().collect()
    }

    /// How well each provider is of which something is known, by name: 1 well, 0.5 one of its models cools down or is
    /// probed, 0 the circuit of one is open.
    pub fn levels(&self, now: Instant) -> Vec<(String, f64)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let level = |state: &Arc<TargetState>| match state.breaker.state(now) {
            BreakerState::Open { .. } => 0.0,
            BreakerState::HalfOpen { .. } => 0.5,
            BreakerState::Closed if state.breaker.cooling_until(now).is_some() => 0.5,
            BreakerState::Closed => 1.0,
        };
        let mut levels: Vec<(String, f64)> = known
            .iter()
            .map(|(name, models)| (name.clone(), models.values().map(level).fold(1.0, f64::min)))
            .collect();
        levels.sort_by(|(a, _), (b, _)| a.cmp(b));
        levels
    }

    /// The models of a provider of which something is known, with what it is, by name.
    pub fn models_of(&self, provider: &str) -> Vec<(String, Arc<TargetState>)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let models = known.get(provider).into_iter().flatten();
        let mut models: Vec<_> = models
            .filter(|(model, _)| !model.is_empty())
            .map(|(model, state)| (model.clone(), state.clone()))
            .collect();
        models.sort_by(|(a, _), (b, _)| a.cmp(b));
        models
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn models_of_a_provider_that_is_not_reached_are_not_either() {
        let now = Clock::manual(0).now();
        let health = Health::new(now, BreakerSettings::default());
        let before = health.of_target("a", "m-1");
        for _ in 0..5 {
            health.of_provider("a").breaker.failed(now, now);
        }
        assert!(health.of_target("a", "m-2").is_passed_over(now));
        assert!(!health.of_target("b", "m-2").is_passed_over(now));
        // What was known stays.
        assert!(Arc::ptr_eq(&before, &health.of_target("a", "m-1")));
        assert!(!before.is_passed_over(now));
        assert_eq!(health.models_of("a").len(), 2);
    }
}
