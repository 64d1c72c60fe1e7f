//! The columns of the tables that hang on `exchanges`. Each repeats its exchange's `request_id` and
//! `created_at`, by which they are joined.

use std::borrow::Cow;

use crate::access_log::columns::Column;
use crate::access_log::columns::field::Field;
use crate::access_log::record::{LogRecord, StoredBody};
use crate::database::value::{Cell, Kind};

/// A column of a child table.
const fn child(
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    get: for<'a> fn(&'a LogRecord, usize) -> Cell<'a>,
) -> Column {
    Column {
        name,
        kind,
        unit,
        indexed: false,
        get,
    }
}

/// The field of a payload's field, NULL without one.
macro_rules! payload {
    ($field:ident) => {
        |record, _| {
            record
                .payload
                .as_ref()
                .map_or(Cell::Null, |payload| payload.$field.cell(Kind::Text))
        }
    };
    ($field:ident, $part:expr) => {
        |record, _| {
            let body = record
                .payload
                .as_ref()
                .and_then(|payload| payload.$field.as_ref());
            body.map_or(Cell::Null, $part)
        }
    };
}

pub(super) static BODIES: &[Column] = &[
    child("request_id", Kind::Text, "UUIDv7, hyphenated", request_id),
    child("created_at", Kind::Time, "UTC, microseconds", created_at),
    child(
        "request_headers",
        Kind::Text,
        "JSON object",
        payload!(request_headers),
    ),
    child(
        "request_body",
        Kind::Text,
        "text, or NULL beside its twin",
        payload!(request_body, text),
    ),
    child(
        "request_body_bytes",
        Kind::Bytes,
        "bytes that are no text",
        payload!(request_body, bytes),
    ),
    child(
        "request_body_sha256",
        Kind::Text,
        "hex, of the whole body",
        payload!(request_body, sha256),
    ),
    child(
        "request_body_size",
        Kind::BigInt,
        "bytes, of the whole body",
        payload!(request_body, size),
    ),
    child(
        "upstream_request_body",
        Kind::Text,
        "text",
        payload!(upstream_request_body, text),
    ),
    child(
        "upstream_request_body_bytes",
        Kind::Bytes,
        "bytes",
        payload!(upstream_request_body, bytes),
    ),
    child(
        "upstream_request_body_sha256",
        Kind::Text,
        "hex",
        payload!(upstream_request_body, sha256),
    ),
    child(
        "upstream_request_body_size",
        Kind::BigInt,
        "bytes",
        payload!(upstream_request_body, size),
    ),
    child(
        "response_headers",
        Kind::Text,
        "JSON object",
        payload!(response_headers),
    ),
    child(
        "response_body",
        Kind::Text,
        "text, or NULL beside its twin",
        payload!(response_body, text),
    ),
    child(
        "response_body_bytes",
        Kind::Bytes,
        "bytes that are no text",
        payload!(response_body, bytes),
    ),
    child(
        "response_body_sha256",
        Kind::Text,
        "hex, of the whole body",
        payload!(response_body, sha256),
    ),
    child(
        "response_body_size",
        Kind::BigInt,
        "bytes, of the whole body",
        payload!(response_body, size),
    ),
    child(
        "upstream_response_body",
        Kind::Text,
        "text",
        payload!(upstream_response_body, text),
    ),
    child(
        "upstream_response_body_bytes",
        Kind::Bytes,
        "bytes",
        payload!(upstream_response_body, bytes),
    ),
    child(
        "upstream_response_body_sha256",
        Kind::Text,
        "hex",
        payload!(upstream_response_body, sha256),
    ),
    child(
        "upstream_response_body_size",
        Kind::BigInt,
        "bytes",
        payload!(upstream_response_body, size),
    ),
    child(
        "chunk_times",
        Kind::Text,
        "offset,length,microseconds;…",
        payload!(chunk_times),
    ),
];

/// A field of a record's child row, NULL when there is no such row.
macro_rules! row {
    ($list:ident, $value:expr) => {
        |record, index| record.$list.get(index).map_or(Cell::Null, $value)
    };
}

pub(super) static ATTEMPTS: &[Column] = &[
    child("request_id", Kind::Text, "UUIDv7, hyphenated", request_id),
    child(
        "created_at",
        Kind::Time,
        "UTC, microseconds, of the exchange",
        created_at,
    ),
    child(
        "number",
        Kind::Integer,
        "from 1",
        row!(tries, |a| Cell::Integer(a.number.into())),
    ),
    child(
        "provider",
        Kind::Text,
        "name",
        row!(tries, |a| a.provider.cell(Kind::Text)),
    ),
    child(
        "model",
        Kind::Text,
        "text",
        row!(tries, |a| a.model.cell(Kind::Text)),
    ),
    child(
        "provider_key",
        Kind::Text,
        "name",
        row!(tries, |a| a.provider_key.cell(Kind::Text)),
    ),
    child(
        "started_at",
        Kind::Time,
        "UTC, microseconds",
        row!(tries, |a| Cell::Time(a.started_at_us)),
    ),
    child(
        "status_code",
        Kind::Integer,
        "HTTP status",
        row!(tries, |a| a.status_code.cell(Kind::Integer)),
    ),
    child(
        "outcome",
        Kind::Text,
        "word",
        row!(tries, |a| Cell::Text(Cow::Borrowed(a.outcome.as_str()))),
    ),
    child(
        "error_message",
        Kind::Text,
        "text",
        row!(tries, |a| a.error_message.cell(Kind::Text)),
    ),
    child(
        "connect_ms",
        Kind::Double,
        "milliseconds",
        row!(tries, |a| a.connect_ms.cell(Kind::Double)),
    ),
    child(
        "first_byte_ms",
        Kind::Double,
        "milliseconds",
        row!(tries, |a| a.first_byte_ms.cell(Kind::Double)),
    ),
    child(
        "duration_ms",
        Kind::Double,
        "milliseconds",
        row!(tries, |a| Cell::Double(a.duration_ms)),
    ),
    child(
        "skip_reason",
        Kind::Text,
        "word",
        row!(tries, |a| a.skip_reason.cell(Kind::Text)),
    ),
];

pub(super) static VERDICTS: &[Column] = &[
    child("request_id", Kind::Text, "UUIDv7, hyphenated", request_id),
    child(
        "created_at",
        Kind::Time,
        "UTC, microseconds, of the exchange",
        created_at,
    ),
    child(
        "number",
        Kind::Integer,
        "from 1, in order of time",
        |_, index| number(index),
    ),
    child(
        "filter",
        Kind::Text,
        "name",
        row!(verdicts, |v| v.filter.cell(Kind::Text)),
    ),
    child(
        "phase",
        Kind::Text,
        "word",
        row!(verdicts, |v| v.phase.cell(Kind::Text)),
    ),
    child(
        "verdict",
        Kind::Text,
        "word",
        row!(verdicts, |v| v.verdict.cell(Kind::Text)),
    ),
    child(
        "detail",
        Kind::Text,
        "text",
        row!(verdicts, |v| v.detail.cell(Kind::Text)),
    ),
    child(
        "duration_us",
        Kind::BigInt,
        "microseconds",
        row!(verdicts, |v| duration_us(v.duration_us)),
    ),
];

fn request_id(record: &LogRecord, _: usize) -> Cell<'_> {
    Cell::Text(Cow::Borrowed(&record.request_id))
}

fn created_at(record: &LogRecord, _: usize) -> Cell<'_> {
    Cell::Time(record.created_at_us)
}

fn number(index: usize) -> Cell<'static> {
    Cell::Integer(i64::try_from(index).unwrap_or(i64::MAX).saturating_add(1))
}

fn duration_us(us: u64) -> Cell<'static> {
    Cell::Integer(i64::try_from(us).unwrap_or(i64::MAX))
}

/// A body as text, where it is UTF-8 without NUL.
fn text(body: &StoredBody) -> Cell<'_> {
    match body.as_text() {
        Some(text) => Cell::Text(Cow::Borrowed(text)),
        None => Cell::Null,
    }
}

/// A body as bytes, where it is no text.
fn bytes(body: &StoredBody) -> Cell<'_> {
    match body.as_text() {
        Some(_) => Cell::Null,
        None => Cell::Bytes(&body.bytes),
    }
}

fn sha256(body: &StoredBody) -> Cell<'_> {
    Cell::Text(Cow::Borrowed(&body.sha256))
}

fn size(body: &StoredBody) -> Cell<'_> {
    Cell::Integer(body.size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_text_or_bytes() {
        for (bytes_in, is_text) in [
            (&b"{}"[..], true),
            (b"", true),
            (b"a\0b", false),
            (b"\xff", false),
        ] {
            let body = StoredBody {
                bytes: bytes::Bytes::from_static(bytes_in),
                ..StoredBody::default()
            };
            assert_eq!(text(&body) != Cell::Null, is_text);
            assert_eq!(bytes(&body) == Cell::Null, is_text);
        }
    }
}
