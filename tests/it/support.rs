//! What the integration tests share. The scripted peers on both sides of the proxy run on plain threads and
//! blocking sockets, apart from any runtime, so that a stalled proxy cannot stall its tests too.

pub(crate) mod db;
pub(crate) mod fake_upstream;
pub(crate) mod framing;
pub(crate) mod raw_client;
pub(crate) mod records;
pub(crate) mod signal;
