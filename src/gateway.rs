//! The entry point for a program of one's own, and for ours: a configuration and what the program adds to it
//! become a running server.

mod capabilities;
mod config_watch;
mod discovery;
mod filters;
mod hangup;
mod lock;
mod log;
mod reload;
mod running;
mod secrets;
mod serve;
mod shared;
mod sink;
mod start;
mod workers;

use std::error::Error as _;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::access_log::columns::{self, ColumnError};
use crate::access_log::observer::Observer;
use crate::access_log::own_columns::{ColumnView, OwnColumn};
use crate::access_log::spool::SpoolError;
use crate::config::{Config, Problems, Sources};
use crate::filter::{Entry, Filter, FilterFactory, Registry};
use crate::shared_state::OpenError;
use crate::upstream::registry::ProviderError;

pub use crate::server::config_reload::{NotReloaded, Reloaded};
pub use filters::stock_kinds;
pub use running::Running;

/// Why a gateway did not start. `Debug` is for people too: it is what `main` prints of an error.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] Problems),
    /// A configured column cannot be had.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// A filter cannot be had.
    #[error("filter: {0}")]
    Filter(String),
    /// A provider's certificate files cannot be used.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// What several instances share cannot be set up.
    #[error(transparent)]
    Shared(#[from] OpenError),
    /// The database has another schema.
    #[error("the database's schema does not fit: {0}")]
    Schema(String),
    /// Another instance holds the spool or the SQLite file.
    #[error(
        "another instance holds {0}; stop it, or give this one a database.url and a log.spool_dir of its own"
    )]
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

impl fmt::Debug for StartError {
    /// The sentence, and what the system said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        match self.source() {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

/// How often the configuration's file is looked at.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// A gateway that is not started yet.
///
/// ```no_run
/// # fn main() -> aiproxy::Result<()> {
/// aiproxy::Gateway::builder().config_file("aiproxy.yaml").run()
/// # }
/// ```
pub struct Gateway {
    config: ConfigSource,
    sources: Option<Sources>,
    watch_every: Option<Duration>,
    registry: Registry,
    wrong_kinds: Vec<String>,
    filters: Vec<Entry>,
    columns: Vec<OwnColumn>,
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
        Self {
            config: ConfigSource::default(),
            sources: None,
            watch_every: Some(WATCH_EVERY),
            registry: Registry::with_stock(),
            wrong_kinds: Vec::new(),
            filters: Vec::new(),
            columns: Vec::new(),
            observers: Vec::new(),
        }
    }

    /// Takes the configuration from this file.
    pub fn config_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.config = ConfigSource::File(file.into());
        self
    }

    /// Takes a configuration that was loaded already. It is not read anew unless [`Gateway::reload_from`] says from where.
    pub fn config(mut self, config: Config) -> Self {
        self.config = ConfigSource::Loaded(Box::new(config));
        self
    }

    /// From where a configuration that was loaded already is read anew, if it came from a file.
    pub fn reload_from(mut self, sources: Sources) -> Self {
        self.sources = Some(sources);
        self
    }

    /// How often the configuration's file is looked at for changes: every two seconds unless given; `None`: never.
    pub fn watch_config(mut self, every: Option<Duration>) -> Self {
        self.watch_every = every;
        self
    }

    /// Makes a kind of filter known to the configuration. A kind that is known already is told at the start.
    pub fn filter(mut self, kind: &str, factory: impl FilterFactory + 'static) -> Self {
        if let Err(error) = self.registry.register(kind, factory) {
            self.wrong_kinds.push(error.to_string());
        }
        self
    }

    /// Puts a filter at the end of the chain, behind those of the configuration.
    pub fn with(self, filter: Filter) -> Self {
        self.entry(Entry::new(filter))
    }

    /// As [`Gateway::with`], with the settings that every filter has: `when`, `on_error`, limits.
    pub fn entry(mut self, entry: Entry) -> Self {
        self.filters.push(entry);
        self
    }

    /// Adds a text column to `exchanges`, filled by a function of the finished exchange. `None` is NULL.
    ///
    /// ```no_run
    /// # fn main() -> aiproxy::Result<()> {
    /// aiproxy::Gateway::builder()
    ///     .column("asker", |exchange| exchange.request().user().map(str::to_owned))
    ///     .column_number("temperature", |exchange| exchange.request().number("temperature"))
    ///     .run()
    /// # }
    /// ```
    pub fn column(
        mut self,
        name: &str,
        value: impl Fn(&ColumnView) -> Option<String> + Send + 'static,
    ) -> Self {
        self.columns.push(OwnColumn::text(name, value));
        self
    }

    /// Adds a number column, as [`Gateway::column`] does.
    pub fn column_number(
        mut self,
        name: &str,
        value: impl Fn(&ColumnView) -> Option<f64> + Send + 'static,
    ) -> Self {
        self.columns.push(OwnColumn::number(name, value));
        self
    }

    /// Those of the configuration, then the program's own.
    fn own_columns(&mut self, config: &Config) -> Vec<OwnColumn> {
        let mut columns: Vec<OwnColumn> = config
            .log
            .columns
            .iter()
            .map(OwnColumn::configured)
            .collect();
        columns.append(&mut self.columns);
        columns
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

    /// Serves until SIGTERM or SIGINT. Starts the process log on stderr, unless the program has started one.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn run(self) -> Result<(), StartError> {
        running::run(self)
    }

    /// From where the configuration is read anew: the file it came from, wherever others lie by then. `None` without a
    /// file.
    fn reload_sources(&mut self, config: &Config) -> Option<Sources> {
        let mut sources = self.sources.take()?;
        sources.file = Some(config.file()?.to_owned());
        Some(sources)
    }

    fn load(&mut self) -> Result<Config, StartError> {
        use crate::config::{Rules, load};
        let names = columns::built_in_names();
        if let Some(wrong) = self.wrong_kinds.first() {
            return Err(StartError::Filter(wrong.clone()));
        }
        let kinds = filters::Kinds(&self.registry);
        let rules = Rules {
            filters: &kinds,
            built_in_columns: &names,
        };
        let file = match std::mem::take(&mut self.config) {
            ConfigSource::Loaded(config) => return Ok(*config),
            ConfigSource::File(file) => Some(file),
            ConfigSource::Search => None,
        };
        let sources = Sources::of_process(file);
        let config = load(&sources, &rules)?;
        self.sources = Some(sources);
        Ok(config)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_main_prints_of_an_error_is_a_sentence() {
        let error = StartError::System {
            what: "cannot listen on 127.0.0.1:80".to_owned(),
            source: std::io::Error::other("no"),
        };
        assert_eq!(format!("{error:?}"), "cannot listen on 127.0.0.1:80: no");
        let held = format!("{:?}", StartError::Held("the database a.db".to_owned()));
        assert!(
            held.starts_with("another instance holds the database a.db; stop it"),
            "{held}"
        );
    }
}
