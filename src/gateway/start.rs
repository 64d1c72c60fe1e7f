//! Brings everything up, in order: locks, listeners, store, log, workers.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::access_log::columns::CustomColumn;
use crate::access_log::digest::{Digest, DigestOptions};
use crate::access_log::draft::Keep;
use crate::access_log::observer::Observer;
use crate::access_log::own_columns::{self, OwnColumn};
use crate::access_log::recorder::{AccessLog, AccessLogOptions};
use crate::access_log::redact::Secrets;
use crate::access_log::retention::{self, Retention};
use crate::access_log::spool::{self, SpoolError, SpoolOptions};
use crate::access_log::store::{LogStore, StoreError};
use crate::clock::Clock;
use crate::config::{Bodies, Config, Durability, OnSpoolFull};
use crate::gateway::capabilities::capabilities;
use crate::gateway::serve::{Server, StopRequest};
use crate::gateway::sink::SqlSink;
use crate::gateway::{Addresses, Gateway, StartError};
use crate::pipeline::filtering::Filters;
use crate::pipeline::link::Lifecycle;
use crate::pipeline::replay::Replays;
use crate::pipeline::{RelaySettings, StreamCount, Worker, WorkerParts};
use crate::server::admin::AdminState;
use crate::server::cors::Cors;
use crate::server::form::OpenAiForm;
use crate::server::ingest::BodyLimits;
use crate::server::listen::{self, HttpSettings, MakeState};
use crate::server::metrics::{Outcomes, Sources};
use crate::server::state::{DataState, Unrecorded};
use crate::telemetry::background::Background;
use crate::telemetry::tasks::Tasks;
use crate::telemetry::watchdog::Watchdog;
use crate::upstream::provider::Provider;
use crate::upstream::registry;

/// Most exchanges that are finished for the record's sake after their client has left; further ones are cancelled.
const MOST_WITHOUT_CLIENT: usize = 64;

/// Time between two rounds of retention.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// Most threads for filters' blocking work.
pub(super) const BLOCKING_THREADS: usize = 4;

/// A gateway that serves.
pub struct Running {
    addresses: Addresses,
    stop: watch::Sender<StopRequest>,
    ended: watch::Receiver<bool>,
    thread: Option<thread::JoinHandle<()>>,
    log: Arc<AccessLog>,
}

impl Running {
    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Counts and gauges of the access log.
    pub fn log(&self) -> &Arc<AccessLog> {
        &self.log
    }

    /// Stops it: no new exchanges; open ones may end within the grace period, then they are cut.
    pub async fn stop(mut self) {
        self.stop.send_replace(StopRequest::Graceful);
        self.wait().await;
        self.join();
    }

    /// Asks it to stop without waiting; a second time, everything is cut at once.
    pub fn request_stop(&self) {
        self.stop.send_modify(|stop| {
            *stop = match stop {
                StopRequest::No => StopRequest::Graceful,
                StopRequest::Graceful | StopRequest::Now => StopRequest::Now,
            };
        });
    }

    /// Waits until it has ended.
    pub async fn wait(&mut self) {
        // An error means that the thread is gone: it has ended too.
        drop(self.ended.wait_for(|ended| *ended).await);
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the server's thread panicked");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(StopRequest::Now);
        self.join();
    }
}

/// Serves until a signal.
pub(super) fn run(gateway: Gateway) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| system("cannot start a runtime", source))?;
    runtime.block_on(async {
        // Before anything else: a signal that comes during the start is obeyed, not died of.
        let mut terminate = signal(tokio::signal::unix::SignalKind::terminate())?;
        let mut interrupt = signal(tokio::signal::unix::SignalKind::interrupt())?;
        let mut running = start(gateway).await?;
        loop {
            tokio::select! {
                () = running.wait() => break,
                _ = terminate.recv() => running.request_stop(),
                _ = interrupt.recv() => running.request_stop(),
            }
        }
        running.join();
        Ok(())
    })
}

fn signal(
    kind: tokio::signal::unix::SignalKind,
) -> Result<tokio::signal::unix::Signal, StartError> {
    tokio::signal::unix::signal(kind).map_err(|source| system("cannot listen for signals", source))
}

fn system(what: impl Into<String>, source: io::Error) -> StartError {
    StartError::System {
        what: what.into(),
        source,
    }
}

/// Brings it up.
pub(super) async fn start(mut gateway: Gateway) -> Result<Running, StartError> {
    let config = gateway.load()?;
    let chain = gateway.chain(&config)?;
    let providers = registry::build(&config.providers)?;
    let locked = lock_sqlite(&config)?;
    let listener = bind(&config.server.host, config.server.port)?;
    let admin_listener = match config.admin.enabled {
        true => Some(bind(&config.admin.host, config.admin.port)?),
        false => None,
    };
    let addresses = Addresses {
        data: address(&listener)?,
        admin: admin_listener.as_ref().map(address).transpose()?,
    };
    let background = Background::start(BLOCKING_THREADS)
        .map_err(|source| system("cannot start the background thread", source))?;
    let columns = gateway.own_columns(&config);
    let has_own_columns = !columns.is_empty();
    let sql_columns = columns.iter().map(|own| own.column().clone()).collect();
    let stores = Stores::open(&config, sql_columns, &background).await?;
    let outcomes = Arc::new(Outcomes::default());
    let log = start_log(
        &config,
        &stores,
        columns,
        outcomes.clone(),
        std::mem::take(&mut gateway.observers),
    )?;
    let filters = Filters {
        chain: Arc::new(chain),
        capabilities: capabilities(background.runner()),
    };
    let watchdog =
        Watchdog::start().map_err(|source| system("cannot start the watchdog", source))?;
    let (stage, lifecycle) = Lifecycle::new();
    let streams = StreamCount::new(max_streams(config.server.max_streams));
    let alone = StreamCount::new(MOST_WITHOUT_CLIENT);
    let unrecorded = Arc::new(Unrecorded::default());
    let replays = Replays::new(log.clone(), stores.read.clone(), background.runner());
    let admin = AdminState {
        sources: Sources {
            log: log.clone(),
            outcomes,
            streams: streams.clone(),
            unrecorded: unrecorded.clone(),
            stuck_workers: watchdog.stuck(),
        },
        replays: replays.clone(),
        token: config.admin.token.clone(),
        hosts: vec![config.admin.host.clone()],
    };
    let tasks = Tasks::default();
    let counts = unrecorded.clone();
    let make = make_state(MakeParts {
        config: config.clone(),
        instance: addresses.data.to_string(),
        has_own_columns,
        providers,
        log: log.clone(),
        lifecycle,
        streams,
        alone,
        unrecorded,
        tasks: tasks.clone(),
        replays,
        filters,
        watchdog: watchdog.clone(),
    });
    keep_retention(&config, &stores, &background);
    let (stop, stop_requests) = watch::channel(StopRequest::No);
    let (ended, has_ended) = watch::channel(false);
    let (ready, is_ready) = oneshot::channel();
    let server = Server {
        settings: http_settings(&config),
        unrecorded: counts,
        grace: config.server.shutdown_grace,
        listener,
        admin: admin_listener.map(|listener| (listener, admin)),
        make,
        log: log.clone(),
        is_spooled: config.log.durability == Durability::Process,
        stage,
        stop: stop_requests,
        tasks,
    };
    let thread = thread::Builder::new()
        .name("server".to_owned())
        .spawn(move || {
            actix_rt::System::new().block_on(server.serve(ready));
            drop((background, locked));
            ended.send_replace(true);
        })
        .map_err(|source| system("cannot start the server's thread", source))?;
    match is_ready.await {
        Ok(Ok(())) => {}
        Ok(Err(source)) => return Err(system("cannot serve", source)),
        Err(_) => return Err(system("cannot serve", io::ErrorKind::Other.into())),
    }
    tracing::info!(
        data = %addresses.data,
        admin = addresses.admin.map(|address| address.to_string()),
        database = %config.database.url,
        "serving"
    );
    Ok(Running {
        addresses,
        stop,
        ended: has_ended,
        thread: Some(thread),
        log,
    })
}

fn bind(host: &str, port: u16) -> Result<TcpListener, StartError> {
    listen::bind(host, port)
        .map_err(|source| system(format!("cannot listen on {host}:{port}"), source))
}

fn address(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener
        .local_addr()
        .map_err(|source| system("the listener has no address", source))
}

/// Two instances on one SQLite file would fight over it: the second is told so.
fn lock_sqlite(config: &Config) -> Result<Option<File>, StartError> {
    let Some(file) = config.database.url.sqlite_file() else {
        return Ok(None);
    };
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    let open = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name);
    // A folder that cannot be written is the store's trouble, which does not keep the proxy from starting.
    let Ok(lock) = open else { return Ok(None) };
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(StartError::Held(format!("the database {}", file.display())))
        }
        Err(std::fs::TryLockError::Error(_)) => Ok(None),
    }
}

/// The store twice: one for the writer's thread, one for the background thread.
struct Stores {
    write: Arc<LogStore>,
    read: Arc<LogStore>,
}

impl Stores {
    async fn open(
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
        // Opened once here, so that a schema that does not fit is told at the start; a store that is away is not.
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
                tracing::warn!("the log store is away, records wait in the spool: {text}");
                Ok(Self { write, read })
            }
            Ok(Ok(())) | Err(_) => Ok(Self { write, read }),
        }
    }
}

fn start_log(
    config: &Config,
    stores: &Stores,
    columns: Vec<OwnColumn>,
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
    let digest = Digest::new(DigestOptions::default()).masking(provider_secrets(config));
    let digest = Box::new(move |finished| {
        let values = own_columns::values(&columns, &finished);
        let mut record = digest.digest(finished);
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

fn keep_retention(config: &Config, stores: &Stores, background: &Background) {
    let retention = Retention {
        exchanges_days: config.log.retention.exchanges_days,
        bodies_days: config.log.retention.bodies_days,
    };
    let store = stores.read.clone();
    let clock = Clock::machine();
    background.runner().start("retention", async move {
        loop {
            tokio::time::sleep(PRUNE_EVERY).await;
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

fn http_settings(config: &Config) -> HttpSettings {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let workers = if config.server.workers == 0 {
        cores
    } else {
        config.server.workers
    };
    HttpSettings {
        workers,
        keep_alive: config.server.keep_alive,
        header_read: config.server.header_read,
        max_connections: 25_000,
        shutdown_timeout: config.server.shutdown_grace + Duration::from_secs(1),
    }
}

/// 0 is `min(20000, (open-file limit - 200) / 3)`: a stream has a socket on each side and the watched duplicate of the
/// client's.
fn max_streams(configured: usize) -> usize {
    if configured != 0 {
        return configured;
    }
    (open_files().saturating_sub(200) / 3).clamp(1, 20_000)
}

/// The soft limit of open files of this process (`/proc/self/limits`, Linux).
fn open_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|soft| soft.parse().ok())
        .unwrap_or(1024)
}

struct MakeParts {
    config: Config,
    instance: String,
    has_own_columns: bool,
    providers: Arc<[Provider]>,
    log: Arc<AccessLog>,
    lifecycle: Lifecycle,
    streams: StreamCount,
    alone: StreamCount,
    unrecorded: Arc<Unrecorded>,
    tasks: Tasks,
    replays: Replays,
    filters: Filters,
    watchdog: Watchdog,
}

/// The providers' keys, those in fixed headers too: they must stand nowhere.
fn provider_secrets(config: &Config) -> Secrets {
    let keys = config.providers.iter().flat_map(|provider| {
        let keys = provider.api_keys.iter().map(|key| &key.key);
        let headers = provider.headers.iter();
        keys.chain(
            headers
                .filter(|header| header.is_credential)
                .map(|header| &header.value),
        )
    });
    Secrets::new(keys.map(|key| key.expose().as_bytes()))
}

fn make_state(parts: MakeParts) -> MakeState {
    let secrets = provider_secrets(&parts.config);
    Arc::new(move || {
        let config = &parts.config;
        let cors = Cors::new(config.server.cors.origins.clone());
        let tasks = parts.tasks.clone();
        parts.watchdog.watch_this_thread(&parts.tasks);
        let worker = Worker::new(WorkerParts {
            recorder: Rc::new(parts.log.recorder()),
            secrets: Rc::new(secrets.clone()),
            providers: parts.providers.clone(),
            filters: parts.filters.clone(),
            settings: RelaySettings {
                repair_streams: config.server.repair_streams,
                cors: cors.is_configured(),
                max_body_bytes: config.server.max_body_bytes,
            },
            form: Rc::new(OpenAiForm),
            clock: Clock::machine(),
            lifecycle: parts.lifecycle.clone(),
            streams: parts.streams.clone(),
            spawn: Rc::new(move |task| tasks.spawn_local("exchange", task)),
            alone: parts.alone.clone(),
        });
        DataState {
            worker: Rc::new(worker),
            body_limits: BodyLimits {
                max_bytes: config.server.max_body_bytes,
                idle: config.server.body_idle,
                total: config.server.body_total,
            },
            body_max_bytes: config.log.body_max_bytes,
            keep: match config.log.bodies {
                Bodies::Full => Keep::Full,
                Bodies::Metadata => Keep::Metadata,
                Bodies::None => Keep::Nothing,
            },
            has_own_columns: parts.has_own_columns,
            instance: parts.instance.clone(),
            config_version: config.version().to_owned(),
            cors,
            trusted_proxies: config.server.trusted_proxies.clone(),
            log: parts.log.clone(),
            counts: parts.unrecorded.clone(),
            replays: parts.replays.clone(),
        }
    })
}
