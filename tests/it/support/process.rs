//! The real program as a process of its own, for what only a process can suffer: signals, a death, a full disk.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::raw_client::{RawResponse, exchange, post};
use super::signal::LIMIT;
use super::{gateway, metrics};

/// A running process with all that it has said; it is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    said: Arc<Said>,
}

#[derive(Default)]
struct Said {
    lines: Mutex<Vec<String>>,
    changed: Condvar,
}

/// `aiproxy serve` in a process of its own.
pub(crate) struct Proxy {
    pub(crate) program: Program,
    pub(crate) data: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// A command with nothing of this process's environment but where programs are.
pub(crate) fn aiproxy() -> Command {
    bare(env!("CARGO_BIN_EXE_aiproxy"))
}

/// Any program, its environment as bare.
pub(crate) fn bare(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", "/nonexistent");
    command.env(
        "PATH",
        super::from_environment("PATH").expect("a search path"),
    );
    command
}

impl Program {
    /// Starts it; what it says on both outputs is kept.
    pub(crate) fn start(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("a program");
        let said = Arc::new(Said::default());
        listen(child.stdout.take().expect("its output"), said.clone());
        listen(child.stderr.take().expect("its errors"), said.clone());
        Self { child, said }
    }

    /// The mock; gives its address too.
    pub(crate) fn mock() -> (Self, SocketAddr) {
        let mut command = aiproxy();
        command.args(["mock", "--port", "0"]);
        let mock = Self::start(command);
        let line = mock.wait_line("mock upstream on http://");
        let address = line
            .trim_start_matches("mock upstream on http://")
            .trim_end_matches("/v1");
        let address = address.parse().expect("an address");
        (mock, address)
    }

    /// Waits for a line that holds these words.
    #[track_caller]
    pub(crate) fn wait_line(&self, words: &str) -> String {
        let mut lines = self.said.lines.lock().expect("no holder panics");
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(line) = lines.iter().find(|line| line.contains(words)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no line with {words:?} in {lines:#?}");
            lines = self
                .said
                .changed
                .wait_timeout(lines, left)
                .expect("no holder panics")
                .0;
        }
    }

    /// All that it has said.
    pub(crate) fn text(&self) -> String {
        self.said.lines.lock().expect("no holder panics").join("\n")
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends it a signal, in the words of `kill`.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.pid().to_string()])
            .status();
        assert!(sent.expect("a program of every system").success());
    }

    /// SIGKILL: it has no chance to do anything.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("its end");
    }

    /// Waits for its end, and says how long that took.
    #[track_caller]
    pub(crate) fn wait_exit(&mut self) -> (ExitStatus, Duration) {
        let since = Instant::now();
        let mut status = None;
        gateway::wait_until("the process ends", || {
            status = self.child.try_wait().expect("a child of ours");
            status.is_some()
        });
        (status.expect("an exit"), since.elapsed())
    }

    /// Waits for its end and gives its exit code.
    #[track_caller]
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.wait_exit().0.code()
    }
}

impl Drop for Program {
    #[expect(
        clippy::print_stdout,
        reason = "what the process said is what a failed test is about"
    )]
    fn drop(&mut self) {
        // Both fail when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            println!("it said:\n{}", self.text());
        }
    }
}

impl Proxy {
    /// Starts it with a configuration file and waits until it serves.
    #[track_caller]
    pub(crate) fn start(config: &Path) -> Self {
        Self::of(Program::start(serve(config)))
    }

    /// Takes a program that will serve.
    #[track_caller]
    pub(crate) fn of(program: Program) -> Self {
        let line = program.wait_line(r#""message":"serving""#);
        let line: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
        let address = |name: &str| {
            let text = line[name].as_str().expect("an address");
            text.parse().expect("an address")
        };
        Self {
            data: address("data"),
            admin: address("admin"),
            program,
        }
    }

    /// One chat request on a connection of its own.
    #[track_caller]
    pub(crate) fn chat(&self, model: &str, more: &str) -> RawResponse {
        let body = gateway::chat_body(model, more);
        exchange(self.data, post("/v1/chat/completions", &body))
    }

    /// A number of `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        metrics::read(self.admin, name)
    }

    /// Waits until nothing waits to be stored.
    pub(crate) fn settle(&self) {
        let waiting = ["log_open", "log_queued", "log_spooled", "log_recovering"];
        gateway::wait_until("the log is settled", || {
            waiting.iter().all(|name| self.metric(name) == 0.0)
        });
    }

    /// Stops it in order: exit code 0.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.program.terminate();
        assert_eq!(self.program.exit_code(), Some(0), "{}", self.program.text());
    }
}

/// The command that serves with a configuration file.
pub(crate) fn serve(config: &Path) -> Command {
    let mut command = aiproxy();
    command
        .args(["--log-format", "json", "serve", "--config"])
        .arg(config);
    command
}

/// Writes a configuration file for a proxy in front of the mock: ports are free ones, further sections are given.
pub(crate) fn configure(
    dir: &Path,
    upstream: SocketAddr,
    database_url: &str,
    more: &str,
) -> std::path::PathBuf {
    let file = dir.join("aiproxy.yaml");
    let log = if more.contains("log:") {
        String::new()
    } else {
        format!(
            "log: {{ spool_dir: \"{}\" }}\n",
            dir.join("spool").display()
        )
    };
    let server = if more.contains("server:") {
        ""
    } else {
        "server: { port: 0, workers: 2 }\n"
    };
    let yaml = format!(
        "{server}{log}admin: {{ port: 0 }}\ndatabase: {{ url: \"{database_url}\" }}\n\
         providers:\n  - {{ name: openai, kind: openai, base_url: \"http://{upstream}/v1\", api_keys: [{{ key: {} }}] }}\n{more}\n",
        gateway::PROVIDER_KEY
    );
    fs::write(&file, yaml.replace("$DIR", &dir.display().to_string())).expect("a file");
    file
}

fn listen(from: impl Read + Send + 'static, said: Arc<Said>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            let Ok(line) = line else { return };
            said.lines.lock().expect("no holder panics").push(line);
            said.changed.notify_all();
        }
    });
}
