//! OpenAI, and servers compatible with it.

use crate::filter::{Dialect, Endpoint};
use crate::upstream::azure;
use crate::upstream::provider::{Api, Generation, Place, Provider};

pub(super) const API: Api = Api {
    dialects: &[Dialect::Openai, Dialect::Azure],
    url,
    model_in_url: false,
    streams_usage: true,
    generation: Some(Generation {
        endpoint: Endpoint::ChatCompletions,
        place: |_, _| ("/chat/completions".to_owned(), ""),
    }),
    vendor_host: "api.openai.com",
    key_header: "authorization",
    key_scheme: "Bearer ",
    headers: &[],
};

/// The base URL has its version: compatible servers have others. Azure's clients say Azure's version, which is nothing
/// to anybody else.
fn url(provider: &Provider, place: &Place<'_>) -> String {
    match place.dialect {
        Dialect::Azure => {
            let query = azure::without_version(place.query);
            [&*provider.base_url, place.rest, &query].concat()
        }
        Dialect::Openai | Dialect::Anthropic => {
            [&*provider.base_url, place.rest, place.query].concat()
        }
        Dialect::Gemini => {
            let rest = place.rest.strip_prefix("/v1/").map_or(0, |_| "/v1".len());
            let rest = place.rest.get(rest..).unwrap_or_default();
            [&*provider.base_url, rest, place.query].concat()
        }
    }
}
