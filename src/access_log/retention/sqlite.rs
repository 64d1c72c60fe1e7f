//! Retention on SQLite: small transactions, so that the writer gets its turn between them, and pages given
//! back to the file system bit by bit.

use sea_orm::sqlx::sqlite::SqlitePool;
use sea_orm::sqlx::{self, AssertSqlSafe};

use crate::access_log::retention::{Pruned, ROWS, WITH_BODIES};
use crate::database::time_text;

/// Pages given back at once.
const PAGES: u32 = 2_000;

/// Deletes exchanges from before a time, with all that hangs on them.
pub(super) async fn exchanges(
    pool: &SqlitePool,
    before_us: i64,
    pruned: &mut Pruned,
) -> Result<(), sqlx::Error> {
    let oldest = |column: &str| {
        format!(
            "(SELECT {column} FROM exchanges WHERE created_at < $1 ORDER BY created_at, id LIMIT {ROWS})"
        )
    };
    let statements = [
        format!(
            "DELETE FROM attempts WHERE request_id IN {}",
            oldest("request_id")
        ),
        format!(
            "DELETE FROM filter_verdicts WHERE request_id IN {}",
            oldest("request_id")
        ),
        format!(
            "DELETE FROM exchange_bodies WHERE request_id IN {}",
            oldest("request_id")
        ),
        format!("DELETE FROM exchanges WHERE id IN {}", oldest("id")),
    ];
    while let Some(gone) = step(pool, &statements, before_us).await? {
        pruned.exchanges += gone;
    }
    Ok(())
}

/// Deletes bodies from before a time and marks their rows.
pub(super) async fn bodies(
    pool: &SqlitePool,
    before_us: i64,
    pruned: &mut Pruned,
) -> Result<(), sqlx::Error> {
    let oldest = |column: &str| {
        format!(
            "(SELECT {column} FROM exchange_bodies WHERE created_at < $1 \
             ORDER BY created_at, rowid LIMIT {ROWS})"
        )
    };
    let statements = [
        format!(
            "UPDATE exchanges SET body_state = 'expired' \
             WHERE request_id IN {} AND body_state IN {WITH_BODIES}",
            oldest("request_id")
        ),
        format!(
            "DELETE FROM exchange_bodies WHERE rowid IN {}",
            oldest("rowid")
        ),
    ];
    while let Some(gone) = step(pool, &statements, before_us).await? {
        pruned.expired += gone;
    }
    Ok(())
}

/// Runs the statements in one transaction. Returns how many rows the last one touched, `None` for none.
async fn step(
    pool: &SqlitePool,
    statements: &[String],
    before_us: i64,
) -> Result<Option<u64>, sqlx::Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let mut gone = 0;
    for statement in statements {
        gone = sqlx::query(AssertSqlSafe(statement.as_str()))
            .bind(time_text::format(before_us))
            .execute(&mut *transaction)
            .await?
            .rows_affected();
    }
    transaction.commit().await?;
    if gone > 0 {
        vacuum(pool).await?;
    }
    Ok((gone > 0).then_some(gone))
}

async fn vacuum(pool: &SqlitePool) -> Result<(), sqlx::Error> {
    let sql = format!("PRAGMA incremental_vacuum({PAGES})");
    sqlx::query(AssertSqlSafe(sql))
        .fetch_all(pool)
        .await
        .map(|_| ())
}

/// Gives the file's free pages back. A file made by another program without `auto_vacuum` keeps them.
pub(super) async fn give_back(pool: &SqlitePool) -> Result<(), sqlx::Error> {
    let mut left = i64::MAX;
    loop {
        let free: i64 = sqlx::query_scalar("PRAGMA freelist_count")
            .fetch_one(pool)
            .await?;
        if free == 0 || free >= left {
            return Ok(());
        }
        left = free;
        vacuum(pool).await?;
    }
}
