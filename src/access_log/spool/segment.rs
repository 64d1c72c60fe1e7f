//! One file of the spool, and the pins that keep it.
//!
//! A pin is taken for every exchange that has a record in the file, and given back only when that exchange is
//! stored or dropped and counted. A pin that is merely forgotten (a panic, an abrupt end) keeps the file for the
//! next start: losing a pin can waste space, never a record.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use crate::access_log::spool::disk::SpoolFile;
use crate::access_log::spool::format::SegmentName;
use crate::access_log::sync::locked;

/// One file of the spool.
#[derive(Debug)]
pub struct Segment {
    /// Its file's name.
    pub name: SegmentName,
    pub(super) path: PathBuf,
    file: Box<dyn SpoolFile>,
    /// The same bytes in a new file of that name, once the first one could not be synced.
    anew: OnceLock<Box<dyn SpoolFile>>,
    pub(super) salt: u32,
    /// Bytes of whole records; what may stand behind them is no record.
    pub(super) len: AtomicU64,
    pub(super) synced: AtomicU64,
    pub(super) sync_failed: AtomicBool,
    /// Damage was found: kept in quarantine when everything readable in it is committed.
    pub(super) damaged: AtomicBool,
    pins: AtomicU64,
    sealed: AtomicBool,
    leaving: AtomicBool,
    yard: Arc<Yard>,
}

/// Segments that nobody needs any more, until the side thread removes their files.
#[derive(Debug, Default)]
pub(super) struct Yard {
    leaving: Mutex<Vec<Arc<Segment>>>,
}

/// Keeps a segment's file.
#[derive(Debug)]
#[must_use = "a pin that is not released keeps its file until the next start"]
pub struct SegmentPin {
    segment: Arc<Segment>,
}

impl Segment {
    pub(super) fn new(
        name: SegmentName,
        path: PathBuf,
        file: Box<dyn SpoolFile>,
        len: u64,
        yard: Arc<Yard>,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            path,
            file,
            anew: OnceLock::new(),
            salt: name.salt(),
            len: AtomicU64::new(len),
            synced: AtomicU64::new(0),
            sync_failed: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
            pins: AtomicU64::new(0),
            sealed: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            yard,
        })
    }

    /// Where its bytes stand.
    pub(super) fn file(&self) -> &dyn SpoolFile {
        self.anew.get().unwrap_or(&self.file).as_ref()
    }

    /// Its bytes were written to a new file, which has its name: they are read there from now on. Done at most once.
    pub(super) fn written_anew(&self, file: Box<dyn SpoolFile>) {
        self.anew.get_or_init(|| file);
    }

    /// Bytes of whole records.
    pub fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// Whether it holds no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Exchanges that need it.
    pub(super) fn pins(&self) -> u64 {
        self.pins.load(Ordering::SeqCst)
    }

    /// Takes a pin. Only while the segment cannot be leaving: under its lane's lock, or while another pin is held.
    pub(super) fn pin(self: &Arc<Self>) -> SegmentPin {
        self.pins.fetch_add(1, Ordering::SeqCst);
        SegmentPin {
            segment: Arc::clone(self),
        }
    }

    /// Takes up again a pin that was left with `SegmentPin::leave`.
    pub(super) fn adopt(self: &Arc<Self>) -> SegmentPin {
        SegmentPin {
            segment: Arc::clone(self),
        }
    }

    /// No record is appended any more.
    pub(super) fn seal(self: &Arc<Self>) {
        self.sealed.store(true, Ordering::SeqCst);
        self.leave_if_unneeded();
    }

    fn leave_if_unneeded(self: &Arc<Self>) {
        if self.sealed.load(Ordering::SeqCst)
            && self.pins() == 0
            && !self.leaving.swap(true, Ordering::SeqCst)
        {
            locked(&self.yard.leaving).push(Arc::clone(self));
        }
    }
}

impl Yard {
    pub(super) fn take(&self) -> Vec<Arc<Segment>> {
        std::mem::take(&mut *locked(&self.leaving))
    }
}

impl SegmentPin {
    /// The exchange is stored, or dropped and counted.
    pub fn release(self) {
        self.segment.pins.fetch_sub(1, Ordering::SeqCst);
        self.segment.leave_if_unneeded();
    }

    /// The pin stays, its owner goes: the exchange is known by its place in the spool from here on.
    pub fn leave(self) {}

    /// Something in the file cannot be read.
    pub(super) fn mark_damaged(&self) {
        self.segment.damaged.store(true, Ordering::Relaxed);
    }

    /// The number in the file's name.
    pub fn number(&self) -> u32 {
        self.segment.name.number
    }

    pub(super) fn is_of(&self, segment: &Arc<Segment>) -> bool {
        Arc::ptr_eq(&self.segment, segment)
    }
}
