//! Integration tests.

mod cli;
mod schema;
mod support;
