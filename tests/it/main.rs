//! Integration tests, one binary: each module is a subject.

mod cli;
mod kill_loop;
mod lifecycle;
mod outage;
mod schema;
mod store;
mod support;
mod thread;
