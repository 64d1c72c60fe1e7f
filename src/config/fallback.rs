//! What the environment says to every program: where the configuration names no provider, they come from the
//! variables that OpenAI's own clients read, and from those of an older proxy.

use std::time::Duration;

use super::base_url::BaseUrl;
use super::environment::Environment;
use super::key_selection::KeySelection;
use super::overlay::place;
use super::problem::{Origin, Problem};
use super::providers::{
    AZURE_API_VERSION, ApiKeyConfig, BEARER, ENDPOINT_URL, ModelsConfig, OnDisconnect,
    ProviderConfig, ProviderKind, TimeoutsConfig, UsageMode, environment_aws,
};
use super::secret::Secret;
use super::section::{Reading, secret_from};
use super::statuses::Statuses;
use super::tree::Node;

/// The tree that stands where there is no file: `HOST` and `PORT`, if they are set.
pub(super) fn tree_without_file(environment: &Environment, problems: &mut Vec<Problem>) -> Node {
    let mut root = Node::empty(Origin::Default);
    for (name, key) in [("HOST", "host"), ("PORT", "port")] {
        let origin = Origin::Environment(name.to_owned());
        let placed = match environment.lookup(name) {
            Ok(Some(text)) => place(&mut root, &["server", key], text, &origin),
            Ok(None) => Ok(()),
            Err(problem) => Err(problem),
        };
        problems.extend(placed.err());
    }
    root
}

/// The providers that the environment names: those of `ENDPOINTS`, Azure's resource, Bedrock where AWS's
/// variables have credentials and a region, and OpenAI, Anthropic and Gemini unless only others are there. Without a key the client's own is passed on. `TIMEOUT` counts only where there is no file.
pub(super) fn providers(reading: &Reading<'_>, without_file: bool) -> Vec<ProviderConfig> {
    let shared_key = key(reading, "API_KEY");
    let endpoints = variable(reading, "ENDPOINTS").filter(|text| !text.trim().is_empty());
    let azure = azure(reading);
    let anthropic_key = key(reading, "ANTHROPIC_API_KEY");
    let is_set = |name: &&str| reading.environment.has(name);
    let has_openai = endpoints.is_none() && azure.is_none() || OPENAI_VARIABLES.iter().any(is_set);
    let anthropic_url =
        variable(reading, "ANTHROPIC_BASE_URL").filter(|url| !url.trim().is_empty());
    let has_anthropic = endpoints.is_none() || anthropic_key.is_some() || anthropic_url.is_some();
    let gemini_key = key(reading, "GEMINI_API_KEY").or_else(|| key(reading, "GOOGLE_API_KEY"));
    let gemini_url = variable(reading, "GEMINI_BASE_URL").filter(|url| !url.trim().is_empty());
    let has_gemini = endpoints.is_none() || gemini_key.is_some() || gemini_url.is_some();
    let mut compatible = Vec::new();
    if has_openai {
        let own_key = key(reading, "OPENAI_API_KEY");
        let own_key = own_key.or_else(|| shared_key.clone());
        compatible.push((openai_url(reading), own_key, false));
    }
    let endpoints = split_endpoints(endpoints.as_deref().unwrap_or_default());
    // Of several, each one is asked which models are its own.
    let is_asked = 1 < endpoints.len();
    for (url, own_key) in endpoints {
        let own_key = match own_key {
            Some(text) => checked_key(reading, "ENDPOINTS", &text),
            None => shared_key.clone(),
        };
        let url = checked_url(reading, "ENDPOINTS", &with_version(&url));
        compatible.push((url, own_key, is_asked));
    }
    let timeouts = if without_file {
        time_limits(reading)
    } else {
        TimeoutsConfig::default()
    };
    let names = (1..).map(|n| {
        if n == 1 {
            "openai".to_owned()
        } else {
            format!("openai-{n}")
        }
    });
    let compatible = compatible
        .into_iter()
        .zip(names)
        .map(|((base_url, key, is_asked), name)| {
            let models = ModelsConfig::any(is_asked);
            (ProviderKind::Openai, name, base_url, key, models)
        });
    let of_kind = |kind: ProviderKind, base_url, key| {
        let name = kind.default_name().to_owned();
        (kind, name, base_url, key, ModelsConfig::any(false))
    };
    let azure = azure.map(|(url, key)| of_kind(ProviderKind::Azure, url, key));
    let anthropic = has_anthropic.then(|| {
        let url = anthropic_url.map(|url| checked_url(reading, "ANTHROPIC_BASE_URL", &url));
        let url = url.unwrap_or_else(BaseUrl::anthropic);
        of_kind(ProviderKind::Anthropic, url, anthropic_key)
    });
    let gemini = has_gemini.then(|| {
        let url = gemini_url.map(|url| checked_url(reading, "GEMINI_BASE_URL", &url));
        let url = url.unwrap_or_else(BaseUrl::gemini);
        of_kind(ProviderKind::Gemini, url, gemini_key)
    });
    let aws = environment_aws(reading);
    let bedrock = aws.as_ref().map(|aws| {
        let url = variable(reading, ENDPOINT_URL).filter(|url| !url.trim().is_empty());
        let url = url.map(|url| checked_url(reading, ENDPOINT_URL, &url));
        let url = url.unwrap_or_else(|| aws.base_url());
        let bearer = variable(reading, BEARER).filter(|text| !text.trim().is_empty());
        let bearer = bearer.and_then(|text| checked_key(reading, BEARER, &text));
        of_kind(ProviderKind::Bedrock, url, bearer)
    });
    compatible
        .chain(azure)
        .chain(anthropic)
        .chain(gemini)
        .chain(bedrock)
        .map(|(kind, name, base_url, key, models)| ProviderConfig {
            name,
            kind,
            base_url,
            api_version: match kind {
                ProviderKind::Azure => azure_version(reading),
                ProviderKind::Openai
                | ProviderKind::Anthropic
                | ProviderKind::Gemini
                | ProviderKind::Ocf
                | ProviderKind::Asksage
                | ProviderKind::Argo
                | ProviderKind::Bedrock => String::new(),
            },
            deployments: Vec::new(),
            request_fields: Vec::new(),
            urls: Vec::new(),
            user_passthrough: false,
            aws: aws.clone().filter(|_| kind == ProviderKind::Bedrock),
            api_keys: key
                .map(|key| ApiKeyConfig {
                    key,
                    name: "environment".to_owned(),
                    weight: ApiKeyConfig::WEIGHT,
                    max_rps: 0,
                })
                .into_iter()
                .collect(),
            weight: ProviderConfig::WEIGHT,
            region: match kind {
                ProviderKind::Bedrock => aws.as_ref().map(|aws| aws.region.clone()),
                ProviderKind::Openai
                | ProviderKind::Azure
                | ProviderKind::Anthropic
                | ProviderKind::Gemini
                | ProviderKind::Ocf
                | ProviderKind::Asksage
                | ProviderKind::Argo => None,
            }
            .unwrap_or_default(),
            key_selection: KeySelection::Smooth,
            models,
            prefix: String::new(),
            retry_statuses: Statuses::NONE,
            probe: None,
            ca_cert: None,
            client_cert: None,
            client_key: None,
            headers: Vec::new(),
            timeouts: timeouts.clone(),
            on_disconnect: OnDisconnect::Cancel,
            usage: UsageMode::Ask,
            max_event_bytes: 8_388_608,
        })
        .collect()
}

/// Variables of which each one asks for the provider OpenAI.
const OPENAI_VARIABLES: &[&str] = &[
    "OPENAI_API_KEY",
    "OPENAI_API_KEY_FILE",
    "OPENAI_BASE_URL",
    "TARGET_OPENAI_URL",
];

/// Azure, where its clients' own variables name the resource.
fn azure(reading: &Reading<'_>) -> Option<(BaseUrl, Option<Secret>)> {
    let endpoint = variable(reading, "AZURE_OPENAI_ENDPOINT")?;
    let endpoint = endpoint.trim();
    if endpoint.is_empty() {
        return None;
    }
    let url = checked_url(reading, "AZURE_OPENAI_ENDPOINT", endpoint);
    if url.has_path() {
        let message = "expected the resource alone, such as https://NAME.openai.azure.com";
        report(reading, "AZURE_OPENAI_ENDPOINT", message);
    }
    Some((url, key(reading, "AZURE_OPENAI_API_KEY")))
}

/// `OPENAI_API_VERSION`, as Azure's clients read it.
fn azure_version(reading: &Reading<'_>) -> String {
    let given = variable(reading, "OPENAI_API_VERSION");
    let given = given.filter(|version| !version.trim().is_empty());
    given.unwrap_or_else(|| AZURE_API_VERSION.to_owned())
}

fn openai_url(reading: &Reading<'_>) -> BaseUrl {
    let given = |name| variable(reading, name).filter(|text| !text.trim().is_empty());
    if let Some(text) = given("OPENAI_BASE_URL") {
        checked_url(reading, "OPENAI_BASE_URL", &text)
    } else if let Some(text) = given("TARGET_OPENAI_URL") {
        checked_url(reading, "TARGET_OPENAI_URL", &with_version(&text))
    } else {
        BaseUrl::openai()
    }
}

/// The older variables name the server without a version.
fn with_version(url: &str) -> String {
    let url = url.trim().trim_end_matches('/');
    if url.ends_with("/v1") {
        url.to_owned()
    } else {
        format!("{url}/v1")
    }
}

/// `{"URL": "KEY", …}`, or URLs with commas between them.
fn split_endpoints(text: &str) -> Vec<(String, Option<String>)> {
    if let Ok(serde_json::Value::Object(pairs)) = serde_json::from_str(text) {
        return pairs
            .into_iter()
            .map(|(url, key)| {
                (
                    url,
                    key.as_str()
                        .filter(|key| !key.is_empty())
                        .map(str::to_owned),
                )
            })
            .collect();
    }
    text.split(',')
        .map(str::trim)
        .filter(|url| !url.is_empty())
        .map(|url| (url.to_owned(), None))
        .collect()
}

/// `TIMEOUT` is the longest wait for an answer to begin and to go on, in seconds.
fn time_limits(reading: &Reading<'_>) -> TimeoutsConfig {
    let mut timeouts = TimeoutsConfig::default();
    if let Some(text) = variable(reading, "TIMEOUT") {
        match text.trim().parse::<f64>() {
            Ok(seconds) if (0.001..=604_800.0).contains(&seconds) => {
                timeouts.first_byte = Duration::from_secs_f64(seconds);
                timeouts.idle = Duration::from_secs_f64(seconds);
            }
            Ok(_) | Err(_) => report(
                reading,
                "TIMEOUT",
                "expected seconds; allowed: 0.001 to 604800",
            ),
        }
    }
    timeouts
}

fn key(reading: &Reading<'_>, name: &str) -> Option<Secret> {
    let text = variable(reading, name)?;
    checked_key(reading, name, &text)
}

fn checked_key(reading: &Reading<'_>, name: &str, text: &str) -> Option<Secret> {
    secret_from(text)
        .map_err(|message| report(reading, name, message))
        .ok()
}

fn checked_url(reading: &Reading<'_>, name: &str, text: &str) -> BaseUrl {
    BaseUrl::parse(text).unwrap_or_else(|message| {
        report(reading, name, message);
        BaseUrl::openai()
    })
}

fn variable(reading: &Reading<'_>, name: &str) -> Option<String> {
    reading.environment.lookup(name).unwrap_or_else(|problem| {
        reading.add(problem);
        None
    })
}

fn report(reading: &Reading<'_>, name: &str, message: &str) {
    reading.report(&Origin::Environment(name.to_owned()), "", message);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line for each provider, then one for each problem.
    fn listing(variables: &[(&str, &str)]) -> String {
        let environment: Environment = variables.iter().copied().collect();
        let reading = Reading::new(&environment, Vec::new());
        let mut lines: Vec<String> = providers(&reading, true)
            .iter()
            .map(|provider| {
                let keys: Vec<&str> = provider
                    .api_keys
                    .iter()
                    .map(|key| key.key.expose())
                    .collect();
                let limit = provider.timeouts.first_byte.as_secs();
                let is_asked = match provider.models.discover {
                    true => " discover",
                    false => "",
                };
                format!(
                    "{} {} {keys:?} {limit}s{is_asked}",
                    provider.name,
                    provider.base_url.as_str()
                )
            })
            .collect();
        lines.extend(reading.into_problems().iter().map(ToString::to_string));
        lines.join("\n")
    }

    #[test]
    fn providers_come_from_the_environment() {
        let cases: &[&[(&str, &str)]] = &[
            &[],
            &[("OPENAI_API_KEY", "sk-1")],
            &[
                ("OPENAI_API_KEY", "sk-1"),
                ("OPENAI_BASE_URL", "http://h:9/v1/"),
            ],
            &[
                ("API_KEY", "sk-2"),
                ("TARGET_OPENAI_URL", "http://h:9"),
                ("TIMEOUT", "60"),
            ],
            &[
                ("ENDPOINTS", "http://a:1, http://b:2/v1"),
                ("API_KEY", "sk-3"),
            ],
            &[("ENDPOINTS", r#"{"http://a:1":"ka","http://b:2":""}"#)],
            &[("ENDPOINTS", "http://a:1"), ("OPENAI_API_KEY", "sk-1")],
            &[("OPENAI_API_KEY", " ")],
            &[
                ("OPENAI_BASE_URL", "h:9"),
                ("TIMEOUT", "soon"),
                ("API_KEY", "a\nb"),
            ],
            &[("OPENAI_BASE_URL", ""), ("ENDPOINTS", "")],
            &[("ANTHROPIC_API_KEY", "sk-ant")],
            &[
                ("ANTHROPIC_BASE_URL", "http://h:9/"),
                ("ENDPOINTS", "http://a:1"),
            ],
            &[
                ("AZURE_OPENAI_API_KEY", "az"),
                ("AZURE_OPENAI_ENDPOINT", "https://r.openai.azure.com/"),
            ],
            &[
                ("AZURE_OPENAI_ENDPOINT", "https://r.openai.azure.com/openai"),
                ("OPENAI_API_KEY", "sk-1"),
            ],
            &[("ANTHROPIC_API_KEY", "sk-ant"), ("ENDPOINTS", "http://a:1")],
            &[
                ("AWS_ACCESS_KEY_ID", "AKIA1"),
                ("AWS_SECRET_ACCESS_KEY", "s"),
                ("AWS_REGION", "cn-north-1"),
            ],
            &[
                ("AWS_BEARER_TOKEN_BEDROCK", "b1"),
                ("AWS_DEFAULT_REGION", "eu-central-1"),
                ("ENDPOINTS", "http://a:1"),
            ],
            &[("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://h:9/")],
            &[
                ("AWS_ACCESS_KEY_ID", "AKIA1"),
                ("AWS_SECRET_ACCESS_KEY", "s"),
            ],
            &[
                ("AWS_ACCESS_KEY_ID", "AKIA1"),
                ("AWS_SECRET_ACCESS_KEY", " s"),
                ("AWS_REGION", "Frankfurt"),
            ],
            &[("GEMINI_API_KEY", "g1"), ("GOOGLE_API_KEY", "g2")],
            &[
                ("GOOGLE_API_KEY", "g2"),
                ("ENDPOINTS", "http://a:1"),
                ("GEMINI_BASE_URL", "http://h:9/"),
            ],
        ];
        let shown: Vec<String> = cases
            .iter()
            .map(|case| format!("{case:?}\n{}\n", listing(case)))
            .collect();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
