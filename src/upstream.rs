//! The upstream side: providers and the way to reach them.

pub mod transport;
