//! Watches an event stream while it is relayed: no JSON tree, no copies of ordinary bytes. It says which bytes may go
//! on at once, which end the stream and wait until the record is safe, and which were only asked for by us; and it
//! mends what clients are known to lose data over. What an event means is told in `event_class`.
//!
//! Whatever the chunks, the client's bytes and what is learned are the same. So an event that may be taken out is
//! held until it is known not to be one, and one longer than [`HOLD_LIMIT`] is never taken out. The end of a terminal
//! event waits even where its beginning went on.

mod event_class;
mod partial;

use bytes::{Buf, Bytes};
use memchr::memchr2;

pub use self::event_class::Dialect;
use self::event_class::{Class, classify};
use super::sse::{BOM, BorderFinder, EventEnd, EventTooLarge};

/// Most bytes of an unfinished event that wait for a decision, and longest event that is ever taken out.
pub const HOLD_LIMIT: usize = 64 * 1024;

/// What a scanner is to do.
#[derive(Debug, Clone, Copy)]
pub struct ScanOptions {
    /// Which words end the stream.
    pub dialect: Dialect,
    /// Take out the usage chunk of chat and completions streams, because the client did not ask for it.
    pub strip_usage: bool,
    /// Mend streams; never done with [`Dialect::Raw`].
    pub repair: bool,
    /// Longest event in bytes.
    pub max_event_bytes: usize,
}

/// Bytes with what is to be done with them. `Send` and `Terminal` in their order are what the client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Goes to the client now.
    Send(Bytes),
    /// The terminal event, or its rest: goes to the client when the `end` record is in the spool.
    Terminal(Bytes),
    /// The data of the usage chunk that the client does not get.
    Stripped(Bytes),
}

/// Repairs made so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repairs {
    /// A leading BOM was taken out.
    pub bom: bool,
    /// Events with empty data were taken out.
    pub empty_event: bool,
    /// The empty line after the last event was added.
    pub final_blank_line: bool,
    /// `[DONE]`, or Anthropic's `message_stop`, was added after a finish reason.
    pub done: bool,
}

impl Repairs {
    /// The words of the column `repairs`.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        [
            (self.bom, "bom"),
            (self.empty_event, "empty_event"),
            (self.final_blank_line, "final_blank_line"),
            (self.done, "done"),
        ]
        .into_iter()
        .filter_map(|(made, word)| made.then_some(word))
    }
}

/// What was learned from the events that are complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// `[DONE]` came, or the end was added.
    pub saw_done: bool,
    /// An event that ends the stream came: `[DONE]`, a terminal event, an error.
    pub saw_terminal: bool,
    /// A choice ended with a reason.
    pub saw_finish_reason: bool,
    /// The upstream reported an error inside the stream.
    pub saw_error_event: bool,
    /// A frame came whose checksum does not hold, or the border of frames was lost.
    pub is_damaged: bool,
    /// An event with content came: text, a refusal, reasoning, a tool call.
    pub first_content_seen: bool,
    /// Events with data that went to the client, the terminal one included.
    pub event_count: u64,
    /// What was mended.
    pub repairs: Repairs,
}

/// How a stream ended that the upstream closed cleanly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// With its terminal event, its own or an added one; or nothing is known of how such streams end.
    Complete,
    /// Before its end: the client must be told.
    Truncated,
}

/// Scans one stream.
#[derive(Debug)]
pub struct Scanner {
    options: ScanOptions,
    facts: Facts,
    finder: BorderFinder,
    /// The unfinished event as far as it came, from chunks before this one.
    event: Vec<u8>,
    /// What became of those bytes so far.
    progress: Progress,
    /// Within a comment line before an event: such lines go on at once.
    in_comment: bool,
    /// An event that ends the stream if nothing follows. It waits for what comes next.
    last: Option<Last>,
    /// The chunk before ended in the CR that ended a line: a following LF shares its fate.
    after_cr: Option<Fate>,
    /// The first bytes, while they may still be a BOM.
    start: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Progress {
    #[default]
    Undecided,
    /// Waits until the event is complete.
    Held,
    /// Went to the client; what follows of the event goes too.
    Sent,
}

/// Such an event, or its rest.
#[derive(Debug)]
struct Last {
    bytes: Bytes,
    /// Whether its beginning went to the client.
    begun: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    TakenOut,
}

impl Scanner {
    /// For a stream from its first byte on.
    pub fn new(options: ScanOptions) -> Self {
        let repair = options.repair && options.dialect != Dialect::Raw;
        let strip_usage = options.strip_usage && options.dialect == Dialect::Chat;
        Self {
            options: ScanOptions {
                repair,
                strip_usage,
                ..options
            },
            facts: Facts::default(),
            finder: BorderFinder::START,
            event: Vec::new(),
            progress: Progress::Undecided,
            in_comment: false,
            last: None,
            after_cr: None,
            start: Some(Vec::new()),
        }
    }

    /// What was learned so far.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether the client's stream stands between two events, so that an event or a comment may be put in now.
    pub fn at_event_border(&self) -> bool {
        let between = self.event.is_empty() || self.progress != Progress::Sent;
        let begun = self.last.as_ref().is_some_and(|last| last.begun);
        between && !begun && !self.in_comment && self.after_cr != Some(Fate::Kept)
    }

    /// Takes the upstream's next bytes and appends to `out` what is to be done with them, and with earlier ones.
    ///
    /// # Errors
    /// When an event is longer than the limit. What stands before it is in `out`.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Piece>) -> Result<(), EventTooLarge> {
        let chunk = match self.start.take() {
            None => chunk,
            Some(start) => match self.skip_bom(start, chunk, out) {
                Some(chunk) => chunk,
                None => return Ok(()),
            },
        };
        if chunk.is_empty() {
            return Ok(());
        }
        // `run..at` are bytes of this chunk that go on but are not in `out` yet.
        let (mut run, mut at) = (0, 0);
        if let Some(fate) = self.after_cr.take()
            && chunk[0] == b'\n'
        {
            at = 1;
            run = usize::from(fate == Fate::TakenOut);
            if let Some(last) = &mut self.last {
                last.bytes = Bytes::from([&last.bytes[..], b"\n"].concat());
                run = 1;
            }
        }
        while at < chunk.len() {
            self.release_last(out);
            if self.event.is_empty() && (self.in_comment || chunk[at] == b':') {
                at = self.comment(&chunk, at);
                continue;
            }
            let end = self.finder.event_end(&chunk[at..]);
            let end = end.map(|end| EventEnd {
                at: at + end.at,
                ..end
            });
            let stop = match end {
                // The event is over with the CR, for its LF may come in another chunk.
                Some(end) if chunk[at..end.at].ends_with(b"\r\n") => end.at - 1,
                Some(end) => end.at,
                None => chunk.len(),
            };
            let length = self.event.len() + stop - at;
            if length > self.options.max_event_bytes {
                send(&chunk, run, at, out);
                return Err(EventTooLarge {
                    limit: self.options.max_event_bytes,
                });
            }
            match end {
                Some(end) => {
                    let fate = if self.event.is_empty() {
                        self.whole_event(&chunk, at, end, &mut run, out)
                    } else {
                        self.split_event(&chunk, at, end, &mut run, out)
                    };
                    at = end.at;
                    if at == chunk.len() && chunk[at - 1] == b'\r' {
                        self.after_cr = Some(fate);
                    }
                }
                None => {
                    self.unfinished(&chunk, at, &mut run, out);
                    at = chunk.len();
                }
            }
        }
        if run == 0 {
            out.push(Piece::Send(chunk));
        } else {
            send(&chunk, run, at, out);
        }
        Ok(())
    }

    /// The chunk without a BOM; `None` while that is not decided.
    fn skip_bom(
        &mut self,
        mut start: Vec<u8>,
        chunk: Bytes,
        out: &mut Vec<Piece>,
    ) -> Option<Bytes> {
        let mut chunk = if start.is_empty() {
            chunk
        } else {
            start.extend_from_slice(&chunk);
            Bytes::from(start)
        };
        if chunk.len() < BOM.len() && BOM.starts_with(&chunk) {
            self.start = Some(chunk.to_vec());
            return None;
        }
        if chunk.starts_with(BOM) {
            if self.options.repair {
                self.facts.repairs.bom = true;
                chunk.advance(BOM.len());
            } else {
                out.push(Piece::Send(chunk.split_to(BOM.len())));
            }
        }
        Some(chunk)
    }

    /// Steps over a comment line, or what is there of it.
    fn comment(&mut self, chunk: &[u8], at: usize) -> usize {
        let Some(length) = memchr2(b'\n', b'\r', &chunk[at..]) else {
            self.in_comment = true;
            return chunk.len();
        };
        self.in_comment = false;
        let end = at + length;
        match (chunk[end], chunk.get(end + 1)) {
            (b'\r', Some(b'\n')) => end + 2,
            (b'\r', None) => {
                self.after_cr = Some(Fate::Kept);
                end + 1
            }
            _ => end + 1,
        }
    }

    /// An event that stands in one chunk, from `at` on.
    fn whole_event(
        &mut self,
        chunk: &Bytes,
        at: usize,
        end: EventEnd,
        run: &mut usize,
        out: &mut Vec<Piece>,
    ) -> Fate {
        let EventEnd { at: end, lines } = end;
        let event = &chunk[at..end];
        let piece = match classify(event, lines, &self.options, &mut self.facts) {
            Class::Ordinary => return Fate::Kept,
            Class::Terminal => Some(Piece::Terminal(chunk.slice(at..end))),
            Class::Last => {
                self.last = Some(Last {
                    bytes: chunk.slice(at..end),
                    begun: false,
                });
                send(chunk, *run, at, out);
                *run = end;
                return Fate::Kept;
            }
            Class::Usage(data) => Some(Piece::Stripped(chunk.slice_ref(data))),
            Class::Empty => None,
        };
        send(chunk, *run, at, out);
        *run = end;
        let kept = matches!(piece, Some(Piece::Terminal(_)));
        out.extend(piece);
        if kept { Fate::Kept } else { Fate::TakenOut }
    }

    /// Something follows: what might have been the last event was not.
    fn release_last(&mut self, out: &mut Vec<Piece>) {
        out.extend(self.last.take().map(|last| Piece::Send(last.bytes)));
    }

    /// The last part of an event that began in an earlier chunk.
    fn split_event(
        &mut self,
        chunk: &Bytes,
        at: usize,
        end: EventEnd,
        run: &mut usize,
        out: &mut Vec<Piece>,
    ) -> Fate {
        let EventEnd { at: end, lines } = end;
        let mut event = std::mem::take(&mut self.event);
        event.extend_from_slice(&chunk[at..end]);
        let event = Bytes::from(event);
        let sent = std::mem::take(&mut self.progress) == Progress::Sent;
        let rest = if sent {
            chunk.slice(at..end)
        } else {
            event.clone()
        };
        send(chunk, *run, at, out);
        *run = end;
        let (piece, fate) = match classify(&event, lines, &self.options, &mut self.facts) {
            Class::Ordinary => (Some(Piece::Send(rest)), Fate::Kept),
            Class::Terminal => (Some(Piece::Terminal(rest)), Fate::Kept),
            Class::Last => {
                self.last = Some(Last {
                    bytes: rest,
                    begun: sent,
                });
                (None, Fate::Kept)
            }
            Class::Usage(data) => (Some(Piece::Stripped(event.slice_ref(data))), Fate::TakenOut),
            Class::Empty => (None, Fate::TakenOut),
        };
        out.extend(piece);
        fate
    }
}

fn send(chunk: &Bytes, from: usize, to: usize, out: &mut Vec<Piece>) {
    if from < to {
        out.push(Piece::Send(chunk.slice(from..to)));
    }
}

#[cfg(test)]
mod tests;
