//! What of a configuration can change at run time, what cannot, and what stays the same through it.

use std::sync::Arc;

use aiproxy::filter::{Context, Filter, FilterError, LlmRequest, RequestVerdict};
use tempfile::TempDir;

use super::{
    append, applied, edit, file_of, open_stream, read, reload, reloading, upstream, versions,
    waiting_stream, words, write,
};
use crate::support::gateway::{TestGateway, Wanted, get, wait_until};
use crate::support::raw_client::{exchange, request};
use crate::support::tls_upstream::{Authority, Certificate, TlsUpstream};
use crate::support::wire::{DONE, WHOLE, code, json};

/// A filter that does nothing; it is there as long as the token is.
fn holding(token: Arc<()>) -> Filter {
    Filter::named("holding").on_request(async move |_: &mut LlmRequest, _: &mut Context<'_>| {
        let _held = &token;
        Ok::<_, FilterError>(RequestVerdict::Continue)
    })
}

#[test]
fn f88_what_was_configured_before_is_freed_with_its_last_request() {
    let token = Arc::new(());
    let theirs = token.clone();
    let (first, go) = waiting_stream("");
    let dir = TempDir::new().expect("a folder");
    let sources = aiproxy::config::Sources {
        file: None,
        environment: aiproxy::config::Environment::default(),
        overrides: Vec::new(),
        folder: dir.path().to_owned(),
    };
    let extend = move |gateway: aiproxy::Gateway| {
        let kind = move |_: &serde_json::Value| Ok(holding(theirs.clone()));
        gateway
            .reload_from(sources)
            .watch_config(None)
            .filter("holding", kind)
    };
    let gateway = TestGateway::in_dir(
        dir,
        Wanted {
            upstream: Some(first.base_url()),
            yaml: "server: { port: 0, workers: 3, shutdown_grace_s: 3 }".to_owned(),
            extend: Some(Box::new(extend)),
            ..Wanted::default()
        },
    );
    let without = read(&gateway);
    let factory_alone = Arc::strong_count(&token);
    append(&gateway, "filters: [{ kind: holding }]");
    applied(&gateway);
    let mut client = open_stream(&gateway);
    assert!(factory_alone < Arc::strong_count(&token));
    write(&gateway, &without);
    applied(&gateway);
    // Idle threads let go of it; the stream does not.
    assert!(
        factory_alone < Arc::strong_count(&token),
        "the stream has it still"
    );
    go.fire();
    client.read_until(DONE.as_bytes());
    wait_until("it is freed", || Arc::strong_count(&token) == factory_alone);
}

#[test]
fn f93_certificates_are_read_anew() {
    let (wrong, right) = (Authority::new(), Authority::new());
    let upstream = TlsUpstream::start(right.issue(Certificate::Good), json(200, "", WHOLE));
    let dir = TempDir::new().expect("a folder");
    let trusted = dir.path().join("trusted.pem");
    let trust = |authority: &Authority| {
        std::fs::copy(authority.file(), &trusted).expect("a file");
    };
    trust(&wrong);
    let gateway = reloading(Wanted {
        upstream: Some(upstream.base_url()),
        provider: format!("    ca_cert: {}\n", trusted.display()),
        ..Wanted::default()
    });
    assert_eq!(gateway.chat("m", "").status, 502);
    assert_eq!(reload(&gateway).json()["unchanged"], true);
    trust(&right);
    applied(&gateway);
    assert_eq!(gateway.chat("m", "").status, 200);
    std::fs::remove_file(&trusted).expect("a file");
    assert_eq!(reload(&gateway).status, 422);
    assert_eq!(gateway.chat("m", "").status, 200);
}

#[test]
fn filters_come_and_go() {
    let gateway = reloading(Wanted::default());
    let without = read(&gateway);
    append(
        &gateway,
        "filters: [{ kind: block_patterns, words: [hello] }]",
    );
    applied(&gateway);
    let refused = gateway.chat("mock", "");
    assert_eq!(
        code(&refused.body),
        "blocked_by_filter",
        "{}",
        refused.text()
    );
    write(&gateway, &without);
    applied(&gateway);
    assert_eq!(gateway.chat("mock", "").status, 200);
    let verdicts: Vec<usize> = gateway
        .rows()
        .iter()
        .map(|row| row.record.verdicts.len())
        .collect();
    assert_eq!(verdicts, [1, 0]);
}

#[test]
fn limits_bodies_and_origins_change() {
    let gateway = reloading(Wanted {
        yaml: "server: { port: 0, workers: 1, shutdown_grace_s: 3 }\nlog: { spool_dir: \"$DIR/spool\" }".to_owned(),
        ..Wanted::default()
    });
    let cross = |gateway: &TestGateway| {
        let asked = "origin: https://app.example\r\n";
        let answer = exchange(gateway.data, request("GET", "/health", asked, b""));
        answer
            .header("access-control-allow-origin")
            .map(str::to_owned)
    };
    assert_eq!(
        (gateway.chat("mock", "").status, cross(&gateway)),
        (200, None)
    );
    edit(
        &gateway,
        "server: {",
        "server: { max_body_bytes: 20, cors: { origins: [\"https://app.example\"] },",
    );
    edit(&gateway, "log: {", "log: { bodies: none,");
    applied(&gateway);
    assert_eq!(gateway.chat("mock", "").status, 413);
    assert_eq!(cross(&gateway).as_deref(), Some("https://app.example"));
    let states: Vec<String> = gateway
        .rows()
        .into_iter()
        .map(|row| row.record.body_state)
        .collect();
    assert_eq!(states, ["stored", "off"]);
}

#[test]
fn what_waits_for_a_restart_is_named_and_the_rest_is_used() {
    let gateway = reloading(Wanted::default());
    edit(
        &gateway,
        "admin: { port: 0 }",
        "admin: { port: 1, token: secret-token-1 }",
    );
    edit(&gateway, "workers: 1", "workers: 2, max_body_bytes: 20");
    edit(
        &gateway,
        "log: {",
        "log: { columns: { team: { from: request.header.x-team } },",
    );
    let facts = applied(&gateway);
    let expected = [
        "server.workers",
        "admin.port",
        "admin.token",
        "log.columns.team",
    ];
    assert_eq!(facts["restart_needed"], serde_json::json!(expected));
    assert_eq!(gateway.chat("mock", "").status, 413);
    assert_eq!(gateway.get("/health").status, 200, "where it was");
    // The token of the start is asked for: none.
    edit(&gateway, "max_body_bytes: 20", "max_body_bytes: 2000");
    assert_eq!(
        applied(&gateway)["restart_needed"],
        serde_json::json!(expected),
        "as long as it waits"
    );
    assert_eq!(gateway.chat("mock", "").status, 200);
}

#[test]
fn connections_to_a_provider_that_stays_are_kept() {
    let gateway = reloading(Wanted::default());
    let other = upstream("other");
    assert_eq!(gateway.chat("mock", "").status, 200);
    append(&gateway, "routing: { max_attempts: 2 }");
    applied(&gateway);
    assert_eq!(gateway.chat("mock", "").status, 200);
    assert_eq!(gateway.mock().stats().connections, 1);
    let mine = format!("http://{}/v1", gateway.mock().addr());
    edit(&gateway, &mine, &other.base_url());
    applied(&gateway);
    assert_eq!(words(&gateway), "other");
    edit(&gateway, &other.base_url(), &mine);
    applied(&gateway);
    assert_eq!(gateway.chat("mock", "").status, 200);
    assert_eq!(
        gateway.mock().stats().connections,
        2,
        "of a provider that was elsewhere none is used again"
    );
    let versions = versions(&gateway);
    assert_eq!(
        versions[1], versions[3],
        "the same values are the same version"
    );
}

#[test]
fn what_is_known_of_targets_outlives_a_reload() {
    let nobody = "http://127.0.0.1:1/v1";
    let gateway = reloading(Wanted {
        upstream: Some(nobody.to_owned()),
        yaml: "routing: { breaker_failures: 2 }\nmodels: { fast: { targets: [{ provider: openai, model: a }] } }".to_owned(),
        ..Wanted::default()
    });
    for _ in 0..2 {
        assert_eq!(gateway.chat("fast", "").status, 502);
    }
    edit(
        &gateway,
        "breaker_failures: 2",
        "breaker_failures: 2, max_attempts: 2",
    );
    applied(&gateway);
    assert_eq!(
        gateway.chat("fast", "").status,
        503,
        "the circuit is open still"
    );
    edit(&gateway, "breaker_failures: 2", "breaker_failures: 3");
    applied(&gateway);
    assert_eq!(
        gateway.chat("fast", "").status,
        502,
        "by other rules it begins anew"
    );
}

#[test]
fn the_admin_port_asks_for_its_token_and_turns_pages_away() {
    let gateway = reloading(Wanted {
        yaml: "admin: { port: 0, token: admin-token-1 }".to_owned(),
        ..Wanted::default()
    });
    let asked = |method: &str, headers: &str| {
        let sent = request(method, "/api/config/reload", headers, b"");
        exchange(gateway.admin, sent).status
    };
    let token = "authorization: Bearer admin-token-1\r\n";
    assert_eq!(asked("POST", ""), 401);
    assert_eq!(asked("POST", token), 200);
    assert_eq!(
        asked("POST", &format!("{token}origin: http://localhost\r\n")),
        200
    );
    for origin in [
        "http://evil.example",
        "null",
        "https://localhost.evil.example",
    ] {
        assert_eq!(
            asked("POST", &format!("{token}origin: {origin}\r\n")),
            403,
            "{origin}"
        );
    }
    let got = exchange(
        gateway.admin,
        request("GET", "/api/config/reload", token, b""),
    );
    assert_eq!((got.status, got.header("allow")), (405, Some("POST")));
    let data = exchange(
        gateway.data,
        request("POST", "/api/config/reload", token, b""),
    );
    assert_eq!(data.status, 404, "not on the data port");
}

#[test]
fn without_a_file_there_is_nothing_to_read() {
    let gateway = TestGateway::start();
    let answer = reload(&gateway);
    assert_eq!(
        (answer.status, &*code(&answer.body)),
        (409, "no_config_file")
    );
    assert!(
        file_of(&gateway).exists(),
        "it was loaded by the program itself, which did not say from where"
    );
    assert_eq!(exchange(gateway.admin, get("/metrics")).status, 200);
}
