//! aiproxy: the flight recorder for LLM traffic.

pub mod access_log;
pub mod dialect;
pub mod pipeline;
pub mod server;
pub mod upstream;
pub use aiproxy_filters as filter;
