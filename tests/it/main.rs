//! Integration tests, one binary: each module is a subject.

mod cli;
mod columns;
mod filters;
mod providers;
mod schema;
mod store;
mod support;
mod thread;
