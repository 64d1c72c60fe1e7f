//! One-time signals between a test and the scripts it runs, in place of sleeps.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Longest a test waits for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Fires once and stays fired; clones are the same signal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signal(Arc<(Mutex<bool>, Condvar)>);

impl Signal {
    /// A signal that has not fired.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Fires it.
    pub(crate) fn fire(&self) {
        *self.0.0.lock().expect("no holder panics") = true;
        self.0.1.notify_all();
    }

    /// Whether it has fired.
    pub(crate) fn fired(&self) -> bool {
        *self.0.0.lock().expect("no holder panics")
    }

    /// Waits until it fires.
    ///
    /// # Panics
    /// After [`LIMIT`].
    #[track_caller]
    pub(crate) fn wait(&self) {
        let fired = self.0.0.lock().expect("no holder panics");
        let (_fired, late) = self
            .0
            .1
            .wait_timeout_while(fired, LIMIT, |fired| !*fired)
            .expect("no holder panics");
        assert!(!late.timed_out(), "the signal did not come");
    }
}

#[test]
fn waits_for_another_thread() {
    let (go, done) = (Signal::new(), Signal::new());
    let (their_go, their_done) = (go.clone(), done.clone());
    let thread = std::thread::spawn(move || {
        their_go.wait();
        their_done.fire();
    });
    assert!(!done.fired());
    go.fire();
    done.wait();
    thread.join().unwrap();
}
