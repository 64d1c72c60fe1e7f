//! The database schema of aiproxy: an ordered list of migrations, and the views, which are no migrations but
//! are made anew at the end of every run. Knows nothing of the program above it.
//!
//! Everything a run does happens in one transaction under one lock, so two instances that start together wait
//! for one another, and a run that fails half-way leaves the database as it was.

mod column;
mod m20261121_000001_record;
mod m20261201_000001_target_model;
mod state;
mod views;

pub use sea_orm_migration::sea_orm;
pub use state::{SchemaState, schema_state, status};
pub use views::VIEWS;

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{
    DatabaseConnection, DbBackend, SqliteTransactionMode, Statement, TransactionOptions,
    TransactionTrait,
};

/// Tables that PostgreSQL keeps in partitions of one UTC day of `created_at`, named `<table>_pYYYYMMDD`.
pub const PARTITIONED: [&str; 4] = [
    "exchanges",
    "exchange_bodies",
    "attempts",
    "filter_verdicts",
];

/// Key of the PostgreSQL advisory lock under which migrations run and partitions are made.
pub const ADVISORY_LOCK: i64 = 0x0061_6970_726f_7879;

/// Longest wait for another instance's migration on PostgreSQL, in seconds.
pub const LOCK_WAIT_S: u32 = 60;

/// The ordered list of migrations.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_000001_record::Migration),
            Box::new(m20261201_000001_target_model::Migration),
        ]
    }
}

/// Runs every pending migration and makes the views anew. Returns the names of the migrations that ran.
///
/// # Errors
/// Whatever the database says; nothing is changed then. The caller checks [`schema_state`] first: a database
/// newer than this program is an error here too, but one without a type of its own.
pub async fn up(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    let transaction = db
        .begin_with_options(TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        })
        .await?;
    if transaction.get_database_backend() == DbBackend::Postgres {
        for sql in [
            format!("SET LOCAL lock_timeout = '{LOCK_WAIT_S}s'"),
            "SET LOCAL statement_timeout = 0".to_owned(),
        ] {
            transaction.execute_unprepared(&sql).await?;
        }
        transaction
            .query_one_raw(Statement::from_sql_and_values(
                DbBackend::Postgres,
                "SELECT pg_advisory_xact_lock($1)::text",
                [ADVISORY_LOCK.into()],
            ))
            .await?;
    }
    let pending = Migrator::get_pending_migrations_read_only(&transaction).await?;
    let names: Vec<String> = pending.iter().map(|m| m.name().to_owned()).collect();
    Migrator::up(&transaction, None).await?;
    views::make_all(&transaction).await?;
    transaction.commit().await?;
    Ok(names)
}
