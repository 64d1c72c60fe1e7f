//! Whose configuration a file is, by what stands in it.

use crate::config::problem::Problem;
use crate::config::tree::{Node, Value};

use super::{System, Text, csv, dotenv, python, whole, yaml};

/// Keys that one system alone has, in the order in which they are looked for.
const SIGNS: &[(System, &[&str])] = &[
    (System::Litellm, &["model_list", "litellm_settings"]),
    (
        System::Argo,
        &[
            "argo_base_url",
            "argo_url",
            "argo_embedding_url",
            "num_workers",
            "user",
        ],
    ),
    (
        System::Asksage,
        &[
            "asksage_server_base_url",
            "api_keys",
            "cert_path",
            "api_key",
        ],
    ),
    (
        System::Apiproxy,
        &[
            "SECRET_KEY",
            "REDIS_URL",
            "MODELS_CACHE_TTL",
            "MASK_AS_BROWSER",
            "providers",
        ],
    ),
    (
        System::AiProxy,
        &["ENDPOINTS", "TARGET_OPENAI_URL", "endpoints", "API_KEY"],
    ),
];

/// Finds out whose it is.
///
/// # Errors
/// Nobody's that we know.
pub(super) fn system(text: Text<'_>) -> Result<System, Problem> {
    // A file may be read as several forms; each is asked.
    let forms = [yaml(text), dotenv::parse(text), python::parse(text)];
    for node in forms.iter().flatten() {
        if let Some(system) = of_node(node) {
            return Ok(system);
        }
    }
    if csv::has_column(text, "base_url") {
        return Ok(System::Apiproxy);
    }
    let words: Vec<&str> = System::words().collect();
    Err(whole(
        text,
        format!(
            "is no configuration that is known here; say whose it is: --from {}",
            words.join("|")
        ),
    ))
}

fn of_node(node: &Node) -> Option<System> {
    match &node.value {
        Value::Map(entries) => {
            let has = |key: &&str| entries.iter().any(|entry| entry.key == *key);
            let found = SIGNS.iter().find(|(_, keys)| keys.iter().any(has));
            let by_url = || {
                let lists = entries.iter().any(|entry| is_list_of(&entry.node, "url"));
                lists.then_some(System::AiProxy)
            };
            found.map(|(system, _)| *system).or_else(by_url)
        }
        Value::List(_) => is_list_of(node, "base_url").then_some(System::Apiproxy),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => None,
        Value::Text { .. } | Value::Open { .. } => None,
    }
}

/// Whether this is a list of sections of which the first has this key.
pub(super) fn is_list_of(node: &Node, key: &str) -> bool {
    let Value::List(items) = &node.value else {
        return false;
    };
    items.first().is_some_and(|item| match &item.value {
        Value::Map(entries) => entries.iter().any(|entry| entry.key == key),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => false,
        Value::Text { .. } | Value::Open { .. } | Value::List(_) => false,
    })
}
