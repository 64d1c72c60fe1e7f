//! The access log: what happened, kept in SQL.

pub mod draft;
pub mod ledger;
pub mod observer;
pub mod queue;
pub mod record;
pub mod recorder;
pub mod spool;
mod sync;
#[cfg(test)]
mod testing;
pub mod writer;
