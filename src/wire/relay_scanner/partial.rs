//! Events that are not there yet: what may go on of an unfinished one, and what becomes of it when no more comes.

use bytes::Bytes;

use super::event_class::{self, Class, Decision, UNKNOWN_LINES, classify};
use super::{Dialect, HOLD_LIMIT, Last, Piece, Progress, Scanner, StreamEnd, send};
use crate::wire::json_reader::Reader;
use crate::wire::sse;

const DONE: &[u8] = b"data: [DONE]\n\n";
const MESSAGE_STOP: &[u8] = b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

impl Scanner {
    /// Takes `chunk[at..]` as the next part of an event whose end is not in this chunk.
    pub(super) fn unfinished(
        &mut self,
        chunk: &Bytes,
        at: usize,
        run: &mut usize,
        out: &mut Vec<Piece>,
    ) {
        let began_here = self.event.is_empty();
        self.event.extend_from_slice(&chunk[at..]);
        if self.progress == Progress::Undecided {
            self.progress = match event_class::decide(&self.event, &self.options) {
                Decision::Pass => Progress::Sent,
                Decision::Hold => Progress::Held,
                Decision::Undecided if self.event.len() > HOLD_LIMIT => Progress::Sent,
                Decision::Undecided => Progress::Undecided,
            };
            if self.progress == Progress::Sent && !began_here {
                send(chunk, *run, at, out);
                *run = chunk.len();
                out.push(Piece::Send(Bytes::copy_from_slice(&self.event)));
            }
        }
        if self.progress != Progress::Sent {
            send(chunk, *run, at, out);
            *run = chunk.len();
        }
    }

    /// The upstream closed the stream cleanly: gives back what is held, mends the end, and tells how it ended.
    pub fn finish(&mut self, out: &mut Vec<Piece>) -> StreamEnd {
        self.end_partial(out);
        let in_comment = std::mem::take(&mut self.in_comment);
        let facts = &mut self.facts;
        if let Some(last) = self.last.take() {
            facts.saw_terminal = true;
            out.push(Piece::Terminal(last.bytes));
        }
        if facts.saw_terminal || self.options.dialect == Dialect::Raw {
            return StreamEnd::Complete;
        }
        let end = match self.options.dialect {
            Dialect::Chat => DONE,
            Dialect::Messages => MESSAGE_STOP,
            Dialect::Candidates if facts.saw_finish_reason => return StreamEnd::Complete,
            Dialect::Candidates | Dialect::Responses | Dialect::Raw => {
                return StreamEnd::Truncated;
            }
        };
        if !facts.saw_finish_reason {
            return StreamEnd::Truncated;
        }
        if self.options.repair {
            facts.repairs.done = true;
            facts.saw_done = true;
            facts.saw_terminal = true;
            facts.event_count += 1;
            if in_comment {
                out.push(Piece::Send(Bytes::from_static(b"\n")));
            }
            out.push(Piece::Terminal(Bytes::from_static(end)));
        }
        StreamEnd::Complete
    }

    /// The stream is cut, by the upstream or by us: afterwards an error event may be put at its end.
    ///
    /// An unfinished event that was held goes out with an empty line if it is whole but for that, else it is dropped.
    /// One that was sent in part cannot be taken back: it is ended by an empty line, so that the error event stands
    /// by itself; the client then sees one event with broken JSON. Without repairs only held bytes are given back.
    pub fn cut(&mut self, out: &mut Vec<Piece>) {
        self.end_partial(out);
        self.release_last(out);
        if std::mem::take(&mut self.in_comment) && self.options.repair {
            out.push(Piece::Send(Bytes::from_static(b"\n")));
        }
    }

    /// Whether the unfinished event lacks nothing but its empty line.
    pub(super) fn partial_is_complete_json(&self) -> bool {
        let Some(data) = sse::fields(&self.event).data else {
            return false;
        };
        let data = data.trim_ascii();
        data == event_class::DONE_DATA || is_json(data)
    }

    fn end_partial(&mut self, out: &mut Vec<Piece>) {
        if let Some(start) = self.start.take() {
            self.event = start;
        }
        self.after_cr = None;
        if self.event.is_empty() {
            return;
        }
        let complete = self.partial_is_complete_json();
        let mut event = std::mem::take(&mut self.event);
        let sent = if std::mem::take(&mut self.progress) == Progress::Sent {
            event.len()
        } else {
            0
        };
        if !self.options.repair {
            let event = Bytes::from(event);
            let class = classify(&event, UNKNOWN_LINES, &self.options, &mut self.facts);
            self.give_back(class, &event, sent, out);
            return;
        }
        if !complete && sent == 0 {
            return;
        }
        let blank: &[u8] = if event.ends_with(b"\n") {
            b"\n"
        } else {
            b"\n\n"
        };
        event.extend_from_slice(blank);
        let event = Bytes::from(event);
        if !complete {
            out.push(Piece::Send(event.slice(sent..)));
            return;
        }
        let class = classify(&event, UNKNOWN_LINES, &self.options, &mut self.facts);
        if matches!(class, Class::Ordinary | Class::Terminal | Class::Last) {
            self.facts.repairs.final_blank_line = true;
        }
        self.give_back(class, &event, sent, out);
    }

    /// Of an event whose first bytes were sent, the rest.
    fn give_back(&mut self, class: Class<'_>, event: &Bytes, sent: usize, out: &mut Vec<Piece>) {
        match class {
            Class::Last => {
                self.last = Some(Last {
                    bytes: event.slice(sent..),
                    begun: 0 < sent,
                });
            }
            class => out.extend(piece(class, event, sent)),
        }
    }
}

fn piece(class: Class<'_>, event: &Bytes, sent: usize) -> Option<Piece> {
    let rest = event.slice(sent..);
    match class {
        Class::Usage(data) => Some(Piece::Stripped(event.slice_ref(data))),
        Class::Empty => None,
        Class::Ordinary | Class::Terminal | Class::Last if rest.is_empty() => None,
        Class::Ordinary => Some(Piece::Send(rest)),
        Class::Terminal | Class::Last => Some(Piece::Terminal(rest)),
    }
}

fn is_json(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let mut reader = Reader::new(text);
    reader.skip().and_then(|()| reader.end()).is_ok()
}
