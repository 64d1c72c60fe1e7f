//! Lists of models while the server runs: one task beside the listeners asks for them and has the table follow, so that no
//! request ever does. The same task tells a provider's health what its probes came to.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::config::Config;
use crate::routing::Routing;
use crate::routing::breaker::Allowed;
use crate::routing::health::TargetState;
use crate::shared_state::SharedState;
use crate::telemetry::tasks::Tasks;
use crate::upstream::discovery::ask::ProbeFailure;
use crate::upstream::discovery::{Discovery, Probes};
use crate::upstream::provider::Provider;

/// The task of one configuration, before it runs.
pub(super) struct Keeper {
    discovery: Discovery,
    routing: Arc<Routing>,
    clock: Clock,
    /// How often each provider is probed.
    probed: Vec<Option<Duration>>,
}

/// What all workers choose by, and who keeps its lists. `before`: that of the configuration before, whose lists stand until
/// newer ones come.
pub(super) fn routing(
    config: &Config,
    providers: Arc<[Provider]>,
    clock: &Clock,
    before: Option<&Routing>,
) -> (Arc<Routing>, Keeper) {
    let discovery = Discovery::configured(providers.clone(), config);
    if let Some(before) = before {
        discovery.begin_with(before.providers(), &before.snapshot());
    }
    let routing = Routing::new(config, providers, clock, before);
    let routing = Arc::new(routing.with_lists(&discovery));
    let probed = config.providers.iter().map(|provider| provider.probe);
    let keeper = Keeper {
        discovery,
        routing: routing.clone(),
        clock: clock.clone(),
        probed: probed.collect(),
    };
    (routing, keeper)
}

impl Keeper {
    /// Asks for lists until `stop` is there. Must be called on a thread for tasks that are not `Send`, which is no worker's.
    /// Lists are shared through `state`.
    pub(super) fn start(
        self,
        tasks: &Tasks,
        state: Arc<dyn SharedState>,
        stop: impl Future<Output = ()> + 'static,
    ) {
        let Self {
            discovery,
            routing,
            clock,
            probed,
        } = self;
        let probes = probes(routing.clone(), clock, probed.into());
        let discovery = discovery.sharing(state);
        tasks.spawn_local("discovery", async move {
            tokio::select! {
                () = discovery.run(stop, Some(probes)) => {}
                () = follow(&routing) => {}
            }
        });
    }
}

/// Starts the task of each configuration that comes, and ends the one before. Dropping this ends the last one.
pub(super) async fn keep_lists(
    tasks: Tasks,
    state: Arc<dyn SharedState>,
    mut keepers: mpsc::UnboundedReceiver<Keeper>,
) {
    let mut running: Option<oneshot::Sender<()>> = None;
    while let Some(keeper) = keepers.recv().await {
        drop(running.take());
        let (next, is_next) = oneshot::channel();
        // It ends by an error, when the other end is dropped.
        keeper.start(&tasks, state.clone(), async move { drop(is_next.await) });
        running = Some(next);
    }
}

/// Has the table follow the lists, as long as there are any.
async fn follow(routing: &Routing) {
    let mut told = routing.lists().subscribe();
    while told.changed().await.is_ok() {
        routing.follow_lists();
    }
}

fn probes(routing: Arc<Routing>, clock: Clock, probed: Arc<[Option<Duration>]>) -> Probes {
    let is_quiet = move |routing: &Routing, provider: usize, now: Instant| {
        // What a list says of health counts only where that was asked for.
        let every = probed.get(provider).copied().flatten();
        every.is_some_and(|every| !had_traffic(routing, provider, every, now))
    };
    let asks = (is_quiet.clone(), routing.clone(), clock.clone());
    Probes {
        is_wanted: Box::new(move |provider| {
            let (is_quiet, routing, clock) = &asks;
            is_quiet(routing, provider, clock.now())
        }),
        told: Box::new(move |provider, result| {
            let now = clock.now();
            if is_quiet(&routing, provider, now) {
                states(&routing, provider).for_each(|state| tell(&state, result, now));
            }
        }),
    }
}

/// Whether requests say by themselves how a provider does.
fn had_traffic(routing: &Routing, provider: usize, within: Duration, now: Instant) -> bool {
    states(routing, provider).any(|state| {
        let last_seen = state.figures.count(now).last_seen_ago;
        0 < state.figures.read(now).in_flight || last_seen.is_some_and(|ago| ago < within)
    })
}

/// What is known of a provider and of each of its models: where it is not reached, none of them is.
fn states(routing: &Routing, provider: usize) -> impl Iterator<Item = Arc<TargetState>> {
    let name = routing.providers().get(provider);
    let name = name.map(|provider| provider.name.as_str());
    let models = name.map(|name| routing.health.models_of(name));
    let models = models.into_iter().flatten().map(|(_, state)| state);
    name.map(|name| routing.health.of_provider(name))
        .into_iter()
        .chain(models)
}

/// Tells one of them what came of a probe.
fn tell(state: &TargetState, result: Result<(), ProbeFailure>, now: Instant) {
    let breaker = &state.breaker;
    // A model that said when to come back says so still: its provider's list knows nothing of that.
    if breaker.cooling_until(now).is_some() || matches!(breaker.allows(now), Allowed::No { .. }) {
        return;
    }
    match result {
        Ok(()) => breaker.succeeded(now),
        Err(ProbeFailure::Unreached | ProbeFailure::TimeLimit) => breaker.failed(now, now),
        Err(ProbeFailure::Status(500..)) => breaker.overloaded(now, now, None),
        // It was reached; whose key it likes is another matter.
        Err(ProbeFailure::Status(_)) => breaker.succeeded(now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::breaker::{Breaker, BreakerSettings, BreakerState};
    use crate::routing::figures::Figures;

    const SECOND: Duration = Duration::from_secs(1);

    fn state(base: Instant) -> TargetState {
        TargetState {
            provider: "a".into(),
            model: "".into(),
            figures: Figures::new(base),
            breaker: Breaker::new(BreakerSettings {
                failures: 2,
                open_for: 10 * SECOND,
                overloads: 2,
                ..BreakerSettings::default()
            }),
        }
    }

    #[test]
    fn probes_open_and_close_a_breaker_and_leave_a_cool_down_alone() {
        let base = Instant::now();
        let unreached = Err(ProbeFailure::Unreached);
        let busy = Err(ProbeFailure::Status(503));
        let refused = Err(ProbeFailure::Status(401));
        // Times and results; whether it is passed over a second later.
        type Told = (u32, Result<(), ProbeFailure>);
        let cases: &[(&[Told], bool)] = &[
            (&[(1, Ok(()))], false),
            (&[(1, unreached)], false),
            (&[(1, unreached), (2, unreached)], true),
            (&[(1, unreached), (2, Ok(())), (3, unreached)], false),
            (&[(1, unreached), (2, refused), (3, unreached)], false),
            (&[(1, unreached), (2, unreached), (5, Ok(()))], true),
            (&[(1, unreached), (2, unreached), (13, Ok(()))], false),
            (&[(1, unreached), (2, unreached), (13, unreached)], true),
            (&[(1, busy)], false),
            (&[(1, busy), (2, busy)], true),
            (&[(1, busy), (2, busy), (3, Ok(()))], true),
        ];
        for (told, expected) in cases {
            let state = state(base);
            let mut now = base;
            for (at, result) in *told {
                now = base + *at * SECOND;
                tell(&state, *result, now);
            }
            let seen = state.is_passed_over(now + SECOND);
            assert_eq!(seen, *expected, "{told:?}");
        }
        let state = state(base);
        state.breaker.overloaded(base, base, Some(30 * SECOND));
        tell(&state, Ok(()), base + SECOND);
        assert!(state.is_passed_over(base + 29 * SECOND));
        assert_eq!(state.breaker.state(base), BreakerState::Closed);
    }
}
