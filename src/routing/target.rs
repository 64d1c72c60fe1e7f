//! Where an exchange may go: targets, and the route that they make together.

use std::sync::{Arc, Mutex};

use crate::config::{Strategy, TargetWhen};
use crate::routing::health::TargetState;
use crate::routing::weighted::Wheel;

/// A provider and the model that it is asked for.
#[derive(Debug, Clone)]
pub struct Target {
    /// Index of the provider in the list that was given.
    pub provider: usize,
    /// The model to ask for instead of the one in the body: the name without its provider, or a logical model's own.
    pub model: Option<String>,
    /// Whether the provider does not understand the client and is asked in its own dialect.
    pub is_translated: bool,
    /// Its share among the targets of its tier; 0: only where all others fail.
    pub weight: f64,
    /// Lower ones go first.
    pub tier: u32,
    /// Where it is, in the operator's words.
    pub region: Option<Arc<str>>,
    /// Which requests it is for.
    pub when: Option<Arc<TargetWhen>>,
    /// USD for a million tokens, input and output mixed; `None`: unknown.
    pub price: Option<f64>,
    /// How it has done so far.
    pub state: Arc<TargetState>,
}

/// The targets of a request, in the order of the configuration, and how one is chosen.
#[derive(Debug)]
pub struct Route {
    /// Never empty.
    pub targets: Vec<Target>,
    /// The logical model that was asked for.
    pub logical: Option<Arc<str>>,
    /// How the first one is chosen.
    pub strategy: Strategy,
    /// Whether a session stays where it was answered well.
    pub is_sticky: bool,
    /// Whether requests that begin alike go to the same target.
    pub has_prefix_affinity: bool,
    /// The turn of each target.
    pub wheel: Mutex<Wheel>,
}

impl Route {
    /// Of one target.
    pub(super) fn only(target: Target) -> Self {
        Self::of(vec![target], Strategy::Balanced)
    }

    /// Of several.
    pub(super) fn of(targets: Vec<Target>, strategy: Strategy) -> Self {
        Self {
            wheel: Mutex::new(Wheel::new(targets.len())),
            targets,
            logical: None,
            strategy,
            is_sticky: true,
            has_prefix_affinity: false,
        }
    }

    /// The first target in the order of the configuration.
    pub fn first(&self) -> &Target {
        &self.targets[0]
    }
}
