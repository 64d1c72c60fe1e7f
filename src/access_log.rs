//! The access log: what happened, kept in SQL.

pub mod capture;
pub mod columns;
pub mod draft;
pub mod guard;
pub mod record;
pub mod recorder;
pub mod redact;
pub mod store;
