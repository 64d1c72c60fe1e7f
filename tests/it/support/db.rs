//! Databases for tests. PostgreSQL is a private cluster of this process, started at the first need in a
//! temporary directory as a user that is not root, and stopped by a shell that waits for the end of its
//! standard input: it ends with this process, however that ends. Where there is no PostgreSQL, tests fail.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use aiproxy::database::value::{Datum, Kind, execute, fetch};
use aiproxy::database::{Database, DatabaseUrl, Pool};
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::{AssertSqlSafe, Connection, Executor};
use tempfile::TempDir;

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
            Backend::Postgres => cluster().new_database().await,
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

struct Cluster {
    port: u16,
    databases: AtomicU32,
    /// Its standard input stays open as long as this process lives.
    _shell: Child,
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

const SCRIPT: &str = r#"
for bin in /usr/lib/postgresql/*/bin /usr/local/pgsql/bin; do PATH="$PATH:$bin"; done
command -v initdb >/dev/null || { echo "no initdb: install PostgreSQL"; exit 1; }
cd "$1" || exit 1
initdb -D data -U postgres -A trust -E UTF8 --locale=C --no-sync >log 2>&1 || { cat log; exit 1; }
pg_ctl -D data -w -t 60 -l log start -o "-F -p $2 -c listen_addresses=127.0.0.1 \
  -c unix_socket_directories=$1 -c full_page_writes=off -c shared_buffers=32MB" >>log 2>&1 \
  || { cat log; exit 1; }
echo ready
cat >/dev/null
pg_ctl -D data -m immediate stop >/dev/null 2>&1
rm -rf "$1"
"#;

impl Cluster {
    fn start() -> Self {
        let dir = TempDir::with_prefix("aiproxy-pg-")
            .expect("a temporary directory")
            .keep();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its number").port();
        drop(listener);
        let mut command = shell(&dir);
        command
            .args(["-c", SCRIPT, "sh"])
            .arg(&dir)
            .arg(port.to_string());
        // A group of its own, or a Ctrl-C for the tests would end it before it has cleaned up.
        command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut shell = command.spawn().expect("a shell");
        let mut output = BufReader::new(shell.stdout.take().expect("its output"));
        let mut line = String::new();
        output.read_line(&mut line).expect("a line of output");
        if line != "ready\n" {
            output.read_to_string(&mut line).expect("its words");
            panic!("PostgreSQL did not start, and these tests need it:\n{line}");
        }
        Self {
            port,
            databases: AtomicU32::new(0),
            _shell: shell,
        }
    }

    async fn new_database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let url = |name: &str| format!("postgres://postgres@127.0.0.1:{}/{name}", self.port);
        let mut admin = PgConnection::connect(&url("postgres"))
            .await
            .expect("a connection");
        let name = format!("test_{number}");
        admin
            .execute(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .await
            .expect("a database");
        url(&name)
    }
}

/// A shell as a user that is not root, who owns the directory: PostgreSQL refuses to run as root.
fn shell(dir: &Path) -> Command {
    let output = |program: &str, argument: &[&str]| {
        let output = Command::new(program)
            .args(argument)
            .output()
            .expect("a program of every system");
        String::from_utf8(output.stdout)
            .expect("a number")
            .trim()
            .to_owned()
    };
    if output("id", &["-u"]) != "0" {
        return Command::new("sh");
    }
    let user = ["postgres", "nobody"].map(|user| output("id", &["-u", user]));
    let uid = user
        .into_iter()
        .find_map(|uid| uid.parse::<u32>().ok())
        .expect("a user beside root");
    chown(dir, Some(uid), None).expect("the directory for that user");
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={uid}"), "--clear-groups", "sh"]);
    command
}
