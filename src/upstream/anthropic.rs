//! Anthropic's API.

use crate::filter::Dialect;
use crate::upstream::provider::Api;

/// The version that clients without one get. (docs.anthropic.com, API versions, read 2026-11.)
const VERSION: &str = "2023-06-01";

pub(super) const API: Api = Api {
    dialect: Dialect::Anthropic,
    version: "/v1",
    key_header: "x-api-key",
    key_scheme: "",
    headers: &[("anthropic-version", VERSION)],
};
