//! `routing`: what holds for every choice among providers, and for attempts after the first.

use std::time::Duration;

use serde::Serialize;

use super::section::Section;
use super::statuses::{Statuses, read_statuses};
use super::strategy::Strategy;
use super::units::as_seconds;

/// How a request finds another provider or key when one fails.
#[derive(Debug, Clone, Serialize)]
pub struct RoutingConfig {
    /// Most attempts of one request, the first one included.
    pub max_attempts: u32,
    /// Statuses of a provider after which another target or key is tried.
    pub retry_statuses: Statuses,
    /// Further attempts, as a share of the requests of the last 10 seconds; ten are always allowed.
    pub retry_budget_percent: u32,
    /// Connections refused, or answers that did not begin in time, one after the other, after which a target is left alone.
    pub breaker_failures: u32,
    /// How long it is left alone at first.
    #[serde(rename = "breaker_open_s", serialize_with = "as_seconds")]
    pub breaker_open: Duration,
    /// How long a session stays with its target after its last request.
    #[serde(rename = "session_ttl_s", serialize_with = "as_seconds")]
    pub session_ttl: Duration,
    /// Targets of this region go first; empty: none does.
    pub preferred_region: String,
    /// Whether requests that begin alike go to the same target, so that its cache of prompts serves.
    pub prefix_affinity: bool,
    /// How a model that several providers take finds one of them.
    pub strategy: Strategy,
}

/// Reads `routing`.
pub(super) fn read_routing(mut section: Section<'_>) -> RoutingConfig {
    let config = RoutingConfig {
        max_attempts: section.number("max_attempts", 3, 1..=10),
        retry_statuses: read_statuses(&mut section, "retry_statuses")
            .unwrap_or_else(Statuses::default_retries),
        retry_budget_percent: section.number("retry_budget_percent", 20, 0..=100),
        breaker_failures: section.number("breaker_failures", 5, 1..=1_000),
        breaker_open: section.seconds("breaker_open_s", Duration::from_secs(10)),
        session_ttl: section.seconds("session_ttl_s", Duration::from_secs(7_200)),
        preferred_region: section.text("preferred_region").unwrap_or_default(),
        prefix_affinity: section.flag("prefix_affinity", false),
        strategy: section.word("strategy", Strategy::Balanced),
    };
    section.finish();
    config
}
