//! A long record's way into SQL: table by table, each long value moved into its cell when it is its table's turn.

use std::borrow::Cow;

use bytes::Bytes;
use sea_orm::sqlx;

use crate::access_log::columns::{CustomColumn, TABLES};
use crate::access_log::long::{LaterBodies, LongRecord};
use crate::access_log::record::LogRecord;
use crate::access_log::store::batch::Matrix;
use crate::database::value::Cell;

/// The columns of a body that is text and of one that is not, in the order of [`LaterBodies::read`].
const BODY_COLUMNS: [(&str, &str); 4] = [
    ("request_body", "request_body_bytes"),
    ("upstream_request_body", "upstream_request_body_bytes"),
    ("response_body", "response_body_bytes"),
    ("upstream_response_body", "upstream_response_body_bytes"),
];

/// A long record taken apart.
pub(super) struct Parts {
    /// All that is short.
    pub(super) record: LogRecord,
    pub(super) long: LongValues,
}

/// What is long in a record.
pub(super) struct LongValues {
    texts: [(&'static str, Option<String>); 3],
    bodies: LaterBodies,
}

impl Parts {
    pub(super) fn of(long: LongRecord) -> Self {
        let (mut record, bodies) = long.split();
        let texts = [
            ("request_text", record.request_text.take()),
            ("response_text", record.response_text.take()),
            ("tool_calls", record.tool_calls.take()),
        ];
        let long = LongValues { texts, bodies };
        Self { record, long }
    }
}

/// The record's rows, table by table. Its texts go with the first; its bodies are read when theirs is asked for.
pub(super) fn matrices<'a>(
    record: &'a LogRecord,
    long: LongValues,
    custom: &'a [CustomColumn],
) -> impl Iterator<Item = Result<Matrix<'a>, sqlx::Error>> + Send {
    let LongValues { texts, bodies } = long;
    let (mut texts, mut bodies) = (Some(texts), Some(bodies));
    let matrices = TABLES.iter().map(move |table| {
        let mut matrix = Matrix::of(table, std::slice::from_ref(record), custom);
        match table.name {
            "exchanges" => {
                for (column, text) in texts.take().into_iter().flatten() {
                    if let Some(text) = text {
                        matrix.put(column, moved_text(text));
                    }
                }
            }
            "exchange_bodies" if matrix.rows > 0 => {
                let found = bodies.take().and_then(LaterBodies::read);
                let found = found.ok_or_else(unreadable)?;
                for ((text, bytes), body) in BODY_COLUMNS.into_iter().zip(found) {
                    put_body(&mut matrix, text, bytes, body);
                }
            }
            _ => {}
        }
        Ok(matrix)
    });
    matrices.filter(|matrix| matrix.as_ref().map_or(true, |matrix| matrix.rows > 0))
}

/// An empty body is in its place already.
fn put_body(matrix: &mut Matrix<'_>, text: &str, bytes: &str, body: Bytes) {
    if body.is_empty() {
        return;
    }
    let has_nul = memchr::memchr(0, &body).is_some();
    let body = Vec::from(body); // moved, when nobody else holds it
    let body = if has_nul {
        Err(body)
    } else {
        String::from_utf8(body).map_err(std::string::FromUtf8Error::into_bytes)
    };
    match body {
        Ok(body) => matrix.put(text, Cell::Text(Cow::Owned(body))),
        Err(body) => {
            matrix.put(text, Cell::Null);
            matrix.put(bytes, Cell::Bytes(Cow::Owned(body)));
        }
    }
}

/// Texts hold no NUL in SQL.
fn moved_text(text: String) -> Cell<'static> {
    Cell::Text(Cow::Owned(match memchr::memchr(0, text.as_bytes()) {
        None => text,
        Some(_) => text.replace('\0', "\u{fffd}"),
    }))
}

/// The files may be read again, or say then that they are damaged.
fn unreadable() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other(
        "a body cannot be read from the spool as it was",
    ))
}
