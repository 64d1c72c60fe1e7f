//! Asks one target: the request goes out, and what comes back is an answer or says whose trouble it is.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;

use crate::filter::Endpoint;
use crate::pipeline::Worker;
use crate::pipeline::answer::{
    self, MAX_ERROR_BODY_BYTES, classify, is_events, opened, refuses_our_key, waits,
};
use crate::pipeline::attempt::{Call, CallBody, attempt};
use crate::pipeline::attempts::Answered;
use crate::pipeline::attempts::entries::{note_message, note_words};
use crate::pipeline::attempts::troubles::{
    of_status, of_stillborn, refuses_our_user, trouble, wait,
};
use crate::pipeline::birth::{Waiting, born};
use crate::pipeline::blame::{begin, blame, blame_for};
use crate::pipeline::exchange::{Body, Exchange};
use crate::pipeline::failure::Failure;
use crate::pipeline::plan::Plan;
use crate::routing::failover::Trouble;
use crate::routing::target::Target;
use crate::upstream::provider::{Provider, Timeouts};
use crate::upstream::transport::{UpstreamBody, UpstreamReply};

/// What may come after a try.
#[derive(Debug, Clone, Copy)]
pub(super) struct Follows {
    /// Another target.
    pub(super) other: bool,
    /// Another target, or another key of this one.
    pub(super) any: bool,
}

/// Asks one target.
pub(super) async fn one_try(
    exchange: &mut Exchange,
    plan: Plan,
    target: &Target,
    key: Option<usize>,
    follows: Follows,
    worker: &Worker,
) -> (Answered, Option<Trouble>) {
    let provider = &worker.providers[target.provider];
    let guard = &mut exchange.guard;
    let changed = || match &exchange.body {
        Body::Whole(body) if exchange.is_changed => Some(body.clone()),
        Body::Whole(_) | Body::None | Body::Flowing(..) => None,
    };
    if let Some(body) = plan.recorded.or_else(changed) {
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
        None => {
            let rest = plan.rest.as_deref().unwrap_or(&exchange.rest);
            exchange.url_at(provider, plan.model.as_deref(), rest)
        }
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
            match Box::pin(born(reply, &waiting, guard)).await {
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
            // What is called may well be elsewhere: who says so has answered, though the client is not sent there.
            Err(Failure::UpstreamRedirect) if exchange.endpoint == Endpoint::Passthrough => {
                let trouble = of_status(reply.status, wait());
                (Ok(reply), Some(trouble))
            }
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
