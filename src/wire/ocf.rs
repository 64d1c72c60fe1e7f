//! The table of an OCF node's peers, from which its models are read.
//!
//! Source: the node's `/v1/dnt/table` (github.com/eth-easl/OpenTela, read 2026-11): an object of peers by their ids. Lists
//! may be null, ports are texts, times numbers or texts, newer nodes have more members; only what names models is read.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::listed_model::ListedModel;
use super::translate::TranslateError;

/// The service that makes text.
const SERVICE: &str = "llm";

/// What stands before a model's name in a group of identity.
const MODEL: &str = "model=";

/// Whose models these are, as far as clients are told.
const OWNER: &str = "ocf";

#[derive(Deserialize)]
struct Peer<'a> {
    connected: Option<bool>,
    #[serde(borrow)]
    service: Option<Vec<Option<Service<'a>>>>,
}

#[derive(Deserialize)]
struct Service<'a> {
    name: Option<String>,
    #[serde(borrow)]
    identity_group: Option<Vec<&'a RawValue>>,
}

/// The models that connected peers serve, each once however many serve it, in the order of their names. Those that say
/// no name (`model=*`, `all`) name none. A peer of another shape is left out, the rest stands.
///
/// # Errors
/// [`TranslateError`] when it is no object.
pub fn models(table: &[u8]) -> Result<Vec<ListedModel>, TranslateError> {
    let peers: BTreeMap<String, &RawValue> = serde_json::from_slice(table)
        .map_err(|error| TranslateError::Malformed(format!("no table of peers: {error}")))?;
    let mut names: Vec<String> = Vec::new();
    for peer in peers.values() {
        let Ok(peer) = serde_json::from_str::<Peer<'_>>(peer.get()) else {
            continue;
        };
        let services = peer.service.filter(|_| peer.connected != Some(false));
        let services = services.into_iter().flatten().flatten();
        let services = services.filter(|service| service.name.as_deref() == Some(SERVICE));
        let groups = services.flat_map(|service| service.identity_group.unwrap_or_default());
        names.extend(groups.filter_map(|group| {
            let group: String = serde_json::from_str(group.get()).ok()?;
            let name = group.strip_prefix(MODEL)?;
            (!name.is_empty() && name != "*").then(|| name.to_owned())
        }));
    }
    names.sort();
    names.dedup();
    let listed = names.into_iter().map(|id| ListedModel {
        id,
        internal_name: None,
        owned_by: OWNER.to_owned(),
        created_s: None,
    });
    Ok(listed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = include_str!("../../tests/fixtures/ocf/table.json");

    #[track_caller]
    fn check(table: &str, expected: &[&str]) {
        let listed = models(table.as_bytes()).expect(table);
        let ids: Vec<&str> = listed.iter().map(|model| &*model.id).collect();
        assert_eq!(ids, expected, "{table}");
    }

    #[test]
    fn models_of_connected_peers_each_once() {
        check(TABLE, &["Qwen/Qwen2.5-7B-Instruct-1M", "Qwen/Qwen3-8B"]);
    }

    #[test]
    fn odd_shapes_are_left_out() {
        check("{}", &[]);
        check(r#"{"/a":{"id":"a"},"/b":null,"/c":3,"/d":[]}"#, &[]);
        let peer = |more: &str| {
            format!(
                r#"{{"/a":{{"service":[{{"name":"llm","identity_group":["model=m","all","model=","gpu=x",3,null]}},null]{more}}}}}"#
            )
        };
        check(&peer(""), &["m"]);
        check(
            &peer(r#","connected":true,"last_seen":"2026-01-01T00:00:00Z","labels":{"a":1}"#),
            &["m"],
        );
        check(&peer(r#","connected":false"#), &[]);
        check(
            r#"{"/a":{"service":[{"name":"embed","identity_group":["model=m"]},{"name":"llm","identity_group":null}]}}"#,
            &[],
        );
    }

    #[test]
    fn what_is_no_table_is_told() {
        for body in ["", "null", "[]", "ERROR: no peers", "<html>", r#"{"/a":{"#] {
            assert!(models(body.as_bytes()).is_err(), "{body}");
        }
    }
}
