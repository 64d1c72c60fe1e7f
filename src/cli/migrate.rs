//! The options of `migrate`.

/// Options of `migrate`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the schema of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Subcommand)]
pub enum Action {
    /// Bring it up to date
    Up,
    /// Print which migrations ran and which are pending
    Status,
}
