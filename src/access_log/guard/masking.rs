//! Credentials in what is told of an exchange beside its bodies: masked before the first append.

use crate::access_log::draft::{Closed, Opened};
use crate::access_log::redact::Secrets;

/// Masks what a client may have put a credential into.
pub(super) fn mask_opened(opened: &mut Opened, secrets: &Secrets) {
    let named = [
        &mut opened.client_request_id,
        &mut opened.end_user,
        &mut opened.session_id,
        &mut opened.requested_model,
    ];
    for text in named.into_iter().flatten().chain([&mut opened.path]) {
        secrets.mask_in(text);
    }
}

/// Masks what a client, a filter or an upstream may have put a credential into.
pub(super) fn mask_closed(closed: &mut Closed, secrets: &Secrets) {
    let told = closed.error.iter_mut().flat_map(|error| {
        let texts = [&mut error.kind, &mut error.code, &mut error.message];
        texts.into_iter().flatten()
    });
    let tried = closed.tries.iter_mut().flat_map(|attempt| {
        let texts = [&mut attempt.model, &mut attempt.error_message];
        texts.into_iter().flatten()
    });
    let tags = closed
        .tags
        .iter_mut()
        .flat_map(|(name, value)| [name, value]);
    let others = closed.sent_model.iter_mut().chain(&mut closed.dropped);
    for text in told.chain(tried).chain(tags).chain(others) {
        secrets.mask_in(text);
    }
}
