//! The texts of the INSERT statements, built with sea-query once a shape and kept: a connection that sees the
//! same text again uses what it has prepared.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::sea_query::error::Error;
use sea_orm::sea_query::{
    Alias, Expr, InsertStatement, OnConflict, PostgresQueryBuilder, Query, SqliteQueryBuilder,
};

use crate::access_log::store::batch::{Matrix, Place};

/// Numbers of rows that a SQLite statement is made for. More sizes would mean more texts to prepare, larger
/// ones more memory held by a prepared statement, which keeps the values of its last run.
pub(super) const SQLITE_ROWS: [usize; 4] = [64, 16, 4, 1];

/// Most texts that are kept; beyond it all are forgotten. A process sees a few dozen.
const MOST: usize = 1_000;

/// What makes two INSERTs the same text: table, columns, rows (0: any number, as arrays).
type Shape = (&'static str, u128, usize);

/// The texts that were made.
#[derive(Debug, Default)]
pub(super) struct Statements {
    texts: Mutex<HashMap<Shape, Arc<str>>>,
}

impl Statements {
    /// `INSERT … VALUES (?, …), …` for a number of rows.
    pub(super) fn sqlite(&self, matrix: &Matrix<'_>, rows: usize) -> Result<Arc<str>, Error> {
        self.kept((matrix.table, matrix.used, rows), || {
            let places: Vec<Place<'_>> = matrix.used().map(|(_, place)| place).collect();
            let mut insert = head(matrix.table, &places);
            for _ in 0..rows {
                // The values of the text do not matter, only that each becomes a `?`.
                insert.values(places.iter().map(|_| Expr::val(0)))?;
            }
            Ok(insert.build(SqliteQueryBuilder).0)
        })
    }

    /// `INSERT … SELECT unnest($1::text[]), …`: one text for any number of rows, one array a column.
    pub(super) fn postgres(&self, matrix: &Matrix<'_>) -> Result<Arc<str>, Error> {
        self.kept((matrix.table, matrix.used, 0), || {
            let places: Vec<Place<'_>> = matrix.used().map(|(_, place)| place).collect();
            // Several of these side by side go forward together, one row of values at a time.
            let arrays = places.iter().enumerate().map(|(index, place)| {
                Expr::cust(format!(
                    "unnest(${}::{}[])",
                    index + 1,
                    place.kind.postgres()
                ))
            });
            let mut insert = head(matrix.table, &places);
            insert.select_from(Query::select().exprs(arrays).to_owned())?;
            Ok(insert.build(PostgresQueryBuilder).0)
        })
    }

    fn kept(
        &self,
        shape: Shape,
        make: impl FnOnce() -> Result<String, Error>,
    ) -> Result<Arc<str>, Error> {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = texts.get(&shape) {
            return Ok(text.clone());
        }
        if texts.len() >= MOST {
            texts.clear();
        }
        let text: Arc<str> = make()?.into();
        texts.insert(shape, text.clone());
        Ok(text)
    }
}

/// The part that both backends share: a row that is there stays as it is, and only new ones come back.
fn head(table: &'static str, places: &[Place<'_>]) -> InsertStatement {
    let mut insert = Query::insert();
    insert
        .into_table(table)
        .columns(places.iter().map(|place| Alias::new(place.name)))
        .on_conflict(OnConflict::new().do_nothing().to_owned());
    if table == "exchanges" {
        insert.returning_col("request_id");
    }
    insert.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access_log::record::LogRecord;

    #[test]
    fn texts_of_both_backends() {
        let record = LogRecord {
            tags: Some("{}".into()),
            ..LogRecord::default()
        };
        let matrices = Matrix::all(std::slice::from_ref(&record), &[]);
        let statements = Statements::default();
        let sqlite = statements.sqlite(&matrices[0], 2).unwrap();
        assert!(
            sqlite
                .starts_with("INSERT INTO \"exchanges\" (\"request_id\", \"created_at\", \"tags\"")
        );
        assert!(sqlite.ends_with(", ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT  DO NOTHING RETURNING \"request_id\""), "{sqlite}");
        let postgres = statements.postgres(&matrices[0]).unwrap();
        assert!(postgres.contains("SELECT unnest($1::text[]), unnest($2::timestamp with time zone[]), unnest($3::jsonb[])"), "{postgres}");
        assert!(Arc::ptr_eq(
            &sqlite,
            &statements.sqlite(&matrices[0], 2).unwrap()
        ));
    }
}
