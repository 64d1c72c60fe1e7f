//! A stream's way through the stream filters, last to first.
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::report::{FilterVerdict, Stop, StreamStep};
use super::stage::Stage;
use crate::context::Clock;
use crate::{StreamEnd, StreamEvent};

/// The stream filters of one exchange. The relay owns it: it pushes each event as it comes,
/// sends what the step says, wakes for [`hold_deadline`](Self::hold_deadline), and tells the end.
pub struct StreamChain {
    stages: Vec<Stage>,
    clock: Arc<dyn Clock>,
    is_over: bool,
}

impl StreamChain {
    pub(super) fn new(stages: Vec<Stage>, clock: Arc<dyn Clock>) -> Self {
        Self {
            stages,
            clock,
            is_over: false,
        }
    }

    /// Passes one event through the filters. After a cut or the end there is nothing to send.
    pub async fn push(&mut self, event: StreamEvent) -> StreamStep {
        if self.is_over {
            return StreamStep::default();
        }
        let passed = self.pass(0, vec![event]).await;
        self.step(passed).await
    }

    /// Lets filters send what they hold. To be called once; when the client has gone, what they
    /// send goes nowhere.
    pub async fn end(&mut self, end: StreamEnd) -> StreamStep {
        if self.is_over {
            return StreamStep::default();
        }
        let passed = match end {
            StreamEnd::Finished | StreamEnd::UpstreamFailed => self.flush(end).await,
            StreamEnd::ClientGone => Passed::default(),
        };
        let step = self.step(passed).await;
        if step.cut.is_none() {
            self.close().await;
        }
        step
    }

    /// When [`check_hold`](Self::check_hold) is due, `None` while no filter holds anything.
    pub fn hold_deadline(&self) -> Option<Instant> {
        self.stages.iter().filter_map(Stage::hold_deadline).min()
    }

    /// Applies the error policy of filters that have held an event for too long.
    pub async fn check_hold(&mut self) -> StreamStep {
        let mut passed = Passed::default();
        let mut at = 0;
        while passed.cut.is_none()
            && let Some(stage) = self.stages.get_mut(at)
        {
            let mut freed = Vec::new();
            let checked = stage.check_hold(self.clock.now(), &mut freed);
            at += 1;
            let next = self.pass(at, freed).await;
            passed.events.extend(next.events);
            passed.cut = checked.err().or(next.cut);
        }
        self.step(passed).await
    }

    /// What each stream filter has done so far, in the order in which events pass them.
    pub fn verdicts(&self) -> Vec<FilterVerdict> {
        self.stages.iter().map(Stage::verdict).collect()
    }

    /// Time spent in stream hooks.
    pub fn filter_time(&self) -> Duration {
        self.stages.iter().map(Stage::filter_time).sum()
    }

    /// Time during which events were held back, summed over the filters.
    pub fn held_time(&self) -> Duration {
        let now = self.clock.now();
        self.stages.iter().map(|stage| stage.held_time(now)).sum()
    }

    /// Passes events through the filters from the one at `first`. What a filter let out before
    /// one of them cuts still goes through the others.
    async fn pass(&mut self, first: usize, mut events: Vec<StreamEvent>) -> Passed {
        let mut cut = None;
        for stage in self.stages.iter_mut().skip(first) {
            let mut out = Vec::with_capacity(events.len());
            for event in events {
                if let Err(stop) = stage.on_event(event, &*self.clock, &mut out).await {
                    cut = cut.or(Some(stop));
                    break;
                }
            }
            events = out;
        }
        Passed { events, cut }
    }

    /// Ends the filters one after the other; what one lets out still passes the later ones.
    async fn flush(&mut self, end: StreamEnd) -> Passed {
        let mut passed = Passed::default();
        let mut at = 0;
        while passed.cut.is_none()
            && let Some(stage) = self.stages.get_mut(at)
        {
            let mut freed = Vec::new();
            let ended = stage.on_end(end, &*self.clock, &mut freed).await;
            at += 1;
            let next = self.pass(at, freed).await;
            passed.events.extend(next.events);
            passed.cut = ended.err().or(next.cut);
        }
        passed
    }

    async fn step(&mut self, passed: Passed) -> StreamStep {
        if passed.cut.is_some() {
            self.close().await;
        }
        StreamStep {
            events: passed.events,
            cut: passed.cut,
        }
    }

    /// Ends every run that has not ended yet; what they send goes nowhere.
    async fn close(&mut self) {
        self.is_over = true;
        for stage in &mut self.stages {
            let mut nowhere = Vec::new();
            // A failure here concerns nobody any more; the stage has written it down.
            drop(
                stage
                    .on_end(StreamEnd::ClientGone, &*self.clock, &mut nowhere)
                    .await,
            );
        }
    }
}

impl Drop for StreamChain {
    fn drop(&mut self) {
        self.stages.iter_mut().for_each(Stage::on_drop);
    }
}

#[derive(Default)]
struct Passed {
    events: Vec<StreamEvent>,
    cut: Option<Stop>,
}

#[cfg(test)]
mod tests;
