//! Where the database is: the forms of a URL that people have at hand, SQLAlchemy's among them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sea_orm::sqlx::postgres::PgConnectOptions;
use secrecy::{ExposeSecret, SecretString};

/// A checked database URL. `Debug` and `Display` mask the password.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// A SQLite file; a relative path is relative to the working directory.
    Sqlite(PathBuf),
    /// A SQLite database that lives and dies with the process.
    SqliteMemory,
    /// A PostgreSQL server, in the form `postgres://…`.
    Postgres(SecretString),
}

/// Why a text is no database URL. Never holds the URL itself, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// No `scheme:` at its head.
    #[error("not a database URL: expected sqlite://FILE or postgres://USER:PASSWORD@HOST/DATABASE")]
    NoScheme,
    /// Another kind of database.
    #[error("unknown kind of database `{0}`: expected sqlite or postgres")]
    UnknownKind(String),
    /// Something in the URL that the kind does not take.
    #[error("not a {kind} URL: {reason}")]
    Malformed {
        /// `SQLite` or `PostgreSQL`.
        kind: &'static str,
        /// What is wrong, without the URL.
        reason: String,
    },
}

impl DatabaseUrl {
    /// Reads a URL.
    ///
    /// `sqlite://x` and SQLAlchemy's `sqlite:///x` are relative, `sqlite:////x` is absolute; a driver after
    /// `+` is dropped; `sqlite::memory:`, `sqlite://` and `sqlite:///:memory:` live in memory only.
    ///
    /// # Errors
    /// Another scheme, parameters on SQLite other than `mode`, or a malformed PostgreSQL URL.
    pub fn parse(text: &str) -> Result<Self, DatabaseUrlError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once(':').ok_or(DatabaseUrlError::NoScheme)?;
        let kind = scheme
            .split('+')
            .next()
            .unwrap_or(scheme)
            .to_ascii_lowercase();
        match kind.as_str() {
            "sqlite" => sqlite(rest),
            "postgres" | "postgresql" => postgres(rest),
            other
                if other
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) =>
            {
                Err(DatabaseUrlError::UnknownKind(other.to_owned()))
            }
            _ => Err(DatabaseUrlError::NoScheme),
        }
    }

    /// The SQLite file; `None` for PostgreSQL and in memory.
    pub fn sqlite_file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::SqliteMemory | Self::Postgres(_) => None,
        }
    }
}

fn sqlite(rest: &str) -> Result<DatabaseUrl, DatabaseUrlError> {
    let malformed = |reason: String| DatabaseUrlError::Malformed {
        kind: "SQLite",
        reason,
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap_or(pair);
        // `mode=rwc` is what other programs need to make the file; it is made here anyway.
        if !matches!(pair, "mode=rwc" | "mode=rw") {
            return Err(malformed(format!("parameter `{name}` is not taken here")));
        }
    }
    let path = match path.strip_prefix("//") {
        Some(after) => after.strip_prefix('/').unwrap_or(after),
        None => path,
    };
    match path {
        "" | ":memory:" => Ok(DatabaseUrl::SqliteMemory),
        path if path.contains('\0') => Err(malformed("the path holds a NUL".to_owned())),
        path => Ok(DatabaseUrl::Sqlite(PathBuf::from(path))),
    }
}

fn postgres(rest: &str) -> Result<DatabaseUrl, DatabaseUrlError> {
    let url = format!("postgres:{rest}");
    let malformed = |reason: String| DatabaseUrlError::Malformed {
        kind: "PostgreSQL",
        reason,
    };
    if !rest.starts_with("//") {
        return Err(malformed("expected `//` after the scheme".to_owned()));
    }
    PgConnectOptions::from_str(&url).map_err(|error| malformed(error.to_string()))?;
    Ok(DatabaseUrl::Postgres(url.into()))
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) if path.is_absolute() => write!(f, "sqlite:///{}", path.display()),
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::SqliteMemory => f.write_str("sqlite::memory:"),
            Self::Postgres(url) => f.write_str(&masked(url.expose_secret())),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// A PostgreSQL URL without its password and its parameters, either of which may be secret.
fn masked(url: &str) -> String {
    let (url, _) = url.split_once('?').unwrap_or((url, ""));
    let Some((scheme, rest)) = url.split_once("//") else {
        return "postgres://***".to_owned();
    };
    match rest.rsplit_once('@') {
        Some((who, place)) => match who.split_once(':') {
            Some((user, _)) => format!("{scheme}//{user}:***@{place}"),
            None => format!("{scheme}//{who}@{place}"),
        },
        None => format!("{scheme}//{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let url = DatabaseUrl::parse(text).unwrap();
        assert_eq!(
            format!("{url:?}"),
            format!("DatabaseUrl({expected})"),
            "{text}"
        );
    }

    #[track_caller]
    fn check_wrong(text: &str, expected: &str) {
        let error = DatabaseUrl::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
        assert!(!error.contains("geheim"), "{error}");
    }

    #[test]
    fn sqlite_paths() {
        check("sqlite://aiproxy.db", "sqlite://aiproxy.db");
        check("sqlite:///aiproxy.db", "sqlite://aiproxy.db");
        check("sqlite:////var/lib/a.db", "sqlite:////var/lib/a.db");
        check("sqlite:aiproxy.db?mode=rwc", "sqlite://aiproxy.db");
        check("sqlite:/var/lib/a.db", "sqlite:////var/lib/a.db");
        check("sqlite+pysqlite:///data/a.db", "sqlite://data/a.db");
        check("SQLite+aiosqlite:////a.db", "sqlite:////a.db");
        check("sqlite://../x.db", "sqlite://../x.db");
    }

    #[test]
    fn sqlite_in_memory() {
        for text in [
            "sqlite::memory:",
            "sqlite://",
            "sqlite:///",
            "sqlite:///:memory:",
        ] {
            check(text, "sqlite::memory:");
        }
    }

    #[test]
    fn postgres_urls_are_masked() {
        check("postgres://u:geheim@h/d", "postgres://u:***@h/d");
        check(
            "postgresql://u:g%40heim@h:5433/d",
            "postgres://u:***@h:5433/d",
        );
        check(
            "postgresql+psycopg2://u:geheim@h/d?sslmode=prefer",
            "postgres://u:***@h/d",
        );
        check("postgresql+asyncpg://h/d", "postgres://h/d");
        check("postgres://u@h/d?password=geheim", "postgres://u@h/d");
    }

    #[test]
    fn wrong_urls() {
        check_wrong("aiproxy.db", "not a database URL");
        check_wrong("", "not a database URL");
        check_wrong("mysql+pymysql://u:geheim@h/d", "`mysql`");
        check_wrong("mssql://u:geheim@h/d", "`mssql`");
        check_wrong("postgres:h/d", "expected `//`");
        check_wrong("postgres://u:geheim@h:port/d", "PostgreSQL");
        check_wrong("postgres://u:geheim@h/d?sslmode=perhaps", "PostgreSQL");
        check_wrong("sqlite:///a.db?immutable=1", "`immutable`");
    }
}
