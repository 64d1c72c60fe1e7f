//! Anthropic's API.

use crate::filter::{Dialect, Endpoint};
use crate::upstream::provider::{Api, Generation, Models, Place, Provider};
use crate::wire::{found, percent};

/// The version that clients without one get. (docs.anthropic.com, API versions, read 2026-11.)
const VERSION: &str = "2023-06-01";

pub(super) const API: Api = Api {
    kind: "anthropic",
    dialects: &[Dialect::Anthropic],
    url,
    model_in_url: false,
    streams_usage: false,
    generation: Some(Generation {
        endpoint: Endpoint::Messages,
        place: |_, _| ("/messages".to_owned(), ""),
    }),
    embedding: None,
    models: Some(Models {
        method: "GET",
        url: models,
        body: "",
        read: found::anthropic,
    }),
    vendor_host: "api.anthropic.com",
    key_header: "x-api-key",
    key_scheme: "",
    headers: &[("anthropic-version", VERSION)],
};

/// The base URL has no version.
fn url(provider: &Provider, place: &Place<'_>) -> String {
    [&*provider.base_url, "/v1", place.rest, place.query].concat()
}

/// A page of its list, as long as they are given. (docs.anthropic.com, List models, read 2026-11.)
fn models(provider: &Provider, after: Option<&str>) -> String {
    let mut url = [&*provider.base_url, "/v1/models?limit=1000"].concat();
    if let Some(after) = after {
        url.push_str("&after_id=");
        percent::push_encoded(&mut url, after);
    }
    url
}
