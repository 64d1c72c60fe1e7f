//! The OCF AI Proxy: the list of endpoints in `config.py`, or its variables.

use crate::config::draft::Draft;
use crate::config::item::Item;
use crate::config::problem::Problem;
use crate::config::section::Section;
use crate::config::tree::{Node, Value, parse as parse_yaml};

use super::detect::is_list_of;
use super::taking::{Taking, seconds, variable};
use super::target::{PoolKey, Target, free_name, providers, with_version};
use super::{Text, dotenv, python};

/// Its keys that mean nothing here.
const LEFT: &[(&str, &str)] = &[
    ("name", "providers are named after their hosts"),
    ("DATABASE_URL", "records have a database of their own"),
    ("LOGFIRE_TOKEN", "set telemetry"),
];

/// Takes its configuration over.
pub(super) fn take(main: Text<'_>, taking: &Taking<'_>) -> Result<Draft, Problem> {
    let root = read(main)?;
    let mut section = Section::new(&root, String::new(), taking.reading);
    let mut lines = taking.listeners(&mut section, ["HOST", "PORT"], 8000);
    lines.push(taking.database());
    let mut targets = Vec::new();
    let timeout_s = seconds(&mut section, "TIMEOUT");
    let shared = section.item("API_KEY").map(|item| item.node);
    let parsed = match section.item("ENDPOINTS") {
        Some(item) => from_variable(item, main)?,
        None => None,
    };
    if let Some(node) = &parsed {
        read_urls(node, shared, taking, &mut targets);
    } else if let Some(item) = section.item("TARGET_OPENAI_URL") {
        read_urls(item.node, shared, taking, &mut targets);
    }
    // The list has no fixed name: it is the one whose members have a URL.
    let known = ["ENDPOINTS", "endpoints"];
    let lists = match &root.value {
        Value::Map(entries) => entries
            .iter()
            .filter(|entry| is_list_of(&entry.node, "url"))
            .collect(),
        _ => Vec::new(),
    };
    for entry in &lists {
        let list = taking.members(&entry.node, &entry.key);
        list.into_iter()
            .for_each(|(path, item)| read_endpoint(item, path, taking, &mut targets));
    }
    if targets.is_empty() && taking.reading.is_clean() {
        section.report(
            "ENDPOINTS",
            "missing; expected a list of endpoints with their `url`",
        );
    }
    for target in &mut targets {
        target.timeout_s = timeout_s;
    }
    if 1 < targets.len() {
        for target in &mut targets {
            target.discover = true;
        }
    }
    for entry in section.rest() {
        let is_list = known.contains(&entry.key.as_str()) || is_list_of(&entry.node, "url");
        if !is_list {
            taking.leave_entry(entry, "", LEFT);
        }
    }
    lines.push(providers(targets));
    Ok(Draft {
        head: Vec::new(),
        lines,
    })
}

/// The file as Python if that gives names to a list of endpoints, else as variables.
fn read(main: Text<'_>) -> Result<Node, Problem> {
    let python = python::parse(main);
    if let Ok(root) = &python
        && let Value::Map(entries) = &root.value
        && entries.iter().any(|entry| is_list_of(&entry.node, "url"))
    {
        return python;
    }
    match (dotenv::parse(main), python) {
        (Ok(root), _) => Ok(root),
        (Err(problem), Ok(root)) if root.value == Value::Map(Vec::new()) => Err(problem),
        (Err(_), python) => python,
    }
}

/// `ENDPOINTS` of the environment: a JSON object of URLs and keys, or URLs between commas. A list of Python's is none.
fn from_variable(item: Item<'_>, main: Text<'_>) -> Result<Option<Node>, Problem> {
    let Value::Open { text, .. } = &item.node.value else {
        return Ok(None);
    };
    if !text.trim_start().starts_with('{') {
        return Ok(Some(item.node.clone()));
    }
    match parse_yaml(&main.file.into(), text) {
        Ok(node) => Ok(Some(Node {
            value: node.value,
            origin: item.node.origin.clone(),
        })),
        Err(_) => Err(Problem {
            origin: item.node.origin.clone(),
            path: "ENDPOINTS".to_owned(),
            message: "begins as JSON and is none".to_owned(),
        }),
    }
}

/// URLs between commas with one key for all, or an object of URLs and keys.
fn read_urls(node: &Node, shared: Option<&Node>, taking: &Taking<'_>, targets: &mut Vec<Target>) {
    let mut pairs = Vec::new();
    if let Value::Map(entries) = &node.value {
        let own = entries
            .iter()
            .map(|entry| (entry.key.clone(), Some(&entry.node)));
        pairs.extend(own);
    } else if let Value::Text { text, .. } | Value::Open { text, .. } = &node.value {
        let urls = text.split(',').map(str::trim).filter(|url| !url.is_empty());
        pairs.extend(urls.map(|url| (url.to_owned(), shared)));
    }
    for (url, key) in pairs {
        let url = Node {
            value: Value::Text {
                text: url,
                quoted: true,
            },
            origin: node.origin.clone(),
        };
        let given = key.filter(|key| !super::taking::is_nothing(key));
        let endpoint = Endpoint {
            url: &url,
            path: "ENDPOINTS",
            kind: "openai",
            prefix: None,
            key: given.or(shared),
        };
        push(&endpoint, taking, targets);
    }
}

fn read_endpoint(item: Item<'_>, path: String, taking: &Taking<'_>, targets: &mut Vec<Target>) {
    let mut entry = Section::new(item.node, path.clone(), taking.reading);
    let kind = entry.text("type").unwrap_or_else(|| "openai".to_owned());
    if !["ocf", "openai"].contains(&kind.as_str()) {
        entry.report("type", "allowed: ocf, openai");
        return;
    }
    let key = entry.item("api_key").map(|item| item.node);
    let key = key.filter(|key| !super::taking::is_nothing(key));
    let prefix = entry.text("prefix").filter(|prefix| !prefix.is_empty());
    match entry.item("url") {
        Some(url) => push(
            &Endpoint {
                url: url.node,
                path: &path,
                kind: &kind,
                prefix: prefix.as_deref(),
                key,
            },
            taking,
            targets,
        ),
        None => entry.report("url", "missing; expected a URL"),
    }
    taking.leave_rest(&entry, LEFT);
}

/// One entry of a list of endpoints.
struct Endpoint<'a> {
    url: &'a Node,
    path: &'a str,
    kind: &'a str,
    /// What clients write before the names of its models.
    prefix: Option<&'a str>,
    key: Option<&'a Node>,
}

/// A prefix becomes the provider's name, so that clients write what they wrote.
fn push(endpoint: &Endpoint<'_>, taking: &Taking<'_>, targets: &mut Vec<Target>) {
    let Endpoint {
        url,
        path,
        kind,
        prefix,
        key,
    } = *endpoint;
    taking.lack(kind);
    let base_url = taking.url(url, path, |url| match (kind, prefix) {
        // Those with a prefix name their version.
        ("ocf", _) | (_, Some(_)) => url.to_owned(),
        (_, None) => with_version(url),
    });
    let name = free_name(prefix.unwrap_or(kind), targets);
    let mut comments = Vec::new();
    if let Some(prefix) = prefix.filter(|prefix| *prefix != name) {
        comments.push(format!(
            "clients that asked for {prefix}/MODEL ask for {name}/MODEL"
        ));
    }
    let stand_in = variable(&[&name, "api_key"]);
    let key = key.and_then(|key| taking.secret(key, path, &stand_in));
    targets.push(Target {
        kind: kind.to_owned(),
        base_url,
        discover: prefix.is_some(),
        prefix: prefix.filter(|prefix| *prefix == name).map(str::to_owned),
        comments,
        keys: key
            .map(|key| PoolKey::new(key, "key-1"))
            .into_iter()
            .collect(),
        name,
        ..Target::default()
    });
}
