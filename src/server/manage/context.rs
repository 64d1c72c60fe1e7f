//! `/context/{session_id}`: what was said in a session, from the record, newest first and a page at a time. A session that nobody
//! knows has nothing. Credentials are masked there as they are in the record; texts are there as far as the record keeps them.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::access_log::query::{Cursor, MOST_TURNS, Turn, history};
use crate::access_log::store::LogStore;
use crate::pipeline::failure::Failure;
use crate::server::manage::shown::epoch_s;
use crate::server::state::DataState;
use crate::telemetry::background::Runner;
use crate::wire::percent;

/// Reads sessions from the record, on the background thread.
#[derive(Debug, Clone)]
pub struct Histories {
    store: Arc<LogStore>,
    runner: Runner,
}

/// Which page is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Page {
    limit: u32,
    before: Option<Cursor>,
}

impl Histories {
    /// From this store.
    pub fn new(store: Arc<LogStore>, runner: Runner) -> Self {
        Self { store, runner }
    }

    /// One more than the page holds, if there are so many.
    async fn read(&self, session_id: String, page: Page) -> Result<Vec<Turn>, Failure> {
        let store = self.store.clone();
        let read = self.runner.run(async move {
            let database = store.database().await.ok()?;
            history(&database, &session_id, page.before, page.limit + 1)
                .await
                .ok()
        });
        read.await.ok().flatten().ok_or(Failure::RecordUnreadable)
    }
}

/// `GET /context/{session_id}`.
pub(super) async fn one(state: &DataState, id: &str, query: &str) -> Result<Value, Failure> {
    let page = page(query)?;
    let mut turns = state.histories.read(id.to_owned(), page).await?;
    let most = page.limit as usize;
    let has_more = most < turns.len();
    turns.truncate(most);
    let last = turns.last().map(|turn| turn.cursor);
    let next = last.filter(|_| has_more).map(written);
    Ok(json!({
        "session_id": id,
        "history": turns.iter().map(shown).collect::<Vec<_>>(),
        "has_more": has_more,
        "next": next,
    }))
}

fn shown(turn: &Turn) -> Value {
    let calls = turn.tool_calls.as_deref();
    let calls = calls.map(|calls| match serde_json::from_str::<Value>(calls) {
        Ok(calls) => calls,
        // A piece of one.
        Err(_) => calls.into(),
    });
    json!({
        "request_id": turn.request_id,
        "created_at": epoch_s(turn.cursor.created_at_us),
        "requested_model": turn.requested_model,
        "model": turn.model,
        "provider": turn.provider,
        "outcome": turn.outcome,
        "status_code": turn.status_code,
        "request_text": turn.request_text,
        "response_text": turn.response_text,
        "tool_calls": calls,
        "is_cut": turn.is_cut,
        "prompt_tokens": turn.prompt_tokens,
        "completion_tokens": turn.completion_tokens,
    })
}

/// Reads `limit` and `before`; what else a query says is not heeded.
fn page(query: &str) -> Result<Page, Failure> {
    let mut page = Page {
        limit: MOST_TURNS,
        before: None,
    };
    let bad = |name, reason: String| Failure::BadMember { name, reason };
    for parameter in query.split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = percent::decoded(value).unwrap_or_default();
        match name {
            "limit" => {
                let limit = value.parse().ok();
                let limit = limit.filter(|limit| (1..=MOST_TURNS).contains(limit));
                page.limit = limit.ok_or_else(|| {
                    bad(
                        "limit",
                        format!("a number from 1 to {MOST_TURNS} is expected"),
                    )
                })?;
            }
            "before" => {
                let cursor = cursor(&value);
                page.before = Some(cursor.ok_or_else(|| {
                    bad(
                        "before",
                        "the `next` of a page before is expected".to_owned(),
                    )
                })?);
            }
            _ => {}
        }
    }
    Ok(page)
}

/// A place as clients carry it.
fn written(cursor: Cursor) -> String {
    format!("{}-{}", cursor.created_at_us, cursor.id)
}

fn cursor(text: &str) -> Option<Cursor> {
    let (created_at_us, id) = text.split_once('-')?;
    let number = |text: &str| {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_number)
    };
    Some(Cursor {
        created_at_us: number(created_at_us)?,
        id: number(id)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_from_the_query() {
        let place = Cursor {
            created_at_us: 12,
            id: 3,
        };
        for (query, expected) in [
            ("", Some((50, None))),
            ("limit=7&x=y", Some((7, None))),
            ("before=12-3&limit=50", Some((50, Some(place)))),
            ("before=12%2D3", Some((50, Some(place)))),
            ("limit=0", None),
            ("limit=51", None),
            ("limit", None),
            ("before=", None),
            ("before=12", None),
            ("before=12-3-4", None),
            ("before=-12-3", None),
            ("before=12-+3", None),
            ("before=99999999999999999999-1", None),
        ] {
            let page = page(query).ok().map(|page| (page.limit, page.before));
            assert_eq!(page, expected, "{query}");
        }
        assert_eq!(cursor(&written(place)), Some(place));
    }
}
