//! The stored answer of an exchange, as replay needs it.

use bytes::Bytes;

use crate::access_log::query::{QueryError, read};
use crate::database::Database;
use crate::database::value::{Cell, Datum, Kind};

/// What is stored of an exchange's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// Request id of the recorded exchange.
    pub request_id: String,
    /// Word of the column `outcome`.
    pub outcome: String,
    /// HTTP status that the client got; 499 when it got no head.
    pub status_code: u16,
    /// Whether the client asked for a stream. `None` where its request did not say.
    pub stream: Option<bool>,
    /// Word of the column `body_state`, such as `stored` or `expired`.
    pub body_state: String,
    /// Whether the answer had been read and handed over whole. `None` without an answer.
    pub response_complete: Option<bool>,
    /// Headers that the client got, a JSON object. `None` when they are not stored.
    pub headers: Option<String>,
    /// The body as the client got it, perhaps cut. `None` when there was none or it is not stored.
    pub body: Option<Bytes>,
    /// Bytes of the whole body; more than `body` holds when that is cut. `None` without a body.
    pub body_size: Option<i64>,
    /// Offset, length and microseconds since acceptance of each relayed piece. `None` unless a stream.
    pub chunk_times: Option<String>,
}

const SQL: &str = "SELECT e.request_id, e.outcome, e.status_code, e.stream, e.body_state, \
     e.response_complete, b.response_headers, b.response_body, b.response_body_bytes, \
     b.response_body_size, b.chunk_times \
     FROM exchanges e LEFT JOIN exchange_bodies b \
     ON b.request_id = e.request_id AND b.created_at = e.created_at WHERE e.request_id = $1 LIMIT 1";

/// The stored answer of an exchange, by its request id. `None` when there is no such row.
///
/// # Errors
/// [`QueryError::Unavailable`].
pub async fn stored_response(
    database: &Database,
    request_id: &str,
) -> Result<Option<StoredResponse>, QueryError> {
    let id = request_id.replace('\0', "");
    let rows = read(database, SQL, &[Cell::Text(id.into())]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let text = |place| -> Result<Option<String>, QueryError> {
        let value = row.get(place, Kind::Text)?;
        Ok(if let Datum::Text(text) = value {
            Some(text)
        } else {
            None
        })
    };
    let truth = |place| -> Result<Option<bool>, QueryError> {
        let value = row.get(place, Kind::Boolean)?;
        Ok(if let Datum::Boolean(truth) = value {
            Some(truth)
        } else {
            None
        })
    };
    let integer = |place, kind| -> Result<Option<i64>, QueryError> {
        let value = row.get(place, kind)?;
        Ok(if let Datum::Integer(number) = value {
            Some(number)
        } else {
            None
        })
    };
    let body = match (text(7)?, row.get(8, Kind::Bytes)?) {
        (Some(text), _) => Some(text.into()),
        (None, Datum::Bytes(bytes)) => Some(bytes.into()),
        (None, _) => None,
    };
    let status = integer(2, Kind::Integer)?.and_then(|status| status.try_into().ok());
    Ok(Some(StoredResponse {
        request_id: text(0)?.unwrap_or_default(),
        outcome: text(1)?.unwrap_or_default(),
        status_code: status.ok_or_else(|| QueryError::NotUnderstood("status_code".to_owned()))?,
        stream: truth(3)?,
        body_state: text(4)?.unwrap_or_default(),
        response_complete: truth(5)?,
        headers: text(6)?,
        body,
        body_size: integer(9, Kind::BigInt)?,
        chunk_times: text(10)?,
    }))
}
