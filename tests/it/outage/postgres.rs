//! PostgreSQL that stops, breaks off, turns read-only or takes no connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::{AssertSqlSafe, Connection, Executor, Row};

use super::{ALARM, FELT};
use crate::support::db::{block_on, script, texts, with_database};
use crate::support::from_environment;
use crate::support::gateway::{TestGateway, Wanted, chat_body, wait_until};
use crate::support::postgres::Cluster;
use crate::support::raw_client::{exchange, post};

/// A gateway on a cluster of its own.
fn on_own_cluster(options: &str) -> (TestGateway, Cluster) {
    let cluster = Cluster::start(options);
    let wanted = Wanted {
        database_url: Some(block_on(cluster.new_database())),
        ..Wanted::default()
    };
    (TestGateway::with(wanted), cluster)
}

fn name(gateway: &TestGateway) -> &str {
    let url = gateway.database_url();
    url.rsplit_once('/').expect("a database").1
}

/// Asks on and on until it is stopped; nobody may feel anything.
struct Load {
    stopped: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Duration>>,
}

impl Load {
    fn start(gateway: &TestGateway) -> Self {
        let (stopped, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let data = gateway.data;
        let threads = (0..4).map(|_| {
            let (stopped, answered) = (stopped.clone(), answered.clone());
            std::thread::spawn(move || {
                let request = post("/v1/chat/completions", &chat_body("mock-d5", ""));
                let mut slowest = Duration::ZERO;
                while !stopped.load(Ordering::SeqCst) {
                    let since = Instant::now();
                    assert_eq!(exchange(data, &request).status, 200);
                    slowest = slowest.max(since.elapsed());
                    answered.fetch_add(1, Ordering::SeqCst);
                }
                slowest
            })
        });
        let threads = threads.collect();
        Self {
            stopped,
            answered,
            threads,
        }
    }

    fn wait_for_more(&self, more: usize) {
        let before = self.answered.load(Ordering::SeqCst);
        wait_until("the load goes on", || {
            before + more <= self.answered.load(Ordering::SeqCst)
        });
    }

    /// Ends it and gives how many were answered.
    #[track_caller]
    fn end(self) -> i64 {
        self.stopped.store(true, Ordering::SeqCst);
        for thread in self.threads {
            let slowest = thread.join().expect("every request is answered");
            assert!(slowest < FELT, "{slowest:?}");
        }
        i64::try_from(self.answered.load(Ordering::SeqCst)).expect("a count")
    }
}

#[test]
fn f61_a_stopped_server_loses_nothing() {
    let least: u64 =
        from_environment("AIPROXY_OUTAGE_S").map_or(1, |s| s.parse().expect("seconds"));
    let (gateway, cluster) = on_own_cluster("");
    let load = Load::start(&gateway);
    load.wait_for_more(50);
    cluster.crash();
    let since = Instant::now();
    gateway.wait_for_db(false);
    assert!(since.elapsed() < ALARM, "{:?}", since.elapsed());
    while since.elapsed() < Duration::from_secs(least) {
        load.wait_for_more(50);
    }
    cluster.restart();
    gateway.wait_for_db(true);
    let asked = load.end();
    assert_eq!(gateway.row_counts(), (asked, asked));
    println!(
        "{asked} exchanges, the server away for {:.1?}",
        since.elapsed()
    );
}

#[test]
fn f62_crashes_in_the_middle_of_batches_lose_and_double_nothing() {
    let (gateway, cluster) = on_own_cluster("");
    let load = Load::start(&gateway);
    for _ in 0..5 {
        let stored = gateway.metric("log_stored_total");
        wait_until("batches are stored", || {
            stored + 20.0 < gateway.metric("log_stored_total")
        });
        cluster.crash();
        cluster.restart();
    }
    let asked = load.end();
    assert_eq!(gateway.row_counts(), (asked, asked));
    assert_eq!(gateway.metric("log_stored_total"), asked as f64);
}

#[test]
fn f64_a_server_that_turned_read_only_is_tried_again_on_new_connections() {
    let (gateway, cluster) = on_own_cluster("");
    let database = name(&gateway);
    let read_only = |on| {
        block_on(cluster.admin(&format!(
            "ALTER DATABASE {database} SET default_transaction_read_only = {on}"
        )));
    };
    read_only("on");
    cut_off_all(&cluster, database); // 57P01
    assert_eq!(gateway.chat("mock", "").status, 200);
    gateway.wait_for_db(false);
    wait_until(
        "a connection was made that is read-only for its life",
        || {
            block_on(connections(&cluster, database)) > 0 // 25006
        },
    );
    read_only("off");
    assert_eq!(gateway.row_counts(), (1, 1));
}

#[test]
fn f64_connections_cut_by_the_server_are_made_anew() {
    let (gateway, cluster) = on_own_cluster("");
    let load = Load::start(&gateway);
    for _ in 0..10 {
        load.wait_for_more(20);
        cut_off_all(&cluster, name(&gateway));
    }
    let asked = load.end();
    assert_eq!(gateway.row_counts(), (asked, asked));
}

#[test]
fn f64_a_server_without_free_connections_is_waited_for() {
    let (gateway, cluster) =
        on_own_cluster("-c max_connections=12 -c superuser_reserved_connections=0");
    gateway.chat("mock", "");
    gateway.settle();
    let database = name(&gateway);
    let mut taken = Vec::new();
    block_on(async {
        taken.push(cluster.connect("postgres").await);
        cut_off_all_by(&mut taken[0], database).await;
        while let Ok(connection) = cluster.try_connect("postgres").await {
            taken.push(connection);
        }
    });
    gateway.chat("mock", "");
    gateway.wait_for_db(false);
    drop(taken);
    assert_eq!(gateway.row_counts(), (2, 2));
}

#[test]
fn f64_a_poison_row_goes_into_quarantine_alone() {
    let gateway = TestGateway::start();
    let refuse = if gateway.database_url().starts_with("sqlite") {
        "CREATE TRIGGER no_poison BEFORE INSERT ON exchanges WHEN new.requested_model = 'mock-s7' \
         BEGIN SELECT raise(ABORT, 'poison'); END"
    } else {
        "ALTER TABLE exchanges ADD CONSTRAINT no_poison CHECK (requested_model <> 'mock-s7')"
    };
    with_database(gateway.database_url(), async |database| {
        script(database, refuse).await
    });
    let models = ["mock", "mock-s7", "mock", "mock"];
    models
        .iter()
        .for_each(|model| drop(gateway.chat(model, "")));
    assert_eq!(gateway.row_counts(), (3, 3));
    assert_eq!(
        gateway.metric(r#"log_dropped_total{reason="quarantined"}"#),
        1.0
    );
    let kept = "SELECT error FROM log_quarantine";
    let kept = with_database(gateway.database_url(), async |database| {
        texts(database, kept).await
    });
    assert_eq!(kept.len(), 1);
}

#[test]
fn p4_a_server_that_is_away_at_the_start_is_waited_for() {
    let cluster = Cluster::start("");
    let database_url = block_on(cluster.new_database());
    cluster.crash();
    let wanted = Wanted {
        database_url: Some(database_url),
        ..Wanted::default()
    };
    let since = Instant::now();
    let gateway = TestGateway::with(wanted);
    assert_eq!(gateway.chat("mock", "").status, 200);
    assert!(since.elapsed() < FELT, "{:?}", since.elapsed());
    cluster.restart();
    assert_eq!(gateway.row_counts(), (1, 1));
}

/// How many connections there are to a database.
async fn connections(cluster: &Cluster, database: &str) -> i64 {
    let mut admin = cluster.connect("postgres").await;
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'");
    let row = admin.fetch_one(AssertSqlSafe(sql)).await.expect("a row");
    admin.close().await.expect("an orderly end");
    row.get(0)
}

/// Ends all connections to a database, as an operator does.
fn cut_off_all(cluster: &Cluster, database: &str) {
    block_on(async {
        let mut admin = cluster.connect("postgres").await;
        cut_off_all_by(&mut admin, database).await;
    });
}

async fn cut_off_all_by(admin: &mut PgConnection, database: &str) {
    use sea_orm::sqlx::{AssertSqlSafe, Executor};
    let sql = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
    );
    admin
        .execute(AssertSqlSafe(sql))
        .await
        .expect("a superuser");
}
