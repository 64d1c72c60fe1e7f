//! Formats on the wire, as pure functions over bytes: no socket, no clock, no configuration.

pub mod json_check;
pub mod json_reader;
pub mod json_text;
pub mod relay_scanner;
pub mod sse;
