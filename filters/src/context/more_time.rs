//! Time that a hook call gets on top of its limit, for waiting in the queue of the pool.
use std::cell::Cell;
use std::time::Duration;

/// How long a wait will be is not known before: so the longest is granted, and what was not needed
/// is taken back afterwards, from later grants where it is used up.
#[derive(Debug, Default)]
pub(crate) struct MoreTime {
    left: Cell<Duration>,
    owed: Cell<Duration>,
}

impl MoreTime {
    pub(crate) fn grant(&self, time: Duration) {
        let owed = self.owed.get();
        self.owed.set(owed.saturating_sub(time));
        self.left.set(self.left.get() + time.saturating_sub(owed));
    }

    pub(crate) fn give_back(&self, time: Duration) {
        let left = self.left.get();
        self.left.set(left.saturating_sub(time));
        self.owed.set(self.owed.get() + time.saturating_sub(left));
    }

    /// Uses up what is left.
    pub(crate) fn take(&self) -> Duration {
        self.left.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_waited_counts() {
        let (second, tenth) = (Duration::from_secs(1), Duration::from_millis(100));
        let more = MoreTime::default();
        more.grant(second);
        more.give_back(second - tenth);
        assert_eq!((more.take(), more.take()), (tenth, Duration::ZERO));
        more.grant(second);
        assert_eq!(more.take(), second, "used before the wait was over");
        more.give_back(second - tenth);
        more.grant(second);
        assert_eq!(more.take(), tenth);
    }
}
