//! Requests on the chat's path in a form that is no chat's, as clients of `APIProxy` send them. Where a body says so
//! itself it becomes the request that it means; a chat goes on as it came.

use crate::filter::{Dialect, Endpoint};
use crate::pipeline::exchange::{Body, Exchange};
use crate::pipeline::failure::Failure;
use crate::pipeline::plan::Asked;
use crate::wire::chat_forms::{self, Unreadable};

/// Turns it into what it means, and says whether it did. Claude's form is a request of Messages from here on, answers
/// and errors included; Gemini's `input` is a chat.
///
/// # Errors
/// [`Failure`] when the form is known and this body cannot be read.
pub(super) fn settle(exchange: &mut Exchange, asked: &Asked) -> Result<bool, Failure> {
    let (Body::Whole(body), Endpoint::ChatCompletions, Dialect::Openai) =
        (&exchange.body, exchange.endpoint, exchange.dialect)
    else {
        return Ok(false);
    };
    if exchange.provider.is_some() {
        // A path that names a provider is that one's own.
        return Ok(false);
    }
    let keys = asked.keys;
    let is_gemini = || {
        let model = asked.model.as_deref();
        model.is_some_and(chat_forms::asks_with_input)
    };
    let meant = if keys.claudes {
        exchange.endpoint = Endpoint::Messages;
        exchange.dialect = Dialect::Anthropic;
        exchange.is_other_form = true;
        exchange.rest = "/messages".to_owned();
        let guard = &mut exchange.guard;
        guard.is_of(exchange.endpoint, exchange.dialect);
        chat_forms::as_messages(body)?
    } else if keys.input && !keys.messages && is_gemini() {
        chat_forms::with_messages(body)?
    } else {
        return Ok(false);
    };
    exchange.guard.upstream_request(meant.clone());
    exchange.is_changed = true;
    exchange.body = Body::Whole(meant);
    Ok(true)
}

impl From<Unreadable> for Failure {
    fn from(Unreadable { field, reason }: Unreadable) -> Self {
        Self::Untranslatable {
            field,
            reason: reason.to_owned(),
        }
    }
}
