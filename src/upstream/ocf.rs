//! A node of the Open Compute Framework: OpenAI's API behind the name of a service, answered by whichever peer of the
//! node serves the model. Of the node's own doors none but its table of models is called, and no path leads to them.
//!
//! Source: the node's routes and its forwarding of services (github.com/eth-easl/OpenTela, read 2026-11).

use crate::upstream::openai;
use crate::upstream::provider::{Api, Listing, Models, Place, Provider, Quirks};
use crate::wire::ocf::{found, models};

pub(super) const API: Api = Api {
    kind: "ocf",
    url,
    vendor_host: "",
    models: Some(Models {
        method: "GET",
        url: |provider, _| [&*provider.base_url, TABLE].concat(),
        body: "",
        read: found,
    }),
    ..openai::API
};

/// The node's table of its peers.
const TABLE: &str = "/v1/dnt/table";

pub(super) const QUIRKS: Quirks = Quirks {
    listing: Some(Listing {
        method: "GET",
        path: TABLE,
        body: "",
        read: models,
    }),
    tags: &[("x-computing-node", "computing_node")],
    // What its forwarding says when it does not reach a peer, under 200 and as text.
    failure_mark: Some("ERROR: "),
    ..Quirks::NONE
};

/// Where a node forwards calls of the service that makes text.
const SERVICE: &str = "/v1/service/llm/v1";

/// The base URL is the node. Every path of a client's stands behind the service, so that none means a door of the node.
fn url(provider: &Provider, place: &Place<'_>) -> String {
    let within = openai::path(place);
    [&*provider.base_url, SERVICE, &within].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Dialect;
    use crate::upstream::headers::testing::provider;

    #[test]
    fn every_path_stands_behind_the_service() {
        let provider = Provider {
            base_url: "http://node:8092".to_owned(),
            ..provider(None, &API)
        };
        for (rest, query, dialect, expected) in [
            (
                "/chat/completions",
                "",
                Dialect::Openai,
                "/chat/completions",
            ),
            ("/p2p/QmPeer/v1/x", "", Dialect::Openai, "/p2p/QmPeer/v1/x"),
            ("/dnt/_node", "?a=b", Dialect::Openai, "/dnt/_node?a=b"),
            (
                "/embeddings",
                "?api-version=1",
                Dialect::Azure,
                "/embeddings",
            ),
            ("/v1/models/m", "", Dialect::Gemini, "/models/m"),
        ] {
            let place = Place {
                rest,
                query,
                model: None,
                dialect,
            };
            let url = provider.url(&place);
            let behind = url.strip_prefix("http://node:8092/v1/service/llm/v1");
            assert_eq!(behind, Some(expected));
        }
    }
}
