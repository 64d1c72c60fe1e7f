//! The access log: what happened, kept in SQL.

pub mod columns;
pub mod draft;
pub mod record;
pub mod store;
