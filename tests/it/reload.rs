//! The configuration is read anew while the server runs: whole or not at all, for the next request and for none that runs.

mod file;
mod lists;
mod parts;
mod process;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use aiproxy::config::{Environment, Sources};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{PROVIDER_KEY, TestGateway, Wanted, chat_body};
use crate::support::raw_client::{RawClient, RawResponse, exchange, post, request};
use crate::support::signal::Signal;
use crate::support::wire::{
    DONE, FINISH, LAST_CHUNK, STREAM, STREAM_HEAD, TEXT, WHOLE, chunk, json,
};

/// A gateway that can read its file anew; `every`: how often it looks at the file by itself.
fn reloading_by(
    wanted: Wanted,
    every: Option<Duration>,
    variables: &[(&str, &str)],
) -> TestGateway {
    let dir = TempDir::new().expect("a folder");
    let sources = Sources {
        file: None,
        environment: variables.iter().copied().collect::<Environment>(),
        overrides: Vec::new(),
        folder: dir.path().to_owned(),
    };
    let extend = move |gateway: aiproxy::Gateway| gateway.reload_from(sources).watch_config(every);
    TestGateway::in_dir(
        dir,
        Wanted {
            extend: Some(Box::new(extend)),
            ..wanted
        },
    )
}

fn reloading(wanted: Wanted) -> TestGateway {
    reloading_by(wanted, None, &[])
}

fn file_of(gateway: &TestGateway) -> PathBuf {
    gateway.dir.path().join("aiproxy.yaml")
}

/// Puts another text in the place of the file's, in one step.
fn write(gateway: &TestGateway, text: &str) {
    let (new, file) = (gateway.dir.path().join("new.yaml"), file_of(gateway));
    std::fs::write(&new, text).expect("a file");
    std::fs::rename(new, file).expect("a rename");
}

fn read(gateway: &TestGateway) -> String {
    std::fs::read_to_string(file_of(gateway)).expect("a file")
}

/// Changes one place of the file.
#[track_caller]
fn edit(gateway: &TestGateway, from: &str, to: &str) {
    let text = read(gateway);
    assert!(text.contains(from), "no {from} in {text}");
    write(gateway, &text.replace(from, to));
}

/// Puts further lines at the file's end.
fn append(gateway: &TestGateway, lines: &str) {
    write(gateway, &format!("{}{lines}\n", read(gateway)));
}

fn reload(gateway: &TestGateway) -> RawResponse {
    exchange(
        gateway.admin,
        request("POST", "/api/config/reload", "", b""),
    )
}

/// Reads it anew; the answer's facts.
#[track_caller]
fn applied(gateway: &TestGateway) -> Value {
    let answer = reload(gateway);
    let facts = answer.json();
    assert_eq!(
        (answer.status, &facts["applied"]),
        (200, &true.into()),
        "{facts}"
    );
    facts
}

fn count(gateway: &TestGateway, result: &str) -> f64 {
    gateway.metric(&format!("config_reload_total{{result=\"{result}\"}}"))
}

fn versions(gateway: &TestGateway) -> Vec<String> {
    let rows = gateway.rows().into_iter();
    rows.map(|row| row.record.config_version.expect("a version"))
        .collect()
}

/// An upstream that answers each connection's first request with these words.
fn upstream(words: &str) -> FakeUpstream {
    let body = WHOLE.replace("\"hi\"", &format!("\"{words}\""));
    FakeUpstream::answering(json(200, "connection: close\r\n", &body))
}

/// Whose words the next answer has.
fn words(gateway: &TestGateway) -> String {
    let answer = gateway.chat("m", "").json();
    let words = &answer["choices"][0]["message"]["content"];
    words.as_str().unwrap_or_default().to_owned()
}

/// An upstream whose stream waits for a signal behind its first event, with further ones then.
fn waiting_stream(events: &str) -> (FakeUpstream, Signal) {
    let go = Signal::new();
    let upstream = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send([STREAM_HEAD.as_bytes(), &chunk(TEXT)].concat()),
        Step::Wait(go.clone()),
        Step::Send(
            [
                &*chunk([events, FINISH, DONE].concat()),
                LAST_CHUNK.as_bytes(),
            ]
            .concat(),
        ),
        Step::ReadToEnd,
    ]]);
    (upstream, go)
}

/// A stream whose first event is there.
fn open_stream(gateway: &TestGateway) -> RawClient {
    let mut client = gateway.connect();
    client.send(post("/v1/chat/completions", &chat_body("m", STREAM)));
    client.read_until(b"lo");
    client
}

#[test]
fn the_next_request_is_served_by_the_new_one() {
    let (first, second) = (upstream("one"), upstream("two"));
    let gateway = reloading(Wanted {
        upstream: Some(first.base_url()),
        ..Wanted::default()
    });
    let mut kept = gateway.connect();
    let mut words = || {
        kept.send(post("/v1/chat/completions", &chat_body("m", "")));
        let answer = kept.read_response();
        let words = &answer.json()["choices"][0]["message"]["content"];
        words.as_str().expect("words").to_owned()
    };
    assert_eq!(words(), "one");
    edit(&gateway, &first.base_url(), &second.base_url());
    assert_eq!(words(), "one", "a file that nobody read changes nothing");
    let facts = applied(&gateway);
    assert_eq!(words(), "two", "on the same connection");
    assert_eq!(facts["restart_needed"], Value::Array(Vec::new()));
    let unchanged = reload(&gateway).json();
    assert_eq!(unchanged["unchanged"], true);
    assert_eq!(unchanged["config_version"], facts["config_version"]);
    let versions = versions(&gateway);
    assert!(versions[0] == versions[1] && versions[1] != versions[2]);
    assert_eq!(facts["config_version"], *versions[2]);
    let counts = ["applied", "failed", "unchanged"].map(|result| count(&gateway, result));
    assert_eq!(counts, [1.0, 0.0, 1.0]);
}

#[test]
fn f87_a_wrong_one_changes_nothing_and_all_that_is_wrong_is_told() {
    let gateway = reloading(Wanted::default());
    let good = read(&gateway);
    let line = |lines: &str| {
        let text = format!("{good}{lines}\n");
        text.lines().count() as u64
    };
    let cases = [
        ("nonsense: [", "", "", true),
        ("nonsense: 1", "nonsense", "unknown key", true),
        (
            "filters: [{ kind: block_patterns, patterns: ['('] }]",
            "filters[0].patterns",
            "",
            true,
        ),
        (
            "filters: [{ kind: no_such_filter }]",
            "filters[0].kind",
            "",
            true,
        ),
        (
            "routing: { preferred_region: \"${NOT_THERE}\" }",
            "routing.preferred_region",
            "NOT_THERE",
            true,
        ),
        (
            "models: { fast: { targets: [{ provider: nobody, model: m }] } }",
            "models.fast",
            "",
            true,
        ),
    ];
    for (number, (lines, path, message, has_line)) in cases.iter().enumerate() {
        write(&gateway, &format!("{good}{lines}\n"));
        let answer = reload(&gateway);
        let facts = answer.json();
        assert_eq!(
            (answer.status, &facts["error"]["code"]),
            (422, &"invalid_config".into()),
            "{facts}"
        );
        let problem = &facts["problems"][0];
        let said = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
        assert!(said("path").starts_with(path), "{facts}");
        assert!(
            said("message").contains(message) && !said("message").is_empty(),
            "{facts}"
        );
        assert!(said("file").ends_with("aiproxy.yaml"), "{facts}");
        if *has_line {
            let place = problem["line"].as_u64().expect("a line");
            assert!(line(lines).abs_diff(place) <= 1, "{facts}");
        }
        assert_eq!(count(&gateway, "failed"), number as f64 + 1.0);
        assert_eq!(gateway.chat("mock", "").status, 200, "{lines}");
    }
    write(
        &gateway,
        &format!("{good}nonsense: 1\nfilters: [{{ kind: no_such_filter }}]\n"),
    );
    let problems = reload(&gateway).json()["problems"].clone();
    assert_eq!(problems.as_array().map(Vec::len), Some(2), "{problems}");
    std::fs::remove_file(file_of(&gateway)).expect("a file");
    let answer = reload(&gateway);
    let problem = answer.json()["problems"][0].clone();
    assert!(
        answer.status == 422
            && problem["message"]
                .as_str()
                .expect("words")
                .contains("cannot be read"),
        "{problem}"
    );
    assert_eq!(gateway.chat("mock", "").status, 200);
    write(&gateway, &good);
    assert_eq!(reload(&gateway).json()["unchanged"], true);
    let versions = versions(&gateway);
    assert!(versions.iter().all(|version| *version == versions[0]));
}

#[test]
fn f87_a_certificate_that_cannot_be_used_changes_nothing() {
    let gateway = reloading(Wanted::default());
    let good = read(&gateway);
    let ca = gateway.dir.path().join("ca.pem");
    std::fs::write(&ca, "no certificate").expect("a file");
    let provider = format!(
        "  - {{ name: other, kind: openai, base_url: \"https://127.0.0.1:1/v1\", ca_cert: \"{}\" }}\n",
        ca.display()
    );
    write(
        &gateway,
        &good.replace("providers:\n", &format!("providers:\n{provider}")),
    );
    let answer = reload(&gateway);
    let problem = answer.json()["problems"][0].clone();
    assert_eq!(
        (answer.status, &problem["path"]),
        (422, &"providers[0]".into()),
        "{problem}"
    );
    assert!(
        problem["message"]
            .as_str()
            .expect("words")
            .contains("ca.pem"),
        "{problem}"
    );
    assert_eq!(gateway.chat("mock", "").status, 200);
}

#[test]
fn f87_a_request_that_is_still_read_keeps_what_it_began_with() {
    let (first, second) = (upstream("one"), upstream("two"));
    let gateway = reloading(Wanted {
        upstream: Some(first.base_url()),
        ..Wanted::default()
    });
    let sent = post("/v1/chat/completions", &chat_body("m", ""));
    let (head, tail) = sent.split_at(sent.len() - 5);
    let mut client = gateway.connect();
    client.send(head);
    gateway.breathe();
    edit(&gateway, &first.base_url(), &second.base_url());
    applied(&gateway);
    client.send(tail);
    assert!(client.read_response().text().contains("one"));
    assert_eq!(words(&gateway), "two");
    let versions = versions(&gateway);
    assert_ne!(versions[0], versions[1]);
}

#[test]
fn f87_under_load_each_request_sees_one_configuration() {
    let upstreams = [upstream("one"), upstream("two")];
    let gateway = reloading(Wanted {
        upstream: Some(upstreams[0].base_url()),
        yaml: "server: { port: 0, workers: 3, shutdown_grace_s: 3 }".to_owned(),
        ..Wanted::default()
    });
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..40).for_each(|_| assert_ne!(words(&gateway), "")));
        }
        for turn in 0..20 {
            let (from, to) = (&upstreams[turn % 2], &upstreams[(turn + 1) % 2]);
            edit(&gateway, &from.base_url(), &to.base_url());
            applied(&gateway);
            // The very next request, whichever thread has it.
            assert_eq!(words(&gateway), ["two", "one"][turn % 2]);
        }
    });
    let rows = gateway.rows();
    assert_eq!(rows.len(), 140);
    let pairs: BTreeSet<_> = rows
        .into_iter()
        .map(|row| (row.record.config_version, row.record.response_text))
        .collect();
    assert_eq!(pairs.len(), 2, "{pairs:?}");
}

#[test]
fn f88_streams_of_a_removed_provider_end_by_themselves() {
    let (first, go) = waiting_stream("");
    let second = upstream("two");
    let gateway = reloading(Wanted {
        upstream: Some(first.base_url()),
        ..Wanted::default()
    });
    let mut client = open_stream(&gateway);
    edit(&gateway, "name: openai", "name: other");
    edit(&gateway, &first.base_url(), &second.base_url());
    applied(&gateway);
    assert_eq!(words(&gateway), "two");
    assert_eq!(
        gateway.get("/openai/nothing").status,
        200,
        "a kind stands for its first provider"
    );
    go.fire();
    client.read_until(DONE.as_bytes());
    assert_eq!(first.connections(), 1);
    let rows = gateway.rows();
    let seen: Vec<_> = rows
        .iter()
        .map(|row| (row.record.provider.as_deref(), &*row.record.outcome))
        .collect();
    assert_eq!(seen[..2], [(Some("openai"), "ok"), (Some("other"), "ok")]);
}

#[test]
fn f88_a_removed_key_serves_what_runs_and_both_are_masked() {
    const NEW_KEY: &str = "sk-canary-rotated-9876543210fedcba";
    // Whole, and in pieces that only decoding joins.
    let said = |key: &str| {
        let pieces = key.as_bytes().chunks(9).map(String::from_utf8_lossy);
        let texts = [key.into(), " ".into()].into_iter().chain(pieces);
        let events = texts.map(|text| TEXT.replace("Hällo", &text));
        events.collect::<String>()
    };
    let (first, go) = waiting_stream(&said(PROVIDER_KEY));
    let second = FakeUpstream::answering(crate::support::wire::stream(
        [&*said(NEW_KEY), FINISH, DONE].concat(),
    ));
    let gateway = reloading(Wanted {
        upstream: Some(first.base_url()),
        ..Wanted::default()
    });
    let mut client = open_stream(&gateway);
    edit(&gateway, PROVIDER_KEY, NEW_KEY);
    edit(&gateway, &first.base_url(), &second.base_url());
    applied(&gateway);
    assert!(gateway.chat("m", STREAM).text().contains(NEW_KEY));
    second.wait_received(0, format!("Bearer {NEW_KEY}").as_bytes());
    go.fire();
    client.read_until(DONE.as_bytes());
    for row in gateway.rows() {
        let text = row.record.response_text.expect("a text");
        assert_eq!(text.matches("***").count(), 2, "{text}");
    }
    for key in [PROVIDER_KEY, NEW_KEY] {
        let seen =
            crate::support::canary::assert_clean_files(gateway.dir.path(), key, &["aiproxy.yaml"]);
        assert!(0 < seen);
    }
}
