//! The filters of a configuration, and of the program, as one chain.

use std::time::Duration;

use serde_json::Value;

use crate::config::{Config, FilterConfig, FilterKinds, OnError, OptionProblem};
use crate::filter::{self, Chain, ConfigError, Entry, Registry, When};
use crate::gateway::StartError;

/// The registry as the check of a configuration sees it.
pub(super) struct Kinds<'a>(pub(super) &'a Registry);

impl FilterKinds for Kinds<'_> {
    fn kinds(&self) -> Vec<String> {
        self.0.kinds().map(str::to_owned).collect()
    }

    fn check_options(&self, kind: &str, options: &Value) -> Vec<OptionProblem> {
        match self.0.build(kind, options) {
            Ok(_) => Vec::new(),
            Err(ConfigError::Option { option, message }) => {
                vec![OptionProblem {
                    path: option.unwrap_or_default(),
                    message,
                }]
            }
            Err(error) => vec![OptionProblem {
                path: String::new(),
                message: error.to_string(),
            }],
        }
    }
}

/// The kinds that come with the program, for checking a configuration without starting.
pub fn stock_kinds() -> impl FilterKinds {
    Owned(Registry::with_stock())
}

struct Owned(Registry);

impl FilterKinds for Owned {
    fn kinds(&self) -> Vec<String> {
        Kinds(&self.0).kinds()
    }

    fn check_options(&self, kind: &str, options: &Value) -> Vec<OptionProblem> {
        Kinds(&self.0).check_options(kind, options)
    }
}

/// Those of the configuration in its order, then the program's own.
pub(super) fn chain(
    registry: &Registry,
    own: &[Entry],
    config: &Config,
) -> Result<Chain, StartError> {
    let mut entries = Vec::new();
    for filter in &config.filters {
        entries.push(entry(registry, filter)?);
    }
    entries.extend_from_slice(own);
    let chain = Chain::new(entries).with_max_body_bytes(config.server.max_body_bytes);
    let buffering: Vec<&str> = chain.buffering().collect();
    if !buffering.is_empty() {
        tracing::info!(
            filters = buffering.join(", "),
            "these filters turn streams into one burst"
        );
    }
    Ok(chain)
}

fn entry(registry: &Registry, config: &FilterConfig) -> Result<Entry, StartError> {
    let wrong =
        |error: &dyn std::fmt::Display| StartError::Filter(format!("{}: {error}", config.place));
    let filter = registry
        .build(&config.kind, &config.options)
        .map_err(|error| wrong(&error))?;
    let when = serde_json::to_value(&config.when)
        .and_then(serde_json::from_value::<When>)
        .map_err(|error| wrong(&error))?;
    let mut entry = Entry::new(filter.renamed(&config.name))
        .when(when)
        .timeout(Duration::from_millis(config.timeout_ms))
        .hold_back(config.hold_bytes, Duration::from_millis(config.hold_ms));
    if let Some(on_error) = config.on_error {
        entry = entry.on_error(match on_error {
            OnError::Refuse => filter::OnError::Refuse,
            OnError::Skip => filter::OnError::Skip,
        });
    }
    Ok(entry)
}
