//! Integration tests, one binary: each module is a subject.

mod cli;
mod client_faults;
mod leaving;
mod schema;
mod store;
mod support;
mod thread;
