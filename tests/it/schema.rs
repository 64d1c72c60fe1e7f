//! The schema is a contract: what the migrations make is what the table of columns says, and the views give
//! what dashboards read.

use std::collections::BTreeMap;

use aiproxy::access_log::columns::TABLES;
use aiproxy::access_log::record::LogRecord;
use aiproxy::access_log::store::LogStore;
use aiproxy::config::DatabaseUrl;
use aiproxy::database::value::{Datum, Kind};
use aiproxy::database::{Database, DatabaseError, SchemaState};

use crate::support::db::{Backend, TestDb, double, for_each_backend, number, run, script, texts};
use crate::support::records::{NOW_US, record, with_bodies};

/// Name and type of every column of a table or view, in the database's own words.
async fn columns(database: &Database, backend: Backend, table: &str) -> Vec<String> {
    let sql = match backend {
        Backend::Sqlite => {
            format!(
                "SELECT name || ' ' || lower(type) FROM pragma_table_info('{table}') ORDER BY cid"
            )
        }
        Backend::Postgres => format!(
            "SELECT attname || ' ' || format_type(atttypid, NULL) FROM pg_attribute \
             WHERE attrelid = '{table}'::regclass AND attnum > 0 ORDER BY attnum"
        ),
    };
    texts(database, &sql).await
}

/// What a new database runs.
const MIGRATIONS: usize = 2;

#[tokio::test]
async fn p10_tables_are_what_the_columns_say() {
    for_each_backend(async |db: TestDb| {
        let database = db.migrated().await;
        for table in &TABLES {
            let kind = |kind: Kind| match db.backend {
                Backend::Sqlite => kind.sqlite().to_lowercase(),
                Backend::Postgres => kind.postgres().to_owned(),
            };
            let expected: Vec<String> = table
                .columns
                .iter()
                .map(|c| format!("{} {}", c.name, kind(c.kind)))
                .collect();
            let mut found = columns(&database, db.backend, table.name).await;
            found.retain(|column| !column.starts_with("id "));
            assert_eq!(found, expected, "{} on {:?}", table.name, db.backend);
        }
    })
    .await;
}

#[tokio::test]
async fn p10_views_keep_their_columns() {
    for_each_backend(async |db: TestDb| {
        let database = db.migrated().await;
        let mut views = BTreeMap::new();
        for view in aiproxy_migration::VIEWS {
            views.insert(view, columns(&database, db.backend, view).await);
        }
        insta::assert_json_snapshot!(format!("views_on_{:?}", db.backend).to_lowercase(), views);
    })
    .await;
}

/// As the digest writes the two sorts of calls, of whole and of streamed answers.
const TOOL_CALLS: &str =
    r#"[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]"#;
const FUNCTION_CALL: &str = r#"{"name":"f","arguments":"{\"a\":\"}\"}"}"#;

/// Fills a database with one exchange of each sort that the older system's dashboard counts.
async fn fill(db: &TestDb) -> Database {
    let store = LogStore::new(db.url.clone(), true, Vec::new()).expect("a store");
    let failed = |number, status: i32| LogRecord {
        outcome: "upstream_error".to_owned(),
        status_code: status,
        error_message: Some("it broke".to_owned()),
        response_text: None,
        ..record(number)
    };
    let filtered = LogRecord {
        outcome: "filter_answered".to_owned(),
        model: None,
        upstream_ms: None,
        prompt_tokens: Some(0),
        completion_tokens: Some(0),
        duration_ms: Some(500.0),
        ..record(5)
    };
    let called = |calls: &str, record: LogRecord| LogRecord {
        tool_calls: Some(calls.to_owned()),
        ..record
    };
    let batch = [
        called(TOOL_CALLS, with_bodies(1, b"{\"q\":1}", b"{\"a\":1}")),
        called(
            FUNCTION_CALL,
            with_bodies(2, b"{\"q\":2}", b"data: [DONE]\n\n"),
        ),
        failed(3, 429),
        failed(4, 502),
        filtered,
    ];
    store.insert(&batch).await.expect("stored");
    store.close().await;
    db.open().await
}

#[tokio::test]
async fn accesslog_gives_the_seven_metrics() {
    for_each_backend(async |db: TestDb| {
        let database = fill(&db).await;
        let of = |value: &str| format!("SELECT CAST({value} AS double precision) FROM accesslog");
        for (metric, expected) in [
            ("AVG(request_time)", (1.5 + 1.5 + 0.5) / 3.0),
            ("AVG(request_time_api)", 1.0),
            ("SUM(prompt_tokens)", 20.0),
            ("SUM(completion_tokens)", 8.0),
            ("SUM(CASE WHEN status_code = 200 THEN 1 ELSE 0 END)", 3.0),
            (
                "SUM(CASE WHEN status_code >= 400 AND status_code < 500 THEN 1 ELSE 0 END)",
                1.0,
            ),
            ("SUM(CASE WHEN status_code >= 500 THEN 1 ELSE 0 END)", 1.0),
        ] {
            let found = double(&database, &of(metric)).await;
            assert!(
                (found - expected).abs() < 1e-9,
                "{metric}: {found} on {:?}",
                db.backend
            );
        }
    })
    .await;
}

#[tokio::test]
async fn accesslog_rows_read_as_they_did() {
    for_each_backend(async |db: TestDb| {
        let database = fill(&db).await;
        let rows = texts(
            &database,
            "SELECT id || '|' || direction || '|' || COALESCE(model, '-') || '|' \
             || COALESCE(CAST(status_code AS text), '-') || '|' || COALESCE(content, '-') || '|' \
             || COALESCE(raw_body, '-') || '|' || substr(CAST(created_at AS text), 1, 19) \
             FROM accesslog ORDER BY id",
        )
        .await;
        insta::allow_duplicates! { insta::assert_json_snapshot!("accesslog_rows", rows) }
        for (column, expected) in [("tool_calls", TOOL_CALLS), ("function_call", FUNCTION_CALL)] {
            let sql = format!("SELECT {column} FROM accesslog WHERE {column} IS NOT NULL");
            assert_eq!(texts(&database, &sql).await, [expected], "{column}");
        }
    })
    .await;
}

#[tokio::test]
async fn cost_is_shown_in_dollars() {
    for_each_backend(async |db: TestDb| {
        let store = LogStore::new(db.url.clone(), true, Vec::new()).unwrap();
        let cheap = LogRecord {
            cost_nano_usd: Some(1_500_000),
            ..record(1)
        };
        store.insert(&[cheap, record(2)]).await.unwrap();
        let database = db.open().await;
        assert_eq!(
            double(
                &database,
                "SELECT cost_usd FROM v1_requests WHERE cost_usd > 0"
            )
            .await,
            0.0015
        );
        assert_eq!(
            number(
                &database,
                "SELECT count(*) FROM v1_requests WHERE cost_usd IS NULL"
            )
            .await,
            1
        );
    })
    .await;
}

/// The table of the older system: as its SQLAlchemy class makes it, with or without what version 0.3.0 added.
fn older_table(backend: Backend, with_status: bool) -> String {
    let (id, float, time) = match backend {
        Backend::Sqlite => ("INTEGER NOT NULL", "FLOAT", "DATETIME"),
        Backend::Postgres => ("SERIAL NOT NULL", "FLOAT", "TIMESTAMP WITHOUT TIME ZONE"),
    };
    let status = if with_status {
        "status_code INTEGER, "
    } else {
        ""
    };
    format!(
        "CREATE TABLE accesslog (id {id}, request_id VARCHAR, created_at {time}, direction VARCHAR, {status}\
         content VARCHAR, function_call VARCHAR, tool_calls VARCHAR, raw_body VARCHAR, raw_headers VARCHAR, \
         model VARCHAR, prompt_tokens INTEGER, completion_tokens INTEGER, request_time {float}, \
         request_time_api {float}, PRIMARY KEY (id));\
         INSERT INTO accesslog (request_id, created_at, direction, content, model, prompt_tokens, request_time) \
         VALUES ('old', '2024-05-01 10:00:00.000001', 'request', 'hi', 'gpt-3.5', NULL, NULL), \
         ('old', '2024-05-01 10:00:02.000002', 'response', 'ho', 'gpt-3.5', 100, 2.5);"
    )
}

#[tokio::test]
async fn a_database_of_the_older_system_is_taken_over() {
    for_each_backend(async |db: TestDb| {
        let before = db.open().await;
        script(&before, &older_table(db.backend, true)).await;
        let database = fill(&db).await;
        assert_eq!(
            number(&database, "SELECT count(*) FROM accesslog").await,
            12
        );
        assert_eq!(
            number(&database, "SELECT count(*) FROM accesslog_before").await,
            2
        );
        assert_eq!(
            number(&database, "SELECT CAST(min(id) AS bigint) FROM accesslog").await,
            -2
        );
        let sum = "SELECT CAST(SUM(prompt_tokens) AS bigint) FROM accesslog";
        assert_eq!(number(&database, sum).await, 120);
        let at = "SELECT CAST(created_at AS text) FROM accesslog WHERE id = -1";
        assert_eq!(texts(&database, at).await, ["2024-05-01 10:00:00.000001"]);
    })
    .await;
}

#[tokio::test]
async fn an_older_database_without_status_opens_too() {
    for_each_backend(async |db: TestDb| {
        let before = db.open().await;
        script(&before, &older_table(db.backend, false)).await;
        let database = fill(&db).await;
        let sql = "SELECT count(*) FROM accesslog WHERE id < 0 AND status_code IS NULL";
        assert_eq!(number(&database, sql).await, 2);
    })
    .await;
}

/// A database of before has rows, and perhaps a column of its owner's by that name.
#[tokio::test]
async fn p10_the_column_target_model_comes_to_a_database_of_before() {
    for_each_backend(async |db: TestDb| {
        let database = fill(&db).await;
        let rows = number(&database, "SELECT count(*) FROM exchanges").await;
        let forget = "DELETE FROM seaql_migrations WHERE version LIKE '%target_model'";
        for is_there in [false, true] {
            if !is_there {
                run(&database, "DROP VIEW v1_requests").await;
                run(&database, "ALTER TABLE exchanges DROP COLUMN target_model").await;
            }
            run(&database, forget).await;
            assert_eq!(database.migrate_up().await.unwrap().len(), 1);
            let unknown = "SELECT count(*) FROM v1_requests WHERE target_model IS NULL";
            assert_eq!(number(&database, unknown).await, rows);
        }
    })
    .await;
}

#[tokio::test]
async fn p10_a_second_run_changes_nothing_but_makes_the_views() {
    for_each_backend(async |db: TestDb| {
        let database = db.open().await;
        assert!(matches!(database.schema_state().await.unwrap(), SchemaState::Behind(names) if names.len() == MIGRATIONS));
        assert_eq!(database.migrate_up().await.unwrap().len(), MIGRATIONS);
        run(&database, "DROP VIEW accesslog").await;
        assert_eq!(database.migrate_up().await.unwrap(), Vec::<String>::new());
        assert_eq!(number(&database, "SELECT count(*) FROM accesslog").await, 0);
        assert_eq!(database.schema_state().await.unwrap(), SchemaState::Current);
        assert!(database.migrate_status().await.unwrap().iter().all(|(_, applied)| *applied));
    })
    .await;
}

#[tokio::test]
async fn a_users_own_view_survives_a_run() {
    for_each_backend(async |db: TestDb| {
        let database = db.migrated().await;
        run(
            &database,
            "CREATE VIEW mine AS SELECT model FROM v1_requests",
        )
        .await;
        database.migrate_up().await.unwrap();
        assert_eq!(number(&database, "SELECT count(*) FROM mine").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_newer_database_is_refused() {
    for_each_backend(async |db: TestDb| {
        let database = db.migrated().await;
        run(
            &database,
            "INSERT INTO seaql_migrations VALUES ('m29991231_000000_later', 0)",
        )
        .await;
        for auto_migrate in [true, false] {
            let error = Database::open_current(&db.url, auto_migrate)
                .await
                .unwrap_err();
            assert!(
                matches!(&error, DatabaseError::Schema(text) if text.contains("m29991231")),
                "{error}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn without_auto_migrate_an_empty_database_is_refused() {
    for_each_backend(async |db: TestDb| {
        let error = Database::open_current(&db.url, false).await.unwrap_err();
        assert!(
            matches!(&error, DatabaseError::Schema(text) if text.contains("migrate up")),
            "{error}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_run_that_fails_half_way_leaves_nothing() {
    for_each_backend(async |db: TestDb| {
        let database = db.open().await;
        run(&database, "CREATE TABLE filter_verdicts (mine integer)").await;
        let error = database.migrate_up().await.unwrap_err();
        assert!(matches!(error, DatabaseError::Schema(_)), "{error}");
        let tables = match db.backend {
            Backend::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table'",
            Backend::Postgres => {
                "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            }
        };
        assert_eq!(texts(&database, tables).await, ["filter_verdicts"]);
    })
    .await;
}

#[tokio::test]
async fn two_that_migrate_at_once_wait_for_one_another() {
    for_each_backend(async |db: TestDb| {
        let (one, two) = (db.open().await, db.open().await);
        let (first, second) = tokio::join!(one.migrate_up(), two.migrate_up());
        assert_eq!(
            first.unwrap().len() + second.unwrap().len(),
            MIGRATIONS,
            "{:?}",
            db.backend
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_away_or_broken_is_no_misfit() {
    let dir = tempfile::tempdir().unwrap();
    let rubbish = dir.path().join("rubbish.db");
    std::fs::write(
        &rubbish,
        "this is no database, but long enough to look at".repeat(100),
    )
    .unwrap();
    for url in [
        "postgres://nobody@127.0.0.1:1/none".to_owned(),
        format!("sqlite:///{}/none/test.db", dir.path().display()),
        format!("sqlite:///{}", rubbish.display()),
    ] {
        let url = DatabaseUrl::parse(&url).unwrap();
        let error = Database::open_current(&url, true).await.unwrap_err();
        assert!(
            matches!(error, DatabaseError::Unavailable(_)),
            "{url}: {error}"
        );
    }
}

#[tokio::test]
async fn times_are_text_on_sqlite_and_timestamps_on_postgresql() {
    for_each_backend(async |db: TestDb| {
        let database = fill(&db).await;
        let sql = match db.backend {
            Backend::Sqlite => "SELECT typeof(created_at) || ' ' || created_at FROM exchanges WHERE id = 1",
            Backend::Postgres => {
                "SELECT 'text ' || to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') \
                 FROM exchanges WHERE id = 1"
            }
        };
        assert_eq!(texts(&database, sql).await, ["text 2026-11-21 10:00:01.000000"]);
        let value = crate::support::db::column(
            &database,
            "SELECT created_at FROM exchanges WHERE id = 1",
            Kind::Time,
        );
        assert_eq!(value.await, [Datum::Time(NOW_US + 1_000_000)]);
    })
    .await;
}
