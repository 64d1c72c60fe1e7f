//! Signs requests as AWS wants it (Signature Version 4, in the `Authorization` header). Pure: the time is an argument.
//!
//! Source: "Create a signed AWS API request" in the IAM user guide, read 2026-11. A path is encoded once more than it
//! travels, which is the rule for every service but S3; a `%3A` in it becomes `%253A` in what is signed.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::wire::percent;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Who signs, for which service where.
pub struct Signer {
    access_key_id: String,
    secret_access_key: SecretString,
    session_token: Option<SecretString>,
    region: String,
    service: &'static str,
}

/// What of a request is signed.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// The path as it travels.
    pub path: &'a str,
    /// The query as it travels, without its question mark.
    pub query: &'a str,
    /// Headers to sign besides those that signing adds; `host` has to be among them.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The whole body.
    pub body: &'a [u8],
}

impl Signer {
    /// One for these credentials.
    pub fn new(
        access_key_id: String,
        secret_access_key: SecretString,
        session_token: Option<SecretString>,
        region: String,
        service: &'static str,
    ) -> Self {
        Self {
            access_key_id,
            secret_access_key,
            session_token,
            region,
            service,
        }
    }

    /// What of it must never be kept or shown.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.secret_access_key)
            .chain(&self.session_token)
            .map(ExposeSecret::expose_secret)
    }

    /// The headers that make a request a signed one, `authorization` last.
    pub fn sign(&self, request: &Signed<'_>, at: Timestamp) -> Vec<(&'static str, String)> {
        let time = at.strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = at.strftime("%Y%m%d").to_string();
        let mut added = vec![("x-amz-date", time.clone())];
        if let Some(token) = &self.session_token {
            added.push(("x-amz-security-token", token.expose_secret().to_owned()));
        }
        let own = added.iter().map(|(name, value)| (*name, value.as_bytes()));
        let headers: Vec<_> = request.headers.iter().copied().chain(own).collect();
        let (canonical, signed_names) = canonical(request, &headers);
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let hash = hex(&Sha256::digest(canonical));
        let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{hash}");
        let secret = format!("AWS4{}", self.secret_access_key.expose_secret());
        let key = [&*day, &*self.region, self.service, "aws4_request"]
            .iter()
            .fold(secret.into_bytes(), |key, part| hmac(&key, part.as_bytes()));
        let signature = hex(&hmac(&key, to_sign.as_bytes()));
        let credential = &self.access_key_id;
        added.push((
            "authorization",
            format!(
                "{ALGORITHM} Credential={credential}/{scope}, SignedHeaders={signed_names}, Signature={signature}"
            ),
        ));
        added
    }
}

/// The request in the one spelling that is hashed, and the names of its headers.
fn canonical(request: &Signed<'_>, headers: &[(&str, &[u8])]) -> (Vec<u8>, String) {
    let mut names: Vec<String> = headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.sort();
    names.dedup();
    let mut out = format!(
        "{}\n{}\n{}\n",
        request.method,
        canonical_path(request.path),
        canonical_query(request.query)
    )
    .into_bytes();
    for name in &names {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        let values = headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        for (index, (_, value)) in values.enumerate() {
            if 0 < index {
                out.push(b',');
            }
            let words = value.split(|byte| *byte == b' ' || *byte == b'\t');
            let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
            out.extend_from_slice(&words.join(&b' '));
        }
        out.push(b'\n');
    }
    let names = names.join(";");
    let body = hex(&Sha256::digest(request.body));
    out.extend_from_slice(format!("\n{names}\n{body}").as_bytes());
    (out, names)
}

/// Each segment encoded once more; `.`, `..` and empty segments resolved.
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    let mut canonical = String::new();
    for segment in &segments {
        canonical.push('/');
        percent::push_encoded(&mut canonical, segment);
    }
    if segments.is_empty() || path.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

/// The parameters in one spelling and in their order.
fn canonical_query(query: &str) -> String {
    let encoded = |text: &str| {
        let decoded = percent::decoded(text);
        let mut out = String::new();
        percent::push_encoded(&mut out, decoded.as_deref().unwrap_or(text));
        out
    };
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    // Keys of any length are taken; the other case does not occur.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests;
