//! The record's way into SQL and back, on both databases. Over 400 lines: one subject, and the same records
//! throughout.

mod long;
mod refused;

use aiproxy::access_log::columns::{ColumnError, ColumnType, CustomColumn};
use aiproxy::access_log::draft::{AttemptDraft, ColumnValue, VerdictDraft};
use aiproxy::access_log::query::{Cursor, LogFilter, get, list, stored_response};
use aiproxy::access_log::record::LogRecord;
use aiproxy::access_log::retention::{Pruned, Retention, prune};
use aiproxy::access_log::store::{LogStore, StoreError};
use aiproxy::config::DatabaseUrl;
use aiproxy::database::Database;
use aiproxy::filter::Outcome;

use crate::support::db::{Backend, TestDb, for_each_backend, number, run, texts};
use crate::support::records::{DAY_US, NOW_US, id, record, with_bodies};

fn store(db: &TestDb, columns: Vec<CustomColumn>) -> LogStore {
    LogStore::new(db.url.clone(), true, columns).expect("a store")
}

fn attempt(number: u32, duration_ms: f64) -> AttemptDraft {
    AttemptDraft {
        number,
        provider: "openai".to_owned(),
        model: None,
        provider_key: Some("primary".to_owned()),
        started_at_us: NOW_US,
        status_code: Some(503),
        outcome: Outcome::UpstreamError,
        error_message: Some("busy".to_owned()),
        connect_ms: None,
        first_byte_ms: Some(2.5),
        duration_ms,
        skip_reason: None,
    }
}

fn verdict(filter: &str) -> VerdictDraft {
    VerdictDraft {
        filter: filter.to_owned(),
        phase: "request".to_owned(),
        verdict: "changed".to_owned(),
        detail: None,
        duration_us: 7,
    }
}

async fn counts(database: &Database) -> [i64; 4] {
    let count = async |table| number(database, &format!("SELECT count(*) FROM {table}")).await;
    [
        count("exchanges").await,
        count("exchange_bodies").await,
        count("attempts").await,
        count("filter_verdicts").await,
    ]
}

#[tokio::test]
async fn a_repeated_batch_adds_nothing() {
    for_each_backend(async |db: TestDb| {
        let store = store(&db, Vec::new());
        let mut first = with_bodies(1, b"{}", b"{}");
        first.tries = vec![attempt(1, 1.0), attempt(2, 2.0)];
        first.verdicts = vec![verdict("a"), verdict("a")];
        let batch = [first, record(2)];
        assert_eq!(store.insert(&batch).await.unwrap().new_rows(), 2);
        assert_eq!(store.insert(&batch).await.unwrap().new_rows(), 0);
        let more = [batch[1].clone(), record(3)];
        assert_eq!(store.insert(&more).await.unwrap().new_ids, [id(3)].into());
        assert_eq!(counts(&db.open().await).await, [3, 1, 2, 2]);
    })
    .await;
}

#[tokio::test]
async fn batches_of_any_size_are_stored_whole() {
    for_each_backend(async |db: TestDb| {
        let store = store(&db, Vec::new());
        let mut from = 0;
        for size in [0, 1, 3, 4, 85, 401] {
            let batch: Vec<LogRecord> = (from..from + size)
                .map(|number| with_bodies(number, b"{}", b"[]"))
                .collect();
            assert_eq!(
                store.insert(&batch).await.unwrap().new_rows(),
                size as usize
            );
            from += size;
        }
        assert_eq!(counts(&db.open().await).await, [494, 494, 0, 0]);
    })
    .await;
}

#[tokio::test]
async fn what_goes_in_comes_out() {
    for_each_backend(async |db: TestDb| {
        let store = store(&db, Vec::new());
        let mut whole = with_bodies(1, "{\"ä\":1}".as_bytes(), b"\xff\x00binary");
        whole.tags = Some(r#"{"team":"blue"}"#.to_owned());
        whole.request_text = Some("nul \0 inside".to_owned());
        whole.end_user = Some("x".repeat(10_000));
        whole.tries = vec![attempt(1, 1.0)];
        whole.verdicts = vec![verdict("a"), verdict("b")];
        store.insert(&[whole.clone()]).await.unwrap();
        let database = db.open().await;
        let found = get(&database, &[], &id(1)).await.unwrap().unwrap().record;
        let payload = found.payload.as_ref().unwrap();
        assert_eq!(
            payload.request_body.as_ref().unwrap().bytes,
            "{\"ä\":1}".as_bytes()
        );
        assert_eq!(
            payload.response_body.as_ref().unwrap().bytes,
            &b"\xff\x00binary"[..]
        );
        assert_eq!(payload.response_body.as_ref().unwrap().size, 8);
        assert!(payload.upstream_request_body.is_none());
        assert_eq!(found.created_at_us, whole.created_at_us);
        assert_eq!(found.finished_at_us, whole.finished_at_us);
        assert_eq!(found.request_text.as_deref(), Some("nul \u{fffd} inside"));
        assert_eq!(found.end_user.map(|user| user.len()), Some(512));
        assert_eq!(
            (found.tries.len(), found.tries[0].outcome),
            (1, Outcome::UpstreamError)
        );
        assert_eq!((found.stream, found.provider), (Some(false), None));
        assert_eq!(
            found
                .verdicts
                .iter()
                .map(|v| v.filter.as_str())
                .collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert_eq!(
            texts(&database, "SELECT tags->>'team' FROM exchanges").await,
            ["blue"]
        );
        assert!(get(&database, &[], "none\0").await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn the_stored_answer_is_found_for_replay() {
    for_each_backend(async |db: TestDb| {
        let mut streamed = with_bodies(1, b"{}", b"data: [DONE]\n\n");
        streamed.stream = Some(true);
        if let Some(payload) = &mut streamed.payload {
            payload.chunk_times = Some("0,14,1000".to_owned());
        }
        let bare = LogRecord {
            body_state: "metadata_only".to_owned(),
            ..record(2)
        };
        store(&db, Vec::new())
            .insert(&[streamed, bare])
            .await
            .unwrap();
        let database = db.open().await;
        let found = stored_response(&database, &id(1)).await.unwrap().unwrap();
        assert_eq!(found.body.as_deref(), Some(&b"data: [DONE]\n\n"[..]));
        assert_eq!(
            (found.status_code, found.stream, found.body_size),
            (200, Some(true), Some(14))
        );
        assert_eq!(found.chunk_times.as_deref(), Some("0,14,1000"));
        let bare = stored_response(&database, &id(2)).await.unwrap().unwrap();
        assert_eq!(
            (bare.body, bare.body_state.as_str()),
            (None, "metadata_only")
        );
        assert_eq!(stored_response(&database, &id(3)).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_new_sqlite_file_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let db = TestDb::new(Backend::Sqlite).await;
    let store = store(&db, Vec::new());
    store.insert(&[record(1)]).await.unwrap();
    let mode = |name: &str| {
        let metadata = std::fs::metadata(db.dir.path().join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    for name in ["test.db", "test.db-wal", "test.db-shm"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    // Whoever opened it to others meant it.
    let path = db.dir.path().join("test.db");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    store.close().await;
    store.insert(&[record(2)]).await.unwrap();
    assert_eq!(mode("test.db"), 0o644);
}

#[tokio::test]
async fn own_columns_are_real_columns() {
    let column = |name: &str, kind| CustomColumn {
        name: name.to_owned(),
        kind,
        index: true,
    };
    for_each_backend(async |db: TestDb| {
        let columns = vec![
            column("user", ColumnType::Text),
            column("temperature", ColumnType::Float),
            column("run", ColumnType::Integer),
            column("night", ColumnType::Boolean),
            column(&"x".repeat(63), ColumnType::Text),
        ];
        let first = store(&db, columns.clone());
        let mut record = record(1);
        record.columns = vec![
            ("user".to_owned(), ColumnValue::Text("ann".to_owned())),
            ("temperature".to_owned(), ColumnValue::Float(0.5)),
            ("run".to_owned(), ColumnValue::Integer(7)),
            ("night".to_owned(), ColumnValue::Integer(1)),
            ("unknown".to_owned(), ColumnValue::Integer(1)),
        ];
        first.insert(&[record.clone()]).await.unwrap();
        let database = db.open().await;
        let found = list(&database, &columns, &LogFilter::default())
            .await
            .unwrap();
        assert_eq!(found[0].record.columns, record.columns[..4]);
        // A removed column stays; the same ones are taken again; another type is refused.
        store(&db, columns[..1].to_vec())
            .insert(&[crate::support::records::record(2)])
            .await
            .unwrap();
        assert_eq!(
            number(&database, "SELECT CAST(sum(run) AS bigint) FROM exchanges").await,
            7
        );
        let other = store(&db, vec![column("run", ColumnType::Text)]);
        let error = other.database().await.unwrap_err();
        assert!(
            matches!(error, StoreError::Column(ColumnError::OtherType { .. })),
            "{error}"
        );
    })
    .await;
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    for_each_backend(async |db: TestDb| {
        let mut batch: Vec<LogRecord> = (0..10).map(record).collect();
        batch[3].end_user = Some("ann".to_owned());
        batch[4].outcome = "shed".to_owned();
        batch[5].response_text = Some("100% Of_it".to_owned());
        batch[6].model = None;
        batch[7].created_at_us = batch[8].created_at_us;
        store(&db, Vec::new()).insert(&batch).await.unwrap();
        let database = db.open().await;
        let ids = async |filter: LogFilter| -> Vec<u32> {
            let found = list(&database, &[], &filter).await.unwrap();
            let number =
                |id: &str| u32::from_str_radix(id.rsplit('-').next().unwrap(), 16).unwrap();
            found
                .iter()
                .map(|stored| number(&stored.record.request_id))
                .collect()
        };
        let all = LogFilter::default;
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(ids(all()).await, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
        assert_eq!(
            ids(LogFilter {
                user: text("ann"),
                ..all()
            })
            .await,
            [3]
        );
        assert_eq!(
            ids(LogFilter {
                outcome: text("shed"),
                ..all()
            })
            .await,
            [4]
        );
        for (model, found) in [
            ("gpt-asked", &[9, 8, 7, 6, 5, 4, 3, 2, 1, 0][..]),
            ("gpt-answered", &[9, 8, 7, 5, 4, 3, 2, 1, 0]),
            ("gpt-ans*", &[9, 8, 7, 5, 4, 3, 2, 1, 0]),
            ("*-Answered", &[]),
            ("gpt_answered?", &[]),
        ] {
            let filter = LogFilter {
                model: text(model),
                ..all()
            };
            assert_eq!(ids(filter).await, found, "{model}");
        }
        assert_eq!(
            ids(LogFilter {
                grep: text("100% of_"),
                ..all()
            })
            .await,
            [5]
        );
        assert_eq!(
            ids(LogFilter {
                grep: text("%"),
                ..all()
            })
            .await,
            [5]
        );
        assert_eq!(
            ids(LogFilter {
                grep: text("QUESTION 2"),
                ..all()
            })
            .await,
            [2]
        );
        assert_eq!(
            ids(LogFilter {
                since_us: Some(batch[8].created_at_us),
                ..all()
            })
            .await,
            [9, 8, 7]
        );
        assert_eq!(
            ids(LogFilter {
                until_us: Some(batch[2].created_at_us),
                ..all()
            })
            .await,
            [1, 0]
        );
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = list(
                &database,
                &[],
                &LogFilter {
                    after,
                    limit: 3,
                    ..all()
                },
            )
            .await
            .unwrap();
            let Some(last) = page.last() else { break };
            after = Some(Cursor::from(last));
            paged.extend(page.iter().map(|stored| stored.id));
        }
        let whole = list(&database, &[], &all()).await.unwrap();
        assert_eq!(
            paged,
            whole.iter().map(|stored| stored.id).collect::<Vec<_>>()
        );
    })
    .await;
}

#[tokio::test]
async fn partitions_are_made_when_a_day_needs_them() {
    let db = TestDb::new(Backend::Postgres).await;
    let store = store(&db, Vec::new());
    let on_day = |number: u32, day: i64| LogRecord {
        created_at_us: NOW_US + day * DAY_US,
        ..record(number)
    };
    store
        .insert(&[on_day(1, 0), on_day(2, 1), on_day(3, -400)])
        .await
        .unwrap();
    let database = db.open().await;
    let partitions = "SELECT relname::text FROM pg_class WHERE relname LIKE 'exchanges_p2%' \
                      AND relkind = 'r' ORDER BY 1";
    let expected = [
        "exchanges_p20251017",
        "exchanges_p20261121",
        "exchanges_p20261122",
    ];
    assert_eq!(texts(&database, partitions).await, expected);
    // Dropped behind the store's back, it is made again.
    run(&database, "DROP TABLE exchanges_p20261122").await;
    assert_eq!(store.insert(&[on_day(4, 1)]).await.unwrap().new_rows(), 1);
    assert_eq!(texts(&database, partitions).await, expected);
}

#[tokio::test]
async fn two_stores_make_the_same_day_at_once() {
    let db = TestDb::new(Backend::Postgres).await;
    let (one, two) = (store(&db, Vec::new()), store(&db, Vec::new()));
    one.database().await.unwrap();
    two.database().await.unwrap();
    let (first, second) = ([record(1)], [record(2)]);
    let (first, second) = tokio::join!(one.insert(&first), two.insert(&second));
    assert_eq!(first.unwrap().new_rows() + second.unwrap().new_rows(), 2);
}

#[tokio::test]
async fn retention_by_days() {
    for_each_backend(async |db: TestDb| {
        let store = store(&db, Vec::new());
        let aged = |number: u32, days: i64| {
            let mut record = with_bodies(number, b"{}", b"{}");
            record.created_at_us = NOW_US - days * DAY_US;
            record.tries = vec![attempt(1, 1.0)];
            record.verdicts = vec![verdict("a")];
            record
        };
        let mut batch = vec![
            aged(1, 0),
            aged(2, 13),
            aged(3, 16),
            aged(4, 17),
            aged(5, 92),
        ];
        batch.extend((6..1_300).map(|number| aged(number, 100)));
        let mut old_poison = refused::poison(2_000);
        old_poison.created_at_us = NOW_US - 91 * DAY_US;
        store.insert_isolating(&[old_poison]).await.unwrap();
        batch[3].body_state = "truncated".to_owned();
        store.insert(&batch).await.unwrap();
        let database = db.open().await;
        let retention = Retention {
            exchanges_days: 90,
            bodies_days: 14,
        };
        let pruned = prune(&database, retention, NOW_US).await.unwrap();
        match db.backend {
            Backend::Sqlite => {
                assert_eq!(
                    pruned,
                    Pruned {
                        exchanges: 1_295,
                        expired: 2,
                        partitions: 0
                    }
                );
            }
            Backend::Postgres => {
                assert_eq!(
                    pruned,
                    Pruned {
                        exchanges: 0,
                        expired: 2,
                        partitions: 14
                    }
                );
            }
        }
        assert_eq!(counts(&database).await, [4, 2, 4, 4]);
        let states = "SELECT body_state FROM exchanges ORDER BY request_id";
        assert_eq!(
            texts(&database, states).await,
            ["stored", "stored", "expired", "expired"]
        );
        assert_eq!(
            prune(&database, retention, NOW_US).await.unwrap(),
            Pruned::default()
        );
        assert_eq!(
            number(&database, "SELECT count(*) FROM log_quarantine").await,
            0
        );
        let for_ever = Retention {
            exchanges_days: 0,
            bodies_days: 0,
        };
        assert_eq!(
            prune(&database, for_ever, i64::MAX).await.unwrap(),
            Pruned::default()
        );
        if db.backend == Backend::Sqlite {
            assert_eq!(
                number(
                    &database,
                    "SELECT freelist_count FROM pragma_freelist_count"
                )
                .await,
                0
            );
        }
        // The store goes on, for a day whose partition went too.
        assert_eq!(store.insert(&[aged(5, 92)]).await.unwrap().new_rows(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_sqlite_file_that_went_away_is_made_anew() {
    let db = TestDb::new(Backend::Sqlite).await;
    let place = db.dir.path().join("sub");
    let url = DatabaseUrl::parse(&format!("sqlite:///{}/test.db", place.display())).unwrap();
    let store = LogStore::new(url, true, Vec::new()).unwrap();
    assert!(matches!(
        store.insert(&[record(1)]).await,
        Err(StoreError::Unavailable(_))
    ));
    std::fs::create_dir(&place).unwrap();
    assert_eq!(store.insert(&[record(1)]).await.unwrap().new_rows(), 1);
    std::fs::remove_dir_all(&place).unwrap();
    assert!(matches!(
        store.insert(&[record(2)]).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(store.ready().await.is_err());
    std::fs::create_dir(&place).unwrap();
    assert!(store.ready().await.is_ok());
    assert_eq!(store.insert(&[record(2)]).await.unwrap().new_rows(), 1);
}

#[tokio::test]
async fn lost_tables_and_read_only_servers_are_told_apart() {
    let db = TestDb::new(Backend::Postgres).await;
    let store = store(&db, Vec::new());
    let database = store.database().await.unwrap();
    store.insert(&[record(1)]).await.unwrap();
    run(&database, "DROP TABLE filter_verdicts").await;
    let mut with_verdict = record(2);
    with_verdict.verdicts = vec![verdict("a")];
    assert!(matches!(
        store.insert(&[with_verdict]).await,
        Err(StoreError::Schema(_))
    ));
    store.close().await;
    let admin = db.open().await;
    let name = texts(&admin, "SELECT current_database()::text")
        .await
        .join("");
    let sql = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    run(&admin, &sql).await;
    let refused = self::store(&db, Vec::new()).insert(&[record(3)]).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_lock_held_by_another_process_is_waited_for_in_vain() {
    let db = TestDb::new(Backend::Sqlite).await;
    let store = store(&db, Vec::new());
    store.insert(&[record(1)]).await.unwrap();
    let other = db.open().await;
    run(&other, "BEGIN EXCLUSIVE").await;
    assert!(matches!(
        store.insert(&[record(2)]).await,
        Err(StoreError::Unavailable(_))
    ));
    run(&other, "COMMIT").await;
    assert_eq!(store.insert(&[record(2)]).await.unwrap().new_rows(), 1);
}
