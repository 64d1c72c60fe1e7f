//! `database`: where records go. URLs are read in the forms that people have at hand, SQLAlchemy's among
//! them.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use super::secret::{Secret, mask_url};
use super::section::Section;

/// The database of the records.
#[derive(Debug, Clone, Serialize)]
pub struct DatabaseConfig {
    /// Where it is.
    pub url: DatabaseUrl,
    /// Whether `serve` brings the schema up to date by itself.
    pub auto_migrate: bool,
}

/// The SQLite file that is taken when nobody gives a URL.
const DEFAULT_FILE: &str = "aiproxy.db";

/// A URL of a database that we can write. `Debug`, `Display` and `Serialize` mask its password, and what they show can
/// be read again.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A SQLite file; a relative path is relative to the working directory.
    Sqlite(PathBuf),
    /// A PostgreSQL server, in the form `postgres://…`, password included.
    Postgres(Secret),
}

/// Why a text is no database URL. Never holds the URL itself, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// No `scheme:` at its head.
    #[error("expected sqlite://FILE or postgres://USER:PASSWORD@HOST/DATABASE")]
    NoScheme,
    /// Another kind of database.
    #[error(
        "unknown kind of database `{0}`: expected sqlite://FILE or postgres://USER:PASSWORD@HOST/DATABASE"
    )]
    UnknownKind(String),
    /// No file, or none that stays.
    #[error("expected a file after sqlite://: {0}")]
    NoFile(&'static str),
    /// Not of the form `postgres://…`.
    #[error(
        "not a valid PostgreSQL URL; signs such as @ / ? # in the password are written %40 %2F %3F %23"
    )]
    NoPostgres,
    /// A parameter behind `?` that is not taken here.
    #[error("parameter `{name}` is not taken; allowed: {allowed}")]
    UnknownParameter {
        /// Its name.
        name: String,
        /// Those that are.
        allowed: String,
    },
    /// A parameter behind `?` with a wrong value.
    #[error("parameter `{name}`: expected {expected}")]
    WrongParameter {
        /// Its name.
        name: &'static str,
        /// What is allowed.
        expected: &'static str,
    },
}

/// Parameters of a PostgreSQL URL that sqlx takes. It would warn of others with their values, which may be secret.
const POSTGRES_PARAMETERS: &[&str] = &[
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// Words of `sslmode` (PostgreSQL 17 manual, section 32.1.2).
const SSL_MODES: &[&str] = &[
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

impl DatabaseUrl {
    /// Reads a URL. `sqlite://x.db` is relative, `sqlite:///var/x.db` absolute. SQLAlchemy's form is understood too:
    /// `sqlite:///x.db`, a bare name, is relative, `sqlite:////var/x.db` absolute; with a driver, as in
    /// `sqlite+pysqlite:///data/x.db`, it is SQLAlchemy's throughout.
    ///
    /// # Errors
    /// What is wrong and what is allowed.
    pub fn parse(text: &str) -> Result<Self, DatabaseUrlError> {
        let (scheme, rest) = text
            .trim()
            .split_once(':')
            .ok_or(DatabaseUrlError::NoScheme)?;
        let kind = scheme.split('+').next().unwrap_or(scheme);
        match kind.to_ascii_lowercase().as_str() {
            "sqlite" => sqlite(rest, scheme.contains('+')),
            "postgres" | "postgresql" => postgres(rest),
            other if other.chars().all(|c| c.is_ascii_alphanumeric()) && other.len() < 20 => {
                Err(DatabaseUrlError::UnknownKind(other.to_owned()))
            }
            _ => Err(DatabaseUrlError::NoScheme),
        }
    }

    /// The database file; `None` with PostgreSQL.
    pub fn sqlite_file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }
}

fn sqlite(rest: &str, is_sqlalchemy: bool) -> Result<DatabaseUrl, DatabaseUrlError> {
    const IN_MEMORY: &str = "a database in memory cannot be shared by writer and readers";
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair {
            // What other programs need to make the file; it is made here anyway.
            "mode=rwc" | "mode=rw" => {}
            "mode=memory" => return Err(DatabaseUrlError::NoFile(IN_MEMORY)),
            _ => {
                return Err(DatabaseUrlError::UnknownParameter {
                    name: pair.split('=').next().unwrap_or(pair).to_owned(),
                    allowed: "mode=rwc".to_owned(),
                });
            }
        }
    }
    let path = match path.strip_prefix("//").unwrap_or(path) {
        local if local.starts_with('/') && path.starts_with("//") => {
            let file = local.trim_start_matches('/');
            let is_absolute = local.starts_with("//") || (!is_sqlalchemy && file.contains('/'));
            if is_absolute {
                local.get(local.len() - file.len() - 1..).unwrap_or(file)
            } else {
                file
            }
        }
        local => local,
    };
    match path {
        "" => Err(DatabaseUrlError::NoFile("there is none")),
        ":memory:" => Err(DatabaseUrlError::NoFile(IN_MEMORY)),
        path if path.ends_with('/') => Err(DatabaseUrlError::NoFile("this is a folder")),
        path if path.contains('\0') => Err(DatabaseUrlError::NoFile("the path holds a NUL")),
        path => Ok(DatabaseUrl::Sqlite(PathBuf::from(path))),
    }
}

fn postgres(rest: &str) -> Result<DatabaseUrl, DatabaseUrlError> {
    if !rest.starts_with("//") {
        return Err(DatabaseUrlError::NoPostgres);
    }
    let text = format!("postgres:{rest}");
    let url = url::Url::parse(&text).map_err(|_| DatabaseUrlError::NoPostgres)?;
    for (name, value) in url.query_pairs() {
        if !POSTGRES_PARAMETERS.contains(&&*name) {
            return Err(DatabaseUrlError::UnknownParameter {
                name: name.into_owned(),
                allowed: POSTGRES_PARAMETERS.join(", "),
            });
        }
        let wrong = |name, expected| Err(DatabaseUrlError::WrongParameter { name, expected });
        match &*name {
            "sslmode" if !SSL_MODES.contains(&&*value) => {
                return wrong(
                    "sslmode",
                    "disable, allow, prefer, require, verify-ca or verify-full",
                );
            }
            "port" if value.parse::<u16>().is_err() => return wrong("port", "a port"),
            "hostaddr" if value.parse::<IpAddr>().is_err() => {
                return wrong("hostaddr", "an IP address");
            }
            _ => {}
        }
    }
    Ok(DatabaseUrl::Postgres(Secret::new(text)))
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) if path.is_absolute() => write!(f, "sqlite:///{}", path.display()),
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => f.write_str(&mask_url(url.expose())),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads `database`; without a `url` it is `DATABASE_URL` or the default.
pub(super) fn read_database(mut section: Section<'_>) -> DatabaseConfig {
    let url = match section.text("url") {
        Some(text) => parsed_or_default(&text, |message| section.report("url", message)),
        None => {
            let reading = section.reading();
            match reading.environment.lookup("DATABASE_URL") {
                Ok(Some(text)) => parsed_or_default(&text, |message| {
                    let origin = super::Origin::Environment("DATABASE_URL".to_owned());
                    reading.report(&origin, "database.url", message);
                }),
                Ok(None) => default_url(),
                Err(problem) => {
                    reading.add(problem);
                    default_url()
                }
            }
        }
    };
    let auto_migrate = section.flag("auto_migrate", true);
    section.finish();
    DatabaseConfig { url, auto_migrate }
}

fn parsed_or_default(text: &str, report: impl FnOnce(String)) -> DatabaseUrl {
    DatabaseUrl::parse(text).unwrap_or_else(|error| {
        report(error.to_string());
        default_url()
    })
}

fn default_url() -> DatabaseUrl {
    DatabaseUrl::Sqlite(PathBuf::from(DEFAULT_FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let url = DatabaseUrl::parse(text).expect(text);
        assert_eq!(url.to_string(), expected, "{text}");
        assert_eq!(format!("{url:?}"), format!("DatabaseUrl({expected})"));
        // What is shown means the same place, but for the password.
        let again = DatabaseUrl::parse(expected).expect(expected);
        assert_eq!(again.sqlite_file(), url.sqlite_file(), "{text}");
    }

    #[track_caller]
    fn check_wrong(text: &str, expected: &str) {
        let error = DatabaseUrl::parse(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
        assert!(!error.contains("canary"), "{error}");
    }

    #[test]
    fn sqlite_paths() {
        check("sqlite://aiproxy.db", "sqlite://aiproxy.db");
        check("sqlite:///aiproxy.db", "sqlite://aiproxy.db");
        check("sqlite:////var/lib/a.db", "sqlite:////var/lib/a.db");
        check("sqlite:///var/lib/a.db", "sqlite:////var/lib/a.db");
        check("sqlite:////a.db", "sqlite:////a.db");
        check("sqlite:a.db", "sqlite://a.db");
        check("sqlite:a.db?mode=rwc", "sqlite://a.db");
        check("sqlite:/var/lib/a.db", "sqlite:////var/lib/a.db");
        check("sqlite+pysqlite:///data/a.db", "sqlite://data/a.db");
        check("SQLite+aiosqlite:////a.db", "sqlite:////a.db");
        check("sqlite://../x.db", "sqlite://../x.db");
        let absolute = DatabaseUrl::parse("sqlite:////var/a.db").expect("valid");
        assert_eq!(absolute.sqlite_file(), Some(Path::new("/var/a.db")));
    }

    #[test]
    fn postgres_urls() {
        check("postgresql://h/db", "postgres://h/db");
        check("postgresql+asyncpg://u@h:5432/db", "postgres://u@h:5432/db");
        check(
            " postgresql+psycopg2://u@h/d?sslmode=verify-full ",
            "postgres://u@h/d?sslmode=verify-full",
        );
        check(
            "postgres:///db?host=/run/postgresql",
            "postgres:///db?host=/run/postgresql",
        );
        let url = DatabaseUrl::parse("postgresql://u:p%40@h/db").expect("valid");
        assert_eq!(
            url,
            DatabaseUrl::Postgres(Secret::new("postgres://u:p%40@h/db"))
        );
    }

    #[test]
    fn the_password_is_never_shown() {
        for text in [
            "postgres://u:canary@h/db",
            "postgres://u:%40canary@h:5433/db",
            "postgres://u@h/d?password=canary",
        ] {
            let url = DatabaseUrl::parse(text).expect(text);
            let json = serde_json::to_string(&url).expect("a text");
            assert!(!format!("{url:?}{url}{json}").contains("canary"), "{url}");
        }
    }

    #[test]
    fn other_urls_are_refused() {
        check_wrong("", "expected sqlite://FILE or postgres://");
        check_wrong("aiproxy.db", "expected sqlite://FILE or postgres://");
        check_wrong("canary/b:c", "expected sqlite://FILE or postgres://");
        check_wrong("mysql+pymysql://u:canary@h/d", "`mysql`");
        check_wrong("mssql://u:canary@h/d", "`mssql`");
        check_wrong("sqlite://", "there is none");
        check_wrong("sqlite:///", "there is none");
        check_wrong("sqlite:///folder/", "folder");
        check_wrong("sqlite:////var/", "folder");
        check_wrong("sqlite::memory:", "in memory");
        check_wrong("sqlite:///:memory:", "in memory");
        check_wrong("sqlite://a?mode=memory", "in memory");
        check_wrong("sqlite:///a.db?immutable=1", "`immutable`");
        check_wrong("sqlite:///a\0.db", "NUL");
        check_wrong("postgres:h/d", "%40");
        check_wrong("postgres://u:p/canary@h/db", "%40");
        check_wrong("postgres://u:canary@h:port/d", "%40");
        check_wrong("postgres://u@h/d?sslmode=canary", "verify-full");
        check_wrong("postgres://u@h/d?port=canary", "a port");
        check_wrong("postgres://u@h/d?hostaddr=canary", "an IP address");
        check_wrong("postgres://u@h/d?sslpassword=canary", "`sslpassword`");
    }
}
