//! Which headers travel, both ways.

use crate::filter::Headers;
use crate::upstream::provider::{Provider, ProviderKey};

/// Headers that belong to one connection (RFC 9110, section 7.6.1).
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a client sends that is not for the provider.
const NOT_UPSTREAM: &[&str] = &[
    "host",
    "content-length",
    "accept-encoding",
    "cookie",
    "expect",
    "forwarded",
    "x-real-ip",
    "x-session-id",
];

/// Credentials of a client, which travel only where the proxy holds no key of its own.
const CLIENT_CREDENTIALS: &[&str] = &[
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-access-tokens",
    "x-auth-token",
    "x-amz-security-token",
    // Of a signature that is not ours.
    "x-amz-date",
    "x-amz-content-sha256",
];

/// Beginnings of header names that mean something in one dialect only.
const OF_A_DIALECT: &[&str] = &[
    "anthropic-",
    "openai-",
    "x-goog-",
    "x-amz-",
    "x-amzn-",
    "amz-sdk-",
];

const CONTENT_TYPE: &str = "content-type";

/// What a provider sends that is not for the client.
const NOT_DOWNSTREAM: &[&str] = &[
    "set-cookie",
    "alt-svc",
    "strict-transport-security",
    "content-length",
];

/// The headers of an upstream request: the client's end-to-end headers, then the provider's own, added last so
/// that nothing a client names in `Connection` can take them away. `key`: the one of ours that is shown. `url`: where it goes.
///
/// `is_translated`: the client speaks another dialect, so that its credentials and what is said in that dialect stay here,
/// and the body is JSON of ours, whatever the client's was said to be.
pub fn to_upstream<'a>(
    client: &'a Headers,
    provider: &'a Provider,
    key: Option<&'a ProviderKey>,
    url: &str,
    is_translated: bool,
) -> Vec<(&'a str, &'a [u8])> {
    let named = named_in_connection(client);
    let mut headers: Vec<(&str, &[u8])> = client
        .iter()
        .filter(|(name, _)| {
            let is_ours = name.starts_with("x-aiproxy-") || name.starts_with("x-forwarded-");
            let is_credential =
                (provider.has_key() || is_translated) && CLIENT_CREDENTIALS.contains(name);
            let is_foreign = is_translated
                && (*name == CONTENT_TYPE || OF_A_DIALECT.iter().any(|of| name.starts_with(of)));
            let is_set = provider.headers.iter().any(|(set, _)| set == name);
            !(HOP_BY_HOP.contains(name)
                || NOT_UPSTREAM.contains(name)
                || is_ours
                || is_credential
                || is_foreign
                || is_set
                || names(&named, name))
        })
        .collect();
    if let Some((name, value)) = key.and_then(|key| key.header(provider.is_openais(url))) {
        headers.push((name, value.as_bytes()));
    }
    let sets_type = provider.headers.iter().any(|(set, _)| set == CONTENT_TYPE);
    if is_translated && !sets_type {
        headers.push((CONTENT_TYPE, b"application/json"));
    }
    for (name, value) in provider.api.headers {
        let is_there = headers.iter().any(|(sent, _)| sent == name);
        if !is_there && !provider.headers.iter().any(|(set, _)| set == name) {
            headers.push((name, value.as_bytes()));
        }
    }
    for (name, value) in &provider.headers {
        headers.push((name, value.as_bytes()));
    }
    headers.push(("accept-encoding", b"identity"));
    headers
}

/// The headers of an answer that the client gets. `holds_secret` says whether a value holds a provider's key;
/// `cors` whether CORS headers are ours to give.
pub fn to_client(
    upstream: &Headers,
    cors: bool,
    holds_secret: impl Fn(&[u8]) -> bool,
) -> impl Iterator<Item = (&str, &[u8])> {
    let named = named_in_connection(upstream);
    upstream.iter().filter(move |(name, value)| {
        !(HOP_BY_HOP.contains(name)
            || NOT_DOWNSTREAM.contains(name)
            || (cors && name.starts_with("access-control-"))
            || name.starts_with("x-aiproxy-")
            || names(&named, name)
            || holds_secret(value))
    })
}

/// The values of `Connection`, which name further headers of this hop.
fn named_in_connection(headers: &Headers) -> Vec<&str> {
    if headers.get_bytes("connection").is_none() {
        return Vec::new();
    }
    headers
        .iter()
        .filter(|(name, _)| *name == "connection")
        .filter_map(|(_, value)| std::str::from_utf8(value).ok())
        .filter(|value| {
            !value.eq_ignore_ascii_case("keep-alive") && !value.eq_ignore_ascii_case("close")
        })
        .collect()
}

fn names(values: &[&str], name: &str) -> bool {
    values
        .iter()
        .flat_map(|value| value.split(','))
        .any(|named| named.trim().eq_ignore_ascii_case(name))
}

/// A provider for tests.
#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use crate::upstream::provider::{Api, Timeouts};
    use std::time::Duration;

    /// One that needs nothing.
    pub(in crate::upstream) fn provider(key: Option<&str>, api: &'static Api) -> Provider {
        let second = Duration::from_secs(1);
        Provider {
            name: "openai".to_owned(),
            api,
            base_url: "http://localhost/v1".to_owned(),
            keys: key
                .map(|key| ProviderKey::new("k".to_owned(), &key.to_owned().into(), api))
                .into_iter()
                .collect(),
            headers: vec![("x-set".to_owned(), "ours".to_owned())],
            timeouts: Timeouts {
                connect: second,
                first_byte: second,
                idle: second,
                total: second,
            },
            allow: vec![crate::config::Glob::new("*")],
            deny: Vec::new(),
            list: Vec::new(),
            weight: 1.0,
            region: None,
            retry_statuses: crate::config::Statuses::NONE,
            ask_for_usage: true,
            max_event_bytes: 1,
            api_version: String::new(),
            deployments: Vec::new(),
            request_fields: Vec::new(),
            urls: Vec::new(),
            user_passthrough: false,
            quirks: &crate::upstream::provider::Quirks::NONE,
            tls: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::provider;
    use super::*;
    use crate::upstream::{anthropic, bedrock, gemini, openai};

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        Headers::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_bytes())))
    }

    fn upstream_names(client: &[(&str, &str)], key: Option<&str>) -> Vec<String> {
        sent(client, &provider(key, &openai::API), false)
    }

    fn sent(client: &[(&str, &str)], provider: &Provider, is_translated: bool) -> Vec<String> {
        let client = headers(client);
        let mut names: Vec<String> = to_upstream(
            &client,
            provider,
            provider.keys.first(),
            "http://localhost/v1/x",
            is_translated,
        )
        .into_iter()
        .map(|(name, value)| format!("{name}={}", std::str::from_utf8(value).unwrap()))
        .collect();
        names.sort();
        names
    }

    #[test]
    fn hop_by_hop_headers_and_our_own_stay_here() {
        let got = upstream_names(
            &[
                ("host", "h"),
                ("connection", "close, x-private, authorization"),
                ("x-private", "1"),
                ("authorization", "Bearer client"),
                ("cookie", "c"),
                ("x-aiproxy-user", "u"),
                ("x-forwarded-for", "1.2.3.4"),
                ("accept", "*/*"),
                ("te", "trailers"),
                ("x-set", "theirs"),
            ],
            Some("sk-ours"),
        );
        assert_eq!(
            got,
            [
                "accept-encoding=identity",
                "accept=*/*",
                "authorization=Bearer sk-ours",
                "x-set=ours"
            ]
        );
    }

    #[test]
    fn without_a_key_the_clients_credentials_travel() {
        let got = upstream_names(&[("authorization", "Bearer client")], None);
        assert!(
            got.contains(&"authorization=Bearer client".to_owned()),
            "{got:?}"
        );
    }

    #[test]
    fn anthropic_gets_its_own_key_header_and_a_version() {
        let provider = provider(Some("sk-ours"), &anthropic::API);
        let ours = [
            "accept-encoding=identity",
            "x-api-key=sk-ours",
            "x-set=ours",
        ];
        for client in [("x-api-key", "theirs"), ("authorization", "Bearer theirs")] {
            let mut expected = ours.to_vec();
            expected.insert(1, "anthropic-version=2023-06-01");
            assert_eq!(sent(&[client], &provider, false), expected);
        }
        let mut expected = ours.to_vec();
        expected.insert(1, "anthropic-beta=b");
        expected.insert(2, "anthropic-version=2099-01-01");
        let client = [("anthropic-version", "2099-01-01"), ("anthropic-beta", "b")];
        assert_eq!(sent(&client, &provider, false), expected);
    }

    #[test]
    fn a_translated_body_is_json_whatever_the_client_says_of_its_own() {
        let apis = [&openai::API, &anthropic::API, &bedrock::API];
        for (said, api) in ["text/plain", "application/json; charset=utf-16", ""]
            .into_iter()
            .flat_map(|said| apis.map(|api| (said, api)))
        {
            let client: &[(&str, &str)] = match said {
                "" => &[],
                said => &[("content-type", said)],
            };
            let is_type = |header: &String| header.starts_with("content-type=");
            let mut provider = provider(Some("sk-ours"), api);
            let mut got = sent(client, &provider, true);
            got.retain(is_type);
            assert_eq!(got, ["content-type=application/json"], "{said}");
            let set = ("content-type".to_owned(), "application/x-ours".to_owned());
            provider.headers.push(set);
            let mut got = sent(client, &provider, true);
            got.retain(is_type);
            assert_eq!(got, ["content-type=application/x-ours"], "{said}");
        }
    }

    #[test]
    fn googles_path_of_openais_gets_the_key_as_a_bearer() {
        let provider = Provider {
            quirks: &gemini::QUIRKS,
            ..provider(Some("ours"), &gemini::API)
        };
        let client = headers(&[
            ("authorization", "Bearer theirs"),
            ("x-goog-api-key", "theirs"),
        ]);
        for (path, expected) in [
            (
                "/v1beta/openai/chat/completions",
                ("authorization", "Bearer ours"),
            ),
            ("/v1beta/openais", ("x-goog-api-key", "ours")),
            ("/v1beta/models/openai", ("x-goog-api-key", "ours")),
        ] {
            let url = [&*provider.base_url, path].concat();
            let sent = to_upstream(&client, &provider, provider.keys.first(), &url, false);
            let sent = sent
                .into_iter()
                .filter(|(_, value)| value.ends_with(b"ours"));
            let keys: Vec<_> = sent.filter(|(name, _)| *name != "x-set").collect();
            assert_eq!(keys, [(expected.0, expected.1.as_bytes())], "{path}");
        }
    }

    #[test]
    fn answers_lose_what_is_not_for_the_client() {
        let answer = headers(&[
            ("content-type", "application/json"),
            ("set-cookie", "s"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("x-echo", "Bearer sk-ours"),
            ("access-control-allow-origin", "*"),
            ("x-request-id", "req_1"),
            ("content-length", "3"),
        ]);
        let got: Vec<&str> = to_client(&answer, true, |value| value.ends_with(b"sk-ours"))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(got, ["content-type", "x-request-id"]);
    }
}
