//! The tries of an exchange: targets and their keys in order, until one answers well or nobody is left. Another one is tried
//! only before the first byte went to the client.

mod keys;
mod nobody;
mod order;
mod troubles;

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::access_log::draft::{AttemptDraft, PASSED_OVER};
use crate::access_log::guard::RecordGuard;
use crate::filter::{Endpoint, Headers, Outcome};
use crate::pipeline::Worker;
use crate::pipeline::answer::{
    self, Waits, classify, is_events, opened, read_bounded, refuses_our_key, waits,
};
use crate::pipeline::attempt::{Call, CallBody, attempt};
use crate::pipeline::attempts::keys::Shown;
use crate::pipeline::attempts::nobody::{LONGEST_WAIT, Nobody};
use crate::pipeline::attempts::order::order;
use crate::pipeline::attempts::troubles::{
    of_status, of_stillborn, refuses_our_user, trouble, wait,
};
use crate::pipeline::birth::{Waiting, born};
use crate::pipeline::blame::{blame, blame_for};
use crate::pipeline::exchange::{Body, Exchange};
use crate::pipeline::failure::Failure;
use crate::pipeline::flight::Flight;
use crate::pipeline::plan::{self, Plan, plan};
use crate::pipeline::sessions::Asking;
use crate::routing::breaker::Allowed;
use crate::routing::failover::{Blame, Trouble};
use crate::routing::key_pool::KeyTrouble;
use crate::routing::target::{Route, Target};
use crate::upstream::provider::Provider;
use crate::upstream::transport::{UpstreamBody, UpstreamReply};
use crate::wire::translate;

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
        last: None,
    };
    for (place, index) in order.iter().enumerate() {
        let target = &route.targets[*index];
        let is_last = place + 1 == order.len();
        if tries.target(exchange, head, target, is_last).await? {
            break;
        }
    }
    let Tries {
        last,
        nobody,
        waits,
        made,
        ..
    } = tries;
    let mut answered = last.ok_or_else(|| nobody.failure(worker.clock.now()))?;
    if 1 < made {
        soonest(&mut answered, &waits);
    }
    Ok(answered)
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
    last: Option<Answered>,
}

impl Tries<'_> {
    /// Tries one target, with one of its keys after the other. Returns whether that is all.
    async fn target(
        &mut self,
        exchange: &mut Exchange,
        head: &plan::Asked,
        target: &Target,
        is_last: bool,
    ) -> Result<bool, Failure> {
        let worker = self.worker;
        let provider = &worker.providers[target.provider];
        let mut tried_keys = Vec::new();
        loop {
            let now = worker.clock.now();
            if !self.may_try(exchange, provider, now) {
                return Ok(true);
            }
            let is_only = is_last && self.last.is_none();
            // Before the key, of which nothing is used up then.
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
            let key = self.key(exchange, target, &tried_keys, is_only, now);
            let Some(shown) = key.await else {
                target.state.breaker.gave_up(now);
                return Ok(false);
            };
            let plan = match plan(exchange, head, target, worker) {
                Ok(plan) => plan,
                Err(failure) => {
                    target.state.breaker.gave_up(now);
                    if is_only {
                        return Err(failure);
                    }
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
            // Last, for candidates that are passed over cost nobody anything.
            if 0 < self.made && !worker.routing.budget.may_retry(now) {
                target.state.breaker.gave_up(now);
                return Ok(true);
            }
            let has_more = !is_last || tried_keys.len() + 1 < provider.keys.len();
            let may_follow = has_more && is_resendable(exchange) && self.made + 1 < self.most();
            if 0 < self.made {
                exchange.guard.tries_again(&self.tags);
            }
            let flight = Flight::start(worker, target, now);
            let key = match shown {
                Shown::Clients => None,
                Shown::Ours(index) => Some(index),
            };
            let (answered, trouble) =
                one_try(exchange, plan, target, key, may_follow, worker).await;
            self.made += 1;
            let own = &provider.retry_statuses;
            let retried = match own.is_empty() {
                true => &worker.routing.settings.retry_statuses,
                false => own,
            };
            let model = answered.model.as_deref();
            self.judge(exchange, target, key, flight, trouble, model);
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

/// Asks one target.
async fn one_try(
    exchange: &mut Exchange,
    plan: Plan,
    target: &Target,
    key: Option<usize>,
    may_follow: bool,
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
            exchange.body = Body::Whole(body.clone());
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
            if let Failure::UpstreamSaid { error, .. } = &failure
                && may_follow
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
            let (reply, trouble) =
                Box::pin(refused(reply, provider, may_follow, wait(), exchange)).await;
            (Ok(reply), Some(trouble))
        }
        Ok(reply) if may_follow && plan.stream && is_events(&reply) => {
            let waiting = Waiting {
                worker,
                provider,
                endpoint: exchange.endpoint,
                timeouts: &plan.timeouts,
                since: asked.since,
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
) -> (UpstreamReply, Trouble) {
    let status = reply.status;
    let decides = may_follow || matches!(status, 400 | 401 | 403) && provider.has_key();
    if !decides {
        return (reply, of_status(status, retry_after));
    }
    let body = read_bounded(reply.body, provider).await;
    let is_key = refuses_our_key(provider, status, &body);
    if may_follow {
        note_words(exchange, &body);
    }
    let reply = UpstreamReply {
        body: UpstreamBody::whole(body),
        ..reply
    };
    let trouble = match is_key {
        true => Trouble::KeyRefused,
        false => of_status(status, retry_after),
    };
    (reply, trouble)
}

/// Longest text of a provider's error in the entry of a try, in characters.
const LONGEST_ERROR: usize = 2_000;

/// Puts what an error body says into the entry of its try.
fn note_words(exchange: &mut Exchange, body: &Bytes) {
    let masked = exchange.guard.secrets().mask(body.clone());
    note_message(&mut exchange.guard, &translate::error(&masked).message);
}

fn note_message(guard: &mut RecordGuard, message: &str) {
    if message.is_empty() {
        return;
    }
    let message: String = message.chars().take(LONGEST_ERROR).collect();
    let closed = guard.closed_mut();
    let number = closed.last_number();
    if let Some(tried) = closed.tries.iter_mut().find(|tried| tried.number == number) {
        tried.error_message = Some(message);
    }
}

/// After several tries the client is told the soonest time of all that may be asked again.
fn soonest(answered: &mut Answered, waits: &[Duration]) {
    let Some(soonest) = waits.iter().min() else {
        return;
    };
    let seconds = soonest.min(&LONGEST_WAIT).as_secs_f64().ceil();
    let seconds = Bytes::from((seconds as u64).to_string());
    let is_wait = |name: &str| matches!(name, "retry-after" | "retry-after-ms");
    if let Ok(reply) = &mut answered.reply
        && reply.status == 429
    {
        let others = reply.headers.iter().filter(|(name, _)| !is_wait(name));
        let all = others.chain([("retry-after", &*seconds)]);
        reply.headers = Headers::from_pairs(all);
    }
    answered.kept = vec![("retry-after", seconds)];
}
