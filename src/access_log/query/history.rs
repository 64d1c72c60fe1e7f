//! The exchanges of a session as a conversation: texts without bodies, a page at a time.

use crate::access_log::query::{Cursor, QueryError, read};
use crate::database::Database;
use crate::database::value::{Cell, Datum, Kind, Row};

/// Most exchanges in one page.
pub const MOST_TURNS: u32 = 50;

/// Longest text that a page holds, in characters; a page stays within some megabytes.
const LONGEST_TEXT: usize = 32_768;

/// One exchange of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Its place, from which the next page goes on.
    pub cursor: Cursor,
    /// Request id, a UUID.
    pub request_id: String,
    /// The model that was asked for.
    pub requested_model: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// The provider that answered.
    pub provider: Option<String>,
    /// Word of the column `outcome`.
    pub outcome: String,
    /// HTTP status that the client got.
    pub status_code: Option<i64>,
    /// The request's text, at most its first 32,768 characters. `None` where none is kept.
    pub request_text: Option<String>,
    /// The answer's text, in the same way.
    pub response_text: Option<String>,
    /// The answer's tool calls, JSON unless they were cut.
    pub tool_calls: Option<String>,
    /// Whether one of the three is longer than what is here.
    pub is_cut: bool,
    /// Tokens of the prompt.
    pub prompt_tokens: Option<i64>,
    /// Tokens of the answer.
    pub completion_tokens: Option<i64>,
}

/// The newest exchanges of a session before a place, newest first: at most `limit`, and at most [`MOST_TURNS`] and one.
///
/// # Errors
/// [`QueryError::Unavailable`].
pub async fn history(
    database: &Database,
    session_id: &str,
    before: Option<Cursor>,
    limit: u32,
) -> Result<Vec<Turn>, QueryError> {
    let mut cells = vec![Cell::Text(session_id.replace('\0', "").into())];
    let mut condition = "session_id = $1".to_owned();
    if let Some(Cursor { created_at_us, id }) = before {
        cells.push(Cell::Time(created_at_us));
        cells.push(Cell::Integer(id));
        condition += " AND created_at <= $2 AND (created_at < $2 OR id < $3)";
    }
    let limit = limit.min(MOST_TURNS + 1);
    let cut = |column: &str| format!("substr({column}, 1, {})", LONGEST_TEXT + 1);
    let sql = format!(
        "SELECT id, created_at, request_id, requested_model, model, provider, outcome, status_code, {}, {}, {}, \
         prompt_tokens, completion_tokens FROM exchanges WHERE {condition} \
         ORDER BY created_at DESC, id DESC LIMIT {limit}",
        cut("request_text"),
        cut("response_text"),
        cut("tool_calls"),
    );
    let rows = read(database, &sql, &cells).await?;
    rows.iter().map(turn).collect()
}

fn turn(row: &Row) -> Result<Turn, QueryError> {
    let text = |place| -> Result<Option<String>, QueryError> {
        match row.get(place, Kind::Text)? {
            Datum::Text(text) => Ok(Some(text)),
            _ => Ok(None),
        }
    };
    let integer = |place, kind| -> Result<Option<i64>, QueryError> {
        match row.get(place, kind)? {
            Datum::Integer(number) | Datum::Time(number) => Ok(Some(number)),
            _ => Ok(None),
        }
    };
    let texts = [text(8)?, text(9)?, text(10)?].map(|text| text.map(cut));
    let is_cut = texts.iter().flatten().any(|(_, is_cut)| *is_cut);
    let [request_text, response_text, tool_calls] = texts.map(|text| text.map(|(text, _)| text));
    Ok(Turn {
        cursor: Cursor {
            id: integer(0, Kind::BigInt)?.unwrap_or_default(),
            created_at_us: integer(1, Kind::Time)?.unwrap_or_default(),
        },
        request_id: text(2)?.unwrap_or_default(),
        requested_model: text(3)?,
        model: text(4)?,
        provider: text(5)?,
        outcome: text(6)?.unwrap_or_default(),
        status_code: integer(7, Kind::Integer)?,
        request_text,
        response_text,
        tool_calls,
        is_cut,
        prompt_tokens: integer(11, Kind::BigInt)?,
        completion_tokens: integer(12, Kind::BigInt)?,
    })
}

/// A text within its length, and whether it had more.
fn cut(mut text: String) -> (String, bool) {
    match text.char_indices().nth(LONGEST_TEXT) {
        None => (text, false),
        Some((end, _)) => {
            text.truncate(end);
            (text, true)
        }
    }
}
