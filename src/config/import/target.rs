//! One provider of ours that is about to be written, and the credentials, URLs and names that it is made of.

use crate::config::draft::{Line, Scalar, Yaml};

use super::taking::timeouts;

/// A provider to be written.
#[derive(Debug, Default)]
pub(super) struct Target {
    pub(super) kind: String,
    pub(super) name: String,
    /// What the other proxy calls it, where that is another name.
    pub(super) id: String,
    pub(super) base_url: Option<Scalar>,
    /// Azure's version of its API.
    pub(super) api_version: Option<Scalar>,
    /// Settings that its kind alone has.
    pub(super) own: Vec<(&'static str, Scalar)>,
    pub(super) weight: Option<f64>,
    pub(super) region: Option<String>,
    pub(super) keys: Vec<PoolKey>,
    /// Azure's deployments by model.
    pub(super) deployments: Vec<(String, String)>,
    /// Whether it is asked for its models; it takes others all the same where none are listed.
    pub(super) discover: bool,
    /// How long what it said counts, in seconds.
    pub(super) ttl_s: Option<u64>,
    /// Patterns of models that it takes; with `list` empty: all of them, unsaid.
    pub(super) allow: Vec<String>,
    /// Models that it has.
    pub(super) list: Vec<String>,
    /// Stands in front of the models that it was asked for.
    pub(super) prefix: Option<String>,
    pub(super) retry_statuses: Vec<u16>,
    pub(super) headers: Vec<(String, Scalar)>,
    pub(super) ca_cert: Option<String>,
    /// Time limit of a request, in seconds.
    pub(super) timeout_s: Option<f64>,
    /// What is said above it.
    pub(super) comments: Vec<String>,
}

/// A key of a provider to be written.
#[derive(Debug)]
pub(super) struct PoolKey {
    pub(super) key: Scalar,
    pub(super) name: String,
    pub(super) weight: Option<f64>,
    pub(super) max_rps: Option<u32>,
}

impl PoolKey {
    /// A key with its name.
    pub(super) fn new(key: Scalar, name: impl Into<String>) -> Self {
        Self {
            key,
            name: name.into(),
            weight: None,
            max_rps: None,
        }
    }

    fn lines(self) -> Vec<Line> {
        let mut lines = vec![
            Line::new("key", Yaml::One(self.key)),
            Line::text("name", self.name),
        ];
        lines.extend(
            self.weight
                .map(|weight| Line::plain("weight", format!("{weight:?}"))),
        );
        let max_rps = self.max_rps.into_iter();
        lines.extend(max_rps.map(|most| Line::plain("max_rps", most)));
        lines
    }
}

impl Target {
    /// The keys of `providers[]`.
    fn lines(self) -> Vec<Line> {
        let mut name = Line::text("name", self.name);
        name.comments = self.comments;
        let mut lines = vec![name, Line::text("kind", self.kind)];
        let one = |key: &str, value: Option<Scalar>| value.map(|it| Line::new(key, Yaml::One(it)));
        lines.extend(one("base_url", self.base_url));
        lines.extend(one("api_version", self.api_version));
        let own = self.own.into_iter();
        lines.extend(own.map(|(key, value)| Line::new(key, Yaml::One(value))));
        let weight = self.weight.into_iter();
        lines.extend(weight.map(|weight| Line::plain("weight", format!("{weight:?}"))));
        lines.extend(self.region.map(|region| Line::text("region", region)));
        let keys: Vec<Vec<Line>> = self.keys.into_iter().map(PoolKey::lines).collect();
        if !keys.is_empty() {
            lines.push(Line::new("api_keys", Yaml::Sections(keys)));
        }
        if !self.deployments.is_empty() {
            let pairs = self.deployments.into_iter();
            let pairs = pairs.map(|(model, deployment)| Line::text(model, deployment));
            lines.push(Line::new("deployments", Yaml::Section(pairs.collect())));
        }
        let mut models = Vec::new();
        let mut allow = self.allow;
        if self.discover {
            models.push(Line::plain("discover", true));
            models.extend(self.ttl_s.map(|time| Line::plain("ttl_s", time)));
            if allow.is_empty() && self.list.is_empty() {
                allow.push("*".to_owned());
            }
        }
        if self.discover || !self.list.is_empty() || !allow.is_empty() {
            for (key, names) in [("allow", allow), ("list", self.list)] {
                if !names.is_empty() {
                    let names = names.into_iter().map(Scalar::Text).collect();
                    models.push(Line::new(key, Yaml::Flow(names)));
                }
            }
            lines.push(Line::new("models", Yaml::Section(models)));
        }
        lines.extend(self.prefix.map(|prefix| Line::text("prefix", prefix)));
        if !self.retry_statuses.is_empty() {
            let statuses = self.retry_statuses.iter();
            let statuses = statuses.map(|status| Scalar::Plain(status.to_string()));
            lines.push(Line::new("retry_statuses", Yaml::Flow(statuses.collect())));
        }
        lines.extend(self.ca_cert.map(|file| Line::text("ca_cert", file)));
        if !self.headers.is_empty() {
            let pairs = self.headers.into_iter();
            let pairs = pairs.map(|(name, value)| Line::new(name, Yaml::One(value)));
            lines.push(Line::new("headers", Yaml::Section(pairs.collect())));
        }
        lines.extend(self.timeout_s.map(timeouts));
        lines
    }
}

/// `providers`.
pub(super) fn providers(targets: Vec<Target>) -> Line {
    let sections = targets.into_iter().map(Target::lines).collect();
    Line::new("providers", Yaml::Sections(sections))
}

/// A provider's name made of any text, other than those of `targets`.
pub(super) fn free_name(wanted: &str, targets: &[Target]) -> String {
    let mut name: String = wanted
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '-'
            }
        })
        .take(50)
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        name = format!("p{name}");
    }
    let is_free = |name: &str| {
        !targets
            .iter()
            .any(|target| target.name.eq_ignore_ascii_case(name))
    };
    let numbered = (2..).map(|n| format!("{name}-{n}"));
    let mut all = std::iter::once(name.clone()).chain(numbered);
    all.find(|name| is_free(name)).unwrap_or(name)
}

/// A URL with OpenAI's version at its end.
pub(super) fn with_version(url: &str) -> String {
    if url.ends_with("/v1") {
        url.to_owned()
    } else {
        format!("{url}/v1")
    }
}
