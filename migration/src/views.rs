//! The views: what dashboards and scripts read. Their columns are a contract: a column may be added at the
//! end, none may go, change its meaning or its place. They are made anew at the end of every run.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{DatabaseTransaction, DbBackend, Statement, TransactionTrait};

/// The names of all views.
pub const VIEWS: [&str; 3] = ["v1_requests", "v1_attempts", "accesslog"];

/// Makes every view anew.
pub(crate) async fn make_all(db: &DatabaseTransaction) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    let before = columns_before(db).await?;
    let bodies = [
        v1_requests(backend),
        v1_attempts(),
        accesslog(backend, &before),
    ];
    for (view, body) in VIEWS.iter().zip(bodies) {
        if backend == DbBackend::Postgres && replaced(db, view, &body).await? {
            continue;
        }
        db.execute_unprepared(&format!("DROP VIEW IF EXISTS {view}"))
            .await?;
        db.execute_unprepared(&format!("CREATE VIEW {view} AS {body}"))
            .await?;
    }
    Ok(())
}

/// Replaces a view in its place, which a user's own views upon it survive. False when its columns changed in
/// a way that PostgreSQL does not take; nothing is changed then.
async fn replaced(db: &DatabaseTransaction, view: &str, body: &str) -> Result<bool, DbErr> {
    let savepoint = db.begin().await?;
    match savepoint
        .execute_unprepared(&format!("CREATE OR REPLACE VIEW {view} AS {body}"))
        .await
    {
        Ok(_) => savepoint.commit().await.map(|()| true),
        Err(_) => savepoint.rollback().await.map(|()| false),
    }
}

/// Columns of `accesslog_before`; empty when there is no such table.
async fn columns_before(db: &DatabaseTransaction) -> Result<Vec<String>, DbErr> {
    let backend = db.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => {
            "SELECT attname::text AS name FROM pg_attribute \
             WHERE attrelid = to_regclass('accesslog_before') AND attnum > 0 AND NOT attisdropped"
        }
        _ => "SELECT name FROM pragma_table_info('accesslog_before')",
    };
    let rows = db
        .query_all_raw(Statement::from_string(backend, sql))
        .await?;
    rows.iter().map(|row| row.try_get("", "name")).collect()
}

fn v1_requests(backend: DbBackend) -> String {
    let cost = match backend {
        DbBackend::Postgres => "(cost_nano_usd / 1000000000.0)::double precision",
        _ => "cost_nano_usd / 1000000000.0",
    };
    format!(
        "SELECT id, request_id, client_request_id, created_at, finished_at, instance, config_version, \
         key_name, end_user, session_id, trace_id, client_ip, tags, \
         endpoint, dialect, method, path, stream, requested_model, target_model, model, provider, provider_key, attempts, \
         outcome, status_code, upstream_status, error_type, error_code, error_message, finish_reason, \
         response_complete, filtered_by, replay_of, repairs, dropped, \
         prompt_tokens, completion_tokens, total_tokens, cached_tokens, cache_write_tokens, \
         reasoning_tokens, usage_source, usage_raw, {cost} AS cost_usd, price_version, \
         duration_ms, upstream_ms, overhead_ms, filter_ms, filter_held_ms, connect_ms, first_byte_ms, \
         first_token_ms, longest_gap_ms, output_tokens_per_s, request_bytes, response_bytes, chunk_count, \
         request_text, response_text, tool_calls, body_state FROM exchanges"
    )
}

fn v1_attempts() -> String {
    "SELECT request_id, created_at, number, provider, model, provider_key, started_at, status_code, outcome, \
     error_message, connect_ms, first_byte_ms, duration_ms, skip_reason FROM attempts"
        .to_owned()
}

/// The fifteen columns of uezo/aiproxy's table, in its order, with their types on PostgreSQL.
const ACCESSLOG: [(&str, &str); 15] = [
    ("id", "bigint"),
    ("request_id", "text"),
    ("created_at", "timestamp"),
    ("direction", "text"),
    ("status_code", "integer"),
    ("content", "text"),
    ("function_call", "text"),
    ("tool_calls", "text"),
    ("raw_body", "text"),
    ("raw_headers", "text"),
    ("model", "text"),
    ("prompt_tokens", "bigint"),
    ("completion_tokens", "bigint"),
    ("request_time", "double precision"),
    ("request_time_api", "double precision"),
];

/// One row for the request (`id` odd), one for its answer (`id` even); rows of before with ids below zero.
fn accesslog(backend: DbBackend, before: &[String]) -> String {
    let [open, close] = match backend {
        DbBackend::Postgres => ["(", " AT TIME ZONE 'UTC')"],
        // Without the cast the column would pass for a blob.
        _ => ["CAST(", " AS TEXT)"],
    };
    let bodies = "FROM exchanges e LEFT JOIN exchange_bodies b \
                  ON b.request_id = e.request_id AND b.created_at = e.created_at";
    let failed = "e.outcome NOT IN ('ok', 'filter_answered', 'replayed', 'client_disconnected')";
    let request = [
        "2 * e.id - 1".to_owned(),
        "e.request_id".to_owned(),
        format!("{open}e.created_at{close}"),
        "'request'".to_owned(),
        "NULL".to_owned(),
        "e.request_text".to_owned(),
        "NULL".to_owned(),
        "NULL".to_owned(),
        "b.request_body".to_owned(),
        "b.request_headers".to_owned(),
        "e.requested_model".to_owned(),
        "NULL".to_owned(),
        "NULL".to_owned(),
        "NULL".to_owned(),
        "NULL".to_owned(),
    ];
    let unless_failed = |value: &str| format!("CASE WHEN {failed} THEN NULL ELSE {value} END");
    let answer = [
        "2 * e.id".to_owned(),
        "e.request_id".to_owned(),
        format!("{open}COALESCE(e.finished_at, e.created_at){close}"),
        format!("CASE WHEN {failed} THEN 'error' ELSE 'response' END"),
        "e.status_code".to_owned(),
        format!("CASE WHEN {failed} THEN e.error_message ELSE e.response_text END"),
        // The legacy function call stands in `tool_calls` as an object, calls of today as a list.
        unless_failed("CASE WHEN e.tool_calls LIKE '{%' THEN e.tool_calls END"),
        unless_failed("CASE WHEN e.tool_calls NOT LIKE '{%' THEN e.tool_calls END"),
        "b.response_body".to_owned(),
        "b.response_headers".to_owned(),
        format!(
            "CASE WHEN {failed} THEN 'error_handler' \
             WHEN e.outcome = 'filter_answered' THEN 'request_filter' ELSE e.model END"
        ),
        unless_failed("e.prompt_tokens"),
        unless_failed("e.completion_tokens"),
        unless_failed("e.duration_ms / 1000.0"),
        unless_failed("e.upstream_ms / 1000.0"),
    ];
    let mut parts = vec![
        select(backend, &request, bodies),
        select(backend, &answer, bodies),
    ];
    if !before.is_empty() {
        let older = ACCESSLOG.map(|(name, _)| match name {
            _ if !before.iter().any(|column| column == name) => "NULL".to_owned(),
            "id" => "-id".to_owned(),
            name => name.to_owned(),
        });
        parts.push(select(backend, &older, "FROM accesslog_before"));
    }
    parts.join(" UNION ALL ")
}

fn select(backend: DbBackend, values: &[String; 15], from: &str) -> String {
    let columns: Vec<String> = ACCESSLOG
        .iter()
        .zip(values)
        .map(|((name, kind), value)| match backend {
            DbBackend::Postgres => format!("({value})::{kind} AS {name}"),
            _ => format!("{value} AS {name}"),
        })
        .collect();
    format!("SELECT {} {from}", columns.join(", "))
}
