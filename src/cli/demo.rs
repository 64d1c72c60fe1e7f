//! The options of `demo`.

/// Options of `demo`: none; it needs no key, no network and no configuration.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Args {}
