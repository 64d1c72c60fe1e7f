//! The access log: what happened, kept in SQL.

pub mod digest;
pub mod draft;
pub mod record;
