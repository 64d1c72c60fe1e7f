//! Counts of tokens that clients ask for.

use crate::filter::Endpoint;
use crate::pipeline::Worker;
use crate::pipeline::exchange::Exchange;
use crate::pipeline::failure::Failure;
use crate::routing::choose;

/// Tokens are counted by providers that understand the client. A count of ours for another one's model would be a guess.
///
/// # Errors
/// [`Failure`] when the model's provider is asked by translation.
pub(super) fn check(
    exchange: &Exchange,
    model: Option<&str>,
    worker: &Worker,
) -> Result<(), Failure> {
    let text = match exchange.endpoint {
        Endpoint::MessagesCountTokens => Endpoint::Messages,
        Endpoint::CountTokens => Endpoint::GenerateContent,
        Endpoint::ChatCompletions
        | Endpoint::Completions
        | Endpoint::Embeddings
        | Endpoint::Responses
        | Endpoint::Messages
        | Endpoint::GenerateContent
        | Endpoint::EmbedContent
        | Endpoint::BedrockInvoke
        | Endpoint::BedrockConverse
        | Endpoint::AsksageQuery
        | Endpoint::ArgoChat
        | Endpoint::ArgoEmbed
        | Endpoint::Models
        | Endpoint::Passthrough => return Ok(()),
    };
    let (named, dialect) = (exchange.provider.as_deref(), exchange.dialect);
    let providers = &worker.providers;
    match choose(providers, named, model, dialect, Some(text)) {
        Ok(target) if target.is_translated => {
            let counting = providers.iter().filter(|other| other.speaks(dialect));
            Err(Failure::CountNotTranslated {
                model: model.unwrap_or_default().to_owned(),
                counting: counting.map(|provider| provider.name.clone()).collect(),
            })
        }
        Ok(_) | Err(_) => Ok(()),
    }
}
