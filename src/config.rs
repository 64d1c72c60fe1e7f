//! The configuration: plain structs, one section per file, read and checked whole, and never changed after.
//!
//! Layers, each over the one before: the file, `AIPROXY__SECTION__KEY` variables, flags. `${NAME}` in the file is
//! replaced after the YAML is read, so a variable cannot add keys. Everything that is wrong is told at once, with its
//! place. Nothing here opens a socket, and nothing but [`Environment::from_process`] reads the environment.

mod access_log;
mod base_url;
mod check;
mod columns;
mod database;
mod draft;
mod environment;
mod fallback;
mod filters;
mod import;
mod ip_net;
mod item;
mod key_selection;
mod load;
mod models;
mod origins;
mod overlay;
mod prices;
mod printable;
mod problem;
mod providers;
mod restart;
mod routing;
mod secret;
mod section;
mod server;
mod shared_state;
mod statuses;
mod strategy;
mod substitute;
mod suggest;
mod telemetry;
mod tree;
mod units;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Serialize;

pub use access_log::{Bodies, Durability, LogConfig, OnSpoolFull, RetentionConfig};
pub use aiproxy_filters::Glob;
pub use base_url::BaseUrl;
pub use check::Rules;
pub use columns::{ColumnConfig, ColumnKind, ColumnSource, is_column_name};
pub use database::{DatabaseConfig, DatabaseUrl, DatabaseUrlError};
pub use draft::{Draft, Line, Scalar, Secrets, Yaml};
pub use environment::Environment;
pub use filters::{FilterConfig, FilterKinds, OnError, OptionProblem, WhenConfig};
pub use import::{Imported, Source, System, Text, import};
pub use ip_net::{IpNet, NotAnIpNet};
pub use key_selection::KeySelection;
pub use load::{Sources, load, load_text};
pub use models::{LogicalModelConfig, TargetConfig, TargetWhen};
pub use overlay::Override;
pub use prices::PriceConfig;
pub use printable::{printable, steers};
pub use problem::{Origin, Problem, Problems};
pub use providers::{
    ApiKeyConfig, AwsConfig, AwsCredentials, HeaderConfig, ModelsConfig, OnDisconnect,
    ProviderConfig, ProviderKind, TimeoutsConfig, UsageMode,
};
pub use routing::RoutingConfig;
pub use secret::{Secret, is_credential_name, mask, mask_json, mask_url};
pub use server::{AdminConfig, CorsConfig, ServerConfig};
pub use shared_state::RedisConfig;
pub use statuses::Statuses;
pub use strategy::Strategy;
pub use suggest::{closest, nearest};
pub use telemetry::{LogLevel, TelemetryConfig};

/// A whole configuration, resolved and checked.
#[derive(Debug, Clone, Serialize)]
pub struct Config {
    /// The data port.
    pub server: ServerConfig,
    /// The admin port.
    pub admin: AdminConfig,
    /// Where records go.
    pub database: DatabaseConfig,
    /// What is recorded.
    pub log: LogConfig,
    /// Who answers; the first one is the default. Never empty.
    pub providers: Vec<ProviderConfig>,
    /// Names of one's own for models of theirs, in the order of the file.
    #[serde(serialize_with = "models::as_named")]
    pub models: Vec<LogicalModelConfig>,
    /// How a request finds another of them when one fails.
    pub routing: RoutingConfig,
    /// What models cost, in the order of the file.
    #[serde(serialize_with = "prices::as_map")]
    pub prices: Vec<PriceConfig>,
    /// Which filters run, in their order.
    pub filters: Vec<FilterConfig>,
    /// What several instances share.
    pub redis: RedisConfig,
    /// What the process says about itself.
    pub telemetry: TelemetryConfig,
    #[serde(skip)]
    origins: origins::Origins,
    #[serde(skip)]
    file: Option<PathBuf>,
    #[serde(skip)]
    shown: String,
    #[serde(skip)]
    version: String,
}

impl Config {
    /// The resolved configuration as YAML, every secret masked.
    pub fn show(&self) -> &str {
        &self.shown
    }

    /// Short hash of the resolved configuration, 12 hex digits, for the column `config_version`. It changes with every
    /// value, secrets included.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// A problem that shows only when the configuration is used, at the place of its path.
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        Problem {
            origin: self.origins.nearest(path),
            path: path.to_owned(),
            message: message.into(),
        }
    }

    /// The file that was read; `None` when there was none.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}
