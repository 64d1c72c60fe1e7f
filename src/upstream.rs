//! The upstream side: providers and the way to reach them.

pub mod headers;
pub mod provider;
pub mod registry;
pub mod transport;
