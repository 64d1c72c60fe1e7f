//! Exchanges with long bodies: digested and stored one at a time, with one of their long values in memory at a time.
//! What could not be stored is digested anew, so nothing of it is held in between.

use std::sync::Arc;
use std::time::Instant;

use crate::access_log::draft::{Bodies, Finished};
use crate::access_log::long::LongRecord;
use crate::access_log::queue::Item;
use crate::access_log::recorder::shared::Shared;
use crate::access_log::spool::format::Position;
use crate::access_log::spool::payload::PartAt;
use crate::access_log::sync::locked;
use crate::access_log::writer::sink::{SinkError, SinkReport};
use crate::access_log::writer::{MOST_TRIES, Turn, Writer, show};

/// From this weight on an exchange is long. Lighter ones are stored together, which is faster.
pub(super) const LONG_BYTES: usize = 512 << 10;

/// Where a long exchange is read from, as often as it must.
struct Source {
    shared: Arc<Shared>,
    /// Without what is in the spool.
    finished: Finished,
    begin: Option<Position>,
    parts: Vec<PartAt>,
}

impl Source {
    fn of(shared: &Arc<Shared>, item: &Item) -> Self {
        Self {
            shared: Arc::clone(shared),
            finished: item.finished.clone(), // texts; what is long is in the spool
            begin: item.begin,
            parts: item.parts.clone(),
        }
    }

    fn read(&self) -> Finished {
        let mut finished = self.finished.clone();
        if let Some(spool) = &self.shared.spool {
            spool.read_bodies(&mut finished, self.begin, &self.parts);
        }
        finished
    }

    fn read_bodies(self) -> Bodies {
        self.read().bodies
    }
}

impl Writer {
    /// Stores the first of the long exchanges, if there is one.
    pub(super) async fn turn_long(&mut self) -> Turn {
        if self.long.is_empty() {
            return Turn::Idle;
        }
        if self.away_since.is_some()
            && let Err(error) = self.ask_sink().await
        {
            self.note_away(&error);
            return Turn::Away;
        }
        let Some(item) = self.long.front_mut() else {
            return Turn::Idle;
        };
        if item.tries == MOST_TRIES {
            let item = self.long.pop_front();
            item.into_iter().for_each(|mut item| {
                self.shared.read_whole(&mut item);
                self.put_aside(*item);
            });
            return Turn::Progress;
        }
        item.tries += 1; // counted first: the digest may panic, and the store
        let source = Source::of(&self.shared, item);
        let record = (self.digest)(&source.read());
        if !std::mem::replace(&mut item.observed, true) {
            show(&self.observers, &record);
        }
        let long = LongRecord::new(record, move || source.read_bodies());
        *locked(&self.shared.inserting_since) = Some(Instant::now());
        let result = self.sink.insert_long(long).await;
        *locked(&self.shared.inserting_since) = None;
        item.tries = 0;
        match result {
            Ok(report) => {
                self.note_up();
                let item = self.long.pop_front();
                item.into_iter()
                    .for_each(|item| self.resolve_long(item, report));
                Turn::Progress
            }
            Err(error) => {
                self.note_away(&error);
                Turn::Away
            }
        }
    }

    /// Whether the store is there again: reading and digesting would be in vain before.
    async fn ask_sink(&mut self) -> Result<(), SinkError> {
        *locked(&self.shared.inserting_since) = Some(Instant::now());
        let ready = self.sink.ready().await;
        *locked(&self.shared.inserting_since) = None;
        ready
    }

    /// It is stored; or it must be given whole, and goes the way of the others.
    fn resolve_long(&mut self, mut item: Box<Item>, report: Option<SinkReport>) {
        match report {
            Some(report) => {
                let quarantined = report.quarantined.min(1);
                self.count(report.new.min(1), 1 - quarantined, quarantined);
                self.release(*item);
            }
            None => {
                self.shared.read_whole(&mut item);
                self.taken.push_back(item);
            }
        }
        self.note_emptiness();
    }
}
