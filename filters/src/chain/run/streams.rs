//! Streams on their way through the chain: opened for events that come one by one, or passed as a whole where a
//! filter buffers them.
use std::sync::Arc;

use super::super::report::{Phase, Stop, StopCause};
use super::super::stage::Stage;
use super::super::{Entry, StreamChain, guard};
use super::hooks::Decision;
use super::{ChainRun, entries, stop};
use crate::context::MoreTime;
use crate::{LlmResponse, StreamEnd, StreamEvent};

/// Shows a whole stream as one response, and takes back what became of its texts. The program
/// knows the formats.
pub trait WholeStream {
    /// The response that would have come without streaming, as far as filters look at it.
    fn fold(&self, events: &[StreamEvent]) -> LlmResponse;

    /// The events with the texts of `after`, where those of `before` stood.
    fn unfold(
        &self,
        events: Vec<StreamEvent>,
        before: &LlmResponse,
        after: &LlmResponse,
    ) -> Vec<StreamEvent>;
}

impl ChainRun {
    /// Opens the stream filters. `None` when no selected filter wants to see this stream.
    /// Filters that buffer streams get the whole response instead.
    ///
    /// # Errors
    /// When a filter fails on opening, and its error policy is `refuse`.
    pub fn open_stream(&mut self) -> Result<Option<StreamChain>, Stop> {
        let chain = Arc::clone(&self.chain);
        let hooks: Vec<_> = self.selection.outward().collect();
        let mut stages = Vec::new();
        for (at, entry) in entries(&chain, &hooks) {
            if !entry.filter.buffers_streams {
                stages.extend(self.open_stage(at, entry)?);
            }
        }
        let clock = Arc::clone(&self.capabilities.clock);
        Ok((!stages.is_empty()).then(|| StreamChain::new(stages, clock)))
    }

    /// Whether a selected filter looks at streams event by event.
    pub fn has_stream_hooks(&self) -> bool {
        let hooks: Vec<_> = self.selection.outward().collect();
        entries(&self.chain, &hooks).any(|(_, entry)| entry.filter.stream.is_some())
    }

    /// Passes a stream that was collected whole through the filters, last to first: each that
    /// buffers streams sees it as one response, each other with a stream hook event by event.
    /// What stream hooks did is then among the [`verdicts`](Self::verdicts).
    ///
    /// # Errors
    /// When a filter refused or cut, or failed and its error policy is `refuse`.
    pub async fn whole_stream(
        &mut self,
        mut events: Vec<StreamEvent>,
        whole: &dyn WholeStream,
    ) -> Result<Vec<StreamEvent>, Stop> {
        let chain = Arc::clone(&self.chain);
        let hooks: Vec<_> = self.selection.outward().collect();
        for (at, entry) in entries(&chain, &hooks) {
            events = match entry.filter.buffers_streams {
                true => self.at_once(at, entry, events, whole).await?,
                false => self.one_by_one(at, entry, events).await?,
            };
        }
        Ok(events)
    }

    /// Shows a whole stream to a filter that buffers streams.
    async fn at_once(
        &mut self,
        at: usize,
        entry: &Entry,
        events: Vec<StreamEvent>,
        whole: &dyn WholeStream,
    ) -> Result<Vec<StreamEvent>, Stop> {
        let before = whole.fold(&events);
        let mut after = before.clone();
        match self.response_hook(at, entry, &mut after).await {
            Decision::Stop(cause) => Err(stop(entry, Phase::Response, cause)),
            Decision::Continue | Decision::Answer(_) => Ok(whole.unfold(events, &before, &after)),
        }
    }

    /// Shows the events of a whole stream to a filter's stream hook.
    async fn one_by_one(
        &mut self,
        at: usize,
        entry: &Arc<Entry>,
        events: Vec<StreamEvent>,
    ) -> Result<Vec<StreamEvent>, Stop> {
        let Some(stage) = self.open_stage(at, entry)? else {
            return Ok(events);
        };
        let clock = Arc::clone(&self.capabilities.clock);
        let mut stream = StreamChain::new(vec![stage], clock);
        let mut sent = Vec::with_capacity(events.len());
        let mut cut = None;
        for event in events {
            let step = stream.push(event).await;
            sent.extend(step.events);
            cut = cut.or(step.cut);
        }
        let step = stream.end(StreamEnd::Finished).await;
        sent.extend(step.events);
        self.verdicts.extend(stream.verdicts());
        self.filter_time += stream.filter_time();
        match cut.or(step.cut) {
            Some(stop) => Err(stop),
            None => Ok(sent),
        }
    }

    /// Opens one filter's part of a stream; `None` when it has none, or does not want to see this one.
    fn open_stage(&mut self, at: usize, entry: &Arc<Entry>) -> Result<Option<Stage>, Stop> {
        let Some(hook) = entry.filter.stream.as_ref() else {
            return Ok(None);
        };
        let before = self.before(&());
        let clock = Arc::clone(&self.capabilities.clock);
        let more_time = MoreTime::default();
        let mut cx = self.context(at, &more_time);
        let (opened, opening) = guard::call_at_once(entry.timeout, &*clock, || hook.open(&mut cx));
        match opened {
            Ok(Some(run)) => Ok(Some(Stage::new(Arc::clone(entry), run, opening))),
            Ok(None) => {
                self.filter_time += opening;
                Ok(None)
            }
            Err(failure) => {
                let failed = Err(StopCause::Failed(failure));
                match self.conclude(entry, Phase::Stream, before, &mut (), false, failed) {
                    Decision::Stop(cause) => Err(stop(entry, Phase::Stream, cause)),
                    Decision::Continue | Decision::Answer(_) => Ok(None),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
