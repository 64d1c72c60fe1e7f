//! The tries of an exchange: targets and their keys in order, until one answers well or nobody is left. Another one is tried
//! only before the first byte went to the client.

mod ask;
mod entries;
mod keys;
mod nobody;
mod order;
mod probe;
mod soonest;
mod troubles;

use std::time::{Duration, Instant};

use crate::filter::{Endpoint, Outcome};
use crate::pipeline::Worker;
use crate::pipeline::answer::{self, Waits};
use crate::pipeline::attempts::ask::{Follows, one_try};
use crate::pipeline::attempts::entries::{give_up, pass_over};
use crate::pipeline::attempts::keys::Shown;
use crate::pipeline::attempts::nobody::Nobody;
use crate::pipeline::attempts::order::order;
use crate::pipeline::attempts::probe::Probe;
use crate::pipeline::attempts::soonest::{says_when, soonest};
use crate::pipeline::exchange::{Body, Exchange};
use crate::pipeline::failure::Failure;
use crate::pipeline::flight::Flight;
use crate::pipeline::plan::{self, plan};
use crate::pipeline::sessions::Asking;
use crate::routing::breaker::{Allowed, BreakerState};
use crate::routing::failover::{Blame, Trouble};
use crate::routing::key_pool::KeyTrouble;
use crate::routing::target::{Route, Target};
use crate::upstream::provider::Provider;
use crate::upstream::transport::UpstreamReply;

/// What came of the last try.
pub(super) struct Answered {
    /// The index of its provider.
    pub(super) provider: usize,
    /// The model as it was asked for.
    pub(super) model: Option<String>,
    /// What the client asked for.
    pub(super) asked: answer::Asked,
    /// The answer's head in the client's format, or why there is none.
    pub(super) reply: Result<UpstreamReply, Failure>,
    /// What the upstream says about trying again.
    pub(super) kept: Waits,
}

/// Tries the targets of a route until one answers.
///
/// # Errors
/// [`Failure`] where nobody was asked at all.
pub(super) async fn answered(
    exchange: &mut Exchange,
    head: &plan::Asked,
    route: &Route,
    worker: &Worker,
) -> Result<Answered, Failure> {
    worker.routing.budget.requested(worker.clock.now());
    let (order, asking) = order(exchange, head, route, worker).await;
    let mut tries = Tries {
        worker,
        asking,
        tags: exchange.guard.closed_mut().tags.clone(),
        made: 0,
        waits: Vec::new(),
        nobody: Nobody::NotFor,
        cooling: None,
        last: None,
    };
    let mut later: &[usize] = &order;
    while let Some((index, rest)) = later.split_first() {
        later = rest;
        let place = Place {
            index: *index,
            is_last: rest.is_empty() && tries.cooling.is_none(),
            may_be_followed: rest.iter().any(|other| tries.may_be_asked(route, *other)),
        };
        let target = &route.targets[*index];
        if tries.target(exchange, head, target, place).await? {
            break;
        }
    }
    if let (None, Some(index)) = (&tries.last, tries.cooling) {
        // Nobody else could be asked: then a key that cools down is better than none.
        let place = Place {
            index,
            is_last: true,
            may_be_followed: false,
        };
        let target = &route.targets[index];
        tries.target(exchange, head, target, place).await?;
    }
    let Tries {
        last,
        nobody,
        waits,
        made,
        ..
    } = tries;
    exchange.body = Body::None;
    let mut answered = last.ok_or_else(|| nobody.failure(worker.clock.now()))?;
    if 1 < made && says_when(&answered) {
        soonest(&mut answered, &waits);
    }
    Ok(answered)
}

/// Where in the order a target is.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Its index in the route.
    index: usize,
    /// Whether no other is left.
    is_last: bool,
    /// Whether one of the others that are left can be asked, as far as is known now.
    may_be_followed: bool,
}

struct Tries<'a> {
    worker: &'a Worker,
    /// The session, which is bound to who answers.
    asking: Option<Asking>,
    /// The tags before the first try: what an answer says of itself is forgotten with it.
    tags: Vec<(String, String)>,
    made: u32,
    /// When those that were tried may be asked again.
    waits: Vec<Duration>,
    nobody: Nobody,
    /// The first target of which only the keys that cool down were left.
    cooling: Option<usize>,
    last: Option<Answered>,
}

impl Tries<'_> {
    /// Whether a target's circuit is not open.
    fn may_be_asked(&self, route: &Route, index: usize) -> bool {
        let now = self.worker.clock.now();
        let state = route.targets[index].state.breaker.state(now);
        !matches!(state, BreakerState::Open { .. })
    }

    /// Tries one target, with one of its keys after the other. Returns whether that is all.
    async fn target(
        &mut self,
        exchange: &mut Exchange,
        head: &plan::Asked,
        target: &Target,
        place: Place,
    ) -> Result<bool, Failure> {
        let worker = self.worker;
        let provider = &worker.providers[target.provider];
        let mut tried_keys = Vec::new();
        loop {
            let now = worker.clock.now();
            if !self.may_try(exchange, provider, now) {
                return Ok(true);
            }
            let is_only = place.is_last && self.last.is_none();
            if let Allowed::No { until } = target.state.breaker.allows(now) {
                self.nobody = self.nobody.or(Nobody::Open { until });
                pass_over(
                    exchange,
                    target,
                    worker,
                    "circuit_open",
                    Outcome::UpstreamError,
                );
                return Ok(false);
            }
            // Given back wherever this ends, unless the try was judged.
            let probe = Probe::new(target, now);
            let plan = match plan(exchange, head, target, worker) {
                Ok(plan) => plan,
                Err(failure) if is_only => return Err(failure),
                Err(failure) => {
                    pass_over(
                        exchange,
                        target,
                        worker,
                        "not_translatable",
                        failure.outcome(),
                    );
                    return Ok(false);
                }
            };
            // The budget and the key last: who is passed over costs nobody anything.
            if 0 < self.made && !worker.routing.budget.may_retry(now) {
                return Ok(true);
            }
            let key = self.key(exchange, target, &tried_keys, place, now);
            let Some(shown) = key.await else {
                return Ok(false);
            };
            let may_again = is_resendable(exchange) && self.made + 1 < self.most();
            let has_keys = tried_keys.len() + 1 < provider.keys.len();
            let follows = Follows {
                other: may_again && place.may_be_followed,
                any: may_again && (!place.is_last || has_keys),
            };
            if 0 < self.made {
                exchange.guard.tries_again(&self.tags);
            }
            let flight = Flight::start(worker, target, now);
            let key = match shown {
                Shown::Clients => None,
                Shown::Ours(index) => Some(index),
            };
            let (answered, trouble) = one_try(exchange, plan, target, key, follows, worker).await;
            self.made += 1;
            let own = &provider.retry_statuses;
            let retried = match own.is_empty() {
                true => &worker.routing.settings.retry_statuses,
                false => own,
            };
            let model = answered.model.as_deref();
            self.judge(exchange, target, key, flight, trouble, model);
            probe.judged();
            let goes_on = trouble.is_some_and(|trouble| trouble.goes_on(retried));
            self.last = Some(answered);
            let Some(trouble) = trouble.filter(|_| goes_on && is_resendable(exchange)) else {
                return Ok(true);
            };
            give_up(exchange, trouble);
            self.waits.extend(trouble.retry_after());
            match (trouble.blame(), key) {
                (Blame::Key, Some(key)) if tried_keys.len() + 1 < provider.keys.len() => {
                    tried_keys.push(key);
                }
                _ => return Ok(false),
            }
        }
    }

    /// Whether a provider had its own limit for the first byte.
    fn waited(&self, target: &Target, started: Instant) -> bool {
        let waited = self.worker.clock.now().saturating_duration_since(started);
        self.worker.providers[target.provider].timeouts.first_byte <= waited
    }

    fn most(&self) -> u32 {
        self.worker.routing.settings.max_attempts
    }

    /// Whether one more try is within the limits of number and time.
    fn may_try(&self, exchange: &Exchange, provider: &Provider, now: Instant) -> bool {
        if self.made == 0 {
            return true;
        }
        self.made < self.most()
            && now < exchange.guard.started() + provider.timeouts.total
            && !exchange.link.is_gone()
    }

    /// Tells those whose doing it is how the try went.
    fn judge(
        &self,
        exchange: &mut Exchange,
        target: &Target,
        key: Option<usize>,
        flight: Flight,
        trouble: Option<Trouble>,
        model: Option<&str>,
    ) {
        let sharing = &self.worker.sharing;
        let provider = &self.worker.providers[target.provider].name;
        let now = self.worker.clock.now();
        let pool = self.worker.routing.pool(target.provider);
        let Some(trouble) = trouble else {
            if let Some(key) = key {
                pool.succeeded(key, now);
            }
            target.state.breaker.succeeded(flight.started());
            let asking = self.asking.as_ref();
            let binding = asking.map(|asking| asking.to(provider, model.unwrap_or_default()));
            return flight.goes_on_in(&mut exchange.guard, binding);
        };
        let (breaker, started) = (&target.state.breaker, flight.started());
        match trouble.blame() {
            // The time that was left, or that the client gave, was not the provider's own limit.
            Blame::Connection if trouble == Trouble::Silent && !self.waited(target, started) => {
                breaker.gave_up(started);
            }
            Blame::Connection => {
                breaker.failed(started, now);
                flight.failed(now);
            }
            Blame::Target => {
                breaker.overloaded(started, now, trouble.back_at());
                flight.failed(now);
            }
            Blame::Key => {
                breaker.succeeded(started);
                if let Some(key) = key {
                    let why = match trouble {
                        Trouble::RateLimited { retry_after } => {
                            KeyTrouble::RateLimited { retry_after }
                        }
                        _ => KeyTrouble::Refused,
                    };
                    let until = pool.cools(key, why, now);
                    if let Some(spec) = pool.specs().nth(key) {
                        sharing.key_cools(provider, &spec.name, why, until);
                    }
                }
            }
            Blame::Nobody if trouble == Trouble::Ended => breaker.gave_up(started),
            Blame::Nobody => breaker.succeeded(started),
        }
        if matches!(trouble.blame(), Blame::Connection | Blame::Target)
            && let Some(until) = breaker.rests_until(now)
        {
            sharing.target_rests(&target.state, until);
        }
    }
}

/// Whether the request asks a model, so that any key of its provider will do. What else is called may belong to a key:
/// files, batches, stored answers.
fn is_by_model(exchange: &Exchange) -> bool {
    let is_whole = matches!(exchange.body, Body::Whole(_));
    is_whole && !matches!(exchange.endpoint, Endpoint::Passthrough | Endpoint::Models)
}

/// Whether the request can be sent again.
fn is_resendable(exchange: &Exchange) -> bool {
    !matches!(exchange.body, Body::Flowing(..)) && !exchange.has_flown
}
