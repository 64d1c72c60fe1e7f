//! How a database's schema stands to this program. Reads only.

use std::collections::BTreeSet;

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{DbBackend, Statement};

use crate::Migrator;

/// How a database's schema stands to this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// Nothing is missing.
    Current,
    /// These migrations have not run; all of them on an empty database.
    Behind(Vec<String>),
    /// The database has seen migrations that this program does not know.
    Newer(Vec<String>),
}

/// Compares the database's list of migrations with this program's.
///
/// # Errors
/// Whatever the database says when it is asked.
pub async fn schema_state<C: ConnectionTrait>(db: &C) -> Result<SchemaState, DbErr> {
    let known: BTreeSet<String> = Migrator::migrations()
        .iter()
        .map(|m| m.name().to_owned())
        .collect();
    let applied = applied(db).await?;
    let newer: Vec<String> = applied.difference(&known).cloned().collect();
    if !newer.is_empty() {
        return Ok(SchemaState::Newer(newer));
    }
    let pending: Vec<String> = known.difference(&applied).cloned().collect();
    Ok(if pending.is_empty() {
        SchemaState::Current
    } else {
        SchemaState::Behind(pending)
    })
}

/// Every migration that this program or the database knows, in order, and whether it has run.
///
/// # Errors
/// Whatever the database says when it is asked.
pub async fn status<C: ConnectionTrait>(db: &C) -> Result<Vec<(String, bool)>, DbErr> {
    let applied = applied(db).await?;
    let known = Migrator::migrations();
    let names: BTreeSet<String> = known
        .iter()
        .map(|m| m.name().to_owned())
        .chain(applied.iter().cloned())
        .collect();
    let with_state = |name: String| {
        let ran = applied.contains(&name);
        (name, ran)
    };
    Ok(names.into_iter().map(with_state).collect())
}

async fn applied<C: ConnectionTrait>(db: &C) -> Result<BTreeSet<String>, DbErr> {
    let backend = db.get_database_backend();
    let exists = match backend {
        DbBackend::Postgres => "SELECT 1 AS one WHERE to_regclass('seaql_migrations') IS NOT NULL",
        _ => {
            "SELECT 1 AS one FROM sqlite_master WHERE type = 'table' AND name = 'seaql_migrations'"
        }
    };
    if db
        .query_one_raw(Statement::from_string(backend, exists))
        .await?
        .is_none()
    {
        return Ok(BTreeSet::new());
    }
    let rows = db
        .query_all_raw(Statement::from_string(
            backend,
            "SELECT version FROM seaql_migrations",
        ))
        .await?;
    rows.iter().map(|row| row.try_get("", "version")).collect()
}
