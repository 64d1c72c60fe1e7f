//! Joins the writer and the SQL store.

use std::sync::Arc;

use async_trait::async_trait;

use crate::access_log::long::LongRecord;
use crate::access_log::record::LogRecord;
use crate::access_log::store::{LogStore, StoreError};
use crate::access_log::writer::sink::{Sink, SinkError, SinkReport};

/// The SQL store as the writer sees it.
pub(super) struct SqlSink(pub(super) Arc<LogStore>);

#[async_trait]
impl Sink for SqlSink {
    async fn insert(&mut self, batch: &[LogRecord]) -> Result<SinkReport, SinkError> {
        match self.0.insert_isolating(batch).await {
            Ok(inserted) => {
                let new = inserted.new_rows() as u64;
                let quarantined = inserted.quarantined.len() as u64;
                for row in &inserted.quarantined {
                    tracing::error!(
                        exchange.id = row.request_id,
                        "a record cannot be stored and stands in log_quarantine: {}",
                        row.error
                    );
                }
                let duplicate = (batch.len() as u64).saturating_sub(new + quarantined);
                Ok(SinkReport {
                    new,
                    duplicate,
                    quarantined,
                })
            }
            Err(error) => Err(sink_error(&error)),
        }
    }

    async fn ready(&mut self) -> Result<(), SinkError> {
        let ready = self.0.ready().await;
        ready.map_err(|error| sink_error(&error))
    }

    async fn insert_long(&mut self, long: LongRecord) -> Result<Option<SinkReport>, SinkError> {
        let stored = self.0.insert_long(long).await;
        let is_new = stored.map_err(|error| sink_error(&error))?;
        Ok(is_new.map(|is_new| SinkReport {
            new: is_new.into(),
            duplicate: (!is_new).into(),
            quarantined: 0,
        }))
    }
}

fn sink_error(error: &StoreError) -> SinkError {
    match error {
        StoreError::Schema(_) | StoreError::Column(_) => SinkError::SchemaMisfit,
        StoreError::Unavailable(_) | StoreError::Poison(_) => {
            SinkError::Unavailable(error.to_string())
        }
    }
}
