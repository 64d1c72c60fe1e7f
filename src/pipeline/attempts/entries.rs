//! What stands in the row of an exchange about its tries and about who was passed over.

use bytes::Bytes;

use crate::access_log::draft::{AttemptDraft, PASSED_OVER};
use crate::access_log::guard::RecordGuard;
use crate::filter::Outcome;
use crate::pipeline::Worker;
use crate::pipeline::attempt::draft;
use crate::pipeline::exchange::Exchange;
use crate::routing::failover::Trouble;
use crate::routing::target::Target;
use crate::wire::translate;

/// Puts a candidate on record that was not tried.
pub(super) fn pass_over(
    exchange: &mut Exchange,
    target: &Target,
    worker: &Worker,
    reason: &str,
    outcome: Outcome,
) {
    debug_assert!(PASSED_OVER.contains(&reason), "{reason} is not known");
    let started_at_us = worker.clock.wall_us();
    let closed = exchange.guard.closed_mut();
    closed.passed_over += 1;
    closed.tries.push(AttemptDraft {
        provider: worker.providers[target.provider].name.clone(),
        model: target.model.clone(),
        provider_key: None,
        duration_ms: 0.0,
        skip_reason: Some(reason.to_owned()),
        ..draft(closed, outcome, started_at_us, worker.clock.now())
    });
}

/// Says in the last try's entry why it was given up.
pub(super) fn give_up(exchange: &mut Exchange, trouble: Trouble) {
    let closed = exchange.guard.closed_mut();
    let number = closed.last_number();
    if let Some(last) = closed.tries.iter_mut().find(|tried| tried.number == number) {
        last.skip_reason = Some(trouble.word().to_owned());
    }
}

/// Longest text of a provider's error in the entry of a try, in characters.
const LONGEST_ERROR: usize = 2_000;

/// Puts what an error body says into the entry of its try.
pub(super) fn note_words(exchange: &mut Exchange, body: &Bytes) {
    let masked = exchange.guard.secrets().mask(body.clone());
    note_message(&mut exchange.guard, &translate::error(&masked).message);
}

pub(super) fn note_message(guard: &mut RecordGuard, message: &str) {
    if message.is_empty() {
        return;
    }
    let message: String = message.chars().take(LONGEST_ERROR).collect();
    let closed = guard.closed_mut();
    let number = closed.last_number();
    if let Some(tried) = closed.tries.iter_mut().find(|tried| tried.number == number) {
        tried.error_message = Some(message);
    }
}
