//! One provider: where it is, which key opens it, how long it may take.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::config::{Glob, Statuses};
use crate::filter::{Dialect, Endpoint};
use crate::upstream::sigv4::Signer;
use crate::wire::found;
use crate::wire::listed_model::ListedModel;
use crate::wire::translate::TranslateError;

/// A place that answers API calls. Read once from the configuration, immutable after.
pub struct Provider {
    /// Its name, unique, as in the column `provider`.
    pub name: String,
    /// What its kind of API has of its own.
    pub api: &'static Api,
    /// Base URL as its kind has it, without a slash at the end.
    pub base_url: String,
    /// Our own keys, in the order of the configuration; none: the client's credentials travel.
    pub keys: Vec<ProviderKey>,
    /// Headers that are sent as they are, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Globs of the model names that it takes.
    pub allow: Vec<Glob>,
    /// Globs of the model names that it does not take.
    pub deny: Vec<Glob>,
    /// Model names that it lists.
    pub list: Vec<String>,
    /// Its share among the providers that take the same model.
    pub weight: f64,
    /// Where it is, in the operator's words.
    pub region: Option<Arc<str>>,
    /// Statuses of its answers with which another target is tried; empty: those of all providers.
    pub retry_statuses: Statuses,
    /// Whether `stream_options.include_usage` is asked for on our own account.
    pub ask_for_usage: bool,
    /// Longest event of a stream in bytes.
    pub max_event_bytes: usize,
    /// Azure's version of its API.
    pub api_version: String,
    /// Azure's deployments: a model's name, and the deployment's.
    pub deployments: Vec<(String, String)>,
    /// Members of each request in its own format that its settings make.
    pub request_fields: Vec<(&'static str, serde_json::Value)>,
    /// URLs of single calls that do not follow from the base URL, by the setting's name, without a slash at the end.
    pub urls: Vec<(&'static str, String)>,
    /// Whether the member `user` of its requests is what the client shows as its key.
    pub user_passthrough: bool,
    /// What its kind does unlike others.
    pub quirks: &'static Quirks,
    /// TLS settings; `None` for plain HTTP.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

/// What a kind of API has of its own; each kind's file has one.
#[derive(Debug)]
pub struct Api {
    /// Its word in the configuration.
    pub kind: &'static str,
    /// Whose clients it understands as they are, or but for their paths.
    pub dialects: &'static [Dialect],
    /// Where it takes a call.
    pub url: fn(&Provider, &Place<'_>) -> String,
    /// Whether the URL says which model is asked for, whatever the body says.
    pub model_in_url: bool,
    /// Whether it can be asked for the usage of a stream with `stream_options`.
    pub streams_usage: bool,
    /// Into which of its calls the calls of other dialects are translated; `None` where none can be.
    pub generation: Option<Generation>,
    /// Into which of its calls those for embeddings are translated; `None` where none can be.
    pub embedding: Option<Generation>,
    /// How it is asked what models it has, on our own account; `None` where it does not say.
    pub models: Option<Models>,
    /// Host of the API's own vendor, which answers nobody without a key; empty where there is none.
    pub vendor_host: &'static str,
    /// Name of the header that carries the key.
    pub key_header: &'static str,
    /// What stands before the key there.
    pub key_scheme: &'static str,
    /// Headers that it wants, where the client sends none of that name.
    pub headers: &'static [(&'static str, &'static str)],
}

/// What a kind of API does unlike others; most have none.
#[derive(Debug)]
pub struct Quirks {
    /// How its models are asked for, where that is not its clients' `GET /models`.
    pub listing: Option<Listing>,
    /// Headers of its answers that the record keeps as tags: their names, and the tags'.
    pub tags: &'static [(&'static str, &'static str)],
    /// Words by which a 401 or 403 speaks of the model that is asked for, and not of our key.
    pub model_refusals: &'static [&'static str],
    /// Words by which a 400 speaks of our key.
    pub key_refusals: &'static [&'static str],
    /// How a body begins that is no answer but a failure, in spite of a good status.
    pub failure_mark: Option<&'static str>,
    /// Where its API is OpenAI's, and the key is shown as OpenAI's clients do: how such paths begin behind the base URL.
    pub openai_path: Option<&'static str>,
    /// Whether the member `timeout` of a request, in seconds, is a time limit of it, and does not travel.
    pub timeout_member: bool,
}

impl Quirks {
    /// None.
    pub const NONE: Self = Self {
        listing: None,
        tags: &[],
        model_refusals: &[],
        key_refusals: &[],
        failure_mark: None,
        openai_path: None,
        timeout_member: false,
    };
}

/// How models are asked for, and what the answer says.
#[derive(Debug)]
pub struct Listing {
    /// HTTP method.
    pub method: &'static str,
    /// Path behind the base URL.
    pub path: &'static str,
    /// The request's body; empty: none.
    pub body: &'static str,
    /// Reads the answer.
    pub read: fn(&[u8]) -> Result<Vec<ListedModel>, TranslateError>,
}

/// How a provider is asked on our own account what models it has, page by page.
#[derive(Debug)]
pub struct Models {
    /// HTTP method.
    pub method: &'static str,
    /// The URL for what the page before said of the next one; `None`: of the first page.
    pub url: fn(&Provider, after: Option<&str>) -> String,
    /// The request's body; empty: none.
    pub body: &'static str,
    /// Reads a page.
    pub read: found::Read,
}

/// A call of an API, for clients of another dialect: one that makes text, or embeddings.
#[derive(Debug, Clone, Copy)]
pub struct Generation {
    /// Its endpoint, which tells its format.
    pub endpoint: Endpoint,
    /// Its path behind the version for a model's name, and whether a stream is asked for; with its query, if any.
    pub place: fn(model: &str, stream: bool) -> (String, &'static str),
}

/// A path of ours, to be put into a provider's URL.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The path behind the version, beginning with a slash.
    pub rest: &'a str,
    /// The query with its question mark, or nothing.
    pub query: &'a str,
    /// The model that is asked for, where it is known.
    pub model: Option<&'a str>,
    /// Whose client it is.
    pub dialect: Dialect,
}

/// A key of ours.
pub struct ProviderKey {
    /// Its name, as in the column `provider_key`.
    pub name: String,
    form: KeyForm,
}

/// How a key is shown.
enum KeyForm {
    /// As the value of a header.
    Header {
        name: &'static str,
        value: SecretString,
        /// The same as OpenAI's clients show it.
        bearer: SecretString,
    },
    /// Not at all: it signs each request.
    Signature(Box<Signer>),
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
    /// A key with its name for the record, for such an API.
    pub fn new(name: String, key: &SecretString, api: &Api) -> Self {
        let key = key.expose_secret().trim();
        Self {
            name,
            form: KeyForm::Header {
                name: api.key_header,
                value: SecretString::from([api.key_scheme, key].concat()),
                bearer: SecretString::from(["Bearer ", key].concat()),
            },
        }
    }

    /// A key that signs, with its name for the record.
    pub fn signing(name: String, signer: Signer) -> Self {
        Self {
            name,
            form: KeyForm::Signature(Box::new(signer)),
        }
    }

    /// Whether it is the other one, name and all. One that signs never is: what it signs with cannot be compared.
    pub fn is_same(&self, other: &Self) -> bool {
        let shown = |key: &Self| key.header(false).map(|(_, value)| value.to_owned());
        self.name == other.name && shown(self).is_some() && shown(self) == shown(other)
    }

    /// The header that carries it, if one does; `as_bearer`: as OpenAI's clients show theirs.
    pub fn header(&self, as_bearer: bool) -> Option<(&'static str, &str)> {
        match &self.form {
            KeyForm::Header { bearer, .. } if as_bearer => {
                Some(("authorization", bearer.expose_secret()))
            }
            KeyForm::Header { name, value, .. } => Some((name, value.expose_secret())),
            KeyForm::Signature(_) => None,
        }
    }

    /// Whether it is shown by signing.
    pub fn signs(&self) -> bool {
        matches!(self.form, KeyForm::Signature(_))
    }

    /// What signs with it, if that is how it is shown.
    pub fn signer(&self) -> Option<&Signer> {
        match &self.form {
            KeyForm::Header { .. } => None,
            KeyForm::Signature(signer) => Some(signer),
        }
    }
}

impl Provider {
    /// Whether it is asked with a key of ours, and not with the client's credentials.
    pub fn has_key(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether the other one is asked with the same keys, in the same order.
    pub fn has_same_keys(&self, other: &Self) -> bool {
        let same = |(a, b): (&ProviderKey, &ProviderKey)| a.is_same(b);
        self.keys.len() == other.keys.len() && self.keys.iter().zip(&other.keys).all(same)
    }

    /// Whether the other one is the same place, reached in the same way: connections to it are good for this one too.
    pub fn is_reached_like(&self, other: &Self) -> bool {
        let same_tls = match (&self.tls, &other.tls) {
            (Some(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs),
            (ours, theirs) => ours.is_none() && theirs.is_none(),
        };
        let place = |provider: &Self| (provider.base_url.clone(), provider.urls.clone());
        same_tls
            && self.name == other.name
            && self.timeouts.connect == other.timeouts.connect
            && place(self) == place(other)
    }

    /// Whether requests to it are signed, which takes their whole body.
    pub fn signs(&self) -> bool {
        self.keys.iter().any(ProviderKey::signs)
    }

    /// Whether it understands these clients as they are.
    pub fn speaks(&self, dialect: Dialect) -> bool {
        self.api.dialects.contains(&dialect)
    }

    /// Its call for clients whose dialect it does not understand, for what their own endpoint asks. `None` where there is
    /// none, and where the vendor of the API would ask for a key that we do not have: a client's own credentials are not
    /// for another vendor.
    pub fn generation(&self, client: Endpoint) -> Option<&Generation> {
        let vendor = self.api.vendor_host;
        let is_vendor = !vendor.is_empty() && self.base_url.contains(vendor);
        let call = match client {
            Endpoint::Embeddings | Endpoint::EmbedContent => &self.api.embedding,
            _ => &self.api.generation,
        };
        let call = call.as_ref();
        call.filter(|_| self.has_key() || !is_vendor)
    }

    /// Its call for text, if that is of this endpoint and its own clients' paths are not of any dialect.
    pub fn own_call(&self, endpoint: Endpoint) -> Option<&Generation> {
        let call = self.api.generation.as_ref();
        call.filter(|call| call.endpoint == endpoint && self.has_no_clients())
    }

    /// Whether a URL of it is of OpenAI's API, which it has beside its own.
    pub fn is_openais(&self, url: &str) -> bool {
        let path = url.strip_prefix(&*self.base_url);
        let openais = self.quirks.openai_path;
        openais.is_some_and(|openais| path.is_some_and(|path| path.starts_with(openais)))
    }

    /// Whether all of its clients are of another dialect: then a path that names it is translated too.
    pub fn has_no_clients(&self) -> bool {
        self.api.dialects.is_empty()
    }

    /// Where it takes a call.
    pub fn url(&self, place: &Place<'_>) -> String {
        (self.api.url)(self, place)
    }

    /// Whether a pattern of it that is not true of every name is true of this one, and it does not deny it.
    pub fn matches(&self, model: &str) -> bool {
        let mut patterns = self.allow.iter().filter(|glob| !glob.is_any());
        patterns.any(|glob| glob.matches(model)) && !self.denies(model)
    }

    /// Whether it takes whatever it does not deny.
    pub fn takes_any(&self) -> bool {
        self.allow.iter().any(Glob::is_any)
    }

    /// Whether it does not take this model, whatever else is true of it.
    pub fn denies(&self, model: &str) -> bool {
        self.deny.iter().any(|glob| glob.matches(model))
    }
}
