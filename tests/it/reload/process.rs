//! SIGHUP, and what flags and the environment of the start mean later.

use std::path::Path;

use tempfile::TempDir;

use crate::support::fake_upstream::FakeUpstream;
use crate::support::process::{Program, Proxy, aiproxy, serve};
use crate::support::raw_client::{exchange, request};

use super::upstream;

fn yaml(dir: &Path, upstream: &FakeUpstream, more: &str) -> String {
    let dir = dir.display();
    format!(
        "server: {{ port: 1, workers: 2 }}\nadmin: {{ port: 0 }}\nlog: {{ spool_dir: \"{dir}/spool\" }}\n\
         database: {{ url: \"sqlite:///{dir}/test.db\" }}\n\
         providers: [{{ name: openai, kind: openai, base_url: \"{}\", api_keys: [{{ key: \"${{MY_KEY}}\" }}] }}]\n{more}\n",
        upstream.base_url()
    )
}

fn hang_up(program: &Program) {
    let sent = std::process::Command::new("kill")
        .args(["-HUP", &program.pid().to_string()])
        .status();
    assert!(sent.expect("a program of every system").success());
}

#[test]
fn f87_sighup_reads_the_file_anew() {
    const KEY: &str = "sk-canary-variable-0123456789";
    let dir = TempDir::new().expect("a folder");
    let file = dir.path().join("aiproxy.yaml");
    let (first, second) = (upstream("one"), upstream("two"));
    let replace = |text: &str| {
        let new = dir.path().join("new.yaml");
        std::fs::write(&new, text).expect("a file");
        std::fs::rename(new, &file).expect("a rename");
    };
    replace(&yaml(dir.path(), &first, ""));
    let mut command = serve(&file);
    command.args(["--port", "0"]).env("MY_KEY", KEY);
    let proxy = Proxy::of(Program::start(command));
    assert!(proxy.chat("m", "").text().contains("one"));

    replace(&yaml(
        dir.path(),
        &first,
        "filters: [{ kind: block_patterns, patterns: ['('] }]",
    ));
    hang_up(&proxy.program);
    let told = proxy.program.wait_line("the configuration of before stays");
    assert!(
        told.contains("aiproxy.yaml:6") && told.contains("filters[0].patterns"),
        "{told}"
    );
    assert!(proxy.chat("m", "").text().contains("one"));

    // The flag and the variable of the start count as they did.
    replace(&yaml(dir.path(), &second, "telemetry: { log_level: warn }"));
    hang_up(&proxy.program);
    let told = proxy.program.wait_line("wait for a restart");
    assert!(
        told.contains("telemetry.log_level") && !told.contains("server.port"),
        "{told}"
    );
    assert!(proxy.chat("m", "").text().contains("two"));
    second.wait_received(0, format!("Bearer {KEY}").as_bytes());
    assert!(!proxy.program.text().contains(KEY));
    proxy.stop();
}

#[test]
fn what_came_from_the_environment_alone_is_not_read_anew() {
    let dir = TempDir::new().expect("a folder");
    let one = upstream("one");
    let mut command = aiproxy();
    command
        .current_dir(dir.path())
        .args([
            "--log-format",
            "json",
            "serve",
            "--port",
            "0",
            "--admin-port",
            "0",
        ])
        .env("OPENAI_BASE_URL", one.base_url());
    let proxy = Proxy::of(Program::start(command));
    let sent = request("POST", "/api/config/reload", "", b"");
    let answer = exchange(proxy.admin, sent);
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (409, &"no_config_file".into())
    );
    hang_up(&proxy.program);
    proxy.program.wait_line("there is no configuration file");
    assert!(proxy.chat("m", "").text().contains("one"));
    proxy.stop();
}
