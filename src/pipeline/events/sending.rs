//! The relay's pieces on their way to the client: through the filters, on record, out.

use std::time::Instant;

use bytes::Bytes;

use super::Relay;
use crate::access_log::draft::RecordedError;
use crate::filter::{Outcome, StreamEnd};
use crate::pipeline::failure::Failure;
use crate::pipeline::generator::Yielder;
use crate::wire::relay_scanner::Piece;

impl Relay {
    /// Hands pieces to the client; the record has its end before a terminal one goes. Returns why the stream
    /// must be cut, if a filter says so.
    pub(super) async fn send(
        &mut self,
        pieces: &mut Vec<Piece>,
        out: &mut Yielder,
        now: Instant,
    ) -> Option<Failure> {
        for piece in pieces.drain(..) {
            match piece {
                Piece::Send(bytes) => {
                    let (bytes, cut) = self.filter(bytes, false).await;
                    self.put_on_record(&bytes, now);
                    out.send(bytes).await;
                    if cut.is_some() {
                        return cut;
                    }
                }
                Piece::Terminal(bytes) => {
                    let (bytes, cut) = self.filter(bytes, true).await;
                    if cut.is_some() {
                        return cut;
                    }
                    self.put_on_record(&bytes, now);
                    self.guard.upstream_ends(now);
                    #[cfg(not(bug_release_before_append))]
                    self.put_end_on_record();
                    out.send(bytes).await;
                    #[cfg(bug_release_before_append)]
                    {
                        // The kill loop's negative control: the bytes leave, then comes the record.
                        tokio::task::yield_now().await;
                        self.put_end_on_record();
                    }
                }
                Piece::Stripped(data) => self.guard.usage_chunk(data),
            }
        }
        None
    }

    /// The bytes as the stream filters let them out; the same bytes where there are none. With the terminal
    /// event, what filters still hold goes before the end.
    async fn filter(&mut self, bytes: Bytes, is_terminal: bool) -> (Bytes, Option<Failure>) {
        if self.keeps_both || self.filters.is_some() {
            self.guard.upstream_response_piece(bytes.clone());
        }
        let Some(filters) = &mut self.filters else {
            return (bytes, None);
        };
        // In boxes: most streams have no filters, and need no room for them.
        let passed = Box::pin(filters.pass(bytes)).await;
        if !is_terminal || passed.cut.is_some() {
            return (passed.bytes, passed.cut);
        }
        let rest = Box::pin(filters.end(StreamEnd::Finished, &mut self.guard)).await;
        let out = [passed.bytes, rest.bytes].concat();
        (Bytes::from(out), rest.cut)
    }

    pub(super) async fn check_hold(&mut self, out: &mut Yielder) -> Option<Failure> {
        let let_out = Box::pin(self.filters.as_mut()?.check_hold()).await;
        let now = Instant::now();
        self.put_on_record(&let_out.bytes, now);
        out.send(let_out.bytes).await;
        let_out.cut
    }

    /// Notes what the client gets next.
    pub(super) fn put_on_record(&mut self, bytes: &Bytes, now: Instant) {
        if !bytes.is_empty() {
            self.guard.stream_piece(bytes.clone(), now);
            self.guard.first_byte(now);
        }
    }

    pub(super) fn put_end_on_record(&mut self) {
        let facts = self.scanner.facts();
        let failed = facts.saw_error_event || facts.is_damaged;
        if facts.is_damaged {
            self.guard.closed_mut().error = Some(RecordedError {
                code: Some("upstream_protocol".to_owned()),
                message: Some("a frame of the stream is damaged".to_owned()),
                ..RecordedError::default()
            });
        }
        self.note_repairs();
        self.guard.closed_mut().response_complete = Some(!failed);
        self.guard.end(if failed {
            Outcome::UpstreamError
        } else {
            Outcome::Ok
        });
    }

    pub(super) fn note_repairs(&mut self) {
        let words = self
            .scanner
            .facts()
            .repairs
            .words()
            .map(str::to_owned)
            .collect();
        self.guard.closed_mut().repairs = words;
    }
}
