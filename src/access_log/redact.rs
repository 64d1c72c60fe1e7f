//! Credentials become marks before anything is kept: `***` and the first 8 hex digits of the SHA-256 of the
//! credential without its scheme, so that two uses of one key can be told to be the same.

#[cfg(test)]
mod tests;

mod secrets;

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use sha2::{Digest, Sha256};

pub use self::secrets::Secrets;

use crate::wire::percent;

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

/// The credential in a text, given the mark that stands for it: nothing else of it is known where nothing of it is
/// kept. Looks at whole words only, with and without the signs that a key may hold and a sentence may put beside it.
pub fn marked_word<'a>(text: &'a str, mark_of_it: &str) -> Option<&'a str> {
    let in_key = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let in_token = |c: char| in_key(c) || ".~+/=".contains(c);
    let is_it =
        |word: &&str| SHORTEST_SEARCHED <= word.len() && mark(word.as_bytes()) == mark_of_it;
    text.split(|c| !in_token(c))
        .flat_map(|token| {
            let parts = token
                .split(|c| !in_key(c))
                .filter(move |part| *part != token);
            std::iter::once(token).chain(parts)
        })
        .find(is_it)
}

/// The marks in the values of headers as [`headers_json`] wrote them.
pub fn marks_in(headers_json: &str) -> Vec<String> {
    let headers: BTreeMap<String, String> = serde_json::from_str(headers_json).unwrap_or_default();
    headers
        .into_iter()
        .filter(|(name, _)| is_credential_header(name))
        .flat_map(|(_, value)| value.split(", ").map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// The credentials in a query, with or without its question mark.
pub fn credentials_in_query(query: &str) -> impl Iterator<Item = &str> {
    let parameters = query.strip_prefix('?').unwrap_or(query).split('&');
    let pairs = parameters.filter_map(|parameter| parameter.split_once('='));
    pairs
        .filter(|(name, _)| is_credential_parameter(name))
        .map(|(_, value)| value)
}

/// Whether a parameter's value is a credential, in whatever spelling its name has.
fn is_credential_parameter(name: &str) -> bool {
    let decoded = percent::decoded(name);
    let name = decoded.as_deref().unwrap_or(name);
    CREDENTIAL_PARAMETERS
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// Path and query with the values of credential parameters marked.
pub fn path(path_and_query: &str) -> String {
    let Some((path, query)) = path_and_query.split_once('?') else {
        return path_and_query.to_owned();
    };
    let parameters: Vec<String> = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, value)) if is_credential_parameter(name) => {
                format!("{name}={}", mark(value.as_bytes()))
            }
            _ => parameter.to_owned(),
        })
        .collect();
    format!("{path}?{}", parameters.join("&"))
}

/// Headers as a JSON object with lower-case names, credentials marked. Values of a repeated name are joined by
/// `, `; bytes that are not UTF-8 are written as Latin-1, which is what HTTP says they are.
pub fn headers_json<'a>(
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    secrets: &Secrets,
) -> String {
    let headers: Vec<(&str, &[u8])> = headers.collect();
    let bytes = |(name, value): &(&str, &[u8])| name.len() + value.len() + QUOTES_AND_COMMAS;
    let mut json = String::with_capacity(headers.iter().map(bytes).sum::<usize>() + 2);
    json.push('{');
    for (index, (name, value)) in headers.iter().enumerate() {
        let (before, rest) = headers.split_at(index);
        if before.iter().any(|(other, _)| other == name) {
            continue;
        }
        let mut text = header_text(name, value, secrets);
        for (_, more) in rest.iter().skip(1).filter(|(other, _)| other == name) {
            let text = text.to_mut();
            text.push_str(", ");
            text.push_str(&header_text(name, more, secrets));
        }
        if 1 < json.len() {
            json.push(',');
        }
        put_json_string(&mut json, name);
        json.push(':');
        put_json_string(&mut json, &text);
    }
    json.push('}');
    json
}

/// Of each pair of a JSON object: four quotes, a colon, a comma.
const QUOTES_AND_COMMAS: usize = 6;

fn header_text<'a>(name: &str, value: &'a [u8], secrets: &Secrets) -> Cow<'a, str> {
    if is_credential_header(name) {
        return Cow::Owned(mark(value));
    }
    if secrets.occur_in(value) {
        let masked = secrets.mask(Bytes::copy_from_slice(value));
        return Cow::Owned(value_text(&masked).into_owned());
    }
    value_text(value)
}

fn value_text(value: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(value) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(value.iter().map(|byte| char::from(*byte)).collect()),
    }
}

/// The text as JSON, its quotes included. Texts without a character to escape, which headers mostly are, are copied.
fn put_json_string(json: &mut String, text: &str) {
    let plain = |byte: u8| 0x20 <= byte && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        json.push('"');
        json.push_str(text);
        json.push('"');
    } else {
        json.push_str(&serde_json::Value::from(text).to_string());
    }
}
