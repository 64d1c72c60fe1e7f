//! OpenAI, and servers compatible with it.

use crate::filter::{Dialect, Endpoint};
use crate::upstream::azure;
use crate::upstream::provider::{Api, Generation, Models, Place, Provider};
use crate::wire::found;

pub(super) const API: Api = Api {
    kind: "openai",
    dialects: &[Dialect::Openai, Dialect::Azure],
    url,
    model_in_url: false,
    streams_usage: true,
    generation: Some(Generation {
        endpoint: Endpoint::ChatCompletions,
        place: |_, _| ("/chat/completions".to_owned(), ""),
    }),
    embedding: Some(Generation {
        endpoint: Endpoint::Embeddings,
        place: |_, _| ("/embeddings".to_owned(), ""),
    }),
    models: Some(Models {
        method: "GET",
        url: |provider, _| [&*provider.base_url, "/models"].concat(),
        body: "",
        read: found::openai,
    }),
    vendor_host: "api.openai.com",
    key_header: "authorization",
    key_scheme: "Bearer ",
    headers: &[],
};

/// The base URL has its version: compatible servers have others.
fn url(provider: &Provider, place: &Place<'_>) -> String {
    [&*provider.base_url, &path(place)].concat()
}

/// A client's path and query behind the version. Azure's clients say Azure's version, which is nothing to anybody else.
pub(super) fn path(place: &Place<'_>) -> String {
    match place.dialect {
        Dialect::Azure => [place.rest, &azure::without_version(place.query)].concat(),
        Dialect::Openai | Dialect::Anthropic => [place.rest, place.query].concat(),
        Dialect::Bedrock => [place.rest, place.query].concat(),
        Dialect::Gemini => {
            let rest = place.rest.strip_prefix("/v1/").map_or(0, |_| "/v1".len());
            let rest = place.rest.get(rest..).unwrap_or_default();
            [rest, place.query].concat()
        }
    }
}
