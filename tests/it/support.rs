//! What the integration tests stand on: databases, upstreams and clients that do as they are told, a gateway.

pub(crate) mod db;
pub(crate) mod fake_upstream;
pub(crate) mod framing;
pub(crate) mod gateway;
pub(crate) mod memory;
pub(crate) mod raw_client;
pub(crate) mod records;
pub(crate) mod signal;
pub(crate) mod tls_upstream;
pub(crate) mod wire;
