//! aiproxy: the flight recorder for LLM traffic.

pub mod access_log;
pub mod cli;
pub mod clock;
pub mod config;
pub mod database;
pub mod dialect;
pub mod gateway;
pub mod pipeline;
pub mod routing;
pub mod server;
pub mod telemetry;
pub mod tokens;
pub mod upstream;
pub mod wire;
pub use aiproxy_filters as filter;

pub use gateway::{Gateway, StartError};

/// The result of running a gateway.
pub type Result<T> = std::result::Result<T, StartError>;
