//! aiproxy: the flight recorder for LLM traffic.

pub mod access_log;
pub mod tokens;
pub mod wire;
pub use aiproxy_filters as filter;
