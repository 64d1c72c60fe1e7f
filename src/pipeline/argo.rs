//! Argo's own calls by clients that speak it: the body goes up but for what is ours to say, and the answer comes back byte
//! for byte. Only the notice under a good status is looked for first, which stands where an answer would.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde_json::json;

use crate::access_log::guard::RecordGuard;
use crate::filter::{ChainRun, Endpoint, LlmResponse, ResponseOutcome};
use crate::pipeline::answer::{Asked, is_json, media_type};
use crate::pipeline::exchange::{Body, Exchange};
use crate::pipeline::failure::Failure;
use crate::pipeline::plan::{self, Plan, settings, timeouts, unknown_target};
use crate::pipeline::translation::text;
use crate::pipeline::{Worker, collected, filtering, lacking};
use crate::routing::table::{Question, Reach, Table};
use crate::routing::target::{Route, Target};
use crate::upstream::provider::Provider;
use crate::upstream::transport::{UpstreamBody, UpstreamReply};
use crate::wire;
use crate::wire::argo::raw;

/// Finds the targets of such a call.
///
/// # Errors
/// [`Failure`] when the body names no model, or one that nobody takes.
pub(super) fn route(
    exchange: &Exchange,
    head: &plan::Asked,
    table: &Table,
    worker: &Worker,
) -> Result<Arc<Route>, Failure> {
    let (Body::Whole(_), Some(model)) = (&exchange.body, head.model.as_deref()) else {
        return Err(untold("model", "it must be a text"));
    };
    let route = table.route(Question {
        named: exchange.provider.as_deref(),
        model: Some(model),
        reach: Reach::Own(exchange.endpoint),
    });
    if route.is_err() {
        lacking::check(exchange, Some(model), worker)?;
    }
    route.map_err(|none| unknown_target(none, table))
}

/// Makes the body that is sent.
///
/// # Errors
/// [`Failure`] when the body cannot be sent so.
pub(super) fn plan(
    exchange: &mut Exchange,
    head: &plan::Asked,
    target: &Target,
    provider: &Provider,
) -> Result<Plan, Failure> {
    let (Body::Whole(body), Some(model)) = (&exchange.body, head.model.as_deref()) else {
        return Err(untold("model", "it must be a text"));
    };
    let generation = provider.own_call(exchange.endpoint);
    let generation = generation.ok_or(Failure::Internal)?;
    let model = target.model.clone().unwrap_or_else(|| model.to_owned());
    let timeouts = timeouts(provider, body)?;
    let settings = settings(provider, &exchange.headers)?;
    let written = raw::request(body, &model, &settings).map_err(|unsent| match unsent {
        raw::Unsent::NoTexts(field) => untold(field, "it must be a text or a list of texts"),
        raw::Unsent::NoObject => Failure::Internal,
    })?;
    let written = Bytes::from(written);
    let stream = head.stream.unwrap_or(false);
    (exchange.rest, exchange.query) = {
        let (rest, query) = (generation.place)(&model, stream);
        (rest, query.to_owned())
    };
    Ok(Plan {
        rest: None,
        changed: Some(written.clone()),
        stream,
        usage_asked: false,
        model: Some(model),
        translation: None,
        timeouts,
        recorded: Some(written),
        translated_to: None,
        dropped: Vec::new(),
    })
}

fn untold(field: &str, reason: &str) -> Failure {
    Failure::Untranslatable {
        field: field.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Whether an answer is text to a call of Argo's own, which may be one.
pub(super) fn is_text(endpoint: Endpoint, reply: &UpstreamReply) -> bool {
    endpoint == Endpoint::ArgoChat && text::is_text(reply)
}

/// The answer, unless it is the notice. Text is held back only while it may become that.
///
/// # Errors
/// [`Failure`] when it is the notice, or cannot be read.
pub(super) async fn unnoticed(
    reply: UpstreamReply,
    asked: &Asked,
    provider: &Provider,
    worker: &Worker,
    guard: &mut RecordGuard,
) -> Result<UpstreamReply, Failure> {
    let started = guard.started();
    if 400 <= reply.status {
        return Ok(reply);
    }
    if is_text(asked.endpoint, &reply) {
        let length = reply.content_length;
        let begun = text::unnoticed(reply, provider, &asked.timeouts, worker, started).await;
        return match begun {
            Ok(reply) => Ok(UpstreamReply {
                content_length: length,
                ..reply
            }),
            Err(said) => Err(refused(said, guard)),
        };
    }
    if !is_json(media_type(&reply)) {
        return Ok(reply);
    }
    let body = match collected::read(reply.body, &asked.timeouts, started, worker).await {
        Ok(body) => body,
        Err(unread) => {
            guard.upstream_ends(Instant::now());
            if !unread.came.is_empty() {
                guard.upstream_response_piece(unread.came);
            }
            return Err(unread.failure);
        }
    };
    let said = wire::decode_whole(asked.endpoint, &body).text;
    match said.and_then(|said| text::notice(said.as_bytes())) {
        Some(_) => Err(refused(body, guard)),
        None => Ok(UpstreamReply {
            content_length: Some(body.len() as u64),
            body: UpstreamBody::whole(body),
            ..reply
        }),
    }
}

/// Passes a text through the response filters, which see it as the whole answer that it is.
///
/// # Errors
/// [`Failure`] when a filter refused or failed, or it is not UTF-8; what came is on record then.
pub(super) async fn filter_text(
    run: &mut ChainRun,
    status: u16,
    text: Bytes,
    guard: &mut RecordGuard,
) -> Result<Bytes, Failure> {
    let Ok(said) = std::str::from_utf8(&text) else {
        guard.upstream_response_piece(text);
        return Err(Failure::UpstreamProtocol {
            detail: "a text that is not UTF-8".to_owned(),
        });
    };
    let whole = Bytes::from(json!({ "response": said }).to_string());
    let mut response = LlmResponse::from_body(Endpoint::ArgoChat, status, whole.clone());
    let made = match run.response(&mut response).await {
        ResponseOutcome::Stopped(stop) => {
            guard.upstream_response_piece(text);
            return Err(filtering::failure(stop));
        }
        ResponseOutcome::Continue => response.body().cloned().unwrap_or_default(),
    };
    if made == whole {
        return Ok(text);
    }
    guard.upstream_response_piece(text);
    let said = wire::decode_whole(Endpoint::ArgoChat, &made).text;
    Ok(Bytes::from(said.unwrap_or_default()))
}

/// The failure that the notice is; the body that holds it goes on record.
fn refused(body: Bytes, guard: &mut RecordGuard) -> Failure {
    guard.upstream_ends(Instant::now());
    let said = wire::decode_whole(Endpoint::ArgoChat, &body).text;
    let error = said.and_then(|said| text::notice(said.as_bytes()));
    guard.upstream_response_piece(body);
    text::refused(error.unwrap_or_default())
}
