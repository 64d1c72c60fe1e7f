//! What the integration tests stand on: databases, upstreams and clients that do as they are told, a gateway.

pub(crate) mod canary;
pub(crate) mod db;
pub(crate) mod fake_upstream;
pub(crate) mod framing;
pub(crate) mod gateway;
pub(crate) mod invariants;
pub(crate) mod raw_client;
pub(crate) mod records;
pub(crate) mod served;
pub(crate) mod signal;
