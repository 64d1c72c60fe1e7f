//! The filter contract.
pub mod exchange;
pub use exchange::{Endpoint, Outcome};
