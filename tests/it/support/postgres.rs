//! PostgreSQL for tests: a private cluster in a temporary directory, run as a user that is not root by a shell that
//! obeys lines of its standard input and stops it at their end: the cluster ends with the test, however that ends.
//! Where there is no PostgreSQL, tests fail.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::{AssertSqlSafe, Connection, Executor};
use tempfile::TempDir;

use super::from_environment;

/// A running cluster.
pub(crate) struct Cluster {
    /// URL of the server, without a database.
    server: String,
    /// `None`: the cluster is another's.
    shell: Option<Mutex<Shell>>,
}

struct Shell {
    child: Child,
    output: BufReader<ChildStdout>,
}

const SCRIPT: &str = r#"
for bin in /usr/lib/postgresql/*/bin /usr/local/pgsql/bin; do PATH="$PATH:$bin"; done
command -v initdb >/dev/null || { echo "no initdb: install PostgreSQL"; exit 1; }
cd "$1" || exit 1
initdb -D data -U postgres -A trust -E UTF8 --locale=C --no-sync >log 2>&1 || { cat log; exit 1; }
start() {
    pg_ctl -D data -w -t 60 -l log start -o "-F -p $2 -c listen_addresses=127.0.0.1 \
      -c unix_socket_directories=$1 -c full_page_writes=off -c shared_buffers=32MB $3" >>log 2>&1
}
start "$@" || { cat log; exit 1; }
echo ready
while read -r wanted; do
    case $wanted in
        start) start "$@" ;;
        stop) pg_ctl -D data -m immediate -w stop >>log 2>&1 ;;
    esac && echo done || cat log
done
pg_ctl -D data -m immediate stop >/dev/null 2>&1
rm -rf "$1"
"#;

/// The cluster that tests share: the one that the environment names, else one of this process.
pub(crate) fn shared() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| match from_environment("AIPROXY_TEST_POSTGRES") {
        Some(url) => Cluster::at(&url),
        None => Cluster::start(""),
    })
}

impl Cluster {
    /// One of the test's own, with further options of the server such as `-c max_connections=9`.
    pub(crate) fn start(options: &str) -> Self {
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
            .args([&port.to_string(), options]);
        // A group of its own, or a Ctrl-C for the tests would end it before it has cleaned up.
        command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("a shell");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let mut shell = Shell { child, output };
        shell.expect("ready");
        Self {
            server: format!("postgres://postgres@127.0.0.1:{port}"),
            shell: Some(Mutex::new(shell)),
        }
    }

    /// One that runs already; the URL may name a database.
    fn at(url: &str) -> Self {
        let (scheme, rest) = url.split_once("//").expect("a URL");
        let host = rest.split('/').next().unwrap_or_default();
        Self {
            server: format!("{scheme}//{host}"),
            shell: None,
        }
    }

    /// Stops it as a crash would: no connection is told, nothing is flushed.
    pub(crate) fn crash(&self) {
        self.tell("stop");
    }

    /// Starts it again at the same port.
    pub(crate) fn restart(&self) {
        self.tell("start");
    }

    fn tell(&self, wanted: &str) {
        let shell = self.shell.as_ref().expect("a cluster of the test's own");
        let mut shell = shell.lock().expect("no holder panics");
        let mut input = shell.child.stdin.as_ref().expect("its input");
        writeln!(input, "{wanted}").expect("a living shell");
        shell.expect("done");
    }

    /// Runs a statement as the owner of the server, outside every database of a test.
    pub(crate) async fn admin(&self, sql: &str) {
        let mut admin = self.connect("postgres").await;
        admin
            .execute(AssertSqlSafe(sql.to_owned()))
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// A connection of the test's own.
    pub(crate) async fn connect(&self, database: &str) -> PgConnection {
        self.try_connect(database).await.expect("a connection")
    }

    /// As [`Cluster::connect`], where there may be none left.
    pub(crate) async fn try_connect(
        &self,
        database: &str,
    ) -> Result<PgConnection, sea_orm::sqlx::Error> {
        PgConnection::connect(&format!("{}/{database}", self.server)).await
    }

    /// Makes an empty database and gives its URL.
    pub(crate) async fn new_database(&self) -> String {
        // Not of the process's number: those come round again within one run of all tests.
        let name = format!("test_{}", uuid::Uuid::now_v7().simple());
        self.admin(&format!("CREATE DATABASE {name}")).await;
        format!("{}/{name}", self.server)
    }
}

impl Shell {
    fn expect(&mut self, word: &str) {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line of output");
        if line.trim_end() != word {
            drop(self.child.stdin.take());
            self.output.read_to_string(&mut line).expect("its words");
            panic!("PostgreSQL does not do as these tests need:\n{line}");
        }
    }
}

impl Drop for Shell {
    /// The end of its input is the sign to clean up.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// A shell as a user that is not root, who owns the directory: PostgreSQL refuses to run as root.
fn shell(dir: &Path) -> Command {
    if super::id(&["-u"]) != "0" {
        return Command::new("sh");
    }
    let user = ["postgres", "nobody"].map(|user| super::id(&["-u", user]));
    let uid = user
        .into_iter()
        .find_map(|uid| uid.parse::<u32>().ok())
        .expect("a user beside root");
    chown(dir, Some(uid), None).expect("the directory for that user");
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={uid}"), "--clear-groups", "sh"]);
    command
}
