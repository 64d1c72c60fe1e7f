//! aiproxy: the flight recorder for LLM traffic.

pub mod access_log;
pub mod cli;
pub mod clock;
pub mod config;
pub mod telemetry;
pub use aiproxy_filters as filter;
