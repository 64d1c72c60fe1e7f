//! Configurations of other proxies: what becomes of each, that it serves, and what is said to wrong ones.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aiproxy::cli::mock::Mock;

use super::serve::start;
use super::{aiproxy, text};
use crate::support::gateway::chat_body;
use crate::support::raw_client::{exchange, post};

/// What stands in the place of an upstream in the fixtures.
const UPSTREAM: &str = "127.0.0.1:9999";

/// A folder with one fixture, or more, their upstream at `upstream`.
pub(super) fn folder_of(fixtures: &[&str], upstream: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in fixtures {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import");
        let fixture = std::fs::read_to_string(path.join(name)).expect(name);
        let fixture = fixture.replace(UPSTREAM, upstream);
        std::fs::write(folder.path().join(name), fixture).expect("written");
    }
    folder
}

/// Imports it onto stdout; gives what was printed, and what was said.
#[track_caller]
fn check(name: &str, words: &str, fixtures: &[&str], code: i32) {
    let folder = folder_of(fixtures, UPSTREAM);
    let output = aiproxy(folder.path(), &format!("config import {words}"), &[]);
    let (yaml, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{name}: {said}");
    assert!(
        !format!("{yaml}{said}").contains("canary"),
        "{name}: {yaml}{said}"
    );
    insta::assert_snapshot!(name, format!("{said}---\n{yaml}"));
    assert!(!folder.path().join("canary-was-run").exists());
}

#[test]
fn each_system_is_known_by_its_file() {
    check("litellm", "litellm.yaml", &["litellm.yaml"], 0);
    let groups = "litellm_groups.yaml";
    check("litellm_groups", groups, &[groups], 0);
    let gemini = "litellm_gemini.yaml";
    check("litellm_gemini", gemini, &[gemini], 0);
    let bedrock = "litellm_bedrock.yaml";
    check("litellm_bedrock", bedrock, &[bedrock], 0);
    check("ai_proxy_py", "ai_proxy.py", &["ai_proxy.py"], 0);
    check("ai_proxy_env", "ai_proxy.env", &["ai_proxy.env"], 0);
    check("ai_proxy_ocf", "ai_proxy_ocf.py", &["ai_proxy_ocf.py"], 0);
    check("asksage", "asksage.yaml", &["asksage.yaml"], 0);
    let rows = ["apiproxy.env", "apiproxy.json", "apiproxy.csv"];
    check(
        "apiproxy_json",
        "apiproxy.env --providers apiproxy.json",
        &rows,
        0,
    );
    check("apiproxy_csv", "apiproxy.csv", &rows, 0);
    let logical = "apiproxy_logical.json";
    check("apiproxy_logical", logical, &[logical], 2);
    check("argo_new", "argo_new.yaml", &["argo_new.yaml"], 0);
    check("argo_old", "argo_old.yaml", &["argo_old.yaml"], 0);
}

#[test]
fn what_has_no_kind_is_written_and_told() {
    let vertex = "litellm_vertex.yaml";
    check("litellm_vertex", vertex, &[vertex], 2);
}

#[test]
fn what_was_taken_over_serves() {
    let variables = [
        ("AZURE_API_KEY", "az-1"),
        ("ANTHROPIC_API_KEY", "sk-ant"),
        ("THIRD_KEY", "sk-3"),
        ("CLAUDE_API_KEY", "sk-ant"),
        ("OTHER_API_KEY", "sk-4"),
    ];
    for (words, fixtures, key) in [
        (
            "litellm.yaml",
            ["litellm.yaml"].as_slice(),
            "sk-canary-litellm",
        ),
        ("ai_proxy.py", &["ai_proxy.py"], "sk-canary-py"),
        ("ai_proxy_ocf.py", &["ai_proxy_ocf.py"], "sk-rc-canary-ocf"),
        ("asksage.yaml", &["asksage.yaml"], "canary-asksage-one"),
        ("ai_proxy.env", &["ai_proxy.env"], "sk-canary-own"),
        (
            "apiproxy.env --providers apiproxy.json",
            &["apiproxy.env", "apiproxy.json"],
            // The heavier of two keys has the first request.
            "sk-canary-two",
        ),
        ("apiproxy.csv", &["apiproxy.csv"], "sk-canary-csv"),
        ("argo_new.yaml", &["argo_new.yaml"], "canary-user"),
        ("argo_old.yaml", &["argo_old.yaml"], "canary-user"),
    ] {
        let mock = Mock::start(([127, 0, 0, 1], 0).into()).expect("a mock");
        let folder = folder_of(fixtures, &mock.addr().to_string());
        let import = format!("config import {words} --out aiproxy.yaml");
        let output = aiproxy(folder.path(), &import, &[]);
        assert!(output.status.success(), "{words}: {}", text(&output.stderr));
        let file = folder.path().join("aiproxy.yaml");
        let mode = std::fs::metadata(&file)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{words}");
        // A file that is there stays, unless it is said otherwise.
        let again = aiproxy(folder.path(), &import, &[]);
        assert_eq!(again.status.code(), Some(2), "{words}");
        let forced = aiproxy(folder.path(), &format!("{import} --force"), &[]);
        assert!(forced.status.success(), "{words}");
        let checked = aiproxy(folder.path(), "config check", &variables);
        assert!(
            checked.status.success(),
            "{words}: {}",
            text(&checked.stderr)
        );
        let (_server, data) = start(folder.path(), "--port 0 --admin-port 0", &variables);
        let answer = exchange(data, post("/v1/chat/completions", &chat_body("mock", "")));
        assert_eq!(answer.status, 200, "{words}");
        let sent = format!("{:?}", mock.requests());
        assert!(sent.contains(key), "{words}: {sent}");
    }
}

#[test]
fn logical_models_that_were_taken_over_are_right() {
    let variables = [("ANTHROPIC_API_KEY", "sk-ant")];
    for (fixture, model) in [
        (
            "litellm_groups.yaml",
            "  gpt-4o-mini:\n    strategy: latency_first",
        ),
        ("apiproxy_logical.json", "  fast:\n    strategy: cost_first"),
    ] {
        let folder = folder_of(&[fixture], UPSTREAM);
        let import = format!("config import {fixture} --out aiproxy.yaml");
        aiproxy(folder.path(), &import, &[]);
        let shown = aiproxy(folder.path(), "config show", &variables);
        assert!(shown.status.success(), "{}", text(&shown.stderr));
        assert!(text(&shown.stdout).contains(model), "{fixture}");
    }
}

/// Vendors whose address stands in no configuration: the mock is put in their place.
#[test]
fn what_was_taken_over_of_gemini_and_bedrock_serves() {
    let variables = [("MY_TOKEN", "aws-token")];
    for (fixture, kind, model, shown) in [
        (
            "litellm_gemini.yaml",
            "gemini",
            "gemini-2.5-flash",
            "sk-canary-gemini",
        ),
        (
            "litellm_bedrock.yaml",
            "bedrock",
            "amazon.nova-pro-v1:0",
            "aws-token",
        ),
    ] {
        let mock = Mock::start(([127, 0, 0, 1], 0).into()).expect("a mock");
        let folder = folder_of(&[fixture], UPSTREAM);
        let import = format!("config import {fixture} --out aiproxy.yaml");
        let output = aiproxy(folder.path(), &import, &[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let file = folder.path().join("aiproxy.yaml");
        let written = std::fs::read_to_string(&file).expect("a file");
        let place = format!("kind: {kind}\n    base_url: http://{}\n", mock.addr());
        let moved = written.replace(&format!("kind: {kind}\n"), &place);
        assert_ne!(moved, written);
        std::fs::write(&file, moved).expect("written");
        let (_server, data) = start(folder.path(), "--port 0 --admin-port 0", &variables);
        let answer = exchange(data, post("/v1/chat/completions", &chat_body(model, "")));
        assert_eq!(answer.status, 200, "{fixture}: {}", answer.text());
        let sent = format!("{:?}", mock.requests());
        assert!(sent.contains(shown), "{fixture}: {sent}");
    }
}

#[test]
fn wrong_files_are_told_with_their_places() {
    for (name, holds, words, said) in [
        (
            "a.yaml",
            "model_list: 3",
            "a.yaml",
            "a.yaml:1:13: model_list: expected a list",
        ),
        ("a.yaml", "model_list: []", "a.yaml", "missing or empty"),
        ("a.yaml", "model_list: [3]", "a.yaml", "expected a section"),
        (
            "a.yaml",
            "model_list: [{ model_name: a }]",
            "a.yaml",
            "litellm_params.model: missing",
        ),
        ("a.yaml", "model_list: [", "a.yaml", "a.yaml:"),
        ("a.yaml", "nothing: here", "a.yaml", "say whose it is"),
        ("a.yaml", "", "a.yaml", "say whose it is"),
        ("a.yaml", "user: a", "a.yaml", "port: missing"),
        (
            "a.yaml",
            "user: cels\nport: 1",
            "a.yaml",
            "`cels` is nobody's",
        ),
        ("a.yaml", "api_keys: []", "a.yaml", "api_keys: missing"),
        (
            "a.yaml",
            "api_keys: [a, { key: b, weight: 0 }]",
            "a.yaml",
            "above 0",
        ),
        (
            "a.py",
            "E = [{'url': 'http://a', 'type': 'x'}]",
            "a.py",
            "allowed: ocf, openai",
        ),
        ("a.py", "E = [{'url': 'h'}]", "a.py", "expected a URL"),
        ("a.py", "E = [{'url': ", "a.py --from ai-proxy", "a.py:1"),
        (
            "a.env",
            "ENDPOINTS={\"a",
            "a.env",
            "begins as JSON and is none",
        ),
        ("a.env", "SECRET_KEY=a", "a.env", "--providers FILE"),
        (
            "a.csv",
            "provider_id,base_url\na",
            "a.csv",
            "expected 2 fields",
        ),
        (
            "a.csv",
            "provider_id,base_url\na,\"",
            "a.csv --from apiproxy",
            "never closed",
        ),
        (
            "a.json",
            "[{\"base_url\": \"http://h\"}]",
            "a.json",
            "provider_id: missing",
        ),
        (
            "a.yaml",
            "model_list: []",
            "a.yaml --providers a.yaml",
            "leave --providers out",
        ),
        ("a.yaml", "", "b.yaml", "b.yaml cannot be read"),
        ("a.yaml", "", "a.yaml --from nobody", "invalid value"),
        ("a.yaml", "", "a.yaml --force", "--out"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(name), holds).expect("written");
        let output = aiproxy(folder.path(), &format!("config import {words}"), &[]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{holds}: {told}");
        assert!(told.contains(said), "{holds}: {told}");
        assert!(output.stdout.is_empty(), "{holds}");
    }
}
