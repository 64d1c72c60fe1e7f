//! `LiteLLM`: entries of `model_list` that share a kind, an address and a key become one provider.

use crate::config::draft::{Draft, Scalar};
use crate::config::item::Item;
use crate::config::section::{Section, join};
use crate::config::tree::Node;

use super::taking::{Taking, variable};
use super::target::{PoolKey, Target, free_name, providers};

/// What stands before the slash of a model: our kind, where it is unless the entry says so, and the variable of its
/// key. Without an address the entry must give one, or the kind has its own.
const PREFIXES: &[(&str, &str, &str, &str)] = &[
    ("openai", "openai", "", "OPENAI_API_KEY"),
    ("text-completion-openai", "openai", "", "OPENAI_API_KEY"),
    ("azure", "azure", "", "AZURE_API_KEY"),
    ("anthropic", "anthropic", "", "ANTHROPIC_API_KEY"),
    ("gemini", "gemini", "", "GEMINI_API_KEY"),
    ("bedrock", "bedrock", "", ""),
    ("hosted_vllm", "openai", NEEDED, "HOSTED_VLLM_API_KEY"),
    ("litellm_proxy", "openai", NEEDED, "LITELLM_PROXY_API_KEY"),
    (
        "deepseek",
        "openai",
        "https://api.deepseek.com/v1",
        "DEEPSEEK_API_KEY",
    ),
    (
        "groq",
        "openai",
        "https://api.groq.com/openai/v1",
        "GROQ_API_KEY",
    ),
    (
        "mistral",
        "openai",
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
    ),
    (
        "openrouter",
        "openai",
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
    ),
    ("xai", "openai", "https://api.x.ai/v1", "XAI_API_KEY"),
];

/// In the place of an address: the entry must give it.
const NEEDED: &str = "needed";

/// Its keys that mean nothing here.
const LEFT: &[(&str, &str)] = &[
    ("litellm_settings", "its settings are that proxy's own"),
    (
        "router_settings",
        "there is no routing over several targets",
    ),
    (
        "general_settings",
        "keys for clients do not exist here, and records have a database of their own",
    ),
    (
        "environment_variables",
        "set variables where the program is started",
    ),
    (
        "model_info",
        "prices and limits of models are not kept in a configuration",
    ),
    ("rpm", "there are no limits of requests"),
    ("tpm", "there are no limits of tokens"),
    ("timeout", "set timeouts of the provider"),
    (
        "stream_timeout",
        "set timeouts.first_byte_s of the provider",
    ),
    ("weight", "there is no routing over several targets"),
];

/// Takes its configuration over.
pub(super) fn take(root: &Node, taking: &Taking<'_>) -> Draft {
    let mut section = Section::new(root, String::new(), taking.reading);
    let mut lines = taking.listeners(&mut section, ["host", "port"], 4000);
    lines.push(taking.database());
    let mut targets = Vec::new();
    let items = section.list("model_list");
    if items.as_ref().is_none_or(Vec::is_empty) {
        section.report("model_list", "missing or empty; expected a list of models");
    }
    for (path, item) in items.unwrap_or_default() {
        read_model(item, &path, taking, &mut targets);
    }
    taking.leave_rest(&section, LEFT);
    lines.push(providers(targets));
    Draft {
        head: Vec::new(),
        lines,
    }
}

fn read_model(item: Item<'_>, path: &str, taking: &Taking<'_>, targets: &mut Vec<Target>) {
    let mut entry = Section::new(item.node, path.to_owned(), taking.reading);
    let alias = entry.text("model_name");
    let mut params = entry.section("litellm_params");
    let model = params.text("model");
    let (Some(alias), Some(model)) = (&alias, &model) else {
        for (key, value) in [("model_name", &alias), ("litellm_params.model", &model)] {
            if value.is_none() {
                entry.report(key, "missing; expected text");
            }
        }
        return;
    };
    let (prefix, name) = model.split_once('/').unwrap_or_else(|| {
        let is_claude = model.starts_with("claude");
        (
            if is_claude { "anthropic" } else { "openai" },
            model.as_str(),
        )
    });
    let Some((_, kind, home, key_variable)) = PREFIXES.iter().find(|known| known.0 == prefix)
    else {
        taking.leave(
            &item.node.origin,
            path,
            &format!("`{prefix}` has no kind of provider here"),
        );
        taking.lack(prefix);
        return;
    };
    let base_path = join(params.path(), "api_base");
    let given = params.item("api_base").or_else(|| params.item("base_url"));
    let base_url = match given {
        Some(item) => taking.url(item.node, &base_path, |url| address(kind, url)),
        None if *home == NEEDED || *kind == "azure" => {
            params.report("api_base", "missing; expected a URL");
            None
        }
        None => (!home.is_empty()).then(|| Scalar::Text((*home).to_owned())),
    };
    let own = match *kind {
        "bedrock" => aws(&mut params, alias, taking),
        _ => Vec::new(),
    };
    let key_path = join(params.path(), "api_key");
    let key = match params.item("api_key") {
        // Credentials sign in its place.
        _ if own.iter().any(|(name, _)| *name == "access_key_id") => None,
        Some(item) => {
            let stand_in = variable(&[alias, "api_key"]);
            taking.secret(item.node, &key_path, &stand_in)
        }
        None if *home == NEEDED || key_variable.is_empty() => None,
        None => Some(Scalar::Reference((*key_variable).to_owned())),
    };
    let version_path = join(params.path(), "api_version");
    let api_version = match params.item("api_version") {
        Some(item) if *kind == "azure" => taking.text(item.node, &version_path),
        Some(_) | None => None,
    };
    let name = match *kind {
        // Which call is used follows from what is asked here.
        "bedrock" => ["converse/", "invoke/"]
            .iter()
            .find_map(|call| name.strip_prefix(call))
            .unwrap_or(name),
        _ => name,
    };
    let is_same = |known: &[(&str, Scalar)]| {
        let known = known.iter().map(|(name, value)| (*name, value.same()));
        known.eq(own.iter().map(|(name, value)| (*name, value.same())))
    };
    let same = targets.iter().position(|known| {
        known.kind == *kind
            && is_same(&known.own)
            && known.base_url.as_ref().map(Scalar::same) == base_url.as_ref().map(Scalar::same)
            && known.keys.first().map(|known| known.key.same()) == key.as_ref().map(Scalar::same)
            && known.api_version.as_ref().map(Scalar::same)
                == api_version.as_ref().map(Scalar::same)
    });
    let mut target = match same {
        Some(index) => targets.remove(index),
        None => Target {
            kind: (*kind).to_owned(),
            name: free_name(prefix, targets),
            base_url,
            api_version,
            own,
            keys: key
                .map(|key| PoolKey::new(key, "key-1"))
                .into_iter()
                .collect(),
            ..Target::default()
        },
    };
    add_model(&mut target, alias, name);
    targets.insert(same.unwrap_or(targets.len()), target);
    taking.leave_rest(&params, LEFT);
    taking.leave_rest(&entry, LEFT);
}

/// Bedrock's region and credentials; those that are not named come from the variables that AWS's own clients read.
fn aws(params: &mut Section<'_>, alias: &str, taking: &Taking<'_>) -> Vec<(&'static str, Scalar)> {
    let mut own = Vec::new();
    for (theirs, ours, is_secret) in [
        ("aws_region_name", "region", false),
        ("aws_access_key_id", "access_key_id", false),
        ("aws_secret_access_key", "secret_access_key", true),
        ("aws_session_token", "session_token", true),
    ] {
        let path = join(params.path(), theirs);
        let Some(item) = params.item(theirs) else {
            continue;
        };
        let value = match is_secret {
            true => taking.secret(item.node, &path, &variable(&[alias, theirs])),
            false => taking.text(item.node, &path),
        };
        own.extend(value.map(|value| (ours, value)));
    }
    own
}

/// Lets a provider take a model, by the name that clients use where it can.
fn add_model(target: &mut Target, alias: &str, name: &str) {
    if name.contains('*') {
        push_new(&mut target.allow, name);
    } else if target.kind == "azure" {
        push_new(&mut target.list, alias);
        let pair = (alias.to_owned(), name.to_owned());
        if target.deployments.iter().any(|(known, _)| known == alias) {
            target.comments.push(format!(
                "one deployment a model: {name} for {alias} is left out"
            ));
        } else {
            target.deployments.push(pair);
        }
    } else {
        push_new(&mut target.list, name);
        if alias != name {
            let said = "models have no other names here";
            target.comments.push(format!(
                "clients that asked for {alias} ask for {name}: {said}"
            ));
        }
    }
}

fn push_new(names: &mut Vec<String>, name: &str) {
    if !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}

/// An address as our kind wants it.
fn address(kind: &str, url: &str) -> String {
    let end = match kind {
        "anthropic" => "/v1",
        "gemini" => "/v1beta",
        "azure" => "/openai",
        _ => "",
    };
    let cut = if end.is_empty() {
        None
    } else {
        url.strip_suffix(end)
    };
    cut.unwrap_or(url).to_owned()
}
