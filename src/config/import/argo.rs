//! argo-openai-proxy and argo-proxy: a YAML file, with one URL for each use before version 2 and one base URL since.
//!
//! Since version 2 the base URL has an endpoint that speaks OpenAI's API; the older URLs speak Argo's own alone.

use crate::config::draft::{Draft, Line, Scalar, Yaml};
use crate::config::secret::Secret;
use crate::config::section::Section;
use crate::config::tree::Node;

use super::taking::{Taking, seconds};
use super::target::{PoolKey, Target, providers};

/// The base URL since version 2, where the file names none.
const BASE_URL: &str = "https://apps-dev.inside.anl.gov/argoapi";

/// The URLs of the older files.
const URLS: [&str; 3] = ["argo_url", "argo_stream_url", "argo_embedding_url"];

/// Its keys that mean nothing here.
const LEFT: &[(&str, &str)] = &[
    (
        "verbose",
        "how much is said is telemetry.log_level, or --verbose",
    ),
    ("config_version", "there is one form of configuration here"),
    ("connection_test_timeout", "nothing is asked at start"),
    ("skip_url_validation", "nothing is asked at start"),
    (
        "enable_payload_control",
        "bodies pass as they are, up to server.max_body_bytes",
    ),
    (
        "max_payload_size",
        "bodies pass as they are, up to server.max_body_bytes",
    ),
    ("image_timeout", "URLs of images are not fetched"),
    ("concurrent_downloads", "URLs of images are not fetched"),
    ("native_anthropic_base_url", "one base URL serves every use"),
    (
        "use_native_openai",
        "a client's API decides how it is answered",
    ),
    (
        "use_native_anthropic",
        "a client's API decides how it is answered",
    ),
    (
        "resolve_overrides",
        "names are resolved by the system; use /etc/hosts",
    ),
    (
        "default_chat_model",
        "an unknown model is an error, never another one",
    ),
    (
        "default_embed_model",
        "an unknown model is an error, never another one",
    ),
    (
        "anthropic_stream_mode",
        "requests go to the upstream as they are",
    ),
    ("max_log_history", "what is kept is said by log.retention"),
];

/// Takes its configuration over.
pub(super) fn take(root: &Node, taking: &Taking<'_>) -> Draft {
    let mut section = Section::new(root, String::new(), taking.reading);
    let mut old = Vec::new();
    for key in URLS {
        let url = section
            .item(key)
            .map(|item| taking.url(item.node, key, str::to_owned));
        old.extend(url.flatten().map(|url| (key, url)));
    }
    if section.item("port").is_none() {
        let message = "missing; expected the port on which clients find the proxy";
        section.report("port", message);
    }
    let mut lines = taking.listeners(&mut section, ["host", "port"], 44497);
    if section.item("num_workers").is_some() {
        let workers = section.number("num_workers", 1_u32, 1..=256);
        if let Some(server) = lines.first_mut()
            && let Yaml::Section(server) = &mut server.value
        {
            server.push(Line::plain("workers", workers).saying("threads; processes there"));
        }
    }
    lines.push(taking.database());
    let base = section.item("argo_base_url").map(|item| item.node);
    let native = section.item("native_openai_base_url").map(|item| item.node);
    let openai = |url: &str| format!("{url}/v1");
    let base_url = match (native, base) {
        (Some(node), _) => taking.url(node, "native_openai_base_url", str::to_owned),
        (None, Some(node)) => taking.url(node, "argo_base_url", openai),
        (None, None) => Some(Scalar::Text(openai(BASE_URL))),
    };
    let user = user(&mut section);
    let mut target = Target {
        kind: "openai".to_owned(),
        name: "argo".to_owned(),
        base_url,
        timeout_s: seconds(&mut section, "timeout"),
        ..Target::default()
    };
    target
        .comments
        .push("Argo's endpoint for OpenAI's API; it takes the user's name for a key".to_owned());
    if let Some(user) = user.clone() {
        let key = Scalar::Secret(Secret::new(user), "ARGO_USER".to_owned());
        target.keys.push(PoolKey::new(key, "user"));
    }
    if native.is_none() && base.is_none() && !old.is_empty() {
        target.kind = "argo".to_owned();
        target.comments = vec!["these URLs speak Argo's own API alone".to_owned()];
        target.base_url = None;
        target.keys.clear();
        let settings = ["chat_url", "stream_url", "embed_url"];
        let named = URLS.iter().zip(settings);
        target.own = named
            .filter_map(|(key, setting)| {
                let (_, url) = old.iter().find(|(known, _)| known == key)?;
                Some((setting, Scalar::Text(url.same().to_owned())))
            })
            .chain(user.map(|user| {
                let user = Scalar::Secret(Secret::new(user), "ARGO_USER".to_owned());
                ("user", user)
            }))
            .collect();
    } else {
        for (key, _) in &old {
            taking.leave(&root.origin, key, "OpenAI's API has one base URL");
        }
    }
    lines.push(providers(vec![target]));
    taking.leave_rest(&section, LEFT);
    Draft {
        head: Vec::new(),
        lines,
    }
}

/// As whom it asks.
fn user(section: &mut Section<'_>) -> Option<String> {
    let user = section.text("user").map(|user| user.trim().to_owned());
    match user.as_deref() {
        None | Some("") => section.report("user", "missing; expected your user name with Argo"),
        // That proxy refuses the account that all machines share.
        Some("cels") => section.report(
            "user",
            "`cels` is nobody's; expected your user name with Argo",
        ),
        Some(user) => return Some(user.to_owned()),
    }
    None
}
