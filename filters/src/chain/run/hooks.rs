//! Calls one filter's hook on a request or a response, judges what it decided and writes that down.
use std::sync::Arc;
use std::time::Instant;

use super::super::guard::{self, Limits};
use super::super::report::{Failure, FilterVerdict, Phase, StopCause, VerdictKind};
use super::super::{Entry, validate};
use super::ChainRun;
use crate::context::{Clock, MoreTime};
use crate::filter::OnError;
use crate::{Context, LlmRequest, LlmResponse, RequestVerdict, ResponseVerdict};

/// A hook's decision, whichever hook it was.
pub(super) enum Decision {
    Continue,
    Answer(LlmResponse),
    Stop(StopCause),
}

impl From<RequestVerdict> for Decision {
    fn from(verdict: RequestVerdict) -> Self {
        match verdict {
            RequestVerdict::Continue => Self::Continue,
            RequestVerdict::Answer(answer) => Self::Answer(answer),
            RequestVerdict::Refuse(refusal) => Self::Stop(StopCause::Refused(refusal)),
        }
    }
}

impl From<ResponseVerdict> for Decision {
    fn from(verdict: ResponseVerdict) -> Self {
        match verdict {
            ResponseVerdict::Continue => Self::Continue,
            ResponseVerdict::Refuse(refusal) => Self::Stop(StopCause::Refused(refusal)),
        }
    }
}

/// What stood before a hook was called: to compare with, and to go back to.
pub(super) struct Before<T> {
    image: T,
    tags: usize,
    since: Instant,
}

impl ChainRun {
    pub(super) async fn request_hook(
        &mut self,
        at: usize,
        entry: &Entry,
        request: &mut LlmRequest,
    ) -> Decision {
        let Some(hook) = entry.filter.request.as_ref() else {
            return Decision::Continue;
        };
        let before = self.before(request);
        let more_time = MoreTime::default();
        let clock = Arc::clone(&self.capabilities.clock);
        let limits = limits(entry, &more_time, &*clock);
        let mut cx = self.context(at, &more_time);
        let called = guard::call(limits, || hook.on_request(request, &mut cx)).await;
        let changed = !validate::same_request(&before.image, request);
        let max = self.chain.max_body_bytes;
        let valid = || validate::request(&before.image, request, max);
        let decided = decided(called, changed, max, valid);
        self.conclude(entry, Phase::Request, before, request, changed, decided)
    }

    pub(super) async fn response_hook(
        &mut self,
        at: usize,
        entry: &Entry,
        response: &mut LlmResponse,
    ) -> Decision {
        let Some(hook) = entry.filter.response.as_ref() else {
            return Decision::Continue;
        };
        let before = self.before(response);
        let more_time = MoreTime::default();
        let clock = Arc::clone(&self.capabilities.clock);
        let limits = limits(entry, &more_time, &*clock);
        let mut cx = self.context(at, &more_time);
        let called = guard::call(limits, || hook.on_response(response, &mut cx)).await;
        let changed = !validate::same_response(&before.image, response);
        let max = self.chain.max_body_bytes;
        let valid = || validate::response(&before.image, response, max);
        let decided = decided(called, changed, max, valid);
        self.conclude(entry, Phase::Response, before, response, changed, decided)
    }

    pub(super) fn before<T: Clone>(&self, image: &T) -> Before<T> {
        Before {
            image: image.clone(),
            tags: self.notes.tag_count(),
            since: self.capabilities.clock.now(),
        }
    }

    /// Judges what a hook decided; of one that is skipped nothing stays.
    pub(super) fn conclude<T>(
        &mut self,
        entry: &Entry,
        phase: Phase,
        before: Before<T>,
        now: &mut T,
        changed: bool,
        decided: Result<Decision, StopCause>,
    ) -> Decision {
        let skipped =
            matches!(decided, Err(StopCause::Failed(_))) && entry.on_error == OnError::Skip;
        let decision = self.judge(entry, phase, before.since, changed, decided);
        if skipped {
            *now = before.image;
            self.notes.forget_tags_after(before.tags);
        }
        decision
    }

    /// Applies the error policy and writes the verdict down.
    fn judge(
        &mut self,
        entry: &Entry,
        phase: Phase,
        before: Instant,
        changed: bool,
        decided: Result<Decision, StopCause>,
    ) -> Decision {
        let duration = self
            .capabilities
            .clock
            .now()
            .saturating_duration_since(before);
        let (verdict, detail, decision) = match decided {
            Ok(decision @ Decision::Answer(_)) => (VerdictKind::Answered, None, decision),
            Ok(decision) if changed => (VerdictKind::Changed, None, decision),
            Ok(decision) => (VerdictKind::Passed, None, decision),
            Err(StopCause::Refused(refusal)) => {
                let detail = refusal.reason().map(str::to_owned);
                (
                    VerdictKind::Refused,
                    detail,
                    Decision::Stop(StopCause::Refused(refusal)),
                )
            }
            Err(StopCause::Failed(failure)) => {
                report_failure(entry, phase, &failure);
                let detail = Some(failure.detail());
                match entry.on_error {
                    OnError::Refuse => {
                        let stop = Decision::Stop(StopCause::Failed(failure));
                        (VerdictKind::Failed, detail, stop)
                    }
                    OnError::Skip => (VerdictKind::Skipped, detail, Decision::Continue),
                }
            }
        };
        self.filter_time += duration;
        let filter = entry.filter.shared_name();
        self.verdicts.push(FilterVerdict {
            filter,
            phase,
            verdict,
            detail,
            duration,
        });
        decision
    }

    pub(super) fn context<'a>(&'a mut self, filter: usize, more_time: &'a MoreTime) -> Context<'a> {
        Context {
            info: &self.info,
            target: self.target.as_ref(),
            attempts: self.attempts,
            notes: &mut self.notes,
            capabilities: &self.capabilities,
            filter,
            more_time,
        }
    }
}

pub(in crate::chain) fn report_failure(entry: &Entry, phase: Phase, failure: &Failure) {
    tracing::warn!(
        filter.name = entry.filter.name(),
        filter.phase = phase.as_str(),
        failure.kind = failure.kind.as_str(),
        "the filter {} failed: {}",
        entry.filter.name(),
        failure.reason,
    );
}

fn limits<'a>(entry: &Entry, more_time: &'a MoreTime, clock: &'a dyn Clock) -> Limits<'a> {
    Limits {
        timeout: entry.timeout,
        more_time,
        clock,
    }
}

/// What a hook's verdict comes to, once what it made was looked at.
fn decided<V: Into<Decision>>(
    called: Result<V, Failure>,
    changed: bool,
    max_body_bytes: usize,
    valid: impl FnOnce() -> Result<(), Failure>,
) -> Result<Decision, StopCause> {
    let decision = called.map(V::into).map_err(StopCause::Failed)?;
    let checked = match &decision {
        Decision::Continue if changed => valid(),
        Decision::Answer(answer) => validate::answer(answer, max_body_bytes),
        Decision::Continue | Decision::Stop(_) => Ok(()),
    };
    match (checked, decision) {
        (Err(failure), _) => Err(StopCause::Failed(failure)),
        (Ok(()), Decision::Stop(cause)) => Err(cause),
        (Ok(()), decision) => Ok(decision),
    }
}
