//! A JSON body while it comes in: one piece by reference, several in a vector, and a long one in pages of its own.
//!
//! Such pages go back to the system in the moment in which the body is let go of. An allocator keeps them for a while,
//! and the writer, which needs memory next, would take others beside them.

use bytes::{Bytes, BytesMut};
use memmap2::{MmapMut, MmapOptions};

/// Longer bodies have pages of their own.
const LONG_BYTES: usize = 1024 * 1024;

/// Bodies up to this many bytes are copied out of the connection's buffer, which is free for the next request then.
const SMALL_BYTES: usize = 4 * 1024;

/// See the module.
pub(super) struct BodyBuffer {
    held: Held,
    /// Length in bytes as announced; it may be false.
    length: Option<usize>,
    /// Most bytes that pages are made for. Those that are never filled cost nothing.
    room: usize,
}

enum Held {
    One(Bytes),
    Several(BytesMut),
    Pages(Pages),
}

struct Pages {
    map: MmapMut,
    filled: usize,
}

impl BodyBuffer {
    /// For a body of the length that was announced, of at most so many bytes.
    pub(super) fn new(length: Option<u64>, most: usize) -> Self {
        let length = length.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        Self {
            held: Held::One(Bytes::new()),
            length,
            room: length.unwrap_or(most).min(most),
        }
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        match &self.held {
            Held::One(piece) => piece.len(),
            Held::Several(pieces) => pieces.len(),
            Held::Pages(pages) => pages.filled,
        }
    }

    /// Adds a piece.
    pub(super) fn push(&mut self, piece: Bytes) {
        let held = std::mem::replace(&mut self.held, Held::One(Bytes::new()));
        self.held = match held {
            Held::One(first) if first.is_empty() => Held::One(piece),
            Held::One(first) => self.join(&first, &piece),
            Held::Several(pieces) if self.is_long(pieces.len() + piece.len()) => {
                self.join(&pieces, &piece)
            }
            Held::Several(mut pieces) => {
                pieces.extend_from_slice(&piece);
                Held::Several(pieces)
            }
            Held::Pages(mut pages) => match pages.extend(&piece) {
                true => Held::Pages(pages),
                false => self.join(pages.filled(), &piece),
            },
        };
    }

    /// What came, in one piece.
    pub(super) fn freeze(self) -> Bytes {
        match self.held {
            Held::One(piece) if piece.len() <= SMALL_BYTES => Bytes::copy_from_slice(&piece),
            Held::One(piece) => piece,
            Held::Several(pieces) => pieces.freeze(),
            Held::Pages(pages) => {
                let filled = pages.filled;
                Bytes::from_owner(pages.map).slice(..filled)
            }
        }
    }

    /// Whether a body that has so many bytes by now is to have pages of its own.
    fn is_long(&self, so_far: usize) -> bool {
        so_far <= self.room && LONG_BYTES < so_far.max(self.length.unwrap_or(0))
    }

    /// Both together, in pages where the body is long. Where there are none, it does without from now on.
    fn join(&mut self, first: &[u8], piece: &[u8]) -> Held {
        if self.is_long(first.len() + piece.len()) {
            match Pages::of(self.room, &[first, piece]) {
                Some(pages) => return Held::Pages(pages),
                None => self.room = 0,
            }
        }
        let expected = self.length.unwrap_or(0).min(LONG_BYTES);
        let mut joined = BytesMut::with_capacity(expected.max(first.len() + piece.len()));
        joined.extend_from_slice(first);
        joined.extend_from_slice(piece);
        Held::Several(joined)
    }
}

impl Pages {
    /// Pages for so many bytes, with these in them; `None` where the system has none or they do not fit.
    fn of(room: usize, pieces: &[&[u8]]) -> Option<Self> {
        let map = MmapOptions::new().len(room).no_reserve_swap().map_anon();
        let mut pages = Self {
            map: map.ok()?,
            filled: 0,
        };
        pieces
            .iter()
            .all(|piece| pages.extend(piece))
            .then_some(pages)
    }

    fn filled(&self) -> &[u8] {
        self.map.get(..self.filled).unwrap_or_default()
    }

    /// Adds a piece, if it fits.
    fn extend(&mut self, piece: &[u8]) -> bool {
        let free = self.map.get_mut(self.filled..self.filled + piece.len());
        let fits = free.is_some();
        if let Some(free) = free {
            free.copy_from_slice(piece);
            self.filled += piece.len();
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gathered(body: &[u8], piece: usize, length: Option<u64>, most: usize) -> BodyBuffer {
        let mut buffer = BodyBuffer::new(length, most);
        for piece in body.chunks(piece) {
            buffer.push(Bytes::copy_from_slice(piece));
        }
        assert_eq!(buffer.len(), body.len());
        buffer
    }

    fn long() -> Vec<u8> {
        (0..=255).cycle().take(3 * LONG_BYTES).collect()
    }

    #[test]
    fn long_bodies_have_pages_of_their_own() {
        for (length, piece, is_paged) in [
            (2 * LONG_BYTES, 65_536, true),
            (LONG_BYTES, 65_536, false),
            (2 * LONG_BYTES, 2 * LONG_BYTES, false),
        ] {
            let body = long().split_off(3 * LONG_BYTES - length);
            for said in [Some(length as u64), None] {
                let buffer = gathered(&body, piece, said, 4 * LONG_BYTES);
                assert_eq!(matches!(buffer.held, Held::Pages(_)), is_paged);
                assert_eq!(buffer.freeze(), body);
            }
        }
    }

    #[test]
    fn without_pages_it_does_as_well() {
        // Announced shorter than it is, longer than it may be, and more than any machine has.
        for (length, most) in [
            (Some(5), LONG_BYTES),
            (None, LONG_BYTES),
            (Some(u64::MAX), usize::MAX),
        ] {
            let buffer = gathered(&long(), 10_000, length, most);
            assert!(matches!(buffer.held, Held::Several(_)));
            assert_eq!(buffer.freeze(), long());
        }
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_body(
            length in 0..3 * LONG_BYTES,
            piece in 1_000..2 * LONG_BYTES,
            said in prop::option::of(0..4 * LONG_BYTES as u64),
            most in 0..4 * LONG_BYTES,
        ) {
            let body = long().split_off(3 * LONG_BYTES - length);
            prop_assert_eq!(gathered(&body, piece, said, most).freeze(), body);
        }
    }
}
