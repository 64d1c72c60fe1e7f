//! The first configuration, asked for on a terminal: what is typed, what becomes of it, and what never does.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aiproxy::cli::mock::Mock;
use aiproxy::config::ProviderKind;

use super::serve::start;
use super::{aiproxy, folder_with, program, text};
use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::chat_body;
use crate::support::raw_client::{exchange, post};
use crate::support::terminal::Terminal;
use crate::support::tls_upstream::{Authority, Certificate, TlsUpstream};
use crate::support::wire::json;

const KEY: &str = "sk-canary-0123456789";

fn init(folder: &Path, words: &str) -> Terminal {
    Terminal::start(&program(
        folder,
        &format!("init {words}"),
        &[("TERM", "xterm")],
    ))
}

/// Answers the questions before the first provider. Port 0 is free whoever else runs.
fn ports(terminal: &mut Terminal) {
    terminal.answer("port for clients [", "0");
    terminal.answer("port for metrics and management [", "0");
}

/// Answers what every provider is asked, its keys excepted.
fn provider(terminal: &mut Terminal, kind: &str, url: &str) {
    terminal.answer("kind [openai]", kind);
    terminal.answer("name [", "");
    terminal.answer("URL", url);
}

fn one_key(terminal: &mut Terminal, key: &str) {
    terminal.answer_hidden("key, not shown", key);
    terminal.answer("its name in the record [key-1]", "");
    terminal.answer("another key", "n");
}

/// An address where nobody listens: a moment ago it was ours.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

fn is_there(folder: &Path) -> bool {
    folder.join("aiproxy.yaml").exists()
}

#[test]
fn what_was_answered_serves() {
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).expect("a mock");
    let folder = tempfile::tempdir().expect("a folder");
    let mut terminal = init(folder.path(), "");
    terminal.wait("the configuration will be aiproxy.yaml");
    ports(&mut terminal);
    provider(&mut terminal, "", &format!("http://{}/v1", mock.addr()));
    terminal.answer_hidden("key, not shown", KEY);
    terminal.answer("its name in the record [key-1]", "team");
    terminal.answer("another key", "y");
    terminal.answer_hidden("key, not shown", &format!("{KEY}-2"));
    terminal.answer("its name in the record [key-2]", "team");
    terminal.wait("is the name of another key of this provider");
    terminal.answer("its name in the record [key-2]", "");
    // A key alone has no weight; of several each has one.
    terminal.answer("weight of team [1]", "");
    let weight = "weight of key-2 [1]";
    for (answer, said) in [
        ("0", "out of range; allowed: a number above 0"),
        ("-1", "out of range; allowed: a number above 0"),
        ("inf", "expected a number above 0, found text"),
        ("heavy: 1", "expected a number above 0, found text"),
    ] {
        terminal.answer(weight, answer);
        terminal.wait(said);
    }
    terminal.answer(weight, "0.25");
    terminal.answer("another key", "y");
    terminal.answer_hidden("key, not shown (empty: no more)", "");
    terminal.wait("team: it answers (200)");
    terminal.wait("key-2: it answers (200)");
    terminal.answer("another provider", "n");
    terminal.answer("database [aiproxy.db]", "records/a.db");
    terminal.wait("its folder does not exist");
    terminal.answer("keep this database all the same", "y");
    // What is shown is the file, but for its keys.
    terminal.wait("url: sqlite://records/a.db");
    terminal.wait("key: \"***");
    terminal.wait("weight: 1.0");
    terminal.wait("name: key-2");
    terminal.wait("weight: 0.25");
    terminal.answer("write it", "yes");
    terminal.wait("aiproxy serve --config aiproxy.yaml");
    assert_eq!(terminal.exit_code(), Some(0));
    assert!(!terminal.text().contains(KEY), "{}", terminal.text());
    let file = folder.path().join("aiproxy.yaml");
    let mode = std::fs::metadata(&file).expect("a file").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let files = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(files, 1, "nothing else is left");
    let checked = aiproxy(folder.path(), "config check", &[]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    mock.reset();
    std::fs::create_dir(folder.path().join("records")).expect("a folder");
    let (_server, data) = start(folder.path(), "serve --config aiproxy.yaml", &[]);
    let answer = exchange(data, post("/v1/chat/completions", &chat_body("mock", "")));
    assert_eq!(answer.status, 200);
    let sent = format!("{:?}", mock.requests());
    assert!(sent.contains(&format!("Bearer {KEY}\\r")), "{sent}");
}

#[test]
fn every_kind_has_questions_of_its_own() {
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).expect("a mock");
    let folder = tempfile::tempdir().expect("a folder");
    let at = |path: &str| format!("http://{}{path}", mock.addr());
    let mut terminal = init(folder.path(), "--out own.yaml");
    ports(&mut terminal);
    for (kind, path, own, key) in [
        ("anthropic", "", [].as_slice(), "sk-canary-a"),
        ("gemini", "", &[], "sk-canary-g"),
        ("ocf", "", &[], ""),
        (
            "asksage",
            "/server",
            &[("dataset", "mine"), ("persona", "5")],
            "canary-s",
        ),
        ("argo", "/argoapi", &[("user name", "ann")], "none"),
        ("argo", "/argoapi", &[("user name", "ann")], "none"),
    ] {
        provider(&mut terminal, kind, &at(path));
        for (question, answer) in own {
            terminal.answer(question, answer);
        }
        match key {
            "none" => {}
            "" => terminal.answer_hidden("key, not shown", ""),
            key => one_key(&mut terminal, key),
        }
        terminal.wait("it answers (200)");
        terminal.answer("another provider", "y");
    }
    provider(&mut terminal, "azure", &at(""));
    terminal.answer("version of its API", "2025-01-01");
    terminal.answer("MODEL=DEPLOYMENT", "gpt-4o=mine");
    terminal.answer("MODEL=DEPLOYMENT", "gpt-4o");
    terminal.wait("expected two names with `=`");
    terminal.answer("MODEL=DEPLOYMENT", "b = ");
    terminal.wait("is empty");
    terminal.answer("MODEL=DEPLOYMENT", "");
    terminal.answer_hidden("key, not shown", "");
    terminal.wait("it answers (200)");
    for id in ["AKIA1", ""] {
        terminal.answer("another provider", "y");
        provider(&mut terminal, "bedrock", &at(""));
        terminal.answer("region, such as", "nowhere");
        terminal.wait("expected a region");
        terminal.answer("region, such as", "eu-west-1");
        terminal.answer("access key ID", id);
        match id {
            "" => one_key(&mut terminal, "canary-b"),
            _ => {
                terminal.answer_hidden("secret access key, not shown", "");
                terminal.wait("missing; access_key_id needs it");
                terminal.answer_hidden("secret access key, not shown", "canary-aws");
                terminal.answer_hidden("session token, not shown", "canary-token");
            }
        }
        terminal.wait("it can be reached (200); its credentials are not tried");
    }
    terminal.answer("another provider", "n");
    let nobody = nobody();
    for wanted in ["n", "y"] {
        terminal.answer(
            "database [aiproxy.db]",
            &format!("postgres://ann@{nobody}/d"),
        );
        terminal.answer_hidden("its password, not shown", "p@canary");
        terminal.wait("it cannot be reached");
        terminal.answer("keep this database all the same", wanted);
    }
    terminal.wait("postgres://ann:***");
    terminal.answer("write it", "y");
    assert_eq!(terminal.exit_code(), Some(0));
    assert!(!terminal.text().contains("canary"), "{}", terminal.text());
    let yaml = std::fs::read_to_string(folder.path().join("own.yaml")).expect("a file");
    let yaml = yaml.replace(&mock.addr().to_string(), "127.0.0.1:9999");
    let yaml = yaml.replace(&format!("@{nobody}/"), "@127.0.0.1:9998/");
    // OpenAI's is in the other tests.
    for kind in ProviderKind::words()
        .iter()
        .filter(|kind| **kind != "openai")
    {
        let is_here = yaml.contains(&format!("    kind: {kind}\n"));
        assert!(
            is_here,
            "{kind}: its settings in init's table, and a row here"
        );
    }
    insta::assert_snapshot!("init_every_kind", yaml);
}

#[test]
fn wrong_answers_are_asked_again() {
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).expect("a mock");
    let folder = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut terminal = init(folder.path(), "");
    let port = "port for clients [";
    terminal.answer(port, "many");
    terminal.wait("expected a whole number");
    terminal.answer(port, "65536");
    terminal.wait("out of range; allowed: 0 to 65535");
    let address = taken.local_addr().expect("an address");
    terminal.answer(port, &address.port().to_string());
    terminal.answer("is taken now; use it all the same", "");
    terminal.answer(port, "8765: x");
    terminal.wait("expected a whole number");
    ports(&mut terminal);
    terminal.answer("kind [openai]", "opena");
    terminal.wait("`opena` is not allowed; allowed: openai, azure");
    terminal.answer("kind [openai]", "anthropic");
    terminal.answer("name [anthropic]", "v1");
    terminal.wait("is taken by a path of ours");
    terminal.answer("name [anthropic]", "");
    let url = "URL [https://api.anthropic.com]";
    terminal.answer(url, "ftp://h");
    terminal.wait("expected a URL such as");
    terminal.answer(url, "http://h/v1");
    terminal.wait("leave out /v1");
    terminal.answer(url, &format!("http://{}", mock.addr()));
    terminal.answer_hidden("key, not shown", &format!(" {KEY}"));
    terminal.wait("begins or ends with white space");
    one_key(&mut terminal, KEY);
    terminal.answer("another provider", "n");
    for (answer, said) in [
        ("mysql://u@h/d", "unknown kind of database `mysql`"),
        ("folder/", "this is a folder"),
    ] {
        terminal.answer("database [aiproxy.db]", answer);
        terminal.wait(said);
    }
    terminal.answer("database [aiproxy.db]", "");
    terminal.answer("write it", "no");
    terminal.wait("nothing was written");
    assert_eq!(terminal.exit_code(), Some(1));
    assert!(!is_there(folder.path()));
    assert!(!terminal.text().contains(KEY), "{}", terminal.text());
}

#[test]
fn providers_that_do_not_answer_are_told() {
    let refusing = FakeUpstream::answering(json(401, "", "{}"));
    let elsewhere = FakeUpstream::answering(json(404, "", "{}"));
    let nobody = format!("http://{}/v1", nobody());
    let folder = tempfile::tempdir().expect("a folder");
    let mut terminal = init(folder.path(), "");
    ports(&mut terminal);
    for (url, key, said) in [
        (
            nobody,
            "",
            "it cannot be reached: no connection: connection refused",
        ),
        (refusing.base_url(), KEY, "key-1: it refuses the key (401)"),
        (elsewhere.base_url(), "", "it answers with 404"),
    ] {
        provider(&mut terminal, "", &url);
        match key {
            "" => terminal.answer_hidden("key, not shown", ""),
            key => one_key(&mut terminal, key),
        }
        terminal.wait(said);
        terminal.answer("keep this provider all the same", "");
    }
    provider(&mut terminal, "", &refusing.base_url());
    terminal.answer_hidden("key, not shown", "");
    terminal.wait("it answers, and wants a key (401)");
    terminal.answer("another provider", "y");
    provider(&mut terminal, "", &elsewhere.base_url());
    terminal.answer_hidden("key, not shown", "");
    terminal.answer("keep this provider all the same", "y");
    terminal.answer("another provider", "n");
    terminal.answer("database", "");
    terminal.wait("- name: openai");
    terminal.wait("name: openai-2");
    terminal.answer("write it", "y");
    assert_eq!(terminal.exit_code(), Some(0));
    assert!(!terminal.text().contains(KEY), "{}", terminal.text());
    assert!(refusing.received(1).starts_with(b"GET /v1/models "));
}

#[test]
fn an_authority_of_ones_own_is_asked_for() {
    let authority = Authority::new();
    let upstream = TlsUpstream::start(authority.issue(Certificate::Good), json(200, "", "{}"));
    let folder = folder_with("server: { port: 9000 }\n");
    let mut terminal = init(folder.path(), "--force --out a.yaml");
    ports(&mut terminal);
    let question = "extra CA certificate";
    provider(&mut terminal, "", &upstream.base_url());
    terminal.answer(question, "");
    terminal.answer_hidden("key, not shown", "");
    terminal.wait("it cannot be reached: TLS: certificate refused: UnknownIssuer");
    terminal.answer("keep this provider all the same", "n");
    provider(&mut terminal, "", &upstream.base_url());
    terminal.answer(question, "nowhere.pem");
    terminal.wait("cannot be read");
    terminal.answer(question, "aiproxy.yaml");
    terminal.wait("holds no certificate");
    terminal.answer(question, &authority.file().display().to_string());
    terminal.answer_hidden("key, not shown", "");
    terminal.wait("it answers (200)");
    terminal.answer("another provider", "n");
    terminal.answer("database", "");
    terminal.answer("write it", "y");
    assert_eq!(terminal.exit_code(), Some(0));
}

#[test]
fn a_file_that_is_there_is_replaced_only_when_that_is_wanted() {
    const BEFORE: &str = "server: { port: 9000 }\n";
    let folder = folder_with(BEFORE);
    let mut terminal = init(folder.path(), "");
    terminal.answer("this file is there already; replace it", "n");
    terminal.wait("nothing was written");
    assert_eq!(terminal.exit_code(), Some(1));
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).expect("a mock");
    let file = folder.path().join("aiproxy.yaml");
    for (words, is_asked, answer) in [
        ("", true, "n"),
        ("--force", false, "n"),
        ("--config aiproxy.yaml", true, "n"),
        ("", true, "y"),
    ] {
        let mut terminal = init(folder.path(), words);
        if is_asked {
            terminal.answer("replace it", "y");
        }
        ports(&mut terminal);
        provider(&mut terminal, "", &format!("http://{}/v1", mock.addr()));
        terminal.answer_hidden("key, not shown", "");
        terminal.answer("another provider", "n");
        terminal.answer("database", "");
        assert_eq!(std::fs::read_to_string(&file).expect("a file"), BEFORE);
        terminal.answer("write it", answer);
        assert_eq!(terminal.exit_code(), Some(i32::from(answer == "n")));
    }
    assert_ne!(std::fs::read_to_string(&file).expect("a file"), BEFORE);
}

/// Where Ctrl-C is pressed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Text,
    Key,
    Try,
    Choice,
    Review,
}

/// Goes on until there, and presses it.
fn interrupt_at(place: Place, url: &str, terminal: &mut Terminal) {
    if place == Place::Text {
        return terminal.interrupt("port for clients");
    }
    ports(terminal);
    provider(terminal, "", url);
    if place == Place::Key {
        return terminal.interrupt_hidden("key, not shown");
    }
    terminal.answer_hidden("key, not shown", "");
    if place == Place::Try {
        terminal.wait("for its models");
        return terminal.press_interrupt();
    }
    if place == Place::Choice {
        return terminal.interrupt("another provider");
    }
    terminal.answer("another provider", "n");
    terminal.answer("database", "");
    terminal.interrupt("write it");
}

#[test]
fn ctrl_c_leaves_nothing_but_a_terminal_as_it_was() {
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).expect("a mock");
    let silent = FakeUpstream::start(vec![vec![Step::ReadRequest, Step::ReadToEnd]]);
    let url = format!("http://{}/v1", mock.addr());
    for (place, url) in [
        (Place::Text, &url),
        (Place::Key, &url),
        (Place::Try, &silent.base_url()),
        (Place::Choice, &url),
        (Place::Review, &url),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut terminal = init(folder.path(), "");
        interrupt_at(place, url, &mut terminal);
        terminal.wait("interrupted; nothing was written");
        assert_eq!(terminal.exit_code(), Some(130), "{place:?}");
        assert!(terminal.shows_keys(), "{place:?}");
        let files = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(files, 0, "{place:?}");
    }
}

#[test]
fn without_a_terminal_it_says_what_to_do_instead() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = aiproxy(folder.path(), "init --force", &[]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("aiproxy config import FILE"), "{said}");
    assert!(!is_there(folder.path()));
}

#[test]
fn a_folder_that_is_not_there_is_told_before_the_first_question() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut terminal = init(folder.path(), "--out nowhere/a.yaml");
    terminal.wait("cannot write to nowhere: entity not found");
    assert_eq!(terminal.exit_code(), Some(1));
}
