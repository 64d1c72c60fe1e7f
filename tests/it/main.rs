//! Integration tests, one binary: each module is a subject.

mod cli;
mod client_faults;
mod leaving;
mod replay;
mod routes;
mod schema;
mod security;
mod smuggling;
mod store;
mod support;
mod thread;
mod upload;
