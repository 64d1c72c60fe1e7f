//! aiproxy: the flight recorder for LLM traffic.
//!
//! The program is this library and a few lines of `main.rs`. A program of one's own starts with
//! [`Gateway::builder`], adds filters, columns and observers, and runs it; filters are written against
//! [`filter`]. The layers, the way of one request through them, and what must always hold are in
//! `ARCHITECTURE.md`.

pub mod access_log;
pub mod cli;
pub mod clock;
pub mod config;
pub mod database;
pub mod dialect;
pub mod gateway;
pub mod pipeline;
pub mod pricing;
pub mod routing;
pub mod server;
pub mod shared_state;
pub mod telemetry;
pub mod tokens;
pub mod upstream;
pub mod wire;
pub use aiproxy_filters as filter;

pub use gateway::{Gateway, StartError};

/// The result of running a gateway.
pub type Result<T> = std::result::Result<T, StartError>;

/// The README, so that its Rust is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub mod readme {}
