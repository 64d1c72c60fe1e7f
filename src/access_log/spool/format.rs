//! A record as it stands on disk: a head of 36 bytes with two checksums, then the payload.
//!
//! Both checksums begin from a salt made of the file's name and of the record's offset. A body that looks like a
//! record, or a record that stands in the wrong place, is therefore not taken for one when a damaged file is
//! searched for what is left of it.

use uuid::Uuid;

/// Bytes of a record's head.
pub const HEAD_BYTES: usize = 36;
/// First bytes of every record.
pub const MAGIC: [u8; 4] = [0xa1, b'p', b'x', 0xd7];
/// Version of head and payloads. A record of another version counts as unreadable.
pub const VERSION: u8 = 2;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// An exchange was opened.
    Begin,
    /// A piece of a body.
    Part,
    /// An exchange is over. The last one of an exchange holds.
    End,
    /// How many exchanges could not be kept.
    Gap,
}

impl RecordKind {
    fn code(self) -> u8 {
        match self {
            Self::Begin => 1,
            Self::Part => 2,
            Self::End => 3,
            Self::Gap => 4,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Begin, Self::Part, Self::End, Self::Gap]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

/// Where a record stands: number of the segment within its process, offset in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Number in the segment's file name.
    pub segment: u32,
    /// Of the record's head.
    pub offset: u32,
}

/// A record's head, read and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// What the record says.
    pub kind: RecordKind,
    /// The exchange.
    pub id: Uuid,
    /// Bytes of the payload.
    pub payload_len: u32,
    /// Checksum of the payload.
    pub payload_crc: u32,
}

impl Head {
    /// Head and payload together, in bytes.
    pub fn record_len(&self) -> u64 {
        HEAD_BYTES as u64 + u64::from(self.payload_len)
    }

    /// The head as bytes, for a record at this offset of a file with this salt.
    pub fn to_bytes(self, salt: u32, offset: u64) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        let parts: [&[u8]; 6] = [
            &MAGIC,
            &[VERSION, self.kind.code(), 0, 0],
            &self.payload_len.to_le_bytes(),
            self.id.as_bytes(),
            &self.payload_crc.to_le_bytes(),
            &[],
        ];
        let mut at = 0;
        for part in parts {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        let crc = crc32c::crc32c_append(seed(salt, offset), &bytes[..at]);
        bytes[at..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The head in these bytes; `None` when they are no head of a record of ours at this place.
    pub fn from_bytes(bytes: &[u8], salt: u32, offset: u64) -> Option<Self> {
        let (bytes, _) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let (said, crc) = bytes.split_last_chunk::<4>()?;
        if !said.starts_with(&MAGIC)
            || crc32c::crc32c_append(seed(salt, offset), said) != u32::from_le_bytes(*crc)
        {
            return None;
        }
        let [_, _, _, _, VERSION, kind, _, _, rest @ ..] = said else {
            return None;
        };
        let (payload_len, rest) = rest.split_first_chunk::<4>()?;
        let (id, rest) = rest.split_first_chunk::<16>()?;
        let (payload_crc, _) = rest.split_first_chunk::<4>()?;
        Some(Self {
            kind: RecordKind::from_code(*kind)?,
            id: Uuid::from_bytes(*id),
            payload_len: u32::from_le_bytes(*payload_len),
            payload_crc: u32::from_le_bytes(*payload_crc),
        })
    }
}

fn seed(salt: u32, offset: u64) -> u32 {
    crc32c::crc32c_append(salt, &offset.to_le_bytes())
}

/// The salt of a file: from the process, worker and number in its name.
pub fn salt(boot: Uuid, worker: u32, number: u32) -> u32 {
    let crc = crc32c::crc32c(boot.as_bytes());
    crc32c::crc32c_append(
        crc32c::crc32c_append(crc, &worker.to_le_bytes()),
        &number.to_le_bytes(),
    )
}

/// A segment's file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    /// The process that wrote it; sorts by time of its start.
    pub boot: Uuid,
    /// The worker that wrote it.
    pub worker: u32,
    /// Its number, unique within the process.
    pub number: u32,
}

impl SegmentName {
    /// The file's name.
    pub fn file_name(&self) -> String {
        format!("{}-{}-{}.seg", self.boot.simple(), self.worker, self.number)
    }

    /// Reads a file's name; `None` when it is no segment's.
    pub fn parse(name: &str) -> Option<Self> {
        let mut fields = name.strip_suffix(".seg")?.split('-');
        let (boot, worker, number) = (fields.next()?, fields.next()?, fields.next()?);
        let parsed = Self {
            boot: Uuid::try_parse(boot).ok()?,
            worker: worker.parse().ok()?,
            number: number.parse().ok()?,
        };
        (parsed.file_name() == name).then_some(parsed)
    }

    /// The salt of its checksums.
    pub fn salt(&self) -> u32 {
        salt(self.boot, self.worker, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            kind: RecordKind::End,
            id: Uuid::from_u128(7),
            payload_len: 900,
            payload_crc: 17,
        }
    }

    #[test]
    fn a_head_is_read_back_only_where_it_was_written() {
        let bytes = head().to_bytes(5, 4096);
        assert_eq!(Head::from_bytes(&bytes, 5, 4096), Some(head()));
        assert_eq!(Head::from_bytes(&bytes, 5, 4097), None);
        assert_eq!(Head::from_bytes(&bytes, 6, 4096), None);
        assert_eq!(Head::from_bytes(&bytes[..35], 5, 4096), None);
    }

    #[test]
    fn any_flipped_bit_of_a_head_is_noticed() {
        let bytes = head().to_bytes(5, 0);
        for bit in 0..HEAD_BYTES * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::from_bytes(&bad, 5, 0), None, "bit {bit}");
        }
    }

    #[test]
    fn names() {
        let name = SegmentName {
            boot: Uuid::from_u128(9),
            worker: 2,
            number: 31,
        };
        assert_eq!(SegmentName::parse(&name.file_name()), Some(name));
        for wrong in [
            "lock",
            "reserve",
            "x-1-2.seg",
            "",
            "1-2.seg",
            "-0-0.seg",
            "00-1-2-3.seg",
        ] {
            assert_eq!(SegmentName::parse(wrong), None, "{wrong}");
        }
    }
}
