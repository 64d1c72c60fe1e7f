//! The client's side: which paths a family of clients calls, and how answers and errors look to it.
//!
//! Pure: no socket, no clock, no provider.

pub mod openai;
