//! The key that a client shows, wherever it stands. Two that differ are refused: whoever checks one of them and acts on the
//! other is deceived.

use std::borrow::Cow;

use crate::access_log::redact::without_scheme;
use crate::filter::{Dialect, Headers};
use crate::pipeline::failure::Failure;
use crate::upstream::signing::is_signature;
use crate::wire::percent;

/// Headers that show a key. A cookie is none: browsers send it by themselves.
const HEADERS: &[&str] = &["authorization", "x-api-key", "api-key", "x-goog-api-key"];

/// Parameters of a query that show one. `access_token` is none: Google takes it beside a key, for another purpose.
const PARAMETERS: &[&str] = &["api_key", "api-key"];

/// Gemini's own; elsewhere the word may mean anything.
const GEMINIS: &str = "key";

/// Refuses a request that shows two different keys; the same one twice is one. `query`: with or without its question mark.
///
/// # Errors
/// [`Failure::TwoKeys`] with the places of both.
pub fn check(dialect: Dialect, headers: &Headers, query: &str) -> Result<(), Failure> {
    let in_headers = headers.iter().filter_map(|(name, value)| {
        let place = HEADERS.iter().find(|known| **known == name)?;
        let key = without_scheme(value);
        let is_key = !key.is_empty() && !is_signature(key);
        is_key.then_some((*place, Cow::Borrowed(key)))
    });
    let parameters = query.strip_prefix('?').unwrap_or(query).split('&');
    let in_query = parameters.filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let name = percent::decoded(name)?;
        let place = match dialect {
            Dialect::Gemini if name == GEMINIS => &GEMINIS,
            _ => PARAMETERS.iter().find(|known| **known == name)?,
        };
        let key = percent::decoded(value).unwrap_or_else(|| value.to_owned());
        (!key.is_empty()).then(|| (*place, Cow::Owned(key.into_bytes())))
    });
    let mut shown = in_headers.chain(in_query);
    let Some((first, key)) = shown.next() else {
        return Ok(());
    };
    match shown.find(|(_, other)| *other != key) {
        None => Ok(()),
        Some((second, _)) => Err(Failure::TwoKeys { first, second }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&str, &str)], query: &str) -> Option<(&'static str, &'static str)> {
        let pairs = headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()));
        match super::check(Dialect::Gemini, &Headers::from_pairs(pairs), query) {
            Ok(()) => None,
            Err(Failure::TwoKeys { first, second }) => Some((first, second)),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn s12_one_key_may_stand_in_many_places() {
        for (headers, query) in [
            (&[][..], ""),
            (&[("authorization", "Bearer a")], ""),
            (
                &[
                    ("authorization", "bearer a"),
                    ("x-api-key", "a"),
                    ("api-key", " a"),
                ],
                "?key=a&api_key=%61",
            ),
            (&[("authorization", "Bearer a"), ("x-api-key", "")], "?key="),
            (
                &[
                    ("authorization", "AWS4-HMAC-SHA256 Credential=x"),
                    ("x-api-key", "a"),
                ],
                "",
            ),
            (
                &[("x-goog-api-key", "a"), ("cookie", "key=b")],
                "?access_token=b&monkey=b&key",
            ),
            (
                &[("x-access-tokens", "b"), ("x-amz-security-token", "c")],
                "?key=a",
            ),
        ] {
            assert_eq!(check(headers, query), None, "{headers:?} {query}");
        }
    }

    #[test]
    fn s12_two_keys_are_refused_wherever_they_stand() {
        let places = [
            ("authorization", "Bearer "),
            ("x-api-key", ""),
            ("api-key", ""),
            ("x-goog-api-key", ""),
        ];
        for (first, scheme) in places {
            for (second, other_scheme) in places {
                let (a, b) = (format!("{scheme}a"), format!("{other_scheme}b"));
                let found = check(&[(first, &a), (second, &b)], "");
                assert_eq!(found, Some((first, second)));
            }
            for (query, parameter) in [
                ("?x=1&key=b", "key"),
                ("k%65y=b", "key"),
                ("?api-key=b", "api-key"),
            ] {
                let found = check(&[(first, &format!("{scheme}a"))], query);
                assert_eq!(found, Some((first, parameter)), "{query}");
            }
        }
        assert_eq!(check(&[], "?key=a&key=b"), Some(("key", "key")));
        let bearer = Headers::from_pairs([("authorization", b"Bearer a".as_slice())]);
        assert!(super::check(Dialect::Openai, &bearer, "?key=b").is_ok());
    }
}
