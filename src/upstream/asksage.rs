//! Ask Sage's own API: one call that answers whole, for clients of other dialects. Paths that name the provider reach
//! the rest of it as it is.
//!
//! Source: docs.asksage.ai, API documentation (read 2026-11).

use crate::filter::Endpoint;
use crate::upstream::provider::{Api, Generation, Listing, Models, Place, Provider, Quirks};
use crate::wire::asksage::models;
use crate::wire::found;

pub(super) const API: Api = Api {
    kind: "asksage",
    dialects: &[],
    url,
    model_in_url: false,
    streams_usage: false,
    generation: Some(Generation {
        endpoint: Endpoint::AsksageQuery,
        place: |_, _| ("/query".to_owned(), ""),
    }),
    embedding: None,
    models: Some(Models {
        method: "POST",
        url: |provider, _| [&*provider.base_url, MODELS].concat(),
        body: "{}",
        read: found::asksage,
    }),
    // Of every tenant, such as `api.asksage.anl.gov`.
    vendor_host: "api.asksage.",
    key_header: "x-access-tokens",
    key_scheme: "",
    headers: &[("content-type", "application/json")],
};

/// Where its list is.
const MODELS: &str = "/get-models";

pub(super) const QUIRKS: Quirks = Quirks {
    listing: Some(Listing {
        method: "POST",
        path: MODELS,
        body: "{}",
        read: models,
    }),
    ..Quirks::NONE
};

/// The base URL has the `/server` that is before every path.
fn url(provider: &Provider, place: &Place<'_>) -> String {
    [&*provider.base_url, place.rest, place.query].concat()
}
