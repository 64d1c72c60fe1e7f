//! When a client that nobody answered may ask again.

use std::time::Duration;

use bytes::Bytes;

use crate::filter::Headers;
use crate::pipeline::attempts::Answered;
use crate::pipeline::attempts::nobody::LONGEST_WAIT;
use crate::pipeline::failure::Failure;

/// Whether an answer is of a kind that says when to ask again.
pub(super) fn says_when(answered: &Answered) -> bool {
    match &answered.reply {
        Ok(reply) => reply.status == 429 || 500 <= reply.status,
        Err(Failure::UpstreamSaid { status, .. } | Failure::UpstreamStatus { status }) => {
            *status == 429 || 500 <= *status
        }
        Err(_) => true,
    }
}

/// After several tries the client is told the soonest time of all that may be asked again.
pub(super) fn soonest(answered: &mut Answered, waits: &[Duration]) {
    let Some(soonest) = waits.iter().min() else {
        return;
    };
    let seconds = soonest.min(&LONGEST_WAIT).as_secs_f64().ceil();
    let seconds = Bytes::from((seconds as u64).to_string());
    let is_wait = |name: &str| matches!(name, "retry-after" | "retry-after-ms");
    if let Ok(reply) = &mut answered.reply
        && reply.status == 429
    {
        let others = reply.headers.iter().filter(|(name, _)| !is_wait(name));
        let all = others.chain([("retry-after", &*seconds)]);
        reply.headers = Headers::from_pairs(all);
    }
    answered.kept = vec![("retry-after", seconds)];
}
