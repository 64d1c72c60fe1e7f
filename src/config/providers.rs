//! `providers`: who answers. In the order of the file; the first one is the default.

mod argo;
mod aws;
mod keys;
mod kind;
mod models;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::base_url::BaseUrl;
use super::item::Word;
use super::key_selection::KeySelection;
use super::secret::{Secret, has_scheme, is_credential_name, mask_url};
use super::section::Section;
use super::statuses::{Statuses, read_statuses};
use super::tree::Value;
use super::units::{as_seconds, as_seconds_or_zero};

use self::argo::{ArgoSettings, read_argo};
use self::aws::read_aws;
pub use self::aws::{AwsConfig, AwsCredentials};
pub(super) use self::aws::{BEARER, ENDPOINT_URL, environment_aws};
pub use self::keys::ApiKeyConfig;
use self::keys::read_keys;
pub(super) use self::kind::AZURE_API_VERSION;
pub use self::kind::ProviderKind;
use self::kind::{read_api_version, read_asksage, read_base_url, read_deployments};
pub use self::models::ModelsConfig;
use self::models::read_models;

/// An upstream.
#[derive(Debug, Clone, Serialize)]
pub struct ProviderConfig {
    /// Its name in paths, rows and metrics; unique.
    pub name: String,
    /// Which API it speaks.
    pub kind: ProviderKind,
    /// Where it is, without a slash at the end; OpenAI's kind with its version.
    pub base_url: BaseUrl,
    /// Azure's version of its API; empty for other kinds.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Azure's deployments, by the model's name; a model that is not among them has a deployment of its own name.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub deployments: Vec<(String, String)>,
    /// What each request in the provider's own format gets by its settings: Ask Sage's `dataset` and `persona`.
    #[serde(flatten, serialize_with = "as_members")]
    pub request_fields: Vec<(&'static str, serde_json::Value)>,
    /// URLs of Argo's calls that do not follow from the base URL, by the setting's name.
    #[serde(flatten, serialize_with = "as_urls")]
    pub urls: Vec<(&'static str, BaseUrl)>,
    /// Whether Argo is asked in the name that the client shows as its key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub user_passthrough: bool,
    /// Bedrock's region and credentials.
    #[serde(flatten)]
    pub aws: Option<AwsConfig>,
    /// Its share among providers that take the same model, finite; 0: only where the others fail.
    pub weight: f64,
    /// Where it is, in one's own words, or Bedrock's region; empty: nobody says.
    pub region: String,
    /// Our keys; none: the client's own `Authorization` is passed on.
    pub api_keys: Vec<ApiKeyConfig>,
    /// How its keys take turns.
    pub key_selection: KeySelection,
    /// Which models it takes.
    pub models: ModelsConfig,
    /// Stands in front of the names of models that were found out, as `PREFIX/NAME`; empty: nothing does.
    pub prefix: String,
    /// Statuses of this provider after which another target or key is tried; empty: those of `routing`.
    pub retry_statuses: Statuses,
    /// How often it is asked for its models to see whether it is there, when nothing else is sent; `None`: never.
    #[serde(rename = "probe_s", serialize_with = "as_seconds_or_zero")]
    pub probe: Option<Duration>,
    /// Certificates trusted besides the system's, a PEM file.
    pub ca_cert: Option<PathBuf>,
    /// Our certificate for mutual TLS, a PEM file; with `client_key`.
    pub client_cert: Option<PathBuf>,
    /// The key of `client_cert`, a PEM file.
    pub client_key: Option<PathBuf>,
    /// Headers sent upstream as they are.
    #[serde(serialize_with = "headers_as_map")]
    pub headers: Vec<HeaderConfig>,
    /// How long each phase of an attempt may take.
    pub timeouts: TimeoutsConfig,
    /// What happens upstream when the client leaves a stream.
    pub on_disconnect: OnDisconnect,
    /// Whether usage is asked for on streams.
    pub usage: UsageMode,
    /// Longest event of a stream, in bytes.
    pub max_event_bytes: usize,
}

/// What happens upstream when the client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// The upstream connection is dropped at once.
    Cancel,
}

/// Where the usage of a stream comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageMode {
    /// `stream_options.include_usage` is asked for; the extra chunk is taken out again.
    Ask,
    /// What the client asked for stays as it is.
    Passive,
}

/// A header for the upstream.
#[derive(Debug, Clone)]
pub struct HeaderConfig {
    /// Its name, lower-case.
    pub name: String,
    /// Its value.
    pub value: Secret,
    /// Whether it is shown masked: its name is a credential's, it begins with an authentication scheme, or it came
    /// from the environment.
    pub is_credential: bool,
}

/// Longest times of an attempt.
#[derive(Debug, Clone, Serialize)]
pub struct TimeoutsConfig {
    /// Name look-up, TCP and TLS together.
    #[serde(rename = "connect_s", serialize_with = "as_seconds")]
    pub connect: Duration,
    /// From the request's end to the answer's first byte.
    #[serde(rename = "first_byte_s", serialize_with = "as_seconds")]
    pub first_byte: Duration,
    /// Between two pieces of the answer.
    #[serde(rename = "idle_s", serialize_with = "as_seconds")]
    pub idle: Duration,
    /// The whole attempt.
    #[serde(rename = "total_s", serialize_with = "as_seconds")]
    pub total: Duration,
}

impl ProviderConfig {
    /// The weight of a provider that names none.
    pub(super) const WEIGHT: f64 = 1.0;
}

impl Word for OnDisconnect {
    const WORDS: &'static [(&'static str, Self)] = &[("cancel", Self::Cancel)];
}

impl Word for UsageMode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("ask", Self::Ask), ("passive", Self::Passive)];
}

/// Whether `name` can be the name of a header (RFC 9110, section 5.6.2: a token).
pub(super) fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}

fn headers_as_map<S: Serializer>(headers: &[HeaderConfig], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(headers.iter().map(|header| {
        let value = if header.is_credential {
            header.value.masked()
        } else {
            mask_url(header.value.expose())
        };
        (header.name.as_str(), value)
    }))
}

fn as_map<S: Serializer>(pairs: &[(String, String)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

fn as_members<S: Serializer>(
    fields: &[(&'static str, serde_json::Value)],
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map(fields.iter().map(|(name, value)| (name, value)))
}

fn as_urls<S: Serializer>(urls: &[(&'static str, BaseUrl)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(urls.iter().map(|(name, url)| (name, url.as_str())))
}

/// Reads one entry of `providers`.
pub(super) fn read_provider(mut section: Section<'_>) -> ProviderConfig {
    if section.item("kind").is_none() {
        section.report(
            "kind",
            "missing; allowed: openai, azure, anthropic, gemini, ocf, asksage, argo, bedrock",
        );
    }
    let kind = section.word("kind", ProviderKind::Openai);
    let argo = match kind {
        ProviderKind::Argo => read_argo(&mut section),
        ProviderKind::Openai
        | ProviderKind::Azure
        | ProviderKind::Anthropic
        | ProviderKind::Gemini
        | ProviderKind::Ocf
        | ProviderKind::Asksage
        | ProviderKind::Bedrock => ArgoSettings::default(),
    };
    let aws = (kind == ProviderKind::Bedrock).then(|| read_aws(&mut section));
    let own_url = argo
        .base_url()
        .or_else(|| aws.as_ref().map(AwsConfig::base_url));
    let provider = ProviderConfig {
        name: section
            .text("name")
            .unwrap_or_else(|| kind.default_name().to_owned()),
        kind,
        base_url: own_url
            .filter(|_| section.item("base_url").is_none())
            .unwrap_or_else(|| read_base_url(&mut section, kind)),
        api_version: match kind {
            ProviderKind::Azure => read_api_version(&mut section),
            ProviderKind::Openai
            | ProviderKind::Anthropic
            | ProviderKind::Gemini
            | ProviderKind::Ocf
            | ProviderKind::Asksage
            | ProviderKind::Argo
            | ProviderKind::Bedrock => String::new(),
        },
        deployments: match kind {
            ProviderKind::Azure => read_deployments(&mut section),
            ProviderKind::Openai
            | ProviderKind::Anthropic
            | ProviderKind::Gemini
            | ProviderKind::Ocf
            | ProviderKind::Asksage
            | ProviderKind::Argo
            | ProviderKind::Bedrock => Vec::new(),
        },
        request_fields: match kind {
            ProviderKind::Asksage => read_asksage(&mut section),
            ProviderKind::Argo => argo.user,
            ProviderKind::Openai
            | ProviderKind::Azure
            | ProviderKind::Anthropic
            | ProviderKind::Gemini
            | ProviderKind::Ocf
            | ProviderKind::Bedrock => Vec::new(),
        },
        urls: argo.urls,
        user_passthrough: argo.passthrough,
        weight: section.amount("weight").unwrap_or(ProviderConfig::WEIGHT),
        region: match &aws {
            Some(aws) => aws.region.clone(),
            None => section.text("region").unwrap_or_default(),
        },
        aws,
        api_keys: read_keys(&mut section),
        key_selection: section.word("key_selection", KeySelection::Smooth),
        models: read_models(&mut section),
        prefix: section.text("prefix").unwrap_or_default(),
        retry_statuses: read_statuses(&mut section, "retry_statuses").unwrap_or(Statuses::NONE),
        probe: section.seconds_or_never("probe_s", 5),
        ca_cert: section.path_of("ca_cert"),
        client_cert: section.path_of("client_cert"),
        client_key: section.path_of("client_key"),
        headers: read_headers(&mut section),
        timeouts: read_timeouts(section.section("timeouts")),
        on_disconnect: section.word("on_disconnect", OnDisconnect::Cancel),
        usage: section.word("usage", UsageMode::Ask),
        max_event_bytes: section.number("max_event_bytes", 8_388_608, 1_024..=1_073_741_824),
    };
    section.finish();
    provider
}

fn read_headers(section: &mut Section<'_>) -> Vec<HeaderConfig> {
    let mut headers = Vec::new();
    let reading = section.reading();
    for (entry, path) in section.named("headers") {
        if !is_header_name(&entry.key) {
            reading.report(&entry.key_origin, &path, "not the name of a header");
            continue;
        }
        let name = entry.key.to_ascii_lowercase();
        if FRAMING_HEADERS.contains(&name.as_str()) {
            reading.report(
                &entry.key_origin,
                &path,
                "this header is set by the connection itself",
            );
            continue;
        }
        let item = super::item::Item {
            node: &entry.node,
            reading,
        };
        match item.text(&path) {
            Some(text) if text.chars().any(char::is_control) => {
                item.report(&path, "holds a control character or a line end");
            }
            Some(text) if is_credential_name(&name) && text.trim().is_empty() => {
                item.report(&path, "is empty; leave it out or give a value");
            }
            Some(text) => {
                let is_credential = is_credential_name(&name)
                    || has_scheme(&text)
                    || matches!(entry.node.value, Value::Open { .. });
                headers.push(HeaderConfig {
                    name,
                    value: Secret::new(text),
                    is_credential,
                });
            }
            None => {}
        }
    }
    headers
}

/// Headers that frame a message or belong to one connection (RFC 9110, section 7.6.1).
const FRAMING_HEADERS: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn read_timeouts(mut section: Section<'_>) -> TimeoutsConfig {
    let default = TimeoutsConfig::default();
    let config = TimeoutsConfig {
        connect: section.seconds("connect_s", default.connect),
        first_byte: section.seconds("first_byte_s", default.first_byte),
        idle: section.seconds("idle_s", default.idle),
        total: section.seconds("total_s", default.total),
    };
    section.finish();
    config
}

impl Default for TimeoutsConfig {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(120),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(1_800),
        }
    }
}
