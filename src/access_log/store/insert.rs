//! One transaction of a batch: every table's rows in, the ids of the new exchanges out.

use std::collections::HashSet;
use std::time::Duration;

use sea_orm::sqlx;
use sea_orm::sqlx::postgres::{PgArguments, PgConnection};
use sea_orm::sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sea_orm::sqlx::{Arguments, AssertSqlSafe, Connection, Row};

use crate::access_log::store::batch::Matrix;
use crate::access_log::store::statements::{SQLITE_ROWS, Statements};
use crate::database::value::{Cell, Jsonb, Kind, Timestamp, bind_sqlite};
use crate::database::{Fault, Pool, fault};

/// Longest time of one transaction; beyond it the connection is thrown away.
const TIME_LIMIT: Duration = Duration::from_secs(15);

/// Statements with more bytes of values than this are not kept prepared, for SQLite would keep the values too.
const KEPT_BYTES: usize = 512 << 10;

/// Stores the rows of some tables in one transaction and gives the request ids that were not there before. Each
/// table's values are gone before the next table's are asked for.
pub(super) async fn transaction<'a>(
    pool: &Pool,
    statements: &Statements,
    matrices: impl Iterator<Item = Result<Matrix<'a>, sqlx::Error>> + Send,
) -> Result<HashSet<String>, sqlx::Error> {
    match pool {
        Pool::Sqlite(pool) => {
            let mut connection = pool.acquire().await?;
            let work = sqlite(&mut connection, statements, matrices);
            let done = within_limit(work).await;
            if is_connection_doubtful(&done) {
                connection.close_on_drop();
            }
            done
        }
        Pool::Postgres(pool) => {
            let mut connection = pool.acquire().await?;
            let work = postgres(&mut connection, statements, matrices);
            let done = within_limit(work).await;
            if is_connection_doubtful(&done) {
                // Not given back to the pool, and without a farewell, which a hanging server never takes.
                drop(connection.detach());
            }
            done
        }
    }
}

async fn within_limit<T>(
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(TIME_LIMIT, work).await {
        Ok(done) => done,
        Err(_) => Err(too_slow()),
    }
}

/// Whether the next try needs another connection. A full disk makes SQLite roll back by itself, so that the
/// connection's books no longer fit; a connection to a server that was turned read-only stays so for its life.
fn is_connection_doubtful<T>(done: &Result<T, sqlx::Error>) -> bool {
    done.as_ref()
        .is_err_and(|error| fault(error) == Fault::Unavailable)
}

fn encode(error: sea_orm::sea_query::error::Error) -> sqlx::Error {
    sqlx::Error::Encode(error.into())
}

fn too_slow() -> sqlx::Error {
    let text = format!("the batch was not done within {TIME_LIMIT:?}");
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, text))
}

async fn sqlite<'a>(
    connection: &mut SqliteConnection,
    statements: &Statements,
    matrices: impl Iterator<Item = Result<Matrix<'a>, sqlx::Error>> + Send,
) -> Result<HashSet<String>, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut new = HashSet::new();
    for matrix in matrices {
        let mut matrix = matrix?;
        let mut from = 0;
        while from < matrix.rows {
            let left = matrix.rows - from;
            let count = SQLITE_ROWS
                .into_iter()
                .find(|size| *size <= left)
                .unwrap_or(1);
            let mut arguments = SqliteArguments::default();
            let used: Vec<usize> = matrix.used().map(|(place, _)| place).collect();
            arguments.reserve(used.len() * count, 0);
            let mut bytes = 0;
            for row in matrix.rows_mut(from, count) {
                for place in &used {
                    let cell = row.get_mut(*place).map(std::mem::take).unwrap_or_default();
                    bytes += length(&cell);
                    bind_sqlite(&mut arguments, cell).map_err(sqlx::Error::Encode)?;
                }
            }
            // Long values are let go of here, where they were made: freed by SQLite's thread, their memory would lie
            // fallow in this thread's heap while the next values take more.
            let long = (KEPT_BYTES < bytes).then(|| arguments.clone()); // reference-counted
            let rows = sqlx::query_with(
                AssertSqlSafe(statements.sqlite(&matrix, count).map_err(encode)?),
                arguments,
            )
            .persistent(bytes <= KEPT_BYTES)
            .fetch_all(&mut *transaction)
            .await?;
            drop(long);
            for row in rows {
                new.insert(row.try_get(0)?);
            }
            from += count;
        }
    }
    transaction.commit().await?;
    Ok(new)
}

async fn postgres<'a>(
    connection: &mut PgConnection,
    statements: &Statements,
    matrices: impl Iterator<Item = Result<Matrix<'a>, sqlx::Error>> + Send,
) -> Result<HashSet<String>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let mut new = HashSet::new();
    for matrix in matrices {
        let matrix = matrix?;
        let text = statements.postgres(&matrix).map_err(encode)?;
        let mut arguments = PgArguments::default();
        for (place, column) in matrix.used() {
            array(&mut arguments, &matrix, place, column.kind)?;
        }
        drop(matrix); // the arguments are a copy
        let rows = sqlx::query_with(AssertSqlSafe(text), arguments)
            .fetch_all(&mut *transaction)
            .await?;
        for row in rows {
            new.insert(row.try_get(0)?);
        }
    }
    transaction.commit().await?;
    Ok(new)
}

/// The values of a column's cells that are of its kind, NULL for the others.
macro_rules! values {
    ($cells:expr, $kind:ident($value:ident) => $form:expr) => {
        $cells
            .map(|cell| {
                if let Cell::$kind($value) = cell {
                    $form
                } else {
                    None
                }
            })
            .collect::<Vec<_>>()
    };
}

/// Adds one column of a matrix as an array. A cell of another kind than its column's becomes NULL.
fn array(
    arguments: &mut PgArguments,
    matrix: &Matrix<'_>,
    place: usize,
    kind: Kind,
) -> Result<(), sqlx::Error> {
    let cells = matrix.column(place);
    match kind {
        Kind::Text => arguments.add(values!(cells, Text(text) => Some(text.as_ref()))),
        Kind::Json => arguments.add(values!(cells, Text(text) => Some(Jsonb(text.as_ref())))),
        Kind::Integer => {
            arguments.add(values!(cells, Integer(number) => i32::try_from(*number).ok()))
        }
        Kind::BigInt => arguments.add(values!(cells, Integer(number) => Some(*number))),
        Kind::Double => arguments.add(values!(cells, Double(number) => Some(*number))),
        Kind::Boolean => arguments.add(values!(cells, Boolean(truth) => Some(*truth))),
        Kind::Time => arguments.add(values!(cells, Time(us) => Some(Timestamp(*us)))),
        Kind::Bytes => arguments.add(values!(cells, Bytes(bytes) => Some(&**bytes))),
    }
    .map_err(sqlx::Error::Encode)
}

fn length(cell: &Cell<'_>) -> usize {
    match cell {
        Cell::Text(text) => text.len(),
        Cell::Bytes(bytes) => bytes.len(),
        Cell::Null | Cell::Integer(_) | Cell::Double(_) | Cell::Boolean(_) | Cell::Time(_) => 8,
    }
}
