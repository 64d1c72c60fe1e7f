//! The two limits of a relay, on one timer: time without a piece, and time in all.
//!
//! A piece only writes down its time; the timer is set anew when it fires, so a busy stream costs nothing.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep, sleep_until};

/// For so long after a limit what has come is still looked for. A process that was stopped finds its timers over before it
/// has looked at its sockets, and must not blame others for the time that it missed.
const LAST_LOOK: Duration = Duration::from_millis(2);

/// Ends when the moment has passed, and what had come by then has been looked at by whoever waits for it beside this.
pub async fn passed(at: Instant) {
    sleep_until(at.into()).await;
    sleep(LAST_LOOK).await;
}

/// What comes of the work; `None` where the moment passes first.
pub async fn by<T>(at: Instant, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = passed(at) => None,
    }
}

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
            sleep: Box::pin(sleep_until(first.into())),
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
            let idle_at = self.last + self.idle;
            if self.total_at.min(idle_at) <= now {
                sleep(LAST_LOOK).await;
                return match self.total_at <= now {
                    true => TimedOut::Total,
                    false => TimedOut::Idle,
                };
            }
            self.sleep.as_mut().reset(idle_at.min(self.total_at).into());
        }
    }
}
