//! OpenAI, and servers compatible with it.

use crate::filter::Dialect;
use crate::upstream::provider::Api;

/// The base URL has its version: compatible servers have others.
pub(super) const API: Api = Api {
    dialect: Dialect::Openai,
    version: "",
    key_header: "authorization",
    key_scheme: "Bearer ",
    headers: &[],
};
