//! `APIProxy`: its `.env`, and the rows of its providers as JSON or CSV.

use crate::config::draft::{Draft, Scalar};
use crate::config::item::Item;
use crate::config::problem::Problem;
use crate::config::section::{Section, join};
use crate::config::tree::{Node, Value};

use super::taking::{Taking, is_nothing, variable};
use super::target::{PoolKey, Target, free_name, providers, with_version};
use super::{Text, at, csv, dotenv, yaml};

/// Its keys that mean nothing here.
const LEFT: &[(&str, &str)] = &[
    ("REDIS_URL", "nothing is kept in Redis"),
    ("DATABASE_URL", "records have a database of their own"),
    ("SECRET_KEY", "keys are not kept in a database"),
    ("MODELS_CACHE_TTL", "lists of models are not asked for"),
    ("MASK_AS_BROWSER", "requests go up as the client made them"),
    ("MASK_USER_AGENT", "requests go up as the client made them"),
    ("MASK_ORIGIN", "requests go up as the client made them"),
    ("MASK_REFERER", "requests go up as the client made them"),
    ("LOG_LEVEL", "set telemetry.log_level"),
    ("LOG_TIMEZONE", "times are UTC"),
];

/// Columns of its rows that mean nothing here, and are left out without a word where they are empty.
const ROW_LEFT: &[(&str, &str)] = &[
    ("weight", "there is no routing over several targets"),
    ("max_qps", "there are no limits of requests"),
    (
        "retryable_status_codes",
        "a failed request is not sent to another provider",
    ),
    ("cost_input", "prices are not kept in a configuration"),
    ("cost_output", "prices are not kept in a configuration"),
    ("region", "there is no routing by region"),
    ("encrypted_key", "it is encrypted; give the key itself"),
];

/// Columns that say nothing about how a provider is reached.
const QUIET: [&str; 11] = [
    "id",
    "name",
    "provider_type",
    "models_path",
    "status",
    "last_check",
    "metadata",
    "created_at",
    "updated_at",
    "messages_path",
    "transport",
];

/// Takes its configuration over.
pub(super) fn take(
    main: Text<'_>,
    rows: Option<Text<'_>>,
    taking: &Taking<'_>,
) -> Result<Draft, Problem> {
    let is_rows =
        main.text.trim_start().starts_with(['[', '{']) || csv::has_column(main, "base_url");
    let (variables, rows) = match (is_rows, rows) {
        (true, None) => (Node::empty(at(main, 0, 0)), Some(main)),
        (true | false, rows) => (dotenv::parse(main)?, rows),
    };
    let mut section = Section::new(&variables, String::new(), taking.reading);
    let mut lines = taking.listeners(&mut section, ["HOST", "PORT"], 8000);
    lines.push(taking.database());
    taking.leave_rest(&section, LEFT);
    let Some(rows) = rows else {
        let message = "holds no providers; name their rows too: --providers FILE".to_owned();
        return Err(super::whole(main, message));
    };
    let root = if rows.text.trim_start().starts_with(['[', '{']) {
        yaml(rows)?
    } else {
        csv::parse(rows)?
    };
    let list = match &root.value {
        Value::Map(entries) => entries
            .iter()
            .find(|entry| entry.key == "providers")
            .map(|entry| &entry.node),
        _ => Some(&root),
    };
    let mut targets = Vec::new();
    match list {
        Some(list) => {
            for (path, item) in taking.members(list, "providers") {
                read_row(item, &path, taking, &mut targets);
            }
        }
        None => {
            return Err(super::whole(
                rows,
                "expected a list of providers".to_owned(),
            ));
        }
    }
    if targets.is_empty() && taking.reading.is_clean() {
        return Err(super::whole(rows, "holds no providers".to_owned()));
    }
    lines.push(providers(targets));
    Ok(Draft {
        head: Vec::new(),
        lines,
    })
}

fn read_row(item: Item<'_>, path: &str, taking: &Taking<'_>, targets: &mut Vec<Target>) {
    let mut row = Section::new(item.node, path.to_owned(), taking.reading);
    let id = row.text("provider_id");
    let Some(id) = id.or_else(|| row.text("name")) else {
        row.report("provider_id", "missing; expected text");
        return;
    };
    let is_sdk = row
        .text("transport")
        .is_some_and(|transport| transport == "sdk");
    let vendor = row.text("sdk_vendor").unwrap_or_default();
    if is_sdk && vendor == "vertexai" {
        let said = "Vertex AI has no kind of provider here";
        taking.leave(&item.node.origin, path, said);
        taking.lack("vertexai");
        return;
    }
    let is_google = is_sdk && vendor == "google";
    let url = row.item("base_url").filter(|url| !is_nothing(url.node));
    if url.is_none() && !is_google {
        row.report("base_url", "missing; expected a URL");
        return;
    }
    let is_anthropics = |url: &Item<'_>| matches!(&url.node.value, Value::Text { text, .. } | Value::Open { text, .. } if text.contains("//api.anthropic.com"));
    let kind = match vendor.as_str() {
        "google" if is_sdk => "gemini",
        "claude" | "anthropic" => "anthropic",
        _ if url.as_ref().is_some_and(is_anthropics) => "anthropic",
        _ => "openai",
    };
    let base_url = url.and_then(|url| {
        taking.url(url.node, &join(path, "base_url"), |url| match kind {
            "gemini" => url.strip_suffix("/v1beta").unwrap_or(url).to_owned(),
            "anthropic" => url.strip_suffix("/v1").unwrap_or(url).to_owned(),
            _ => with_version(url),
        })
    });
    let name = free_name(&id, targets);
    let mut keys = Vec::new();
    for list in ["api_keys", "keys"] {
        let pool = super::asksage::read_pool(&mut row, taking, [list, "label"], &name);
        keys.extend(pool);
    }
    if let Some(key) = row.item("api_key").filter(|key| !is_nothing(key.node)) {
        let stand_in = variable(&[&name, "api_key"]);
        let key = taking.secret(key.node, &join(path, "api_key"), &stand_in);
        keys.extend(key.map(|key| PoolKey::new(key, "key-1")));
    }
    let mut comments = Vec::new();
    if keys.is_empty() {
        comments.push("its rows hold no key in clear: it is a variable".to_owned());
        let key = Scalar::Reference(variable(&[&name, "api_key"]));
        keys.push(PoolKey::new(key, "key-1"));
    }
    let headers = row.named("custom_headers");
    let headers = headers.into_iter().filter_map(|(entry, path)| {
        let is_credential = crate::config::is_credential_name(&entry.key);
        let stand_in = variable(&[&name, &entry.key]);
        let value = if is_credential {
            taking.secret(&entry.node, &path, &stand_in)
        } else {
            taking.text(&entry.node, &path)
        };
        value.map(|value| (entry.key.clone(), value))
    });
    let headers = headers.collect();
    let list = static_models(&mut row, taking);
    targets.push(Target {
        kind: kind.to_owned(),
        name,
        base_url,
        keys,
        list,
        headers,
        comments,
        ..Target::default()
    });
    for entry in row.rest() {
        if is_nothing(&entry.node) || QUIET.contains(&entry.key.as_str()) {
            continue;
        }
        taking.leave_entry(entry, path, ROW_LEFT);
    }
}

/// The models that a row lists: names, or sections with their `id`.
fn static_models(row: &mut Section<'_>, taking: &Taking<'_>) -> Vec<String> {
    let items = row.list("static_models").unwrap_or_default();
    let names = items.into_iter().filter_map(|(path, item)| {
        if let Value::Map(_) = item.node.value {
            let mut entry = Section::new(item.node, path, taking.reading);
            let name = entry.text("id").or_else(|| entry.text("model_id"));
            if name.is_none() {
                entry.report("id", "missing; expected text");
            }
            return name;
        }
        item.text(&path)
    });
    names.collect()
}
