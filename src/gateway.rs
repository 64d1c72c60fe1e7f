//! The entry point for a program of one's own, and for ours: a configuration and what the program adds to it
//! become a running server.

mod serve;
mod sink;
mod start;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::access_log::columns::{self, ColumnError};
use crate::access_log::observer::Observer;
use crate::access_log::spool::SpoolError;
use crate::config::{Config, Problems};
use crate::upstream::registry::ProviderError;

pub use start::Running;

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] Problems),
    /// A configured column cannot be had.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// A provider's certificate files cannot be used.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The database has another schema.
    #[error("the database's schema does not fit: {0}")]
    Schema(String),
    /// Another instance holds the spool or the SQLite file.
    #[error("another instance holds {0}")]
    Held(String),
    /// The spool cannot be used.
    #[error(transparent)]
    Spool(SpoolError),
    /// A port, thread or descriptor cannot be had.
    #[error("{what}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// A gateway that is not started yet.
///
/// ```no_run
/// # fn main() -> aiproxy::Result<()> {
/// aiproxy::Gateway::builder().config_file("aiproxy.yaml").run()
/// # }
/// ```
#[derive(Default)]
pub struct Gateway {
    config: ConfigSource,
    observers: Vec<Arc<dyn Observer>>,
}

#[derive(Default)]
enum ConfigSource {
    /// As the command line finds it.
    #[default]
    Search,
    File(PathBuf),
    Loaded(Box<Config>),
}

// === impl Gateway ===

impl Gateway {
    /// Starts a description.
    pub fn builder() -> Self {
        Self::default()
    }

    /// Takes the configuration from this file.
    pub fn config_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.config = ConfigSource::File(file.into());
        self
    }

    /// Takes a configuration that was loaded already.
    pub fn config(mut self, config: Config) -> Self {
        self.config = ConfigSource::Loaded(Box::new(config));
        self
    }

    /// Adds an observer of finished records.
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Starts serving and returns. For programs that bring a runtime.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(self) -> Result<Running, StartError> {
        start::start(self).await
    }

    /// Serves until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn run(self) -> Result<(), StartError> {
        start::run(self)
    }

    fn load(&mut self) -> Result<Config, StartError> {
        use crate::config::{Rules, Sources, load};
        let names = columns::built_in_names();
        let rules = Rules {
            filters: &(),
            built_in_columns: &names,
        };
        let file = match std::mem::take(&mut self.config) {
            ConfigSource::Loaded(config) => return Ok(*config),
            ConfigSource::File(file) => Some(file),
            ConfigSource::Search => None,
        };
        Ok(load(&Sources::of_process(file), &rules)?)
    }
}

/// Where a running gateway listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The data port.
    pub data: SocketAddr,
    /// The admin port, if it is enabled.
    pub admin: Option<SocketAddr>,
}
