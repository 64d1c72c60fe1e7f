//! Databases for tests, each empty and of one test alone, and short ways to ask them.

use aiproxy::config::DatabaseUrl;
use aiproxy::database::value::{Datum, Kind, execute, fetch};
use aiproxy::database::{Database, Pool};
use sea_orm::sqlx::{AssertSqlSafe, Executor};
use tempfile::TempDir;

use super::postgres;

/// Which kind of database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
}

/// An empty database of one test.
pub(crate) struct TestDb {
    pub(crate) backend: Backend,
    pub(crate) url: DatabaseUrl,
    /// Where the SQLite file is.
    pub(crate) dir: TempDir,
}

/// Runs a test on SQLite and on PostgreSQL, each time with an empty database.
pub(crate) async fn for_each_backend(test: impl AsyncFn(TestDb)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        test(TestDb::new(backend).await).await;
    }
}

impl TestDb {
    pub(crate) async fn new(backend: Backend) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let url = match backend {
            Backend::Sqlite => format!("sqlite:///{}", dir.path().join("test.db").display()),
            Backend::Postgres => postgres::shared().new_database().await,
        };
        Self {
            backend,
            url: DatabaseUrl::parse(&url).expect("a URL"),
            dir,
        }
    }

    /// Opens the database and migrates it.
    pub(crate) async fn migrated(&self) -> Database {
        Database::open_current(&self.url, true)
            .await
            .expect("a migrated database")
    }

    /// Opens the database as it is.
    pub(crate) async fn open(&self) -> Database {
        Database::open(&self.url).await.expect("an open database")
    }
}

/// Runs a statement.
pub(crate) async fn run(database: &Database, sql: &str) {
    execute(database.write(), sql, &[])
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Runs a script of several statements.
pub(crate) async fn script(database: &Database, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    match database.write() {
        Pool::Sqlite(pool) => pool
            .execute(sql)
            .await
            .map(|_| ())
            .expect("the script runs"),
        Pool::Postgres(pool) => pool
            .execute(sql)
            .await
            .map(|_| ())
            .expect("the script runs"),
    }
}

/// The first value of every row.
pub(crate) async fn column(database: &Database, sql: &str, kind: Kind) -> Vec<Datum> {
    let rows = fetch(database.read(), sql, &[])
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.iter()
        .map(|row| row.get(0, kind).expect("a value of this kind"))
        .collect()
}

/// The texts in the first column.
pub(crate) async fn texts(database: &Database, sql: &str) -> Vec<String> {
    let text = |value| match value {
        Datum::Text(text) => text,
        other => format!("{other:?}"),
    };
    column(database, sql, Kind::Text)
        .await
        .into_iter()
        .map(text)
        .collect()
}

/// The one whole number that a statement gives.
pub(crate) async fn number(database: &Database, sql: &str) -> i64 {
    match column(database, sql, Kind::BigInt).await.as_slice() {
        [Datum::Integer(number)] => *number,
        other => panic!("{sql}: {other:?}"),
    }
}

/// The one floating-point number that a statement gives.
pub(crate) async fn double(database: &Database, sql: &str) -> f64 {
    match column(database, sql, Kind::Double).await.as_slice() {
        [Datum::Double(number)] => *number,
        other => panic!("{sql}: {other:?}"),
    }
}

/// Runs a future on a runtime of its own.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(future)
}

/// Runs something with an open database, on a runtime of its own.
pub(crate) fn with_database<T>(url: &str, work: impl AsyncFnOnce(&Database) -> T) -> T {
    block_on(async {
        let url = DatabaseUrl::parse(url).expect("a URL");
        let database = Database::open(&url).await.expect("an open database");
        let done = work(&database).await;
        database.close().await;
        done
    })
}

/// How many rows there are, and how many different request ids in them.
pub(crate) fn row_counts(url: &str) -> (i64, i64) {
    with_database(url, async |database| {
        let rows = number(database, "SELECT count(*) FROM exchanges").await;
        let ids = "SELECT count(DISTINCT request_id) FROM exchanges";
        (rows, number(database, ids).await)
    })
}

/// How often each outcome occurs, by name.
pub(crate) fn outcomes(url: &str) -> Vec<(String, i64)> {
    with_database(url, async |database| {
        let mut counts = std::collections::BTreeMap::new();
        for outcome in texts(database, "SELECT outcome FROM exchanges").await {
            *counts.entry(outcome).or_default() += 1;
        }
        counts.into_iter().collect()
    })
}
