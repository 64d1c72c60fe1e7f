//! SQLite that is locked, away, read-only or full, and a writer that is held up: clients feel nothing, nothing is lost.

mod mounted;
mod postgres;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use aiproxy::access_log::observer::Observer;
use aiproxy::access_log::record::LogRecord;
use sea_orm::sqlx::sqlite::SqliteConnection;
use sea_orm::sqlx::{Connection, Executor};
use tempfile::TempDir;

use crate::support::db::{block_on, outcomes};
use crate::support::gateway::{TestGateway, Wanted, sqlite_in, wait_until};

/// A client that waits longer than this has felt something.
const FELT: Duration = Duration::from_secs(2);

/// Within this, `aiproxy_log_db_up` tells of a database that is away.
const ALARM: Duration = Duration::from_secs(5);

/// A gateway whose SQLite file is `db/test.db` in its folder.
fn with_own_folder(yaml: &str) -> TestGateway {
    let dir = TempDir::new().expect("a folder");
    fs::create_dir(dir.path().join("db")).expect("a folder");
    let wanted = Wanted {
        database_url: Some(sqlite_in(&dir.path().join("db"))),
        yaml: yaml.to_owned(),
        ..Wanted::default()
    };
    TestGateway::in_dir(dir, wanted)
}

/// Asks so often; nobody may feel anything.
#[track_caller]
fn serve(gateway: &TestGateway, times: usize) {
    for _ in 0..times {
        let since = Instant::now();
        let answer = gateway.chat("mock", "");
        assert_eq!((answer.status, answer.complete), (200, true));
        assert!(since.elapsed() < FELT, "{:?}", since.elapsed());
    }
}

/// Another process's lock on a SQLite file, until it is dropped.
struct Locked(Option<SqliteConnection>);

impl Locked {
    fn exclusively(dir: &Path) -> Self {
        let url = format!("sqlite://{}", dir.join("db/test.db").display());
        let connection = block_on(async {
            let mut connection = SqliteConnection::connect(&url).await.expect("the file");
            connection.execute("BEGIN EXCLUSIVE").await.expect("a lock");
            connection
        });
        Self(Some(connection))
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            block_on(connection.close()).expect("the lock is let go");
        }
    }
}

#[test]
fn f54_a_locked_file_is_felt_by_nobody() {
    let gateway = with_own_folder("");
    serve(&gateway, 1);
    gateway.settle();
    let lock = Locked::exclusively(gateway.dir.path());
    let since = Instant::now();
    serve(&gateway, 20);
    gateway.wait_for_db(false);
    assert!(since.elapsed() < ALARM, "{:?}", since.elapsed());
    wait_until("records grow old", || {
        gateway.metric("log_oldest_unpersisted_seconds") > 3.0
    });
    drop(lock);
    assert_eq!(gateway.row_counts(), (21, 21));
    assert_eq!(gateway.metric("log_db_up"), 1.0);
}

#[test]
fn f55_a_removed_folder_comes_back_without_a_restart() {
    let gateway = with_own_folder("");
    serve(&gateway, 3);
    gateway.settle();
    let folder = gateway.dir.path().join("db");
    fs::remove_dir_all(&folder).expect("the folder goes");
    let since = Instant::now();
    serve(&gateway, 5);
    gateway.wait_for_db(false);
    assert!(since.elapsed() < ALARM, "{:?}", since.elapsed());
    fs::create_dir(&folder).expect("a folder");
    assert_eq!(gateway.row_counts(), (5, 5));
    gateway.wait_for_db(true);
}

#[test]
fn f55_a_file_that_is_no_database_is_put_right_without_a_restart() {
    let gateway = with_own_folder("");
    let file = gateway.dir.path().join("db/test.db");
    let good = gateway.dir.path().join("good.db");
    fs::rename(&file, &good).expect("the file goes");
    fs::write(&file, "not a database, but long enough to be looked at").expect("a file");
    serve(&gateway, 2);
    gateway.wait_for_db(false);
    fs::rename(&good, &file).expect("the file comes back");
    assert_eq!(gateway.row_counts(), (2, 2));
}

#[test]
fn f86_a_writer_that_is_held_up_leaves_records_to_the_spool() {
    let gateway = with_own_folder("log: { spool_dir: \"$DIR/spool\", queue_bytes: 65536 }");
    serve(&gateway, 1);
    gateway.settle();
    let lock = Locked::exclusively(gateway.dir.path());
    serve(&gateway, 150);
    assert!(gateway.metric("log_spooled") > 0.0);
    assert!(gateway.metric("log_queued") < 150.0);
    drop(lock);
    assert_eq!(gateway.row_counts(), (151, 151));
}

#[test]
fn memory_mode_keeps_no_file_and_counts_what_it_drops() {
    let gateway = with_own_folder("log: { durability: memory, queue_bytes: 65536 }");
    serve(&gateway, 1);
    gateway.settle();
    assert!(!gateway.dir.path().join("aiproxy-spool").exists());
    let lock = Locked::exclusively(gateway.dir.path());
    serve(&gateway, 150);
    drop(lock);
    let (rows, _) = gateway.row_counts();
    let dropped = gateway.metric(r#"log_dropped_total{reason="queue_full"}"#);
    assert!(dropped > 0.0);
    assert_eq!(rows as f64 + dropped, 151.0);
}

#[test]
fn memory_mode_stores_everything_before_an_orderly_end() {
    let gateway = with_own_folder("log: { durability: memory }");
    serve(&gateway, 20);
    let url = gateway.database_url().to_owned();
    let _dir = gateway.stop();
    assert_eq!(outcomes(&url), [("ok".to_owned(), 20)]);
}

/// Panics at every record.
struct Panics;

impl Observer for Panics {
    fn on_complete(&self, _: &LogRecord) {
        panic!("on purpose");
    }
}

#[test]
fn f85_a_panic_on_the_writers_thread_loses_nothing() {
    let wanted = Wanted {
        extend: Some(Box::new(|gateway| gateway.observer(Panics))),
        ..Wanted::default()
    };
    let gateway = TestGateway::with(wanted);
    serve(&gateway, 3);
    assert_eq!(gateway.row_counts(), (3, 3));
}

#[test]
fn p4_a_database_that_is_away_at_the_start_is_waited_for() {
    let dir = TempDir::new().expect("a folder");
    let folder = dir.path().join("db");
    let wanted = Wanted {
        database_url: Some(sqlite_in(&folder)),
        ..Wanted::default()
    };
    let gateway = TestGateway::in_dir(dir, wanted);
    serve(&gateway, 2);
    gateway.wait_for_db(false);
    fs::create_dir(folder).expect("a folder");
    assert_eq!(gateway.row_counts(), (2, 2));
}
