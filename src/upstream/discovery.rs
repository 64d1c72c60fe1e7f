//! Looks at providers' lists of models in the background, so that no request ever waits for one: each list again and again
//! as its time to live says, at most a few at once, with the provider's own key, and with a call that costs no tokens. A
//! list that does not come leaves the one before, until it does.
//!
//! An awc client is not `Send`, so all of it is one task on one thread. Who routes reads [`ModelLists`].

pub mod ask;
pub mod cache;
mod lists;
mod settings;
mod shared;
pub mod trial;

use std::cell::RefCell;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::clock::{Clock, Dice};
use crate::config::Config;
use crate::shared_state::SharedState;
use crate::upstream::provider::Provider;
use crate::upstream::transport::Transport;
use crate::wire::found::Found;

use self::ask::{AskFailure, ProbeFailure, ask, health, transport};
use self::cache::Cached;
#[cfg(test)]
pub(crate) use self::lists::testing;
pub use self::lists::{ModelLists, NameFilter, ProviderModels, Snapshot};
pub use self::settings::DiscoverySettings;
use self::shared::SharedLists;

/// Longest time for one list, all of its pages together.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Most providers that are asked at once.
const AT_ONCE: usize = 4;

/// How soon a list is asked for again that did not come; twice that after the next failure, up to its time to live.
const FIRST_BACK_OFF: Duration = Duration::from_secs(5);

/// Times differ by so many percent at most, so that instances and providers do not keep step.
const JITTER_PERCENT: u32 = 10;

/// Who wants to know how providers are.
pub struct Probes {
    /// Whether nobody has heard from a provider lately, so that it is asked; called when its time has come.
    pub is_wanted: Box<dyn Fn(usize) -> bool>,
    /// What every question came to, a probe or not.
    pub told: Box<dyn FnMut(usize, Result<(), ProbeFailure>)>,
}

/// Asks for all lists at once, out of turn. The default one asks nobody.
#[derive(Debug, Clone, Default)]
pub struct Refresher {
    asked: Arc<watch::Sender<u64>>,
}

/// The task, before it runs.
pub struct Discovery {
    providers: Arc<[Provider]>,
    looks: Vec<Look>,
    lists: Arc<ModelLists>,
    refresher: Refresher,
    shared: Option<SharedLists>,
    clock: Clock,
    dice: Dice,
}

struct Look {
    settings: DiscoverySettings,
    filter: NameFilter,
}

// === impl Refresher ===

impl Refresher {
    /// Has every list asked for now. Returns at once; whoever has subscribed to the lists is told of what comes.
    pub fn refresh_now(&self) {
        self.asked.send_modify(|asked| *asked += 1);
    }
}

// === impl Discovery ===

impl Discovery {
    /// What `settings` say of these providers. Lists of an earlier process count as stale ones until newer ones come; what
    /// refused us there is left out of those, too.
    pub fn new(
        providers: Arc<[Provider]>,
        settings: Vec<DiscoverySettings>,
        mut cached: Cached,
        clock: Clock,
        dice: Dice,
    ) -> Self {
        let mut looks = Vec::new();
        let mut stale = Vec::new();
        for settings in settings {
            let Some(provider) = providers.get(settings.provider) else {
                continue;
            };
            if provider.api.models.is_none() {
                continue;
            }
            let known = cached.take(provider);
            let (known, refused) = known.map_or_else(Default::default, |known| {
                (Some((known.fetched_at_us, known.models)), known.refused)
            });
            stale.push(known);
            let filter = settings.filter(refused);
            looks.push(Look { settings, filter });
        }
        let looked_at = looks.iter().filter(|look| look.settings.discovers);
        let looked_at = looked_at.map(|look| (look.settings.provider, look.filter.before_names()));
        let lists = ModelLists::new(providers.len(), looked_at);
        for (look, known) in looks.iter().zip(stale) {
            if let Some((at_us, models)) = known {
                lists.put_stale(look.settings.provider, &look.filter, models, at_us);
            }
        }
        Self {
            providers,
            looks,
            lists: Arc::new(lists),
            refresher: Refresher {
                asked: Arc::new(watch::Sender::new(0)),
            },
            shared: None,
            clock,
            dice,
        }
    }

    /// Shows its lists to other instances, and takes theirs while they are good.
    #[must_use]
    pub fn sharing(mut self, state: Arc<dyn SharedState>) -> Self {
        self.shared = SharedLists::of(state);
        self
    }

    /// As configured, beginning with what `models refresh` found. A file that cannot be read is told, and counts for nothing.
    pub fn configured(providers: Arc<[Provider]>, config: &Config) -> Self {
        let file = cache::file_for(&config.log.spool_dir);
        let cached = cache::read(&file).unwrap_or_else(|error| {
            tracing::warn!(file = %file.display(), "the list of models {error}");
            Cached::default()
        });
        let settings = DiscoverySettings::of(&config.providers);
        Self::new(
            providers,
            settings,
            cached,
            Clock::machine(),
            Dice::machine(),
        )
    }

    /// Begins with what another configuration's task has found of the providers that are the same in both, unless the file's
    /// list is newer. Newer lists are asked for all the same.
    pub fn begin_with(&self, providers: &[Provider], snapshot: &Snapshot) {
        for look in &self.looks {
            let Some(provider) = self.providers.get(look.settings.provider) else {
                continue;
            };
            let before = providers.iter().position(|before| {
                before.name == provider.name
                    && before.api.kind == provider.api.kind
                    && before.base_url == provider.base_url
            });
            if let Some(before) = before.and_then(|index| snapshot.of(index)) {
                self.lists
                    .go_on(look.settings.provider, &look.filter, before);
            }
        }
    }

    /// What is found.
    pub fn lists(&self) -> Arc<ModelLists> {
        self.lists.clone()
    }

    /// A way to ask out of turn.
    pub fn refresher(&self) -> Refresher {
        self.refresher.clone()
    }

    /// Looks at lists until `stop` is there; what is under way then is dropped. Must be awaited on a thread for tasks that
    /// are not `Send`.
    pub async fn run(self, stop: impl Future<Output = ()>, probes: Option<Probes>) {
        let probes = RefCell::new(probes);
        let permits = Semaphore::new(AT_ONCE);
        let looks = self.looks.iter().filter_map(|look| {
            let provider = self.providers.get(look.settings.provider)?;
            Some(self.look(look, provider, &permits, &probes))
        });
        let all = join_all(looks);
        tokio::select! {
            () = stop => {}
            // Without a provider to look at it ends at once, and there is nothing to stop.
            _ = all => {}
        }
    }

    async fn look(
        &self,
        look: &Look,
        provider: &Provider,
        permits: &Semaphore,
        probes: &RefCell<Option<Probes>>,
    ) {
        let settings = &look.settings;
        let transport = transport(provider);
        let mut refreshed = self.refresher.asked.subscribe();
        let mut failures = 0;
        let now = Instant::now();
        let mut list_at = settings.discovers.then_some(now);
        let mut probe_at = settings.probe.map(|every| now + self.jittered(every));
        while let Some(next) = [list_at, probe_at].into_iter().flatten().min() {
            let is_asked = tokio::select! {
                () = tokio::time::sleep_until(next) => false,
                asked = refreshed.changed() => asked.is_ok(),
            };
            let now = Instant::now();
            let is_due = list_at.is_some_and(|at| is_asked || at <= now);
            let is_probe = !is_due && probe_at.is_some_and(|at| at <= now);
            // Asked out of turn, it is not another instance's word that is wanted.
            let shown = match is_due && !is_asked {
                true => self.take_shown(look, provider).await,
                false => None,
            };
            if let Some(left) = shown {
                failures = 0;
                list_at = Some(Instant::now() + self.jittered(left));
            } else if is_due || is_probe && is_wanted(probes, settings.provider) {
                let Ok(permit) = permits.acquire().await else {
                    return;
                };
                let result = self.ask(look, provider, &transport, is_due).await;
                drop(permit);
                if let Some(probes) = &mut *probes.borrow_mut() {
                    (probes.told)(settings.provider, health(&result));
                }
                if is_due {
                    failures = match result {
                        Ok(_) => 0,
                        Err(_) => failures + 1,
                    };
                    let wait = self.jittered(wait(settings.ttl, failures));
                    list_at = Some(Instant::now() + wait);
                }
            }
            if is_due || is_probe {
                probe_at = settings
                    .probe
                    .map(|every| Instant::now() + self.jittered(every));
            }
        }
    }

    /// Takes another instance's list, and says for how long it is good; `None` where there is none.
    async fn take_shown(&self, look: &Look, provider: &Provider) -> Option<Duration> {
        let shared = self.shared.as_ref()?;
        let ttl = look.settings.ttl;
        let (list, left) = shared.fresh(provider, ttl, self.clock.wall_us()).await?;
        self.keep(look, provider, list.models, list.fetched_at_us);
        Some(left)
    }

    fn keep(&self, look: &Look, provider: &Provider, models: Vec<Found>, at_us: i64) {
        let index = look.settings.provider;
        let before = self.lists.snapshot();
        self.lists.put(index, &look.filter, models, at_us);
        let now = self.lists.snapshot();
        if let (Some(before), Some(now)) = (before.of(index), now.of(index)) {
            tell_change(provider, before, now);
        }
    }

    /// Asks once; `is_kept`: whether the answer is a list to keep.
    async fn ask(
        &self,
        look: &Look,
        provider: &Provider,
        transport: &Transport,
        is_kept: bool,
    ) -> Result<(), AskFailure> {
        let result = ask(provider, transport, PATIENCE).await;
        if !is_kept {
            return result.map(|_| ());
        }
        let index = look.settings.provider;
        match result {
            Ok(models) => {
                let now_us = self.clock.wall_us();
                if let Some(shared) = &self.shared {
                    let ttl = look.settings.ttl;
                    shared.show(provider, ttl, now_us, &models).await;
                }
                self.keep(look, provider, models, now_us);
                Ok(())
            }
            Err(failure) => {
                let error = failure.to_string();
                let before = self.lists.snapshot();
                let before = before.of(index).and_then(|models| models.error.as_deref());
                // What is wrong for hours is told once.
                if before != Some(&*error) {
                    tracing::warn!(
                        provider.name = %provider.name,
                        "the list of models did not come: {error}"
                    );
                }
                self.lists.failed(index, error);
                Err(failure)
            }
        }
    }

    /// A time that is up to a tenth shorter or longer.
    fn jittered(&self, time: Duration) -> Duration {
        const STEPS: u32 = 1_000;
        let rolled = self.dice.roll(2 * STEPS + 1);
        let percent = f64::from(JITTER_PERCENT) / 100.0;
        let by = f64::from(rolled) / f64::from(STEPS) - 1.0;
        time.mul_f64(1.0 + by * percent)
    }
}

/// Says in the process log that a list is another one, or comes again; most are as they were.
fn tell_change(provider: &Provider, before: &ProviderModels, now: &ProviderModels) {
    let models = now.models.len();
    if !Arc::ptr_eq(&before.models, &now.models) {
        tracing::info!(
            provider.name = %provider.name,
            models,
            before = before.models.len(),
            "the list of models has changed"
        );
    } else if before.error.is_some() {
        tracing::info!(provider.name = %provider.name, models, "the list of models comes again");
    }
}

fn is_wanted(probes: &RefCell<Option<Probes>>, provider: usize) -> bool {
    let probes = probes.borrow();
    probes
        .as_ref()
        .is_none_or(|probes| (probes.is_wanted)(provider))
}

/// How long until a list is asked for again, after so many failures in a row.
fn wait(ttl: Duration, failures: u32) -> Duration {
    match failures {
        0 => ttl,
        failures => {
            let doubled = 2_u32.saturating_pow(failures - 1);
            ttl.min(FIRST_BACK_OFF.saturating_mul(doubled))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_does_not_come_is_asked_for_again_sooner() {
        let seconds = Duration::from_secs;
        for (ttl, failures, expected) in [
            (300, 0, 300),
            (300, 1, 5),
            (300, 2, 10),
            (300, 6, 160),
            (300, 7, 300),
            (300, u32::MAX, 300),
            (2, 1, 2),
        ] {
            assert_eq!(
                wait(seconds(ttl), failures),
                seconds(expected),
                "{ttl} {failures}"
            );
        }
    }

    #[test]
    fn times_differ_by_a_tenth() {
        let none: Vec<Provider> = Vec::new();
        let discovery = Discovery::new(
            none.into(),
            Vec::new(),
            Cached::default(),
            Clock::machine(),
            Dice::seeded(7),
        );
        let times: Vec<_> = (0..1_000)
            .map(|_| discovery.jittered(Duration::from_secs(100)).as_secs())
            .collect();
        let (least, most) = (times.iter().min(), times.iter().max());
        assert_eq!((least, most), (Some(&90), Some(&109)));
    }
}
