//! Checks of logical models and of regions: what they mean for the providers.

use crate::config::models::place;
use crate::config::suggest::closest;
use crate::config::{LogicalModelConfig, TargetConfig};

use super::Check;

impl Check<'_> {
    /// Every logical model, and the region that is preferred.
    pub(super) fn models(&mut self) {
        let config = self.config;
        for model in &config.models {
            self.model_name(model);
            for (index, target) in model.targets.iter().enumerate() {
                self.target(target);
                let earlier = model.targets.iter().take(index);
                let is_same = |other: &&TargetConfig| {
                    let names = |one: &TargetConfig| (one.provider.clone(), one.model.clone());
                    names(other) == names(target) && other.when == target.when
                };
                if let Some(other) = earlier.into_iter().find(is_same) {
                    let message = format!("is {} once more; add the weights there", other.place);
                    self.report(&target.place, message);
                }
            }
        }
        self.preferred_region();
    }

    fn model_name(&mut self, model: &LogicalModelConfig) {
        const LONGEST: usize = 512;
        let name = &model.name;
        let path = place(name);
        let is_plain = !name.chars().any(char::is_control) && name.trim() == name;
        if name.is_empty() || !is_plain || LONGEST < name.len() {
            let message = format!(
                "not a model's name; allowed: 1 to {LONGEST} bytes without white space at its ends"
            );
            self.report(&path, message);
        } else if name.contains('*') {
            self.report(&path, "is one name, not a pattern: `*` is not allowed");
        }
        let first = name.split_once('/').map(|(first, _)| first);
        let providers = self.config.providers.iter();
        if let Some(first) = first
            && providers.into_iter().any(|known| known.name == first)
        {
            let message =
                format!("`{first}/` stands for the provider's own models; choose another name");
            self.report(&path, message);
        }
    }

    fn target(&mut self, target: &TargetConfig) {
        let providers = self.config.providers.iter();
        let known: Vec<&str> = providers.map(|known| known.name.as_str()).collect();
        if known.contains(&target.provider.as_str()) {
            return;
        }
        let meant = closest(&target.provider, &known)
            .map(|meant| format!(" did you mean `{meant}`?"))
            .unwrap_or_default();
        let message = format!("no such provider;{meant} allowed: {}", known.join(", "));
        self.report(&format!("{}.provider", target.place), message);
    }

    fn preferred_region(&mut self) {
        let config = self.config;
        let preferred = &config.routing.preferred_region;
        let targets = config.models.iter().flat_map(|model| &model.targets);
        let of_targets = targets.map(|target| &target.region);
        let regions = config.providers.iter().map(|provider| &provider.region);
        let mut regions: Vec<&str> = regions.chain(of_targets).map(String::as_str).collect();
        regions.retain(|region| !region.is_empty());
        regions.sort_unstable();
        regions.dedup();
        if preferred.is_empty() || regions.contains(&preferred.as_str()) {
            return;
        }
        let message = match regions.is_empty() {
            true => "no provider has a region; give them one".to_owned(),
            false => format!("nothing is there; regions: {}", regions.join(", ")),
        };
        self.report("routing.preferred_region", message);
    }
}
