//! The spool: every record stands in an append-only file before the client sees the end of its answer, and stays
//! there until the database has it. Nothing here knows of SQL, HTTP or the writer.
//!
//! A worker appends to files of its own (`lane`), without a lock that others share. Files are kept by `segment`
//! pins; a side thread (`upkeep`) makes them durable and removes those that nobody needs; `recovery` reads what an
//! earlier process left.

pub mod disk;
pub mod format;
pub mod lane;
pub mod payload;
pub mod read;
pub mod recovery;
pub mod segment;

mod scan;
mod start;
#[cfg(test)]
mod tests;
mod upkeep;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::access_log::spool::disk::{Disk, RealDisk, SpoolFile};
use crate::access_log::spool::format::{Position, RecordKind, SegmentName};
use crate::access_log::spool::lane::{Lane, LaneState, WriteFailed};
use crate::access_log::spool::payload::RecordBuffer;
use crate::access_log::spool::recovery::OldLane;
use crate::access_log::spool::segment::{Segment, SegmentPin, Yard};
use crate::access_log::sync::locked;

const MIB: u64 = 1 << 20;

/// What happens to requests when the spool takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnSpoolFull {
    /// Serve; keep records in memory up to a bound; drop and count the rest.
    #[default]
    Degrade,
    /// Refuse new requests.
    Refuse,
}

/// How the spool is kept.
#[derive(Debug, Clone)]
pub struct SpoolOptions {
    /// The directory; made with mode 0700 when it is not there.
    pub dir: PathBuf,
    /// Most bytes of all segments together.
    pub max_bytes: u64,
    /// What then happens.
    pub on_full: OnSpoolFull,
    /// Time between two rounds of `fdatasync`, sensibly 50 to 500 ms.
    pub sync_every: Duration,
    /// How long to wait for another instance to let go of the directory.
    pub lock_wait: Duration,
}

impl SpoolOptions {
    /// The defaults for a directory: 8 GiB, `degrade`, a sync every 200 ms, no waiting for the lock.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            max_bytes: 8 << 30,
            on_full: OnSpoolFull::Degrade,
            sync_every: Duration::from_millis(200),
            lock_wait: Duration::ZERO,
        }
    }
}

/// Why a spool cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another instance holds the directory: exit code 4.
    #[error("another instance holds the spool directory {dir}")]
    Locked {
        /// The directory.
        dir: String,
    },
    /// The directory cannot be used.
    #[error("cannot use the spool at {path}")]
    Io {
        /// The file or directory.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Whether the spool takes records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Condition {
    Fine = 0,
    /// Too many bytes: exchanges that are under way may still be written, new ones not.
    Full = 1,
    /// The disk refuses.
    Failing = 2,
}

/// The spool of one process.
#[derive(Debug)]
pub struct Spool {
    options: SpoolOptions,
    boot: Uuid,
    opened_at: Instant,
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    bytes: AtomicU64,
    next_segment: AtomicU32,
    table: Mutex<HashMap<(Uuid, u32), Arc<Segment>>>,
    lanes: Mutex<Vec<Arc<Lane>>>,
    yard: Arc<Yard>,
    condition: AtomicU8,
    corrupt: AtomicU64,
    unkept: AtomicU64,
    unkept_written: AtomicU64,
    gap_file: Mutex<Option<Box<dyn SpoolFile>>>,
    dir_changed: AtomicBool,
    /// Held for as long as the spool lives.
    _lock: File,
}

impl Spool {
    /// Opens the directory, takes its lock and finds what earlier processes left.
    ///
    /// # Errors
    /// `Locked` when another instance holds it, `Io` when it cannot be made or read.
    pub fn open(options: SpoolOptions) -> Result<(Self, Vec<OldLane>), SpoolError> {
        Self::open_on(options, Arc::new(RealDisk))
    }

    /// As `open`, on the disk given.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_on(
        options: SpoolOptions,
        disk: Arc<dyn Disk>,
    ) -> Result<(Self, Vec<OldLane>), SpoolError> {
        start::prepare_dir(&options.dir)?;
        let lock = start::take_lock(&options.dir, options.lock_wait)?;
        let spool = Self {
            boot: Uuid::now_v7(),
            opened_at: Instant::now(),
            segment_bytes: segment_bytes(options.max_bytes),
            bytes: AtomicU64::new(0),
            next_segment: AtomicU32::new(0),
            table: Mutex::default(),
            lanes: Mutex::default(),
            yard: Arc::default(),
            condition: AtomicU8::new(Condition::Fine as u8),
            corrupt: AtomicU64::new(0),
            unkept: AtomicU64::new(0),
            unkept_written: AtomicU64::new(0),
            gap_file: Mutex::default(),
            dir_changed: AtomicBool::new(true),
            disk,
            options,
            _lock: lock,
        };
        spool.report_old_gaps()?;
        spool.forget_unfinished_copy();
        let old_lanes = spool.find_old_lanes()?;
        spool.make_reserve();
        Ok((spool, old_lanes))
    }

    /// A lane for one more worker.
    pub fn lane(&self) -> Arc<Lane> {
        let mut lanes = locked(&self.lanes);
        let lane = Lane::new(lanes.len() as u32);
        lanes.push(Arc::clone(&lane));
        lane
    }

    /// All lanes.
    pub fn lanes(&self) -> Vec<Arc<Lane>> {
        locked(&self.lanes).clone()
    }

    /// Appends a record. When this returns `Some`, the record survives the death of this process.
    /// `None`: it could not be kept, which is logged once and ends by itself when the disk has room again.
    pub fn append(
        &self,
        lane: &Lane,
        kind: RecordKind,
        id: Uuid,
        record: &mut RecordBuffer,
    ) -> Option<(SegmentPin, Position)> {
        let kept = self.try_append(lane, kind, id, record);
        record.reset();
        kept
    }

    fn try_append(
        &self,
        lane: &Lane,
        kind: RecordKind,
        id: Uuid,
        record: &mut RecordBuffer,
    ) -> Option<(SegmentPin, Position)> {
        let len = record.record_len();
        if !self.has_room(kind, len) {
            return None;
        }
        let mut state = lane.state();
        let segment = match self.segment_for(lane, &mut state, len) {
            Ok(segment) => segment,
            Err(error) => {
                self.worsen(Condition::Failing, &error.to_string());
                return None;
            }
        };
        match LaneState::write(&segment, kind, id, record) {
            Ok(kept) => {
                self.bytes.fetch_add(len, Ordering::Relaxed);
                state.last_write = Some(Instant::now());
                Some(kept)
            }
            Err(WriteFailed { error, sealed }) => {
                if sealed {
                    state.active = None;
                    segment.seal();
                }
                self.worsen(Condition::Failing, &error.to_string());
                None
            }
        }
    }

    fn has_room(&self, kind: RecordKind, len: u64) -> bool {
        let condition = self.condition.load(Ordering::Relaxed);
        let with_it = self.bytes() + len;
        match kind {
            RecordKind::Begin => {
                if condition == Condition::Fine as u8 && with_it > self.begin_limit() {
                    self.worsen(Condition::Full, "spool_max_bytes is reached");
                    return false;
                }
                condition == Condition::Fine as u8
            }
            RecordKind::Part | RecordKind::End | RecordKind::Gap => {
                condition < Condition::Failing as u8 && with_it <= self.options.max_bytes
            }
        }
    }

    /// The lane's active segment, or a new one when there is none or it is full.
    fn segment_for(
        &self,
        lane: &Lane,
        state: &mut LaneState,
        len: u64,
    ) -> io::Result<Arc<Segment>> {
        let has_room =
            |segment: &Segment| segment.is_empty() || segment.len() + len <= self.segment_bytes;
        if let Some(segment) = state.active.as_ref().filter(|active| has_room(active)) {
            return Ok(Arc::clone(segment));
        }
        let number = self.next_segment.fetch_add(1, Ordering::Relaxed);
        let name = SegmentName {
            boot: self.boot,
            worker: lane.worker,
            number,
        };
        let path = self.options.dir.join(name.file_name());
        let file = self.disk.create(&path)?;
        let segment = Segment::new(name, path, file, 0, Arc::clone(&self.yard));
        locked(&self.table).insert((self.boot, number), Arc::clone(&segment));
        self.dir_changed.store(true, Ordering::Relaxed);
        if let Some(full) = state.active.replace(Arc::clone(&segment)) {
            full.seal();
        }
        Ok(segment)
    }

    /// Seals every lane's file: those whose exchanges are all committed go at the next upkeep.
    pub fn seal_all(&self) {
        for lane in self.lanes() {
            if let Some(segment) = lane.state().active.take() {
                segment.seal();
            }
        }
    }

    /// Whether new requests are to be served.
    pub fn accepts(&self) -> bool {
        match self.options.on_full {
            OnSpoolFull::Degrade => true,
            OnSpoolFull::Refuse => !self.is_failing(),
        }
    }

    /// Whether new exchanges cannot be written at present.
    pub fn is_failing(&self) -> bool {
        self.condition.load(Ordering::Relaxed) != Condition::Fine as u8
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Damaged places found since the start: `aiproxy_log_spool_corrupt_total`.
    pub fn corrupt_total(&self) -> u64 {
        self.corrupt.load(Ordering::Relaxed)
    }

    /// Whole seconds since the spool was opened.
    pub fn age_s(&self) -> u32 {
        u32::try_from(self.opened_at.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    /// One more exchange could not be kept; a gap record will say so.
    pub fn count_unkept(&self) {
        self.unkept.fetch_add(1, Ordering::Relaxed);
    }

    /// This process, in the names of its segments.
    pub fn boot(&self) -> Uuid {
        self.boot
    }

    pub(super) fn segment(&self, boot: Uuid, number: u32) -> Option<Arc<Segment>> {
        locked(&self.table).get(&(boot, number)).cloned()
    }

    pub(super) fn count_corrupt(&self, places: u64) {
        self.corrupt.fetch_add(places, Ordering::Relaxed);
    }

    fn begin_limit(&self) -> u64 {
        let max_bytes = self.options.max_bytes;
        max_bytes - (max_bytes / 8).min(64 * MIB)
    }

    /// Notes a worse condition; the first to notice logs it.
    fn worsen(&self, condition: Condition, why: &str) {
        let before = self.condition.fetch_max(condition as u8, Ordering::SeqCst);
        if before == Condition::Fine as u8 {
            tracing::error!(
                spool.bytes = self.bytes(),
                "the spool takes no more records: {why}; they are kept in memory until that is full"
            );
        }
    }
}

fn segment_bytes(max_bytes: u64) -> u64 {
    if max_bytes < 1024 * MIB {
        (16 * MIB).min((max_bytes / 8).max(1))
    } else {
        64 * MIB
    }
}
