//! The access log: what happened, kept in SQL. One guard an exchange, a spool that survives the process, a writer
//! thread that turns finished exchanges into rows, and the read side.

pub mod capture;
pub mod columns;
pub mod digest;
pub mod draft;
pub mod guard;
pub mod ledger;
pub mod long;
pub mod observer;
pub mod own_columns;
mod pages;
pub mod query;
pub mod queue;
pub mod record;
pub mod recorder;
pub mod redact;
pub mod retention;
pub mod spool;
pub mod store;
mod sync;
#[cfg(test)]
mod testing;
pub mod writer;
