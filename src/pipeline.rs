//! Runs exchanges.

pub mod failure;
pub mod generator;
