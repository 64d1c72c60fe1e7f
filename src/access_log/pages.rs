//! Memory for what is long and soon let go of: pages of its own, which the system has back in that moment. An allocator
//! keeps them for a while, and what the database needs next would be taken beside them.

use bytes::Bytes;
use memmap2::MmapMut;

/// What is longer has pages of its own.
const LONG_BYTES: usize = 256 * 1024;

/// So many bytes, zeros at first, as `fill` leaves them, and what it says.
pub(super) fn filled<T>(length: usize, fill: impl FnOnce(&mut [u8]) -> T) -> (Bytes, T) {
    if LONG_BYTES < length
        && let Ok(mut pages) = MmapMut::map_anon(length)
    {
        let said = fill(&mut pages);
        return (Bytes::from_owner(pages), said);
    }
    let mut bytes = vec![0; length];
    let said = fill(&mut bytes);
    (bytes.into(), said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_are_filled_alike() {
        for length in [0, 1, LONG_BYTES, LONG_BYTES + 1] {
            let (bytes, first) = filled(length, |buffer| {
                let first = buffer.first().copied();
                buffer.fill(7);
                first
            });
            assert_eq!(first, (length > 0).then_some(0));
            assert_eq!(bytes, vec![7; length]);
            // An owner's bytes cannot be taken from it; those of a vector can.
            let is_taken = 0 < length && bytes.try_into_mut().is_ok();
            assert_eq!(is_taken, 0 < length && length <= LONG_BYTES);
        }
    }
}
