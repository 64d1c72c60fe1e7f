//! asksage-proxy: a YAML file with a pool of keys for one server.

use crate::config::ApiKeyConfig;
use crate::config::draft::{Draft, Scalar};
use crate::config::section::{Section, join};
use crate::config::tree::{Node, Value};

use super::taking::{Taking, is_nothing, seconds, variable};
use super::target::{PoolKey, Target, providers};

/// Where its keys go unless the file says otherwise.
const SERVER: &str = "https://api.asksage.anl.gov/server";

/// Its keys that mean nothing here.
const LEFT: &[(&str, &str)] = &[
    (
        "verbose",
        "how much is said is telemetry.log_level, or --verbose",
    ),
    ("asksage_user_base_url", "that proxy never called it"),
    (
        "api_key",
        "that proxy read api_keys alone, and api_keys is there",
    ),
];

/// Takes its configuration over.
pub(super) fn take(root: &Node, taking: &Taking<'_>) -> Draft {
    taking.lack("asksage");
    let mut section = Section::new(root, String::new(), taking.reading);
    let mut lines = taking.listeners(&mut section, ["host", "port"], 50733);
    lines.push(taking.database());
    let base_url = section
        .item("asksage_server_base_url")
        .map(|item| item.node);
    let base_url = match base_url {
        Some(node) => taking.url(node, "asksage_server_base_url", str::to_owned),
        None => Some(Scalar::Text(SERVER.to_owned())),
    };
    let keys = if section.item("api_keys").is_some() {
        read_pool(&mut section, taking, ["api_keys", "name"], "asksage")
    } else {
        let item = section.item("api_key");
        let key = item.and_then(|item| taking.secret(item.node, "api_key", "ASKSAGE_API_KEY"));
        key.map(|key| PoolKey::new(key, "key_1"))
            .into_iter()
            .collect()
    };
    if keys.is_empty() {
        section.report(
            "api_keys",
            "missing; expected a list of `{ key, name, weight }`",
        );
    }
    let target = Target {
        kind: "asksage".to_owned(),
        name: "asksage".to_owned(),
        base_url,
        keys,
        ca_cert: section.text("cert_path"),
        timeout_s: seconds(&mut section, "timeout_seconds"),
        ..Target::default()
    };
    lines.push(providers(vec![target]));
    taking.leave_rest(&section, LEFT);
    Draft {
        head: Vec::new(),
        lines,
    }
}

/// A pool of keys: text alone, or sections with `key`, a name and a weight.
pub(super) fn read_pool(
    section: &mut Section<'_>,
    taking: &Taking<'_>,
    [list, name_key]: [&'static str; 2],
    provider: &str,
) -> Vec<PoolKey> {
    let mut names: Vec<String> = Vec::new();
    let mut pool = Vec::new();
    let items = section.list(list).unwrap_or_default();
    let count = items.len();
    for (index, (path, item)) in items.into_iter().enumerate() {
        let default = format!("key_{}", index + 1);
        let (node, key_path, name, weight, max_rps) = if let Value::Map(_) = item.node.value {
            let mut entry = Section::new(item.node, path.clone(), taking.reading);
            let name = entry.text(name_key).filter(|name| !name.is_empty());
            let weight = entry.item("weight").is_some();
            let weight = weight.then(|| entry.weight("weight", ApiKeyConfig::WEIGHT));
            let max_qps = entry.item("max_qps").filter(|item| !is_nothing(item.node));
            let max_rps = max_qps.map(|_| entry.number("max_qps", 0, 0..=1_000_000));
            let key = entry.item("key").map(|item| item.node);
            if key.is_none() {
                entry.report("key", "missing");
            }
            taking.leave_rest(&entry, POOL_LEFT);
            let key_path = join(&path, "key");
            (key, key_path, name.unwrap_or(default), weight, max_rps)
        } else {
            (Some(item.node), path.clone(), default, None, None)
        };
        if names.contains(&name) {
            item.report(&path, "has the name of another key; give each its own");
        }
        let mut of_variable = vec![provider, "api_key"];
        if 1 < count {
            of_variable.push(&name);
        }
        let key = node.and_then(|node| taking.secret(node, &key_path, &variable(&of_variable)));
        if let Some(key) = key {
            pool.push(PoolKey {
                weight,
                max_rps,
                ..PoolKey::new(key, name.as_str())
            });
        }
        names.push(name);
    }
    pool
}

/// Keys of a pool's entries that mean nothing here.
const POOL_LEFT: &[(&str, &str)] = &[
    ("status", "health is not kept in a configuration"),
    ("id", "a number of its own database"),
    ("encrypted_key", "it is encrypted; give the key itself"),
];
