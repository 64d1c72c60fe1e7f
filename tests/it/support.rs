//! What integration tests share: scripted peers on both sides of the proxy.
//!
//! Both run on plain threads and blocking sockets, apart from any runtime, so
//! that a stalled proxy cannot stall its tests too.

pub(crate) mod fake_upstream;
pub(crate) mod framing;
pub(crate) mod raw_client;
pub(crate) mod signal;
