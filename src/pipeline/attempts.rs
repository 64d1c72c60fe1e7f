//! The tries of an exchange: targets and their keys in order, until one answers well or nobody is left. Another one is tried
//! only before the first byte went to the client.

mod keys;
mod nobody;
mod order;
mod probe;
mod soonest;
mod troubles;
mod words;

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;

use crate::access_log::draft::{AttemptDraft, PASSED_OVER};
use crate::filter::{Endpoint, Outcome};
use crate::pipeline::Worker;
use crate::pipeline::answer::{
    self, MAX_ERROR_BODY_BYTES, Waits, classify, is_events, opened, refuses_our_key, waits,
};
use crate::pipeline::attempt::{Call, CallBody, attempt};
use crate::pipeline::attempts::keys::Shown;
use crate::pipeline::attempts::nobody::Nobody;
use crate::pipeline::attempts::order::order;
use crate::pipeline::attempts::probe::Probe;
use crate::pipeline::attempts::soonest::{says_when, soonest};
use crate::pipeline::attempts::troubles::{
    of_status, of_stillborn, refuses_our_user, trouble, wait,
};
use crate::pipeline::attempts::words::{note_message, note_words};
use crate::pipeline::birth::{Waiting, born};
use crate::pipeline::blame::{begin, blame, blame_for};
use crate::pipeline::exchange::{Body, Exchange};
use crate::pipeline::failure::Failure;
use crate::pipeline::flight::Flight;
use crate::pipeline::plan::{self, Plan, plan};
use crate::pipeline::sessions::Asking;
use crate::routing::breaker::{Allowed, BreakerState};
use crate::routing::failover::{Blame, Trouble};
use crate::routing::key_pool::KeyTrouble;
use crate::routing::target::{Route, Target};
use crate::upstream::provider::{Provider, Timeouts};
use crate::upstream::transport::{UpstreamBody, UpstreamReply};

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

/// Puts a candidate on record that was not tried.
fn pass_over(
    exchange: &mut Exchange,
    target: &Target,
    worker: &Worker,
    reason: &str,
    outcome: Outcome,
) {
    debug_assert!(PASSED_OVER.contains(&reason), "{reason} is not known");
    let started_at_us = worker.clock.wall_us();
    let closed = exchange.guard.closed_mut();
    closed.passed_over += 1;
    closed.tries.push(AttemptDraft {
        number: closed.last_number(),
        provider: worker.providers[target.provider].name.clone(),
        model: target.model.clone(),
        provider_key: None,
        started_at_us,
        status_code: None,
        outcome,
        error_message: None,
        connect_ms: None,
        first_byte_ms: None,
        duration_ms: 0.0,
        skip_reason: Some(reason.to_owned()),
    });
}

/// Says in the last try's entry why another one follows.
fn give_up(exchange: &mut Exchange, trouble: Trouble) {
    let closed = exchange.guard.closed_mut();
    let number = closed.last_number();
    let last = closed.tries.iter_mut().rev();
    if let Some(last) = last.into_iter().find(|tried| tried.number == number) {
        last.skip_reason = Some(trouble.word().to_owned());
    }
}

/// What may come after a try.
#[derive(Debug, Clone, Copy)]
struct Follows {
    /// Another target.
    other: bool,
    /// Another target, or another key of this one.
    any: bool,
}

/// Asks one target.
async fn one_try(
    exchange: &mut Exchange,
    plan: Plan,
    target: &Target,
    key: Option<usize>,
    follows: Follows,
    worker: &Worker,
) -> (Answered, Option<Trouble>) {
    let provider = &worker.providers[target.provider];
    let guard = &mut exchange.guard;
    if let Some(body) = plan.recorded {
        guard.upstream_request(body);
    }
    if let Some(endpoint) = plan.translated_to {
        guard.translated_to(endpoint);
    }
    let closed = guard.closed_mut();
    closed.dropped = plan.dropped;
    closed.usage_asked = plan.usage_asked;
    if !plan.stream {
        exchange.link.expect_whole_answer();
    }
    let url = match &plan.translation {
        Some(translation) => translation.url(provider, plan.model.as_deref()),
        None => exchange.url_at(provider, plan.model.as_deref()),
    };
    let call = Call {
        provider,
        key: key.and_then(|key| provider.keys.get(key)),
        method: &exchange.method,
        url: &url,
        timeouts: plan.timeouts,
        headers: &exchange.headers,
        model: plan.model.as_deref(),
        cancel_when_client_leaves: plan.stream,
        is_translated: plan.translation.is_some()
            || exchange.is_other_form
            || exchange.endpoint == Endpoint::ArgoChat,
    };
    let body = match std::mem::replace(&mut exchange.body, Body::None) {
        Body::None => CallBody::None,
        Body::Whole(body) => {
            // Held for who may follow, and for nobody else: it may be most of an exchange's memory.
            if follows.any {
                exchange.body = Body::Whole(body.clone());
            }
            CallBody::Whole(plan.changed.unwrap_or(body))
        }
        Body::Flowing(stream, length) => {
            exchange.has_flown = true;
            CallBody::Flowing(stream, length)
        }
    };
    let transport = worker.transport(target.provider);
    let (guard, link) = (&mut exchange.guard, &exchange.link);
    let came = attempt(worker, transport, &call, body, guard, link).await;
    let mut asked = answer::Asked {
        endpoint: exchange.endpoint,
        stream: plan.stream,
        usage_asked: plan.usage_asked,
        request_id: exchange.request_id.clone(),
        since: Instant::now(),
        timeouts: plan.timeouts,
        is_translated: plan.translation.is_some(),
        translation: plan.translation,
    };
    let kept = came.as_ref().map(|reply| waits(&reply.headers));
    let kept = kept.unwrap_or_default();
    let opened = match came {
        Err(failure) => Err(failure),
        Ok(reply) => opened(worker, provider, &mut asked, reply, guard).await,
    };
    let wait = || wait(&kept, worker.clock.wall_us());
    let (reply, trouble) = match opened {
        Err(failure) => {
            blame_for(&failure, guard);
            let is_good = guard.closed_mut().upstream_status;
            if is_good.is_some_and(|status| status < 400) {
                let words = failure.detail().unwrap_or("the answer could not be used");
                blame(guard, &failure, words);
            }
            if let Failure::UpstreamSaid { error, .. } = &failure
                && follows.any
            {
                note_message(guard, &error.message);
            }
            let trouble = match refuses_our_user(&failure, provider) {
                true => Trouble::KeyRefused,
                false => {
                    let has_head = guard.closed_mut().upstream_status.is_some();
                    trouble(&failure, has_head, wait())
                }
            };
            (Err(failure), Some(trouble))
        }
        Ok(reply) if 400 <= reply.status => {
            let (reply, trouble) = Box::pin(refused(
                reply,
                provider,
                follows.any,
                wait(),
                exchange,
                worker,
            ))
            .await;
            (Ok(reply), Some(trouble))
        }
        Ok(reply) if follows.other && plan.stream && is_events(&reply) => {
            let waiting = Waiting {
                worker,
                provider,
                endpoint: exchange.endpoint,
                timeouts: &plan.timeouts,
                since: asked.since,
                total_at: guard.started() + plan.timeouts.total,
                link,
            };
            match Box::pin(born(reply, &waiting)).await {
                Ok(reply) => (Ok(reply), None),
                Err(stillborn) => {
                    let said = stillborn.said.as_ref().map(|said| said.message.clone());
                    let said = said
                        .unwrap_or_else(|| "the stream broke off before its content".to_owned());
                    let said = guard.secrets().mask_text(&said);
                    blame(guard, &stillborn.failure, &said);
                    let trouble = of_stillborn(&stillborn.failure, stillborn.said.as_ref(), wait());
                    (Ok(stillborn.reply), Some(trouble))
                }
            }
        }
        Ok(reply) => match classify(&reply, exchange.endpoint) {
            Err(failure) if exchange.endpoint != Endpoint::ArgoChat => {
                blame(guard, &failure, "the answer is none to this call");
                (Ok(reply), Some(Trouble::Broken))
            }
            Ok(_) | Err(_) => (Ok(reply), None),
        },
    };
    let answered = Answered {
        provider: target.provider,
        model: plan.model,
        asked,
        reply,
        kept,
    };
    (answered, trouble)
}

/// An error answer, its body read where that decides; and what it is.
async fn refused(
    reply: UpstreamReply,
    provider: &Provider,
    may_follow: bool,
    retry_after: Option<Duration>,
    exchange: &mut Exchange,
    worker: &Worker,
) -> (UpstreamReply, Trouble) {
    let status = reply.status;
    let decides = may_follow || matches!(status, 400 | 401 | 403) && provider.has_key();
    if !decides {
        return (reply, of_status(status, retry_after));
    }
    let limits = Timeouts {
        idle: match may_follow {
            // Who could be asked instead is not kept waiting for words.
            true => provider.timeouts.idle.min(LONGEST_WORDS_TIME),
            false => provider.timeouts.idle,
        },
        ..provider.timeouts
    };
    let started = exchange.guard.started();
    let (pieces, rest) = begin(reply.body, MAX_ERROR_BODY_BYTES, &limits, worker, started).await;
    let body: Vec<u8> = pieces
        .iter()
        .flatten()
        .flat_map(|piece| piece.to_vec())
        .collect();
    let body = Bytes::from(body);
    let is_key = refuses_our_key(provider, status, &body);
    if may_follow {
        note_words(exchange, &body);
    }
    let pieces = futures_util::stream::iter(pieces);
    let reply = UpstreamReply {
        body: UpstreamBody::made(Box::pin(pieces.chain(rest))),
        ..reply
    };
    let trouble = match is_key {
        true => Trouble::KeyRefused,
        false => of_status(status, retry_after),
    };
    (reply, trouble)
}

/// Longest time for the words of an error where another target or key may be asked.
const LONGEST_WORDS_TIME: Duration = Duration::from_secs(2);
