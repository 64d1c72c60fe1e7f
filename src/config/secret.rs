//! Credentials: a type that no log line, snapshot or serialiser can read, and the mask that is shown instead.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::Serializer;
use sha2::{Digest, Sha256};

/// A credential. It has no `Display` and no `Serialize`, `Debug` shows nothing of it, and its memory is wiped
/// when it is dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The credential itself: for the one place that sends it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What may be shown, see [`mask`].
    pub fn masked(&self) -> String {
        mask(self.expose())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

/// `***` and the first 8 hex digits of the SHA-256 of a credential, without its scheme (`Bearer` and the like):
/// enough to tell whether two are the same, nothing to use.
pub fn mask(credential: &str) -> String {
    let digest = Sha256::digest(without_scheme(credential).as_bytes());
    let hex: String = digest
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("***{hex}")
}

fn without_scheme(credential: &str) -> &str {
    let credential = credential.trim();
    match credential.split_once(' ') {
        Some((scheme, rest))
            if SCHEMES
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known)) =>
        {
            rest.trim_start()
        }
        Some(_) | None => credential,
    }
}

/// Whether the text is a credential with its scheme, as in `Bearer …`.
pub(super) fn has_scheme(text: &str) -> bool {
    without_scheme(text) != text.trim()
}

/// Authentication schemes in front of a credential (IANA HTTP authentication scheme registry, and `Token`).
const SCHEMES: &[&str] = &["Bearer", "Basic", "Digest", "Negotiate", "Token"];

/// Whether what goes by this name (a header, a query parameter, an option) is taken for a credential.
pub fn is_credential_name(name: &str) -> bool {
    const PARTS: &[&str] = &[
        "auth",
        "cookie",
        "credential",
        "key",
        "passphrase",
        "passwd",
        "password",
        "secret",
        "signature",
        "token",
    ];
    let name = name.to_ascii_lowercase();
    PARTS.iter().any(|part| name.contains(part))
}

/// A valid URL with its password and the credentials of its query masked.
pub fn mask_url(url: &str) -> String {
    let (address, query) = match url.split_once('?') {
        Some((address, query)) => (address, Some(query)),
        None => (url, None),
    };
    let mut masked = mask_password(address);
    if let Some(query) = query {
        let pairs: Vec<String> = query.split('&').map(mask_pair).collect();
        masked.push('?');
        masked.push_str(&pairs.join("&"));
    }
    masked
}

fn mask_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.to_owned();
    };
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) => (authority, format!("/{path}")),
        None => (rest, String::new()),
    };
    match authority.rsplit_once('@') {
        None => address.to_owned(),
        Some((user_info, host)) => {
            let (user, password) = match user_info.split_once(':') {
                Some((user, password)) => (user, format!(":{}", mask(password))),
                None => (user_info, String::new()),
            };
            format!("{scheme}://{user}{password}@{host}{path}")
        }
    }
}

fn mask_pair(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, value)) if is_credential_name(name) => format!("{name}={}", mask(value)),
        Some(_) | None => pair.to_owned(),
    }
}

/// A JSON value with every text masked that stands under a credential's name, and every URL's password.
pub fn mask_json(value: &serde_json::Value) -> serde_json::Value {
    mask_under(value, false)
}

fn mask_under(value: &serde_json::Value, credential: bool) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) if credential => mask(text).into(),
        Value::String(text) if text.contains("://") => mask_url(text).into(),
        Value::Array(items) => items
            .iter()
            .map(|item| mask_under(item, credential))
            .collect(),
        Value::Object(entries) => entries
            .iter()
            .map(|(name, value)| {
                (
                    name.clone(),
                    mask_under(value, credential || is_credential_name(name)),
                )
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// For `#[serde(serialize_with)]`: writes the mask.
pub(super) fn serialize_masked<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&secret.masked())
}

/// For `#[serde(serialize_with)]`: writes the mask, or null.
pub(super) fn serialize_masked_option<S: Serializer>(
    secret: &Option<Secret>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => to.serialize_some(&secret.masked()),
        None => to.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_is_the_same_with_and_without_a_scheme() {
        // First digits of SHA-256("sk-1").
        let expected = mask("sk-1");
        assert_eq!(expected.len(), 11);
        for written in ["Bearer sk-1", "bearer  sk-1", " sk-1 ", "Token sk-1"] {
            assert_eq!(mask(written), expected, "{written}");
        }
        assert_eq!(mask("abc"), "***ba7816bf");
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("canary")), "Secret(***)");
    }

    #[test]
    fn urls_keep_all_but_their_credentials() {
        for (url, expected) in [
            ("postgres://u:abc@h/db", "postgres://u:***ba7816bf@h/db"),
            ("postgres://u@h/db", "postgres://u@h/db"),
            ("postgres://u:abc@h", "postgres://u:***ba7816bf@h"),
            (
                "https://h/v1?key=abc&x=1",
                "https://h/v1?key=***ba7816bf&x=1",
            ),
            (
                "postgres:///db?password=abc",
                "postgres:///db?password=***ba7816bf",
            ),
            ("sqlite://aiproxy.db", "sqlite://aiproxy.db"),
        ] {
            assert_eq!(mask_url(url), expected);
        }
    }

    #[test]
    fn credentials_in_options_are_masked_at_any_depth() {
        let options = serde_json::json!({
            "api_key": "abc", "max_tokens": 5, "text": "abc",
            "headers": {"authorization": ["Bearer abc"]}, "url": "http://u:abc@h/"
        });
        let masked = serde_json::json!({
            "api_key": "***ba7816bf", "max_tokens": 5, "text": "abc",
            "headers": {"authorization": ["***ba7816bf"]}, "url": "http://u:***ba7816bf@h/"
        });
        assert_eq!(mask_json(&options), masked);
    }
}
