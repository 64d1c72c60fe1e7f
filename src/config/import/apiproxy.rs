//! `APIProxy`: its `.env`, and the rows of its providers as JSON or CSV.

use crate::config::Strategy;
use crate::config::draft::{Draft, Scalar};
use crate::config::item::Item;
use crate::config::problem::Problem;
use crate::config::section::{Section, join};
use crate::config::tree::{Node, Value};

use super::logical::{Aim, Logical, models};
use super::taking::{Taking, is_nothing, variable};
use super::target::{PoolKey, Target, free_name, providers, with_version};
use super::{Text, at, csv, dotenv, yaml};

/// Its keys that mean nothing here.
const LEFT: &[(&str, &str)] = &[
    (
        "REDIS_URL",
        "one instance needs none; for several set redis.url",
    ),
    ("DATABASE_URL", "records have a database of their own"),
    ("SECRET_KEY", "keys are not kept in a database"),
    ("MASK_AS_BROWSER", "requests go up as the client made them"),
    ("MASK_USER_AGENT", "requests go up as the client made them"),
    ("MASK_ORIGIN", "requests go up as the client made them"),
    ("MASK_REFERER", "requests go up as the client made them"),
    ("LOG_LEVEL", "set telemetry.log_level"),
    ("LOG_TIMEZONE", "times are UTC"),
];

/// Columns of its rows that mean nothing here, and are left out without a word where they are empty.
const ROW_LEFT: &[(&str, &str)] = &[
    ("max_qps", "limits are the keys': set max_rps of api_keys"),
    ("cost_input", "prices are the models': set prices"),
    ("cost_output", "prices are the models': set prices"),
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
    let ttl_s = section.item("MODELS_CACHE_TTL");
    let ttl_s = ttl_s.map(|_| section.number("MODELS_CACHE_TTL", 300, 10..=604_800));
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
    // Of several, each one is asked which models are its own.
    if 1 < targets.len() {
        for target in &mut targets {
            target.discover = target.list.is_empty();
            target.ttl_s = ttl_s;
        }
    }
    let logical = read_logical(&root, taking, &targets);
    lines.push(providers(targets));
    lines.extend(models(logical));
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
    let weight = row.item("weight").filter(|item| !is_nothing(item.node));
    let region = row.item("region").filter(|item| !is_nothing(item.node));
    targets.push(Target {
        kind: kind.to_owned(),
        name,
        weight: weight.and_then(|_| row.amount("weight")),
        region: region.and_then(|_| row.text("region")),
        retry_statuses: retry_statuses(&mut row, taking),
        id,
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

/// After which statuses another provider is tried.
fn retry_statuses(row: &mut Section<'_>, taking: &Taking<'_>) -> Vec<u16> {
    const KEY: &str = "retryable_status_codes";
    if row.item(KEY).is_none_or(|item| is_nothing(item.node)) {
        return Vec::new();
    }
    let mut statuses = Vec::new();
    for (path, item) in row.list(KEY).unwrap_or_default() {
        let status = item.integer().and_then(|number| u16::try_from(number).ok());
        match status.filter(|status| (400..=599).contains(status)) {
            Some(status) => statuses.push(status),
            None => taking.leave(
                &item.node.origin,
                &path,
                "another provider is tried after 400 to 599 alone",
            ),
        }
    }
    statuses
}

/// Keys of logical models that mean nothing here.
const LOGICAL_LEFT: &[(&str, &str)] =
    &[("max_qps", "limits are the keys': set max_rps of api_keys")];

/// Keys of logical models that say nothing about who answers.
const LOGICAL_QUIET: &[&str] = &[
    "display_name",
    "capabilities",
    "updated_at",
    "meta_hash",
    "endpoint",
    "api_style",
];

/// Logical models as that proxy lists them, beside its providers.
fn read_logical(root: &Node, taking: &Taking<'_>, targets: &[Target]) -> Vec<Logical> {
    let Value::Map(entries) = &root.value else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let lists = entries
        .iter()
        .filter(|entry| ["models", "logical_models"].contains(&entry.key.as_str()));
    for entry in lists {
        for (path, item) in taking.members(&entry.node, &entry.key) {
            found.extend(read_model(item, &path, taking, targets));
        }
    }
    found
}

fn read_model(
    item: Item<'_>,
    path: &str,
    taking: &Taking<'_>,
    targets: &[Target],
) -> Option<Logical> {
    let mut entry = Section::new(item.node, path.to_owned(), taking.reading);
    let Some(name) = entry.text("logical_id") else {
        entry.report("logical_id", "missing; expected text");
        return None;
    };
    let given = |entry: &mut Section<'_>, key| {
        let item = entry.item(key).filter(|item| !is_nothing(item.node));
        item.and_then(|_| entry.text(key))
    };
    let mut model = Logical {
        name,
        description: given(&mut entry, "description").unwrap_or_default(),
        strategy: entry
            .item("strategy")
            .filter(|item| !is_nothing(item.node))
            .map(|_| entry.word("strategy", Strategy::Balanced).word()),
        aims: Vec::new(),
    };
    let is_enabled = entry.flag("enabled", true);
    for (path, item) in entry.list("upstreams").unwrap_or_default() {
        let mut upstream = Section::new(item.node, path, taking.reading);
        let (Some(id), Some(of_theirs)) = (upstream.text("provider_id"), upstream.text("model_id"))
        else {
            upstream.report("provider_id", "missing, or model_id; expected text");
            continue;
        };
        let Some(target) = targets.iter().find(|target| target.id == id) else {
            let said = "its provider is not taken over";
            taking.leave(&item.node.origin, upstream.path(), said);
            continue;
        };
        let weight = upstream.item("base_weight");
        model.aim(Aim {
            provider: target.name.clone(),
            model: of_theirs,
            weight: weight.map(|_| upstream.weight("base_weight", 1.0)),
            region: given(&mut upstream, "region")
                .filter(|own| target.region.as_ref() != Some(own)),
            ..Aim::default()
        });
        leave_but(&upstream, taking);
    }
    leave_but(&entry, taking);
    let why = match model.shadow(targets) {
        _ if !is_enabled => "it is not enabled",
        _ if model.aims.is_empty() => "none of its providers is taken over",
        Some(_) => "its name begins with a provider's name and a slash",
        None => return Some(model),
    };
    taking.leave(&item.node.origin, path, why);
    None
}

/// Notes what nobody asked for and says something.
fn leave_but(section: &Section<'_>, taking: &Taking<'_>) {
    for entry in section.rest() {
        if !is_nothing(&entry.node) && !LOGICAL_QUIET.contains(&entry.key.as_str()) {
            taking.leave_entry(entry, section.path(), LOGICAL_LEFT);
        }
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
