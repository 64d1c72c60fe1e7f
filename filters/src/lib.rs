//! The filter contract.
pub mod exchange;
pub use exchange::{
    BodyError, Endpoint, EventKind, Headers, LlmRequest, LlmResponse, Message, Outcome,
    StreamEvent, Usage,
};
