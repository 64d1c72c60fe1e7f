//! `models`: names of one's own that stand for models of one or more providers.

use serde::{Serialize, Serializer};

use super::Glob;
use super::item::Item;
use super::providers::{ProviderConfig, is_header_name};
use super::routing::RoutingConfig;
use super::section::{Section, join};
use super::strategy::Strategy;
use crate::filter::Headers;

/// A name that clients ask for, and who answers it.
#[derive(Debug, Clone, Serialize)]
pub struct LogicalModelConfig {
    /// What clients ask for; slashes are allowed.
    #[serde(skip)]
    pub name: String,
    /// How one of the targets is chosen; `routing.strategy` unless given.
    pub strategy: Strategy,
    /// What it is for, in words.
    pub description: String,
    /// Whether the requests of a session stay with one target.
    pub sticky: bool,
    /// Whether requests that begin alike go to the same target; `routing.prefix_affinity` unless given.
    pub prefix_affinity: bool,
    /// Who answers; never empty.
    pub targets: Vec<TargetConfig>,
}

/// A provider's model that answers for a logical one.
#[derive(Debug, Clone, Serialize)]
pub struct TargetConfig {
    /// The provider's name.
    pub provider: String,
    /// The model, as the provider calls it.
    pub model: String,
    /// Its share among the targets, finite and above 0.
    pub weight: f64,
    /// Lower ones go first; the others stand in for them. Of a model that goes by priority, and where no target says its
    /// tier, the place in the list.
    pub tier: u32,
    /// Whether the configuration says its tier.
    #[serde(skip)]
    has_tier: bool,
    /// Where it is; the provider's region unless given.
    pub region: String,
    /// Which requests it may have.
    pub when: TargetWhen,
    /// Its path in the configuration, such as `models.fast.targets[0]`, for messages about it.
    #[serde(skip)]
    pub place: String,
}

/// Which requests a target may have: those that fit everything that is said.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TargetWhen {
    /// Headers that must be there, by their lower-case names, and patterns of their values.
    #[serde(serialize_with = "as_map")]
    pub headers: Vec<(String, Glob)>,
    /// Tags that filters must have set, and patterns of their values.
    #[serde(serialize_with = "as_map")]
    pub tags: Vec<(String, Glob)>,
    /// Names of keys, of which the caller's must be one; empty: any.
    pub keys: Vec<String>,
    /// Least length of the prompt, in bytes.
    pub min_prompt_bytes: u64,
    /// Greatest length of the prompt, in bytes; `None`: any.
    pub max_prompt_bytes: Option<u64>,
}

impl TargetWhen {
    /// Whether a request fits: the values of its headers and tags, and the length of its prompt in bytes. Callers have no
    /// keys of ours yet, so a target that wants one has no request.
    pub fn fits(&self, headers: &Headers, tags: &[(String, String)], prompt_bytes: u64) -> bool {
        let has_header = |(name, pattern): &(String, Glob)| {
            headers
                .get(name)
                .is_some_and(|value| pattern.matches(value))
        };
        let has_tag = |(name, pattern): &(String, Glob)| {
            let mut tags = tags.iter();
            tags.any(|(known, value)| known == name && pattern.matches(value))
        };
        self.headers.iter().all(has_header)
            && self.tags.iter().all(has_tag)
            && self.keys.is_empty()
            && self.min_prompt_bytes <= prompt_bytes
            && self
                .max_prompt_bytes
                .is_none_or(|most| prompt_bytes <= most)
    }

    /// Whether every request fits.
    pub fn is_always(&self) -> bool {
        *self == Self::default()
    }
}

/// Headers that hold a client's credential: no pattern is compared with them, for it would be shown.
const CREDENTIAL_HEADERS: &[&str] = &[
    "api-key",
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
    "x-goog-api-key",
];

/// Reads `models`.
pub(super) fn read_models(
    root: &mut Section<'_>,
    routing: &RoutingConfig,
    providers: &[ProviderConfig],
) -> Vec<LogicalModelConfig> {
    let reading = root.reading();
    let named = root.named("models").into_iter();
    named
        .map(|(entry, path)| {
            let mut section = Section::new(&entry.node, path, reading);
            let strategy = section.word("strategy", routing.strategy);
            let mut targets = read_targets(&mut section, providers);
            if strategy == Strategy::Priority && !targets.iter().any(|target| target.has_tier) {
                for (target, place) in targets.iter_mut().zip(0..) {
                    target.tier = place;
                }
            }
            let model = LogicalModelConfig {
                name: entry.key.clone(),
                strategy,
                description: section.text("description").unwrap_or_default(),
                sticky: section.flag("sticky", true),
                prefix_affinity: section.flag("prefix_affinity", routing.prefix_affinity),
                targets,
            };
            section.finish();
            model
        })
        .collect()
}

fn read_targets(section: &mut Section<'_>, providers: &[ProviderConfig]) -> Vec<TargetConfig> {
    let reading = section.reading();
    let items = section.list("targets");
    if section.item("targets").is_none() || items.as_ref().is_some_and(Vec::is_empty) {
        section.report(
            "targets",
            "missing or empty; expected a list of `{ provider, model }`",
        );
    }
    let sections = items.unwrap_or_default().into_iter();
    sections
        .filter_map(|(path, item)| read_target(Section::new(item.node, path, reading), providers))
        .collect()
}

/// `None` where it names no provider or no model, which is reported.
fn read_target(mut section: Section<'_>, providers: &[ProviderConfig]) -> Option<TargetConfig> {
    let provider = needed(
        &mut section,
        "provider",
        "missing; expected a provider's name",
    );
    let model = needed(
        &mut section,
        "model",
        "missing; expected a model as the provider calls it",
    );
    let weight = section.weight("weight", 1.0);
    let has_tier = section.item("tier").is_some();
    let tier = section.number("tier", 0, 0..=1_000);
    let region = section.text("region");
    let when = read_when(section.section("when"));
    let place = section.path().to_owned();
    section.finish();
    let provider = provider?;
    let of_provider = || {
        let found = providers.iter().find(|known| known.name == provider);
        found.map(|known| known.region.clone()).unwrap_or_default()
    };
    Some(TargetConfig {
        model: model?,
        weight,
        tier,
        has_tier,
        region: region.unwrap_or_else(of_provider),
        when,
        place,
        provider,
    })
}

fn needed(section: &mut Section<'_>, key: &'static str, missing: &str) -> Option<String> {
    match section.text(key) {
        Some(text) if !text.trim().is_empty() => Some(text),
        Some(_) => {
            section.report(key, "is empty");
            None
        }
        None if section.item(key).is_none() => {
            section.report(key, missing);
            None
        }
        None => None,
    }
}

fn read_when(mut section: Section<'_>) -> TargetWhen {
    let when = TargetWhen {
        headers: read_headers(&mut section),
        tags: read_patterns(&mut section, "tags"),
        keys: section.texts("keys").unwrap_or_default(),
        min_prompt_bytes: section.number("min_prompt_bytes", 0, 0..=4_294_967_296),
        max_prompt_bytes: section
            .item("max_prompt_bytes")
            .map(|_| section.number("max_prompt_bytes", u64::MAX, 0..=4_294_967_296)),
    };
    if when
        .max_prompt_bytes
        .is_some_and(|most| most < when.min_prompt_bytes)
    {
        section.report("max_prompt_bytes", "is less than min_prompt_bytes");
    }
    section.finish();
    when
}

fn read_headers(section: &mut Section<'_>) -> Vec<(String, Glob)> {
    let reading = section.reading();
    for (entry, path) in section.named("headers") {
        let name = entry.key.to_ascii_lowercase();
        if !is_header_name(&name) {
            reading.report(&entry.key_origin, &path, "not the name of a header");
        } else if CREDENTIAL_HEADERS.contains(&name.as_str()) {
            let message = "holds a credential, which no pattern is compared with; use keys";
            reading.report(&entry.key_origin, &path, message);
        }
    }
    let patterns = read_patterns(section, "headers").into_iter();
    patterns
        .map(|(name, pattern)| (name.to_ascii_lowercase(), pattern))
        .collect()
}

fn read_patterns(section: &mut Section<'_>, key: &'static str) -> Vec<(String, Glob)> {
    let reading = section.reading();
    let named = section.named(key).into_iter();
    named
        .filter_map(|(entry, path)| {
            let item = Item {
                node: &entry.node,
                reading,
            };
            Some((entry.key.clone(), Glob::new(item.text(&path)?)))
        })
        .collect()
}

/// The path of a logical model.
pub(super) fn place(name: &str) -> String {
    join("models", name)
}

fn as_map<S: Serializer>(patterns: &[(String, Glob)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(patterns.iter().map(|(name, pattern)| (name, pattern)))
}

/// For `#[serde(serialize_with)]`: a section with the names as its keys.
pub(super) fn as_named<S: Serializer>(
    models: &[LogicalModelConfig],
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map(models.iter().map(|model| (&model.name, model)))
}
