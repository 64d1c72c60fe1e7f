//! The upstream side: providers and the way to reach them.

mod anthropic;
mod azure;
mod gemini;
pub mod headers;
mod openai;
pub mod provider;
pub mod registry;
pub mod transport;
