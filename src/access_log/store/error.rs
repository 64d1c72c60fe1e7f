//! What a failed insert means for the writer.

use sea_orm::sqlx;

use crate::access_log::columns::ColumnError;
use crate::database::{DatabaseError, Fault, fault, message};

/// Why a batch was not stored. Nothing of the failing transaction is in the database then; a repeated batch
/// adds nothing that is there already.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is away, locked, full, read-only or slow: try again later, for as long as it takes.
    #[error("log store not available: {0}")]
    Unavailable(String),
    /// At least one row of the batch can never be stored: find it with [`super::LogStore::insert_isolating`].
    #[error("log store refuses a row: {0}")]
    Poison(String),
    /// The schema does not fit this program: exit 3 at start, an alarm later.
    #[error("log store has another schema: {0}")]
    Schema(String),
    /// A configured column cannot be had: exit 2.
    #[error(transparent)]
    Column(#[from] ColumnError),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let text = message(&error);
        match fault(&error) {
            // A partition that is still missing after it was made goes away by itself: somebody drops them.
            Fault::Unavailable | Fault::NoPartition => Self::Unavailable(text),
            Fault::Poison => Self::Poison(text),
            Fault::Schema => Self::Schema(text),
        }
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Unavailable(text) => Self::Unavailable(text),
            DatabaseError::Schema(text) => Self::Schema(text),
        }
    }
}
