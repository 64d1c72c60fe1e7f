//! Read-only listeners to finished records.

use crate::access_log::record::LogRecord;

/// Sees finished records; cannot touch traffic; must not block.
///
/// Called on the writer's thread once for each exchange of this process, after the record was made and before
/// it is stored. Records that a start recovers from an earlier process are not shown again. A panic is caught.
pub trait Observer: Send + Sync {
    /// One exchange is over.
    fn on_complete(&self, record: &LogRecord);
}
