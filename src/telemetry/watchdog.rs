//! Notices worker threads that do not come back: a filter that keeps its thread stops everything else on it.
//!
//! Each worker's runtime ticks; a thread of its own looks at the ticks and reports, within a second, the worker
//! whose tick is late. It only reports: nothing can take a thread back.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

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
    workers: Mutex<Vec<Arc<Pulse>>>,
    stuck: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Pulse {
    name: String,
    /// Milliseconds since the watchdog's start.
    last_tick_ms: AtomicU64,
    reported: AtomicBool,
}

impl Watchdog {
    /// Starts the thread that looks.
    ///
    /// # Errors
    /// When there is no thread left.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared {
            started: Instant::now(),
            workers: Mutex::default(),
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
        });
        self.shared.lock().push(pulse.clone());
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

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Pulse>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) {
        let now_ms = self.now_ms();
        let mut stuck = 0;
        for pulse in self.lock().iter() {
            let late_ms = now_ms.saturating_sub(pulse.last_tick_ms.load(Ordering::Relaxed));
            let is_stuck = LATE.as_millis() < u128::from(late_ms);
            stuck += u64::from(is_stuck);
            if is_stuck && !pulse.reported.swap(true, Ordering::Relaxed) {
                tracing::error!(
                    worker = pulse.name,
                    late_ms,
                    "a worker is stuck: a filter keeps its thread"
                );
            } else if !is_stuck && pulse.reported.swap(false, Ordering::Relaxed) {
                tracing::warn!(worker = pulse.name, "a worker that was stuck goes on");
            }
        }
        self.stuck.store(stuck, Ordering::Relaxed);
    }
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
