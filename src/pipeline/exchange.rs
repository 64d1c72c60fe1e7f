//! One exchange, from the checked request to the answer: the steps in the order in which they happen.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;

use crate::access_log::guard::RecordGuard;
use crate::filter::{Endpoint, Headers};
use crate::pipeline::attempt::{Call, CallBody, attempt};
use crate::pipeline::failure::Failure;
use crate::pipeline::link::ClientLink;
use crate::pipeline::reply::{Reply, refuse};
use crate::pipeline::{Worker, answer};
use crate::routing::{NoTarget, Target, choose};
use crate::upstream::provider::Provider;
use crate::upstream::transport::BodyStream;
use crate::wire::json_check::{self, RequestHead};

/// An accepted request, its body read or flowing.
pub struct Exchange {
    /// Its record, not begun yet.
    pub guard: RecordGuard,
    /// Its client.
    pub link: ClientLink,
    /// Our id, as text.
    pub request_id: String,
    /// Which API.
    pub endpoint: Endpoint,
    /// HTTP method.
    pub method: String,
    /// The provider that the path names.
    pub provider: Option<String>,
    /// The raw path behind the version, beginning with a slash.
    pub rest: String,
    /// The raw query with its question mark, or nothing.
    pub query: String,
    /// The client's headers.
    pub headers: Headers,
    /// What follows the head.
    pub body: Body,
}

/// A request's body.
pub enum Body {
    /// No body.
    None,
    /// Read whole.
    Whole(Bytes),
    /// Not JSON: flows through, with the client's `Content-Length`.
    Flowing(BodyStream, Option<u64>),
}

/// Runs it. The answer's body may go on after this returns; the record is closed with the body.
pub async fn run(mut exchange: Exchange, worker: &Rc<Worker>) -> Reply {
    match prepare(&mut exchange, worker) {
        Ok(plan) => carry_out(exchange, plan, worker).await,
        Err(failure) => refuse(
            exchange.guard,
            &failure,
            &exchange.request_id,
            worker.form.as_ref(),
        ),
    }
}

/// What was decided before anything is sent.
struct Plan {
    target: Target,
    /// The body to send, when it differs from what the client sent.
    changed: Option<Bytes>,
    stream: bool,
    usage_asked: bool,
    model: Option<String>,
}

/// Checks the body, chooses the provider, and makes the body that is sent.
fn prepare(exchange: &mut Exchange, worker: &Worker) -> Result<Plan, Failure> {
    let Body::Whole(body) = &exchange.body else {
        let target = choose(&worker.providers, exchange.provider.as_deref(), None)
            .map_err(unknown_target)?;
        return Ok(Plan {
            target,
            changed: None,
            stream: false,
            usage_asked: false,
            model: None,
        });
    };
    let body = body.clone();
    let head = match json_check::check(&body, json_check::MAX_KEYS) {
        Ok(head) => head,
        // Other paths take what their provider takes.
        Err(_) if exchange.endpoint == Endpoint::Passthrough => RequestHead::default(),
        Err(error) => return Err(error.into()),
    };
    if let Some(opened) = exchange.guard.opened_mut() {
        opened.requested_model = head.model.as_deref().map(str::to_owned);
        opened.stream = Some(head.stream.unwrap_or(false));
    }
    let target = choose(
        &worker.providers,
        exchange.provider.as_deref(),
        head.model.as_deref(),
    )
    .map_err(unknown_target)?;
    let provider = &worker.providers[target.provider];
    let renamed = rename(&body, &head, &target);
    let (sent, usage_asked) =
        with_usage_asked(exchange.endpoint, provider, &body, renamed.as_ref(), &head)?;
    if let Some(renamed) = renamed {
        exchange.guard.upstream_request(renamed);
    }
    Ok(Plan {
        model: target
            .model
            .clone()
            .or_else(|| head.model.as_deref().map(str::to_owned)),
        target,
        changed: sent,
        stream: head.stream.unwrap_or(false),
        usage_asked,
    })
}

/// The body with the model's name without its provider, where it had one.
fn rename(body: &Bytes, head: &RequestHead<'_>, target: &Target) -> Option<Bytes> {
    let model = serde_json::to_vec(target.model.as_ref()?).ok()?;
    json_check::splice(body, head.model_value.clone()?, &model)
}

/// The body with `include_usage` asked for where that is ours to do. Our own addition is no change of the
/// exchange: the record does not show it.
fn with_usage_asked(
    endpoint: Endpoint,
    provider: &Provider,
    body: &Bytes,
    renamed: Option<&Bytes>,
    head: &RequestHead<'_>,
) -> Result<(Option<Bytes>, bool), Failure> {
    let streams_usage = matches!(endpoint, Endpoint::ChatCompletions | Endpoint::Completions);
    if !streams_usage || !provider.ask_for_usage {
        return Ok((renamed.cloned(), false));
    }
    let asked = match renamed {
        None => json_check::ask_for_usage(body, head),
        Some(renamed) => {
            json_check::ask_for_usage(renamed, &json_check::check(renamed, json_check::MAX_KEYS)?)
        }
    };
    let usage_asked = asked.is_some();
    Ok((asked.or_else(|| renamed.cloned()), usage_asked))
}

async fn carry_out(mut exchange: Exchange, plan: Plan, worker: &Rc<Worker>) -> Reply {
    let provider = worker.providers.clone();
    let provider = &provider[plan.target.provider];
    let transport = worker.transport(plan.target.provider);
    exchange.guard.closed_mut().usage_asked = plan.usage_asked;
    if provider.key.is_none()
        && let Some(own) = exchange.headers.get_bytes("authorization")
    {
        exchange.guard.add_secret(own);
    }
    exchange.guard.begin();
    if !plan.stream {
        exchange.link.expect_whole_answer();
    }
    let url = format!("{}{}{}", provider.base_url, exchange.rest, exchange.query);
    let call = Call {
        provider,
        method: &exchange.method,
        url: &url,
        headers: &exchange.headers,
        model: plan.model.as_deref(),
        cancel_when_client_leaves: plan.stream,
        total_at: exchange.guard.started() + provider.timeouts.total,
    };
    let body = match exchange.body {
        Body::None => CallBody::None,
        Body::Whole(body) => CallBody::Whole(plan.changed.unwrap_or(body)),
        Body::Flowing(stream, length) => CallBody::Flowing(stream, length),
    };
    let before = Instant::now();
    exchange
        .guard
        .worked(before.duration_since(exchange.guard.read_at()));
    let answered = attempt(
        worker,
        transport,
        &call,
        body,
        &mut exchange.guard,
        &exchange.link,
    )
    .await;
    let asked = answer::Asked {
        endpoint: exchange.endpoint,
        stream: plan.stream,
        usage_asked: plan.usage_asked,
        request_id: exchange.request_id,
        since: Instant::now(),
    };
    match answered {
        Ok(reply) => {
            answer::answer(
                worker,
                provider,
                asked,
                reply,
                exchange.guard,
                exchange.link,
            )
            .await
        }
        Err(failure) => refuse(
            exchange.guard,
            &failure,
            &asked.request_id,
            worker.form.as_ref(),
        ),
    }
}

fn unknown_target(none: NoTarget) -> Failure {
    match none {
        NoTarget::UnknownModel { model } => Failure::UnknownModel { model },
        NoTarget::UnknownProvider => Failure::UnknownPath,
    }
}
