//! The access log: what happened, kept in SQL.

pub mod columns;
pub mod draft;
pub mod query;
pub mod record;
pub mod retention;
pub mod store;
