//! The access log of a gateway: its stores, its writer, its retention.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::access_log::columns::CustomColumn;
use crate::access_log::digest::{Digest, DigestOptions};
use crate::access_log::draft::Finished;
use crate::access_log::observer::Observer;
use crate::access_log::own_columns::{self, OwnColumn};
use crate::access_log::recorder::{AccessLog, AccessLogOptions};
use crate::access_log::retention::{self, Retention};
use crate::access_log::spool::{self, SpoolError, SpoolOptions};
use crate::access_log::store::{LogStore, StoreError};
use crate::clock::Clock;
use crate::config::{Config, Durability, OnSpoolFull};
use crate::gateway::StartError;
use crate::gateway::secrets::RecentSecrets;
use crate::gateway::sink::SqlSink;
use crate::pricing::SharedPrices;
use crate::server::metrics::Outcomes;
use crate::telemetry::background::Background;

/// Time from the start to the first round of retention: machines that never run for long need it too.
const FIRST_PRUNE_AFTER: Duration = Duration::from_secs(60);

/// Time between two rounds of retention.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// The store twice: one for the writer's thread, one for the background thread.
pub(super) struct Stores {
    write: Arc<LogStore>,
    pub(super) read: Arc<LogStore>,
}

impl Stores {
    /// Opens it once, so that a schema that does not fit is told at the start; a store that is away is not.
    ///
    /// # Errors
    /// Schema or columns do not fit.
    pub(super) async fn open(
        config: &Config,
        columns: Vec<CustomColumn>,
        background: &Background,
    ) -> Result<Self, StartError> {
        let url = config.database.url.clone();
        let write = Arc::new(LogStore::new(
            url.clone(),
            config.database.auto_migrate,
            columns.clone(),
        )?);
        let read = Arc::new(LogStore::new(url, false, columns)?);
        let first = write.clone();
        let runner = background.runner();
        let opened = runner.run(async move {
            let opened = first.database().await.map(drop);
            first.close().await;
            opened
        });
        match opened.await {
            Ok(Err(StoreError::Schema(text))) => Err(StartError::Schema(text)),
            Ok(Err(StoreError::Column(error))) => Err(error.into()),
            Ok(Err(StoreError::Unavailable(text) | StoreError::Poison(text))) => {
                tracing::warn!(
                    database = %config.database.url,
                    "the log store is away, records wait for it: {text}{}",
                    folder_hint(config)
                );
                Ok(Self { write, read })
            }
            Ok(Ok(())) | Err(_) => Ok(Self { write, read }),
        }
    }
}

/// What keeps a SQLite file from being made most often.
fn folder_hint(config: &Config) -> &'static str {
    let folder = config.database.url.sqlite_file().and_then(Path::parent);
    match folder {
        Some(folder) if folder != Path::new("") && !folder.exists() => {
            "; its folder does not exist"
        }
        Some(_) | None => "",
    }
}

/// Starts recording.
///
/// # Errors
/// The spool is held by another instance, or cannot be used.
pub(super) fn start_log(
    config: &Config,
    stores: &Stores,
    columns: Vec<OwnColumn>,
    secrets: RecentSecrets,
    prices: SharedPrices,
    outcomes: Arc<Outcomes>,
    mut observers: Vec<Arc<dyn Observer>>,
) -> Result<Arc<AccessLog>, StartError> {
    let spool = match config.log.durability {
        Durability::Memory => None,
        Durability::Process => Some(SpoolOptions {
            max_bytes: config.log.spool_max_bytes,
            on_full: match config.log.on_spool_full {
                OnSpoolFull::Degrade => spool::OnSpoolFull::Degrade,
                OnSpoolFull::Refuse => spool::OnSpoolFull::Refuse,
            },
            ..SpoolOptions::new(&config.log.spool_dir)
        }),
    };
    let options = AccessLogOptions {
        spool,
        queue_bytes: config.log.queue_bytes,
        ..AccessLogOptions::default()
    };
    observers.push(outcomes);
    let digest = Digest::new(DigestOptions::default()).with_prices(prices);
    let digest = Box::new(move |finished: &Finished| {
        let values = own_columns::values(&columns, finished);
        let mut record = digest.digest_masking(finished, &secrets.now());
        record.columns = values;
        record
    });
    let sink = Box::new(SqlSink(stores.write.clone()));
    match AccessLog::start(&options, digest, sink, observers) {
        Ok(log) => Ok(Arc::new(log)),
        Err(SpoolError::Locked { dir }) => {
            Err(StartError::Held(format!("the spool directory {dir}")))
        }
        Err(error) => Err(StartError::Spool(error)),
    }
}

/// Runs retention as long as the background thread lives.
pub(super) fn keep_retention(config: &Config, stores: &Stores, background: &Background) {
    let retention = Retention {
        exchanges_days: config.log.retention.exchanges_days,
        bodies_days: config.log.retention.bodies_days,
    };
    let store = stores.read.clone();
    let clock = Clock::machine();
    background.runner().start("retention", async move {
        let mut wait = FIRST_PRUNE_AFTER;
        loop {
            tokio::time::sleep(wait).await;
            wait = PRUNE_EVERY;
            let Ok(database) = store.database().await else {
                continue;
            };
            match retention::prune(&database, retention, clock.wall_us()).await {
                Ok(pruned) => tracing::info!(?pruned, "retention ran"),
                Err(error) => tracing::warn!("retention failed, it runs again in an hour: {error}"),
            }
        }
    });
}
