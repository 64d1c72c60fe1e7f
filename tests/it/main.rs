//! Integration tests, one binary: each module is a subject.

mod cli;
mod http_framing;
mod schema;
mod store;
mod support;
mod thread;
mod upstream_faults;
