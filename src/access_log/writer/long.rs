//! Exchanges with long bodies: digested one at a time, and stored row by row, with the long values of one row in memory.
//! What could not be stored is digested anew, so nothing of it is held in between.

use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use crate::access_log::draft::{Bodies, Finished};
use crate::access_log::long::LongRecord;
use crate::access_log::queue::Item;
use crate::access_log::recorder::shared::Shared;
use crate::access_log::spool::format::Position;
use crate::access_log::spool::payload::PartAt;
use crate::access_log::sync::locked;
use crate::access_log::writer::sink::{SinkError, SinkReport};
use crate::access_log::writer::{MOST_TRIES, Turn, Writer, show};

/// With so many bytes in the spool an exchange is long. Others are stored together, which is faster.
pub(super) const LONG_BYTES: usize = 512 << 10;

/// Where the bodies of a long exchange are read from, as often as it must.
struct Source {
    shared: Arc<Shared>,
    id: Uuid,
    /// Without what is in the spool.
    bodies: Bodies,
    begin: Option<Position>,
    parts: Vec<PartAt>,
}

impl Source {
    fn of(shared: &Arc<Shared>, item: &Item) -> Self {
        Self {
            shared: Arc::clone(shared),
            id: item.finished.opened.request_id,
            bodies: item.finished.bodies.clone(), // reference-counted; what is long is in the spool
            begin: item.begin,
            parts: item.parts.clone(),
        }
    }

    /// The bodies, and in how many places they are damaged.
    fn read(&self) -> (Bodies, u64) {
        let mut bodies = self.bodies.clone(); // as above
        let damaged = self.shared.spool.as_ref().map_or(0, |spool| {
            spool.read_bodies(self.id, &mut bodies, self.begin, &self.parts)
        });
        (bodies, damaged)
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
        let (bodies, damaged) = source.read();
        self.shared.note_read(item, damaged);
        let finished = Finished {
            opened: item.finished.opened.clone(),
            closed: item.finished.closed.clone(),
            bodies,
        };
        let record = (self.digest)(&finished);
        drop(finished);
        if !std::mem::replace(&mut item.observed, true) {
            show(&self.observers, &record);
        }
        let long = LongRecord::new(record, move || source.read().0);
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
