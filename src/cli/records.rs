//! What the commands share that read the record or mend it: a runtime, and the database of the configuration. They take
//! no instance lock; a database that is busy is waited for as long as `database` says.

use std::future::Future;

use anyhow::Context;

use crate::access_log::query::QueryError;
use crate::config::DatabaseUrl;
use crate::database::{Database, DatabaseError};

use super::exit::{Exit, Failure};

/// Reads the id of an exchange, for options.
pub(super) fn id(text: &str) -> Result<uuid::Uuid, String> {
    uuid::Uuid::parse_str(text).map_err(|_| {
        "expected the id of an exchange, as the answer's header x-aiproxy-request-id has it and `aiproxy logs` lists it"
            .to_owned()
    })
}

/// Runs a command's work on a runtime of its own.
///
/// # Errors
/// The work's, or the machine has no descriptors left.
pub(super) fn run<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?
        .block_on(work)
}

/// The database of the records, with the schema that this program knows.
///
/// # Errors
/// A sentence for people, with exit code 1 or 3.
pub(super) async fn open(url: &DatabaseUrl) -> Result<Database, Failure> {
    let opened = Database::open_existing_current(url).await;
    opened.map_err(|error| failure(url, error))
}

/// What is said about a database, with its exit code.
pub(super) fn failure(url: &DatabaseUrl, error: DatabaseError) -> Failure {
    match error {
        DatabaseError::Schema(why) => Failure {
            exit: Exit::Schema,
            message: format!("the schema of {url} does not fit: {why}"),
        },
        DatabaseError::Unavailable(why) => {
            let mend = match url.sqlite_file() {
                Some(file) if !file.exists() => {
                    "; `aiproxy serve` or `aiproxy migrate up` makes it, --database-url or database.url names another"
                }
                Some(_) | None => "",
            };
            Failure::failed(format!("cannot open {url}: {why}{mend}"))
        }
    }
}

/// What is said when reading failed.
pub(super) fn unreadable(url: &DatabaseUrl, error: &QueryError) -> Failure {
    Failure::failed(format!("cannot read {url}: {error}"))
}

/// What is said about an id that has no row.
pub(super) fn unknown(url: &DatabaseUrl, id: uuid::Uuid) -> Failure {
    Failure::failed(format!(
        "no exchange {id} in {url}; one that is not finished, or has ended in the last two seconds, is not there yet"
    ))
}
