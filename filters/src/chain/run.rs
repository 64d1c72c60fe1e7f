//! The chain's way through one exchange: requests inward, whole responses outward.
use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::guard::{self, Limits};
use super::report::{
    Failure, FilterVerdict, Phase, RequestOutcome, ResponseOutcome, Stop, StopCause, VerdictKind,
};
use super::stage::Stage;
use super::{Chain, Delivery, Entry, Selection, StreamChain, buffers_streams, validate};
use crate::context::{Capabilities, Notes};
use crate::filter::OnError;
use crate::{
    BodyError, Context, ExchangeInfo, LlmRequest, LlmResponse, RequestVerdict, ResponseVerdict,
    Target,
};

/// The selected filters of one exchange, and what they have done so far.
pub struct ChainRun {
    chain: Arc<Chain>,
    selection: Selection,
    info: ExchangeInfo,
    capabilities: Capabilities,
    target: Option<Target>,
    attempts: u32,
    notes: Notes,
    verdicts: Vec<FilterVerdict>,
    filter_time: Duration,
}

/// A hook's decision, whichever hook it was.
enum Decision {
    Continue,
    Answer(LlmResponse),
    Stop(StopCause),
}

impl ChainRun {
    /// Begins an exchange with the filters that [`Chain::select`] chose for it.
    pub fn new(
        chain: Arc<Chain>,
        selection: Selection,
        info: ExchangeInfo,
        capabilities: Capabilities,
    ) -> Self {
        Self {
            chain,
            selection,
            info,
            capabilities,
            target: None,
            attempts: 0,
            notes: Notes::default(),
            verdicts: Vec::new(),
            filter_time: Duration::ZERO,
        }
    }

    /// Says where the request goes, and how many times an upstream was tried; filters on the way
    /// out can read both.
    pub fn set_target(&mut self, target: Target, attempts: u32) {
        self.target = Some(target);
        self.attempts = attempts;
    }

    /// Asks the request filters, first to last.
    pub async fn request(&mut self, request: &mut LlmRequest) -> RequestOutcome {
        let chain = Arc::clone(&self.chain);
        let hooks: Vec<_> = self.selection.inward().collect();
        if !entries(&chain, &hooks).any(|(_, entry)| entry.filter.request.is_some()) {
            return RequestOutcome::Continue;
        }
        if let Err(error @ BodyError::DuplicateKey(_)) = request.check() {
            return RequestOutcome::Malformed(error);
        }
        for (at, entry) in entries(&chain, &hooks) {
            match self.request_hook(at, entry, request).await {
                Decision::Continue => {}
                Decision::Stop(cause) => {
                    return RequestOutcome::Stopped(stop(entry, Phase::Request, cause));
                }
                Decision::Answer(response) => {
                    return self.answered(entry, at, response).await;
                }
            }
        }
        RequestOutcome::Continue
    }

    /// Whether the reply must be collected whole, because a selected response filter wants it so.
    pub fn needs_whole_response(&self, delivery: Delivery) -> bool {
        let wanted = |at: usize| {
            self.chain
                .entries
                .get(at)
                .is_some_and(|e| delivery.concerns(&e.filter))
        };
        self.selection.inward().any(wanted)
    }

    /// Asks the response filters, last to first. Of a reply that would have been streamed only
    /// those that buffer streams.
    pub async fn response(
        &mut self,
        response: &mut LlmResponse,
        delivery: Delivery,
    ) -> ResponseOutcome {
        self.respond(response, delivery, usize::MAX).await
    }

    /// Opens the stream filters. `None` when no selected filter wants to see this stream.
    /// Filters that buffer streams get the whole response instead.
    ///
    /// # Errors
    /// When a filter panics on opening, and its error policy is `refuse`.
    pub fn open_stream(&mut self) -> Result<Option<StreamChain>, Stop> {
        let chain = Arc::clone(&self.chain);
        let hooks: Vec<_> = self.selection.outward().collect();
        let mut stages = Vec::new();
        for (at, entry) in entries(&chain, &hooks) {
            let Some(hook) = entry.filter.stream.as_ref() else {
                continue;
            };
            if buffers_streams(&entry.filter) {
                continue;
            }
            let more_time = Cell::new(Duration::ZERO);
            let mut cx = self.context(at, &more_time);
            match guard::contain(|| hook.open(&mut cx)) {
                Some(None) => {}
                Some(Some(run)) => stages.push(Stage::new(Arc::clone(entry), run)),
                None => {
                    let before = self.capabilities.clock.now();
                    let cause = StopCause::Failed(guard::panicked());
                    let decision = self.judge(entry, Phase::Stream, before, false, Err(cause));
                    if let Decision::Stop(cause) = decision {
                        return Err(stop(entry, Phase::Stream, cause));
                    }
                }
            }
        }
        let clock = Arc::clone(&self.capabilities.clock);
        Ok((!stages.is_empty()).then(|| StreamChain::new(stages, clock)))
    }

    /// What the request and response hooks did, in the order in which they ran. Those of stream
    /// hooks are with the [`StreamChain`].
    pub fn verdicts(&self) -> &[FilterVerdict] {
        &self.verdicts
    }

    /// The tags that filters set.
    pub fn tags(&self) -> Map<String, Value> {
        self.notes.tags()
    }

    /// Whether any filter set a tag.
    pub fn has_tags(&self) -> bool {
        self.notes.has_tags()
    }

    /// Time spent in request and response hooks.
    pub fn filter_time(&self) -> Duration {
        self.filter_time
    }

    async fn answered(
        &mut self,
        entry: &Entry,
        at: usize,
        mut response: LlmResponse,
    ) -> RequestOutcome {
        match self.respond(&mut response, Delivery::Whole, at).await {
            ResponseOutcome::Continue => RequestOutcome::Answered {
                by: entry.filter.shared_name(),
                response,
            },
            ResponseOutcome::Stopped(stop) => RequestOutcome::Stopped(stop),
        }
    }

    /// The response hooks of filters that stand before `end`, last to first.
    async fn respond(
        &mut self,
        response: &mut LlmResponse,
        delivery: Delivery,
        end: usize,
    ) -> ResponseOutcome {
        let chain = Arc::clone(&self.chain);
        let hooks: Vec<_> = self.selection.outward().filter(|at| *at < end).collect();
        for (at, entry) in entries(&chain, &hooks) {
            if !delivery.concerns(&entry.filter) {
                continue;
            }
            match self.response_hook(at, entry, response).await {
                Decision::Continue | Decision::Answer(_) => {}
                Decision::Stop(cause) => {
                    return ResponseOutcome::Stopped(stop(entry, Phase::Response, cause));
                }
            }
        }
        ResponseOutcome::Continue
    }

    async fn request_hook(
        &mut self,
        at: usize,
        entry: &Entry,
        request: &mut LlmRequest,
    ) -> Decision {
        let Some(hook) = entry.filter.request.as_ref() else {
            return Decision::Continue;
        };
        let (pre_image, tags) = (request.clone(), self.notes.tag_count());
        let before = self.capabilities.clock.now();
        let more_time = Cell::new(Duration::ZERO);
        let clock = Arc::clone(&self.capabilities.clock);
        let limits = Limits {
            timeout: entry.timeout,
            more_time: &more_time,
            clock: &*clock,
        };
        let mut cx = self.context(at, &more_time);
        let called = guard::call(limits, || hook.on_request(request, &mut cx)).await;
        let changed = !validate::same_request(&pre_image, request);
        let max = self.chain.max_body_bytes;
        let decided = match called {
            Ok(RequestVerdict::Continue) if changed => {
                let valid = validate::request(&pre_image, request, max);
                valid
                    .map(|()| Decision::Continue)
                    .map_err(StopCause::Failed)
            }
            Ok(RequestVerdict::Continue) => Ok(Decision::Continue),
            Ok(RequestVerdict::Answer(answer)) => {
                let valid = validate::answer(&answer, max);
                valid
                    .map(|()| Decision::Answer(answer))
                    .map_err(StopCause::Failed)
            }
            Ok(RequestVerdict::Refuse(refusal)) => Err(StopCause::Refused(refusal)),
            Err(failure) => Err(StopCause::Failed(failure)),
        };
        let skipped = is_skipped(entry, &decided);
        let decision = self.judge(entry, Phase::Request, before, changed, decided);
        if skipped {
            *request = pre_image;
            self.notes.forget_tags_after(tags);
        }
        decision
    }

    async fn response_hook(
        &mut self,
        at: usize,
        entry: &Entry,
        response: &mut LlmResponse,
    ) -> Decision {
        let Some(hook) = entry.filter.response.as_ref() else {
            return Decision::Continue;
        };
        let (pre_image, tags) = (response.clone(), self.notes.tag_count());
        let before = self.capabilities.clock.now();
        let more_time = Cell::new(Duration::ZERO);
        let clock = Arc::clone(&self.capabilities.clock);
        let limits = Limits {
            timeout: entry.timeout,
            more_time: &more_time,
            clock: &*clock,
        };
        let mut cx = self.context(at, &more_time);
        let called = guard::call(limits, || hook.on_response(response, &mut cx)).await;
        let changed = !validate::same_response(&pre_image, response);
        let max = self.chain.max_body_bytes;
        let decided = match called {
            Ok(ResponseVerdict::Continue) if changed => {
                let valid = validate::response(&pre_image, response, max);
                valid
                    .map(|()| Decision::Continue)
                    .map_err(StopCause::Failed)
            }
            Ok(ResponseVerdict::Continue) => Ok(Decision::Continue),
            Ok(ResponseVerdict::Refuse(refusal)) => Err(StopCause::Refused(refusal)),
            Err(failure) => Err(StopCause::Failed(failure)),
        };
        let skipped = is_skipped(entry, &decided);
        let decision = self.judge(entry, Phase::Response, before, changed, decided);
        if skipped {
            *response = pre_image;
            self.notes.forget_tags_after(tags);
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

    fn context<'a>(&'a mut self, filter: usize, more_time: &'a Cell<Duration>) -> Context<'a> {
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

pub(super) fn report_failure(entry: &Entry, phase: Phase, failure: &Failure) {
    tracing::warn!(
        filter.name = entry.filter.name(),
        filter.phase = phase.as_str(),
        failure.kind = failure.kind.as_str(),
        "the filter {} failed: {}",
        entry.filter.name(),
        failure.reason,
    );
}

fn entries<'a>(chain: &'a Chain, at: &'a [usize]) -> impl Iterator<Item = (usize, &'a Arc<Entry>)> {
    at.iter()
        .filter_map(|at| Some((*at, chain.entries.get(*at)?)))
}

fn is_skipped(entry: &Entry, decided: &Result<Decision, StopCause>) -> bool {
    matches!(decided, Err(StopCause::Failed(_))) && entry.on_error == OnError::Skip
}

fn stop(entry: &Entry, phase: Phase, cause: StopCause) -> Stop {
    Stop {
        by: entry.filter.shared_name(),
        phase,
        cause,
    }
}

#[cfg(test)]
mod tests;
