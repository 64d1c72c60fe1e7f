//! The place for rows that the database refuses for what is in them: kept as one JSON text and two plain byte
//! columns, so that nothing is lost and nothing stands in the way of the others.

use serde_json::json;

use crate::access_log::record::{LogRecord, StoredBody};
use crate::access_log::store::StoreError;
use crate::database::Pool;
use crate::database::value::{Cell, execute};

const INSERT: &str = "INSERT INTO log_quarantine \
     (request_id, created_at, error, record, request_body, response_body) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";

/// Puts a record into quarantine. One that cannot be put there with its bodies goes without them.
pub(super) async fn put<'a>(
    pool: &Pool,
    record: &'a LogRecord,
    error: &str,
) -> Result<(), StoreError> {
    let payload = record.payload.as_ref();
    let headers = |text: Option<&String>| text.cloned();
    // JSON escapes NUL, so this text can be stored whatever the record holds.
    let text = json!({
        "exchange": record,
        "attempts": record.tries,
        "filter_verdicts": record.verdicts,
        "request_headers": headers(payload.and_then(|payload| payload.request_headers.as_ref())),
        "response_headers": headers(payload.and_then(|payload| payload.response_headers.as_ref())),
    })
    .to_string();
    let request_id = record.request_id.replace('\0', "\u{fffd}");
    let error = error.replace('\0', "\u{fffd}");
    let body = |body: Option<&'a StoredBody>| body.map_or(Cell::Null, |b| Cell::Bytes(&b.bytes));
    let mut cells = [
        Cell::Text(request_id.into()),
        Cell::Time(record.created_at_us),
        Cell::Text(error.into()),
        Cell::Text(text.into()),
        body(payload.and_then(|payload| payload.request_body.as_ref())),
        body(payload.and_then(|payload| payload.response_body.as_ref())),
    ];
    match execute(pool, INSERT, &cells)
        .await
        .map_err(StoreError::from)
    {
        Err(StoreError::Poison(_)) => {
            let [.., request, response] = &mut cells;
            (*request, *response) = (Cell::Null, Cell::Null);
            Ok(execute(pool, INSERT, &cells).await.map(|_| ())?)
        }
        other => other.map(|_| ()),
    }
}
