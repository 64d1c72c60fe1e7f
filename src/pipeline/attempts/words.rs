//! What a provider says of its error, in the entry of its try.

use bytes::Bytes;

use crate::access_log::guard::RecordGuard;
use crate::pipeline::exchange::Exchange;
use crate::wire::translate;

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
