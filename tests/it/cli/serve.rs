//! The server as a process: what it needs to start, and what keeps it from it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};
use std::time::{Duration, Instant};

use aiproxy::cli::mock::Mock;

use super::{aiproxy, program, text};
use crate::support::gateway::chat_body;
use crate::support::raw_client::{exchange, post};

/// A process; it is killed at the end.
struct Process(Child);

/// A serving process.
struct Server {
    _process: Process,
    data: SocketAddr,
    /// Kept open, so that the process log can go on.
    _stderr: BufReader<ChildStderr>,
}

impl Server {
    /// Starts it and waits until it says where it listens.
    fn start(folder: &Path, words: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = program(folder, words, variables);
        let mut process = Process(command.stderr(Stdio::piped()).spawn().expect("it runs"));
        let mut stderr = BufReader::new(process.0.stderr.take().expect("a pipe"));
        let mut log = String::new();
        loop {
            let read = stderr.read_line(&mut log).expect("a line");
            assert_ne!(read, 0, "it ended: {log}");
            let address = log
                .split_whitespace()
                .find_map(|word| word.strip_prefix("data="));
            if let Some(address) = address {
                return Self {
                    _process: process,
                    data: address.parse().expect("an address"),
                    _stderr: stderr,
                };
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn no_file_is_needed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).expect("a mock");
    let base_url = format!("http://{}/v1", mock.addr());
    let variables = [
        ("OPENAI_BASE_URL", base_url.as_str()),
        ("OPENAI_API_KEY", "sk-environment"),
    ];
    let server = Server::start(folder.path(), "--port 0 --admin-port 0", &variables);
    let answer = exchange(
        server.data,
        post("/v1/chat/completions", &chat_body("mock", "")),
    );
    assert_eq!(answer.status, 200);
    let sent = mock.requests().remove(0);
    assert!(format!("{sent:?}").contains("sk-environment"));
    // The row is there soon, in the file that nobody named.
    let begun = Instant::now();
    loop {
        let output = aiproxy(folder.path(), "logs --json", &[]);
        if text(&output.stdout).contains(r#""outcome":"ok""#) {
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{}",
            text(&output.stderr)
        );
    }
    assert!(folder.path().join("aiproxy.db").is_file());
}

#[test]
fn a_second_instance_does_not_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = |words: &str| {
        let variables = [
            ("DATABASE_URL", "sqlite://a.db"),
            ("AIPROXY__LOG__SPOOL_DIR", "spool-a"),
        ];
        Server::start(folder.path(), words, &variables)
    };
    let _first = start("--port 0 --admin-port 0");
    for (database, spool, what) in [
        ("sqlite://a.db", "spool-b", "the database a.db"),
        ("sqlite://b.db", "spool-a", "the spool directory"),
    ] {
        let variables = [
            ("DATABASE_URL", database),
            ("AIPROXY__LOG__SPOOL_DIR", spool),
        ];
        let second = aiproxy(folder.path(), "serve --port 0 --admin-port 0", &variables);
        let said = text(&second.stderr);
        assert_eq!(second.status.code(), Some(4), "{said}");
        assert!(said.contains(what), "{said}");
    }
    // The other commands take no lock.
    let logs = aiproxy(folder.path(), "logs", &[("DATABASE_URL", "sqlite://a.db")]);
    assert_eq!(text(&logs.stdout), "no exchanges\n");
}

#[test]
fn a_port_that_is_taken_is_exit_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let output = aiproxy(folder.path(), &format!("--port {port} --admin-port 0"), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let said = text(&output.stderr);
    assert!(
        said.starts_with(&format!(
            "aiproxy: cannot listen on 127.0.0.1:{port} (server.port, --port): Address already in use"
        )),
        "{said}"
    );
}
