//! `filters`: which filters run, in which order, and when. The options of a kind are kept as they stand: the
//! filter's own file reads them.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use aiproxy_filters::Endpoint;

use super::item::Word;
use super::secret::mask_json;
use super::section::Section;

/// An entry of `filters`. `Debug` and `Serialize` mask the credentials among its options.
#[derive(Clone, Serialize)]
pub struct FilterConfig {
    /// Which filter.
    pub kind: String,
    /// Its name in rows and metrics; its kind unless given.
    pub name: String,
    /// What becomes of the exchange when the filter fails; the kind's own choice when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_error: Option<OnError>,
    /// Longest time of one call, in milliseconds.
    pub timeout_ms: u64,
    /// Which exchanges it sees.
    pub when: WhenConfig,
    /// Most bytes of a stream that it may hold back.
    pub hold_bytes: usize,
    /// Longest time that it may hold a piece of a stream back, in milliseconds.
    pub hold_ms: u64,
    /// The options of its kind, as they stand: an object.
    #[serde(flatten, serialize_with = "masked_options")]
    pub options: Value,
    /// Its path in the configuration, such as `filters[0]`, for messages about it.
    #[serde(skip)]
    pub place: String,
}

/// What becomes of an exchange when a filter fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// It is refused.
    Refuse,
    /// It goes on as if the filter were not there.
    Skip,
}

/// Which exchanges a filter sees: those that fit every list that is not empty.
#[derive(Debug, Clone, Default, Serialize)]
pub struct WhenConfig {
    /// Words of the column `endpoint`.
    pub endpoints: Vec<String>,
    /// Patterns of model names.
    pub models: Vec<String>,
    /// Names of keys.
    pub keys: Vec<String>,
}

impl Word for OnError {
    const WORDS: &'static [(&'static str, Self)] =
        &[("refuse", Self::Refuse), ("skip", Self::Skip)];
}

/// The kinds of filters that a program knows: its registry, as the check of a configuration sees it.
pub trait FilterKinds {
    /// Every known kind.
    fn kinds(&self) -> Vec<String>;

    /// What is wrong with the options of a known kind; nothing when all is well.
    fn check_options(&self, kind: &str, options: &Value) -> Vec<OptionProblem>;
}

/// A program without filters: no kind is known.
impl FilterKinds for () {
    fn kinds(&self) -> Vec<String> {
        Vec::new()
    }

    fn check_options(&self, _kind: &str, _options: &Value) -> Vec<OptionProblem> {
        Vec::new()
    }
}

/// A wrong option of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionProblem {
    /// Path within the entry, such as `patterns[0]`; empty when it is about the entry as a whole.
    pub path: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

const ENDPOINTS: &[Endpoint] = &[
    Endpoint::ChatCompletions,
    Endpoint::Completions,
    Endpoint::Embeddings,
    Endpoint::Responses,
    Endpoint::Messages,
    Endpoint::MessagesCountTokens,
    Endpoint::GenerateContent,
    Endpoint::CountTokens,
    Endpoint::EmbedContent,
    Endpoint::BedrockInvoke,
    Endpoint::BedrockConverse,
    Endpoint::ArgoChat,
    Endpoint::Models,
    Endpoint::Passthrough,
];

/// Reads one entry of `filters`; `None` when it has no kind.
pub(super) fn read_filter(mut section: Section<'_>) -> Option<FilterConfig> {
    let kind = section.text("kind");
    if kind.is_none() {
        section.report("kind", "expected the kind of a filter");
    }
    let name = section
        .text("name")
        .or_else(|| kind.clone())
        .unwrap_or_default();
    if kind.is_some() && name.trim().is_empty() {
        section.report("name", "expected a name");
    }
    let on_error = section
        .item("on_error")
        .is_some()
        .then(|| section.word("on_error", OnError::Refuse));
    let timeout_ms = section.number("timeout_ms", 1_000, 1..=600_000);
    let when = read_when(section.section("when"));
    let hold_bytes = section.number("hold_bytes", 65_536, 1..=67_108_864);
    let hold_ms = section.number("hold_ms", 5_000, 1..=600_000);
    let options: Map<String, Value> = section
        .rest()
        .map(|entry| (entry.key.clone(), entry.node.to_json()))
        .collect();
    let place = section.path().to_owned();
    Some(FilterConfig {
        place,
        kind: kind?,
        name,
        on_error,
        timeout_ms,
        when,
        hold_bytes,
        hold_ms,
        options: options.into(),
    })
}

fn read_when(mut section: Section<'_>) -> WhenConfig {
    let mut endpoints = Vec::new();
    for (path, item) in section.list("endpoints").unwrap_or_default() {
        let Some(text) = item.text(&path) else {
            continue;
        };
        if ENDPOINTS.iter().any(|endpoint| endpoint.as_str() == text) {
            endpoints.push(text);
        } else {
            let words: Vec<&str> = ENDPOINTS.iter().map(|endpoint| endpoint.as_str()).collect();
            item.report(&path, format!("expected one of {}", words.join(", ")));
        }
    }
    let when = WhenConfig {
        endpoints,
        models: section.texts("models").unwrap_or_default(),
        keys: section.texts("keys").unwrap_or_default(),
    };
    section.finish();
    when
}

impl fmt::Debug for FilterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterConfig")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("on_error", &self.on_error)
            .field("timeout_ms", &self.timeout_ms)
            .field("when", &self.when)
            .field("hold_bytes", &self.hold_bytes)
            .field("hold_ms", &self.hold_ms)
            .field("options", &mask_json(&self.options))
            .finish()
    }
}

fn masked_options<S: Serializer>(options: &Value, to: S) -> Result<S::Ok, S::Error> {
    mask_json(options).serialize(to)
}
