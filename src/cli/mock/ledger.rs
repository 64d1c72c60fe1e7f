//! What the mock has seen: counts, ids and the last requests. Shared by its
//! connections and by whoever asks; nothing here takes long.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::cli::mock::request::RawRequest;

/// Most requests that are kept.
const MAX_KEPT: usize = 512;
/// Most body bytes of kept requests.
const MAX_KEPT_BYTES: usize = 64 << 20;
/// Most different test ids that are counted.
const MAX_TEST_IDS: usize = 2_000_000;

/// Counts since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Requests read whole, those to `/__mock/` not among them.
    pub requests: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub open_connections: u64,
    /// Streams begun.
    pub streams: u64,
    /// Streams that have not ended yet.
    pub open_streams: u64,
    /// Answers that went out as planned, a planned cut included.
    pub completed: u64,
    /// Answers that ended early because the peer had gone.
    pub abandoned: u64,
    /// Requests that are not HTTP or ended inside.
    pub malformed: u64,
    /// How often each `x-test-id` came.
    pub test_ids: HashMap<String, u32>,
}

/// Shared counts and requests.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    stats: Stats,
    last: VecDeque<RawRequest>,
    last_bytes: usize,
}

/// Which count of things that are open.
#[derive(Debug, Clone, Copy)]
pub(super) enum Open {
    Connection,
    Stream,
}

/// Counts one open thing until dropped.
pub(super) struct OpenGuard {
    ledger: Ledger,
    what: Open,
}

impl Ledger {
    /// Enters a request. Gives its number, from 1, and how often its test id has come before.
    pub(super) fn enter(&self, request: &RawRequest) -> (u64, u32) {
        let test_id = request.header("x-test-id");
        let mut pages = self.pages();
        pages.stats.requests += 1;
        pages.keep(request.clone());
        let before = test_id.map_or(0, |id| pages.stats.count_test_id(id));
        (pages.stats.requests, before)
    }

    /// Counts an open connection or stream until the guard goes.
    pub(super) fn open(&self, what: Open) -> OpenGuard {
        let mut pages = self.pages();
        let (all, open) = pages.stats.counts(what);
        *all += 1;
        *open += 1;
        OpenGuard {
            ledger: self.clone(),
            what,
        }
    }

    pub(super) fn completed(&self) {
        self.pages().stats.completed += 1;
    }

    pub(super) fn abandoned(&self) {
        self.pages().stats.abandoned += 1;
    }

    pub(super) fn malformed(&self) {
        self.pages().stats.malformed += 1;
    }

    pub(super) fn stats(&self) -> Stats {
        self.pages().stats.clone()
    }

    /// The newest requests, oldest first.
    pub(super) fn last(&self, count: usize) -> Vec<RawRequest> {
        let pages = self.pages();
        let skip = pages.last.len().saturating_sub(count);
        pages.last.iter().skip(skip).cloned().collect()
    }

    /// Forgets all but what is open now.
    pub(super) fn reset(&self) {
        let mut pages = self.pages();
        let open_connections = pages.stats.open_connections;
        let open_streams = pages.stats.open_streams;
        *pages = Pages::default();
        pages.stats.open_connections = open_connections;
        pages.stats.open_streams = open_streams;
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stats {
    fn counts(&mut self, what: Open) -> (&mut u64, &mut u64) {
        match what {
            Open::Connection => (&mut self.connections, &mut self.open_connections),
            Open::Stream => (&mut self.streams, &mut self.open_streams),
        }
    }

    fn count_test_id(&mut self, id: &str) -> u32 {
        if let Some(count) = self.test_ids.get_mut(id) {
            *count += 1;
            return *count - 1;
        }
        if self.test_ids.len() < MAX_TEST_IDS {
            self.test_ids.insert(id.to_owned(), 1);
        }
        0
    }
}

impl Pages {
    fn keep(&mut self, request: RawRequest) {
        self.last_bytes += request.body.len();
        self.last.push_back(request);
        while self.last.len() > MAX_KEPT || self.last_bytes > MAX_KEPT_BYTES {
            let Some(oldest) = self.last.pop_front() else {
                return;
            };
            self.last_bytes -= oldest.body.len();
        }
    }
}

impl Drop for OpenGuard {
    fn drop(&mut self) {
        let mut pages = self.ledger.pages();
        let (_, open) = pages.stats.counts(self.what);
        *open = open.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn request(test_id: &str, body_bytes: usize) -> RawRequest {
        RawRequest {
            method: "POST".into(),
            target: "/v1/chat/completions?x=1".into(),
            head: format!("POST / HTTP/1.1\r\nX-Test-Id: {test_id}\r\n\r\n").into(),
            body: Bytes::from(vec![b'x'; body_bytes]),
        }
    }

    #[test]
    fn counts_test_ids() {
        let ledger = Ledger::default();
        assert_eq!(ledger.enter(&request("a", 1)), (1, 0));
        assert_eq!(ledger.enter(&request("b", 1)), (2, 0));
        assert_eq!(ledger.enter(&request("a", 1)), (3, 1));
        assert_eq!(
            ledger.stats().test_ids,
            HashMap::from([("a".into(), 2), ("b".into(), 1)])
        );
    }

    #[test]
    fn keeps_the_newest_within_bounds() {
        let ledger = Ledger::default();
        for number in 0..MAX_KEPT + 3 {
            ledger.enter(&request(&number.to_string(), 1));
        }
        assert_eq!(ledger.last(usize::MAX).len(), MAX_KEPT);
        assert_eq!(ledger.last(1)[0].header("x-test-id"), Some("514"));
        ledger.enter(&request("big", MAX_KEPT_BYTES));
        assert_eq!(ledger.last(9).len(), 1);
        ledger.enter(&request("bigger", MAX_KEPT_BYTES + 1));
        assert!(ledger.last(9).is_empty());
    }

    #[test]
    fn reset_keeps_what_is_open() {
        let ledger = Ledger::default();
        let stream = ledger.open(Open::Stream);
        ledger.enter(&request("a", 1));
        ledger.reset();
        assert_eq!(
            ledger.stats(),
            Stats {
                open_streams: 1,
                ..Stats::default()
            }
        );
        drop(stream);
        assert_eq!(ledger.stats(), Stats::default());
    }

    #[test]
    fn parts_of_a_request() {
        let request = request("7", 3);
        assert_eq!(
            (request.path(), request.query()),
            ("/v1/chat/completions", Some("x=1"))
        );
        assert_eq!(request.headers().collect::<Vec<_>>(), [("X-Test-Id", "7")]);
        assert!(request.body_sha256().starts_with("cd2eb083"));
    }
}
