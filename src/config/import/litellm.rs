//! `LiteLLM`: entries of `model_list` that share a kind, an address and a key become one provider.

mod groups;
mod prices;

use crate::config::draft::{Draft, Scalar};
use crate::config::item::Item;
use crate::config::section::{Section, join};
use crate::config::tree::Node;

use self::groups::{is_needed, read_router};
use self::prices::Prices;
use super::logical::{Aim, Logical, models};
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
        "general_settings",
        "keys for clients do not exist here, and records have a database of their own",
    ),
    (
        "environment_variables",
        "set variables where the program is started",
    ),
    (
        "rpm",
        "limits are the keys', by the second: set max_rps of api_keys",
    ),
    ("tpm", "there are no limits of tokens"),
    ("timeout", "set timeouts of the provider"),
    (
        "stream_timeout",
        "set timeouts.first_byte_s of the provider",
    ),
];

/// What is made of `model_list`.
#[derive(Default)]
struct Found {
    targets: Vec<Target>,
    groups: Vec<Logical>,
    prices: Prices,
}

/// Takes its configuration over.
pub(super) fn take(root: &Node, taking: &Taking<'_>) -> Draft {
    let mut section = Section::new(root, String::new(), taking.reading);
    let mut lines = taking.listeners(&mut section, ["host", "port"], 4000);
    lines.push(taking.database());
    let mut found = Found::default();
    let items = section.list("model_list");
    if items.as_ref().is_none_or(Vec::is_empty) {
        section.report("model_list", "missing or empty; expected a list of models");
    }
    for (path, item) in items.unwrap_or_default() {
        read_model(item, &path, taking, &mut found);
    }
    let routing = read_router(section.section("router_settings"), taking);
    taking.leave_rest(&section, LEFT);
    let Found {
        mut targets,
        mut groups,
        prices,
    } = found;
    groups.retain(|group| is_needed(group, &mut targets));
    lines.push(providers(targets));
    lines.extend(models(groups));
    lines.extend(routing);
    lines.extend(prices.into_line());
    Draft {
        head: Vec::new(),
        lines,
    }
}

fn read_model(item: Item<'_>, path: &str, taking: &Taking<'_>, found: &mut Found) {
    let Found {
        targets,
        groups,
        prices,
    } = found;
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
    let own_name;
    let owner = if is_named_after(targets, alias) {
        own_name = free_name(prefix, targets);
        &own_name
    } else {
        alias
    };
    let own = match *kind {
        "bedrock" => aws(&mut params, owner, taking),
        _ => Vec::new(),
    };
    let key_path = join(params.path(), "api_key");
    let key = match params.item("api_key") {
        // Credentials sign in its place.
        _ if own.iter().any(|(name, _)| *name == "access_key_id") => None,
        Some(item) => {
            let stand_in = variable(&[owner, "api_key"]);
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
    if let Some(model) = add_model(&mut target, alias, name) {
        prices.take(&mut entry.section("model_info"), &model, taking);
        let weight = params.amount("weight");
        let order = params.number("order", 0_u32, 0..=1_000);
        let aim = Aim {
            provider: target.name.clone(),
            model,
            weight: weight.filter(|weight| 0.0 < *weight),
            // Without a share it stands in for the others.
            tier: order.saturating_add(u32::from(weight == Some(0.0))),
            region: None,
        };
        match groups.iter_mut().find(|group| group.name == *alias) {
            Some(group) => group.aim(aim),
            None => groups.push(Logical {
                name: alias.clone(),
                aims: vec![aim],
                ..Logical::default()
            }),
        }
    }
    targets.insert(same.unwrap_or(targets.len()), target);
    taking.leave_rest(&params, LEFT);
    taking.leave_rest(&entry, LEFT);
}

/// Whether a variable for a credential is named after this model already; another credential needs another name.
fn is_named_after(targets: &[Target], alias: &str) -> bool {
    let ends = ["api_key", "aws_secret_access_key", "aws_session_token"];
    let taken = ends.map(|end| variable(&[alias, end]));
    let mut scalars = targets.iter().flat_map(|target| {
        let keys = target.keys.iter().map(|key| &key.key);
        keys.chain(target.own.iter().map(|(_, value)| value))
    });
    scalars.any(|scalar| matches!(scalar, Scalar::Secret(_, name) if taken.contains(name)))
}

/// Bedrock's region and credentials; those that are not named come from the variables that AWS's own clients read.
fn aws(params: &mut Section<'_>, owner: &str, taking: &Taking<'_>) -> Vec<(&'static str, Scalar)> {
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
            true => taking.secret(item.node, &path, &variable(&[owner, theirs])),
            false => taking.text(item.node, &path),
        };
        own.extend(value.map(|value| (ours, value)));
    }
    own
}

/// Lets a provider take a model; by which name it is asked for, unless there is only a pattern of it.
fn add_model(target: &mut Target, alias: &str, name: &str) -> Option<String> {
    if name.contains('*') || alias.contains('*') {
        push_new(&mut target.allow, name);
        return None;
    }
    if target.kind != "azure" {
        push_new(&mut target.list, name);
        return Some(name.to_owned());
    }
    let known = target.deployments.iter().find(|(known, _)| known == alias);
    let model = match known {
        // One deployment a model: another one goes by its own name.
        Some((_, deployment)) if deployment != name => name,
        Some(_) => alias,
        None => {
            let pair = (alias.to_owned(), name.to_owned());
            target.deployments.push(pair);
            alias
        }
    };
    push_new(&mut target.list, model);
    Some(model.to_owned())
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
