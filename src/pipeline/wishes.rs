//! What a client wishes of the choice among targets, in headers of ours, which never travel.

use crate::config::RoutingConfig;
use crate::filter::Headers;

/// Most providers that a request can exclude.
const MOST_EXCLUDED: usize = 64;

/// Where the answer should come from: `x-aiproxy-region`, else as configured; an empty header wishes for none.
pub(super) fn region<'a>(headers: &'a Headers, settings: &'a RoutingConfig) -> Option<&'a str> {
    let wished = headers.get("x-aiproxy-region").map(str::trim);
    let region = wished.unwrap_or(&settings.preferred_region);
    Some(region).filter(|region| !region.is_empty())
}

/// Who is not to be asked: the names in `x-aiproxy-exclude-providers`, with commas between them.
pub(super) fn excluded(headers: &Headers) -> Vec<String> {
    let named = headers
        .get("x-aiproxy-exclude-providers")
        .unwrap_or_default();
    let names = named.split(',').map(str::trim);
    let names = names.filter(|name| !name.is_empty());
    names.take(MOST_EXCLUDED).map(str::to_owned).collect()
}
