//! The two limits of a relay, on one timer: time without a piece, and time in all.
//!
//! A piece only writes down its time; the timer is set anew when it fires, so a busy stream costs nothing.

use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::time::Sleep;

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimedOut {
    /// No piece for too long.
    Idle,
    /// The whole took too long.
    Total,
}

/// See the module.
pub struct PieceTimer {
    idle: Duration,
    total_at: Instant,
    last: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl PieceTimer {
    /// A timer for a relay that begins now, of an exchange that `started` earlier.
    pub fn new(idle: Duration, total: Duration, started: Instant) -> Self {
        let now = Instant::now();
        let total_at = started + total;
        let first = (now + idle).min(total_at);
        Self {
            idle,
            total_at,
            last: now,
            sleep: Box::pin(tokio::time::sleep_until(first.into())),
        }
    }

    /// Notes a piece.
    pub fn piece_came(&mut self, now: Instant) {
        self.last = now;
    }

    /// Ends when a limit is reached. May be dropped and called again at will.
    pub async fn late(&mut self) -> TimedOut {
        loop {
            self.sleep.as_mut().await;
            let now = Instant::now();
            if self.total_at <= now {
                return TimedOut::Total;
            }
            let idle_at = self.last + self.idle;
            if idle_at <= now {
                return TimedOut::Idle;
            }
            self.sleep.as_mut().reset(idle_at.min(self.total_at).into());
        }
    }
}
