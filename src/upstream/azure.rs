//! Azure OpenAI: OpenAI's formats behind paths that name a deployment and a version.
//!
//! Source: learn.microsoft.com, Azure OpenAI data plane inference reference (read 2026-11).

use crate::filter::{Dialect, Endpoint};
use crate::upstream::provider::{Api, Generation, Models, Place, Provider};
use crate::wire::found;
use crate::wire::percent::push_encoded;

pub(super) const API: Api = Api {
    kind: "azure",
    dialects: &[Dialect::Openai, Dialect::Azure],
    url,
    model_in_url: true,
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
        url: |provider, _| [&*provider.base_url, DEPLOYMENTS].concat(),
        body: "",
        read: found::azure,
    }),
    vendor_host: ".openai.azure.com",
    key_header: "api-key",
    key_scheme: "",
    headers: &[],
};

/// The list of deployments, in the last version in which the resource itself has one. The list of models is no help: it has
/// what could be deployed. (learn.microsoft.com, Azure OpenAI data plane, deployments, read 2026-11.)
const DEPLOYMENTS: &str = "/openai/deployments?api-version=2023-03-15-preview";

/// Beginnings of paths that stand behind a deployment.
const OF_DEPLOYMENTS: &[&str] = &[
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/audio/",
    "/images/",
];

/// The base URL is the resource. A version that the client asks for stays; the deployment is the one of the model's
/// name, else has the name itself.
fn url(provider: &Provider, place: &Place<'_>) -> String {
    let mut url = format!("{}/openai", provider.base_url);
    let is_of_deployment = OF_DEPLOYMENTS
        .iter()
        .any(|path| place.rest.starts_with(path));
    if let Some(model) = place.model.filter(|_| is_of_deployment) {
        let mut named = provider.deployments.iter();
        let deployment = named.find(|(name, _)| name == model);
        url.push_str("/deployments/");
        push_encoded(
            &mut url,
            deployment.map_or(model, |(_, deployment)| deployment),
        );
    }
    url.push_str(place.rest);
    url.push_str(place.query);
    if !parameters(place.query).any(is_version) {
        url.push(if place.query.is_empty() { '?' } else { '&' });
        url.push_str(VERSION_PARAMETER);
        url.push_str(&provider.api_version);
    }
    url
}

const VERSION_PARAMETER: &str = "api-version=";

fn parameters(query: &str) -> impl Iterator<Item = &str> {
    let query = query.strip_prefix('?').unwrap_or(query);
    query.split('&').filter(|parameter| !parameter.is_empty())
}

fn is_version(parameter: &str) -> bool {
    parameter.starts_with(VERSION_PARAMETER)
}

/// A query, with its question mark, without Azure's version.
pub(super) fn without_version(query: &str) -> String {
    let rest: Vec<&str> = parameters(query)
        .filter(|parameter| !is_version(parameter))
        .collect();
    match rest.is_empty() {
        true => String::new(),
        false => format!("?{}", rest.join("&")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::headers::testing::provider;

    #[track_caller]
    fn check(rest: &str, query: &str, model: Option<&str>, expected: &str) {
        let provider = Provider {
            base_url: "https://r.openai.azure.com".to_owned(),
            api_version: "2024-10-21".to_owned(),
            deployments: vec![("gpt-4o".to_owned(), "my 4o".to_owned())],
            ..provider(None, &API)
        };
        let place = Place {
            rest,
            query,
            model,
            dialect: Dialect::Openai,
        };
        let url = provider.url(&place);
        assert_eq!(
            url.strip_prefix("https://r.openai.azure.com"),
            Some(expected)
        );
    }

    #[test]
    fn models_become_deployments() {
        let chat = "/chat/completions";
        check(
            chat,
            "",
            Some("gpt-4o"),
            "/openai/deployments/my%204o/chat/completions?api-version=2024-10-21",
        );
        check(
            chat,
            "",
            Some("other"),
            "/openai/deployments/other/chat/completions?api-version=2024-10-21",
        );
        check(
            "/audio/speech",
            "?a=b",
            Some("tts"),
            "/openai/deployments/tts/audio/speech?a=b&api-version=2024-10-21",
        );
        check(
            chat,
            "?api-version=2025-01-01-preview",
            Some("a/../b"),
            "/openai/deployments/a%2F..%2Fb/chat/completions?api-version=2025-01-01-preview",
        );
    }

    #[test]
    fn other_paths_name_no_deployment() {
        check("/models", "", None, "/openai/models?api-version=2024-10-21");
        check(
            "/responses",
            "",
            Some("gpt-4o"),
            "/openai/responses?api-version=2024-10-21",
        );
    }

    #[test]
    fn a_version_is_taken_out_of_a_query() {
        assert_eq!(without_version("?api-version=1"), "");
        assert_eq!(without_version("?a=b&api-version=1&c"), "?a=b&c");
        assert_eq!(without_version(""), "");
    }
}
