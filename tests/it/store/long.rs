//! Long records are stored row by row: what stands in SQL then is what a batch would have put there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aiproxy::access_log::columns::{ColumnType, CustomColumn};
use aiproxy::access_log::draft::{Bodies, Captured, ColumnValue};
use aiproxy::access_log::long::LongRecord;
use aiproxy::access_log::query::get;
use aiproxy::access_log::record::{LogRecord, StoredBody};
use bytes::Bytes;

use super::refused::poison;
use super::{attempt, counts, store, verdict};
use crate::support::db::{Backend, TestDb, for_each_backend, run, texts};
use crate::support::records::{id, with_bodies};

fn captured(body: Option<&StoredBody>) -> Option<Captured> {
    body.map(|body| Captured {
        pieces: vec![Bytes::copy_from_slice(&body.bytes)],
        ..Captured::default()
    })
}

/// As the writer makes it: its bodies are read from elsewhere.
fn long(record: LogRecord) -> LongRecord {
    let payload = record.payload.clone().unwrap_or_default();
    LongRecord::new(record, move || Bodies {
        request: captured(payload.request_body.as_ref()),
        upstream_request: captured(payload.upstream_request_body.as_ref()),
        response: captured(payload.response_body.as_ref()),
        upstream_response: captured(payload.upstream_response_body.as_ref()),
    })
}

fn sample(number: u32) -> LogRecord {
    let mut record = with_bodies(number, "{\"ä\":1}".as_bytes(), b"\xff\x00binary");
    record.request_text = Some("nul \0 inside".to_owned());
    record.response_text = None;
    record.tool_calls = Some("[]".to_owned());
    record.columns = vec![("team".to_owned(), ColumnValue::Text("blue".to_owned()))];
    record.tries = vec![attempt(1, 1.0), attempt(2, 2.0)];
    record.verdicts = vec![verdict("a")];
    let payload = record.payload.as_mut().expect("a payload");
    payload.upstream_response_body = Some(StoredBody::default()); // there, and empty
    record
}

fn columns() -> Vec<CustomColumn> {
    vec![CustomColumn {
        name: "team".to_owned(),
        kind: ColumnType::Text,
        index: false,
    }]
}

#[tokio::test]
async fn a_long_record_is_stored_as_in_a_batch() {
    for_each_backend(async |db: TestDb| {
        let store = store(&db, columns());
        store.insert(&[sample(1)]).await.unwrap();
        for is_new in [true, false] {
            let stored = store.insert_long(long(sample(2))).await.unwrap();
            assert_eq!(stored, Some(is_new));
        }
        let database = db.open().await;
        assert_eq!(counts(&database).await, [2, 2, 4, 2]);
        let row = async |number| {
            let mut found = get(&database, &columns(), &id(number)).await.unwrap();
            let record = &mut found.as_mut().unwrap().record;
            (
                record.request_id,
                record.created_at_us,
                record.finished_at_us,
            ) = Default::default();
            format!("{record:?}")
        };
        assert_eq!(row(2).await, row(1).await);
        if db.backend == Backend::Sqlite {
            let types = "SELECT typeof(request_body) || ' ' || typeof(response_body_bytes) \
                         FROM exchange_bodies ORDER BY request_id";
            assert_eq!(texts(&database, types).await, ["text blob"; 2]);
        }
    })
    .await;
}

#[tokio::test]
async fn bodies_are_read_when_the_texts_are_in_their_table() {
    for_each_backend(async |db: TestDb| {
        let store = store(&db, Vec::new());
        let read = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&read);
        let unreadable = LongRecord::new(sample(1), move || {
            seen.store(true, Ordering::SeqCst);
            Bodies::default()
        });
        // The spool is at fault, not the database: it is to be given whole.
        assert_eq!(store.insert_long(unreadable).await.unwrap(), None);
        assert!(read.load(Ordering::SeqCst));
        assert_eq!(counts(&db.open().await).await, [0; 4]);
    })
    .await;
}

#[tokio::test]
async fn a_long_record_that_is_refused_is_given_back() {
    for_each_backend(async |db: TestDb| {
        let store = store(&db, Vec::new());
        assert_eq!(store.insert_long(long(poison(1))).await.unwrap(), None);
        assert_eq!(counts(&db.open().await).await, [0; 4]);
    })
    .await;
}

#[tokio::test]
async fn a_long_record_whose_partition_was_dropped_is_given_back() {
    let db = TestDb::new(Backend::Postgres).await;
    let store = store(&db, Vec::new());
    assert_eq!(store.insert(&[sample(1)]).await.unwrap().new_rows(), 1);
    let database = db.open().await;
    let partition =
        "SELECT relname::text FROM pg_class WHERE relname LIKE 'exchanges_p2%' AND relkind = 'r'";
    for name in texts(&database, partition).await {
        run(&database, &format!("DROP TABLE {name}")).await;
    }
    assert_eq!(store.insert_long(long(sample(2))).await.unwrap(), None);
    assert_eq!(store.insert(&[sample(2)]).await.unwrap().new_rows(), 1);
}
