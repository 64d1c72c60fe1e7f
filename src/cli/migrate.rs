//! `migrate`: the schema of the database.

use std::io::Write;

use crate::config::DatabaseUrl;
use crate::database::Database;

use super::output::Output;
use super::records;

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

/// Runs `migrate`.
///
/// # Errors
/// The database is away (exit code 1) or newer than this program (3), or the output cannot be written.
pub fn run<W: Write>(args: &Args, url: &DatabaseUrl, output: &mut Output<W>) -> anyhow::Result<()> {
    match args.action {
        Action::Up => {
            let ran = records::run(async { Ok(up(url).await) })?;
            let ran = ran.map_err(|error| records::failure(url, error))?;
            for name in &ran {
                output.line(&format!("{name}: done"))?;
            }
            if ran.is_empty() {
                output.line(&format!("{url}: up to date, nothing to do"))?;
            }
        }
        Action::Status => {
            let known = records::run(async { Ok(status(url).await) })?;
            for (name, has_run) in known.map_err(|error| records::failure(url, error))? {
                let state = if has_run { "done" } else { "pending" };
                output.line(&format!("{name}: {state}"))?;
            }
        }
    }
    output.flush()
}

async fn up(url: &DatabaseUrl) -> Result<Vec<String>, crate::database::DatabaseError> {
    let database = Database::open(url).await?;
    let ran = database.migrate_up().await;
    database.close().await;
    ran
}

async fn status(url: &DatabaseUrl) -> Result<Vec<(String, bool)>, crate::database::DatabaseError> {
    let database = Database::open_existing(url).await?;
    let known = database.migrate_status().await;
    database.close().await;
    known
}
