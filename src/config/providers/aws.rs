//! What Bedrock has of its own: a region, and credentials of AWS. What the file does not name comes from the variables
//! that AWS's own clients read.

use serde::Serialize;

use crate::config::base_url::BaseUrl;
use crate::config::problem::Origin;
use crate::config::secret::{Secret, serialize_masked, serialize_masked_option};
use crate::config::section::{Reading, Section, secret_from};
use crate::config::tree::Value;

/// Where in AWS, and as whom.
#[derive(Debug, Clone, Serialize)]
pub struct AwsConfig {
    /// The region, which every signature names.
    #[serde(skip)]
    pub region: String,
    /// Ours; `None`: a key of `api_keys`, or the client's own.
    #[serde(flatten)]
    pub credentials: Option<AwsCredentials>,
}

/// Credentials that sign requests.
#[derive(Debug, Clone, Serialize)]
pub struct AwsCredentials {
    /// Whose they are; no secret.
    pub access_key_id: String,
    /// What signs.
    #[serde(serialize_with = "serialize_masked")]
    pub secret_access_key: Secret,
    /// Of temporary credentials.
    #[serde(
        serialize_with = "serialize_masked_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub session_token: Option<Secret>,
    /// Whether they come from the environment.
    #[serde(skip)]
    pub from_environment: bool,
}

impl AwsConfig {
    /// Where Bedrock's runtime is in the region. (docs.aws.amazon.com, Amazon Bedrock endpoints and quotas, read 2026-11.)
    pub(in crate::config) fn base_url(&self) -> BaseUrl {
        let region = &self.region;
        let domain = match region.starts_with("cn-") {
            true => "amazonaws.com.cn",
            false => "amazonaws.com",
        };
        let url = format!("https://bedrock-runtime.{region}.{domain}");
        // A region that was reported gives no host.
        BaseUrl::parse(&url).unwrap_or_else(|_| BaseUrl::openai())
    }
}

const MISSING_REGION: &str = "missing; expected a region such as us-east-1";

/// Reads the settings of a provider in the file.
pub(super) fn read_aws(section: &mut Section<'_>) -> AwsConfig {
    let reading = section.reading();
    let has_keys = section
        .item("api_keys")
        .is_some_and(|keys| !matches!(&keys.node.value, Value::List(keys) if keys.is_empty()));
    let region = section.text("region").or_else(|| {
        let region = environment_region(reading);
        region.or_else(|| {
            let is_elsewhere = section.item("base_url").is_some();
            is_elsewhere.then(|| ANY_REGION.to_owned())
        })
    });
    let region = region.unwrap_or_else(|| {
        section.report("region", MISSING_REGION);
        String::new()
    });
    if !region.is_empty() && !is_region(&region) {
        section.report("region", "expected a region such as us-east-1");
    }
    let id = section.text("access_key_id");
    let secret = section.secret("secret_access_key");
    let session_token = section.secret("session_token");
    let credentials = match (id, secret) {
        (Some(access_key_id), Some(secret_access_key)) => {
            if has_keys {
                section.report(
                    "api_keys",
                    "stands beside access_key_id; leave one of them out",
                );
            }
            if !is_plain(&access_key_id) {
                section.report("access_key_id", "expected letters and digits");
            }
            Some(AwsCredentials {
                access_key_id,
                secret_access_key,
                session_token,
                from_environment: false,
            })
        }
        (Some(_), None) => {
            if section.item("secret_access_key").is_none() {
                section.report("secret_access_key", "missing; access_key_id needs it");
            }
            None
        }
        (None, Some(_)) => {
            section.report("access_key_id", "missing; secret_access_key needs it");
            None
        }
        (None, None) => {
            if session_token.is_some() {
                section.report("access_key_id", "missing; session_token needs it");
            }
            environment_credentials(reading).filter(|_| !has_keys)
        }
    };
    AwsConfig {
        region,
        credentials,
    }
}

/// What the environment alone says; `None` where it names neither a URL nor credentials and a region.
pub(in crate::config) fn environment_aws(reading: &Reading<'_>) -> Option<AwsConfig> {
    let has_url = text(reading, ENDPOINT_URL).is_some();
    let region = environment_region(reading).or_else(|| has_url.then(|| ANY_REGION.to_owned()))?;
    let credentials = environment_credentials(reading);
    let has_key = text(reading, BEARER).is_some();
    (credentials.is_some() || has_key || has_url).then_some(AwsConfig {
        region,
        credentials: credentials.filter(|_| !has_key),
    })
}

/// The variable with the URL of Bedrock's runtime, as AWS's own clients read it.
pub(in crate::config) const ENDPOINT_URL: &str = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME";

/// The region of what is at a URL of one's own, and may be no AWS at all.
const ANY_REGION: &str = "us-east-1";

/// The variable with a key of Bedrock's own.
pub(in crate::config) const BEARER: &str = "AWS_BEARER_TOKEN_BEDROCK";

fn environment_region(reading: &Reading<'_>) -> Option<String> {
    let given = ["AWS_REGION", "AWS_DEFAULT_REGION"]
        .into_iter()
        .find_map(|name| Some((name, text(reading, name)?)));
    let (name, region) = given?;
    if !is_region(&region) {
        let origin = Origin::Environment(name.to_owned());
        reading.report(&origin, "", "expected a region such as us-east-1");
    }
    Some(region)
}

fn environment_credentials(reading: &Reading<'_>) -> Option<AwsCredentials> {
    let secret = |name: &'static str| {
        let found = secret_from(&text(reading, name)?);
        found
            .map_err(|message| {
                reading.report(&Origin::Environment(name.to_owned()), "", message);
            })
            .ok()
    };
    Some(AwsCredentials {
        access_key_id: text(reading, "AWS_ACCESS_KEY_ID").filter(|id| is_plain(id))?,
        secret_access_key: secret("AWS_SECRET_ACCESS_KEY")?,
        session_token: secret("AWS_SESSION_TOKEN"),
        from_environment: true,
    })
}

fn text(reading: &Reading<'_>, name: &str) -> Option<String> {
    let found = reading.environment.lookup(name).unwrap_or_else(|problem| {
        reading.add(problem);
        None
    });
    found.filter(|text| !text.trim().is_empty())
}

fn is_region(region: &str) -> bool {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    region.contains('-') && region.chars().all(is_part)
}

fn is_plain(id: &str) -> bool {
    !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric())
}
