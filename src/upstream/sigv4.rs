//! Signs requests as AWS wants it (Signature Version 4, in the `Authorization` header). Pure: the time is an argument.
//!
//! Source: "Create a signed AWS API request" in the IAM user guide, read 2026-11. A path is encoded once more than it
//! travels, which is the rule for every service but S3; a `%3A` in it becomes `%253A` in what is signed.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use hmac::digest::Key;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::tz::Offset;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::wire::percent;

/// The word for it, by which a signature begins.
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Who signs, for which service where.
pub struct Signer {
    access_key_id: String,
    secret_access_key: SecretString,
    session_token: Option<SecretString>,
    region: String,
    service: &'static str,
    /// Shared by the worker threads, for who signs is of a provider. It is held for a comparison and a copy of two hashes'
    /// states, once a day for five hashes more.
    day_key: Mutex<Option<DayKey>>,
}

/// What signs on one day (UTC).
struct DayKey {
    day: String,
    mac: Hmac<Sha256>,
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
            day_key: Mutex::new(None),
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
        let (time, day) = times(at);
        let mut added = vec![("x-amz-date", time.clone())];
        if let Some(token) = &self.session_token {
            added.push(("x-amz-security-token", token.expose_secret().to_owned()));
        }
        let own = added.iter().map(|(name, value)| (*name, value.as_bytes()));
        let headers: Vec<_> = request.headers.iter().copied().chain(own).collect();
        let (canonical, signed_names) = canonical(request, &headers);
        let scope = [&*day, &*self.region, self.service, "aws4_request"].join("/");
        let hash = hex(&Sha256::digest(canonical));
        let to_sign = [ALGORITHM, &*time, &*scope, &*hash].join("\n");
        let mut mac = self.key_of(day);
        mac.update(to_sign.as_bytes());
        let signature = hex(&mac.finalize().into_bytes());
        let authorization = [
            ALGORITHM,
            " Credential=",
            &*self.access_key_id,
            "/",
            &*scope,
            ", SignedHeaders=",
            &*signed_names,
            ", Signature=",
            &*signature,
        ];
        added.push(("authorization", authorization.concat()));
        added
    }

    /// What signs on that day: derived once a day, for it takes more hashing than all else.
    fn key_of(&self, day: String) -> Hmac<Sha256> {
        let mut kept = self.day_key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = kept.as_ref().filter(|key| key.day == day) {
            return key.mac.clone();
        }
        let secret = format!("AWS4{}", self.secret_access_key.expose_secret());
        let mut mac = keyed(secret.as_bytes());
        for part in [&*day, &*self.region, self.service, "aws4_request"] {
            mac.update(part.as_bytes());
            mac = keyed(&mac.finalize().into_bytes());
        }
        *kept = Some(DayKey {
            day,
            mac: mac.clone(),
        });
        mac
    }
}

/// The moment and its day, as `20150830T123600Z` and `20150830`. Formatted by their patterns they would take longer than
/// all hashing.
fn times(at: Timestamp) -> (String, String) {
    let at = Offset::UTC.to_datetime(at);
    let mut time = String::with_capacity(16);
    for (number, digits) in [
        (i32::from(at.year()), 4),
        (at.month().into(), 2),
        (at.day().into(), 2),
        (at.hour().into(), 2),
        (at.minute().into(), 2),
        (at.second().into(), 2),
    ] {
        if time.len() == 8 {
            time.push('T');
        }
        for place in (0..digits).rev() {
            let digit = number.unsigned_abs() / 10_u32.pow(place) % 10;
            time.extend(char::from_digit(digit, 10));
        }
    }
    time.push('Z');
    let day = time.chars().take(8).collect();
    (time, day)
}

/// The request in the one spelling that is hashed, and the names of its headers.
fn canonical(request: &Signed<'_>, headers: &[(&str, &[u8])]) -> (Vec<u8>, String) {
    let mut sorted: Vec<(Cow<'_, str>, &[u8])> = headers
        .iter()
        .map(|(name, value)| (lower_case(name), *value))
        .collect();
    // Those of one name stay in their order.
    sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
    let (path, query) = (canonical_path(request.path), canonical_query(request.query));
    let mut out = [request.method, &*path, &*query, ""]
        .join("\n")
        .into_bytes();
    let mut names = String::new();
    for same in sorted.chunk_by(|(one, _), (other, _)| one == other) {
        for (index, (name, value)) in same.iter().enumerate() {
            if 0 < index {
                out.push(b',');
            } else {
                names.push_str(if names.is_empty() { "" } else { ";" });
                names.push_str(name);
                out.extend_from_slice(name.as_bytes());
                out.push(b':');
            }
            let words = value.split(|byte| *byte == b' ' || *byte == b'\t');
            for (index, word) in words.filter(|word| !word.is_empty()).enumerate() {
                out.extend_from_slice(if 0 < index { b" " } else { b"" });
                out.extend_from_slice(word);
            }
        }
        out.push(b'\n');
    }
    let body = hex(&Sha256::digest(request.body));
    for part in ["\n", &*names, "\n", &*body] {
        out.extend_from_slice(part.as_bytes());
    }
    (out, names)
}

fn lower_case(name: &str) -> Cow<'_, str> {
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => name.to_ascii_lowercase().into(),
        false => name.into(),
    }
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

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // Keys of any length are taken; the other case does not occur.
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Key::<Hmac<Sha256>>::default()))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    text.extend(digits.filter_map(|digit| char::from_digit(digit.into(), 16)));
    text
}

#[cfg(test)]
mod tests;
