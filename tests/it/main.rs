//! Integration tests.

mod schema;
mod store;
mod support;
