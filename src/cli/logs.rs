//! `logs`: the newest exchanges as a table or as JSON, and one exchange whole.

#![expect(
    clippy::doc_markdown,
    reason = "docs of options are the help, where backticks are noise"
)]

mod json;
mod show;
mod table;

use std::io::Write;

use uuid::Uuid;

use crate::access_log::query::{Cursor, LogFilter, Stored, get, list, own_columns};
use crate::clock::Clock;
use crate::config::DatabaseUrl;
use crate::database::Database;
use crate::filter::Outcome;

use super::moment::Moment;
use super::output::Output;
use super::records;

/// Rows that are read at once: texts may be long.
const PAGE: u32 = 200;

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
        #[arg(value_name = "ID", value_parser = records::id)]
        id: Uuid,
        /// As one JSON object
        #[arg(long, conflicts_with = "pretty")]
        json: bool,
        /// Bodies that are JSON with indents, not as they were sent
        #[arg(long)]
        pretty: bool,
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
    #[arg(long, value_parser = outcome)]
    pub outcome: Option<Outcome>,
    /// With this text in the last message, in the answer or in the error
    #[arg(long, value_name = "TEXT")]
    pub grep: Option<String>,
    /// The newest so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

fn outcome(word: &str) -> Result<Outcome, String> {
    serde_json::from_value(word.into()).map_err(|error| error.to_string())
}

impl Filter {
    /// The filter of the record's read side, at a time.
    fn at(&self, now_us: i64) -> LogFilter {
        LogFilter {
            since_us: self.since.map(|moment| moment.wall_us(now_us)),
            until_us: self.until.map(|moment| moment.wall_us(now_us)),
            model: self.model.clone(),
            user: self.user.clone(),
            outcome: self.outcome.map(|outcome| outcome.as_str().to_owned()),
            grep: self.grep.clone(),
            after: None,
            limit: self.limit,
        }
    }
}

/// Runs `logs`.
///
/// # Errors
/// The database is away or the id is not known (exit code 1), the database has another schema (3), or the output cannot
/// be written.
pub fn run<W: Write>(
    args: &Args,
    url: &DatabaseUrl,
    clock: &Clock,
    output: &mut Output<W>,
) -> anyhow::Result<()> {
    records::run(async {
        let database = records::open(url).await?;
        let printed = match &args.action {
            None => print_list(args, &database, clock.wall_us(), output).await,
            Some(Action::Show { id, json, pretty }) => {
                let form = match (json, pretty) {
                    (true, _) => Form::Json,
                    (false, true) => Form::Pretty,
                    (false, false) => Form::Text,
                };
                print_one(*id, form, &database, output).await
            }
        };
        database.close().await;
        printed
    })?;
    output.flush()
}

/// How one exchange is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Pretty,
    Json,
}

async fn print_list<W: Write>(
    args: &Args,
    database: &Database,
    now_us: i64,
    output: &mut Output<W>,
) -> anyhow::Result<()> {
    let mut pages = Pages {
        filter: args.filter.at(now_us),
        left: args.filter.limit,
    };
    if args.json {
        let unreadable = |error| records::unreadable(database.url(), &error);
        let own = own_columns(database).await.map_err(unreadable)?;
        while let Some(page) = pages.next(database, &own).await? {
            for stored in &page {
                output.bytes(json::row(stored, &own)?.as_bytes())?;
            }
        }
        return Ok(());
    }
    let mut rows = Vec::new();
    while let Some(page) = pages.next(database, &[]).await? {
        rows.extend(page.iter().map(|stored| table::Row::of(&stored.record)));
    }
    table::print(&rows, now_us, output)
}

/// Reads a list page by page.
struct Pages {
    filter: LogFilter,
    left: u32,
}

impl Pages {
    /// The next page; `None` when there are no more rows.
    async fn next(
        &mut self,
        database: &Database,
        own: &[crate::access_log::columns::CustomColumn],
    ) -> anyhow::Result<Option<Vec<Stored>>> {
        self.filter.limit = self.left.min(PAGE);
        if self.filter.limit == 0 {
            return Ok(None);
        }
        let page = list(database, own, &self.filter).await;
        let page = page.map_err(|error| records::unreadable(database.url(), &error))?;
        let full = page.len() >= self.filter.limit as usize;
        self.left = if full {
            self.left - self.filter.limit
        } else {
            0
        };
        self.filter.after = page.last().map(Cursor::from);
        Ok((!page.is_empty()).then_some(page))
    }
}

async fn print_one<W: Write>(
    id: Uuid,
    form: Form,
    database: &Database,
    output: &mut Output<W>,
) -> anyhow::Result<()> {
    let unreadable = |error| records::unreadable(database.url(), &error);
    let own = own_columns(database).await.map_err(unreadable)?;
    let stored = get(database, &own, &id.to_string())
        .await
        .map_err(unreadable)?
        .ok_or_else(|| records::unknown(database.url(), id))?;
    match form {
        Form::Json => output.bytes(json::whole(&stored, &own)?.as_bytes()),
        Form::Text => show::print(&stored, &own, show::Bodies::AsSent, output),
        Form::Pretty => show::print(&stored, &own, show::Bodies::Indented, output),
    }
}

/// The table of the newest exchanges of an open database, for other commands.
///
/// # Errors
/// The database cannot be read, or the output cannot be written.
pub(super) async fn print_newest<W: Write>(
    limit: u32,
    database: &Database,
    now_us: i64,
    output: &mut Output<W>,
) -> anyhow::Result<()> {
    let filter = LogFilter {
        limit,
        ..LogFilter::default()
    };
    let rows = list(database, &[], &filter).await;
    let rows = rows.map_err(|error| records::unreadable(database.url(), &error))?;
    let rows: Vec<table::Row> = rows
        .iter()
        .map(|stored| table::Row::of(&stored.record))
        .collect();
    table::print(&rows, now_us, output)
}
