//! The HTTP front: actix-web and nothing else. A handler reads, runs, and writes out.

pub mod about;
pub mod admin;
pub mod client_socket;
pub mod config_reload;
pub mod cors;
pub mod credentials;
pub mod current;
pub mod data;
pub mod detachable;
pub mod error;
pub mod form;
pub mod ingest;
pub mod listen;
pub mod manage;
pub mod metrics;
pub mod opened;
pub mod routes;
pub mod state;
pub mod target;
