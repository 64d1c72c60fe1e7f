//! The upstream side: providers and the way to reach them.

mod anthropic;
mod argo;
mod asksage;
mod azure;
mod bedrock;
pub mod content_coding;
pub mod discovery;
mod gemini;
pub mod headers;
mod ocf;
mod openai;
pub mod provider;
pub mod registry;
pub mod signing;
pub mod sigv4;
pub mod transport;
