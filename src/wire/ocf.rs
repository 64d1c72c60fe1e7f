//! The table of an OCF node's peers, from which its models are read.
//!
//! Source: the node's `/v1/dnt/table` (github.com/eth-easl/OpenTela, read 2026-11): an object of peers by their ids. Lists
//! may be null, ports are texts, times numbers or texts, newer nodes have more members; only what names models is read.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::found::{Found, ListError, Members, Page, is_name};
use super::listed_model::ListedModel;
use super::translate::TranslateError;

/// The service that makes text.
const SERVICE: &str = "llm";

/// What stands before a model's name in a group of identity.
const MODEL: &str = "model=";

/// Whose models these are, as far as clients are told.
const OWNER: &str = "ocf";

/// The device of a node that does not say what it has.
const UNKNOWN: &str = "Unknown";

/// Most devices that are told of one model, and the longest name of one, in bytes.
const MOST_DEVICES: usize = 4;
const DEVICE_BYTES: usize = 60;

#[derive(Deserialize)]
struct Peer<'a> {
    connected: Option<bool>,
    #[serde(borrow)]
    service: Option<Vec<Option<Service<'a>>>>,
    #[serde(borrow)]
    hardware: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Service<'a> {
    name: Option<String>,
    #[serde(borrow)]
    identity_group: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    hardware: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Hardware {
    gpus: Option<Vec<Option<Gpu>>>,
}

#[derive(Deserialize)]
struct Gpu {
    name: Option<String>,
}

/// Of one model: how many nodes serve it, and on what, in the order in which they are met.
#[derive(Default)]
struct Served {
    nodes: u32,
    devices: Vec<String>,
}

/// The models that connected peers serve, each once however many serve it, in the order of their names. Those that say
/// no name (`model=*`, `all`) name none. A peer of another shape is left out, the rest stands.
///
/// # Errors
/// [`TranslateError`] when it is no object.
pub fn models(table: &[u8]) -> Result<Vec<ListedModel>, TranslateError> {
    let page = found(table)
        .map_err(|error| TranslateError::Malformed(format!("no table of peers: {error}")))?;
    let listed = page.models.into_iter().map(|model| ListedModel {
        id: model.id,
        internal_name: None,
        owned_by: OWNER.to_owned(),
        created_s: None,
    });
    Ok(listed.collect())
}

/// As [`models`], with what they run on and how many nodes serve each.
///
/// # Errors
/// [`ListError`] when it is no table.
pub fn found(table: &[u8]) -> Result<Page, ListError> {
    let mut by_name: BTreeMap<String, Served> = BTreeMap::new();
    for (_, peer) in Members::of(table)?.iter() {
        let Ok(peer) = serde_json::from_str::<Peer<'_>>(peer.get()) else {
            continue;
        };
        let mut of_peer = BTreeMap::new();
        let services = peer.service.filter(|_| peer.connected != Some(false));
        let services = services.into_iter().flatten().flatten();
        for service in services.filter(|service| service.name.as_deref() == Some(SERVICE)) {
            let device = || device(peer.hardware).or_else(|| device(service.hardware));
            let groups = service.identity_group.unwrap_or_default();
            for name in groups.into_iter().filter_map(model_named) {
                of_peer.entry(name).or_insert_with(device);
            }
        }
        for (name, device) in of_peer {
            by_name.entry(name).or_default().add(device);
        }
    }
    let models = by_name.into_iter().map(|(id, served)| Found {
        owned_by: Some(OWNER.to_owned()),
        device: Some(served.devices.join(", ")),
        nodes: served.nodes,
        ..Found::named(id)
    });
    Ok(Page {
        models: models.collect(),
        next: None,
    })
}

impl Served {
    fn add(&mut self, device: Option<String>) {
        self.nodes = self.nodes.saturating_add(1);
        let device = device.unwrap_or_else(|| UNKNOWN.to_owned());
        if self.devices.len() < MOST_DEVICES && !self.devices.contains(&device) {
            self.devices.push(device);
        }
    }
}

/// The name that an entry of a group of identity says, if it says one.
fn model_named(group: &RawValue) -> Option<String> {
    let group: String = serde_json::from_str(group.get()).ok()?;
    let name = group.strip_prefix(MODEL)?;
    (name != "*" && is_name(name)).then(|| name.to_owned())
}

/// What a node has, such as `4x NVIDIA GH200 120GB`; of a node with several kinds the first one, and that there are more.
fn device(hardware: Option<&RawValue>) -> Option<String> {
    let hardware: Hardware = serde_json::from_str(hardware?.get()).ok()?;
    let gpus = hardware.gpus?.into_iter().flatten();
    let mut kinds: Vec<(String, u32)> = Vec::new();
    for name in gpus.filter_map(|gpu| gpu.name) {
        match kinds.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => kinds.push((name, 1)),
        }
    }
    let (name, count) = kinds.first()?;
    let more = if kinds.len() == 1 { "" } else { " + others" };
    let device = format!("{count}x {name}{more}");
    (is_name(name) && device.len() <= DEVICE_BYTES).then_some(device)
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
    fn replicas_are_one_model_with_the_devices_of_all() {
        let found = found(TABLE.as_bytes()).expect("a table").models;
        let told: Vec<_> = found
            .iter()
            .map(|model| (&*model.id, model.device.as_deref(), model.nodes))
            .collect();
        let gpu = "1x NVIDIA GH200 120GB";
        let both = format!("{gpu}, Unknown");
        assert_eq!(
            told,
            [
                ("Qwen/Qwen2.5-7B-Instruct-1M", Some(gpu), 1),
                ("Qwen/Qwen3-8B", Some(&*both), 2),
            ]
        );
    }

    #[test]
    fn devices_are_told_as_far_as_a_node_says() {
        let long = "x".repeat(80);
        for (of_node, of_service, expected) in [
            (
                r#"{"gpus":[{"name":"A"},{"name":"A"},{"name":"A"},{"name":"A"}]}"#,
                "null",
                "4x A",
            ),
            (
                r#"{"gpus":[{"name":"A"},{"name":"B"},null,{"name":"A"}]}"#,
                "null",
                "2x A + others",
            ),
            (
                r#"{"gpus":null}"#,
                r#"{"gpus":[{"name":"B","total_memory":"80"}]}"#,
                "1x B",
            ),
            (r#"{"gpus":[]}"#, "null", "Unknown"),
            ("null", "3", "Unknown"),
            (r#"{"gpus":"none"}"#, "{}", "Unknown"),
            (r#"{"gpus":[{"name":"\u001b[2J"}]}"#, "null", "Unknown"),
            (
                &*format!(r#"{{"gpus":[{{"name":"{long}"}}]}}"#),
                "null",
                "Unknown",
            ),
        ] {
            let table = format!(
                r#"{{"/a":{{"hardware":{of_node},"last_seen":"17","service":[{{"name":"llm","port":8080,"hardware":{of_service},"identity_group":["model=m","model=m"]}},{{"name":"llm","identity_group":["model=m"]}}]}}}}"#
            );
            let found = found(table.as_bytes()).expect(&table).models;
            assert_eq!(found.len(), 1, "{table}");
            assert_eq!(
                (found[0].device.as_deref(), found[0].nodes),
                (Some(expected), 1),
                "{table}"
            );
        }
    }

    #[test]
    fn what_is_no_table_is_told() {
        for body in ["", "null", "[]", "ERROR: no peers", "<html>", r#"{"/a":{"#] {
            assert!(models(body.as_bytes()).is_err(), "{body}");
        }
    }
}
