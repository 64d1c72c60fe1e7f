//! Goes through a file once, record by record, and finds its way again behind damage.

use std::io;

use crate::access_log::spool::disk::{SpoolFile, read_full_at};
use crate::access_log::spool::format::{HEAD_BYTES, Head, MAGIC};
use crate::access_log::spool::segment::Segment;

const WINDOW_BYTES: usize = 256 * 1024;

/// What a file was found to hold besides records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Damage {
    /// Places that hold no readable record, the end of the file aside.
    pub(super) places: u64,
    /// Whether the last record was cut off, as by the death of its writer.
    pub(super) torn: bool,
}

/// Calls `on_record` with the head and offset of each whole record, in order. Linear in the file's length.
pub(super) fn scan(segment: &Segment, mut on_record: impl FnMut(&Head, u64)) -> Damage {
    let mut window = Window {
        file: segment.file(),
        start: 0,
        bytes: Vec::new(),
        at_end: false,
    };
    let mut damage = Damage::default();
    if let Err(error) = walk(&mut window, segment, &mut damage, &mut on_record) {
        tracing::error!("a spool file could not be read to its end: {error}");
        damage.places += 1;
    }
    damage
}

fn walk(
    window: &mut Window<'_>,
    segment: &Segment,
    damage: &mut Damage,
    on_record: &mut impl FnMut(&Head, u64),
) -> io::Result<()> {
    let len = segment.len();
    let mut offset = 0;
    while offset < len {
        let Some(head) = Head::from_bytes(window.at(offset, HEAD_BYTES)?, segment.salt, offset)
        else {
            let next = window.next_magic(offset + 1, len)?;
            if next == len && window.is_torn(offset, len)? {
                damage.torn = true;
            } else {
                damage.places += 1;
            }
            offset = next;
            // Bytes that only look like a beginning belong to the same damage.
            while offset < len
                && Head::from_bytes(window.at(offset, HEAD_BYTES)?, segment.salt, offset).is_none()
            {
                offset = window.next_magic(offset + 1, len)?;
            }
            continue;
        };
        let end = offset + head.record_len();
        if end > len {
            damage.torn = true;
            return Ok(());
        }
        if window.crc(segment.salt, offset + HEAD_BYTES as u64, end)? == head.payload_crc {
            on_record(&head, offset);
        } else {
            damage.places += 1;
        }
        offset = end;
    }
    Ok(())
}

/// A part of the file in memory.
struct Window<'a> {
    file: &'a dyn SpoolFile,
    start: u64,
    bytes: Vec<u8>,
    /// Whether the file ends where `bytes` end.
    at_end: bool,
}

impl Window<'_> {
    /// `len` bytes at `offset`; fewer at the file's end.
    fn at(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let held = |window: &Self| {
            let from = usize::try_from(offset.checked_sub(window.start)?).ok()?;
            let enough = from + len <= window.bytes.len();
            (enough || (window.at_end && from <= window.bytes.len())).then_some(from)
        };
        let from = match held(self) {
            Some(from) => from,
            None => {
                self.bytes.resize(WINDOW_BYTES.max(len), 0);
                let read = read_full_at(self.file, &mut self.bytes, offset)?;
                self.at_end = read < self.bytes.len();
                self.bytes.truncate(read);
                self.start = offset;
                0
            }
        };
        let to = (from + len).min(self.bytes.len());
        Ok(self.bytes.get(from..to).unwrap_or_default())
    }

    fn crc(&mut self, salt: u32, mut from: u64, to: u64) -> io::Result<u32> {
        let mut crc = salt;
        while from < to {
            let len = usize::try_from(to - from)
                .unwrap_or(usize::MAX)
                .min(WINDOW_BYTES / 4);
            crc = crc32c::crc32c_append(crc, self.at(from, len)?);
            from += len as u64;
        }
        Ok(crc)
    }

    /// The next place from `offset` on where a record may begin; `len` when there is none.
    fn next_magic(&mut self, mut offset: u64, len: u64) -> io::Result<u64> {
        while offset < len {
            let bytes = self.at(offset, WINDOW_BYTES / 4)?;
            if let Some(found) = memchr::memmem::find(bytes, &MAGIC) {
                return Ok(offset + found as u64);
            }
            let step = bytes.len().saturating_sub(MAGIC.len() - 1);
            if step == 0 {
                break;
            }
            offset += step as u64;
        }
        Ok(len)
    }

    /// Whether the bytes from `offset` to the end are a head cut short, or zeros that were never written.
    fn is_torn(&mut self, mut offset: u64, len: u64) -> io::Result<bool> {
        if len - offset < HEAD_BYTES as u64 {
            return Ok(true);
        }
        while offset < len {
            let bytes = self.at(offset, WINDOW_BYTES / 4)?;
            if bytes.is_empty() || bytes.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            offset += bytes.len() as u64;
        }
        Ok(true)
    }
}
