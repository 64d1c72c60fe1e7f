//! The database as a place: opens its pools, runs pending migrations, says whether the schema fits. Knows
//! nothing about tables.

mod error;
pub mod time_text;
pub mod value;

pub use aiproxy_migration::{ADVISORY_LOCK, PARTITIONED, SchemaState};
pub use error::{DatabaseError, Fault, fault, message};

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sea_orm::sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sea_orm::sqlx::{ConnectOptions, Connection, Executor};
use sea_orm::{DatabaseConnection, DbBackend, SqlxPostgresConnector, SqlxSqliteConnector};

use crate::config::DatabaseUrl;

/// Longest wait for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time a SQLite connection waits for another's lock before it says *busy*.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time of one statement on PostgreSQL.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// Prepared statements that a connection keeps. One keeps the values of its last run, so not many.
const STATEMENTS: usize = 64;
/// Bytes of a page of a new SQLite file. Rows with their bodies are long: with SQLite's 4,096 they take a fifth more
/// CPU time.
const PAGE_BYTES: u32 = 8_192;
/// Pages in the write-ahead log before they go into the file; SQLite's default of 1,000 means a sync every
/// few hundred rows.
const WAL_PAGES: &str = "2000";
/// Bytes that the write-ahead log keeps on disk after a burst.
const WAL_BYTES: &str = "67108864";
/// Connections for writing on PostgreSQL: the writer, and one for retention and partitions.
const WRITERS: u32 = 3;
/// Connections for reading.
const READERS: u32 = 4;

/// The pools of one database, by its kind.
#[derive(Debug, Clone)]
pub enum Pool {
    /// SQLite.
    Sqlite(SqlitePool),
    /// PostgreSQL.
    Postgres(PgPool),
}

impl Pool {
    /// The same pool for sea-orm.
    pub fn orm(&self) -> DatabaseConnection {
        match self {
            Self::Sqlite(pool) => SqlxSqliteConnector::from_sqlx_sqlite_pool(pool.clone()),
            Self::Postgres(pool) => SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone()),
        }
    }

    async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// An open database: one pool for writing, one for reading.
#[derive(Debug, Clone)]
pub struct Database {
    url: DatabaseUrl,
    write: Pool,
    read: Pool,
    file: Option<FileId>,
}

impl Database {
    /// Opens both pools with one connection each. Runs no migrations.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] when the database is away, broken or locked.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, DatabaseError> {
        let (write, read) = match url {
            DatabaseUrl::Sqlite(path) => {
                make_private(path);
                let options = sqlite_options(path);
                let write = sqlite_pool(options.clone(), 1).await?;
                let read = sqlite_pool(options.pragma("query_only", "ON"), READERS).await?;
                (Pool::Sqlite(write), Pool::Sqlite(read))
            }
            DatabaseUrl::Postgres(text) => {
                let options = PgConnectOptions::from_str(text.expose())?
                    .application_name("aiproxy")
                    .statement_cache_capacity(STATEMENTS)
                    .options([(
                        "statement_timeout",
                        STATEMENT_TIMEOUT.as_millis().to_string(),
                    )])
                    .disable_statement_logging();
                greet(&options).await?;
                let write = postgres_pool(options.clone(), WRITERS).await?;
                let read = postgres_pool(
                    options.options([("default_transaction_read_only", "on")]),
                    READERS,
                )
                .await?;
                (Pool::Postgres(write), Pool::Postgres(read))
            }
        };
        let file = url.sqlite_file().and_then(FileId::of);
        Ok(Self {
            url: url.clone(),
            write,
            read,
            file,
        })
    }

    /// Opens a database that must be there, as [`Database::open`]; makes no SQLite file.
    ///
    /// # Errors
    /// As [`Database::open`]; also when the SQLite file is not there.
    pub async fn open_existing(url: &DatabaseUrl) -> Result<Self, DatabaseError> {
        match url.sqlite_file() {
            Some(path) if !path.exists() => Err(DatabaseError::Unavailable(format!(
                "there is no file {}",
                path.display()
            ))),
            Some(_) | None => Self::open(url).await,
        }
    }

    /// Opens a database for commands that read it or throw away: it must be there, with our schema.
    ///
    /// # Errors
    /// As [`Database::open_existing`]; [`DatabaseError::Schema`] when the schema is older or newer than this program.
    pub async fn open_existing_current(url: &DatabaseUrl) -> Result<Self, DatabaseError> {
        Self::open_existing(url).await?.checked(false).await
    }

    /// Opens the database and sees to its schema: migrates it, or with `auto_migrate` false only checks it.
    ///
    /// # Errors
    /// As [`Database::open`]; [`DatabaseError::Schema`] when the database is newer than this program, or
    /// older and may not be migrated.
    pub async fn open_current(
        url: &DatabaseUrl,
        auto_migrate: bool,
    ) -> Result<Self, DatabaseError> {
        Self::open(url).await?.checked(auto_migrate).await
    }

    /// This database if its schema fits, else it is closed.
    async fn checked(self, auto_migrate: bool) -> Result<Self, DatabaseError> {
        match self.ready(auto_migrate).await {
            Ok(()) => Ok(self),
            Err(error) => {
                self.close().await;
                Err(error)
            }
        }
    }

    async fn ready(&self, auto_migrate: bool) -> Result<(), DatabaseError> {
        if auto_migrate {
            return self.migrate_up().await.map(|_| ());
        }
        match self.schema_state().await? {
            SchemaState::Current => Ok(()),
            SchemaState::Newer(names) => Err(newer(&names)),
            SchemaState::Behind(names) => Err(DatabaseError::Schema(format!(
                "{} pending migration(s), run `aiproxy migrate up`: {}",
                names.len(),
                names.join(", ")
            ))),
        }
    }

    /// Runs pending migrations and makes the views anew. Returns the names of those that ran.
    ///
    /// # Errors
    /// [`DatabaseError::Schema`] when the database is newer than this program or a migration fails.
    pub async fn migrate_up(&self) -> Result<Vec<String>, DatabaseError> {
        if let SchemaState::Newer(names) = self.schema_state().await? {
            return Err(newer(&names));
        }
        Ok(aiproxy_migration::up(&self.write.orm()).await?)
    }

    /// How the schema stands to this program.
    ///
    /// # Errors
    /// Whatever the database says when it is asked.
    pub async fn schema_state(&self) -> Result<SchemaState, DatabaseError> {
        Ok(aiproxy_migration::schema_state(&self.write.orm()).await?)
    }

    /// Every migration that this program or the database knows, in order, and whether it has run.
    ///
    /// # Errors
    /// Whatever the database says when it is asked.
    pub async fn migrate_status(&self) -> Result<Vec<(String, bool)>, DatabaseError> {
        Ok(aiproxy_migration::status(&self.write.orm()).await?)
    }

    /// The pool for writing: one connection on SQLite.
    pub fn write(&self) -> &Pool {
        &self.write
    }

    /// The pool for reading, whose connections refuse to write.
    pub fn read(&self) -> &Pool {
        &self.read
    }

    /// Which kind of database this is.
    pub fn backend(&self) -> DbBackend {
        match self.write {
            Pool::Sqlite(_) => DbBackend::Sqlite,
            Pool::Postgres(_) => DbBackend::Postgres,
        }
    }

    /// Where it is.
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Whether the SQLite file is still the one that was opened. A file that was moved or deleted is written
    /// on happily by SQLite, and lost; so it is asked before each batch. Always true for the others.
    pub fn is_in_place(&self) -> bool {
        match self.url.sqlite_file() {
            Some(path) => self.file.is_some() && FileId::of(path) == self.file,
            None => true,
        }
    }

    /// Closes both pools.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

fn newer(names: &[String]) -> DatabaseError {
    DatabaseError::Schema(format!(
        "the database is newer than this program, which does not know: {}",
        names.join(", ")
    ))
}

/// Device and inode of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self(metadata.dev(), metadata.ino()))
    }
}

/// Makes a new file that is closed to others, for prompts will stand in it; its journal takes after it. One that is
/// there keeps its mode.
fn make_private(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::File::options();
    // What is wrong with the place SQLite says in its own words.
    options
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .ok();
}

fn sqlite_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .page_size(PAGE_BYTES)
        .busy_timeout(BUSY_TIMEOUT)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .pragma("wal_autocheckpoint", WAL_PAGES)
        .pragma("journal_size_limit", WAL_BYTES)
        .statement_cache_capacity(STATEMENTS)
        .disable_statement_logging()
}

async fn sqlite_pool(
    options: SqliteConnectOptions,
    connections: u32,
) -> Result<SqlitePool, DatabaseError> {
    let pool = SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(options)
        .await?;
    // The file is first read here: one that is no database shows now.
    pool.execute("SELECT name FROM sqlite_master LIMIT 1")
        .await?;
    Ok(pool)
}

/// Connects once. A pool tries again and again for its whole time limit even where nobody listens.
async fn greet(options: &PgConnectOptions) -> Result<(), DatabaseError> {
    match tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect()).await {
        Ok(connected) => Ok(connected?.close().await?),
        Err(_) => Err(DatabaseError::Unavailable(format!(
            "no connection within {ACQUIRE_TIMEOUT:?}"
        ))),
    }
}

async fn postgres_pool(
    options: PgConnectOptions,
    connections: u32,
) -> Result<PgPool, DatabaseError> {
    Ok(PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options)
        .await?)
}
