//! A program on a terminal of its own, with somebody before it who reads what it asks and types.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::gateway::wait_until;
use super::signal::LIMIT;

/// A running program and the terminal that it is on; it is killed when this is dropped.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    /// The program's side, which stays open so that its settings can be read when it has ended.
    line: OwnedFd,
    screen: Arc<Screen>,
    /// How much of the screen was read.
    read: usize,
}

#[derive(Default)]
struct Screen {
    bytes: Mutex<Vec<u8>>,
    changed: Condvar,
}

/// Ctrl-C.
const INTERRUPT: &[u8] = b"\x03";

impl Terminal {
    /// Starts a program; its environment and folder are the command's.
    pub(crate) fn start(command: &Command) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let keyboard = openpt(flags).expect("a terminal");
        grantpt(&keyboard).expect("ours");
        unlockpt(&keyboard).expect("ours");
        let name = ptsname(&keyboard, Vec::new()).expect("a name");
        let size = Winsize {
            ws_row: 50,
            ws_col: 200,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&keyboard, size).expect("a size");
        let line = open(Path::new(OsStr::from_bytes(name.as_bytes())));
        let side = || Stdio::from(line.try_clone().expect("a descriptor"));
        // Ctrl-C reaches a program only on the terminal of its session.
        let mut on_terminal = Command::new("setsid");
        on_terminal
            .arg("--ctty")
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear()
            .envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .stdin(side())
            .stdout(side())
            .stderr(side());
        if let Some(folder) = command.get_current_dir() {
            on_terminal.current_dir(folder);
        }
        let child = on_terminal.spawn().expect("util-linux");
        let keyboard = File::from(keyboard);
        let screen = Arc::new(Screen::default());
        watch(keyboard.try_clone().expect("a descriptor"), screen.clone());
        Self {
            child,
            keyboard,
            line: line.into(),
            screen,
            read: 0,
        }
    }

    /// Waits until these words stand on the screen, behind those that were waited for before.
    #[track_caller]
    pub(crate) fn wait(&mut self, words: &str) {
        let mut bytes = self.screen.bytes.lock().expect("no holder panics");
        let deadline = Instant::now() + LIMIT;
        loop {
            let unread = &bytes[self.read..];
            if let Some(at) = memchr(unread, words.as_bytes()) {
                self.read += at + words.len();
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let unread = shown(unread);
                drop(bytes);
                panic!("no {words:?} in {unread}");
            }
            let waited = self.screen.changed.wait_timeout(bytes, left);
            bytes = waited.expect("no holder panics").0;
        }
    }

    /// Waits for a question and answers it.
    #[track_caller]
    pub(crate) fn answer(&mut self, question: &str, answer: &str) {
        self.wait_for_key(question);
        self.press(format!("{answer}\r").as_bytes());
    }

    /// The same where a whole line is read as the terminal gives it.
    #[track_caller]
    pub(crate) fn answer_line(&mut self, question: &str, answer: &str) {
        self.wait(question);
        self.press(format!("{answer}\r").as_bytes());
    }

    /// Waits for a question whose answer is not shown, and answers it.
    #[track_caller]
    pub(crate) fn answer_hidden(&mut self, question: &str, answer: &str) {
        self.wait_for_hidden(question);
        self.press(format!("{answer}\r").as_bytes());
    }

    /// Waits for a question and presses Ctrl-C.
    #[track_caller]
    pub(crate) fn interrupt(&mut self, question: &str) {
        self.wait_for_key(question);
        self.press(INTERRUPT);
    }

    /// The same where the answer is not shown.
    #[track_caller]
    pub(crate) fn interrupt_hidden(&mut self, question: &str) {
        self.wait_for_hidden(question);
        self.press(INTERRUPT);
    }

    /// Presses Ctrl-C.
    pub(crate) fn press_interrupt(&mut self) {
        self.press(INTERRUPT);
    }

    /// All that has stood on the screen.
    pub(crate) fn text(&self) -> String {
        shown(&self.screen.bytes.lock().expect("no holder panics"))
    }

    /// Whether what is typed is shown.
    pub(crate) fn shows_keys(&self) -> bool {
        self.modes().contains(LocalModes::ECHO)
    }

    /// Waits for the program's end; its exit code.
    #[track_caller]
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let mut status = None;
        wait_until("the program ends", || {
            status = self.child.try_wait().expect("a child of ours");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    /// Typing before a question has set the terminal up would be another test.
    #[track_caller]
    fn wait_for_key(&mut self, question: &str) {
        self.wait(question);
        wait_until("a key is awaited", || {
            !self.modes().contains(LocalModes::ICANON)
        });
    }

    #[track_caller]
    fn wait_for_hidden(&mut self, question: &str) {
        self.wait(question);
        wait_until("nothing that is typed is shown", || {
            let modes = self.modes();
            modes.contains(LocalModes::ICANON) && !modes.contains(LocalModes::ECHO)
        });
    }

    fn modes(&self) -> LocalModes {
        tcgetattr(&self.line).expect("a terminal").local_modes
    }

    fn press(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).expect("a terminal");
    }
}

impl Drop for Terminal {
    #[expect(
        clippy::print_stdout,
        reason = "what stood on the screen is what a failed test is about"
    )]
    fn drop(&mut self) {
        // Both fail when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            println!("on the screen:\n{}", self.text());
        }
    }
}

/// The program's side of a terminal, without its becoming ours.
fn open(name: &Path) -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let flags = i32::try_from(OFlags::NOCTTY.bits()).expect("a small number");
    options.custom_flags(flags).open(name).expect("a terminal")
}

/// Reads until the program's side is closed.
fn watch(mut from: File, screen: Arc<Screen>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let mut bytes = screen.bytes.lock().expect("no holder panics");
            bytes.extend_from_slice(&buffer[..count]);
            screen.changed.notify_all();
        }
    });
}

fn memchr(bytes: &[u8], words: &[u8]) -> Option<usize> {
    bytes
        .windows(words.len())
        .position(|window| window == words)
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\r\\n", "\n")
}
