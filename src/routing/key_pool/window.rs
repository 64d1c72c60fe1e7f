//! How many requests a key has had in the last second, and when it may have another one.
//!
//! The times themselves are kept, not a bucket of tokens: a bucket that may be emptied at once lets twice the limit through in a
//! second, and one that may not turns away the second of two requests that come together.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// The last second of a key: never more than the limit in any second, all of them at once if they come so.
#[derive(Debug)]
pub(super) struct Window {
    /// 0 for no limit.
    most: usize,
    /// When the key was given, in the order of the calls; never more than `most`. Threads may come in another order than they
    /// looked at the clock: a time then stays a little longer than its second, never shorter.
    given: VecDeque<Instant>,
}

impl Window {
    /// For so many in a second; 0 for no limit.
    pub(super) fn new(most: u32) -> Self {
        Self {
            most: usize::try_from(most).unwrap_or(usize::MAX),
            given: VecDeque::new(),
        }
    }

    /// When there is room again; `None` when there is.
    pub(super) fn full_until(&mut self, now: Instant) -> Option<Instant> {
        let is_past = |given: &Instant| SECOND <= now.saturating_duration_since(*given);
        while self.given.front().is_some_and(is_past) {
            self.given.pop_front();
        }
        let oldest = self.given.front()?;
        let until = oldest.checked_add(SECOND);
        until.filter(|_| self.most <= self.given.len())
    }

    /// Counts one.
    pub(super) fn give(&mut self, now: Instant) {
        if self.most != 0 {
            self.given.push_back(now);
        }
    }
}
