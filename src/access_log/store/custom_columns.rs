//! Makes the configured columns of `exchanges`: a new one is added, one that is there is checked.

use std::collections::HashMap;

use crate::database::ADVISORY_LOCK;
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, Executor, Row};

use crate::access_log::columns::{ColumnError, CustomColumn};
use crate::access_log::store::StoreError;
use crate::database::{Database, Pool};

/// Adds the columns that are missing, with their indexes.
pub(super) async fn make(database: &Database, columns: &[CustomColumn]) -> Result<(), StoreError> {
    if columns.is_empty() {
        return Ok(());
    }
    match database.write() {
        Pool::Sqlite(pool) => {
            let mut connection = pool.acquire().await?;
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let rows = sqlx::query("SELECT name, lower(type) FROM pragma_table_info('exchanges')")
                .fetch_all(&mut *transaction)
                .await?;
            let found = rows
                .iter()
                .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
            let found = found.collect::<Result<_, sqlx::Error>>()?;
            let wanted = |column: &CustomColumn| column.kind.kind().sqlite().to_lowercase();
            for sql in missing(&found, columns, wanted)? {
                transaction.execute(AssertSqlSafe(sql)).await?;
            }
            transaction.commit().await?;
        }
        Pool::Postgres(pool) => {
            let mut transaction = pool.begin().await?;
            // An index of a long table takes its time; a lock that others hold is not waited for as long.
            for sql in [
                "SET LOCAL lock_timeout = '10s'",
                "SET LOCAL statement_timeout = 0",
            ] {
                transaction.execute(sql).await?;
            }
            sqlx::query("SELECT pg_advisory_xact_lock($1)::text")
                .bind(ADVISORY_LOCK)
                .execute(&mut *transaction)
                .await?;
            let rows = sqlx::query(
                "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute \
                 WHERE attrelid = to_regclass('exchanges') AND attnum > 0 AND NOT attisdropped",
            )
            .fetch_all(&mut *transaction)
            .await?;
            let found = rows
                .iter()
                .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
            let found = found.collect::<Result<_, sqlx::Error>>()?;
            let wanted = |column: &CustomColumn| column.kind.kind().postgres().to_owned();
            for sql in missing(&found, columns, wanted)? {
                transaction.execute(AssertSqlSafe(sql)).await?;
            }
            transaction.commit().await?;
        }
    }
    Ok(())
}

/// The statements for what is missing, given the types that are there.
fn missing(
    found: &HashMap<String, String>,
    columns: &[CustomColumn],
    kind: impl Fn(&CustomColumn) -> String,
) -> Result<Vec<String>, ColumnError> {
    let mut statements = Vec::new();
    for column in columns {
        let (name, wanted) = (&column.name, kind(column));
        match found.get(name) {
            Some(there) if *there == wanted => {}
            Some(there) => {
                return Err(ColumnError::OtherType {
                    name: name.clone(),
                    found: there.clone(),
                    wanted: column.kind.as_str(),
                });
            }
            None => statements.push(format!(
                "ALTER TABLE exchanges ADD COLUMN \"{name}\" {wanted}"
            )),
        }
        if column.index {
            statements.push(format!(
                "CREATE INDEX IF NOT EXISTS \"{}\" ON exchanges (\"{name}\", created_at) \
                 WHERE \"{name}\" IS NOT NULL",
                index_name(name)
            ));
        }
    }
    Ok(statements)
}

/// PostgreSQL cuts names at 63 bytes, so a long column's index is named by a hash.
fn index_name(column: &str) -> String {
    if column.len() < 50 {
        format!("exchanges_own_{column}")
    } else {
        format!("exchanges_own_{:08x}", crc32c::crc32c(column.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_indexes_fit_and_differ() {
        let (one, two) = (
            format!("{}1", "x".repeat(60)),
            format!("{}2", "x".repeat(60)),
        );
        assert_eq!(index_name("team"), "exchanges_own_team");
        assert_ne!(index_name(&one), index_name(&two));
        assert!(index_name(&one).len() < 63 && index_name(&"y".repeat(49)).len() <= 63);
    }
}
