//! What SIGHUP means: read the configuration anew, or, where the terminal that the program was started on is gone, stop.

use std::fs::{self, File};

/// Whether a program on a terminal ends with it.
pub(super) struct Hangup {
    ends_with_terminal: bool,
}

impl Hangup {
    /// Looks at how the program was started. Must be called before the signal is listened for.
    pub(super) fn as_started() -> Self {
        Self {
            ends_with_terminal: has_terminal() && !is_ignored(),
        }
    }

    /// Whether the signal says that the terminal is gone.
    pub(super) fn is_the_end(&self) -> bool {
        self.ends_with_terminal && !has_terminal()
    }
}

/// Whether the process has a terminal that controls it.
fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

/// Whether the program was told to outlive its terminal, as `nohup` does it (`/proc/self/status`, Linux).
fn is_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The lowest bit is that of signal 1, SIGHUP.
    mask.is_some_and(|mask| mask & 1 != 0)
}
