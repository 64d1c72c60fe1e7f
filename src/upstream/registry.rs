//! Makes the providers of the configuration, each kind by its own file's rules.

use std::sync::Arc;

use secrecy::SecretString;

use crate::config::{AwsConfig, BaseUrl, ProviderConfig, ProviderKind, Secret, UsageMode};
use crate::upstream::provider::{Api, Provider, ProviderKey, Quirks, Timeouts};
use crate::upstream::sigv4::Signer;
use crate::upstream::transport::{TlsError, TlsOptions, client_config};
use crate::upstream::{anthropic, argo, asksage, azure, bedrock, gemini, ocf, openai};

/// A provider that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("provider '{provider}'")]
pub struct ProviderError {
    /// Its name.
    pub provider: String,
    /// What is wrong.
    #[source]
    pub source: TlsError,
}

/// Makes them all, in the order of the configuration.
///
/// # Errors
/// [`ProviderError`] when a certificate file cannot be used.
pub fn build(configs: &[ProviderConfig]) -> Result<Arc<[Provider]>, ProviderError> {
    let mut shared = SharedTls::default();
    configs
        .iter()
        .map(|config| provider(config, &mut shared))
        .collect()
}

/// TLS settings by what they are made from: reading the system's roots takes longer than all the rest of a start.
#[derive(Default)]
struct SharedTls(Vec<(TlsOptions, Arc<rustls::ClientConfig>)>);

impl SharedTls {
    fn get(&mut self, options: TlsOptions) -> Result<Arc<rustls::ClientConfig>, TlsError> {
        if let Some((_, made)) = self.0.iter().find(|(known, _)| *known == options) {
            return Ok(made.clone());
        }
        let made = client_config(&options)?;
        self.0.push((options, made.clone()));
        Ok(made)
    }
}

/// Every kind of provider, by its `kind:` in the configuration.
fn api(kind: ProviderKind) -> &'static Api {
    match kind {
        ProviderKind::Openai => &openai::API,
        ProviderKind::Azure => &azure::API,
        ProviderKind::Anthropic => &anthropic::API,
        ProviderKind::Gemini => &gemini::API,
        ProviderKind::Ocf => &ocf::API,
        ProviderKind::Asksage => &asksage::API,
        ProviderKind::Argo => &argo::API,
        ProviderKind::Bedrock => &bedrock::API,
    }
}

/// What some kinds do unlike others.
fn quirks(kind: ProviderKind) -> &'static Quirks {
    match kind {
        ProviderKind::Ocf => &ocf::QUIRKS,
        ProviderKind::Asksage => &asksage::QUIRKS,
        ProviderKind::Argo => &argo::QUIRKS,
        ProviderKind::Bedrock => &bedrock::QUIRKS,
        ProviderKind::Gemini => &gemini::QUIRKS,
        ProviderKind::Openai | ProviderKind::Azure | ProviderKind::Anthropic => &Quirks::NONE,
    }
}

fn provider(config: &ProviderConfig, shared: &mut SharedTls) -> Result<Provider, ProviderError> {
    let urls = config.urls.iter().map(|(_, url)| url);
    let tls = match urls.chain([&config.base_url]).any(BaseUrl::is_https) {
        false => None,
        true => Some(
            shared
                .get(tls_options(config))
                .map_err(|source| ProviderError {
                    provider: config.name.clone(),
                    source,
                })?,
        ),
    };
    let api = api(config.kind);
    let keys = config.api_keys.iter().map(|key| {
        ProviderKey::new(
            key.name.clone(),
            &SecretString::from(key.key.expose().to_owned()),
            api,
        )
    });
    let mut keys: Vec<ProviderKey> = keys.collect();
    if keys.is_empty() {
        keys.extend(config.aws.as_ref().and_then(signing_key));
    }
    let headers = config
        .headers
        .iter()
        .map(|header| (header.name.clone(), header.value.expose().to_owned()))
        .collect();
    Ok(Provider {
        name: config.name.clone(),
        api,
        base_url: config.base_url.as_str().to_owned(),
        keys,
        headers,
        timeouts: Timeouts {
            connect: config.timeouts.connect,
            first_byte: config.timeouts.first_byte,
            idle: config.timeouts.idle,
            total: config.timeouts.total,
        },
        allow: config.models.allow.clone(),
        deny: config.models.deny.clone(),
        list: config.models.list.clone(),
        weight: config.weight,
        region: (!config.region.is_empty()).then(|| Arc::from(&*config.region)),
        retry_statuses: config.retry_statuses.clone(),
        ask_for_usage: config.usage == UsageMode::Ask && api.streams_usage,
        max_event_bytes: config.max_event_bytes,
        api_version: config.api_version.clone(),
        deployments: config.deployments.clone(),
        request_fields: config.request_fields.clone(),
        urls: config
            .urls
            .iter()
            .map(|(name, url)| (*name, url.as_str().to_owned()))
            .collect(),
        user_passthrough: config.user_passthrough,
        quirks: quirks(config.kind),
        tls,
    })
}

/// The key that credentials of AWS are; the name says where they come from.
fn signing_key(aws: &AwsConfig) -> Option<ProviderKey> {
    let credentials = aws.credentials.as_ref()?;
    let secret = |secret: &Secret| SecretString::from(secret.expose().to_owned());
    let signer = Signer::new(
        credentials.access_key_id.clone(),
        secret(&credentials.secret_access_key),
        credentials.session_token.as_ref().map(secret),
        aws.region.clone(),
        bedrock::SERVICE,
    );
    let name = match credentials.from_environment {
        true => "environment",
        false => "key-1",
    };
    Some(ProviderKey::signing(name.to_owned(), signer))
}

fn tls_options(config: &ProviderConfig) -> TlsOptions {
    TlsOptions {
        ca_cert: config.ca_cert.clone(),
        client_identity: config.client_cert.clone().zip(config.client_key.clone()),
    }
}
