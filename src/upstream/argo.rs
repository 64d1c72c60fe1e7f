//! Argo's own API: a call for whole answers, one for streams of text, one for embeddings, each with a URL that can be set.

use crate::filter::Endpoint;
use crate::upstream::provider::{Api, Generation, Listing, Models, Place, Provider, Quirks};
use crate::wire::argo::models;
use crate::wire::found;

pub(super) const API: Api = Api {
    kind: "argo",
    dialects: &[],
    url,
    model_in_url: false,
    streams_usage: false,
    generation: Some(Generation {
        endpoint: Endpoint::ArgoChat,
        place: |_, stream| {
            let call = if stream { "/streamchat/" } else { "/chat/" };
            (call.to_owned(), "")
        },
    }),
    embedding: Some(Generation {
        endpoint: Endpoint::ArgoEmbed,
        place: |_, _| ("/embed/".to_owned(), ""),
    }),
    models: Some(Models {
        method: "GET",
        url: |provider, _| [&*provider.base_url, MODELS].concat(),
        body: "",
        read: found::argo,
    }),
    // It takes a name for a key, and the name stands in the body.
    vendor_host: "",
    key_header: "authorization",
    key_scheme: "Bearer ",
    headers: &[("content-type", "application/json")],
};

/// Where its list is.
const MODELS: &str = "/api/v1/models/";

pub(super) const QUIRKS: Quirks = Quirks {
    listing: Some(Listing {
        method: "GET",
        path: MODELS,
        body: "",
        read: models,
    }),
    timeout_member: true,
    ..Quirks::NONE
};

/// The calls, their places behind the base URL, and the settings that put them elsewhere.
const CALLS: &[(&str, &str, &str)] = &[
    ("/chat/", "/api/v1/resource/chat/", "chat_url"),
    ("/streamchat/", "/api/v1/resource/streamchat/", "stream_url"),
    ("/embed/", "/api/v1/resource/embed/", "embed_url"),
];

/// A path of a client's that names the provider stands behind the base URL as it is.
fn url(provider: &Provider, place: &Place<'_>) -> String {
    let call = CALLS.iter().find(|(call, ..)| *call == place.rest);
    let Some((_, path, setting)) = call else {
        return [&*provider.base_url, place.rest, place.query].concat();
    };
    let set = provider.urls.iter().find(|(name, _)| name == setting);
    match set {
        Some((_, url)) => format!("{url}/"),
        None => [&*provider.base_url, path].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Dialect;
    use crate::upstream::headers::testing::provider;

    #[test]
    fn each_call_has_its_place_or_its_own_url() {
        let provider = Provider {
            base_url: "https://argo/argoapi".to_owned(),
            urls: vec![("stream_url", "http://other/stream".to_owned())],
            ..provider(None, &API)
        };
        for (rest, expected) in [
            ("/chat/", "https://argo/argoapi/api/v1/resource/chat/"),
            ("/streamchat/", "http://other/stream/"),
            ("/embed/", "https://argo/argoapi/api/v1/resource/embed/"),
            ("/api/v1/models/", "https://argo/argoapi/api/v1/models/"),
        ] {
            let place = Place {
                rest,
                query: "",
                model: None,
                dialect: Dialect::Openai,
            };
            assert_eq!(provider.url(&place), expected);
        }
    }
}
