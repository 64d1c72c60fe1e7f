//! One provider: where it is, which key opens it, how long it may take.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::config::Glob;

/// A place that answers API calls. Read once from the configuration, immutable after.
pub struct Provider {
    /// Its name, unique, as in the column `provider`.
    pub name: String,
    /// Base URL with its version (`https://api.openai.com/v1`), without a slash at the end.
    pub base_url: String,
    /// Our own key; `None`: the client's credentials travel.
    pub key: Option<ProviderKey>,
    /// Headers that are sent as they are, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Globs of the model names that it takes.
    pub allow: Vec<Glob>,
    /// Model names that it lists.
    pub list: Vec<String>,
    /// Whether `stream_options.include_usage` is asked for on our own account.
    pub ask_for_usage: bool,
    /// Longest event of a stream in bytes.
    pub max_event_bytes: usize,
    /// TLS settings; `None` for plain HTTP.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

/// A key of ours.
pub struct ProviderKey {
    /// Its name, as in the column `provider_key`.
    pub name: String,
    authorization: SecretString,
}

/// Time limits of one exchange with a provider.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Name resolution and TCP connect, and again for TLS.
    pub connect: Duration,
    /// From the request to the head of the answer.
    pub first_byte: Duration,
    /// Between two pieces of the answer.
    pub idle: Duration,
    /// The whole exchange.
    pub total: Duration,
}

impl ProviderKey {
    /// A key with its name for the record.
    pub fn new(name: String, key: &SecretString) -> Self {
        let authorization = SecretString::from(format!("Bearer {}", key.expose_secret().trim()));
        Self {
            name,
            authorization,
        }
    }

    /// The value of `Authorization`.
    pub fn authorization(&self) -> &str {
        self.authorization.expose_secret()
    }
}

impl Provider {
    /// Whether it takes this model.
    pub fn takes(&self, model: &str) -> bool {
        self.list.iter().any(|listed| listed == model)
            || self.allow.iter().any(|glob| glob.matches(model))
    }
}
