//! How the program starts, stops and dies: signals, exit codes, locks.

mod recovered;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::db::{block_on, outcomes, row_counts, run, with_database};
use crate::support::gateway::{a_database, chat_body, get, sqlite_in, wait_until};
use crate::support::postgres;
use crate::support::process::{Program, Proxy, configure, serve};
use crate::support::raw_client::{PeerEnd, RawClient, exchange, post};

/// A folder with a configuration, a mock, and a database.
struct House {
    dir: TempDir,
    mock: SocketAddr,
    _mock: Program,
    config: PathBuf,
    database_url: String,
}

impl House {
    fn new(more: &str) -> Self {
        let dir = TempDir::new().expect("a folder");
        let database_url = block_on(a_database(dir.path()));
        let (program, mock) = Program::mock();
        Self {
            config: configure(dir.path(), mock, &database_url, more),
            dir,
            mock,
            _mock: program,
            database_url,
        }
    }

    fn start(&self) -> Proxy {
        Proxy::start(&self.config)
    }

    /// A configuration whose SQLite file lies in a folder that is not there yet.
    fn without_database(&self, more: &str) -> Away {
        let folder = self.dir.path().join("db");
        let url = format!("sqlite:///{}/test.db", folder.display());
        Away {
            config: configure(self.dir.path(), self.mock, &url, more),
            folder,
            url,
        }
    }

    /// Starts it once more, so that what was left in the spool is stored too, and gives the number of rows.
    fn rows(&self) -> i64 {
        let proxy = self.start();
        proxy.settle();
        proxy.stop();
        let (rows, ids) = row_counts(&self.database_url);
        assert_eq!(rows, ids);
        rows
    }

    fn count_of(&self, outcome: &str) -> i64 {
        let counts = outcomes(&self.database_url);
        let found = counts.iter().find(|(name, _)| name == outcome);
        found.map_or(0, |(_, count)| *count)
    }
}

/// A database that is away until its folder is made.
struct Away {
    config: PathBuf,
    folder: PathBuf,
    url: String,
}

/// A stream whose first event has come.
fn open_stream(proxy: &Proxy, model: &str) -> RawClient {
    let mut client = RawClient::connect(proxy.data);
    client.send(post(
        "/v1/chat/completions",
        &chat_body(model, r#","stream":true"#),
    ));
    client.read_until(b"data: ");
    client
}

fn tail(client: RawClient) -> String {
    String::from_utf8(client.read_to_end().0).expect("text")
}

const CUT: &str = r#""code":"server_shutting_down""#;

#[test]
fn f72_streams_end_by_themselves_or_are_told() {
    let house = House::new("server: { port: 0, workers: 2, shutdown_grace_s: 5 }");
    let mut proxy = house.start();
    let mut kept = RawClient::connect(proxy.data);
    kept.send(get("/v1/models"));
    assert_eq!(kept.read_response().status, 200);
    let short: Vec<_> = (0..25)
        .map(|_| open_stream(&proxy, "mock-s6-d200"))
        .collect();
    let long: Vec<_> = (0..25)
        .map(|_| open_stream(&proxy, "mock-s900-d100"))
        .collect();

    proxy.program.terminate();
    let since = Instant::now();
    proxy.program.wait_line("stopping");
    kept.send(get("/v1/models"));
    let refused = kept.read_response();
    let told = |name| refused.header(name).unwrap_or_default().to_owned();
    assert_eq!(refused.status, 503);
    assert_eq!(
        (told("connection"), told("retry-after")),
        ("close".into(), "1".into())
    );
    wait_until("new connections are refused", || {
        TcpStream::connect(proxy.data).is_err()
    });

    for mut client in short {
        client.read_until(b"data: [DONE]\n\n\r\n0\r\n\r\n");
    }
    assert!(
        since.elapsed() < Duration::from_secs(3),
        "{:?}",
        since.elapsed()
    );
    for client in long {
        let text = tail(client);
        assert!(text.contains(CUT) && !text.contains("[DONE]"), "{text}");
        assert!(
            text.ends_with("\r\n0\r\n\r\n"),
            "the body ends cleanly: {text}"
        );
    }
    let cut_after = since.elapsed().as_secs_f64();
    assert!(
        (2.9..5.0).contains(&cut_after),
        "T - 2 s, not {cut_after} s"
    );
    assert_eq!(proxy.program.exit_code(), Some(0));
    assert!(
        since.elapsed() < Duration::from_secs(7),
        "{:?}",
        since.elapsed()
    );
    assert_eq!((house.rows(), house.count_of("shutdown")), (52, 26));
}

#[test]
fn g11_an_answer_that_is_read_late_is_not_cut() {
    let house = House::new("");
    let mut proxy = house.start();
    let mut client = RawClient::connect(proxy.data);
    client.send(post("/v1/chat/completions", &chat_body("mock-b24m", "")));
    client.read_until(b"\r\n\r\n");
    proxy.program.terminate();
    proxy.program.wait_line("stopping");
    let (body, end) = client.read_to_end();
    assert_eq!((body.len() >> 20, end), (24, PeerEnd::Fin));
    assert_eq!(proxy.program.exit_code(), Some(0));
}

#[test]
fn f72_a_database_that_is_away_does_not_hold_up_the_end() {
    let house = House::new("");
    let away = house.without_database("");
    let mut proxy = Proxy::start(&away.config);
    assert_eq!(proxy.chat("mock", "").status, 200);
    proxy.program.terminate();
    let (status, took) = proxy.program.wait_exit();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(4), "{took:?}");
    fs::create_dir(away.folder).expect("a folder");
    let proxy = Proxy::start(&away.config);
    proxy.settle();
    proxy.stop();
    assert_eq!(outcomes(&away.url), [("ok".to_owned(), 1)]);
}

#[test]
fn f73_a_second_signal_cuts_at_once() {
    let house = House::new("");
    let mut proxy = house.start();
    let streams: Vec<_> = (0..10)
        .map(|_| open_stream(&proxy, "mock-s900-d100"))
        .collect();
    proxy.program.terminate();
    proxy.program.wait_line("stopping");
    proxy.program.terminate();
    let since = Instant::now();
    for client in streams {
        let text = tail(client);
        assert!(text.contains(CUT), "{text}");
    }
    assert_eq!(proxy.program.exit_code(), Some(0));
    assert!(
        since.elapsed() < Duration::from_secs(2),
        "{:?}",
        since.elapsed()
    );
    assert_eq!((house.rows(), house.count_of("shutdown")), (10, 10));
}

#[test]
fn f73_a_whole_answer_that_is_waited_for_is_refused_at_the_end() {
    let house = House::new("");
    let mut proxy = house.start();
    let mut client = RawClient::connect(proxy.data);
    client.send(post(
        "/v1/chat/completions",
        &chat_body("mock-slow-60000", ""),
    ));
    wait_until("the upstream has it", || served(house.mock) == 1);
    proxy.program.terminate();
    proxy.program.wait_line("stopping");
    proxy.program.terminate();
    let answer = client.read_response();
    assert_eq!((answer.status, answer.complete), (503, true));
    assert!(answer.text().contains(CUT), "{}", answer.text());
    assert_eq!(proxy.program.exit_code(), Some(0));
    assert_eq!((house.rows(), house.count_of("shutdown")), (1, 1));
}

/// Nothing would find the records again, so the first signal waits for their database; the second does not.
#[test]
fn f73_a_second_signal_ends_the_wait_for_a_database_too() {
    let house = House::new("");
    let away = house.without_database("log: { durability: memory }");
    let mut proxy = Proxy::start(&away.config);
    assert_eq!(proxy.chat("mock", "").status, 200);
    proxy.program.terminate();
    wait_until("the port is closed", || {
        TcpStream::connect(proxy.data).is_err()
    });
    proxy.program.terminate();
    let (status, took) = proxy.program.wait_exit();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(4), "{took:?}");
}

fn served(mock: SocketAddr) -> u64 {
    let stats = exchange(mock, get("/__mock/stats")).json();
    stats["requests"].as_u64().expect("a count")
}

#[test]
fn p2_a_request_is_on_record_before_the_upstream_is_called() {
    let house = House::new("");
    let mut proxy = house.start();
    let mut client = RawClient::connect(proxy.data);
    client.send(post(
        "/v1/chat/completions",
        &chat_body("mock-slow-60000", ""),
    ));
    let stream = open_stream(&proxy, "mock-s900-d100");
    wait_until("the upstream has both", || served(house.mock) == 2);
    proxy.program.kill();
    drop((client, stream));
    let proxy = house.start();
    proxy.settle();
    proxy.stop();
    assert_eq!(outcomes(&house.database_url), [("crashed".to_owned(), 2)]);
}

#[test]
fn p3_what_was_seen_survives_a_death_during_an_outage() {
    let house = House::new("");
    let away = house.without_database("");
    let mut proxy = Proxy::start(&away.config);
    for _ in 0..20 {
        assert!(proxy.chat("mock-s3", r#","stream":true"#).complete);
    }
    proxy.program.kill();
    fs::create_dir(away.folder).expect("a folder");
    let proxy = Proxy::start(&away.config);
    proxy.settle();
    assert_eq!(proxy.metric("log_stored_total"), 20.0);
    proxy.stop();
    assert_eq!(row_counts(&away.url), (20, 20));
}

#[test]
fn f95_a_second_instance_is_turned_away() {
    let house = House::new("");
    let proxy = house.start();
    let other = TempDir::new().expect("a folder");
    let mut same_spool = Program::start(serve(&configure(
        other.path(),
        house.mock,
        &format!("sqlite:///{}/other.db", other.path().display()),
        &format!(
            "log: {{ spool_dir: \"{}/spool\" }}",
            house.dir.path().display()
        ),
    )));
    assert_eq!(same_spool.exit_code(), Some(4));
    same_spool.wait_line("another instance holds the spool directory");
    assert_eq!(proxy.chat("mock", "").status, 200);
    proxy.stop();
}

#[test]
fn f95_one_sqlite_file_has_one_instance_and_one_server_many() {
    let (first, second) = (
        TempDir::new().expect("a folder"),
        TempDir::new().expect("a folder"),
    );
    let (_mock, mock) = Program::mock();
    let sqlite = format!("sqlite:///{}/test.db", first.path().display());
    let _proxy = Proxy::start(&configure(first.path(), mock, &sqlite, ""));
    let mut refused = Program::start(serve(&configure(second.path(), mock, &sqlite, "")));
    assert_eq!(refused.exit_code(), Some(4));
    refused.wait_line("another instance holds the database");

    let (third, server) = (
        TempDir::new().expect("a folder"),
        block_on(postgres::shared().new_database()),
    );
    let one = Proxy::start(&configure(second.path(), mock, &server, ""));
    let two = Proxy::start(&configure(third.path(), mock, &server, ""));
    for proxy in [&one, &two, &one] {
        assert_eq!(proxy.chat("mock", "").status, 200);
    }
    one.stop();
    two.stop();
    assert_eq!(row_counts(&server), (3, 3));
}

#[test]
fn f95_the_next_instance_waits_for_one_that_is_ending() {
    let house = House::new("");
    let sqlite = sqlite_in(house.dir.path());
    let server = "server: { port: 0, workers: 1, shutdown_grace_s: 4 }";
    let config = configure(house.dir.path(), house.mock, &sqlite, server);
    let mut first = Proxy::start(&config);
    let stream = open_stream(&first, "mock-s900-d100");
    first.program.terminate();
    first.program.wait_line("stopping");
    let next = Program::start(serve(&config));
    next.wait_line("is ending: waiting for it");
    let next = Proxy::of(next);
    assert!(tail(stream).contains(CUT));
    assert_eq!(first.program.exit_code(), Some(0));
    assert_eq!(next.chat("mock", "").status, 200);
    next.settle();
    next.stop();
    assert_eq!(row_counts(&sqlite), (2, 2));
}

#[test]
fn f66_a_schema_that_does_not_fit_ends_the_start() {
    let house = House::new("");
    house.start().stop();
    let newer =
        "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m99990101_000001_x', 0)";
    with_database(&house.database_url, async |database| {
        run(database, newer).await
    });
    let mut refused = Program::start(serve(&house.config));
    assert_eq!(refused.exit_code(), Some(3), "{}", refused.text());
    refused.wait_line("schema does not fit");
}
