//! Gemini's API as Google AI Studio serves it: the path names the model. Beside it Google serves OpenAI's, on a path of its
//! own.

use crate::filter::{Dialect, Endpoint};
use crate::upstream::provider::{Api, Generation, Models, Place, Provider, Quirks};
use crate::wire::found;
use crate::wire::gemini::ModelPath;
use crate::wire::percent;

pub(super) const API: Api = Api {
    kind: "gemini",
    dialects: &[Dialect::Gemini],
    url,
    model_in_url: true,
    streams_usage: false,
    generation: Some(Generation {
        endpoint: Endpoint::GenerateContent,
        place: generation,
    }),
    embedding: Some(Generation {
        endpoint: Endpoint::EmbedContent,
        place: |model, _| (verb(model, "batchEmbedContents"), ""),
    }),
    models: Some(Models {
        method: "GET",
        url: models,
        body: "",
        read: found::gemini,
    }),
    vendor_host: "generativelanguage.googleapis.com",
    key_header: "x-goog-api-key",
    key_scheme: "",
    headers: &[],
};

pub(super) const QUIRKS: Quirks = Quirks {
    // What came as `x-goog-api-key` would be told there that it lacks an `Authorization`.
    openai_path: Some("/v1beta/openai/"),
    // "API key not valid. Please pass a valid API key.", "API key expired. Please renew the API key."
    key_refusals: &["API_KEY_INVALID", "API key not valid", "API key expired"],
    ..Quirks::NONE
};

/// The version of paths that came without one. (ai.google.dev, API versions, read 2026-11.)
const VERSION: &str = "/v1beta";

/// Where a call of another dialect goes.
fn generation(model: &str, stream: bool) -> (String, &'static str) {
    let (verb, query) = match stream {
        true => ("streamGenerateContent", "?alt=sse"),
        false => ("generateContent", ""),
    };
    (self::verb(model, verb), query)
}

/// The path on which something is done with a model.
fn verb(model: &str, verb: &str) -> String {
    let mut path = format!("{VERSION}/models/");
    percent::push_encoded(&mut path, model);
    format!("{path}:{verb}")
}

/// A page of its list, as long as they are given. (ai.google.dev, Models, read 2026-11.)
fn models(provider: &Provider, after: Option<&str>) -> String {
    let mut url = [&*provider.base_url, VERSION, "/models?pageSize=1000"].concat();
    if let Some(after) = after {
        url.push_str("&pageToken=");
        percent::push_encoded(&mut url, after);
    }
    url
}

/// Parameters of a query that are a client's credential.
const CREDENTIALS: &[&str] = &["key", "access_token"];

/// The base URL has no version: the client's path has one. Where the model is another than the one that the path
/// names, it takes its place there. A client's key does not go beside ours.
fn url(provider: &Provider, place: &Place<'_>) -> String {
    let mut url = provider.base_url.clone();
    let has_version = ["/v1", "/v2", "/upload/"]
        .iter()
        .any(|version| place.rest.starts_with(version));
    if !has_version {
        url.push_str(VERSION);
    }
    match (place.model, ModelPath::read(place.rest)) {
        (Some(model), Some(path)) if percent::decoded(path.model).as_deref() != Some(model) => {
            url.push_str(path.before);
            percent::push_encoded(&mut url, model);
            if let Some(verb) = path.verb {
                url.push(':');
                url.push_str(verb);
            }
        }
        _ => url.push_str(place.rest),
    }
    match provider.has_key() {
        true => url.push_str(&without_credentials(place.query)),
        false => url.push_str(place.query),
    }
    url
}

/// A query, with its question mark, without a client's credentials.
fn without_credentials(query: &str) -> String {
    let parameters = query.strip_prefix('?').unwrap_or(query).split('&');
    let kept: Vec<&str> = parameters
        .filter(|parameter| {
            let name = parameter.split('=').next().unwrap_or_default();
            let name = percent::decoded(name);
            !parameter.is_empty() && !name.is_some_and(|name| CREDENTIALS.contains(&&*name))
        })
        .collect();
    match kept.is_empty() {
        true => String::new(),
        false => format!("?{}", kept.join("&")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::headers::testing::provider;

    #[track_caller]
    fn check(key: Option<&str>, rest: &str, query: &str, model: Option<&str>, expected: &str) {
        let provider = Provider {
            base_url: "https://g".to_owned(),
            ..provider(key, &API)
        };
        let place = Place {
            rest,
            query,
            model,
            dialect: Dialect::Gemini,
        };
        assert_eq!(
            provider.url(&place).strip_prefix("https://g"),
            Some(expected)
        );
    }

    #[test]
    fn the_path_stays_unless_the_model_changes() {
        let chat = "/v1beta/models/g%2e5:generateContent";
        check(None, chat, "", Some("g.5"), chat);
        check(None, chat, "", None, chat);
        check(
            None,
            chat,
            "?alt=sse",
            Some("a/b"),
            "/v1beta/models/a%2Fb:generateContent?alt=sse",
        );
        check(None, "/v1/models/g", "", Some("h"), "/v1/models/h");
        check(None, "/models", "", None, "/v1beta/models");
        let openais = "/v1beta/openai/chat/completions";
        check(None, openais, "", Some("h"), openais);
        let model = "/v1beta/openai/models/g";
        check(None, model, "", Some("h"), model);
        check(None, "/v1beta/files/f", "", Some("h"), "/v1beta/files/f");
    }

    #[test]
    fn a_clients_key_goes_only_where_ours_does_not() {
        let models = "/v1beta/models";
        let query = "?alt=sse&key=theirs&k%65y=theirs&x=key";
        check(None, models, query, None, &format!("{models}{query}"));
        check(
            Some("ours"),
            models,
            query,
            None,
            "/v1beta/models?alt=sse&x=key",
        );
        check(Some("ours"), models, "?key=theirs", None, models);
    }
}
