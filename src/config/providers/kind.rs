//! The kinds of providers, and what some of them have of their own.

use serde::Serialize;
use serde_json::Value as Json;

use crate::config::base_url::BaseUrl;
use crate::config::item::{Item, Word};
use crate::config::section::Section;
use crate::config::tree::Value;

/// Which API a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// OpenAI's, or a server compatible with it.
    Openai,
    /// OpenAI's on Azure.
    Azure,
    /// Anthropic's.
    Anthropic,
    /// Gemini's, as Google AI Studio serves it.
    Gemini,
    /// OpenAI's, behind a node of the Open Compute Framework.
    Ocf,
    /// Ask Sage's.
    Asksage,
    /// Argo's own.
    Argo,
    /// That of Bedrock's runtime.
    Bedrock,
}

impl Word for ProviderKind {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("openai", Self::Openai),
        ("azure", Self::Azure),
        ("anthropic", Self::Anthropic),
        ("gemini", Self::Gemini),
        ("ocf", Self::Ocf),
        ("asksage", Self::Asksage),
        ("argo", Self::Argo),
        ("bedrock", Self::Bedrock),
    ];
}

impl ProviderKind {
    /// Every kind's word.
    pub fn words() -> Vec<&'static str> {
        Self::WORDS.iter().map(|(word, _)| *word).collect()
    }

    /// The kind of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        let found = Self::WORDS.iter().find(|(known, _)| *known == word);
        found.map(|(_, kind)| *kind)
    }

    /// Where its maker's own API is; `None` where everybody has an address of their own.
    pub fn own_url(self) -> Option<BaseUrl> {
        match self {
            // Bedrock has one a region.
            Self::Azure | Self::Ocf | Self::Bedrock => None,
            Self::Openai => Some(BaseUrl::openai()),
            Self::Anthropic => Some(BaseUrl::anthropic()),
            Self::Gemini => Some(BaseUrl::gemini()),
            Self::Asksage => Some(BaseUrl::asksage()),
            Self::Argo => Some(BaseUrl::argo()),
        }
    }

    /// What stands where no URL could be read.
    pub(in crate::config) fn base_url(self) -> BaseUrl {
        self.own_url().unwrap_or_else(BaseUrl::openai)
    }

    /// The name of a provider that was given none.
    pub(in crate::config) fn default_name(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Azure => "azure",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ocf => "ocf",
            Self::Asksage => "asksage",
            Self::Argo => "argo",
            Self::Bedrock => "bedrock",
        }
    }
}

/// Where a provider is: what was given, else its maker's own API.
pub(super) fn read_base_url(section: &mut Section<'_>, kind: ProviderKind) -> BaseUrl {
    let read = section.text("base_url").map(|text| {
        let url = BaseUrl::parse(&text)?;
        match kind {
            ProviderKind::Anthropic if url.as_str().ends_with("/v1") => {
                Err("expected a URL without its version; leave out /v1")
            }
            ProviderKind::Gemini if names_version(&url) => {
                Err("expected a URL without its version; leave out /v1beta")
            }
            ProviderKind::Azure if url.has_path() => {
                Err("expected the resource alone, such as https://NAME.openai.azure.com")
            }
            ProviderKind::Ocf if url.as_str().ends_with("/v1") || url.as_str().contains("/v1/") => {
                Err("expected the node alone, such as http://127.0.0.1:8092")
            }
            ProviderKind::Asksage if !url.as_str().ends_with("/server") => {
                Err("expected a URL with /server at its end")
            }
            ProviderKind::Argo if !url.as_str().ends_with("/argoapi") => {
                Err("expected a URL with /argoapi at its end")
            }
            ProviderKind::Bedrock if url.has_path() => {
                Err("expected the server alone, such as https://bedrock-runtime.us-east-1.amazonaws.com")
            }
            ProviderKind::Anthropic
            | ProviderKind::Azure
            | ProviderKind::Bedrock
            | ProviderKind::Gemini
            | ProviderKind::Ocf
            | ProviderKind::Asksage
            | ProviderKind::Argo
            | ProviderKind::Openai => Ok(url),
        }
    });
    if read.is_none() && kind == ProviderKind::Azure {
        section.report(
            "base_url",
            "missing; expected https://NAME.openai.azure.com",
        );
    }
    if read.is_none() && kind == ProviderKind::Ocf {
        section.report(
            "base_url",
            "missing; expected a node such as http://127.0.0.1:8092",
        );
    }
    match read {
        Some(Ok(url)) => url,
        Some(Err(message)) => {
            section.report("base_url", message);
            kind.base_url()
        }
        None => kind.base_url(),
    }
}

/// Whether a URL of Gemini's ends with the version that its clients' paths have.
fn names_version(url: &BaseUrl) -> bool {
    let text = url.as_str();
    text.ends_with("/v1") || text.ends_with("/v1beta") || text.ends_with("/v1alpha")
}

/// The newest version that is no preview. (learn.microsoft.com, Azure OpenAI API version lifecycle, read 2026-11.)
pub(in crate::config) const AZURE_API_VERSION: &str = "2024-10-21";

/// Azure's version of its API.
pub(super) fn read_api_version(section: &mut Section<'_>) -> String {
    let Some(version) = section.text("api_version") else {
        return AZURE_API_VERSION.to_owned();
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if version.is_empty() || !version.chars().all(is_plain) {
        section.report("api_version", "expected a version such as 2024-10-21");
    }
    version
}

/// Azure's deployments.
pub(super) fn read_deployments(section: &mut Section<'_>) -> Vec<(String, String)> {
    let reading = section.reading();
    let named = section.named("deployments").into_iter();
    named
        .filter_map(|(entry, path)| {
            let item = Item {
                node: &entry.node,
                reading,
            };
            let deployment = item.text(&path)?;
            if deployment.trim().is_empty() {
                item.report(&path, "is empty; leave it out or name a deployment");
            }
            Some((entry.key.clone(), deployment))
        })
        .collect()
}

/// Ask Sage's dataset and persona where none are named: no documents of others, and the persona that asksage-proxy names.
const DATASET: &str = "none";
const PERSONA: &str = "default";

/// What each request to Ask Sage gets by its provider's settings: names and JSON values.
pub(super) fn read_asksage(section: &mut Section<'_>) -> Vec<(&'static str, Json)> {
    let dataset = section
        .text("dataset")
        .unwrap_or_else(|| DATASET.to_owned());
    if dataset.trim().is_empty() {
        section.report("dataset", "is empty; leave it out, or name a dataset");
    }
    let persona = section.item("persona").map(|item| match item.integer() {
        Some(number) => u32::try_from(number).ok().map(Json::from),
        None => match &item.node.value {
            Value::Text { text, .. } | Value::Open { text, .. } if text == PERSONA => {
                Some(Json::from(PERSONA))
            }
            _ => None,
        },
    });
    let persona = persona.unwrap_or_else(|| Some(Json::from(PERSONA)));
    let persona = persona.unwrap_or_else(|| {
        section.report("persona", "expected a persona's number, or `default`");
        Json::Null
    });
    vec![("dataset", Json::from(dataset)), ("persona", persona)]
}
