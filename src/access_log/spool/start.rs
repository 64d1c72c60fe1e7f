//! The directory before the first record: its mode, its lock, and what stands in it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::access_log::spool::format::SegmentName;
use crate::access_log::spool::payload::GapPayload;
use crate::access_log::spool::recovery::OldLane;
use crate::access_log::spool::segment::Segment;
use crate::access_log::spool::{Spool, SpoolError, read, upkeep};
use crate::access_log::sync::locked;

const LOCK: &str = "lock";

pub(super) fn io_error(path: &Path, source: io::Error) -> SpoolError {
    SpoolError::Io {
        path: path.display().to_string(),
        source,
    }
}

/// Makes the directory. One that is there is closed to others if it is ours alone.
pub(super) fn prepare_dir(dir: &Path) -> Result<(), SpoolError> {
    let failed = |error| io_error(dir, error);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(failed)?;
    let mode = fs::metadata(dir).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        let unused = fs::read_dir(dir).map_err(failed)?.next().is_none();
        if unused || dir.join(LOCK).exists() {
            fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(failed)?;
        } else {
            tracing::warn!("the spool directory can be entered by others and holds other files");
        }
    }
    Ok(())
}

/// Takes the directory's lock, waiting for another instance as long as told.
pub(super) fn take_lock(dir: &Path, wait: Duration) -> Result<File, SpoolError> {
    let path = dir.join(LOCK);
    let mut options = OpenOptions::new();
    let file = options
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path);
    let file = file.map_err(|error| io_error(&path, error))?;
    let asked_at = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(io_error(&path, error)),
            Err(TryLockError::WouldBlock) if asked_at.elapsed() < wait => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(SpoolError::Locked {
                    dir: dir.display().to_string(),
                });
            }
        }
    }
}

impl Spool {
    /// Takes the segments of earlier processes into the books, each with a pin until it has been read.
    pub(super) fn find_old_lanes(&self) -> Result<Vec<OldLane>, SpoolError> {
        let mut names = Vec::new();
        for name in self.file_names()? {
            names.extend(SegmentName::parse(&name));
        }
        names.sort_unstable();
        let mut lanes: BTreeMap<(Uuid, u32), OldLane> = BTreeMap::new();
        for name in names {
            let path = self.options.dir.join(name.file_name());
            let opened = self
                .disk
                .open(&path)
                .and_then(|file| Ok((file.file_len()?, file)));
            let (len, file) = opened.map_err(|error| io_error(&path, error))?;
            let segment = Segment::new(name, path, file, len, Arc::clone(&self.yard));
            locked(&self.table).insert((name.boot, name.number), Arc::clone(&segment));
            self.bytes.fetch_add(len, Ordering::Relaxed);
            lanes
                .entry((name.boot, name.worker))
                .or_default()
                .add(segment);
        }
        Ok(lanes.into_values().collect())
    }

    /// Says once what an earlier process could not keep, and forgets it.
    pub(super) fn report_old_gaps(&self) -> Result<(), SpoolError> {
        for name in self.file_names()? {
            let Some(boot) = name
                .strip_suffix(".gap")
                .and_then(|boot| Uuid::try_parse(boot).ok())
            else {
                continue;
            };
            let path = self.options.dir.join(&name);
            let gap = self.disk.open(&path).ok().and_then(|file| {
                let len = file.file_len().ok()?;
                let salt = upkeep::gap_salt(boot);
                read::read_payload(file.as_ref(), salt, 0, len).ok()
            });
            match gap.and_then(|(_, payload)| GapPayload::decode(payload).ok()) {
                Some(gap) => tracing::warn!(
                    log.dropped = gap.dropped,
                    "an earlier run dropped {} records because the spool was full",
                    gap.dropped
                ),
                None => tracing::warn!("an earlier run dropped records; how many is not readable"),
            }
            fs::remove_file(&path).map_err(|error| io_error(&path, error))?;
        }
        Ok(())
    }

    fn file_names(&self) -> Result<Vec<String>, SpoolError> {
        let failed = |error| io_error(&self.options.dir, error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.options.dir).map_err(failed)? {
            names.extend(entry.map_err(failed)?.file_name().into_string().ok());
        }
        Ok(names)
    }
}
