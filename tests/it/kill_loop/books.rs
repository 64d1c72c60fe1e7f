//! The three books and their comparison.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::SocketAddr;

use super::load::{Asked, Seen};
use crate::support::db::{texts, with_database};
use crate::support::gateway::get;
use crate::support::raw_client::exchange;

/// What each side knows.
pub(super) struct Books {
    asked: Vec<Asked>,
    /// Ids of requests that the upstream read whole.
    served: HashSet<String>,
    rows: HashMap<String, Vec<Row>>,
}

/// What of a row is compared.
#[derive(Debug)]
struct Row {
    outcome: String,
    status: String,
    body_sha256: String,
}

const ROWS: &str = "SELECT e.client_request_id || ' ' || e.outcome || ' ' || e.status_code || ' ' \
     || coalesce(b.response_body_sha256, '') \
     FROM exchanges e LEFT JOIN exchange_bodies b ON b.request_id = e.request_id";

impl Books {
    pub(super) fn collect(asked: Vec<Asked>, upstream: SocketAddr, database_url: &str) -> Self {
        let stats = exchange(upstream, get("/__mock/stats")).json();
        let ids = stats["test_ids"].as_object().expect("ids").keys();
        let served = ids.cloned().collect();
        let mut rows: HashMap<String, Vec<Row>> = HashMap::new();
        for row in with_database(database_url, async |database| texts(database, ROWS).await) {
            let mut words = row.split(' ').map(str::to_owned);
            let mut word = || words.next().unwrap_or_default();
            let id = word();
            rows.entry(id).or_default().push(Row {
                outcome: word(),
                status: word(),
                body_sha256: word(),
            });
        }
        Self {
            asked,
            served,
            rows,
        }
    }

    fn row(&self, id: &str) -> Option<&Row> {
        self.rows.get(id)?.first()
    }

    fn seen(&self) -> impl Iterator<Item = (&str, &Seen)> {
        self.asked
            .iter()
            .filter_map(|asked| Some((asked.id.as_str(), asked.seen.as_ref()?)))
    }

    fn with_outcome(&self, crashed: bool) -> usize {
        let rows = self.rows.values().flatten();
        rows.filter(|row| (row.outcome == "crashed") == crashed)
            .count()
    }

    /// Exchanges whose end is on record though no client saw it: killed between the append and the release, or
    /// before the client could read.
    fn ended_unseen(&self) -> usize {
        let unseen = self.asked.iter().filter(|asked| asked.seen.is_none());
        unseen
            .filter(|asked| {
                self.row(&asked.id)
                    .is_some_and(|row| matches!(row.outcome.as_str(), "ok" | "rate_limited"))
            })
            .count()
    }

    /// # Panics
    /// When the books do not agree.
    pub(super) fn check(&self) {
        let doubled: Vec<_> = self
            .rows
            .iter()
            .filter(|(_, rows)| rows.len() != 1)
            .collect();
        assert!(doubled.is_empty(), "more than one row: {doubled:#?}");
        let lost: Vec<_> = self
            .served
            .iter()
            .filter(|id| self.row(id).is_none())
            .collect();
        assert!(
            lost.is_empty(),
            "the upstream was reached, no row: {lost:?}"
        );
        let untrue: Vec<_> = self
            .seen()
            .filter(|(id, seen)| !self.row(id).is_some_and(|row| row.tells(seen)))
            .map(|(id, seen)| (id, seen.status, self.row(id)))
            .collect();
        assert!(
            untrue.is_empty(),
            "{} answers were seen whole, and their rows do not say so: {untrue:#?}",
            untrue.len()
        );
        let kills_hit = self.with_outcome(true) + self.ended_unseen();
        assert!(
            kills_hit > 0,
            "no kill hit an exchange: this proves nothing"
        );
    }
}

impl Row {
    /// Whether this is what the client saw. A row without the end (`crashed`) never is.
    fn tells(&self, seen: &Seen) -> bool {
        self.outcome != "crashed"
            && self.status == seen.status.to_string()
            && self.body_sha256 == seen.body_sha256
    }
}

impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} asked, {} seen whole, {} reached the upstream; {} rows with their end ({} of them between append \
             and release, or unread), {} crashed",
            self.asked.len(),
            self.seen().count(),
            self.served.len(),
            self.with_outcome(false),
            self.ended_unseen(),
            self.with_outcome(true),
        )
    }
}
