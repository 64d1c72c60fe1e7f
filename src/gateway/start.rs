//! Brings everything up, in order: lock, listeners, store, log, workers.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::Clock;
use crate::config::Durability;
use crate::gateway::capabilities::{BLOCKING_THREADS, capabilities};
use crate::gateway::lock::DatabaseLock;
use crate::gateway::log::{Stores, keep_retention, start_log};
use crate::gateway::reload::Reloader;
use crate::gateway::running::Running;
use crate::gateway::secrets::{RecentSecrets, provider_secrets};
use crate::gateway::serve::{Server, StopRequest};
use crate::gateway::workers::{Generation, MakeParts, http_settings, make_state, max_streams};
use crate::gateway::{Addresses, Gateway, StartError, config_watch, discovery, filters, shared};
use crate::pipeline::StreamCount;
use crate::pipeline::filtering::Filters;
use crate::pipeline::link::Lifecycle;
use crate::pipeline::replay::Replays;
use crate::pricing::{Prices, SharedPrices};
use crate::routing::current::CurrentRouting;
use crate::server::admin::{AdminState, Hosts};
use crate::server::config_reload::ReloadCounts;
use crate::server::listen;
use crate::server::manage::Histories;
use crate::server::metrics::{Outcomes, Sources};
use crate::server::state::Unrecorded;
use crate::telemetry::background::Background;
use crate::telemetry::tasks::Tasks;
use crate::telemetry::watchdog::Watchdog;
use crate::upstream::registry::{self, SharedTls};

/// Most exchanges that are finished for the record's sake after their client has left; further ones are cancelled.
const MOST_WITHOUT_CLIENT: usize = 64;

/// Brings it up.
pub(super) async fn start(mut gateway: Gateway) -> Result<Running, StartError> {
    let config = gateway.load()?;
    let chain = filters::chain(&gateway.registry, &gateway.filters, &config)?;
    let (providers, tls) = registry::build_after(&config.providers, &SharedTls::default())?;
    let clock = Clock::machine();
    let (routing, keeper) = discovery::routing(&config, providers.clone(), &clock, None);
    let sharing = shared::open(&config, &clock)?;
    let shared_state = sharing.state().clone();
    let lock = DatabaseLock::take(&config.database.url, config.server.shutdown_grace)
        .await?
        .map(Arc::new);
    let (server, admin) = (&config.server, &config.admin);
    let listener = bind("server", "--port", &server.host, server.port)?;
    let admin_listener = match config.admin.enabled {
        true => Some(bind("admin", "--admin-port", &admin.host, admin.port)?),
        false => None,
    };
    let addresses = Addresses {
        data: address(&listener)?,
        admin: admin_listener.as_ref().map(address).transpose()?,
    };
    // One more than filters may keep: for reading the configuration anew.
    let background = Background::start(BLOCKING_THREADS + 1)
        .map_err(|source| system("cannot start the background thread", source))?;
    let columns = gateway.own_columns(&config);
    let has_own_columns = !columns.is_empty();
    let sql_columns = columns.iter().map(|own| own.column().clone()).collect();
    let stores = Stores::open(&config, sql_columns, &background).await?;
    let outcomes = Arc::new(Outcomes::default());
    let secrets = RecentSecrets::new(&config);
    let prices = SharedPrices::new(Prices::of(&config));
    let log = start_log(
        &config,
        &stores,
        columns,
        secrets.clone(),
        prices.clone(),
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
    let current_routing = CurrentRouting::new(routing.clone());
    let (keeps_lists, keepers) = mpsc::unbounded_channel();
    // An error means that nobody listens: the other end is below.
    drop(keeps_lists.send(keeper));
    let (generations, newest) = watch::channel(Arc::new(Generation {
        config: config.clone(),
        providers,
        routing,
        filters,
        secrets: provider_secrets(&config),
    }));
    let reloads = Arc::new(ReloadCounts::default());
    let reloader = Arc::new(Reloader {
        sources: gateway.reload_sources(&config),
        registry: gateway.registry,
        own_filters: gateway.filters,
        started_with: config.clone(),
        generations,
        routing: current_routing.clone(),
        keeps_lists,
        secrets,
        prices,
        tls: Mutex::new(tls),
        counts: reloads.clone(),
        clock: clock.clone(),
        runner: background.runner(),
        turn: Arc::default(),
    });
    if let Some(every) = gateway.watch_every {
        let watch = config_watch::watch(reloader.clone(), every);
        background.runner().start("configuration", watch);
    }
    let histories = Histories::new(stores.read.clone(), background.runner());
    shared::keep_hearing(sharing.clone(), current_routing.clone(), &background);
    let admin = AdminState {
        reload: reloader.for_admin(),
        sources: Sources {
            log: log.clone(),
            outcomes,
            streams: streams.clone(),
            unrecorded: unrecorded.clone(),
            reloads,
            stuck_workers: watchdog.stuck(),
            routing: current_routing,
            shared: sharing.state().clone(),
            clock,
        },
        replays: replays.clone(),
        token: config.admin.token.clone(),
        hosts: match addresses.admin {
            Some(address) if !address.ip().is_loopback() && config.admin.token.is_some() => {
                Hosts::Any
            }
            Some(_) | None => Hosts::Loopback(config.admin.host.clone()),
        },
    };
    let tasks = Tasks::default();
    let counts = unrecorded.clone();
    let make = make_state(MakeParts {
        instance: addresses.data.to_string().into(),
        has_own_columns,
        manage_hosts: (addresses.data.ip().is_loopback())
            .then(|| Hosts::Loopback(config.server.host.clone())),
        generations: newest,
        sharing,
        log: log.clone(),
        lifecycle,
        streams,
        alone,
        unrecorded,
        tasks: tasks.clone(),
        replays,
        histories,
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
        keepers,
        shared_state,
        lock: lock.clone(),
    };
    let thread = thread::Builder::new()
        .name("server".to_owned())
        .spawn(move || {
            actix_rt::System::new().block_on(server.serve(ready));
            drop(background);
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
        reloader,
        _lock: lock,
    })
}

/// `section`: where the configuration names the port; its flag says the same.
fn bind(section: &str, flag: &str, host: &str, port: u16) -> Result<TcpListener, StartError> {
    listen::bind(host, port).map_err(|source| {
        let what = format!("cannot listen on {host}:{port} ({section}.port, {flag})");
        system(what, source)
    })
}

fn address(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener
        .local_addr()
        .map_err(|source| system("the listener has no address", source))
}

/// A failure of the machine's.
pub(super) fn system(what: impl Into<String>, source: io::Error) -> StartError {
    StartError::System {
        what: what.into(),
        source,
    }
}
