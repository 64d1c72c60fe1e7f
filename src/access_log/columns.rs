//! The one table of columns: what stands in SQL, in which unit, and where in a record it comes from. The INSERT
//! and the read side are built from it, and the schema test holds it against a migrated database.

mod child;
mod custom;
mod field;

pub use custom::{ColumnError, ColumnType, CustomColumn, MAX_CUSTOM_COLUMNS};

use crate::access_log::record::LogRecord;
use crate::database::value::{Cell, Datum, Kind};
use child::{ATTEMPTS, BODIES, VERDICTS};
use field::Field;

/// Longest text in an indexed column, in bytes. PostgreSQL refuses index entries of more than 2,704 bytes, and
/// a client may name a user of any length.
pub const INDEXED_MAX_BYTES: usize = 512;

/// A built-in column of one of the record's tables.
#[derive(Debug)]
pub struct Column {
    /// Its name in SQL.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Unit or form of its values, for people.
    pub unit: &'static str,
    /// Whether it stands in an index and is cut at [`INDEXED_MAX_BYTES`].
    pub indexed: bool,
    /// Takes the value from a record; the number says which child row, where the table has several a record.
    pub get: for<'a> fn(&'a LogRecord, usize) -> Cell<'a>,
}

/// A table of the record.
#[derive(Debug)]
pub struct Table {
    /// Its name in SQL.
    pub name: &'static str,
    /// Its built-in columns, without `exchanges.id`.
    pub columns: &'static [Column],
    /// How many rows a record has in it.
    pub rows: fn(&LogRecord) -> usize,
}

/// The record's tables, in the order in which they are written.
pub static TABLES: [Table; 4] = [
    Table {
        name: "exchanges",
        columns: EXCHANGES,
        rows: |_| 1,
    },
    Table {
        name: "exchange_bodies",
        columns: BODIES,
        rows: |record| usize::from(record.payload.is_some()),
    },
    Table {
        name: "attempts",
        columns: ATTEMPTS,
        rows: |record| record.tries.len(),
    },
    Table {
        name: "filter_verdicts",
        columns: VERDICTS,
        rows: |record| record.verdicts.len(),
    },
];

/// Columns of `exchanges` in the order in which they are read, each with a way to put the value back.
macro_rules! exchange_columns {
    ($($name:ident, $field:ident, $kind:ident, $indexed:literal, $unit:literal;)*) => {
        static EXCHANGES: &[Column] = &[$(Column {
            name: stringify!($name),
            kind: Kind::$kind,
            unit: $unit,
            indexed: $indexed,
            get: |record, _| record.$field.cell(Kind::$kind),
        }),*];

        /// Puts a value that was read from a built-in column of `exchanges` into its field.
        pub(crate) fn set(record: &mut LogRecord, column: &Column, value: Datum) {
            match column.name {
                $(stringify!($name) => record.$field.set(value),)*
                _ => {}
            }
        }
    };
}

exchange_columns! {
    request_id, request_id, Text, false, "UUIDv7, hyphenated";
    client_request_id, client_request_id, Text, false, "text";
    created_at, created_at_us, Time, false, "UTC, microseconds";
    finished_at, finished_at_us, Time, false, "UTC, microseconds";
    instance, instance, Text, false, "host:port";
    config_version, config_version, Text, false, "hash";
    key_name, key_name, Text, true, "text";
    end_user, end_user, Text, true, "text";
    session_id, session_id, Text, true, "text";
    trace_id, trace_id, Text, false, "32 hex digits";
    client_ip, client_ip, Text, false, "address";
    tags, tags, Json, false, "JSON object of texts";
    endpoint, endpoint, Text, false, "word";
    dialect, dialect, Text, false, "word";
    method, method, Text, false, "HTTP method";
    path, path, Text, false, "path and query";
    stream, stream, Boolean, false, "true or false";
    requested_model, requested_model, Text, false, "text";
    model, model, Text, true, "text";
    provider, provider, Text, false, "name";
    provider_key, provider_key, Text, false, "name";
    attempts, attempts, Integer, false, "count";
    outcome, outcome, Text, false, "word";
    status_code, status_code, Integer, false, "HTTP status";
    upstream_status, upstream_status, Integer, false, "HTTP status";
    error_type, error_type, Text, false, "word";
    error_code, error_code, Text, false, "word";
    error_message, error_message, Text, false, "text";
    finish_reason, finish_reason, Text, false, "word";
    response_complete, response_complete, Boolean, false, "true or false";
    filtered_by, filtered_by, Text, false, "name";
    replay_of, replay_of, Text, false, "UUIDv7, hyphenated";
    repairs, repairs, Text, false, "JSON list";
    dropped, dropped, Text, false, "JSON list";
    prompt_tokens, prompt_tokens, BigInt, false, "tokens";
    completion_tokens, completion_tokens, BigInt, false, "tokens";
    total_tokens, total_tokens, BigInt, false, "tokens";
    cached_tokens, cached_tokens, BigInt, false, "tokens";
    cache_write_tokens, cache_write_tokens, BigInt, false, "tokens";
    reasoning_tokens, reasoning_tokens, BigInt, false, "tokens";
    usage_source, usage_source, Text, false, "word";
    usage_raw, usage_raw, Text, false, "JSON";
    cost_nano_usd, cost_nano_usd, BigInt, false, "10⁻⁹ US dollars";
    price_version, price_version, Text, false, "text";
    duration_ms, duration_ms, Double, false, "milliseconds";
    upstream_ms, upstream_ms, Double, false, "milliseconds";
    overhead_ms, overhead_ms, Double, false, "milliseconds";
    filter_ms, filter_ms, Double, false, "milliseconds";
    filter_held_ms, filter_held_ms, Double, false, "milliseconds";
    connect_ms, connect_ms, Double, false, "milliseconds";
    first_byte_ms, first_byte_ms, Double, false, "milliseconds";
    first_token_ms, first_token_ms, Double, false, "milliseconds";
    longest_gap_ms, longest_gap_ms, Double, false, "milliseconds";
    output_tokens_per_s, output_tokens_per_s, Double, false, "tokens a second";
    request_bytes, request_bytes, BigInt, false, "bytes";
    response_bytes, response_bytes, BigInt, false, "bytes";
    chunk_count, chunk_count, BigInt, false, "events or frames";
    request_text, request_text, Text, false, "text";
    response_text, response_text, Text, false, "text";
    tool_calls, tool_calls, Text, false, "JSON array or object";
    body_state, body_state, Text, false, "word";
    target_model, target_model, Text, false, "text";
}

// A batch notes in one bit a column which of them it fills.
const _: () = assert!(EXCHANGES.len() + MAX_CUSTOM_COLUMNS <= u128::BITS as usize);

/// Names of the built-in columns of `exchanges`, `id` included: no configured column may have one of them.
pub fn built_in_names() -> Vec<&'static str> {
    let columns = TABLES.first().map_or(&[][..], |table| table.columns);
    std::iter::once("id")
        .chain(columns.iter().map(|column| column.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_back_is_what_was_taken() {
        let mut record = LogRecord {
            request_id: "r".into(),
            created_at_us: 7,
            ..LogRecord::default()
        };
        record.stream = Some(true);
        record.tags = Some("{}".into());
        record.upstream_status = Some(200);
        record.duration_ms = Some(1.5);
        let mut back = LogRecord::default();
        for column in TABLES[0].columns {
            let value = match (column.get)(&record, 0) {
                Cell::Null => Datum::Null,
                Cell::Text(text) => Datum::Text(text.into_owned()),
                Cell::Integer(number) => Datum::Integer(number),
                Cell::Double(number) => Datum::Double(number),
                Cell::Boolean(truth) => Datum::Boolean(truth),
                Cell::Time(us) => Datum::Time(us),
                Cell::Bytes(bytes) => Datum::Bytes(bytes.to_vec()),
            };
            set(&mut back, column, value);
        }
        assert_eq!(
            serde_json::to_value(&back).unwrap(),
            serde_json::to_value(&record).unwrap()
        );
    }
}
