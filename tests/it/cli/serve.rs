//! The server as a process: what it needs to start, and what keeps it from it.

use std::net::SocketAddr;
use std::path::Path;

use aiproxy::cli::mock::Mock;

use super::{aiproxy, folder_with, program, text};
use crate::support::gateway::{chat_body, wait_until};
use crate::support::process::Program;
use crate::support::raw_client::{exchange, post};

/// Starts it and waits until it says where it listens.
pub(super) fn start(
    folder: &Path,
    words: &str,
    variables: &[(&str, &str)],
) -> (Program, SocketAddr) {
    let program = Program::start(program(folder, words, variables));
    let line = program.wait_line("serving data=");
    let mut words = line.split_whitespace();
    let address = words.find_map(|word| word.strip_prefix("data="));
    let address = address.and_then(|address| address.parse().ok());
    (program, address.expect("an address"))
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
    let (_server, data) = start(folder.path(), "--port 0 --admin-port 0", &variables);
    let answer = exchange(data, post("/v1/chat/completions", &chat_body("mock", "")));
    assert_eq!(answer.status, 200);
    let sent = mock.requests().remove(0);
    assert!(format!("{sent:?}").contains("sk-environment"));
    // The row is there soon, in the file that nobody named.
    wait_until("the row is there", || {
        let output = aiproxy(folder.path(), "logs --json", &[]);
        text(&output.stdout).contains(r#""outcome":"ok""#)
    });
    assert!(folder.path().join("aiproxy.db").is_file());
}

#[test]
fn a_second_instance_does_not_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let variables = [
        ("DATABASE_URL", "sqlite://a.db"),
        ("AIPROXY__LOG__SPOOL_DIR", "spool-a"),
    ];
    let _first = start(folder.path(), "--port 0 --admin-port 0", &variables);
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
fn a_database_without_its_folder_is_told_of_and_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let variables = [("DATABASE_URL", "sqlite://later/a.db")];
    let (server, _data) = start(folder.path(), "--port 0 --admin-port 0", &variables);
    server.wait_line("its folder does not exist");
}

#[test]
fn what_keeps_it_from_starting_is_told_once() {
    let yaml = "providers: [{ kind: openai, base_url: \"https://h/v1\", ca_cert: aiproxy.yaml }]";
    let folder = folder_with(yaml);
    let output = aiproxy(folder.path(), "--port 0 --admin-port 0", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        "aiproxy: provider 'openai': aiproxy.yaml: holds no certificate\n"
    );
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
