//! What a translated answer leaves for the record. The translation stands between the upstream and everything else
//! that handles an answer, so its bytes come to the record beside the way of the client's.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;

use super::{Recording, State, spill};
use crate::access_log::draft::BodyKind;
use crate::filter::Endpoint;
use crate::wire::translate::MOST_DROPPED;

/// Where a translation leaves what it reads. The record takes it with each piece that the client gets, and while the
/// client's head is held back, so it does not grow.
#[derive(Debug, Clone, Default)]
pub struct UpstreamTap(Rc<RefCell<Tapped>>);

#[derive(Debug, Default)]
struct Tapped {
    pieces: Vec<Bytes>,
    dropped: Vec<String>,
}

impl UpstreamTap {
    /// A piece of the answer as the upstream sent it.
    pub fn piece(&self, piece: Bytes) {
        self.0.borrow_mut().pieces.push(piece);
    }

    /// Fields that could not be carried.
    pub fn dropped(&self, fields: impl IntoIterator<Item = String>) {
        self.0.borrow_mut().dropped.extend(fields);
    }
}

impl Recording {
    /// Says that the exchange is translated to that API, and gives the tap for its answer.
    pub fn translated_to(&mut self, endpoint: Endpoint) -> UpstreamTap {
        self.closed.translated_to = Some(endpoint);
        self.tap.get_or_insert_default().clone()
    }

    /// Forgets what the last try left: its answer was none, and another one follows. `tags`: those from before the first.
    pub fn tries_again(&mut self, tags: &[(String, String)]) {
        self.copies.forget_upstream();
        if let State::Open(open) = &mut self.state {
            open.ticket.forget_parts(BodyKind::UpstreamResponse);
        }
        self.tap = None;
        self.closed.translated_to = None;
        self.closed.dropped.clear();
        self.closed.usage_asked = false;
        self.closed.upstream_status = None;
        self.closed.tried = None;
        self.closed.times.connect_ms = None;
        self.closed.tags = tags.to_vec();
        self.times.upstream_goes_on();
    }

    /// Takes a piece of the answer in the upstream's own format.
    pub(super) fn untranslated_piece(&mut self, piece: Bytes) {
        let copy = self.copies.push_upstream_response(piece);
        let kind = BodyKind::UpstreamResponse;
        spill(&mut self.state, kind, copy, &self.secrets);
    }

    /// Whether the translation has read something since the last time.
    pub fn has_tapped(&self) -> bool {
        let tap = self.tap.as_ref();
        tap.is_some_and(|tap| !tap.0.borrow().pieces.is_empty())
    }

    /// Takes what the translation has read since the last time.
    pub fn drain_tap(&mut self) {
        let Some(tap) = &self.tap else { return };
        let Tapped { pieces, dropped } = tap.0.take();
        for piece in pieces {
            self.untranslated_piece(piece);
        }
        for field in dropped {
            let dropped = &self.closed.dropped;
            if dropped.len() < MOST_DROPPED && !dropped.contains(&field) {
                self.closed.dropped.push(field);
            }
        }
    }
}
