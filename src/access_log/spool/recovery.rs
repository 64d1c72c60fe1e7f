//! Reads what an earlier process left, lane by lane: first where everything stands, then one exchange at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use uuid::Uuid;

use crate::access_log::spool::Spool;
use crate::access_log::spool::format::{Position, RecordKind};
use crate::access_log::spool::read::{LoadError, Loaded};
use crate::access_log::spool::scan::{Damage, scan};
use crate::access_log::spool::segment::{Segment, SegmentPin};

/// The files of one worker of an earlier process, in order, kept until they have been read.
#[derive(Debug, Default)]
pub struct OldLane {
    segments: Vec<Arc<Segment>>,
    pins: Vec<SegmentPin>,
}

/// Takes exchanges of an earlier process.
pub trait RecoveryTarget {
    /// So many more will come.
    fn expect(&mut self, count: u64);
    /// One exchange. Returns `false` to end the recovery; what is left stays for the next start.
    fn take(&mut self, loaded: Loaded) -> bool;
    /// One of those expected does not come.
    fn miss(&mut self);
    /// Whether the process ends, so that no further file need be read.
    fn is_over(&self) -> bool;
}

/// An exchange as found by the first pass.
enum Found {
    Ended(Position),
    Unended {
        begin: Position,
        parts: Vec<Position>,
    },
}

impl OldLane {
    /// The next file of this lane; read later, never written.
    pub(super) fn add(&mut self, segment: Arc<Segment>) {
        self.pins.push(segment.pin());
        segment.seal();
        self.segments.push(segment);
    }
}

impl Found {
    fn position(&self) -> Position {
        match self {
            Self::Ended(end) => *end,
            Self::Unended { begin, .. } => *begin,
        }
    }
}

impl Spool {
    /// Reads all old lanes into `target`. Blocks for as long as the target does. Returns whether all was read.
    pub fn recover(&self, lanes: Vec<OldLane>, target: &mut impl RecoveryTarget) -> bool {
        lanes
            .into_iter()
            .all(|lane| self.recover_lane(lane, target))
    }

    fn recover_lane(&self, lane: OldLane, target: &mut impl RecoveryTarget) -> bool {
        let Some(found) = self.index(&lane, || target.is_over()) else {
            return false;
        };
        target.expect(found.len() as u64);
        let Some(boot) = lane.segments.first().map(|segment| segment.name.boot) else {
            return true;
        };
        let mut gone = 0_u64;
        for found in found {
            match self.load_found(boot, &found) {
                Ok(loaded) => {
                    if !target.take(loaded) {
                        return false;
                    }
                    continue;
                }
                // The begin record's file went when all that stood in it was committed, this exchange included.
                Err(LoadError::Gone) => gone += 1,
                Err(LoadError::Damaged) => self.count_corrupt(1),
                Err(LoadError::Io(error)) => {
                    self.count_corrupt(1);
                    tracing::error!("a record of the spool could not be read: {error}");
                }
            }
            target.miss();
        }
        if gone > 0 {
            tracing::info!(
                log.records = gone,
                "{gone} records of an earlier run were committed already"
            );
        }
        lane.pins.into_iter().for_each(SegmentPin::release);
        true
    }

    fn load_found(&self, boot: Uuid, found: &Found) -> Result<Loaded, LoadError> {
        match found {
            Found::Ended(end) => self.load_ended(boot, *end, Segment::pin),
            Found::Unended { begin, parts } => self.load_unended(boot, *begin, parts, Segment::pin),
        }
    }

    /// Where each exchange of a lane stands, in order; `None` when it was told to stop. Marks damaged files.
    fn index(&self, lane: &OldLane, is_over: impl Fn() -> bool) -> Option<Vec<Found>> {
        let mut ended: HashMap<Uuid, Position> = HashMap::new();
        let mut unended: HashMap<Uuid, (Position, Vec<Position>)> = HashMap::new();
        for (index, segment) in lane.segments.iter().enumerate() {
            if is_over() {
                return None;
            }
            let damage = scan(segment, |head, offset| {
                let Ok(offset) = u32::try_from(offset) else {
                    return;
                };
                let at = Position {
                    segment: segment.name.number,
                    offset,
                };
                match head.kind {
                    RecordKind::Begin => {
                        unended.insert(head.id, (at, Vec::new()));
                    }
                    RecordKind::Part => {
                        if let Some((_, parts)) = unended.get_mut(&head.id) {
                            parts.push(at);
                        }
                    }
                    RecordKind::End => {
                        unended.remove(&head.id);
                        ended.insert(head.id, at);
                    }
                    RecordKind::Gap => {}
                }
            });
            self.note_damage(segment, damage, index + 1 == lane.segments.len());
        }
        let ended = ended.into_values().map(Found::Ended);
        let unended = unended.into_values();
        let unended = unended.map(|(begin, parts)| Found::Unended { begin, parts });
        let mut found: Vec<Found> = ended.chain(unended).collect();
        found.sort_unstable_by_key(Found::position);
        Some(found)
    }

    /// A record cut off at the end of a lane is what a crash looks like; anything else is damage.
    fn note_damage(&self, segment: &Arc<Segment>, damage: Damage, last: bool) {
        let places = damage.places + u64::from(damage.torn && !last);
        if places > 0 {
            segment.damaged.store(true, Ordering::Relaxed);
            self.count_corrupt(places);
            tracing::error!(
                spool.damaged_places = places,
                "a spool file of an earlier run is damaged; what is readable is recovered, the file goes to quarantine"
            );
        }
    }
}
