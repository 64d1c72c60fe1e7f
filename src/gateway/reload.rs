//! Reads the configuration anew while the server runs. All of it is made before any of it is used, so one that is wrong
//! changes nothing; workers take the new one before their next request, and what runs keeps the one it began with.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use tokio::sync::{mpsc, watch};

use crate::access_log::columns;
use crate::clock::Clock;
use crate::config::{self, Config, Problem, Problems, Rules, Sources};
use crate::filter::{Entry, Registry};
use crate::gateway::discovery::{self, Keeper};
use crate::gateway::filters::{self, Kinds};
use crate::gateway::secrets::{RecentSecrets, provider_secrets};
use crate::gateway::workers::Generation;
use crate::pipeline::filtering::Filters;
use crate::pricing::{Prices, SharedPrices};
use crate::routing::current::CurrentRouting;
use crate::server::config_reload::{NotReloaded, ReloadCounts, ReloadNow, Reloaded};
use crate::telemetry::background::Runner;
use crate::upstream::registry::{self, SharedTls};

/// See the module. One for the process.
pub(super) struct Reloader {
    /// `None`: the configuration did not come from a file.
    pub(super) sources: Option<Sources>,
    /// The filters that the configuration may name.
    pub(super) registry: Registry,
    /// The program's own filters.
    pub(super) own_filters: Vec<Entry>,
    /// What is used at the start only comes from here.
    pub(super) started_with: Config,
    pub(super) generations: watch::Sender<Arc<Generation>>,
    /// For those who show it.
    pub(super) routing: CurrentRouting,
    /// Who keeps its lists of models goes there.
    pub(super) keeps_lists: mpsc::UnboundedSender<Keeper>,
    /// What the writer masks.
    pub(super) secrets: RecentSecrets,
    /// For the writer.
    pub(super) prices: SharedPrices,
    /// Held by who reads the configuration: one at a time.
    pub(super) tls: Mutex<SharedTls>,
    pub(super) counts: Arc<ReloadCounts>,
    pub(super) clock: Clock,
    pub(super) runner: Runner,
    /// Waiting for another's turn takes no thread.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
}

/// Why it is read anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// SIGHUP, or the program itself.
    Asked,
    /// The admin port.
    AdminPort,
    /// The file changed.
    File,
    /// The file is looked at for the first time: it may have changed during the start.
    FirstLook,
}

impl Reloader {
    /// The file that is read; `None` when there is none.
    pub(super) fn file(&self) -> Option<&Path> {
        self.sources.as_ref()?.file.as_deref()
    }

    /// For the admin port.
    pub(super) fn for_admin(self: &Arc<Self>) -> ReloadNow {
        let this = self.clone();
        Arc::new(move || {
            let this = this.clone();
            async move { this.reload(Cause::AdminPort).await }.boxed()
        })
    }

    /// Reads it anew, beside all threads of requests. Goes on when nobody waits for it any more.
    ///
    /// # Errors
    /// [`NotReloaded`]: the configuration of before stays.
    pub(super) async fn reload(self: &Arc<Self>, cause: Cause) -> Result<Reloaded, NotReloaded> {
        let turn = self.turn.clone().lock_owned().await;
        let this = self.clone();
        let reload = self.runner.run_blocking(move || {
            // Held by the work, not by who waits for it: that one may leave.
            let _turn = turn;
            let result = this.reload_here();
            this.tell(cause, &result);
            result
        });
        reload.await.unwrap_or_else(|_| {
            let broke_off = Err(NotReloaded::BrokeOff);
            self.tell(cause, &broke_off);
            broke_off
        })
    }

    fn reload_here(&self) -> Result<Reloaded, NotReloaded> {
        let sources = self.sources.as_ref().ok_or(NotReloaded::NoFile)?;
        let mut tls = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        let config = self.load(sources)?;
        let config_version = config.version().to_owned();
        let before = self.generations.borrow().clone();
        if config.is_same(&before.config) && !tls.is_outdated() {
            return Ok(Reloaded::Unchanged { config_version });
        }
        let (generation, keeper, tls_now) = self.made(config, &before, &tls)?;
        let restart_needed = generation.config.restart_needed(&self.started_with);
        // Before the first request that could bring one of them.
        self.secrets.add(generation.secrets.clone());
        self.prices.replace(Prices::of(&generation.config));
        self.routing.replace(generation.routing.clone());
        self.generations.send_replace(Arc::new(generation));
        // An error means that the server ends.
        drop(self.keeps_lists.send(keeper));
        *tls = tls_now;
        Ok(Reloaded::Applied {
            config_version,
            restart_needed,
        })
    }

    fn load(&self, sources: &Sources) -> Result<Config, Problems> {
        let names = columns::built_in_names();
        let kinds = Kinds(&self.registry);
        let rules = Rules {
            filters: &kinds,
            built_in_columns: &names,
        };
        config::load(sources, &rules)
    }

    /// All that workers need of a configuration.
    fn made(
        &self,
        config: Config,
        before: &Generation,
        tls: &SharedTls,
    ) -> Result<(Generation, Keeper, SharedTls), Problems> {
        let wrong = |problem: Problem| Problems(vec![problem]);
        let (providers, tls_now) =
            registry::build_after(&config.providers, tls).map_err(|error| {
                let mut names = config.providers.iter();
                let index = names.position(|provider| provider.name == error.provider);
                let path = index.map_or_else(String::new, |index| format!("providers[{index}]"));
                wrong(config.problem(&path, error.source.to_string()))
            })?;
        let keeps_chain = config.has_same_filters(&before.config)
            && config.server.max_body_bytes == before.config.server.max_body_bytes;
        let chain = match keeps_chain {
            true => before.filters.chain.clone(),
            false => {
                let chain = filters::chain(&self.registry, &self.own_filters, &config);
                Arc::new(
                    chain.map_err(|error| wrong(config.problem("filters", error.to_string())))?,
                )
            }
        };
        let routing = Some(&*before.routing);
        let (routing, keeper) =
            discovery::routing(&config, providers.clone(), &self.clock, routing);
        let generation = Generation {
            secrets: provider_secrets(&config),
            providers,
            routing,
            filters: Filters {
                chain,
                capabilities: before.filters.capabilities.clone(),
            },
            config,
        };
        Ok((generation, keeper, tls_now))
    }

    /// Counts and logs what came of it.
    fn tell(&self, cause: Cause, result: &Result<Reloaded, NotReloaded>) {
        if cause == Cause::FirstLook && matches!(result, Ok(Reloaded::Unchanged { .. })) {
            return;
        }
        self.counts.add(result);
        match result {
            Ok(Reloaded::Applied {
                config_version,
                restart_needed,
            }) => {
                tracing::info!(%config_version, "the configuration was read anew and is used");
                if !restart_needed.is_empty() {
                    let paths = restart_needed.join(", ");
                    tracing::warn!(paths, "these settings wait for a restart: {paths}");
                }
            }
            Ok(Reloaded::Unchanged { config_version }) => {
                tracing::info!(%config_version, "the configuration was read anew: nothing changed");
            }
            Err(NotReloaded::Wrong(Problems(problems))) => {
                for problem in problems {
                    tracing::error!("the configuration of before stays: {problem}");
                }
            }
            Err(error @ (NotReloaded::NoFile | NotReloaded::BrokeOff)) => {
                tracing::error!("the configuration of before stays: {error}");
            }
        }
    }
}
