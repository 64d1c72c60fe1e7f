//! Keeps a copy of a body while it passes: large pieces by reference, small ones put together, so that a few bytes
//! do not hold the whole buffer that they were read into for as long as the record waits for its row.
//!
//! Bounded: at most `limit` bytes are kept, and what goes over [`SPILL_BYTES`] is handed out for the spool.

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use crate::access_log::draft::Captured;
use crate::access_log::redact::Secrets;

/// A body larger than this leaves memory for the spool, piece by piece.
pub const SPILL_BYTES: usize = 256 * 1024;

/// Pieces below this many bytes are copied.
const SMALL_BYTES: usize = 2048;

/// The growing copy of one body.
#[derive(Default)]
pub struct Capture {
    pieces: Vec<Bytes>,
    /// Small pieces that came after `pieces`.
    small: BytesMut,
    held_bytes: usize,
    spilled_bytes: u64,
    size: u64,
    limit: u64,
    spill_at: usize,
    hasher: Option<Sha256>,
    only_size: bool,
}

impl Capture {
    /// An empty copy that keeps at most `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Keeps nothing, not even a hash: for a body that no row wants, only its size is counted.
    pub fn only_size() -> Self {
        Self {
            only_size: true,
            ..Self::default()
        }
    }

    /// A copy of a body that is there whole.
    pub fn of(body: Bytes, limit: u64) -> Self {
        let mut capture = Self::new(limit);
        capture.push_whole(body);
        capture
    }

    /// From now on at most so many bytes are kept, if they are fewer than before.
    pub fn lower_limit(&mut self, limit: u64) {
        self.limit = self.limit.min(limit);
    }

    /// Adds a piece of a larger buffer. Past the limit only size and hash go on.
    pub fn push(&mut self, piece: Bytes) {
        let Some(kept) = self.pass(&piece) else {
            return;
        };
        if kept < SMALL_BYTES {
            self.small
                .extend_from_slice(piece.get(..kept).unwrap_or_default());
        } else {
            self.keep(piece.slice(..kept));
        }
    }

    /// Adds a body that lies in a buffer of its own: it is not copied, however short.
    pub fn push_whole(&mut self, body: Bytes) {
        if let Some(kept) = self.pass(&body) {
            self.keep(body.slice(..kept));
        }
    }

    /// Counts and hashes what passes; says how much of it is to be kept.
    fn pass(&mut self, piece: &[u8]) -> Option<usize> {
        let room = self.limit.saturating_sub(self.kept_bytes());
        self.size += piece.len() as u64;
        if self.only_size {
            return None;
        }
        if room < piece.len() as u64 && self.hasher.is_none() {
            self.start_hash();
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(piece);
        }
        let kept = usize::try_from(room).unwrap_or(usize::MAX).min(piece.len());
        self.held_bytes += kept;
        (0 < kept).then_some(kept)
    }

    fn keep(&mut self, piece: Bytes) {
        self.put_small_together();
        self.pieces.push(piece);
    }

    /// Bytes that passed so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// When more than [`SPILL_BYTES`] are in memory: offers them, masked, to `take`, which says whether it has
    /// them now. The last bytes, as many as a credential may be long, stay, so that none is cut in two.
    pub fn spill(&mut self, secrets: &Secrets, take: impl FnOnce(Bytes) -> bool) {
        if self.held_bytes <= self.spill_at.max(SPILL_BYTES) {
            return;
        }
        if self.hasher.is_none() {
            self.start_hash();
        }
        let held = self.join();
        let mut joined = secrets.mask(held.clone());
        let keep = secrets.longest().saturating_sub(1).min(joined.len());
        let tail = joined.split_off(joined.len() - keep);
        let offered_bytes = joined.len() as u64;
        if take(joined) {
            self.spilled_bytes += offered_bytes;
            self.held_bytes = tail.len();
            self.pieces = vec![tail];
        } else {
            // Nobody wants them: they stay, and are offered again when there is twice as much.
            self.spill_at = 2 * self.held_bytes;
            self.pieces = vec![held];
        }
    }

    /// What is kept, masked, as the record wants it. The copy goes on.
    pub fn captured(&mut self, secrets: &Secrets) -> Captured {
        let held = self.join();
        let masked = secrets.mask(held.clone());
        let is_masked = masked.as_ptr() != held.as_ptr();
        if is_masked && self.hasher.is_none() {
            // The hash is that of what passed, not of what is kept of it.
            self.start_hash();
        }
        Captured {
            pieces: vec![masked],
            begun_bytes: 0,
            spilled_bytes: self.spilled_bytes,
            size: self.size,
            sha256: self
                .hasher
                .as_ref()
                .map(|hasher| hasher.clone().finalize().into()),
            truncated: self.limit < self.size,
        }
    }

    /// Lets go of what is in memory: it stands in the spool. The size stays.
    pub fn let_go(&mut self) {
        self.pieces.clear();
        self.small = BytesMut::new();
    }

    fn kept_bytes(&self) -> u64 {
        self.spilled_bytes + self.held_bytes as u64
    }

    fn start_hash(&mut self) {
        let mut hasher = Sha256::new();
        for piece in &self.pieces {
            hasher.update(piece);
        }
        hasher.update(&self.small);
        self.hasher = Some(hasher);
    }

    fn put_small_together(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push(std::mem::take(&mut self.small).freeze());
        }
    }

    /// What is in memory, in one piece from now on.
    fn join(&mut self) -> Bytes {
        self.put_small_together();
        match self.pieces.as_slice() {
            [] => Bytes::new(),
            [only] => only.clone(),
            several => {
                let mut joined = BytesMut::with_capacity(self.held_bytes);
                for piece in several {
                    joined.extend_from_slice(piece);
                }
                let joined = joined.freeze();
                self.pieces = vec![joined.clone()];
                joined
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha256(bytes: &[u8]) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }

    #[test]
    fn a_short_body_is_kept_whole_and_not_hashed_here() {
        let mut capture = Capture::new(100);
        capture.push(Bytes::from_static(b"hello "));
        capture.push(Bytes::from_static(b"world"));
        let captured = capture.captured(&Secrets::default());
        assert_eq!(captured.pieces.concat(), b"hello world");
        assert_eq!(
            (captured.size, captured.sha256, captured.truncated),
            (11, None, false)
        );
    }

    #[test]
    fn a_long_body_is_cut_but_measured_whole() {
        let mut capture = Capture::new(4);
        capture.push(Bytes::from_static(b"hello "));
        capture.push(Bytes::from_static(b"world"));
        let captured = capture.captured(&Secrets::default());
        assert_eq!(captured.pieces.concat(), b"hell");
        assert_eq!(captured.sha256, Some(sha256(b"hello world")));
        assert!(captured.truncated && captured.size == 11);
    }

    #[test]
    fn a_body_that_no_row_wants_is_only_measured() {
        let mut capture = Capture::only_size();
        capture.push(Bytes::from_static(b"hello world"));
        let captured = capture.captured(&Secrets::default());
        assert_eq!((captured.size, captured.sha256), (11, None));
        assert!(captured.pieces.concat().is_empty() && captured.truncated);
    }

    #[test]
    fn what_the_spool_does_not_take_stays() {
        let mut capture = Capture::of(Bytes::from(vec![b'x'; SPILL_BYTES + 1]), u64::MAX);
        capture.spill(&Secrets::default(), |_| false);
        let captured = capture.captured(&Secrets::default());
        assert_eq!(captured.pieces.concat().len(), SPILL_BYTES + 1);
        assert_eq!(captured.spilled_bytes, 0);
    }

    #[test]
    fn spilling_never_cuts_a_credential_in_two() {
        let secrets = Secrets::new([b"sk-very-secret".as_slice()]);
        let mut capture = Capture::new(u64::MAX);
        let mut sent = vec![b'x'; SPILL_BYTES - 5];
        sent.extend_from_slice(b"sk-very-secret and more");
        let mut kept = Vec::new();
        for piece in sent.chunks(SPILL_BYTES / 3 + 1) {
            capture.push(Bytes::copy_from_slice(piece));
            capture.spill(&secrets, |bytes| {
                kept.extend(bytes);
                true
            });
        }
        capture.push(Bytes::from_static(b" end"));
        let captured = capture.captured(&secrets);
        kept.extend(captured.pieces.concat());
        assert!(!secrets.occur_in(&kept));
        assert!(kept.ends_with(b" and more end"));
        sent.extend_from_slice(b" end");
        assert_eq!(captured.sha256, Some(sha256(&sent)));
    }
}
