//! aiproxy: the flight recorder for LLM traffic.

pub mod access_log;
pub mod pipeline;
pub mod upstream;
pub use aiproxy_filters as filter;
