//! aiproxy: the flight recorder for LLM traffic.

pub mod access_log;
pub mod cli;
pub mod clock;
pub mod config;
pub mod database;
pub mod dialect;
pub mod pipeline;
pub mod routing;
pub mod server;
pub mod telemetry;
pub mod tokens;
pub mod upstream;
pub mod wire;
pub use aiproxy_filters as filter;
