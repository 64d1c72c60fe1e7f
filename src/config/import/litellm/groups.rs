//! Groups: entries of `model_list` with one name become a logical model, chosen from as `router_settings` says.

use crate::config::Strategy;
use crate::config::draft::{Line, Yaml};
use crate::config::import::logical::Logical;
use crate::config::import::taking::Taking;
use crate::config::import::target::Target;
use crate::config::section::Section;

/// Keys of `router_settings` that mean nothing here.
const ROUTER_LEFT: &[(&str, &str)] = &[
    (
        "fallbacks",
        "give the model further targets of a higher tier",
    ),
    ("model_group_alias", "name the model once more in models"),
    ("allowed_fails", "see routing.breaker_failures"),
    ("cooldown_time", "see routing.breaker_open_s"),
    ("redis_host", "set redis.url"),
    ("redis_port", "set redis.url"),
    ("redis_password", "set redis.url"),
    ("redis_url", "set redis.url"),
];

/// Words of `routing_strategy`, and ours.
const STRATEGIES: &[(&str, Strategy)] = &[
    ("simple-shuffle", Strategy::Balanced),
    ("usage-based-routing", Strategy::Balanced),
    ("usage-based-routing-v2", Strategy::Balanced),
    ("least-busy", Strategy::LatencyFirst),
    ("latency-based-routing", Strategy::LatencyFirst),
    ("cost-based-routing", Strategy::CostFirst),
];

/// How it chooses, and how often it tries.
pub(super) fn read_router(mut section: Section<'_>, taking: &Taking<'_>) -> Option<Line> {
    let mut lines = Vec::new();
    if let Some(theirs) = section.text("routing_strategy") {
        match STRATEGIES.iter().find(|(word, _)| *word == theirs) {
            Some((_, ours)) => lines.push(Line::text("strategy", ours.word())),
            None => {
                let words: Vec<&str> = STRATEGIES.iter().map(|(word, _)| *word).collect();
                let allowed = format!("allowed: {}", words.join(", "));
                section.report("routing_strategy", allowed);
            }
        }
    }
    if section.item("num_retries").is_some() {
        let tries = section.number("num_retries", 2_u32, 0..=100);
        let tries = tries.saturating_add(1).min(10);
        lines.push(Line::plain("max_attempts", tries));
    }
    taking.leave_rest(&section, ROUTER_LEFT);
    (!lines.is_empty()).then(|| Line::new("routing", Yaml::Section(lines)))
}

/// Whether a name must be told apart from the model that has it. One that begins with a provider's name cannot be.
pub(super) fn is_needed(group: &Logical, targets: &mut [Target]) -> bool {
    let [first] = group.aims.as_slice() else {
        return said_where_shadowed(group, targets);
    };
    let own = format!("{}/{}", first.provider, first.model);
    let takers = targets
        .iter()
        .filter(|target| target.list.contains(&group.name))
        .count();
    let is_plain = group.name == first.model && takers == 1;
    !is_plain && group.name != own && said_where_shadowed(group, targets)
}

/// Whether nothing is in the way; what is, is said above the first provider of the group.
fn said_where_shadowed(group: &Logical, targets: &mut [Target]) -> bool {
    let Some(shadow) = group.shadow(targets) else {
        return true;
    };
    let said = format!(
        "{} is no name of a model here: `{shadow}/` stands for a provider's own models",
        group.name
    );
    let names = group.aims.first().map(|aim| aim.provider.as_str());
    let target = targets
        .iter_mut()
        .find(|target| Some(target.name.as_str()) == names);
    if let Some(target) = target {
        target.comments.push(said);
    }
    false
}
