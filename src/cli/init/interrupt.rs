//! Ctrl-C in the middle of a question: the terminal gets back what it was (a question may have switched its echo off),
//! and the program ends with a code of its own.

use std::io::{Write, stderr, stdin};
use std::process::exit;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::Context;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use super::super::exit::Exit;
use super::super::output::complain;

/// What shows the cursor again, which some questions hide, and begins a line.
const SHOW_CURSOR: &[u8] = b"\x1b[?25h\r\n";

/// Waits for Ctrl-C as long as the program runs.
pub(super) struct Interrupts {
    /// How the terminal was. Who holds it is the one that ends the program, or keeps it from being ended.
    before: Arc<Mutex<Termios>>,
}

impl Interrupts {
    /// Begins to wait.
    ///
    /// # Errors
    /// The machine has no thread or descriptor left, or stdin is no terminal.
    pub(super) fn watch() -> anyhow::Result<Self> {
        let before = tcgetattr(stdin()).context("cannot read the terminal's settings")?;
        let interrupts = Self {
            before: Arc::new(Mutex::new(before)),
        };
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot start a runtime")?;
        // From here on a signal no longer ends the program by itself.
        let mut signals = {
            let _entered = runtime.enter();
            signal(SignalKind::interrupt()).context("cannot wait for signals")?
        };
        let theirs = interrupts.share();
        thread::Builder::new()
            .name("interrupt".to_owned())
            .spawn(move || {
                runtime.block_on(signals.recv());
                theirs.end();
            })
            .context("cannot start a thread")?;
        Ok(interrupts)
    }

    fn share(&self) -> Self {
        Self {
            before: self.before.clone(),
        }
    }

    /// Ends the program. Where two threads come here, one of them waits for ever.
    pub(super) fn end(&self) -> ! {
        let before = self.hold();
        // Each may fail with the terminal gone, and then nobody is there to see it.
        let _gone = tcsetattr(stdin(), OptionalActions::Now, &before);
        let _gone = stderr().write_all(SHOW_CURSOR);
        complain("interrupted; nothing was written");
        exit(Exit::Interrupted as i32)
    }

    /// Until this is dropped nothing ends the program.
    pub(super) fn hold(&self) -> MutexGuard<'_, Termios> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
