//! The record: `exchanges`, `exchange_bodies`, `attempts`, `filter_verdicts` and `log_quarantine`. On
//! PostgreSQL the first four are partitioned by day; a day's partitions are made by the program that writes.
//! A table `accesslog` of an older system is kept under the name `accesslog_before`.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{DbBackend, Statement};

use crate::column::Null::{No, Yes};
use crate::column::Type::{BigInt, Boolean, Bytes, Double, Integer, Json, Text, Time};
use crate::column::{Column, list};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let backend = db.get_database_backend();
        rename_older_table(db).await?;
        let tables = match backend {
            DbBackend::Postgres => postgres_tables(),
            _ => sqlite_tables(),
        };
        for sql in tables.iter().map(String::as_str).chain(INDEXES) {
            db.execute_unprepared(sql).await?;
        }
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only go forward".to_owned()))
    }
}

/// Gives a table `accesslog` that stood here before us the name `accesslog_before`.
async fn rename_older_table(db: &SchemaManagerConnection<'_>) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    let find = match backend {
        DbBackend::Postgres => {
            "SELECT 1 AS one FROM pg_class \
             WHERE oid = to_regclass('accesslog') AND relkind IN ('r', 'p')"
        }
        _ => "SELECT 1 AS one FROM sqlite_master WHERE type = 'table' AND name = 'accesslog'",
    };
    if db
        .query_one_raw(Statement::from_string(backend, find))
        .await?
        .is_some()
    {
        db.execute_unprepared("ALTER TABLE accesslog RENAME TO accesslog_before")
            .await?;
    }
    Ok(())
}

fn sqlite_tables() -> Vec<String> {
    let columns = |columns| list(columns, DbBackend::Sqlite);
    vec![
        format!(
            "CREATE TABLE exchanges (\n  id INTEGER PRIMARY KEY AUTOINCREMENT,\n  {},\n  UNIQUE (request_id)\n)",
            columns(EXCHANGES)
        ),
        format!(
            "CREATE TABLE exchange_bodies (\n  {},\n  PRIMARY KEY (request_id, created_at)\n)",
            columns(BODIES)
        ),
        "CREATE INDEX exchange_bodies_created_at ON exchange_bodies (created_at)".to_owned(),
        format!(
            "CREATE TABLE attempts (\n  {},\n  PRIMARY KEY (request_id, number)\n) WITHOUT ROWID",
            columns(ATTEMPTS)
        ),
        format!(
            "CREATE TABLE filter_verdicts (\n  {},\n  PRIMARY KEY (request_id, number)\n) WITHOUT ROWID",
            columns(VERDICTS)
        ),
        format!(
            "CREATE TABLE log_quarantine (\n  {},\n  \
             quarantined_at DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000', 'now')),\n  \
             PRIMARY KEY (request_id)\n)",
            columns(QUARANTINE)
        ),
    ]
}

fn postgres_tables() -> Vec<String> {
    let columns = |columns| list(columns, DbBackend::Postgres);
    let partitioned = "PARTITION BY RANGE (created_at)";
    vec![
        "CREATE SEQUENCE exchanges_id_seq AS bigint".to_owned(),
        format!(
            "CREATE TABLE exchanges (\n  id bigint NOT NULL DEFAULT nextval('exchanges_id_seq'),\n  {},\n  \
             PRIMARY KEY (created_at, id),\n  UNIQUE (request_id, created_at)\n) {partitioned}",
            columns(EXCHANGES)
        ),
        "ALTER SEQUENCE exchanges_id_seq OWNED BY exchanges.id".to_owned(),
        format!(
            "CREATE TABLE exchange_bodies (\n  {},\n  PRIMARY KEY (request_id, created_at)\n) {partitioned}",
            columns(BODIES)
        ),
        format!(
            "CREATE TABLE attempts (\n  {},\n  PRIMARY KEY (request_id, number, created_at)\n) {partitioned}",
            columns(ATTEMPTS)
        ),
        format!(
            "CREATE TABLE filter_verdicts (\n  {},\n  PRIMARY KEY (request_id, number, created_at)\n) {partitioned}",
            columns(VERDICTS)
        ),
        format!(
            "CREATE TABLE log_quarantine (\n  {},\n  quarantined_at timestamptz NOT NULL DEFAULT now(),\n  \
             PRIMARY KEY (request_id)\n)",
            columns(QUARANTINE)
        ),
    ]
}

/// Indexes by what one looks for and time. Partial ones: a row without the value costs nothing.
const INDEXES: [&str; 5] = [
    "CREATE INDEX exchanges_created_at ON exchanges (created_at)",
    "CREATE INDEX exchanges_key_name ON exchanges (key_name, created_at) WHERE key_name IS NOT NULL",
    "CREATE INDEX exchanges_end_user ON exchanges (end_user, created_at) WHERE end_user IS NOT NULL",
    "CREATE INDEX exchanges_model ON exchanges (model, created_at) WHERE model IS NOT NULL",
    "CREATE INDEX exchanges_session_id ON exchanges (session_id, created_at) WHERE session_id IS NOT NULL",
];

const EXCHANGES: &[Column] = &[
    Column("request_id", Text, No),
    Column("client_request_id", Text, Yes),
    Column("created_at", Time, No),
    Column("finished_at", Time, Yes),
    Column("instance", Text, Yes),
    Column("config_version", Text, Yes),
    Column("key_name", Text, Yes),
    Column("end_user", Text, Yes),
    Column("session_id", Text, Yes),
    Column("trace_id", Text, Yes),
    Column("client_ip", Text, Yes),
    Column("tags", Json, Yes),
    Column("endpoint", Text, No),
    Column("dialect", Text, No),
    Column("method", Text, No),
    Column("path", Text, No),
    Column("stream", Boolean, Yes),
    Column("requested_model", Text, Yes),
    Column("model", Text, Yes),
    Column("provider", Text, Yes),
    Column("provider_key", Text, Yes),
    Column("attempts", Integer, No),
    Column("outcome", Text, No),
    Column("status_code", Integer, No),
    Column("upstream_status", Integer, Yes),
    Column("error_type", Text, Yes),
    Column("error_code", Text, Yes),
    Column("error_message", Text, Yes),
    Column("finish_reason", Text, Yes),
    Column("response_complete", Boolean, Yes),
    Column("filtered_by", Text, Yes),
    Column("replay_of", Text, Yes),
    Column("repairs", Text, Yes),
    Column("dropped", Text, Yes),
    Column("prompt_tokens", BigInt, Yes),
    Column("completion_tokens", BigInt, Yes),
    Column("total_tokens", BigInt, Yes),
    Column("cached_tokens", BigInt, Yes),
    Column("cache_write_tokens", BigInt, Yes),
    Column("reasoning_tokens", BigInt, Yes),
    Column("usage_source", Text, Yes),
    Column("usage_raw", Text, Yes),
    Column("cost_nano_usd", BigInt, Yes),
    Column("price_version", Text, Yes),
    Column("duration_ms", Double, Yes),
    Column("upstream_ms", Double, Yes),
    Column("overhead_ms", Double, Yes),
    Column("filter_ms", Double, Yes),
    Column("filter_held_ms", Double, Yes),
    Column("connect_ms", Double, Yes),
    Column("first_byte_ms", Double, Yes),
    Column("first_token_ms", Double, Yes),
    Column("longest_gap_ms", Double, Yes),
    Column("output_tokens_per_s", Double, Yes),
    Column("request_bytes", BigInt, Yes),
    Column("response_bytes", BigInt, Yes),
    Column("chunk_count", BigInt, Yes),
    Column("request_text", Text, Yes),
    Column("response_text", Text, Yes),
    Column("tool_calls", Text, Yes),
    Column("body_state", Text, No),
];

const BODIES: &[Column] = &[
    Column("request_id", Text, No),
    Column("created_at", Time, No),
    Column("request_headers", Text, Yes),
    Column("request_body", Text, Yes),
    Column("request_body_bytes", Bytes, Yes),
    Column("request_body_sha256", Text, Yes),
    Column("request_body_size", BigInt, Yes),
    Column("upstream_request_body", Text, Yes),
    Column("upstream_request_body_bytes", Bytes, Yes),
    Column("upstream_request_body_sha256", Text, Yes),
    Column("upstream_request_body_size", BigInt, Yes),
    Column("response_headers", Text, Yes),
    Column("response_body", Text, Yes),
    Column("response_body_bytes", Bytes, Yes),
    Column("response_body_sha256", Text, Yes),
    Column("response_body_size", BigInt, Yes),
    Column("upstream_response_body", Text, Yes),
    Column("upstream_response_body_bytes", Bytes, Yes),
    Column("upstream_response_body_sha256", Text, Yes),
    Column("upstream_response_body_size", BigInt, Yes),
    Column("chunk_times", Text, Yes),
];

const ATTEMPTS: &[Column] = &[
    Column("request_id", Text, No),
    Column("created_at", Time, No),
    Column("number", Integer, No),
    Column("provider", Text, No),
    Column("model", Text, Yes),
    Column("provider_key", Text, Yes),
    Column("started_at", Time, No),
    Column("status_code", Integer, Yes),
    Column("outcome", Text, No),
    Column("error_message", Text, Yes),
    Column("connect_ms", Double, Yes),
    Column("first_byte_ms", Double, Yes),
    Column("duration_ms", Double, No),
    Column("skip_reason", Text, Yes),
];

const VERDICTS: &[Column] = &[
    Column("request_id", Text, No),
    Column("created_at", Time, No),
    Column("number", Integer, No),
    Column("filter", Text, No),
    Column("phase", Text, No),
    Column("verdict", Text, No),
    Column("detail", Text, Yes),
    Column("duration_us", BigInt, No),
];

const QUARANTINE: &[Column] = &[
    Column("request_id", Text, No),
    Column("created_at", Time, No),
    Column("error", Text, No),
    Column("record", Text, No),
    Column("request_body", Bytes, Yes),
    Column("response_body", Bytes, Yes),
];
