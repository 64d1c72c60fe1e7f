//! The program from outside: what it prints, where, and how it ends.

mod demo;
mod edit;
mod import;
mod init;
mod models;
mod records;
mod serve;
mod switched;

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs the program in `folder` with nothing but `variables` in its environment.
fn aiproxy(folder: &Path, words: &str, variables: &[(&str, &str)]) -> Output {
    program(folder, words, variables)
        .output()
        .expect("the program runs")
}

fn program(folder: &Path, words: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aiproxy"));
    command
        .args(words.split_whitespace())
        .current_dir(folder)
        .env_clear();
    command.envs(variables.iter().copied()).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn folder_with(yaml: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("aiproxy.yaml"), yaml).expect("written");
    folder
}

#[test]
fn every_way_to_end_has_its_code() {
    let right = folder_with("server: { port: 9000 }");
    let wrong = folder_with("server: { prot: 9000 }");
    let empty = tempfile::tempdir().expect("a folder");
    for (folder, words, code) in [
        (&right, "config check", 0),
        (&right, "config show", 0),
        (&right, "config path", 0),
        (&right, "--show", 0),
        (&right, "--help", 0),
        (&right, "-h", 0),
        (&right, "--version", 0),
        (&empty, "config check", 0),
        (&empty, "config path", 1),
        (&wrong, "config check", 2),
        (&wrong, "config show", 2),
        (&wrong, "config path", 0),
        (&right, "config check --config nowhere.yaml", 2),
        (&right, "a.yaml --config b.yaml config check", 2),
        (&right, "config", 2),
        (&right, "--port many", 2),
    ] {
        let output = aiproxy(folder.path(), words, &[]);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{words}: {}",
            text(&output.stderr)
        );
        // `config path` names the places on stderr, so that stdout is the file alone.
        let is_quiet = code == 0 && words != "config path";
        assert_eq!(output.stderr.is_empty(), is_quiet, "{words}");
    }
}

#[test]
fn problems_are_told_on_stderr_with_their_places() {
    let folder = folder_with("server:\n  prot: 9000\n  workers: many\n");
    let output = aiproxy(
        folder.path(),
        "config check",
        &[("AIPROXY__SERVER__PORT", "x")],
    );
    assert_eq!(text(&output.stdout), "");
    insta::assert_snapshot!(text(&output.stderr));
}

#[test]
fn a_word_that_is_no_command_is_told_with_those_that_there_are() {
    let folder = tempfile::tempdir().expect("a folder");
    for (words, part) in [
        ("log", "did you mean `logs`?"),
        ("server --port 1", "did you mean `serve`?"),
        ("start", "commands: serve, init, config, models, logs"),
        ("replay 17", "`aiproxy logs` lists it"),
        ("logs show x", "`aiproxy logs` lists it"),
        ("no.yaml", "no.yaml: cannot be read"),
    ] {
        let output = aiproxy(folder.path(), words, &[]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words}: {said}");
        assert!(said.contains(part), "{words}: {said}");
    }
    assert!(!folder.path().join("aiproxy.db").exists());
}

#[test]
fn flags_win_over_the_file_and_the_environment() {
    let folder = folder_with("server: { port: 9001 }");
    for (words, variables, port) in [
        ("config show", &[][..], 9001),
        (
            "config show",
            &[("AIPROXY__SERVER__PORT", "9002")][..],
            9002,
        ),
        (
            "--port 9003 config show",
            &[("AIPROXY__SERVER__PORT", "9002")][..],
            9003,
        ),
        ("-p 9003 --show", &[][..], 9003),
    ] {
        let shown = text(&aiproxy(folder.path(), words, variables).stdout);
        assert!(
            shown.contains(&format!("  port: {port}\n")),
            "{words}: {shown}"
        );
    }
}

#[test]
fn no_key_is_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    let canary = "canary-0123456789";
    let url = format!("postgres://u:{canary}@h/db");
    for words in [
        "config show".to_owned(),
        format!("--openai-api-key {canary} config show"),
        format!("--database-url mysql://u:{canary}@h config check"),
    ] {
        let output = aiproxy(
            folder.path(),
            &words,
            &[("OPENAI_API_KEY", canary), ("DATABASE_URL", &url)],
        );
        let printed = text(&output.stdout) + &text(&output.stderr);
        assert!(!printed.contains(canary), "{words}: {printed}");
        assert!(
            printed.contains("***") || printed.contains("database.url"),
            "{words}: {printed}"
        );
    }
}

#[test]
fn a_key_that_would_not_be_used_is_told() {
    let folder = folder_with("providers: [{ kind: openai, api_keys: [{ key: sk-file }] }]");
    let output = aiproxy(folder.path(), "--openai-api-key sk-flag config check", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("changes nothing"));
}

#[test]
fn a_closed_output_is_no_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    for words in ["config show", "--help"] {
        check_closed_output(folder.path(), words);
    }
}

/// Runs a command whose reader has gone.
#[track_caller]
fn check_closed_output(folder: &Path, words: &str) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = program(folder, words, &[])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs")
        .wait_with_output()
        .expect("the program ends");
    assert_eq!(
        (status.status.code(), text(&status.stderr).as_str()),
        (Some(0), ""),
        "{words}"
    );
}
