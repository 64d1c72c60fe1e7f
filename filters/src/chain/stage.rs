//! One filter's part of a stream: its run, what it holds back, and what it did.
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::guard::{self, HookFuture, Limits};
use super::report::{Failure, FailureKind, FilterVerdict, Phase, Stop, StopCause, VerdictKind};
use super::run::report_failure;
use super::{Entry, validate};
use crate::context::{Clock, MoreTime};
use crate::exchange::Ticket;
use crate::filter::OnError;
use crate::{FilterError, Outbox, StreamEnd, StreamEvent, StreamRun, StreamVerdict};

/// An event that a run got and has neither sent nor dropped.
struct Held {
    ticket: Arc<Ticket>,
    pre_image: StreamEvent,
    bytes: usize,
    since: Instant,
}

impl Held {
    fn is_gone(&self) -> bool {
        self.ticket.is_sent() || Arc::strong_count(&self.ticket) == 1
    }
}

pub(super) struct Stage {
    entry: Arc<Entry>,
    /// `None` once the filter is out of the game: skipped, or the stream is over.
    run: Option<Box<dyn StreamRun>>,
    held: VecDeque<Held>,
    holding_since: Option<Instant>,
    held_time: Duration,
    filter_time: Duration,
    changed: bool,
    ended: Option<(VerdictKind, Option<String>)>,
}

type Hook<'f> = HookFuture<'f, Result<StreamVerdict, FilterError>>;

impl Stage {
    /// `opening`: the time that the filter took to open the run.
    pub(super) fn new(entry: Arc<Entry>, run: Box<dyn StreamRun>, opening: Duration) -> Self {
        Self {
            entry,
            run: Some(run),
            held: VecDeque::new(),
            holding_since: None,
            held_time: Duration::ZERO,
            filter_time: opening,
            changed: false,
            ended: None,
        }
    }

    /// Gives the run one event; what it lets out is appended to `out`.
    pub(super) async fn on_event(
        &mut self,
        event: StreamEvent,
        clock: &dyn Clock,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), Stop> {
        let Some(run) = self.run.as_mut() else {
            out.push(event);
            return Ok(());
        };
        let ticket = Arc::new(Ticket::default());
        let pre_image = event.clone();
        self.held.push_back(Held {
            ticket: Arc::clone(&ticket),
            bytes: pre_image.length(),
            pre_image,
            since: clock.now(),
        });
        let event = event.with_ticket(ticket);
        let mut outbox = Outbox::default();
        let called = {
            let outbox = &mut outbox;
            timed(&self.entry, clock, &mut self.filter_time, move || {
                run.on_event(event, outbox)
            })
            .await
        };
        self.conclude(called, outbox, clock, out)
    }

    /// Tells the run that the stream is over; afterwards it is gone.
    pub(super) async fn on_end(
        &mut self,
        end: StreamEnd,
        clock: &dyn Clock,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), Stop> {
        let Some(mut run) = self.run.take() else {
            return Ok(());
        };
        let mut outbox = Outbox::default();
        let called = {
            let (run, end, outbox) = (&mut run, &end, &mut outbox);
            timed(&self.entry, clock, &mut self.filter_time, move || {
                run.on_end(end, outbox)
            })
            .await
        };
        let called = match (called, end) {
            // Nobody is there whose stream could be cut.
            (Ok(StreamVerdict::Cut(_)), StreamEnd::ClientGone) => Ok(StreamVerdict::Continue),
            (called, _) => called,
        };
        let concluded = self.conclude(called, outbox, clock, out);
        guard::drop_contained(run);
        self.changed |= !self.held.is_empty();
        self.forget_held(clock.now());
        concluded
    }

    /// Tells the run, without waiting for it, that the exchange is being dropped.
    pub(super) fn on_drop(&mut self) {
        if let Some(mut run) = self.run.take() {
            let mut outbox = Outbox::default();
            guard::poll_once(|| run.on_end(&StreamEnd::ClientGone, &mut outbox));
            guard::drop_contained((run, outbox));
        }
    }

    /// When the oldest event held must be let out.
    pub(super) fn hold_deadline(&self) -> Option<Instant> {
        Some(self.held.front()?.since + self.entry.hold_time)
    }

    /// Fails the filter when it holds an event for too long.
    pub(super) fn check_hold(
        &mut self,
        now: Instant,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), Stop> {
        if self.hold_deadline().is_none_or(|deadline| now < deadline) {
            return Ok(());
        }
        let limit = self.entry.hold_time.as_millis();
        let reason = format!("an event was held back for more than {limit} ms");
        self.fail(Failure::new(FailureKind::HoldLimit, reason), now, out)
    }

    pub(super) fn held_time(&self, now: Instant) -> Duration {
        let open = self
            .holding_since
            .map(|since| now.saturating_duration_since(since));
        self.held_time + open.unwrap_or_default()
    }

    pub(super) fn filter_time(&self) -> Duration {
        self.filter_time
    }

    pub(super) fn verdict(&self) -> FilterVerdict {
        let quiet = if self.changed {
            VerdictKind::Changed
        } else {
            VerdictKind::Passed
        };
        let (verdict, detail) = self.ended.clone().unwrap_or((quiet, None));
        FilterVerdict {
            filter: self.entry.filter.shared_name(),
            phase: Phase::Stream,
            verdict,
            detail,
            duration: self.filter_time,
        }
    }

    fn conclude(
        &mut self,
        called: Result<StreamVerdict, Failure>,
        outbox: Outbox,
        clock: &dyn Clock,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), Stop> {
        let now = clock.now();
        let mut sent = Vec::new();
        let verdict = called.and_then(|verdict| {
            sent = outbox.into_events();
            sent.iter()
                .filter(|event| !event.has_ticket())
                .try_for_each(validate::event)?;
            Ok(verdict)
        });
        let verdict = match verdict {
            Ok(verdict) => verdict,
            Err(failure) => return self.fail(failure, now, out),
        };
        for event in sent {
            out.push(self.account(event));
        }
        let count = self.held.len();
        self.held.retain(|held| !held.is_gone());
        self.changed |= self.held.len() != count;
        self.note_holding(now);
        match verdict {
            StreamVerdict::Cut(refusal) => {
                let detail = refusal.reason().map(str::to_owned);
                self.ended.get_or_insert((VerdictKind::Cut, detail));
                self.forget_held(now);
                Err(self.stop(StopCause::Refused(refusal)))
            }
            StreamVerdict::Continue => self.check_bytes(now, out),
        }
    }

    /// Takes the ticket off an event that was let out, and notes whether it is the one that was
    /// due, unchanged.
    fn account(&mut self, mut event: StreamEvent) -> StreamEvent {
        let ticket = event.redeem();
        let due = self.held.front().zip(ticket).is_some_and(|(held, ticket)| {
            Arc::ptr_eq(&held.ticket, &ticket) && held.pre_image.revision() == event.revision()
        });
        if due {
            self.held.pop_front();
        } else {
            self.changed = true;
        }
        event
    }

    fn check_bytes(&mut self, now: Instant, out: &mut Vec<StreamEvent>) -> Result<(), Stop> {
        let bytes: usize = self.held.iter().map(|held| held.bytes).sum();
        if bytes <= self.entry.hold_bytes {
            return Ok(());
        }
        let limit = self.entry.hold_bytes;
        let reason = format!("{bytes} bytes were held back, more than {limit}");
        self.fail(Failure::new(FailureKind::HoldLimit, reason), now, out)
    }

    /// Applies the error policy: the events held leave as they came, or the stream is cut.
    fn fail(
        &mut self,
        failure: Failure,
        now: Instant,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), Stop> {
        report_failure(&self.entry, Phase::Stream, &failure);
        guard::drop_contained(self.run.take());
        let detail = Some(failure.detail());
        match self.entry.on_error {
            OnError::Skip => {
                out.extend(self.held.drain(..).map(|held| held.pre_image));
                self.ended.get_or_insert((VerdictKind::Skipped, detail));
                self.note_holding(now);
                Ok(())
            }
            OnError::Refuse => {
                self.ended.get_or_insert((VerdictKind::Failed, detail));
                self.forget_held(now);
                Err(self.stop(StopCause::Failed(failure)))
            }
        }
    }

    fn forget_held(&mut self, now: Instant) {
        self.held.clear();
        self.note_holding(now);
    }

    /// Keeps the time during which something was held.
    fn note_holding(&mut self, now: Instant) {
        match (self.held.front(), self.holding_since) {
            (Some(first), None) => self.holding_since = Some(first.since),
            (None, Some(since)) => {
                self.held_time += now.saturating_duration_since(since);
                self.holding_since = None;
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    fn stop(&self, cause: StopCause) -> Stop {
        Stop {
            by: self.entry.filter.shared_name(),
            phase: Phase::Stream,
            cause,
        }
    }
}

/// Calls a hook and adds the time that it took.
async fn timed<'f>(
    entry: &Entry,
    clock: &dyn Clock,
    filter_time: &mut Duration,
    hook: impl FnOnce() -> Hook<'f>,
) -> Result<StreamVerdict, Failure> {
    let before = clock.now();
    let more_time = MoreTime::default();
    let limits = Limits {
        timeout: entry.timeout,
        more_time: &more_time,
        clock,
    };
    let called = guard::call(limits, hook).await;
    *filter_time += clock.now().saturating_duration_since(before);
    called
}
