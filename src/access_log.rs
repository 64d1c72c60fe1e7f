//! The access log: what happened, kept in SQL.

pub mod capture;
pub mod draft;
pub mod record;
pub mod redact;
