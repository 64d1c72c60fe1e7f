//! What the process says about itself. Process logs go to stderr, one line an event whatever the event holds;
//! bodies, keys and addresses never go there.

mod subscriber;

pub use subscriber::{AlreadyStarted, LogFormat, init, subscriber};
