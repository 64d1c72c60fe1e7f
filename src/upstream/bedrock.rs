//! Bedrock's runtime: the path names the model, and requests are signed.

use crate::filter::{Dialect, Endpoint};
use crate::upstream::provider::{Api, Generation, Place, Provider, Quirks};
use crate::wire::bedrock::ModelPath;
use crate::wire::percent;

/// What signatures call it.
pub(super) const SERVICE: &str = "bedrock";

pub(super) const API: Api = Api {
    kind: "bedrock",
    dialects: &[Dialect::Bedrock],
    url,
    model_in_url: true,
    streams_usage: false,
    generation: Some(Generation {
        endpoint: Endpoint::BedrockConverse,
        place: generation,
    }),
    embedding: None,
    // Its list is on another host, that of its management.
    models: None,
    vendor_host: "amazonaws.com",
    // A key of Bedrock's own; credentials of AWS sign.
    key_header: "authorization",
    key_scheme: "Bearer ",
    headers: &[("content-type", "application/json")],
};

pub(super) const QUIRKS: Quirks = Quirks {
    // "You don't have access to the model with the specified model ID."
    model_refusals: &["access to the model"],
    ..Quirks::NONE
};

/// Where a call of another dialect goes.
fn generation(model: &str, stream: bool) -> (String, &'static str) {
    let verb = match stream {
        true => "converse-stream",
        false => "converse",
    };
    (path(model, verb), "")
}

/// The path on which something is done with a model.
fn path(model: &str, verb: &str) -> String {
    let mut path = "/model/".to_owned();
    percent::push_encoded(&mut path, model);
    format!("{path}/{verb}")
}

/// The client's path as it is, percent signs too; where the model is another than the one that it names, with that.
fn url(provider: &Provider, place: &Place<'_>) -> String {
    let mut url = provider.base_url.clone();
    match (place.model, ModelPath::read(place.rest)) {
        (Some(model), Some(path)) if percent::decoded(path.model).as_deref() != Some(model) => {
            url.push_str(&self::path(model, path.verb));
        }
        _ => url.push_str(place.rest),
    }
    url.push_str(place.query);
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::headers::testing::provider;

    #[test]
    fn the_path_stays_as_it_is_for_the_model_that_it_names() {
        let provider = Provider {
            base_url: "http://h".to_owned(),
            ..provider(None, &API)
        };
        let at = |rest, model| {
            provider.url(&Place {
                rest,
                query: "?a=b",
                model,
                dialect: Dialect::Bedrock,
            })
        };
        let path = "/model/anthropic.claude-v2%3A1/invoke";
        for model in [None, Some("anthropic.claude-v2:1")] {
            assert_eq!(at(path, model), format!("http://h{path}?a=b"));
        }
        let arn = "arn:aws:bedrock:us-east-1::inference-profile/us.claude";
        assert_eq!(
            at(path, Some(arn)),
            "http://h/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Ainference-profile%2Fus.claude/invoke?a=b"
        );
        let other = "/async-invoke";
        assert_eq!(at(other, None), "http://h/async-invoke?a=b");
    }

    #[test]
    fn calls_of_other_clients_have_a_path_of_their_own() {
        for (stream, verb) in [(false, "converse"), (true, "converse-stream")] {
            let expected = (format!("/model/a.b-v1%3A0/{verb}"), "");
            assert_eq!(generation("a.b-v1:0", stream), expected);
        }
    }
}
