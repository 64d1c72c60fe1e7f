//! The first half of a record, from a request's head.

use std::borrow::Cow;

use actix_web::HttpRequest;
use actix_web::http::Method;

use crate::access_log::draft::{Keep, Opened};
use crate::access_log::redact;
use crate::filter::{Dialect, Endpoint, Headers};
use crate::server::state::DataState;

/// Longest value that is kept of a header with an id or a name in it, in characters.
const LONGEST_NAME: usize = 256;

/// Most tags that a client may set.
const MOST_TAGS: usize = 32;

/// What a head says about an exchange.
pub fn opened(
    request: &HttpRequest,
    headers: &Headers,
    state: &DataState,
    request_id: uuid::Uuid,
    (endpoint, dialect): (Endpoint, Dialect),
) -> Opened {
    let text = |name: &str| {
        headers
            .get(name)
            .filter(|value| !value.is_empty())
            .map(|value| value.chars().take(LONGEST_NAME).collect::<String>())
    };
    let keep = keep(state.keep, headers.get("x-aiproxy-log"));
    let keeps_headers = keep == Keep::Full || state.has_own_columns;
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    Opened {
        request_id,
        created_at_us: state.worker.clock.wall_us(),
        instance: state.instance.clone(),
        config_version: state.config_version.clone(),
        client_request_id: text("x-request-id"),
        end_user: text("x-aiproxy-user"),
        session_id: text("x-session-id"),
        trace_id: headers.get("traceparent").and_then(trace_id),
        client_ip: state.client_ip(request, headers),
        endpoint,
        dialect,
        method: method(request.method()),
        path: redact::path(target),
        stream: None,
        requested_model: None,
        keep,
        request_headers: keeps_headers
            .then(|| redact::headers_json(headers.iter(), &state.worker.secrets)),
    }
}

fn method(method: &Method) -> Cow<'static, str> {
    match *method {
        Method::POST => "POST".into(),
        Method::GET => "GET".into(),
        _ => method.as_str().to_owned().into(),
    }
}

/// A client can only make logging stricter.
fn keep(configured: Keep, asked: Option<&str>) -> Keep {
    let asks_for = |word: &str| asked.is_some_and(|asked| asked.trim().eq_ignore_ascii_case(word));
    match configured {
        Keep::Nothing => Keep::Nothing,
        Keep::Full | Keep::Metadata if asks_for("none") => Keep::Nothing,
        Keep::Full if asks_for("metadata") => Keep::Metadata,
        Keep::Full | Keep::Metadata => configured,
    }
}

/// The trace id of a `traceparent` (W3C Trace Context, section 3.2): the 32 hex digits after the version.
fn trace_id(traceparent: &str) -> Option<String> {
    let id = traceparent.split('-').nth(1)?;
    let good = id.len() == 32
        && id.bytes().all(|byte| byte.is_ascii_hexdigit())
        && id.bytes().any(|byte| byte != b'0');
    good.then(|| id.to_ascii_lowercase())
}

/// The tags of `x-aiproxy-tags`: `team=blue,run=7`.
pub fn tags(headers: &Headers) -> Vec<(String, String)> {
    let cut = |text: &str| text.trim().chars().take(LONGEST_NAME).collect::<String>();
    headers
        .get("x-aiproxy-tags")
        .unwrap_or_default()
        .split(',')
        .filter_map(|tag| tag.split_once('='))
        .map(|(name, value)| (cut(name), cut(value)))
        .filter(|(name, _)| !name.is_empty())
        .take(MOST_TAGS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_only_make_logging_stricter() {
        let cases = [
            (Keep::Full, None, Keep::Full),
            (Keep::Full, Some("metadata"), Keep::Metadata),
            (Keep::Full, Some("none"), Keep::Nothing),
            (Keep::Full, Some("full"), Keep::Full),
            (Keep::Full, Some(" None "), Keep::Nothing),
            (Keep::Metadata, Some("full"), Keep::Metadata),
            (Keep::Metadata, Some("none"), Keep::Nothing),
            (Keep::Nothing, Some("metadata"), Keep::Nothing),
        ];
        for (configured, asked, expected) in cases {
            assert_eq!(
                keep(configured, asked),
                expected,
                "{configured:?} {asked:?}"
            );
        }
    }

    #[test]
    fn trace_ids_are_checked() {
        let good = "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(
            trace_id(good).as_deref(),
            Some("0af7651916cd43dd8448eb211c80319c")
        );
        for bad in [
            "",
            "00",
            "00-xyz-1-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        ] {
            assert_eq!(trace_id(bad), None, "{bad}");
        }
    }

    #[test]
    fn tags_are_pairs() {
        let headers =
            Headers::from_pairs([("x-aiproxy-tags", b"team=blue, run=7,=x,bare".as_slice())]);
        let expected = [("team", "blue"), ("run", "7")];
        let got = tags(&headers);
        assert_eq!(
            got,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
