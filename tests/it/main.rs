//! Integration tests, one binary: each module is a subject.

mod canary_scan;
mod cli;
mod client_faults;
mod doors;
mod headers;
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
