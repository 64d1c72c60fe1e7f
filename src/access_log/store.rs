//! The write side of the record: batches in, rows out, on SQLite and PostgreSQL. Opens its database by itself,
//! as often as it must; never retries and never waits for a database to come back: that is the writer's work.

mod batch;
mod custom_columns;
mod error;
mod insert;
mod long;
mod partitions;
mod quarantine;
mod statements;

pub use batch::{MAX_BINDS, MAX_BYTES, MAX_ROWS};
pub use error::StoreError;
pub(crate) use partitions::LOCK_TIMEOUT;

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::access_log::columns::{ColumnError, CustomColumn, TABLES};
use crate::access_log::long::LongRecord;
use crate::access_log::record::LogRecord;
use crate::config::DatabaseUrl;
use crate::database::{Database, Fault, Pool, fault};

/// The write side of the record.
#[derive(Debug)]
pub struct LogStore {
    url: DatabaseUrl,
    auto_migrate: bool,
    columns: Vec<CustomColumn>,
    open: Mutex<Option<Arc<Database>>>,
    statements: statements::Statements,
    days: partitions::Days,
}

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inserted {
    /// Request ids of the rows that were not there before. The others were, from an earlier try.
    pub new_ids: HashSet<String>,
    /// Rows that can never be stored; they stand in `log_quarantine`.
    pub quarantined: Vec<Quarantined>,
}

/// A row in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Its request id.
    pub request_id: String,
    /// Why the database refused it, in its words.
    pub error: String,
}

impl Inserted {
    /// How many rows were not there before.
    pub fn new_rows(&self) -> usize {
        self.new_ids.len()
    }
}

impl LogStore {
    /// A store that is not open yet; with `auto_migrate` it runs pending migrations when it opens.
    ///
    /// # Errors
    /// A configured column that cannot be had.
    pub fn new(
        url: DatabaseUrl,
        auto_migrate: bool,
        columns: Vec<CustomColumn>,
    ) -> Result<Self, ColumnError> {
        CustomColumn::check_all(&columns)?;
        Ok(Self {
            url,
            auto_migrate,
            columns,
            open: Mutex::default(),
            statements: statements::Statements::default(),
            days: partitions::Days::default(),
        })
    }

    /// The open database: the one at hand, or a new one with its schema and configured columns seen to. A
    /// SQLite file that was moved or deleted is left and opened anew at its place.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: go on without it and call again. [`StoreError::Schema`] and
    /// [`StoreError::Column`] at start: exit 3 and exit 2.
    pub async fn database(&self) -> Result<Arc<Database>, StoreError> {
        let mut open = self.open.lock().await;
        if let Some(database) = open.take() {
            if database.is_in_place() {
                return Ok(open.insert(database).clone());
            }
            database.close().await;
        }
        self.days.forget();
        let database = Database::open_current(&self.url, self.auto_migrate).await?;
        if let Err(error) = custom_columns::make(&database, &self.columns).await {
            database.close().await;
            return Err(error);
        }
        Ok(open.insert(Arc::new(database)).clone())
    }

    /// Closes the database; the next call opens it again.
    pub async fn close(&self) {
        if let Some(database) = self.open.lock().await.take() {
            database.close().await;
        }
    }

    /// The configured columns.
    pub fn columns(&self) -> &[CustomColumn] {
        &self.columns
    }

    /// Stores a batch, in as many transactions as its size asks for. Rows that are there already stay as they
    /// are, so a batch can be repeated after any error.
    ///
    /// # Errors
    /// The first transaction that fails ends the call; those before it stand.
    pub async fn insert(&self, batch: &[LogRecord]) -> Result<Inserted, StoreError> {
        let database = self.database().await?;
        let mut inserted = Inserted::default();
        for piece in batch::cut(batch, TABLES[0].columns.len() + self.columns.len()) {
            inserted.new_ids.extend(self.piece(&database, piece).await?);
        }
        Ok(inserted)
    }

    /// Stores a batch as [`LogStore::insert`] does, and finds rows that can never be stored by halving: they go
    /// into `log_quarantine`, everything else into its place.
    ///
    /// # Errors
    /// All but [`StoreError::Poison`].
    pub async fn insert_isolating(&self, batch: &[LogRecord]) -> Result<Inserted, StoreError> {
        let database = self.database().await?;
        let mut inserted = Inserted::default();
        let mut pieces: Vec<&[LogRecord]> =
            batch::cut(batch, TABLES[0].columns.len() + self.columns.len()).collect();
        pieces.reverse();
        while let Some(piece) = pieces.pop() {
            match self.piece(&database, piece).await {
                Ok(new_ids) => inserted.new_ids.extend(new_ids),
                Err(StoreError::Poison(error)) => match piece {
                    [] => {}
                    [record] => {
                        quarantine::put(database.write(), record, &error).await?;
                        let request_id = record.request_id.clone();
                        inserted.quarantined.push(Quarantined { request_id, error });
                    }
                    several => {
                        let (first, second) = several.split_at(several.len() / 2);
                        pieces.extend([second, first]);
                    }
                },
                Err(other) => return Err(other),
            }
        }
        Ok(inserted)
    }

    /// Whether the database is there and lets a transaction be written: an empty one is tried.
    ///
    /// # Errors
    /// As [`LogStore::insert`].
    pub async fn ready(&self) -> Result<(), StoreError> {
        let database = self.database().await?;
        let nothing = std::iter::empty();
        insert::transaction(database.write(), &self.statements, nothing).await?;
        Ok(())
    }

    /// Stores a long record in one transaction. `Some` says whether it is new; `None`: it is refused, or cannot be
    /// read as it was, or its day's partition was dropped. Give it whole to [`LogStore::insert_isolating`] then.
    ///
    /// # Errors
    /// All but [`StoreError::Poison`].
    pub async fn insert_long(&self, long: LongRecord) -> Result<Option<bool>, StoreError> {
        let database = self.database().await?;
        let pool = database.write();
        let long::Parts { record, long } = long::Parts::of(long);
        if let Pool::Postgres(pool) = pool {
            self.days.make(pool, std::slice::from_ref(&record)).await?;
        }
        let matrices = long::matrices(&record, long, &self.columns);
        let done = insert::transaction(pool, &self.statements, matrices).await;
        match done {
            Ok(new_ids) => Ok(Some(!new_ids.is_empty())),
            Err(error) => match fault(&error) {
                Fault::Poison => Ok(None),
                Fault::NoPartition => {
                    // Its values are gone; given whole it is tried again at once, on a day that is made anew.
                    self.days.forget();
                    Ok(None)
                }
                Fault::Schema => {
                    self.close().await;
                    Err(error.into())
                }
                Fault::Unavailable => Err(error.into()),
            },
        }
    }

    /// Stores what fits one transaction.
    async fn piece(
        &self,
        database: &Database,
        piece: &[LogRecord],
    ) -> Result<HashSet<String>, StoreError> {
        let pool = database.write();
        if let Pool::Postgres(pool) = pool {
            self.days.make(pool, piece).await?;
        }
        let insert = || {
            let matrices = batch::Matrix::all(piece, &self.columns);
            insert::transaction(pool, &self.statements, matrices.into_iter().map(Ok))
        };
        let mut done = insert().await;
        if let (Err(error), Pool::Postgres(postgres)) = (&done, pool)
            && fault(error) == Fault::NoPartition
        {
            self.days.forget();
            self.days.make(postgres, piece).await?;
            done = insert().await;
        }
        match done {
            Ok(new_ids) => Ok(new_ids),
            Err(error) => {
                if fault(&error) == Fault::Schema {
                    // Tables that went away come back when the database is opened anew.
                    self.close().await;
                }
                Err(error.into())
            }
        }
    }
}
