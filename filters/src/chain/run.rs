//! The chain's way through one exchange: requests inward, whole responses outward.
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::guard;
use super::report::{FilterVerdict, Phase, RequestOutcome, ResponseOutcome, Stop, StopCause};
use super::{Chain, Delivery, Entry, Selection};
use crate::context::{Capabilities, Notes};
use crate::{BodyError, ExchangeInfo, LlmRequest, LlmResponse, Target};

mod hooks;
mod streams;

pub(super) use hooks::report_failure;
pub use streams::WholeStream;

use hooks::Decision;

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

    /// Says where the request goes, how many times an upstream was tried, and when the exchange must
    /// be over; filters on the way out can read all three.
    pub fn set_target(&mut self, target: Target, attempts: u32, deadline: Instant) {
        self.target = Some(target);
        self.attempts = attempts;
        self.info.deadline = Some(deadline);
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

    /// Asks the response filters about a reply that is one body, last to first.
    pub async fn response(&mut self, response: &mut LlmResponse) -> ResponseOutcome {
        self.respond(response, usize::MAX).await
    }

    /// What the request and response hooks did, in the order in which they ran. Those of stream
    /// hooks are with the [`StreamChain`](crate::StreamChain).
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
        match self.respond(&mut response, at).await {
            ResponseOutcome::Continue => RequestOutcome::Answered {
                by: entry.filter.shared_name(),
                response,
            },
            ResponseOutcome::Stopped(stop) => RequestOutcome::Stopped(stop),
        }
    }

    /// The response hooks of filters that stand before `end`, last to first.
    async fn respond(&mut self, response: &mut LlmResponse, end: usize) -> ResponseOutcome {
        let chain = Arc::clone(&self.chain);
        let hooks: Vec<_> = self.selection.outward().filter(|at| *at < end).collect();
        for (at, entry) in entries(&chain, &hooks) {
            match self.response_hook(at, entry, response).await {
                Decision::Continue | Decision::Answer(_) => {}
                Decision::Stop(cause) => {
                    return ResponseOutcome::Stopped(stop(entry, Phase::Response, cause));
                }
            }
        }
        ResponseOutcome::Continue
    }
}

impl Drop for ChainRun {
    /// The filters' own values go with the exchange; what panics in their `drop` stays there.
    fn drop(&mut self) {
        guard::drop_contained(std::mem::take(&mut self.notes));
    }
}

fn entries<'a>(chain: &'a Chain, at: &'a [usize]) -> impl Iterator<Item = (usize, &'a Arc<Entry>)> {
    at.iter()
        .filter_map(|at| Some((*at, chain.entries.get(*at)?)))
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
