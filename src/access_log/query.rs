//! The read side of the record: a page of rows, one exchange whole, the stored answer of one. Statement texts
//! are put together from fixed pieces; everything that a caller brings is a bound value.

mod children;
mod filter;
mod history;
mod own_columns;
mod replay;

pub use filter::{Cursor, LogFilter};
pub use history::{MOST_TURNS, Turn, history};
pub use own_columns::own_columns;
pub use replay::{StoredResponse, stored_response};

use std::time::Duration;

use sea_orm::sqlx;

use crate::access_log::columns::{self, CustomColumn, TABLES};
use crate::access_log::draft::ColumnValue;
use crate::access_log::record::LogRecord;
use crate::database::value::{Cell, Datum, Kind, Row, fetch};
use crate::database::{Database, message};

/// Longest time of one reading statement.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The database is away, slow or not ours.
    #[error("log store cannot be read: {0}")]
    Unavailable(String),
    /// A stored value that this program does not know, written by a newer one.
    #[error("the stored row is not understood: {0}")]
    NotUnderstood(String),
}

impl From<sqlx::Error> for QueryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(message(&error))
    }
}

/// A stored exchange.
#[derive(Debug, Clone)]
pub struct Stored {
    /// `exchanges.id`.
    pub id: i64,
    /// The row. From [`get`] with bodies, attempts and verdicts, from [`list`] without.
    pub record: LogRecord,
}

/// The newest exchanges that a filter selects, newest first, without bodies, attempts and verdicts. The next
/// page begins at the [`Cursor`] of the last one.
///
/// # Errors
/// [`QueryError::Unavailable`].
pub async fn list(
    database: &Database,
    custom: &[CustomColumn],
    filter: &LogFilter,
) -> Result<Vec<Stored>, QueryError> {
    let (condition, cells) = filter.condition(database.backend());
    let sql = format!(
        "SELECT {} FROM exchanges WHERE {condition} ORDER BY created_at DESC, id DESC LIMIT {}",
        names(custom),
        filter.limit
    );
    let rows = read(database, &sql, &cells).await?;
    rows.iter().map(|row| stored(row, custom)).collect()
}

/// One exchange whole, by its request id. `None` when it is not there.
///
/// # Errors
/// [`QueryError::Unavailable`]; [`QueryError::NotUnderstood`] for words of a newer program.
pub async fn get(
    database: &Database,
    custom: &[CustomColumn],
    request_id: &str,
) -> Result<Option<Stored>, QueryError> {
    let sql = format!(
        "SELECT {} FROM exchanges WHERE request_id = $1 LIMIT 1",
        names(custom)
    );
    let id = request_id.replace('\0', "");
    let rows = read(database, &sql, &[Cell::Text(id.into())]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let mut stored = stored(row, custom)?;
    children::read_into(database, &mut stored.record).await?;
    Ok(Some(stored))
}

/// Runs a reading statement within its time.
async fn read(database: &Database, sql: &str, cells: &[Cell<'_>]) -> Result<Vec<Row>, QueryError> {
    match tokio::time::timeout(TIME_LIMIT, fetch(database.read(), sql, cells)).await {
        Ok(rows) => Ok(rows?),
        Err(_) => Err(QueryError::Unavailable(format!(
            "no answer within {TIME_LIMIT:?}"
        ))),
    }
}

/// `id`, the built-in columns and the configured ones.
fn names(custom: &[CustomColumn]) -> String {
    let built_in = TABLES[0]
        .columns
        .iter()
        .map(|column| column.name.to_owned());
    let own = custom.iter().map(|column| format!("\"{}\"", column.name));
    std::iter::once("id".to_owned())
        .chain(built_in)
        .chain(own)
        .collect::<Vec<_>>()
        .join(", ")
}

fn stored(row: &Row, custom: &[CustomColumn]) -> Result<Stored, QueryError> {
    let id = match row.get(0, Kind::BigInt)? {
        Datum::Integer(id) => id,
        other => return Err(QueryError::NotUnderstood(format!("id {other:?}"))),
    };
    let mut record = LogRecord::default();
    let built_in = TABLES[0].columns;
    for (place, column) in built_in.iter().enumerate() {
        columns::set(&mut record, column, row.get(place + 1, column.kind)?);
    }
    for (place, column) in custom.iter().enumerate() {
        let value = match row.get(1 + built_in.len() + place, column.kind.kind())? {
            Datum::Text(text) => ColumnValue::Text(text),
            Datum::Integer(number) => ColumnValue::Integer(number),
            Datum::Double(number) => ColumnValue::Float(number),
            Datum::Boolean(truth) => ColumnValue::Integer(truth.into()),
            Datum::Null | Datum::Time(_) | Datum::Bytes(_) => continue,
        };
        record.columns.push((column.name.clone(), value));
    }
    Ok(Stored { id, record })
}
