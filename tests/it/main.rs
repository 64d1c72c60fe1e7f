//! Integration tests, one binary: each module is a subject.

mod cli;
mod schema;
mod store;
mod support;
mod thread;
