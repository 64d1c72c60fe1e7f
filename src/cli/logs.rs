//! The options of `logs`.

#![expect(
    clippy::doc_markdown,
    reason = "docs of options are the help, where backticks are noise"
)]

use uuid::Uuid;

use super::moment::Moment;

/// Options of `logs`.
#[derive(Debug, Clone, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// One exchange instead of the list
    #[command(subcommand)]
    pub action: Option<Action>,
    /// Which exchanges
    #[command(flatten)]
    pub filter: Filter,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// What can be done besides listing.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Action {
    /// Print one exchange whole
    Show {
        /// Its id, the answer's header x-aiproxy-request-id
        #[arg(value_name = "ID")]
        id: Uuid,
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Which exchanges are listed: those that fit everything given.
#[derive(Debug, Clone, clap::Args)]
pub struct Filter {
    /// Not before: 15m, 2h, 7d, 2026-01-31 or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// Before, written the same way
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,
    /// Of this model, as it was asked for or as it answered; * and ? as in file names
    #[arg(long)]
    pub model: Option<String>,
    /// Of this end user
    #[arg(long)]
    pub user: Option<String>,
    /// That ended so: ok, upstream_error, client_disconnected, …
    #[arg(long)]
    pub outcome: Option<String>,
    /// With this text in the last message or in the answer
    #[arg(long, value_name = "TEXT")]
    pub grep: Option<String>,
    /// The newest so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}
