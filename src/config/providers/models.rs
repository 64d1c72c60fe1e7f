//! `models` of a provider: which models it takes, and whether it is asked for them.

use std::time::Duration;

use serde::Serialize;

use crate::config::Glob;
use crate::config::section::Section;
use crate::config::units::as_seconds;

/// Which models a provider takes: those listed or found out, and those that match.
#[derive(Debug, Clone, Serialize)]
pub struct ModelsConfig {
    /// Whether it is asked for its models. Unless given: where `models` is there with neither `list` nor `allow`.
    pub discover: bool,
    /// Patterns of further names that it takes; of those found out only the ones that match count, unless there is no
    /// pattern. `["*"]` where `models` is left out, else none.
    pub allow: Vec<Glob>,
    /// Patterns of names that it does not take although `allow` has them or they were found out.
    pub deny: Vec<Glob>,
    /// Names that it has.
    pub list: Vec<String>,
    /// How long what it said counts, until it is asked again.
    #[serde(rename = "ttl_s", serialize_with = "as_seconds")]
    pub ttl: Duration,
}

impl ModelsConfig {
    /// Every name is taken; `discover`: whether the provider is asked for them all the same.
    pub(in crate::config) fn any(discover: bool) -> Self {
        Self {
            discover,
            allow: vec![Glob::new("*")],
            deny: Vec::new(),
            list: Vec::new(),
            ttl: TTL,
        }
    }
}

/// How long a list counts unless the configuration says otherwise.
const TTL: Duration = Duration::from_secs(300);

/// Reads `models` of a provider.
pub(super) fn read_models(section: &mut Section<'_>) -> ModelsConfig {
    let is_given = section.item("models").is_some();
    let mut models = section.section("models");
    let mut globs = |key| {
        let texts = models.texts(key);
        texts.map(|texts| texts.into_iter().map(Glob::new).collect())
    };
    let (allow, deny): (Option<Vec<Glob>>, Option<Vec<Glob>>) = (globs("allow"), globs("deny"));
    let list = models.texts("list");
    let names_none = is_given && allow.is_none() && list.is_none();
    let config = ModelsConfig {
        discover: models.flag("discover", names_none),
        deny: deny.unwrap_or_default(),
        list: list.unwrap_or_default(),
        ttl: models.seconds_from("ttl_s", 10, TTL),
        ..ModelsConfig::any(false)
    };
    models.finish();
    let default = if is_given { Vec::new() } else { config.allow };
    ModelsConfig {
        allow: allow.unwrap_or(default),
        ..config
    }
}
