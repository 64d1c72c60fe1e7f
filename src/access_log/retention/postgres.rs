//! Retention on PostgreSQL: partitions of whole days go, each in a transaction of its own that does not wait
//! long for a lock. A day goes when all of it is past.

use std::collections::BTreeSet;

use crate::database::{ADVISORY_LOCK, PARTITIONED};
use sea_orm::sqlx::postgres::PgPool;
use sea_orm::sqlx::{self, AssertSqlSafe, Executor, Row};

use crate::access_log::retention::{Pruned, ROWS, WITH_BODIES};
use crate::access_log::store::LOCK_TIMEOUT;
use crate::database::time_text::{DAY_US, day_bounds, day_of_name};
use crate::database::value::Timestamp;

/// Drops the days of all tables that ended before a time.
pub(super) async fn exchanges(
    pool: &PgPool,
    before_us: i64,
    pruned: &mut Pruned,
) -> Result<(), sqlx::Error> {
    let mut past = BTreeSet::new();
    for table in PARTITIONED {
        past.extend(days(pool, table, before_us).await?);
    }
    for day in past {
        pruned.partitions += drop_day(pool, &PARTITIONED, day).await?;
    }
    Ok(())
}

/// Drops the days of bodies that ended before a time, their rows marked first.
pub(super) async fn bodies(
    pool: &PgPool,
    before_us: i64,
    pruned: &mut Pruned,
) -> Result<(), sqlx::Error> {
    for day in days(pool, "exchange_bodies", before_us).await? {
        pruned.expired += mark(pool, day).await?;
        pruned.partitions += drop_day(pool, &["exchange_bodies"], day).await?;
    }
    Ok(())
}

/// The days that a table has a partition for and that ended before a time.
async fn days(pool: &PgPool, table: &str, before_us: i64) -> Result<Vec<i64>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
         WHERE i.inhparent = to_regclass($1) ORDER BY c.relname",
    )
    .bind(table)
    .fetch_all(pool)
    .await?;
    let mut past = Vec::new();
    for row in rows {
        let name: String = row.try_get(0)?;
        let day = name
            .strip_prefix(table)
            .and_then(|rest| rest.strip_prefix("_p"));
        // A partition of another name is not ours to drop.
        past.extend(
            day.and_then(day_of_name)
                .filter(|day| (day + 1) * DAY_US <= before_us),
        );
    }
    Ok(past)
}

/// Marks the rows of a day whose bodies go, page by page in the order of the key.
async fn mark(pool: &PgPool, day: i64) -> Result<u64, sqlx::Error> {
    let sql = format!(
        "UPDATE exchanges SET body_state = 'expired' WHERE (created_at, id) IN (\
         SELECT created_at, id FROM exchanges \
         WHERE (created_at, id) > ($1, $2) AND created_at >= $1 AND created_at < $3 \
         AND body_state IN {WITH_BODIES} ORDER BY created_at, id LIMIT {ROWS}) \
         AND created_at >= $1 AND created_at < $3 RETURNING created_at, id"
    );
    let (mut from, to) = ((day * DAY_US, i64::MIN), Timestamp((day + 1) * DAY_US));
    let mut marked = 0;
    loop {
        let rows = sqlx::query(AssertSqlSafe(sql.as_str()))
            .bind(Timestamp(from.0))
            .bind(from.1)
            .bind(to)
            .fetch_all(pool)
            .await?;
        if rows.is_empty() {
            return Ok(marked);
        }
        for row in rows {
            from = from.max((row.try_get::<Timestamp, _>(0)?.0, row.try_get(1)?));
            marked += 1;
        }
    }
}

/// Drops a day's partitions of some tables. Returns how many were there.
async fn drop_day(pool: &PgPool, tables: &[&str], day: i64) -> Result<u64, sqlx::Error> {
    let (name, ..) = day_bounds(day);
    let mut transaction = pool.begin().await?;
    transaction.execute(LOCK_TIMEOUT).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)::text")
        .bind(ADVISORY_LOCK)
        .execute(&mut *transaction)
        .await?;
    let mut dropped = 0;
    for table in tables {
        let partition = format!("{table}_p{name}");
        let there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(&partition)
            .fetch_one(&mut *transaction)
            .await?;
        if there {
            transaction
                .execute(AssertSqlSafe(format!("DROP TABLE {partition}")))
                .await?;
            dropped += 1;
        }
    }
    transaction.commit().await?;
    Ok(dropped)
}
