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
    build_after(configs, &SharedTls::default()).map(|(providers, _)| providers)
}

/// As [`build`], with the TLS settings of the configuration before where their files hold what they held; and those
/// that are used now.
///
/// # Errors
/// As [`build`].
pub fn build_after(
    configs: &[ProviderConfig],
    before: &SharedTls,
) -> Result<(Arc<[Provider]>, SharedTls), ProviderError> {
    let mut shared = SharedTls::default();
    let providers = configs.iter();
    let providers = providers.map(|config| provider(config, &mut shared, before));
    let providers = providers.collect::<Result<_, _>>()?;
    Ok((providers, shared))
}

/// TLS settings by what they are made from: reading the system's roots takes longer than all the rest of a start.
#[derive(Default)]
pub struct SharedTls(Vec<Made>);

#[derive(Clone)]
struct Made {
    options: TlsOptions,
    /// Of what the files held.
    digest: [u8; 32],
    config: Arc<rustls::ClientConfig>,
}

impl SharedTls {
    /// Whether a file holds something else by now, or cannot be read any more.
    pub fn is_outdated(&self) -> bool {
        let mut made = self.0.iter();
        made.any(|made| made.options.digest().ok() != Some(made.digest))
    }

    fn find(&self, options: &TlsOptions, digest: [u8; 32]) -> Option<&Made> {
        let mut made = self.0.iter();
        made.find(|made| made.options == *options && made.digest == digest)
    }

    fn get(
        &mut self,
        options: TlsOptions,
        before: &Self,
    ) -> Result<Arc<rustls::ClientConfig>, TlsError> {
        let digest = options.digest()?;
        if let Some(made) = self.find(&options, digest) {
            return Ok(made.config.clone());
        }
        let made = match before.find(&options, digest) {
            Some(made) => made.clone(),
            None => Made {
                config: client_config(&options)?,
                options,
                digest,
            },
        };
        self.0.push(made.clone());
        Ok(made.config)
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

fn provider(
    config: &ProviderConfig,
    shared: &mut SharedTls,
    before: &SharedTls,
) -> Result<Provider, ProviderError> {
    let urls = config.urls.iter().map(|(_, url)| url);
    let tls = match urls.chain([&config.base_url]).any(BaseUrl::is_https) {
        false => None,
        true => Some(
            shared
                .get(tls_options(config), before)
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
