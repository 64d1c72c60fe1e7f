//! What a database error means for the one who must act on it.

use sea_orm::sqlx::Error as SqlxError;
use sea_orm::sqlx::error::DatabaseError as _;
use sea_orm::sqlx::postgres::PgDatabaseError;
use sea_orm::sqlx::sqlite::SqliteError;
use sea_orm::{DbErr, RuntimeErr};

/// What to do about a database error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The database is away, locked, full, read-only or slow: try again later.
    Unavailable,
    /// A value in the statement is to blame: the same rows will fail again.
    Poison,
    /// A table or column is not there or has another type: the schema is not ours.
    Schema,
    /// PostgreSQL has no partition for the row's day.
    NoPartition,
}

/// An error of the database as a whole.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Away, broken, locked or full. The caller goes on without it and tries again.
    #[error("database not available: {0}")]
    Unavailable(String),
    /// The schema does not fit this program: exit 3 at start, an alarm later.
    #[error("database schema does not fit: {0}")]
    Schema(String),
}

impl DatabaseError {
    /// Sorts an error that was met outside an insert, where no row can be to blame.
    pub fn from_sqlx(error: &SqlxError) -> Self {
        match fault(error) {
            Fault::Schema | Fault::NoPartition => Self::Schema(message(error)),
            Fault::Unavailable | Fault::Poison => Self::Unavailable(message(error)),
        }
    }

    /// As [`DatabaseError::from_sqlx`].
    pub fn from_orm(error: &DbErr) -> Self {
        let sqlx = match error {
            DbErr::Conn(RuntimeErr::SqlxError(error))
            | DbErr::Exec(RuntimeErr::SqlxError(error))
            | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
            _ => None,
        };
        match sqlx {
            Some(error) => Self::from_sqlx(error),
            None => match error {
                DbErr::Migration(text) | DbErr::Custom(text) => Self::Schema(text.clone()),
                other => Self::Unavailable(other.to_string()),
            },
        }
    }
}

impl From<SqlxError> for DatabaseError {
    fn from(error: SqlxError) -> Self {
        Self::from_sqlx(&error)
    }
}

impl From<DbErr> for DatabaseError {
    fn from(error: DbErr) -> Self {
        Self::from_orm(&error)
    }
}

/// The database's own words, with its code. PostgreSQL's *detail*, which may quote a row, is left out.
pub fn message(error: &SqlxError) -> String {
    match error {
        SqlxError::Database(inner) => match inner.code() {
            Some(code) => format!("{} (code {code})", inner.message()),
            None => inner.message().to_owned(),
        },
        SqlxError::PoolTimedOut => "no connection in time; is the server there?".to_owned(),
        other => other.to_string(),
    }
}

/// What to do about an error.
pub fn fault(error: &SqlxError) -> Fault {
    match error {
        SqlxError::Database(inner) => {
            if let Some(postgres) = inner.try_downcast_ref::<PgDatabaseError>() {
                postgres_fault(postgres.code(), postgres.message())
            } else if let Some(sqlite) = inner.try_downcast_ref::<SqliteError>() {
                let code = inner.code().and_then(|code| code.parse().ok()).unwrap_or(1);
                sqlite_fault(code, sqlite.message())
            } else {
                Fault::Unavailable
            }
        }
        SqlxError::Encode(_) => Fault::Poison,
        SqlxError::ColumnNotFound(_) | SqlxError::TypeNotFound { .. } => Fault::Schema,
        _ => Fault::Unavailable,
    }
}

/// By SQLSTATE class, PostgreSQL appendix A. 22 data exception, 23 integrity, 54 program limit exceeded
/// are about values; 42 and 0A about names and types (but 42501, a missing privilege, can be mended from
/// outside); everything else (08, 25, 28, 40, 53, 55, 57, 58, XX, …) about the server.
fn postgres_fault(code: &str, message: &str) -> Fault {
    let class = code.get(..2).unwrap_or(code);
    match (code, class) {
        ("23514", _) if message.starts_with("no partition of relation") => Fault::NoPartition,
        ("42501", _) => Fault::Unavailable,
        (_, "22" | "23" | "54") => Fault::Poison,
        (_, "42" | "0A") => Fault::Schema,
        _ => Fault::Unavailable,
    }
}

/// How SQLite's general error says that a table or column is missing or there already.
const ABOUT_NAMES: [&str; 4] = [
    "no such",
    "has no column",
    "already exists",
    "duplicate column",
];

/// By primary result code: 18 too big, 19 constraint, 20 mismatch, 25 range are about values; 1 is about
/// names when it says so; everything else about the file.
fn sqlite_fault(extended: i32, message: &str) -> Fault {
    match extended & 0xff {
        18 | 19 | 20 | 25 => Fault::Poison,
        1 if ABOUT_NAMES.iter().any(|words| message.contains(words)) => Fault::Schema,
        _ => Fault::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_classes() {
        for (code, message, expected) in [
            ("08006", "", Fault::Unavailable),
            ("25006", "", Fault::Unavailable),
            ("53100", "", Fault::Unavailable),
            ("53300", "", Fault::Unavailable),
            ("57014", "", Fault::Unavailable),
            ("57P01", "", Fault::Unavailable),
            ("40P01", "", Fault::Unavailable),
            ("55P03", "", Fault::Unavailable),
            ("42501", "", Fault::Unavailable),
            ("XX000", "", Fault::Unavailable),
            ("22021", "", Fault::Poison),
            ("22P05", "", Fault::Poison),
            ("23502", "", Fault::Poison),
            ("54000", "", Fault::Poison),
            ("23514", "new row violates check constraint", Fault::Poison),
            (
                "23514",
                "no partition of relation \"exchanges\" found for row",
                Fault::NoPartition,
            ),
            ("42P01", "", Fault::Schema),
            ("42703", "", Fault::Schema),
            ("", "", Fault::Unavailable),
        ] {
            assert_eq!(postgres_fault(code, message), expected, "{code} {message}");
        }
    }

    #[test]
    fn sqlite_codes() {
        for (code, message, expected) in [
            (5, "database is locked", Fault::Unavailable),
            (517, "database is locked", Fault::Unavailable),
            (
                8,
                "attempt to write a readonly database",
                Fault::Unavailable,
            ),
            (13, "database or disk is full", Fault::Unavailable),
            (14, "unable to open database file", Fault::Unavailable),
            (26, "file is not a database", Fault::Unavailable),
            (1, "cannot start a transaction", Fault::Unavailable),
            (1, "no such table: exchanges", Fault::Schema),
            (1, "table exchanges has no column named team", Fault::Schema),
            (1, "table attempts already exists", Fault::Schema),
            (18, "string or blob too big", Fault::Poison),
            (1299, "NOT NULL constraint failed", Fault::Poison),
            (20, "datatype mismatch", Fault::Poison),
        ] {
            assert_eq!(sqlite_fault(code, message), expected, "{code} {message}");
        }
    }
}
