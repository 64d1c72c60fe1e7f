//! Integration tests, one binary: each module is a subject.

mod cli;
mod columns;
mod filters;
mod providers;
mod readme;
mod schema;
mod store;
mod support;
mod thread;
