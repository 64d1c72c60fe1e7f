//! Throws away what is past its days: bodies on their own clock, then whole exchanges. PostgreSQL drops the
//! partitions of whole days, SQLite deletes in small transactions; both in constant memory, and both can be
//! broken off and begun anew at any point. Reads no clock: the time is given.

mod postgres;
mod sqlite;

use crate::database::time_text::DAY_US;
use crate::database::value::{Cell, execute};
use crate::database::{Database, DatabaseError, Pool};

/// States of a row whose bodies are there to expire.
const WITH_BODIES: &str = "('stored', 'truncated', 'redacted')";

/// Most rows in one transaction.
const ROWS: i64 = 1_000;

/// Rows in quarantine are few, so they go in one statement.
const QUARANTINE: &str = "DELETE FROM log_quarantine WHERE created_at < $1";

/// How long to keep what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Days to keep rows; 0 keeps them for ever.
    pub exchanges_days: u32,
    /// Days to keep headers and bodies; 0 keeps them as long as their rows.
    pub bodies_days: u32,
}

/// What was thrown away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Rows deleted from `exchanges`; 0 on PostgreSQL, which drops partitions without counting.
    pub exchanges: u64,
    /// Rows whose bodies went and which now say `expired`.
    pub expired: u64,
    /// Partitions dropped, of all tables; 0 on SQLite.
    pub partitions: u64,
}

/// Throws away what is past its days at a time given in microseconds since the Unix epoch.
///
/// # Errors
/// Whatever the database says; what went before stays gone, the rest goes next time.
pub async fn prune(
    database: &Database,
    retention: Retention,
    now_us: i64,
) -> Result<Pruned, DatabaseError> {
    let before = |days: u32| (days > 0).then(|| now_us.saturating_sub(i64::from(days) * DAY_US));
    let exchanges = before(retention.exchanges_days);
    let bodies = before(retention.bodies_days);
    let mut pruned = Pruned::default();
    if let Some(before_us) = exchanges {
        execute(database.write(), QUARANTINE, &[Cell::Time(before_us)]).await?;
    }
    match database.write() {
        Pool::Sqlite(pool) => {
            if let Some(before_us) = exchanges {
                sqlite::exchanges(pool, before_us, &mut pruned).await?;
            }
            if let Some(before_us) = bodies {
                sqlite::bodies(pool, before_us, &mut pruned).await?;
            }
            sqlite::give_back(pool).await?;
        }
        Pool::Postgres(pool) => {
            if let Some(before_us) = exchanges {
                postgres::exchanges(pool, before_us, &mut pruned).await?;
            }
            if let Some(before_us) = bodies {
                postgres::bodies(pool, before_us, &mut pruned).await?;
            }
        }
    }
    Ok(pruned)
}
