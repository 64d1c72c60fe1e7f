//! How a relay ends: with the upstream's own end, or before it.

use std::time::Instant;

use super::Relay;
use crate::filter::{Outcome, StreamEnd as FilterEnd};
use crate::pipeline::answer::note_cut;
use crate::pipeline::blame::blame_marked;
use crate::pipeline::failure::Failure;
use crate::pipeline::generator::{Aborted, Yielder, let_server_write};
use crate::wire::relay_scanner::StreamEnd;

impl Relay {
    /// The upstream ended the body cleanly.
    pub(super) async fn end(mut self: Box<Self>, out: &mut Yielder) -> Result<(), Aborted> {
        let mut pieces = Vec::new();
        let end = self.scanner.finish(&mut pieces);
        let now = Instant::now();
        if let Some(failure) = self.send(&mut pieces, out, now).await {
            return self.cut(&failure, out).await;
        }
        self.guard.upstream_ends(now);
        match end {
            StreamEnd::Complete => {
                if let Some(filters) = &mut self.filters {
                    let end = filters.end(FilterEnd::Finished, &mut self.guard);
                    let rest = Box::pin(end).await;
                    self.put_on_record(&rest.bytes, now);
                    out.send(rest.bytes).await;
                    if let Some(failure) = rest.cut {
                        return self.cut(&failure, out).await;
                    }
                }
                if !self.guard.has_ended() {
                    self.put_end_on_record();
                }
                self.close(Outcome::Ok)
            }
            StreamEnd::Truncated => self.cut(&Failure::UpstreamTruncated, out).await,
        }
    }

    /// Hands the record over; `outcome` counts only where no end is on record yet.
    fn close(mut self: Box<Self>, outcome: Outcome) -> Result<(), Aborted> {
        if !self.guard.has_ended() {
            self.guard.end(outcome);
        }
        drop(self);
        Ok(())
    }

    /// The stream ends before its end: an error event where the dialect has one, else no end at all.
    /// What comes after the end on record changes nothing any more.
    pub(super) async fn cut(
        mut self: Box<Self>,
        failure: &Failure,
        out: &mut Yielder,
    ) -> Result<(), Aborted> {
        if self.guard.has_ended() {
            return self.close(Outcome::Ok);
        }
        let now = Instant::now();
        self.guard.upstream_ends(now);
        let mut pieces = Vec::new();
        let by_filter = failure.filter().is_some();
        if !by_filter {
            self.scanner.cut(&mut pieces);
            // A filter that objects to what is left cannot cut what is being cut.
            drop(self.send(&mut pieces, out, now).await);
        }
        if let Some(broke) = self.broke.take() {
            blame_marked(&broke, &mut self.guard);
        }
        if let Some(filters) = &mut self.filters {
            let end = if by_filter {
                FilterEnd::ClientGone
            } else {
                FilterEnd::UpstreamFailed
            };
            let rest = Box::pin(filters.end(end, &mut self.guard)).await;
            if !by_filter {
                self.put_on_record(&rest.bytes, now);
                out.send(rest.bytes).await;
            }
        }
        let number = self.scanner.facts().event_count;
        let endpoint = self.asked.endpoint;
        let (error, event) = self.worker.form.error_event(failure, endpoint, number);
        self.note_repairs();
        note_cut(&mut self.guard, failure, &error);
        if !self.repair {
            self.guard.end(failure.outcome());
            drop(self);
            let_server_write().await;
            return Err(Aborted);
        }
        self.guard
            .closed_mut()
            .repairs
            .push("error_event".to_owned());
        self.put_on_record(&event, now);
        self.guard.end(failure.outcome());
        out.send(event).await;
        self.close(failure.outcome())
    }
}
