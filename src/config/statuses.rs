//! Sets of HTTP statuses that stand for failures, as numbers and spans such as `500-599`.

use std::ops::RangeInclusive;

use serde::{Serialize, Serializer};

use super::item::Item;
use super::section::Section;
use super::tree::Value;

/// A set of HTTP statuses from 400 to 599.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

impl Statuses {
    /// No status.
    pub const NONE: Self = Self(Vec::new());

    /// These.
    #[cfg(test)]
    pub(crate) fn of(statuses: &[u16]) -> Self {
        Self(statuses.iter().map(|status| *status..=*status).collect())
    }

    /// Whether a status is in the set.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|span| span.contains(&status))
    }

    /// Whether no status is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is tried elsewhere unless the configuration says otherwise: 429 and all that blames the server.
    pub fn default_retries() -> Self {
        Self(vec![429..=429, 500..=599])
    }
}

impl Serialize for Statuses {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let spans = self.0.iter();
        to.collect_seq(spans.map(|span| {
            if span.start() == span.end() {
                serde_json::Value::from(*span.start())
            } else {
                format!("{}-{}", span.start(), span.end()).into()
            }
        }))
    }
}

/// Reads a list of statuses and spans; `None` where it is left out.
pub(super) fn read_statuses(section: &mut Section<'_>, key: &'static str) -> Option<Statuses> {
    let items = section.list(key)?;
    let spans = items.iter().filter_map(|(path, item)| {
        let span = span(item);
        if span.is_none() {
            item.report(
                path,
                "expected a status from 400 to 599, or a span such as 500-599",
            );
        }
        span
    });
    Some(Statuses(spans.collect()))
}

fn span(item: &Item<'_>) -> Option<RangeInclusive<u16>> {
    let (first, last) = match &item.node.value {
        Value::Text { text, .. } | Value::Open { text, .. } => {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            (first.trim().parse().ok()?, last.trim().parse().ok()?)
        }
        _ => {
            let status = u16::try_from(item.integer()?).ok()?;
            (status, status)
        }
    };
    (400 <= first && first <= last && last <= 599).then_some(first..=last)
}
