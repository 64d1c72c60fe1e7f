//! A long record's way into SQL: table by table, the long values of a row moved into it when it is its table's turn.

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
                let found = found.ok_or_else(|| sqlx::Error::Encode(Unreadable.into()))?;
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
    let body = Vec::from(body); // a copy, and the pages that it was read into are gone
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

/// A value that cannot be had is at fault, not the database.
#[derive(Debug, thiserror::Error)]
#[error("a body cannot be read from the spool as it was")]
struct Unreadable;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::access_log::draft::{Bodies, Captured};
    use crate::access_log::record::{Payload, StoredBody};

    /// The value of a column of the only row.
    fn cell<'a>(matrix: &'a Matrix<'_>, name: &str) -> Option<&'a Cell<'a>> {
        let (place, _) = matrix.used().find(|(_, place)| place.name == name)?;
        matrix.column(place).next()
    }

    fn captured(body: &'static [u8]) -> Option<Captured> {
        let pieces = vec![Bytes::from_static(body)];
        Some(Captured {
            pieces,
            ..Captured::default()
        })
    }

    #[test]
    fn long_values_move_and_bodies_are_read_behind_the_texts() {
        let stored = |body: &'static [u8]| {
            let bytes = Bytes::from_static(body);
            Some(StoredBody {
                bytes,
                ..StoredBody::default()
            })
        };
        let record = LogRecord {
            request_text: Some("asked".to_owned()),
            payload: Some(Payload {
                request_body: stored(b"text"),
                response_body: stored(b"\xff"),
                upstream_response_body: stored(b""),
                ..Payload::default()
            }),
            ..LogRecord::default()
        };
        let text_at = record.request_text.as_ref().unwrap().as_ptr();
        let read = Arc::new(AtomicBool::new(false));
        let reads = Arc::clone(&read);
        let long = LongRecord::new(record, move || {
            reads.store(true, Ordering::SeqCst);
            Bodies {
                request: captured(b"text"),
                upstream_request: None,
                response: captured(b"\xff"),
                upstream_response: captured(b"says a secret"),
            }
        });
        let Parts { record, long } = Parts::of(long);
        let mut matrices = matrices(&record, long, &[]);

        let exchanges = matrices.next().unwrap().unwrap();
        let text = cell(&exchanges, "request_text");
        assert!(matches!(text, Some(Cell::Text(Cow::Owned(text))) if text.as_ptr() == text_at));
        assert!(!read.load(Ordering::SeqCst));

        let bodies = matrices.next().unwrap().unwrap();
        assert!(read.load(Ordering::SeqCst));
        let texts = ["request_body", "response_body", "upstream_response_body"];
        let texts = texts.map(|name| cell(&bodies, name).cloned());
        let text = |text: &'static str| Some(Cell::Text(text.into()));
        assert_eq!(texts, [text("text"), None, text("")]);
        let bytes = cell(&bodies, "response_body_bytes");
        assert!(matches!(bytes, Some(Cell::Bytes(Cow::Owned(bytes))) if bytes == b"\xff"));
        assert!(matrices.next().is_none());
    }
}
