//! `api_keys` of a provider: names, shares and limits of our keys with it.

use serde::Serialize;

use super::super::secret::{Secret, serialize_masked};
use super::super::section::Section;

/// One of our keys with a provider.
#[derive(Debug, Clone, Serialize)]
pub struct ApiKeyConfig {
    /// The key.
    #[serde(serialize_with = "serialize_masked")]
    pub key: Secret,
    /// Its name in the column `provider_key`; unique within its provider.
    pub name: String,
    /// Its share among the keys of its provider, finite and above 0.
    pub weight: f64,
    /// Most requests in a second; 0: no limit of ours.
    pub max_rps: u32,
}

impl ApiKeyConfig {
    /// The weight of a key that names none.
    pub const WEIGHT: f64 = 1.0;
}

/// Reads `api_keys`.
pub(super) fn read_keys(section: &mut Section<'_>) -> Vec<ApiKeyConfig> {
    let mut keys: Vec<ApiKeyConfig> = Vec::new();
    let reading = section.reading();
    for (index, (path, item)) in section
        .list("api_keys")
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        let mut entry = Section::new(item.node, path, reading);
        if entry.item("key").is_none() {
            entry.report(
                "key",
                "missing; to pass the client's own key on, leave api_keys out",
            );
        }
        let key = entry.secret("key");
        let name = entry
            .text("name")
            .unwrap_or_else(|| format!("key-{}", index + 1));
        if keys.iter().any(|known| known.name == name) {
            entry.report(
                "name",
                "is the name of another key of this provider; give each its own",
            );
        }
        let weight = entry.weight("weight", ApiKeyConfig::WEIGHT);
        let max_rps = entry.number("max_rps", 0, 0..=1_000_000);
        entry.finish();
        if let Some(key) = key {
            keys.push(ApiKeyConfig {
                key,
                name,
                weight,
                max_rps,
            });
        }
    }
    keys
}
