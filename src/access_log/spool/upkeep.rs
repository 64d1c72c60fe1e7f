//! What the side thread does for the spool: syncs, removes files, tries again after trouble, writes gap records.
//! None of it is on a request's path.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use uuid::Uuid;

use crate::access_log::draft::Finished;
use crate::access_log::spool::disk::{SpoolFile, read_full_at, write_all_at};
use crate::access_log::spool::format::{self, HEAD_BYTES, Head, Position, RecordKind, SegmentName};
use crate::access_log::spool::lane::LaneState;
use crate::access_log::spool::payload::{GapPayload, RecordBuffer};
use crate::access_log::spool::segment::{Segment, Yard};
use crate::access_log::spool::{Condition, MIB, Spool};
use crate::access_log::sync::locked;

/// A file whose exchanges are all committed is removed after this much silence, not only when it is full.
const IDLE: Duration = Duration::from_secs(5);
/// Written to see whether the disk takes records again.
const PROBE_BYTES: usize = 64 * 1024;
const QUARANTINE: &str = "quarantine";
const RESERVE: &str = "reserve";
const PROBE: &str = "probe";
/// A segment on its way to a new file.
const COPY: &str = "copy";
/// Copied in one go.
const COPY_BYTES: usize = 256 * 1024;

pub(super) fn gap_salt(boot: Uuid) -> u32 {
    format::salt(boot, u32::MAX, u32::MAX)
}

impl Spool {
    /// One round of upkeep.
    pub fn upkeep(&self) {
        self.sync();
        self.roll_idle(IDLE);
        self.remove_unneeded();
        self.recover_condition();
        self.write_gap();
    }

    /// The time between two rounds.
    pub fn sync_every(&self) -> Duration {
        self.options.sync_every
    }

    /// `fdatasync` on every file that was written since. One that failed is never tried again: what stands in that file is
    /// written anew, and its lane takes a new one.
    pub fn sync(&self) {
        let segments: Vec<Arc<Segment>> = locked(&self.table).values().cloned().collect();
        for segment in segments
            .iter()
            .filter(|segment| segment.name.boot == self.boot)
        {
            let len = segment.len();
            if segment.synced.load(Ordering::Relaxed) >= len
                || segment.sync_failed.load(Ordering::Relaxed)
            {
                continue;
            }
            match segment.file().sync_data() {
                Ok(()) => segment.synced.store(len, Ordering::Relaxed),
                Err(error) => {
                    segment.sync_failed.store(true, Ordering::Relaxed);
                    tracing::error!(
                        "a spool file could not be synced, it is written anew: {error}"
                    );
                    self.write_anew(segment);
                }
            }
        }
        if self.dir_changed.swap(false, Ordering::Relaxed) {
            let synced = File::open(&self.options.dir).and_then(|dir| dir.sync_all());
            if let Err(error) = synced {
                tracing::error!("the spool directory could not be synced: {error}");
            }
        }
    }

    /// Writes the records of a file that could not be synced to a new one, which takes its name: the system may have dropped
    /// what it could not write, still shows it, and would say nothing at a second sync. Tried once.
    fn write_anew(&self, segment: &Arc<Segment>) {
        self.close_to_records(segment);
        if segment.pins() == 0 {
            return;
        }
        let path = self.options.dir.join(COPY);
        match self.copy_to(segment, &path) {
            Ok(copy) => {
                segment.written_anew(copy);
                segment.synced.store(segment.len(), Ordering::Relaxed);
                self.dir_changed.store(true, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::error!(
                    "a spool file could not be written anew: {error}; its records survive the process, but not a power cut"
                );
                remove_if_there(&path);
            }
        }
    }

    /// Under its lane's lock, so that its length is final.
    fn close_to_records(&self, segment: &Arc<Segment>) {
        for lane in self.lanes() {
            let mut state = lane.state();
            let active = state.active.take_if(|active| Arc::ptr_eq(active, segment));
            active.iter().for_each(Segment::seal);
        }
    }

    fn copy_to(&self, segment: &Segment, path: &Path) -> io::Result<Box<dyn SpoolFile>> {
        let copy = self.disk.create(path)?;
        let len = segment.len();
        let mut block = vec![0; COPY_BYTES];
        let mut at = 0;
        while at < len {
            let wanted = usize::try_from(len - at)
                .unwrap_or(usize::MAX)
                .min(block.len());
            block.truncate(wanted);
            if read_full_at(segment.file(), &mut block, at)? < wanted {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            write_all_at(copy.as_ref(), &block, at)?;
            at += wanted as u64;
        }
        copy.sync_data()?;
        fs::rename(path, &segment.path)?;
        Ok(copy)
    }

    /// Removes what an earlier process had not copied to its end.
    pub(super) fn forget_unfinished_copy(&self) {
        remove_if_there(&self.options.dir.join(COPY));
    }

    /// Seals files that nobody needs and nobody has written for a while.
    pub fn roll_idle(&self, idle: Duration) {
        for lane in self.lanes() {
            let mut state = lane.state();
            let unneeded = state
                .active
                .as_ref()
                .is_some_and(|active| active.pins() == 0);
            if unneeded && state.last_write.is_some_and(|at| at.elapsed() >= idle) {
                state.active.take().iter().for_each(Segment::seal);
            }
        }
    }

    /// Removes the files of segments that nobody needs; damaged ones go to quarantine.
    pub fn remove_unneeded(&self) {
        for segment in self.yard.take() {
            locked(&self.table).remove(&(segment.name.boot, segment.name.number));
            self.bytes.fetch_sub(segment.len(), Ordering::Relaxed);
            let gone = if segment.damaged.load(Ordering::Relaxed) {
                self.move_to_quarantine(&segment)
            } else {
                fs::remove_file(&segment.path)
            };
            if let Err(error) = gone {
                tracing::error!("a spool file could not be removed: {error}");
            }
        }
    }

    /// Keeps an exchange that cannot be made into a record, as a segment that can be read like any other.
    ///
    /// # Errors
    /// What the disk said.
    pub fn quarantine(&self, finished: &Finished) -> io::Result<()> {
        let id = finished.opened.request_id;
        let name = SegmentName {
            boot: id,
            worker: 0,
            number: 0,
        };
        let path = self.quarantine_dir()?.join(name.file_name());
        if path.exists() {
            return Ok(());
        }
        let segment = Segment::new(
            name,
            path.clone(),
            self.disk.create(&path)?,
            0,
            Arc::<Yard>::default(),
        );
        let mut record = RecordBuffer::default();
        let mut bodies = finished.bodies.clone(); // reference-counted pieces
        let request = bodies.request.as_ref();
        let begin_bytes = record.begin(&finished.opened, request)?;
        let write = |kind, record: &mut RecordBuffer| {
            let (pin, at) =
                LaneState::write(&segment, kind, id, record).map_err(|failed| failed.error)?;
            pin.leave();
            io::Result::<Position>::Ok(at)
        };
        let begin = write(RecordKind::Begin, &mut record)?;
        if let Some(closed) = &finished.closed {
            for body in [
                &mut bodies.request,
                &mut bodies.upstream_request,
                &mut bodies.response,
                &mut bodies.upstream_response,
            ] {
                body.iter_mut().for_each(|body| body.spilled_bytes = 0);
            }
            record.end(closed, &bodies, begin, begin_bytes, &[])?;
            write(RecordKind::End, &mut record)?;
        }
        Ok(())
    }

    fn move_to_quarantine(&self, segment: &Segment) -> io::Result<()> {
        fs::rename(
            &segment.path,
            self.quarantine_dir()?.join(segment.name.file_name()),
        )
    }

    fn quarantine_dir(&self) -> io::Result<std::path::PathBuf> {
        let dir = self.options.dir.join(QUARANTINE);
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(&dir)?;
        Ok(dir)
    }

    // === trouble and its end ===

    /// Ends trouble when there is room again and the disk proves it.
    fn recover_condition(&self) {
        let before = self.condition.load(Ordering::SeqCst);
        if before == Condition::Fine as u8 || self.bytes() > self.resume_limit() {
            return;
        }
        if before == Condition::Failing as u8 && self.probe().is_err() {
            return;
        }
        self.condition
            .store(Condition::Fine as u8, Ordering::SeqCst);
        self.make_reserve();
        tracing::info!(spool.bytes = self.bytes(), "the spool takes records again");
    }

    fn resume_limit(&self) -> u64 {
        self.begin_limit() - self.begin_limit() / 16
    }

    fn probe(&self) -> io::Result<()> {
        let path = self.options.dir.join(PROBE);
        let written = self
            .disk
            .create(&path)
            .and_then(|file| write_all_at(file.as_ref(), &[0; PROBE_BYTES], 0));
        let removed = fs::remove_file(&path);
        written.and(removed)
    }

    /// Space that is given back when the disk is full, so that the gap record fits.
    pub(super) fn make_reserve(&self) {
        let path = self.options.dir.join(RESERVE);
        if path.exists() {
            return;
        }
        let bytes = (16 * MIB).min(self.options.max_bytes / 8);
        let block = vec![0; MIB as usize];
        let written = self.disk.create(&path).and_then(|file| {
            let mut at = 0;
            while at < bytes {
                let len = usize::try_from(bytes - at)
                    .unwrap_or(usize::MAX)
                    .min(block.len());
                write_all_at(file.as_ref(), block.get(..len).unwrap_or_default(), at)?;
                at += len as u64;
            }
            Ok(())
        });
        if let Err(error) = written {
            tracing::warn!("no reserve for a full disk could be made: {error}");
            remove_if_there(&path);
        }
    }

    /// Writes down how many exchanges could not be kept, if that has changed.
    fn write_gap(&self) {
        let dropped = self.unkept.load(Ordering::Relaxed);
        if dropped <= self.unkept_written.load(Ordering::Relaxed) {
            return;
        }
        remove_if_there(&self.options.dir.join(RESERVE));
        match self.put_gap(GapPayload { dropped }) {
            Ok(()) => self.unkept_written.store(dropped, Ordering::Relaxed),
            Err(error) => tracing::debug!("the gap record could not be written yet: {error}"),
        }
    }

    fn put_gap(&self, gap: GapPayload) -> io::Result<()> {
        let mut gap_file = locked(&self.gap_file);
        if gap_file.is_none() {
            let name = format!("{}.gap", self.boot.simple());
            *gap_file = Some(self.disk.create(&self.options.dir.join(name))?);
        }
        let Some(file) = gap_file.as_deref() else {
            return Ok(());
        };
        let mut record = RecordBuffer::default();
        record.gap(&gap)?;
        let salt = gap_salt(self.boot);
        let head = Head {
            kind: RecordKind::Gap,
            id: self.boot,
            payload_len: (record.record_len() - HEAD_BYTES as u64) as u32,
            payload_crc: record.payload_crc(salt),
        };
        let head = head.to_bytes(salt, 0);
        let payload = record.bytes.get(HEAD_BYTES..).unwrap_or_default();
        write_all_at(file, &[head.as_slice(), payload].concat(), 0)
    }
}

fn remove_if_there(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::error!("a spool file could not be removed: {error}"),
    }
}
