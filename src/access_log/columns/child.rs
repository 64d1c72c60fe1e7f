//! The columns of the tables that hang on `exchanges`. Each repeats its exchange's `request_id` and
//! `created_at`, by which they are joined.

use std::borrow::Cow;

use crate::access_log::columns::Column;
use crate::access_log::columns::field::Field;
use crate::access_log::record::{LogRecord, StoredBody};
use crate::database::value::{Cell, Kind};

/// A table's columns, one a line: name, kind, unit, and where the value comes from.
macro_rules! columns {
    ($($name:literal, $kind:ident, $unit:literal, $get:expr;)*) => {
        &[$(Column {
            name: $name,
            kind: Kind::$kind,
            unit: $unit,
            indexed: false,
            get: $get,
        }),*]
    };
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

/// A field of a record's child row, NULL when there is no such row.
macro_rules! row {
    ($list:ident, $value:expr) => {
        |record, index| record.$list.get(index).map_or(Cell::Null, $value)
    };
}

pub(super) static BODIES: &[Column] = columns! {
    "request_id", Text, "UUIDv7, hyphenated", request_id;
    "created_at", Time, "UTC, microseconds", created_at;
    "request_headers", Text, "JSON object", payload!(request_headers);
    "request_body", Text, "text, or NULL beside its twin", payload!(request_body, text);
    "request_body_bytes", Bytes, "bytes that are no text", payload!(request_body, bytes);
    "request_body_sha256", Text, "hex, of the whole body", payload!(request_body, sha256);
    "request_body_size", BigInt, "bytes, of the whole body", payload!(request_body, size);
    "upstream_request_body", Text, "text", payload!(upstream_request_body, text);
    "upstream_request_body_bytes", Bytes, "bytes", payload!(upstream_request_body, bytes);
    "upstream_request_body_sha256", Text, "hex", payload!(upstream_request_body, sha256);
    "upstream_request_body_size", BigInt, "bytes", payload!(upstream_request_body, size);
    "response_headers", Text, "JSON object", payload!(response_headers);
    "response_body", Text, "text, or NULL beside its twin", payload!(response_body, text);
    "response_body_bytes", Bytes, "bytes that are no text", payload!(response_body, bytes);
    "response_body_sha256", Text, "hex, of the whole body", payload!(response_body, sha256);
    "response_body_size", BigInt, "bytes, of the whole body", payload!(response_body, size);
    "upstream_response_body", Text, "text", payload!(upstream_response_body, text);
    "upstream_response_body_bytes", Bytes, "bytes", payload!(upstream_response_body, bytes);
    "upstream_response_body_sha256", Text, "hex", payload!(upstream_response_body, sha256);
    "upstream_response_body_size", BigInt, "bytes", payload!(upstream_response_body, size);
    "chunk_times", Text, "offset,length,microseconds;…", payload!(chunk_times);
};

pub(super) static ATTEMPTS: &[Column] = columns! {
    "request_id", Text, "UUIDv7, hyphenated", request_id;
    "created_at", Time, "UTC, microseconds, of the exchange", created_at;
    "number", Integer, "from 1", row!(tries, |a| Cell::Integer(a.number.into()));
    "provider", Text, "name", row!(tries, |a| a.provider.cell(Kind::Text));
    "model", Text, "text", row!(tries, |a| a.model.cell(Kind::Text));
    "provider_key", Text, "name", row!(tries, |a| a.provider_key.cell(Kind::Text));
    "started_at", Time, "UTC, microseconds", row!(tries, |a| Cell::Time(a.started_at_us));
    "status_code", Integer, "HTTP status", row!(tries, |a| a.status_code.cell(Kind::Integer));
    "outcome", Text, "word", row!(tries, |a| Cell::Text(Cow::Borrowed(a.outcome.as_str())));
    "error_message", Text, "text", row!(tries, |a| a.error_message.cell(Kind::Text));
    "connect_ms", Double, "milliseconds", row!(tries, |a| a.connect_ms.cell(Kind::Double));
    "first_byte_ms", Double, "milliseconds", row!(tries, |a| a.first_byte_ms.cell(Kind::Double));
    "duration_ms", Double, "milliseconds", row!(tries, |a| Cell::Double(a.duration_ms));
    "skip_reason", Text, "word", row!(tries, |a| a.skip_reason.cell(Kind::Text));
};

pub(super) static VERDICTS: &[Column] = columns! {
    "request_id", Text, "UUIDv7, hyphenated", request_id;
    "created_at", Time, "UTC, microseconds, of the exchange", created_at;
    "number", Integer, "from 1, in order of time", |_, index| number(index);
    "filter", Text, "name", row!(verdicts, |v| v.filter.cell(Kind::Text));
    "phase", Text, "word", row!(verdicts, |v| v.phase.cell(Kind::Text));
    "verdict", Text, "word", row!(verdicts, |v| v.verdict.cell(Kind::Text));
    "detail", Text, "text", row!(verdicts, |v| v.detail.cell(Kind::Text));
    "duration_us", BigInt, "microseconds", row!(verdicts, |v| duration_us(v.duration_us));
};

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
        None => Cell::Bytes(Cow::Borrowed(&body.bytes)),
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
