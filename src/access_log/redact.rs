//! Credentials become marks before anything is kept: `***` and the first 8 hex digits of the SHA-256 of the
//! credential without its scheme, so that two uses of one key can be told to be the same.

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;
use sha2::{Digest, Sha256};

use crate::filter::Headers;

/// Headers whose whole value is a credential.
const CREDENTIAL_HEADERS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-access-tokens",
    "x-auth-token",
    "cookie",
    "set-cookie",
    "x-amz-security-token",
];

/// Query parameters whose value is a credential.
const CREDENTIAL_PARAMETERS: &[&str] = &["key", "api_key", "api-key", "access_token"];

/// Schemes in front of a credential that do not belong to it.
const SCHEMES: &[&str] = &["bearer ", "basic ", "token "];

/// The shortest text that is searched for in bodies: a shorter one would match by chance.
const SHORTEST_SEARCHED: usize = 8;

/// Whether a header's value is a credential. `name` is lower-case.
pub fn is_credential_header(name: &str) -> bool {
    CREDENTIAL_HEADERS.contains(&name)
}

/// The mark that stands for a credential: `***` and 8 hex digits.
pub fn mark(credential: &[u8]) -> String {
    let digest = Sha256::digest(without_scheme(credential));
    let mut mark = String::with_capacity(11);
    mark.push_str("***");
    for byte in digest.iter().take(4) {
        for digit in [byte >> 4, byte & 15] {
            mark.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    mark
}

/// The credential of an `Authorization` value without `Bearer` and its like.
pub fn without_scheme(value: &[u8]) -> &[u8] {
    for scheme in SCHEMES {
        if let Some((head, rest)) = value.split_at_checked(scheme.len())
            && head.eq_ignore_ascii_case(scheme.as_bytes())
        {
            return rest.trim_ascii();
        }
    }
    value.trim_ascii()
}

/// Path and query with the values of credential parameters marked.
pub fn path(path_and_query: &str) -> String {
    let Some((path, query)) = path_and_query.split_once('?') else {
        return path_and_query.to_owned();
    };
    let parameters: Vec<String> = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, value))
                if CREDENTIAL_PARAMETERS
                    .iter()
                    .any(|known| name.eq_ignore_ascii_case(known)) =>
            {
                format!("{name}={}", mark(value.as_bytes()))
            }
            _ => parameter.to_owned(),
        })
        .collect();
    format!("{path}?{}", parameters.join("&"))
}

/// Headers as a JSON object with lower-case names, credentials marked. Values of a repeated name are joined by
/// `, `; bytes that are not UTF-8 are written as Latin-1, which is what HTTP says they are.
pub fn headers_json(headers: &Headers, secrets: &Secrets) -> String {
    let mut object = serde_json::Map::new();
    for (name, value) in headers.iter() {
        let text = if is_credential_header(name) {
            mark(value)
        } else {
            match std::str::from_utf8(value) {
                Ok(text) => secrets.mask_text(text),
                Err(_) => value.iter().map(|byte| char::from(*byte)).collect(),
            }
        };
        match object.get_mut(name) {
            Some(serde_json::Value::String(before)) => {
                before.push_str(", ");
                before.push_str(&text);
            }
            _ => {
                object.insert(name.to_owned(), serde_json::Value::String(text));
            }
        }
    }
    serde_json::Value::Object(object).to_string()
}

/// The texts that must never be kept, wherever they occur: the providers' keys, and a client's own.
#[derive(Clone, Default)]
pub struct Secrets {
    searched: Vec<Secret>,
}

#[derive(Clone)]
struct Secret {
    finder: Finder<'static>,
    mark: String,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.searched.len())
    }
}

impl Secrets {
    /// Collects the texts to search for; those under 8 bytes are left out.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut secrets = Self::default();
        for text in texts {
            secrets.add(text);
        }
        secrets
    }

    /// Adds one more text.
    pub fn add(&mut self, text: &[u8]) {
        let text = without_scheme(text);
        if SHORTEST_SEARCHED <= text.len() {
            self.searched.push(Secret {
                finder: Finder::new(text).into_owned(),
                mark: mark(text),
            });
        }
    }

    /// Whether one of them occurs.
    pub fn occur_in(&self, bytes: &[u8]) -> bool {
        self.searched
            .iter()
            .any(|secret| secret.finder.find(bytes).is_some())
    }

    /// The same bytes, or a copy with each occurrence marked.
    pub fn mask(&self, bytes: Bytes) -> Bytes {
        self.searched
            .iter()
            .fold(bytes, |bytes, secret| secret.mask(bytes))
    }

    /// A text with each occurrence marked.
    pub fn mask_text(&self, text: &str) -> String {
        self.searched.iter().fold(text.to_owned(), |text, secret| {
            match std::str::from_utf8(secret.finder.needle()) {
                Ok(needle) if text.contains(needle) => text.replace(needle, &secret.mark),
                _ => text,
            }
        })
    }

    /// The length of the longest of them: what may hang over a border between two pieces.
    pub fn longest(&self) -> usize {
        self.searched
            .iter()
            .map(|secret| secret.finder.needle().len())
            .max()
            .unwrap_or(0)
    }
}

impl Secret {
    fn mask(&self, bytes: Bytes) -> Bytes {
        let length = self.finder.needle().len();
        let mut masked: Option<BytesMut> = None;
        let mut from = 0;
        for at in self.finder.find_iter(&bytes) {
            let masked = masked.get_or_insert_with(|| BytesMut::with_capacity(bytes.len()));
            masked.extend_from_slice(bytes.get(from..at).unwrap_or_default());
            masked.extend_from_slice(self.mark.as_bytes());
            from = at + length;
        }
        match masked {
            None => bytes,
            Some(mut masked) => {
                masked.extend_from_slice(bytes.get(from..).unwrap_or_default());
                masked.freeze()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_ignores_the_scheme() {
        assert_eq!(mark(b"Bearer sk-abcdef"), mark(b"sk-abcdef"));
        assert!(mark(b"sk-abcdef").starts_with("***"));
        assert_eq!(mark(b"sk-abcdef").len(), 11);
    }

    #[test]
    fn credential_headers_and_embedded_keys_are_marked() {
        let secrets = Secrets::new([b"sk-provider-1".as_slice()]);
        let pairs: [(&str, &[u8]); 3] = [
            ("Authorization", b"Bearer sk-client"),
            ("x-echo", b"got sk-provider-1 here"),
            ("accept", b"*/*"),
        ];
        let json = headers_json(&Headers::from_pairs(pairs), &secrets);
        assert!(
            !json.contains("sk-client") && !json.contains("sk-provider-1"),
            "{json}"
        );
        assert!(json.contains(r#""accept":"*/*""#), "{json}");
        assert!(
            json.contains(&format!(r#""authorization":"{}""#, mark(b"sk-client"))),
            "{json}"
        );
    }

    #[test]
    fn queries_lose_their_keys() {
        assert_eq!(path("/v1/x?a=1"), "/v1/x?a=1");
        let masked = path("/v1/x?a=1&key=AIzaSecret&b=2");
        assert_eq!(masked, format!("/v1/x?a=1&key={}&b=2", mark(b"AIzaSecret")));
    }

    #[test]
    fn bodies_without_a_secret_are_not_copied() {
        let secrets = Secrets::new([b"sk-provider-1".as_slice()]);
        let clean = Bytes::from_static(b"nothing to see");
        assert_eq!(secrets.mask(clean.clone()).as_ptr(), clean.as_ptr());
        let masked = secrets.mask(Bytes::from_static(b"a sk-provider-1 b sk-provider-1"));
        assert!(!secrets.occur_in(&masked));
        assert!(masked.starts_with(b"a ***"));
    }
}
