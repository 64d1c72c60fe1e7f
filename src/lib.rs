//! aiproxy: the flight recorder for LLM traffic.

pub mod access_log;
pub mod cli;
pub use aiproxy_filters as filter;
