//! What can be asked for, and asking the providers for it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use super::{aiproxy, folder_with, program, text};
use crate::support::fake_upstream::{FakeUpstream, Script, Step};
use crate::support::terminal::Terminal;
use crate::support::wire::{WHOLE, json};

const KEY: &str = "sk-canary-of-the-provider";
const TABLE: &str = include_str!("../../fixtures/ocf/table.json");
const KEPT: &str = "aiproxy-spool.models.json";

/// So that each request has a connection of its own.
const CLOSE: &str = "connection: close\r\n";

fn then(status: u16, body: &str) -> Script {
    vec![
        Step::ReadRequest,
        Step::Send(json(status, CLOSE, body)),
        Step::ReadToEnd,
    ]
}

fn list(names: &[&str]) -> Script {
    let entries: Vec<String> = names
        .iter()
        .map(|id| format!(r#"{{"id":"{id}"}}"#))
        .collect();
    then(200, &format!(r#"{{"data":[{}]}}"#, entries.join(",")))
}

/// One provider before this upstream, with these settings of `models`.
fn folder_before(upstream: &FakeUpstream, models: &str) -> TempDir {
    folder_with(&format!(
        "providers:\n  - {{ name: one, kind: openai, base_url: \"{}\", api_keys: [{{ key: {KEY} }}], models: {models} }}\n",
        upstream.base_url(),
    ))
}

/// Runs it; its exit code, what it printed, and what it complained of.
fn run(folder: &Path, words: &str) -> (Option<i32>, String, String) {
    let output = aiproxy(folder, words, &[]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(
        !out.contains("canary") && !err.contains("canary"),
        "{out}{err}"
    );
    (output.status.code(), out, err)
}

#[test]
fn what_can_be_asked_for_is_listed_and_nobody_is_asked() {
    let upstream = FakeUpstream::start(vec![list(&["never"])]);
    let yaml = format!(
        "providers:\n  - {{ name: one, kind: openai, base_url: \"{}\", models: {{ allow: [\"gpt-*\"], list: [m-1] }} }}\n  - {{ name: two, kind: openai, base_url: \"{}\", models: {{ discover: true }} }}\nmodels:\n  fast:\n    targets: [{{ provider: one, model: m-1 }}, {{ provider: two, model: m-2 }}]\n",
        upstream.base_url(),
        upstream.base_url(),
    );
    let folder = folder_with(&yaml);
    let (code, out, err) = run(folder.path(), "models");
    assert_eq!(code, Some(0), "{err}");
    let rows: Vec<Vec<&str>> = out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let expected = [
        "name provider model source device",
        "fast one m-1 logical -",
        "fast two m-2 logical -",
        "m-1 one m-1 listed -",
        "gpt-* one - allowed pattern -",
    ];
    let expected: Vec<Vec<&str>> = expected
        .iter()
        .map(|row| row.split(' ').collect())
        .collect();
    assert_eq!(rows, expected, "{out}");
    assert!(
        err.contains("the models of two are not known here"),
        "{err}"
    );
    let (_, out, _) = run(folder.path(), "models --json");
    let first =
        r#"{"name":"fast","provider":"one","model":"m-1","source":"logical","device":null}"#;
    assert_eq!(out.lines().next(), Some(first));
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_refresh_keeps_what_came_and_tells_what_has_changed() {
    let lists = vec![list(&["b", "a", "a"]), list(&["b", "c"]), then(500, "{}")];
    let upstream = FakeUpstream::start(lists);
    let node = FakeUpstream::start(vec![then(200, TABLE)]);
    let html = FakeUpstream::start(vec![then(200, "<html>")]);
    let yaml = format!(
        "providers:\n  - {{ name: one, kind: openai, base_url: \"{}\", api_keys: [{{ key: {KEY} }}], prefix: lab, models: {{ discover: true, deny: [b] }} }}\n  - {{ name: node, kind: ocf, base_url: \"http://{}\", models: {{}} }}\n  - {{ name: page, kind: openai, base_url: \"{}\" }}\n",
        upstream.base_url(),
        node.addr(),
        html.base_url(),
    );
    let folder = folder_with(&yaml);
    let wrong = "page: the answer is an HTML page, not a list of models\n";
    for one in [
        "one: 2 models\n",
        "one: 2 models, +c -a\n",
        "one: it answers with 500\n",
    ] {
        let (code, out, err) = run(folder.path(), "models refresh");
        assert_eq!(code, Some(1), "{out}");
        for part in [one, "node: 2 models", wrong, KEPT] {
            assert!(out.contains(part), "{part}: {out}");
        }
        assert!(err.contains("of 3 providers gave no list"), "{err}");
    }
    let kept = std::fs::metadata(folder.path().join(KEPT)).expect("it is kept");
    assert_eq!(kept.permissions().mode() & 0o777, 0o600);
    let (code, out, err) = run(folder.path(), "models");
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let rows: Vec<String> = out
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let gpu = "1x NVIDIA GH200 120GB";
    let qwen = "Qwen/Qwen2.5-7B-Instruct-1M";
    assert_eq!(
        rows[1..],
        [
            "lab/c one c discovered API".to_owned(),
            format!("{qwen} node {qwen} discovered {gpu}"),
            format!("Qwen/Qwen3-8B node Qwen/Qwen3-8B discovered {gpu}, Unknown"),
            "* page - allowed pattern -".to_owned(),
        ],
        "{out}"
    );
    // What somebody else has written there is told, and stays.
    std::fs::write(folder.path().join(KEPT), "{}").expect("written");
    for words in ["models", "models refresh"] {
        let (code, _, err) = run(folder.path(), words);
        assert_eq!(code, Some(1), "{words}");
        assert!(
            err.contains("is not what `aiproxy models refresh` writes"),
            "{err}"
        );
    }
}

#[test]
fn tries_are_paid_for_only_when_somebody_agrees() {
    let lists = (0..4).map(|_| list(&["a", "dall-e-3"]));
    let scripts = lists.chain([then(200, WHOLE)]).collect();
    let upstream = FakeUpstream::start(scripts);
    let folder = folder_before(&upstream, "{ discover: true }");
    for words in ["models refresh --probe", "--refresh-available-models"] {
        let (code, out, err) = run(folder.path(), words);
        assert_eq!(code, Some(2), "{words}: {err}");
        let estimate =
            "1 paid calls, at most 13 tokens; 1 models that are not for chats are not tried";
        assert!(out.contains(estimate), "{words}: {out}");
        assert!(err.contains("--probe --yes"), "{words}: {err}");
    }
    let mut terminal = Terminal::start(&program(folder.path(), "models refresh --probe", &[]));
    terminal.answer_line("make them? [y/N]", "no");
    assert_eq!(terminal.exit_code(), Some(1));
    assert_eq!(upstream.connections(), 3);
    // The lists came all the same.
    let (_, out, _) = run(folder.path(), "models");
    assert!(out.contains("discovered"), "{out}");
    let mut terminal = Terminal::start(&program(folder.path(), "models refresh --probe", &[]));
    terminal.answer_line("make them? [y/N]", "y");
    terminal.wait("] 0 of 1");
    terminal.wait("] 1 of 1");
    assert_eq!(terminal.exit_code(), Some(0));
    assert_eq!(upstream.connections(), 5);
}

#[test]
fn what_refuses_us_is_left_out_until_it_answers() {
    let refused = r#"{"error":{"message":"none of yours","code":"model_not_found"}}"#;
    let names = ["m-1", "m-2", "text-embedding-1"];
    let upstream = FakeUpstream::start(vec![
        list(&names),
        then(404, refused),
        then(200, WHOLE),
        list(&names),
        then(200, WHOLE),
        then(429, "{}"),
    ]);
    let folder = folder_before(&upstream, "{ discover: true, allow: [\"m-*\"] }");
    let (code, out, err) = run(folder.path(), "models refresh --probe --yes");
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("2 paid calls, at most 26 tokens\n"), "{out}");
    assert!(
        out.contains("refuses (404)\none: 1 models left out\n"),
        "{out}"
    );
    let sent = upstream.received(1);
    let sent = text(&sent);
    assert!(sent.starts_with("POST /v1/chat/completions HTTP"), "{sent}");
    assert!(
        sent.contains(&format!("Bearer {KEY}")) && sent.contains(r#""max_tokens":1"#),
        "{sent}"
    );
    let discovered = || {
        let (_, out, _) = run(folder.path(), "models");
        out.matches("discovered").count()
    };
    assert_eq!(discovered(), 1);
    let (code, out, _) = run(folder.path(), "models refresh --probe --yes");
    assert_eq!(code, Some(0), "{out}");
    assert!(
        out.contains("is not known to answer: it answers with 429"),
        "{out}"
    );
    assert_eq!(discovered(), 2);
}

#[test]
fn when_all_refuse_it_is_not_the_models() {
    let upstream = FakeUpstream::start(vec![list(&["a"]), then(403, "{}")]);
    let folder = folder_before(&upstream, "{}");
    let (code, out, _) = run(folder.path(), "models refresh --probe --yes");
    assert_eq!(code, Some(0), "{out}");
    assert!(
        out.contains("one: all 1 models refuse, so it is likely the key"),
        "{out}"
    );
    let (_, out, _) = run(folder.path(), "models");
    assert!(out.contains("discovered"), "{out}");
}
