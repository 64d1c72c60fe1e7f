//! The options of `prune`.

/// Options of `prune`: none of its own, the configuration says what goes.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Args {}
