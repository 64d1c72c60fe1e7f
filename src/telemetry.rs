//! What the process says about itself. Process logs go to stderr, one line an event whatever the event holds;
//! bodies, keys and addresses never go there.

pub mod background;
mod subscriber;
pub mod tasks;
pub mod watchdog;

pub use subscriber::{AlreadyStarted, LogFormat, init, subscriber};
