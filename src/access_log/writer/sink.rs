//! What the writer needs of a store.

use async_trait::async_trait;

use crate::access_log::long::LongRecord;
use crate::access_log::record::LogRecord;

/// Puts records where they can be queried. Runs on the writer's own thread and runtime: open connections there, at
/// the first insert, not before.
#[async_trait]
pub trait Sink: Send {
    /// Stores a batch in one transaction. A record that is there already is left as it is and counted as
    /// duplicate, so that a batch whose outcome is unknown can be given again.
    ///
    /// The future may be dropped before it is done, when the process ends.
    ///
    /// # Errors
    /// When nothing of the batch may be taken as stored. A single record at fault is no error: it is quarantined
    /// by the sink and counted in the report.
    async fn insert(&mut self, batch: &[LogRecord]) -> Result<SinkReport, SinkError>;

    /// Whether records would be taken now, as far as that can be seen without one. Asked before a long exchange is read
    /// for a store that was away.
    ///
    /// # Errors
    /// When the store is still away.
    async fn ready(&mut self) -> Result<(), SinkError> {
        self.insert(&[]).await.map(drop)
    }

    /// Stores a long record as [`Sink::insert`] does a batch of one; a sink that minds its memory holds the long values of
    /// one row at a time. `None`: it cannot be stored so, give it whole to [`Sink::insert`].
    ///
    /// # Errors
    /// When it may not be taken as stored.
    async fn insert_long(&mut self, long: LongRecord) -> Result<Option<SinkReport>, SinkError> {
        match long.whole() {
            Some(record) => self.insert(&[record]).await.map(Some),
            None => Ok(None),
        }
    }
}

/// What became of a batch. The three numbers add up to its length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SinkReport {
    /// Rows that were not there before.
    pub new: u64,
    /// Rows that were.
    pub duplicate: u64,
    /// Rows that the store refuses for what they are; the sink keeps them elsewhere.
    pub quarantined: u64,
}

/// Why a batch was not stored. Either way the writer tries again, and the records stay in the spool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The store is away, slow, full or read-only.
    #[error("the log database is not available: {0}")]
    Unavailable(String),
    /// The store's schema is not the one that this program writes.
    #[error("the log database's schema does not fit this program")]
    SchemaMisfit,
}
