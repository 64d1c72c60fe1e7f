//! Where a part of a streamed answer would stand in the whole one: what is said in many events is one part there.

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Thought,
    /// Whole in its event.
    Other,
}

/// Counts parts.
#[derive(Debug, Default)]
pub(super) struct Places {
    count: usize,
    last: Option<Kind>,
}

impl Places {
    /// The place of a part. The first one of an event goes on with the last one before, where that is of its kind.
    pub(super) fn place(&mut self, kind: Kind, is_first: bool) -> usize {
        let goes_on = is_first && kind != Kind::Other && self.last == Some(kind);
        if !goes_on {
            self.count += 1;
        }
        self.last = Some(kind);
        self.count.saturating_sub(1)
    }
}
