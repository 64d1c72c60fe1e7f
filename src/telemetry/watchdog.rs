//! Notices worker threads that do not come back: whatever keeps a thread, most often a filter, stops everything else on it.
//!
//! Each worker's runtime ticks; a thread of its own looks at the ticks and reports, within a second, the worker
//! whose tick is late, and whether a filter has it. It only reports: nothing can take a thread back. Workers that have ended
//! are late for nothing, and nobody is where the whole process stood still.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::filter::Presence;
use crate::telemetry::tasks::Tasks;

/// Time between two ticks of a worker.
const TICK: Duration = Duration::from_millis(200);

/// A tick that is later than this means a stuck worker.
const LATE: Duration = Duration::from_millis(700);

/// Watches the workers of one server; ends with its last clone.
#[derive(Debug, Clone)]
pub struct Watchdog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    watched: Mutex<Watched>,
    stuck: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Watched {
    /// Of workers that run: an ended one takes its own with it.
    workers: Vec<Weak<Pulse>>,
    /// When the last look was.
    looked_ms: u64,
    /// Since when the process has been running without a stop.
    awake_ms: u64,
}

/// Times are milliseconds since the watchdog's start.
#[derive(Debug)]
struct Pulse {
    name: String,
    last_tick_ms: AtomicU64,
    reported: AtomicBool,
    presence: Presence,
}

/// What a look has found.
#[derive(Debug, PartialEq, Eq)]
enum Report {
    /// A worker is stuck.
    Stuck {
        worker: String,
        late_ms: u64,
        in_filter: bool,
    },
    /// One that was goes on.
    GoesOn { worker: String },
}

impl Watchdog {
    /// Starts the thread that looks.
    ///
    /// # Errors
    /// When there is no thread left.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared {
            started: Instant::now(),
            watched: Mutex::default(),
            stuck: Arc::default(),
        });
        let watched = Arc::downgrade(&shared);
        thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || look(&watched))?;
        Ok(Self { shared })
    }

    /// How many workers are stuck now: `aiproxy_worker_stuck`.
    pub fn stuck(&self) -> Arc<AtomicU64> {
        self.shared.stuck.clone()
    }

    /// Watches the calling worker thread, whose runtime must be running.
    pub fn watch_this_thread(&self, tasks: &Tasks) {
        let pulse = Arc::new(Pulse {
            name: thread::current().name().unwrap_or("worker").to_owned(),
            last_tick_ms: AtomicU64::new(self.shared.now_ms()),
            reported: AtomicBool::new(false),
            presence: Presence::on_this_thread(),
        });
        let workers = &mut self.shared.lock().workers;
        workers.push(Arc::downgrade(&pulse));
        let shared = self.shared.clone();
        tasks.spawn_local("pulse", async move {
            loop {
                pulse.last_tick_ms.store(shared.now_ms(), Ordering::Relaxed);
                tokio::time::sleep(TICK).await;
            }
        });
    }
}

impl Shared {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) {
        let (stuck, reports) = self.lock().look(self.now_ms());
        self.stuck.store(stuck, Ordering::Relaxed);
        for report in reports {
            match report {
                Report::Stuck {
                    worker,
                    late_ms,
                    in_filter: true,
                } => {
                    tracing::error!(
                        worker,
                        late_ms,
                        "a worker is stuck: a filter keeps its thread"
                    );
                }
                Report::Stuck {
                    worker,
                    late_ms,
                    in_filter: false,
                } => {
                    tracing::error!(
                        worker,
                        late_ms,
                        "a worker is stuck: something that is no filter keeps its thread"
                    );
                }
                Report::GoesOn { worker } => {
                    tracing::warn!(worker, "a worker that was stuck goes on");
                }
            }
        }
    }
}

impl Watched {
    /// How many are stuck, and what is new.
    fn look(&mut self, now_ms: u64) -> (u64, Vec<Report>) {
        if is_late(now_ms.saturating_sub(self.looked_ms)) {
            // The watchdog was kept too: the process was stopped, or had no processor. Its workers get their time anew.
            self.awake_ms = now_ms;
        }
        self.looked_ms = now_ms;
        self.workers.retain(|pulse| 0 < pulse.strong_count());
        let (mut stuck, mut reports) = (0, Vec::new());
        for pulse in self.workers.iter().filter_map(Weak::upgrade) {
            let last_ms = pulse.last_tick_ms.load(Ordering::Relaxed);
            let late_ms = now_ms.saturating_sub(last_ms.max(self.awake_ms));
            let is_stuck = is_late(late_ms);
            stuck += u64::from(is_stuck);
            let worker = pulse.name.clone();
            match (is_stuck, pulse.reported.swap(is_stuck, Ordering::Relaxed)) {
                (true, false) => reports.push(Report::Stuck {
                    worker,
                    late_ms,
                    in_filter: pulse.presence.is_filter(),
                }),
                (false, true) => reports.push(Report::GoesOn { worker }),
                (true, true) | (false, false) => {}
            }
        }
        (stuck, reports)
    }
}

fn is_late(late_ms: u64) -> bool {
    LATE.as_millis() < u128::from(late_ms)
}

fn look(watched: &Weak<Shared>) {
    loop {
        thread::park_timeout(TICK);
        match watched.upgrade() {
            Some(shared) => shared.look(),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulse(last_tick_ms: u64) -> Arc<Pulse> {
        Arc::new(Pulse {
            name: "worker".to_owned(),
            last_tick_ms: AtomicU64::new(last_tick_ms),
            reported: AtomicBool::new(false),
            presence: Presence::on_this_thread(),
        })
    }

    fn watched(pulse: &Arc<Pulse>) -> Watched {
        Watched {
            workers: vec![Arc::downgrade(pulse)],
            ..Watched::default()
        }
    }

    /// Looks at these times, and says how many are stuck at the last, and what was new then.
    fn looks(watched: &mut Watched, times_ms: &[u64]) -> (u64, Vec<Report>) {
        let looked = times_ms.iter().map(|now_ms| watched.look(*now_ms));
        looked.last().unwrap_or_default()
    }

    #[test]
    fn who_is_late_is_reported_once_and_again_when_it_goes_on() {
        let pulse = pulse(100);
        let mut watched = watched(&pulse);
        assert_eq!(looks(&mut watched, &[200, 400, 600, 800]), (0, vec![]));
        let worker = || "worker".to_owned();
        let stuck = Report::Stuck {
            worker: worker(),
            late_ms: 900,
            in_filter: false,
        };
        assert_eq!(looks(&mut watched, &[1_000]), (1, vec![stuck]));
        assert_eq!(looks(&mut watched, &[1_200]), (1, vec![]));
        pulse.last_tick_ms.store(1_300, Ordering::Relaxed);
        let goes_on = Report::GoesOn { worker: worker() };
        assert_eq!(looks(&mut watched, &[1_400]), (0, vec![goes_on]));
    }

    #[test]
    fn nobody_is_late_where_all_stood_still_or_that_has_ended() {
        let pulse = pulse(100);
        let mut watched = watched(&pulse);
        // Looked at 200 ms, then at 60 s: the process was stopped.
        assert_eq!(looks(&mut watched, &[200, 60_000, 60_200]), (0, vec![]));
        let (stuck, reports) = looks(&mut watched, &[60_400, 60_600, 60_800]);
        assert_eq!((stuck, reports.len()), (1, 1), "it did not come back");
        drop(pulse);
        assert_eq!(looks(&mut watched, &[61_000]), (0, vec![]));
        assert!(watched.workers.is_empty());
    }

    #[test]
    fn f81_a_kept_thread_is_reported_within_a_second() {
        let watchdog = Watchdog::start().unwrap();
        let stuck = watchdog.stuck();
        let (release, kept) = std::sync::mpsc::channel::<()>();
        let worker = thread::spawn(move || {
            actix_rt::System::new().block_on(async {
                watchdog.watch_this_thread(&Tasks::default());
                actix_rt::task::yield_now().await;
                kept.recv_timeout(Duration::from_secs(10)).ok();
            });
        });
        let since = Instant::now();
        while stuck.load(Ordering::Relaxed) == 0 && since.elapsed() < Duration::from_secs(5) {
            thread::yield_now();
        }
        assert_eq!(stuck.load(Ordering::Relaxed), 1);
        assert!(
            since.elapsed() < Duration::from_millis(1_300),
            "{:?}",
            since.elapsed()
        );
        drop(release);
        worker.join().unwrap();
    }
}
