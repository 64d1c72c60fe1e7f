//! Rows that the database refuses for what is in them.

use aiproxy::access_log::record::LogRecord;
use aiproxy::access_log::store::StoreError;
use aiproxy::database::Database;

use super::{attempt, counts, store};
use crate::support::db::{Backend, TestDb, for_each_backend, run, texts};
use crate::support::records::{id, record};

/// A record that neither database takes: PostgreSQL for its tags, SQLite for an attempt's duration.
pub(super) fn poison(number: u32) -> LogRecord {
    LogRecord {
        tags: Some("{".to_owned()),
        tries: vec![attempt(1, f64::NAN)],
        ..record(number)
    }
}

#[tokio::test]
async fn a_poison_row_goes_into_quarantine_alone() {
    for_each_backend(async |db: TestDb| {
        let store = store(&db, Vec::new());
        let mut batch: Vec<LogRecord> = (0..20).map(record).collect();
        batch[13] = poison(13);
        assert!(matches!(
            store.insert(&batch).await,
            Err(StoreError::Poison(_))
        ));
        for new_rows in [19, 0] {
            let inserted = store.insert_isolating(&batch).await.unwrap();
            assert_eq!(inserted.new_rows(), new_rows);
            assert_eq!(inserted.quarantined.len(), 1);
            assert_eq!(inserted.quarantined[0].request_id, id(13));
        }
        let database = db.open().await;
        assert_eq!(counts(&database).await, [19, 0, 0, 0]);
        assert_eq!(
            texts(&database, "SELECT request_id FROM log_quarantine").await,
            [id(13)]
        );
    })
    .await;
}

#[tokio::test]
async fn f64_a_row_that_quarantine_refuses_too_stands_in_nobodys_way() {
    for_each_backend(async |db: TestDb| {
        let store = store(&db, Vec::new());
        let database = store.database().await.unwrap();
        for (shortest_refused, kept) in [(100, &[(id(1), "null".to_owned())][..]), (0, &[])] {
            refuse_in_quarantine(&database, db.backend, shortest_refused).await;
            let inserted = store
                .insert_isolating(&[record(0), poison(1), record(2)])
                .await
                .unwrap();
            assert_eq!(inserted.quarantined.len(), 1);
            assert_eq!(counts(&database).await, [2, 0, 0, 0]);
            let found = texts(&database, "SELECT request_id FROM log_quarantine").await;
            let records = texts(&database, "SELECT record FROM log_quarantine").await;
            let found: Vec<_> = found.into_iter().zip(records).collect();
            assert_eq!(found, kept);
            run(&database, "DELETE FROM log_quarantine").await;
        }
    })
    .await;
}

/// Makes the table of refused rows refuse records of this length and more.
async fn refuse_in_quarantine(database: &Database, backend: Backend, from: u32) {
    let sql = match backend {
        Backend::Sqlite => format!(
            "CREATE TRIGGER refuse_{from} BEFORE INSERT ON log_quarantine WHEN length(NEW.record) >= {from} \
             BEGIN SELECT RAISE(ABORT, 'too long'); END"
        ),
        Backend::Postgres => {
            format!("ALTER TABLE log_quarantine ADD CHECK (length(record) < {from})")
        }
    };
    run(database, &sql).await;
}
