//! Joins the pipeline and the filter chain: what a chain decided becomes bodies, failures and lines of the record.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::access_log::draft::VerdictDraft;
use crate::access_log::guard::RecordGuard;
use crate::filter::{
    Caller, Capabilities, Chain, ChainRun, Dialect, Endpoint, ExchangeInfo, FailureKind,
    FilterVerdict, LlmRequest, LlmResponse, Phase, Refusal, RequestOutcome, Stop, StopCause,
};
use crate::pipeline::exchange::{Body, Exchange};
use crate::pipeline::failure::{Failure, FilterFailure, FilterPhase};
use crate::pipeline::reply::{AnswerTo, ClientForm};
use crate::wire::bedrock::{self, InvokeForm};
use crate::wire::gemini;

/// The configured filters, and what the program gives to them.
#[derive(Clone)]
pub struct Filters {
    /// In the order of the configuration.
    pub chain: Arc<Chain>,
    /// Time, tokens, threads.
    pub capabilities: Capabilities,
}

/// What request filters made of a request.
pub enum Asked {
    /// It goes on as it is.
    Unchanged,
    /// It goes on with another body.
    Changed,
    /// A filter answered in the upstream's place.
    Answered {
        /// The filter.
        by: String,
        /// Its answer.
        response: Box<LlmResponse>,
        /// In which form Bedrock's `invoke` would have answered.
        invoke_form: InvokeForm,
    },
}

impl Filters {
    /// The filters that this exchange concerns; `None`, at no cost, when there are none.
    pub fn begin(
        &self,
        exchange: &Exchange,
        model: Option<&str>,
        user: Option<&str>,
    ) -> Option<ChainRun> {
        let selection = self.chain.select(exchange.endpoint, model, None)?;
        let header_user = exchange
            .headers
            .get("x-aiproxy-user")
            .filter(|user| !user.is_empty());
        let info = ExchangeInfo {
            request_id: exchange.request_id.clone(),
            endpoint: exchange.endpoint,
            caller: Caller {
                key_name: None,
                client_ip: exchange.client_ip,
                end_user: header_user.or(user).map(str::to_owned),
            },
            headers: exchange.headers.clone(),
            deadline: None,
        };
        Some(ChainRun::new(
            self.chain.clone(),
            selection,
            info,
            self.capabilities.clone(),
        ))
    }
}

/// Asks the request filters. A changed body takes the place of the client's; the record keeps both, and what the
/// filters did, from here on.
///
/// # Errors
/// [`Failure`] when a filter refused or failed.
pub async fn request(run: &mut ChainRun, exchange: &mut Exchange) -> Result<Asked, Failure> {
    let body = match &exchange.body {
        Body::Whole(body) => body.clone(),
        Body::None | Body::Flowing(..) => Bytes::new(),
    };
    let mut request = LlmRequest::new(exchange.endpoint, body);
    let is_stream = match exchange.dialect {
        Dialect::Gemini => Some(gemini::is_stream(&exchange.rest)),
        Dialect::Bedrock => Some(bedrock::is_stream(&exchange.rest)),
        Dialect::Openai | Dialect::Azure | Dialect::Anthropic => None,
    };
    if let (Some(is_stream), Some(model)) = (is_stream, &exchange.deployment) {
        request = request.with_path(model, is_stream);
    }
    let outcome = run.request(&mut request).await;
    note(run, &mut exchange.guard);
    match outcome {
        RequestOutcome::Continue => {
            let model = request.model_in_path().map(str::to_owned);
            let other_model = model.is_some() && model != exchange.deployment;
            if other_model {
                exchange.deployment = model;
            }
            let made = request.into_body();
            match &mut exchange.body {
                Body::Whole(body) if made != *body => {
                    exchange.guard.upstream_request(made.clone());
                    exchange.is_changed = true;
                    *body = made;
                    Ok(Asked::Changed)
                }
                Body::Whole(_) if other_model => Ok(Asked::Changed),
                Body::Whole(_) | Body::None | Body::Flowing(..) => Ok(Asked::Unchanged),
            }
        }
        RequestOutcome::Answered { by, response } => {
            let by = by.to_string();
            let form = invoke_form(exchange);
            match response.answer_text() {
                // A client would not understand it in the place of numbers, vectors or lists, nor in another maker's form.
                Some(text) if !exchange.endpoint.generates() || form.is_none() => {
                    let refusal = Refusal::new(text);
                    Err(refused(by, FilterPhase::Request, &refusal))
                }
                _ => Ok(Asked::Answered {
                    by,
                    response: Box::new(response),
                    invoke_form: form.unwrap_or(InvokeForm::Messages),
                }),
            }
        }
        RequestOutcome::Stopped(stop) => Err(failure(stop)),
        RequestOutcome::Malformed(error) => Err(Failure::InvalidJson {
            reason: error.to_string(),
        }),
    }
}

/// In which form Bedrock's `invoke` would answer. `None` when nobody knows; of other calls it is not asked.
fn invoke_form(exchange: &Exchange) -> Option<InvokeForm> {
    match &exchange.body {
        Body::Whole(body) if exchange.endpoint == Endpoint::BedrockInvoke => {
            let model = exchange.deployment.as_deref().unwrap_or_default();
            InvokeForm::of(model, body)
        }
        Body::Whole(_) | Body::None | Body::Flowing(..) => Some(InvokeForm::Messages),
    }
}

/// A stop in the pipeline's words.
pub fn failure(stop: Stop) -> Failure {
    let filter = stop.by.to_string();
    match stop.cause {
        StopCause::Refused(refusal) => {
            let phase = match stop.phase {
                Phase::Request => FilterPhase::Request,
                Phase::Response => FilterPhase::Response,
                Phase::Stream => FilterPhase::Stream,
            };
            refused(filter, phase, &refusal)
        }
        StopCause::Failed(failed) => Failure::FilterFailed {
            filter,
            kind: match failed.kind {
                FailureKind::Error | FailureKind::Panic => FilterFailure::Error,
                FailureKind::Timeout | FailureKind::Blocked => FilterFailure::Timeout,
                FailureKind::Invalid => FilterFailure::InvalidOutput,
                FailureKind::HoldLimit => FilterFailure::HeldTooMuch,
                FailureKind::PoolFull => FilterFailure::PoolFull,
            },
        },
    }
}

fn refused(filter: String, phase: FilterPhase, refusal: &Refusal) -> Failure {
    Failure::FilterRefused {
        filter,
        phase,
        message: refusal.message().to_owned(),
        code: refusal.code().to_owned(),
        status: refusal.status(),
        retry_after_s: refusal.retry_after().map(whole_seconds),
    }
}

/// Rounded up, so that nobody comes back too early.
fn whole_seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

/// Puts on record what the filters of requests and whole answers did. What is there from an earlier call is not put
/// there twice. Must not be called once [`note_verdicts`] was.
pub fn note(run: &ChainRun, guard: &mut RecordGuard) {
    let known = guard.closed_mut().verdicts.len();
    note_verdicts(run.verdicts().get(known..).unwrap_or_default(), guard);
    let closed = guard.closed_mut();
    closed.times.filter_ms = Some(run.filter_time().as_secs_f64() * 1000.0);
    if run.has_tags() {
        for (name, value) in run.tags() {
            let value = match value {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            };
            closed.tags.retain(|(known, _)| *known != name);
            closed.tags.push((name, value));
        }
    }
}

/// Puts verdicts on record.
pub fn note_verdicts(verdicts: &[FilterVerdict], guard: &mut RecordGuard) {
    let drafts: Vec<VerdictDraft> = verdicts
        .iter()
        .map(|verdict| VerdictDraft {
            filter: verdict.filter.to_string(),
            phase: verdict.phase.as_str().to_owned(),
            verdict: verdict.verdict.as_str().to_owned(),
            detail: verdict
                .detail
                .as_deref()
                .map(|detail| guard.secrets().mask_text(detail)),
            duration_us: u64::try_from(verdict.duration.as_micros()).unwrap_or(u64::MAX),
        })
        .collect();
    guard.closed_mut().verdicts.extend(drafts);
}

/// The body of an answer that a filter gave, and whether it stands for a stream.
pub fn answer_body(
    form: &dyn ClientForm,
    response: &LlmResponse,
    to: &AnswerTo<'_>,
) -> (Bytes, bool) {
    match (response.answer_text(), response.body()) {
        (Some(text), _) if to.stream => (form.text_stream(to, text), true),
        (Some(text), _) => (form.text_answer(to, text), false),
        (None, Some(body)) => (body.clone(), false),
        (None, None) => (Bytes::new(), false),
    }
}
