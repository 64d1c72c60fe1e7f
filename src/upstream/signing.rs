//! Signs requests for providers whose key is no header: which parts of one are signed, and what is added to it.

use jiff::Timestamp;

use crate::upstream::provider::ProviderKey;
use crate::upstream::sigv4::{self, Signed};

/// Whether the value of an `Authorization` is a signature, which holds no key.
pub fn is_signature(value: &[u8]) -> bool {
    value.starts_with(sigv4::ALGORITHM.as_bytes())
}

/// A request as it is to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Unsigned<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// Absolute URL.
    pub url: &'a str,
    /// Its headers.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// Its whole body.
    pub body: &'a [u8],
}

/// The headers that make it a signed one; none where the key does not sign.
pub fn signature(
    key: Option<&ProviderKey>,
    request: &Unsigned<'_>,
    at: Timestamp,
) -> Vec<(&'static str, String)> {
    let Some(signer) = key.and_then(ProviderKey::signer) else {
        return Vec::new();
    };
    let rest = request.url.split_once("://").map_or("", |(_, rest)| rest);
    let (host, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    // Proxies on the way may change or add others.
    let content_type = request
        .headers
        .iter()
        .find(|(name, _)| *name == "content-type");
    let headers: Vec<(&str, &[u8])> = std::iter::once(("host", host.as_bytes()))
        .chain(content_type.copied())
        .collect();
    let signed = Signed {
        method: request.method,
        path,
        query,
        headers: &headers,
        body: request.body,
    };
    signer.sign(&signed, at)
}
