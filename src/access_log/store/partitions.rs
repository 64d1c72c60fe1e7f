//! Partitions of one UTC day, which PostgreSQL keeps the record in: made before a day's first row, in a
//! transaction of their own that does not wait long for a lock, and dropped by retention.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::database::{ADVISORY_LOCK, PARTITIONED};
use sea_orm::sqlx::postgres::{PgConnection, PgPool};
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, Executor};

use crate::access_log::record::LogRecord;
use crate::database::time_text::{DAY_US, day_bounds};

/// Longest wait for a lock on a partitioned table.
pub(crate) const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";

/// The days that are known to have their partitions, counted from the Unix epoch.
#[derive(Debug, Default)]
pub(super) struct Days {
    known: Mutex<BTreeSet<i64>>,
}

impl Days {
    /// Makes the partitions of every day that these records need.
    pub(super) async fn make(
        &self,
        pool: &PgPool,
        records: &[LogRecord],
    ) -> Result<(), sqlx::Error> {
        let needed: BTreeSet<i64> = records
            .iter()
            .map(|record| record.created_at_us.div_euclid(DAY_US))
            .collect();
        let missing: Vec<i64> = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            needed.difference(&known).copied().collect()
        };
        for day in missing {
            make_day(pool, day).await?;
            self.known
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(day);
        }
        Ok(())
    }

    /// Forgets what is known, for somebody drops partitions.
    pub(super) fn forget(&self) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

/// Makes the partitions of a day that are not there yet.
async fn make_day(pool: &PgPool, day: i64) -> Result<(), sqlx::Error> {
    let (name, from, to) = day_bounds(day);
    let mut connection = pool.acquire().await?;
    let made = make_day_on(&mut connection, &name, &from, &to).await;
    if made.is_err() {
        // As with a batch: the next try needs another connection.
        drop(connection.detach());
    }
    made
}

async fn make_day_on(
    connection: &mut PgConnection,
    name: &str,
    from: &str,
    to: &str,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    transaction.execute(LOCK_TIMEOUT).await?;
    // Two instances at midnight: without this lock the second would fail on the catalogue.
    sqlx::query("SELECT pg_advisory_xact_lock($1)::text")
        .bind(ADVISORY_LOCK)
        .execute(&mut *transaction)
        .await?;
    for table in PARTITIONED {
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {table}_p{name} PARTITION OF {table} \
             FOR VALUES FROM ('{from}') TO ('{to}')"
        );
        transaction.execute(AssertSqlSafe(sql)).await?;
    }
    transaction.commit().await
}
