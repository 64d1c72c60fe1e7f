//! The upstream side: providers and the way to reach them.

mod anthropic;
pub mod headers;
mod openai;
pub mod provider;
pub mod registry;
pub mod transport;
