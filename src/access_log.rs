//! The access log: what happened, kept in SQL.

pub mod draft;
pub mod record;
