//! Credentials that no search in a body's bytes finds: in pieces over the events of a stream, or behind escapes.
//! They show when a body is decoded. The texts get their marks then, and the body itself is not kept.

use std::borrow::Cow;

use super::Exchange;
use crate::access_log::record::LogRecord;
use crate::access_log::redact::{Secrets, marked_word, marks_in};
use crate::wire::Decoded;

impl Exchange<'_> {
    /// What must not be kept of this exchange: the providers' keys, and the client's own if the answer says it.
    pub(super) fn secrets<'s>(&self, of_providers: &'s Secrets) -> Cow<'s, Secrets> {
        match self.own_credential() {
            None => Cow::Borrowed(of_providers),
            Some(own) => {
                let mut secrets = of_providers.clone(); // one more for this exchange alone
                secrets.add(own.as_bytes());
                Cow::Owned(secrets)
            }
        }
    }

    /// The client's own credential, where it was passed on for want of a key of ours and the answer says it. Its mark
    /// in the headers is all that is kept of it.
    fn own_credential(&self) -> Option<&str> {
        if self
            .closed
            .is_some_and(|closed| closed.provider_key.is_some())
        {
            return None;
        }
        let marks = marks_in(self.opened.request_headers.as_deref()?);
        let answers = std::iter::once(&self.answer).chain(&self.upstream_answer);
        answers
            .flat_map(texts)
            .find_map(|text| marks.iter().find_map(|mark| marked_word(text, mark)))
    }

    /// Whether the request, decoded, says a credential.
    pub(super) fn request_says(&self, secrets: &Secrets) -> bool {
        let texts = [&self.asked.text, &self.asked.user];
        let mut texts = texts.into_iter().flatten();
        texts.any(|text| secrets.occur_in(text.as_bytes()))
    }
}

/// Whether an answer, decoded, says a credential.
pub(super) fn says(answer: &Decoded, secrets: &Secrets) -> bool {
    texts(answer).any(|text| secrets.occur_in(text.as_bytes()))
}

fn texts(answer: &Decoded) -> impl Iterator<Item = &str> {
    let error = answer
        .error
        .as_ref()
        .and_then(|error| error.message.as_ref());
    let first = [&answer.text, &answer.tool_calls, &answer.function_call];
    let first = first.into_iter().flatten();
    first
        .chain(&answer.other_texts)
        .chain(error)
        .map(String::as_str)
}

/// Marks what decoding brought to light.
pub(super) fn mask_texts(record: &mut LogRecord, secrets: &Secrets) {
    let decoded = [
        &mut record.end_user,
        &mut record.model,
        &mut record.error_type,
        &mut record.error_code,
        &mut record.error_message,
        &mut record.usage_raw,
        &mut record.request_text,
        &mut record.response_text,
        &mut record.tool_calls,
    ];
    for text in decoded.into_iter().flatten() {
        secrets.mask_in(text);
    }
}
