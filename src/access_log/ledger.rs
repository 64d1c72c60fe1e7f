//! The books of the access log: where every accepted exchange is, at every moment.
//!
//! `accepted = open + queued + spooled + stored + dropped(reason)`. One small mutex around plain integers; a
//! transition is one method, so no reader ever sees an exchange twice or not at all.

use std::sync::Mutex;

use crate::access_log::sync::locked;

/// Why a record did not reach the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The queue was full and there is no spool (`durability: memory`).
    QueueFull,
    /// The spool could not be written and the memory kept for that case was full too.
    SpoolFull,
    /// What stood in the spool could not be read back.
    SpoolCorrupt,
    /// The record itself is at fault: it stands in quarantine.
    Quarantined,
    /// The process ended before the database took it, and there is no spool.
    Shutdown,
}

impl DropReason {
    /// Every reason, in the order of the enum.
    pub const ALL: [Self; 5] = [
        Self::QueueFull,
        Self::SpoolFull,
        Self::SpoolCorrupt,
        Self::Quarantined,
        Self::Shutdown,
    ];

    /// The label `reason` of `aiproxy_log_dropped_total`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::SpoolFull => "spool_full",
            Self::SpoolCorrupt => "spool_corrupt",
            Self::Quarantined => "quarantined",
            Self::Shutdown => "shutdown",
        }
    }

    fn index(self) -> usize {
        match self {
            Self::QueueFull => 0,
            Self::SpoolFull => 1,
            Self::SpoolCorrupt => 2,
            Self::Quarantined => 3,
            Self::Shutdown => 4,
        }
    }
}

/// Where a finished or open exchange can be before it is stored or dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In flight.
    Open,
    /// Finished and in memory: in the queue or in the writer's hands.
    Queued,
    /// Finished and in the spool only.
    Spooled,
}

/// All counts at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LedgerSnapshot {
    /// Exchanges taken on by this process, recovered ones included once they are resolved.
    pub accepted: u64,
    /// In flight.
    pub open: u64,
    /// Finished, in memory.
    pub queued: u64,
    /// Finished, in the spool only.
    pub spooled: u64,
    /// In the database.
    pub stored: u64,
    dropped: [u64; 5],
}

impl LedgerSnapshot {
    /// Records dropped for one reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason.index()).copied().unwrap_or(0)
    }

    /// Records dropped for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Whether every accepted exchange is in exactly one place.
    pub fn is_conserved(&self) -> bool {
        self.accepted == self.open + self.queued + self.spooled + self.stored + self.dropped_total()
    }

    fn place(&mut self, place: Place) -> &mut u64 {
        match place {
            Place::Open => &mut self.open,
            Place::Queued => &mut self.queued,
            Place::Spooled => &mut self.spooled,
        }
    }

    fn add_dropped(&mut self, reason: DropReason, count: u64) {
        if let Some(dropped) = self.dropped.get_mut(reason.index()) {
            *dropped += count;
        }
    }
}

/// The books.
#[derive(Debug, Default)]
pub struct Ledger {
    counts: Mutex<LedgerSnapshot>,
}

impl Ledger {
    /// A request was accepted.
    pub fn opened(&self) {
        let mut counts = locked(&self.counts);
        counts.accepted += 1;
        counts.open += 1;
    }

    /// An open exchange is over and in the queue.
    pub fn queued(&self) {
        self.moved(Place::Open, Place::Queued, 1);
    }

    /// An open exchange is over; it waits in the spool alone.
    pub fn spooled(&self) {
        self.moved(Place::Open, Place::Spooled, 1);
    }

    /// The writer read a waiting exchange back from the spool.
    pub fn taken_up(&self) {
        self.moved(Place::Spooled, Place::Queued, 1);
    }

    /// The process ends: these stay in the spool for the next start.
    pub fn left_in_spool(&self, count: u64) {
        self.moved(Place::Queued, Place::Spooled, count);
    }

    /// The database has them.
    pub fn stored(&self, count: u64) {
        let mut counts = locked(&self.counts);
        leave(&mut counts, Place::Queued, count);
        counts.stored += count;
    }

    /// An exchange is lost to the database, and says why.
    pub fn dropped(&self, from: Place, reason: DropReason, count: u64) {
        let mut counts = locked(&self.counts);
        leave(&mut counts, from, count);
        counts.add_dropped(reason, count);
    }

    /// Records of an earlier process were resolved: accepted and stored, or accepted and quarantined, in one step.
    pub fn recovered(&self, stored: u64, quarantined: u64) {
        let mut counts = locked(&self.counts);
        counts.accepted += stored + quarantined;
        counts.stored += stored;
        counts.add_dropped(DropReason::Quarantined, quarantined);
    }

    /// All counts at one moment.
    pub fn snapshot(&self) -> LedgerSnapshot {
        *locked(&self.counts)
    }

    fn moved(&self, from: Place, to: Place, count: u64) {
        let mut counts = locked(&self.counts);
        leave(&mut counts, from, count);
        *counts.place(to) += count;
    }
}

fn leave(counts: &mut LedgerSnapshot, place: Place, count: u64) {
    let left = counts.place(place);
    debug_assert!(*left >= count, "{count} left {place:?}, where {left} were");
    *left = left.saturating_sub(count);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ledger: &Ledger, expected: [u64; 6]) {
        let now = ledger.snapshot();
        let found = [
            now.accepted,
            now.open,
            now.queued,
            now.spooled,
            now.stored,
            now.dropped_total(),
        ];
        assert_eq!(found, expected);
        assert!(now.is_conserved());
    }

    #[test]
    fn every_transition_conserves() {
        let ledger = Ledger::default();
        (0..4).for_each(|_| ledger.opened());
        check(&ledger, [4, 4, 0, 0, 0, 0]);
        ledger.queued();
        ledger.spooled();
        check(&ledger, [4, 2, 1, 1, 0, 0]);
        ledger.taken_up();
        ledger.stored(2);
        check(&ledger, [4, 2, 0, 0, 2, 0]);
        ledger.dropped(Place::Open, DropReason::SpoolFull, 1);
        ledger.recovered(3, 1);
        check(&ledger, [8, 1, 0, 0, 5, 2]);
        assert_eq!(ledger.snapshot().dropped(DropReason::Quarantined), 1);
    }

    #[test]
    fn reasons_are_distinct() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index, "{}", reason.as_str());
        }
    }
}
