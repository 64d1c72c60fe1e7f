//! The copies of an exchange's bodies while they pass.

use bytes::Bytes;

use crate::access_log::capture::Capture;
use crate::access_log::draft::{Bodies, Captured};
use crate::access_log::redact::Secrets;

/// What passed so far, of each body.
pub(super) struct Copies {
    pub(super) request: Capture,
    pub(super) upstream_request: Option<Capture>,
    pub(super) response: Capture,
    pub(super) upstream_response: Option<Capture>,
    limit: u64,
}

impl Copies {
    /// Empty copies of at most `limit` bytes each; of the client's side only the sizes where nobody `wanted` more.
    pub(super) fn new(limit: u64, wanted: bool) -> Self {
        let capture = || match wanted {
            true => Capture::new(limit),
            false => Capture::only_size(),
        };
        Self {
            request: capture(),
            upstream_request: None,
            response: capture(),
            upstream_response: None,
            limit,
        }
    }

    /// Begins the copy of the request anew, with less of it to be kept.
    pub(super) fn cut_request(&mut self, came: &[u8], kept_bytes: usize) {
        self.request = Capture::new(self.limit.min(kept_bytes as u64));
        self.request.push(Bytes::copy_from_slice(came));
    }

    /// Takes the whole body as it goes upstream.
    pub(super) fn set_upstream_request(&mut self, body: Bytes) {
        self.upstream_request = Some(Capture::of(body, self.limit));
    }

    /// Forgets what went upstream and what came.
    pub(super) fn forget_upstream(&mut self) {
        self.upstream_request = None;
        self.upstream_response = None;
    }

    /// Takes a piece of the answer as it came from upstream; gives the copy that it went to.
    pub(super) fn push_upstream_response(&mut self, piece: Bytes) -> &mut Capture {
        let limit = self.limit;
        let capture = self
            .upstream_response
            .get_or_insert_with(|| Capture::new(limit));
        capture.push(piece);
        capture
    }

    /// The client's request, if it had a body.
    pub(super) fn captured_request(&mut self, secrets: &Secrets) -> Option<Captured> {
        (0 < self.request.size()).then(|| self.request.captured(secrets))
    }

    /// All but the client's request, as the record wants them.
    pub(super) fn collect(&mut self, secrets: &Secrets) -> Bodies {
        let captured = |capture: &mut Capture| capture.captured(secrets);
        let mut bodies = Bodies {
            request: None,
            upstream_request: self.upstream_request.as_mut().map(captured),
            response: (0 < self.response.size()).then(|| captured(&mut self.response)),
            upstream_response: self.upstream_response.as_mut().map(captured),
        };
        // Stream filters may have let everything through as it came: then there is one answer, not two.
        if let (Some(sent), Some(came)) = (&bodies.response, &bodies.upstream_response)
            && sent.size == came.size
            && sent.spilled_bytes == came.spilled_bytes
            && sent.sha256 == came.sha256
            && sent.pieces == came.pieces
        {
            bodies.upstream_response = None;
        }
        bodies
    }
}
