//! A gateway in this process, with a folder, a database and an upstream of its own.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use aiproxy::access_log::columns::CustomColumn;
use aiproxy::access_log::query::{self, LogFilter, Stored};
use aiproxy::cli::mock::{Mock, MockHandle, RawRequest};
use aiproxy::config::{Config, DatabaseUrl, Environment, Rules, Sources, load};
use aiproxy::database::Database;
use aiproxy::gateway::{Gateway, Running};
use tempfile::TempDir;

use super::raw_client::{RawClient, RawResponse, exchange, post, request};
use super::{db, from_environment, metrics, postgres};

/// The provider's key in every test: it must be found nowhere.
pub(crate) const PROVIDER_KEY: &str = "sk-canary-provider-0123456789abcdef";

/// Longest time that anything is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running gateway.
pub(crate) struct TestGateway {
    running: Option<Running>,
    runtime: tokio::runtime::Runtime,
    database_url: String,
    /// Whether the folder held no database before.
    fresh: bool,
    /// Addresses.
    pub(crate) data: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// What the admin port asks for, where the test configured a token.
    admin_token: Option<String>,
    /// The mock, unless the test brought an upstream.
    pub(crate) mock: Option<MockHandle>,
    /// Everything that it writes.
    pub(crate) dir: TempDir,
}

/// What a test wants to be different.
#[derive(Default)]
pub(crate) struct Wanted {
    /// Base URL of the upstream, with its version; the mock's unless given.
    pub(crate) upstream: Option<String>,
    /// YAML lines of sections: `server`, `log`, `filters` …, put behind the ones that are always there.
    pub(crate) yaml: String,
    /// Lines of the provider, indented by four.
    pub(crate) provider: String,
    /// Whether the provider has no key of ours.
    pub(crate) no_key: bool,
    /// The database; a SQLite file in the folder unless given.
    pub(crate) database_url: Option<String>,
    /// What is done to the description before it starts.
    pub(crate) extend: Option<Box<dyn FnOnce(Gateway) -> Gateway>>,
}

impl TestGateway {
    /// One in front of the mock.
    pub(crate) fn start() -> Self {
        Self::with(Wanted::default())
    }

    /// One in front of the mock, with further configuration.
    pub(crate) fn configured(yaml: &str) -> Self {
        Self::with(Wanted {
            yaml: yaml.to_owned(),
            ..Wanted::default()
        })
    }

    /// One in front of an upstream of the test's own.
    pub(crate) fn before(upstream: impl Into<String>) -> Self {
        Self::with(Wanted {
            upstream: Some(upstream.into()),
            ..Wanted::default()
        })
    }

    /// One as wanted.
    pub(crate) fn with(wanted: Wanted) -> Self {
        Self::in_dir(TempDir::new().expect("a folder"), wanted)
    }

    /// One in a folder that may hold the traces of an earlier one.
    pub(crate) fn in_dir(dir: TempDir, mut wanted: Wanted) -> Self {
        let mock = wanted
            .upstream
            .is_none()
            .then(|| Mock::start(([127, 0, 0, 1], 0).into()).expect("a mock"));
        if let Some(mock) = &mock {
            wanted.upstream = Some(format!("http://{}/v1", mock.addr()));
        }
        let fresh = wanted.database_url.is_none() && !dir.path().join("test.db").exists();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let database_url = wanted
            .database_url
            .clone()
            .unwrap_or_else(|| runtime.block_on(a_database(dir.path())));
        let extend = wanted.extend.take();
        let config = config(dir.path(), &wanted, &database_url);
        let admin_token = config.admin.token.as_ref();
        let admin_token = admin_token.map(|token| token.expose().to_owned());
        let gateway = Gateway::builder().config(config);
        let gateway = match extend {
            Some(extend) => extend(gateway),
            None => gateway,
        };
        let running = runtime
            .block_on(gateway.start())
            .expect("the gateway starts");
        let addresses = running.addresses();
        Self {
            running: Some(running),
            runtime,
            database_url,
            fresh,
            data: addresses.data,
            admin: addresses.admin.expect("an admin port"),
            admin_token,
            mock,
            dir,
        }
    }

    /// Whether all rows in the database are of this gateway.
    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Whether it was not stopped yet.
    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Returns when the only worker has looked at everything that had come before.
    pub(crate) fn breathe(&self) {
        for _ in 0..3 {
            assert_eq!(self.get("/health").status, 200);
        }
    }

    /// The mock of a test that brought no upstream.
    #[track_caller]
    pub(crate) fn mock(&self) -> &MockHandle {
        self.mock.as_ref().expect("a mock")
    }

    /// What the mock was asked last.
    #[track_caller]
    pub(crate) fn last_request(&self) -> RawRequest {
        self.mock().requests().pop().expect("a request")
    }

    /// Any request to the data port, on a connection of its own; header lines with their ends.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> RawResponse {
        exchange(self.data, request(method, path, headers, body))
    }

    /// Posts JSON to the data port on a connection of its own.
    pub(crate) fn post(&self, path: &str, body: &str) -> RawResponse {
        exchange(self.data, post(path, body))
    }

    /// One chat request for a model, with further keys of the body such as `,"stream":true`.
    pub(crate) fn chat(&self, model: &str, more: &str) -> RawResponse {
        self.post("/v1/chat/completions", &chat_body(model, more))
    }

    /// Gets from the data port.
    pub(crate) fn get(&self, path: &str) -> RawResponse {
        exchange(self.data, get(path))
    }

    /// Gets from the admin port, with the token if it asks for one.
    pub(crate) fn admin_get(&self, path: &str) -> RawResponse {
        let headers = match &self.admin_token {
            Some(token) => format!("authorization: Bearer {token}\r\n"),
            None => String::new(),
        };
        exchange(self.admin, request("GET", path, &headers, b""))
    }

    /// A number of `/metrics`, by its name with labels and without the program's prefix.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> f64 {
        metrics::number(self.admin_get("/metrics").text(), name)
    }

    /// Waits for `aiproxy_log_db_up` to be as given.
    pub(crate) fn wait_for_db(&self, up: bool) {
        wait_until("the alarm follows the database", || {
            (self.metric("log_db_up") == 1.0) == up
        });
    }

    /// How many rows there are, and how many request ids in them, once everything is settled.
    pub(crate) fn row_counts(&self) -> (i64, i64) {
        self.settle();
        db::row_counts(&self.database_url)
    }

    /// Where its database is.
    pub(crate) fn database_url(&self) -> &str {
        &self.database_url
    }

    /// A connection to the data port.
    pub(crate) fn connect(&self) -> RawClient {
        RawClient::connect(self.data)
    }

    /// Waits until every accepted exchange is stored or dropped.
    pub(crate) fn settle(&self) {
        let log = self.running().log();
        wait_until("the log is settled", || {
            let ledger = log.stats().ledger;
            assert!(ledger.is_conserved(), "{ledger:?}");
            ledger.open + ledger.queued + ledger.spooled == 0
        });
    }

    /// All rows, oldest first, bodies included, once everything is settled.
    pub(crate) fn rows(&self) -> Vec<Stored> {
        self.settle();
        self.rows_now()
    }

    /// As [`Self::rows`], with these columns of one's own.
    pub(crate) fn rows_with(&self, columns: &[CustomColumn]) -> Vec<Stored> {
        self.settle();
        self.read_rows(columns)
    }

    /// All rows that are there now.
    pub(crate) fn rows_now(&self) -> Vec<Stored> {
        self.read_rows(&[])
    }

    fn read_rows(&self, columns: &[CustomColumn]) -> Vec<Stored> {
        let url = DatabaseUrl::parse(&self.database_url).expect("a database URL");
        self.runtime.block_on(async {
            let database = Database::open(&url).await.expect("the database opens");
            let filter = LogFilter {
                limit: 10_000,
                ..LogFilter::default()
            };
            let mut rows = Vec::new();
            for row in query::list(&database, columns, &filter)
                .await
                .expect("rows")
            {
                let whole = query::get(&database, columns, &row.record.request_id)
                    .await
                    .expect("a row");
                rows.extend(whole);
            }
            database.close().await;
            rows.reverse();
            rows
        })
    }

    /// The only row.
    pub(crate) fn row(&self) -> Stored {
        let mut rows = self.rows();
        assert_eq!(rows.len(), 1, "{rows:#?}");
        rows.remove(0)
    }

    /// The running gateway itself.
    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().expect("running")
    }

    /// Stops it in order, and gives back its folder.
    pub(crate) fn stop(mut self) -> TempDir {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.stop());
        }
        std::mem::replace(&mut self.dir, TempDir::new().expect("a folder"))
    }
}

/// The database of a test that does not care: SQLite, or as `AIPROXY_TEST_DATABASE` says.
pub(crate) async fn a_database(dir: &Path) -> String {
    match from_environment("AIPROXY_TEST_DATABASE").as_deref() {
        None | Some("sqlite") => sqlite_in(dir),
        Some("postgres") => postgres::shared().new_database().await,
        Some(other) => panic!("AIPROXY_TEST_DATABASE is sqlite or postgres, not {other}"),
    }
}

/// The URL of a SQLite file in a folder.
pub(crate) fn sqlite_in(dir: &Path) -> String {
    format!("sqlite:///{}", dir.join("test.db").display())
}

/// A chat request's body.
pub(crate) fn chat_body(model: &str, more: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hello"}}]{more}}}"#)
}

/// A GET request.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// Waits for an event of another thread that sends no signal.
pub(crate) fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

fn config(dir: &Path, wanted: &Wanted, database_url: &str) -> Config {
    let upstream = wanted.upstream.as_deref().expect("an upstream");
    let mut yaml = String::new();
    let keys = if wanted.no_key {
        String::new()
    } else {
        format!("    api_keys: [{{ key: {PROVIDER_KEY}, name: primary }}]\n")
    };
    let has = |section: &str| wanted.yaml.lines().any(|line| line.starts_with(section));
    writeln!(yaml, "database: {{ url: \"{database_url}\" }}").expect("text");
    if !has("server:") {
        yaml += "server: { port: 0, workers: 1, shutdown_grace_s: 3 }\n";
    }
    if !has("admin:") {
        yaml += "admin: { port: 0 }\n";
    }
    if !has("log:") {
        writeln!(
            yaml,
            "log: {{ spool_dir: \"{}\" }}",
            dir.join("spool").display()
        )
        .expect("text");
    }
    write!(
        yaml,
        "providers:\n  - name: openai\n    kind: openai\n    base_url: {upstream}\n{keys}{}",
        wanted.provider
    )
    .expect("text");
    let more = wanted.yaml.replace("$DIR", &dir.display().to_string());
    let file = dir.join("aiproxy.yaml");
    std::fs::write(&file, format!("{yaml}\n{more}\n")).expect("a file");
    let names = aiproxy::access_log::columns::built_in_names();
    let kinds = aiproxy::gateway::stock_kinds();
    let rules = Rules {
        filters: &kinds,
        built_in_columns: &names,
    };
    let sources = Sources {
        file: Some(file),
        environment: Environment::default(),
        overrides: Vec::new(),
        folder: dir.to_owned(),
    };
    match load(&sources, &rules) {
        Ok(config) => config,
        Err(problems) => panic!("{problems}"),
    }
}
