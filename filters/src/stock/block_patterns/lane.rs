//! The text of one choice of a stream: what of it is decided, and what of that is to be masked.
use std::ops::Range;

use super::matcher::{Follower, Matcher};

/// Bytes before the undelivered text that are kept, so that a match can see what stands before it.
const CONTEXT: usize = 8;

#[derive(Default)]
pub(super) struct Lane {
    /// A little context, then the text that is not delivered yet.
    text: String,
    /// Where the undelivered text begins.
    start: usize,
    /// Up to here all matches are known.
    decided: usize,
    /// Known matches that reach into undelivered text.
    matches: Vec<Range<usize>>,
    /// Whether no text follows.
    is_complete: bool,
}

impl Lane {
    pub(super) fn push(&mut self, piece: &str) {
        if !piece.is_empty() {
            self.text.push_str(piece);
            self.is_complete = false;
        }
    }

    pub(super) fn complete(&mut self) {
        self.is_complete = true;
    }

    /// Finds out as much as the text so far allows. The word or pattern of the first new match.
    pub(super) fn decide(&mut self, matcher: &Matcher, follower: &mut Follower) -> Option<usize> {
        let mut first = None;
        while self.decided < self.text.len() {
            let open = match self.is_complete {
                true => self.text.len(),
                false => follower.first_open(matcher, &self.text, self.decided),
            };
            let waits = self.text.len().saturating_sub(open);
            let sure = match waits > matcher.window {
                true => self
                    .text
                    .floor_char_boundary(self.text.len() - matcher.window),
                false => open,
            };
            match matcher.find(&self.text, self.decided) {
                Some(found) if found.range.start < sure => {
                    self.decided = found.range.end;
                    self.matches.push(found.range);
                    first = first.or(Some(found.pattern));
                }
                Some(_) | None => {
                    self.decided = self.decided.max(sure);
                    break;
                }
            }
        }
        first
    }

    /// Whether the next `length` bytes are decided.
    pub(super) fn is_decided(&self, length: usize) -> bool {
        self.start + length <= self.decided
    }

    /// Delivers the next `length` bytes, masked.
    pub(super) fn deliver(&mut self, length: usize, mask: &str) -> String {
        let end = self.start + length;
        let mut delivered = String::with_capacity(length);
        let mut at = self.start;
        for found in &self.matches {
            if found.start >= end {
                break;
            }
            delivered.push_str(self.text.get(at..found.start.max(at)).unwrap_or(""));
            if found.start >= self.start {
                delivered.push_str(mask);
            }
            at = found.end.clamp(at, end);
        }
        delivered.push_str(self.text.get(at..end).unwrap_or(""));
        self.start = end;
        self.forget();
        delivered
    }

    fn forget(&mut self) {
        let start = self.start;
        self.matches.retain(|found| found.end > start);
        let first = self
            .matches
            .first()
            .map_or(start, |found| found.start.min(start));
        let cut = self.text.floor_char_boundary(first.saturating_sub(CONTEXT));
        if cut > 0 {
            self.text.drain(..cut);
            self.start -= cut;
            self.decided -= cut;
            for found in &mut self.matches {
                *found = found.start - cut..found.end - cut;
            }
        }
    }
}
