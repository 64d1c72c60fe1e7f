//! The HTTP front: actix-web and nothing else.

pub mod client_socket;
pub mod error;
pub mod routes;
pub mod target;
