//! Google serves OpenAI's API on a path of its own. What comes on that path is OpenAI's call, and Google answers it as it
//! is, unless its model is another provider's.

use std::sync::Arc;

use crate::filter::Dialect;
use crate::pipeline::Worker;
use crate::pipeline::exchange::Exchange;
use crate::routing::NoTarget;
use crate::routing::table::{Question, Reach, Table};
use crate::routing::target::Route;
use crate::wire::gemini::behind_openai;

/// Whether Google is asked on its path for OpenAI's clients.
pub fn is_asked(exchange: &Exchange) -> bool {
    exchange.dialect == Dialect::Openai && behind_openai(&exchange.rest).is_some()
}

/// Which targets such a call has: whoever takes Gemini's as they are.
///
/// # Errors
/// [`NoTarget`] when none takes the model.
pub fn route(
    exchange: &Exchange,
    model: Option<&str>,
    table: &Table,
) -> Result<Arc<Route>, NoTarget> {
    table.route(Question {
        named: exchange.provider.as_deref(),
        model: model.map(bare),
        reach: Reach::Clients {
            dialect: Dialect::Gemini,
            translatable: None,
        },
    })
}

/// Makes the path OpenAI's own where no provider of Gemini's takes the model, or its name begins with another provider's.
pub fn leave(exchange: &mut Exchange, model: Option<&str>, worker: &Worker) {
    if !is_asked(exchange) || exchange.provider.is_some() {
        return;
    }
    let prefix = model.and_then(|model| Some(model.split_once('/')?.0));
    let is_anothers = prefix.is_some_and(|name| {
        let mut providers = worker.providers.iter();
        providers.any(|provider| provider.name == name && !provider.speaks(Dialect::Gemini))
    });
    if (is_anothers || route(exchange, model, &worker.routing.table()).is_err())
        && let Some(openais) = behind_openai(&exchange.rest)
    {
        exchange.rest = openais.to_owned();
    }
}

/// A model's name as it is elsewhere: Google lists its models as `models/…` here too.
fn bare(model: &str) -> &str {
    model.strip_prefix("models/").unwrap_or(model)
}
