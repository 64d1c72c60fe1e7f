//! `database`: where records go. URLs are read in the forms of sqlx and of SQLAlchemy.

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

/// The URL that stands when nobody gives one.
pub(super) const DEFAULT_URL: &str = "sqlite://aiproxy.db";

/// A URL of a database that we can write, in sqlx's form. `Debug` and `Serialize` mask its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    url: Secret,
    sqlite_file: Option<PathBuf>,
}

impl DatabaseUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong and what is allowed, without the URL itself.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const ALLOWED: &str = "expected sqlite://FILE or postgres://USER:PASSWORD@HOST/DATABASE";
        let (scheme, rest) = text.trim().split_once(':').ok_or(ALLOWED)?;
        let kind = scheme.split('+').next().unwrap_or(scheme);
        match kind.to_ascii_lowercase().as_str() {
            "sqlite" => Self::sqlite(rest),
            "postgres" | "postgresql" => {
                let url = format!("postgres:{rest}");
                let valid = rest.starts_with("//") && url::Url::parse(&url).is_ok();
                if !valid {
                    return Err(
                        "not a valid URL; signs such as @ / ? # in the password are written %40 %2F %3F %23",
                    );
                }
                Ok(Self {
                    url: Secret::new(url),
                    sqlite_file: None,
                })
            }
            _ => Err(ALLOWED),
        }
    }

    /// `///x` is relative, `////x` absolute (SQLAlchemy); `//x` and `x` are relative (sqlx).
    fn sqlite(rest: &str) -> Result<Self, &'static str> {
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, format!("?{query}")),
            None => (rest, String::new()),
        };
        let path = path
            .strip_prefix("///")
            .or_else(|| path.strip_prefix("//"))
            .unwrap_or(path);
        if path.is_empty() || path == ":memory:" || query.contains("mode=memory") {
            return Err(
                "expected a file: a database in memory cannot be shared by writer and readers",
            );
        }
        if path.ends_with('/') || path.contains('\0') {
            return Err("expected a file after sqlite://");
        }
        Ok(Self {
            url: Secret::new(format!("sqlite://{path}{query}")),
            sqlite_file: Some(PathBuf::from(path)),
        })
    }

    /// The URL for sqlx, password included: `sqlite://FILE` or `postgres://…`.
    pub fn expose(&self) -> &str {
        self.url.expose()
    }

    /// The database file; `None` with PostgreSQL.
    pub fn sqlite_file(&self) -> Option<&Path> {
        self.sqlite_file.as_deref()
    }

    /// The URL with its password masked.
    pub fn masked(&self) -> String {
        mask_url(self.expose())
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.masked())
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.masked())
    }
}

/// Reads `database`; without a `url` it is `DATABASE_URL` or the default.
pub(super) fn read_database(mut section: Section<'_>) -> DatabaseConfig {
    let url = match section.text("url") {
        Some(text) => parsed_or_default(&text, |message| section.report("url", message)),
        None => {
            let reading = section.reading();
            match reading.environment.lookup("DATABASE_URL") {
                Ok(text) => parsed_or_default(text.as_deref().unwrap_or(DEFAULT_URL), |message| {
                    let origin = super::Origin::Environment("DATABASE_URL".to_owned());
                    reading.report(&origin, "database.url", message);
                }),
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

fn parsed_or_default(text: &str, report: impl FnOnce(&'static str)) -> DatabaseUrl {
    DatabaseUrl::parse(text).unwrap_or_else(|message| {
        report(message);
        default_url()
    })
}

fn default_url() -> DatabaseUrl {
    let file = DEFAULT_URL.trim_start_matches("sqlite://");
    DatabaseUrl {
        url: Secret::new(DEFAULT_URL),
        sqlite_file: Some(PathBuf::from(file)),
    }
}

#[cfg(test)]
mod tests {
    use super::DatabaseUrl;

    #[test]
    fn urls_of_both_forms_are_read() {
        for (text, expected) in [
            ("sqlite://aiproxy.db", "sqlite://aiproxy.db"),
            ("sqlite:///aiproxy.db", "sqlite://aiproxy.db"),
            ("sqlite:////var/lib/a.db", "sqlite:///var/lib/a.db"),
            ("sqlite:a.db", "sqlite://a.db"),
            (
                "sqlite+aiosqlite:///a.db?timeout=5",
                "sqlite://a.db?timeout=5",
            ),
            (
                "postgresql+asyncpg://u:p@h:5432/db",
                "postgres://u:p@h:5432/db",
            ),
            ("postgresql://h/db", "postgres://h/db"),
            (
                "postgres:///db?host=/run/postgresql",
                "postgres:///db?host=/run/postgresql",
            ),
            (" postgres://u:p%40@h/db ", "postgres://u:p%40@h/db"),
        ] {
            assert_eq!(
                DatabaseUrl::parse(text).expect(text).expose(),
                expected,
                "{text}"
            );
        }
        let absolute = DatabaseUrl::parse("sqlite:////var/a.db").expect("valid");
        assert_eq!(
            absolute.sqlite_file(),
            Some(std::path::Path::new("/var/a.db"))
        );
    }

    #[test]
    fn other_urls_are_refused() {
        for text in [
            "",
            "aiproxy.db",
            "mysql://h/db",
            "sqlite://",
            "sqlite::memory:",
            "sqlite:///:memory:",
            "sqlite://a?mode=memory",
            "sqlite:///folder/",
            "postgres:h",
            "postgres://u:p/w@h/db",
        ] {
            assert!(DatabaseUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_password_is_never_shown() {
        let url = DatabaseUrl::parse("postgres://u:canary@h/db").expect("valid");
        assert!(!format!("{url:?}{}", url.masked()).contains("canary"));
    }
}
