//! What each worker thread of the data port is made of.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

use crate::access_log::draft::Keep;
use crate::access_log::recorder::AccessLog;
use crate::access_log::redact::Secrets;
use crate::clock::Clock;
use crate::config::{Bodies, Config};
use crate::pipeline::filtering::Filters;
use crate::pipeline::link::Lifecycle;
use crate::pipeline::replay::Replays;
use crate::pipeline::sharing::Sharing;
use crate::pipeline::{RelaySettings, StreamCount, Transports, Worker};
use crate::routing::Routing;
use crate::server::admin::Hosts;
use crate::server::cors::Cors;
use crate::server::current::CurrentState;
use crate::server::form::Forms;
use crate::server::ingest::BodyLimits;
use crate::server::listen::{HttpSettings, MakeState};
use crate::server::manage::{Histories, KeptAnswer};
use crate::server::state::{DataState, Unrecorded};
use crate::telemetry::tasks::Tasks;
use crate::telemetry::watchdog::Watchdog;
use crate::upstream::provider::Provider;

/// Settings of the data port's HTTP.
pub(super) fn http_settings(config: &Config) -> HttpSettings {
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
pub(super) fn max_streams(configured: usize) -> usize {
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

/// What a configuration is made into, once for all workers.
pub(super) struct Generation {
    pub(super) config: Config,
    pub(super) providers: Arc<[Provider]>,
    pub(super) routing: Arc<Routing>,
    pub(super) filters: Filters,
    /// What is masked in records of its requests.
    pub(super) secrets: Secrets,
}

/// What all of them share, whatever the configuration.
pub(super) struct MakeParts {
    pub(super) instance: Arc<str>,
    pub(super) has_own_columns: bool,
    pub(super) manage_hosts: Option<Hosts>,
    pub(super) generations: watch::Receiver<Arc<Generation>>,
    pub(super) sharing: Sharing,
    pub(super) log: Arc<AccessLog>,
    pub(super) lifecycle: Lifecycle,
    pub(super) streams: StreamCount,
    pub(super) alone: StreamCount,
    pub(super) unrecorded: Arc<Unrecorded>,
    pub(super) tasks: Tasks,
    pub(super) replays: Replays,
    pub(super) histories: Histories,
    pub(super) watchdog: Watchdog,
}

/// Makes the state of one worker, on its thread.
pub(super) fn make_state(parts: MakeParts) -> MakeState {
    let parts = Arc::new(parts);
    Arc::new(move || {
        parts.watchdog.watch_this_thread(&parts.tasks);
        let mut generations = parts.generations.clone();
        let generation = generations.borrow_and_update().clone();
        let first = parts.state(&generation, None);
        let seen = RefCell::new(generations.clone());
        let of_thread = parts.clone();
        let current = Rc::new(CurrentState::new(first, move |before| {
            let mut seen = seen.borrow_mut();
            // An error means that there will be none any more.
            if !seen.has_changed().unwrap_or(false) {
                return None;
            }
            let generation = seen.borrow_and_update().clone();
            Some(of_thread.state(&generation, Some(&before.worker)))
        }));
        let of_task = Rc::downgrade(&current);
        // A thread without requests lets go of the configuration of before, too.
        parts.tasks.spawn_local("configuration", async move {
            while generations.changed().await.is_ok() {
                let Some(current) = of_task.upgrade() else {
                    return;
                };
                current.renew();
            }
        });
        current
    })
}

impl MakeParts {
    /// `before`: what runs exchanges on this thread until now.
    fn state(&self, generation: &Generation, before: Option<&Rc<Worker>>) -> DataState {
        let config = &generation.config;
        let cors = Cors::new(config.server.cors.origins.clone());
        let tasks = self.tasks.clone();
        let worker = Worker {
            recorder: match before {
                Some(before) => before.recorder.clone(),
                None => Rc::new(self.log.recorder()),
            },
            secrets: Rc::new(generation.secrets.clone()),
            providers: generation.providers.clone(),
            routing: generation.routing.clone(),
            sharing: self.sharing.clone(),
            filters: generation.filters.clone(),
            settings: RelaySettings {
                repair_streams: config.server.repair_streams,
                cors: cors.is_configured(),
                max_body_bytes: config.server.max_body_bytes,
            },
            form: Rc::new(Forms),
            clock: Clock::machine(),
            lifecycle: self.lifecycle.clone(),
            streams: self
                .streams
                .limited_to(max_streams(config.server.max_streams)),
            spawn: Rc::new(move |task| tasks.spawn_local("exchange", task)),
            alone: self.alone.clone(),
            transports: Transports::new(&generation.providers, before.map(Rc::as_ref)),
        };
        DataState {
            worker: Rc::new(worker),
            body_limits: BodyLimits {
                max_bytes: config.server.max_body_bytes,
                idle: config.server.body_idle,
                total: config.server.body_total,
                stored_of_upload: config.log.upload_max_bytes,
            },
            body_max_bytes: config.log.body_max_bytes,
            keep: match config.log.bodies {
                Bodies::Full => Keep::Full,
                Bodies::Metadata => Keep::Metadata,
                Bodies::None => Keep::Nothing,
            },
            has_own_columns: self.has_own_columns,
            instance: self.instance.clone(),
            config_version: config.version().into(),
            cors,
            manage_hosts: self.manage_hosts.clone(),
            trusted_proxies: config.server.trusted_proxies.clone(),
            log: self.log.clone(),
            counts: self.unrecorded.clone(),
            replays: self.replays.clone(),
            histories: self.histories.clone(),
            models_detailed: KeptAnswer::default(),
        }
    }
}
