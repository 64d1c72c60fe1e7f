//! The filter contract.
pub mod exchange;
pub mod headers;
pub use exchange::{Endpoint, Outcome};
pub use headers::Headers;
