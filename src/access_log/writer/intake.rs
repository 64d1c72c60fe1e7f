//! Where the writer's next batch comes from.

use std::sync::Arc;
use std::time::Duration;

use crate::access_log::ledger::{DropReason, Place};
use crate::access_log::queue::{Fill, Item};
use crate::access_log::spool::Spool;
use crate::access_log::spool::lane::Unread;
use crate::access_log::sync::locked;
use crate::access_log::writer::long::LONG_BYTES;
use crate::access_log::writer::{Origin, Writer};

impl Writer {
    /// Fills `taken` with up to a batch: mostly from the queue, a share of what waits in the spool, and every
    /// fourth time, or when nothing else is there, what an earlier process left.
    pub(super) fn take_up(&mut self) {
        let (records, bytes) = (
            self.shared.bounds.batch_records,
            self.shared.bounds.batch_bytes,
        );
        self.turns = self.turns.wrapping_add(1);
        let live_waits = self.shared.queue.fill() != Fill::Empty || self.shared.is_lagging();
        if !live_waits || self.turns.is_multiple_of(4) {
            self.origin = Origin::EarlierProcess;
            self.shared.recovered.take(records, bytes, &mut self.taken);
        }
        if self.taken.is_empty() {
            self.origin = Origin::ThisProcess;
            let share = if self.shared.is_lagging() {
                (records * 3 / 4).max(1)
            } else {
                records
            };
            self.shared.queue.take(share, bytes, &mut self.taken);
            self.read_parts();
            self.take_up_waiting(records, bytes);
        }
        let in_hand = self.taken.iter().chain(&self.long);
        let since = in_hand.map(|item| item.since).min();
        *locked(&self.shared.in_hand_since) = since.filter(|_| self.origin == Origin::ThisProcess);
    }

    /// Reads what stands in the spool only; what is long there is set aside.
    fn read_parts(&mut self) {
        for mut item in std::mem::take(&mut self.taken) {
            if self.shared.spool.is_some() && LONG_BYTES <= item.spooled_bytes() {
                self.long.push_back(item);
            } else {
                self.shared.read_whole(&mut item);
                self.taken.push_back(item);
            }
        }
    }

    /// Reads on from the spool, lane by lane in turns, in each lane's order.
    fn take_up_waiting(&mut self, records: usize, bytes: usize) {
        let shared = Arc::clone(&self.shared);
        let Some(spool) = &shared.spool else { return };
        let mut lanes = spool.lanes();
        let in_hand = self.taken.iter().chain(&self.long);
        let mut weight: usize = in_hand.map(|item| item.bytes).sum();
        while !lanes.is_empty() {
            lanes.retain(|lane| {
                let in_hand = self.taken.len() + self.long.len();
                if records <= in_hand || (bytes <= weight && in_hand > 0) {
                    return false;
                }
                let Some(unread) = lane.pop_unread() else {
                    return false;
                };
                weight += self.load(spool, unread);
                true
            });
        }
    }

    fn load(&mut self, spool: &Spool, unread: Unread) -> usize {
        match spool.load_waiting(unread.end) {
            Ok(loaded) => {
                let mut item = Item::new(loaded.finished, Vec::new(), loaded.pins, true);
                let age = spool.age_s().saturating_sub(unread.since_s);
                let now = item.since;
                item.since = now
                    .checked_sub(Duration::from_secs(age.into()))
                    .unwrap_or(now);
                self.shared.ledger.taken_up();
                let bytes = item.bytes;
                self.taken.push_back(Box::new(item));
                bytes
            }
            Err(error) => {
                tracing::error!(exchange.id = %unread.id, "a record was dropped: {error}");
                spool.count_corrupt(1);
                spool.count_unkept();
                self.shared
                    .ledger
                    .dropped(Place::Spooled, DropReason::SpoolCorrupt, 1);
                self.shared.unfinished.remove(unread.id);
                0
            }
        }
    }
}
