//! A worker's own file of the spool, and the list of its exchanges that only stand there.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use uuid::Uuid;

use crate::access_log::spool::disk::write_all_at;
use crate::access_log::spool::format::{HEAD_BYTES, Head, Position, RecordKind};
use crate::access_log::spool::payload::RecordBuffer;
use crate::access_log::spool::segment::{Segment, SegmentPin};
use crate::access_log::sync::locked;

/// One worker's part of the spool. Its lock is the worker's own but for short looks by the writer.
#[derive(Debug)]
pub struct Lane {
    pub(super) worker: u32,
    state: Mutex<LaneState>,
}

/// What a lane's lock guards.
#[derive(Debug, Default)]
pub(super) struct LaneState {
    pub(super) active: Option<Arc<Segment>>,
    pub(super) last_write: Option<Instant>,
    unread: VecDeque<Unread>,
}

/// A finished exchange that is in the spool alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread {
    /// The exchange.
    pub id: Uuid,
    /// Its end record.
    pub end: Position,
    /// Seconds from the spool's opening to its end.
    pub since_s: u32,
}

impl Lane {
    pub(super) fn new(worker: u32) -> Arc<Self> {
        Arc::new(Self {
            worker,
            state: Mutex::default(),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, LaneState> {
        locked(&self.state)
    }

    /// Whether finished exchanges wait here, so that later ones must wait behind them.
    pub fn is_lagging(&self) -> bool {
        !self.state().unread.is_empty()
    }

    /// Lets an exchange wait here. Returns whether it is the first, so that the writer must be told.
    /// `counted` runs before the writer can see it.
    pub fn push_unread(&self, unread: Unread, counted: impl FnOnce()) -> bool {
        let mut state = self.state();
        counted();
        state.unread.push_back(unread);
        state.unread.len() == 1
    }

    /// The exchange that waits longest.
    pub fn pop_unread(&self) -> Option<Unread> {
        let mut state = self.state();
        let unread = state.unread.pop_front();
        if state.unread.is_empty() {
            state.unread.shrink_to(1024);
        }
        unread
    }

    /// Since when the oldest one waits.
    pub fn oldest_unread_s(&self) -> Option<u32> {
        self.state().unread.front().map(|unread| unread.since_s)
    }
}

impl LaneState {
    /// Appends the record to the active segment; on failure the segment is as before.
    ///
    /// # Errors
    /// Whatever the disk said; `sealed` tells that the segment could not be mended and takes no more.
    pub(super) fn write(
        segment: &Arc<Segment>,
        kind: RecordKind,
        id: Uuid,
        record: &mut RecordBuffer,
    ) -> Result<(SegmentPin, Position), WriteFailed> {
        let offset = segment.len();
        let len = record.record_len();
        let too_long = |_| WriteFailed {
            error: io::ErrorKind::FileTooLarge.into(),
            sealed: false,
        };
        let payload_len = u32::try_from(len - HEAD_BYTES as u64).map_err(too_long)?;
        let position = Position {
            segment: segment.name.number,
            offset: u32::try_from(offset).map_err(too_long)?,
        };
        let payload_crc = record.payload_crc(segment.salt);
        let head = Head {
            kind,
            id,
            payload_len,
            payload_crc,
        }
        .to_bytes(segment.salt, offset);
        if let Some(room) = record.bytes.get_mut(..HEAD_BYTES) {
            room.copy_from_slice(&head);
        }
        if let Err(error) = write_pieces(segment, record, offset) {
            let sealed = segment.file().set_len(offset).is_err();
            return Err(WriteFailed { error, sealed });
        }
        segment.len.store(offset + len, Ordering::Release);
        Ok((segment.pin(), position))
    }
}

/// A record could not be appended.
#[derive(Debug)]
pub(super) struct WriteFailed {
    pub(super) error: io::Error,
    pub(super) sealed: bool,
}

fn write_pieces(segment: &Segment, record: &RecordBuffer, mut offset: u64) -> io::Result<()> {
    write_all_at(segment.file(), &record.bytes, offset)?;
    offset += record.bytes.len() as u64;
    for piece in &record.tail {
        write_all_at(segment.file(), piece, offset)?;
        offset += piece.len() as u64;
    }
    Ok(())
}
