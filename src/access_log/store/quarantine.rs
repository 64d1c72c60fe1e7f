//! The place for rows that the database refuses for what is in them: kept as one JSON text and two plain byte
//! columns, so that nothing is lost and nothing stands in the way of the others.

use serde_json::json;

use crate::access_log::record::LogRecord;
use crate::access_log::store::StoreError;
use crate::database::Pool;
use crate::database::value::{Cell, execute};

const INSERT: &str = "INSERT INTO log_quarantine (request_id, created_at, error, record) \
     VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
const REQUEST_BODY: &str = "UPDATE log_quarantine SET request_body = $2 WHERE request_id = $1";
const RESPONSE_BODY: &str = "UPDATE log_quarantine SET response_body = $2 WHERE request_id = $1";

/// Puts a record into quarantine. What the database refuses even there is left out: bodies, then the record, then
/// all of it, for no row may stand in the way of the others.
///
/// # Errors
/// All but [`StoreError::Poison`].
pub(super) async fn put(pool: &Pool, record: &LogRecord, error: &str) -> Result<(), StoreError> {
    let payload = record.payload.as_ref();
    // JSON escapes NUL, so this text can be stored whatever the record holds.
    let text = json!({
        "exchange": record,
        "attempts": record.tries,
        "filter_verdicts": record.verdicts,
        "request_headers": payload.and_then(|payload| payload.request_headers.as_ref()),
        "response_headers": payload.and_then(|payload| payload.response_headers.as_ref()),
    })
    .to_string();
    let request_id = || Cell::Text(record.request_id.replace('\0', "\u{fffd}").into());
    let row = |text: String| {
        [
            request_id(),
            Cell::Time(record.created_at_us),
            Cell::Text(error.replace('\0', "\u{fffd}").into()),
            Cell::Text(text.into()),
        ]
    };
    let is_kept = taken(pool, INSERT, &row(text)).await?
        || taken(pool, INSERT, &row("null".to_owned())).await?;
    if !is_kept {
        tracing::error!(
            exchange.id = record.request_id,
            "a record is lost: even log_quarantine refuses it"
        );
        return Ok(());
    }
    let request = payload.and_then(|payload| payload.request_body.as_ref());
    let response = payload.and_then(|payload| payload.response_body.as_ref());
    for (sql, body) in [(REQUEST_BODY, request), (RESPONSE_BODY, response)] {
        if let Some(body) = body {
            taken(
                pool,
                sql,
                &[request_id(), Cell::Bytes((&*body.bytes).into())],
            )
            .await?;
        }
    }
    Ok(())
}

/// Whether the database takes the values of a statement.
async fn taken(pool: &Pool, sql: &str, cells: &[Cell<'_>]) -> Result<bool, StoreError> {
    match execute(pool, sql, cells).await.map_err(StoreError::from) {
        Ok(_) => Ok(true),
        Err(StoreError::Poison(_)) => Ok(false),
        Err(other) => Err(other),
    }
}
