//! The commands that read the record, beside the gateway that writes it.

use std::path::Path;

use aiproxy::config::DatabaseUrl;
use aiproxy::database::Database;

use super::{aiproxy, check_closed_output, folder_with, text};
use crate::support::db::run;
use crate::support::gateway::{TestGateway, Wanted};

/// What a command prints; it must succeed.
#[track_caller]
fn printed(folder: &Path, words: &str) -> Vec<u8> {
    let output = aiproxy(folder, words, &[]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{words}: {}",
        text(&output.stderr)
    );
    output.stdout
}

/// A command fails with this code and says this.
#[track_caller]
fn fails(folder: &Path, words: &str, code: i32, part: &str) {
    let output = aiproxy(folder, words, &[]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{words}: {said}");
    assert!(
        said.starts_with("aiproxy: ") && said.contains(part),
        "{words}: {said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(text(&output.stdout), "");
}

const UNKNOWN: &str = "019a0000-0000-7000-8000-00000000ffff";

#[test]
fn the_list_shows_what_was_filtered() {
    let gateway = TestGateway::start();
    gateway.chat("mock", r#","user":"ann""#);
    gateway.chat("mock-err-500", r#","user":"b\u001b[2J""#);
    gateway.get("/v1/models");
    gateway.settle();
    let folder = gateway.dir.path();
    let table = text(&printed(folder, "logs"));
    assert_eq!(table.lines().count(), 4, "{table}");
    for part in [
        "outcome",
        "hello",
        "mock-err-500",
        "upstream_error",
        "GET /v1/models",
        "b\\u{1b}[2J",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    for (words, rows) in [
        ("--limit 2", 2),
        ("--since 1h", 3),
        ("--until 2020-01-01", 0),
        ("--model mock", 1),
        ("--model mock*", 2),
        ("--user ann", 1),
        ("--outcome ok", 2),
        ("--outcome upstream_error --model mock", 0),
        ("--grep HELLO", 2),
    ] {
        let listed = printed(folder, &format!("logs --json {words}"));
        assert_eq!(text(&listed).lines().count(), rows, "{words}");
    }
    assert_eq!(
        text(&printed(folder, "logs --user nobody")),
        "no exchanges\n"
    );
    fails_with_usage(folder, "logs --outcome fine");
}

#[track_caller]
fn fails_with_usage(folder: &Path, words: &str) {
    assert_eq!(
        aiproxy(folder, words, &[]).status.code(),
        Some(2),
        "{words}"
    );
}

#[test]
fn more_than_a_page_is_listed_in_order() {
    let gateway = TestGateway::start();
    let mut client = gateway.connect();
    for _ in 0..205 {
        client.send("GET /v1/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.read_response();
    }
    gateway.settle();
    let listed = text(&printed(gateway.dir.path(), "logs --json --limit 1000"));
    let ids: Vec<i64> = listed
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .map(|row| row["id"].as_i64().expect("an id"))
        .collect();
    assert_eq!(ids.len(), 205);
    assert!(ids.is_sorted_by(|newer, older| newer > older));
}

#[test]
fn json_has_times_in_utc_and_columns_of_ones_own() {
    let gateway = TestGateway::with(Wanted {
        yaml: "log: { spool_dir: $DIR/spool, columns: { team: { from: request.header.x-team, type: text } } }".to_owned(),
        ..Wanted::default()
    });
    gateway.chat("mock", "");
    let id = gateway.row().record.request_id;
    let line = text(&printed(gateway.dir.path(), "logs --json"));
    let row: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let time = row["created_at"].as_str().expect("a time");
    assert!(
        time.len() == 27 && time.ends_with('Z') && time.contains('T'),
        "{time}"
    );
    assert_eq!(
        (&row["request_id"], &row["outcome"]),
        (&id.clone().into(), &"ok".into())
    );
    assert!(row.as_object().expect("an object").contains_key("team"));
    let whole = text(&printed(
        gateway.dir.path(),
        &format!("logs show {id} --json"),
    ));
    let whole: serde_json::Value = serde_json::from_str(&whole).expect("JSON");
    let sent = whole["exchange_bodies"]["request_body"].as_str();
    assert!(sent.is_some_and(|body| body.contains("hello")), "{whole}");
}

#[test]
fn one_exchange_is_shown_whole() {
    let gateway = TestGateway::start();
    let answer = gateway.chat("mock", "");
    let id = gateway.row().record.request_id;
    let folder = gateway.dir.path();
    let shown = text(&printed(folder, &format!("logs show {id}")));
    for part in [
        id.as_str(),
        "outcome",
        "request headers",
        "answer body",
        answer.text(),
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let pretty = text(&printed(folder, &format!("logs show {id} --pretty")));
    assert!(pretty.contains("\n  \"choices\": ["), "{pretty}");
    fails(folder, &format!("logs show {UNKNOWN}"), 1, "no exchange");
}

#[test]
fn a_recorded_answer_is_printed_byte_for_byte() {
    let gateway = TestGateway::start();
    let stream = gateway.chat("mock-s4-d20-utf8", r#","stream":true"#);
    let id = gateway.row().record.request_id;
    let folder = gateway.dir.path();
    for words in ["", "--speed 1", "--speed 50"] {
        let replayed = printed(folder, &format!("replay {id} {words}"));
        assert!(replayed == stream.body, "{words}");
    }
    let with_head = text(&printed(folder, &format!("replay {id} --head")));
    let (head, body) = with_head.split_once("\n\n").expect("a head");
    assert!(
        head.starts_with("HTTP/1.1 200\ncontent-type: text/event-stream"),
        "{head}"
    );
    assert!(
        head.contains(&format!("\nx-aiproxy-replayed: {id}")),
        "{head}"
    );
    assert_eq!(body, stream.text());
    fails(folder, &format!("replay {UNKNOWN}"), 1, "no exchange");
}

#[test]
fn an_answer_that_is_not_stored_says_what_helps() {
    let gateway = TestGateway::configured("log: { spool_dir: $DIR/spool, bodies: metadata }");
    gateway.chat("mock", "");
    let id = gateway.row().record.request_id;
    fails(
        gateway.dir.path(),
        &format!("replay {id}"),
        1,
        "log.bodies: full",
    );
}

#[test]
fn a_cut_answer_is_replayed_with_a_word_about_it() {
    let gateway = TestGateway::start();
    let cut = gateway.chat("mock-s6-cut", r#","stream":true"#);
    let id = gateway.row().record.request_id;
    let output = aiproxy(gateway.dir.path(), &format!("replay {id}"), &[]);
    assert_eq!(
        (output.status.code(), output.stdout == cut.body),
        (Some(0), true)
    );
    assert!(
        text(&output.stderr).contains("cut off"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn readers_that_go_away_are_no_failure() {
    let gateway = TestGateway::start();
    gateway.chat("mock-s5", r#","stream":true"#);
    let id = gateway.row().record.request_id;
    for words in [
        "logs",
        "logs --json",
        &format!("logs show {id}"),
        &format!("logs show {id} --json"),
        &format!("replay {id}"),
        "migrate status",
        "prune",
    ] {
        check_closed_output(gateway.dir.path(), words);
    }
}

#[test]
fn every_command_takes_the_database_where_it_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    for words in [
        "migrate up --database-url sqlite://b.db",
        "--database-url sqlite://b.db logs",
        "logs --database-url sqlite://b.db",
        "prune --connection-str sqlite:///b.db",
        "migrate --database-url sqlite://b.db status",
    ] {
        printed(folder.path(), words);
    }
    assert!(!folder.path().join("aiproxy.db").exists());
    let shown = text(&printed(
        folder.path(),
        "config show --database-url sqlite://c.db",
    ));
    assert!(shown.contains("sqlite://c.db"), "{shown}");
}

#[test]
fn the_schema_is_made_and_told() {
    let folder = folder_with("database: { url: sqlite://a.db }");
    let folder = folder.path();
    for words in ["logs", "migrate status", "prune"] {
        fails(folder, words, 1, "there is no file a.db");
    }
    assert!(!folder.join("a.db").exists());
    std::fs::write(folder.join("a.db"), "").expect("an empty file");
    fails(folder, "logs", 3, "aiproxy migrate up");
    assert!(text(&printed(folder, "migrate status")).ends_with(": pending\n"));
    assert!(text(&printed(folder, "migrate up")).ends_with(": done\n"));
    assert!(text(&printed(folder, "migrate up")).contains("up to date"));
    assert!(text(&printed(folder, "migrate status")).ends_with(": done\n"));
    assert_eq!(text(&printed(folder, "logs")), "no exchanges\n");
    assert!(text(&printed(folder, "prune")).contains("nothing was past that"));
}

#[test]
fn a_newer_schema_is_exit_three_everywhere() {
    let folder =
        folder_with("database: { url: sqlite://a.db }\nserver: { port: 0 }\nadmin: { port: 0 }");
    printed(folder.path(), "migrate up");
    let file = folder.path().join("a.db");
    let url = DatabaseUrl::parse(&format!("sqlite:///{}", file.display())).expect("a URL");
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(async {
            let database = Database::open(&url).await.expect("open");
            run(
                &database,
                "INSERT INTO seaql_migrations VALUES ('m29990101_000001_later', 0)",
            )
            .await;
            database.close().await;
        });
    for words in [
        "logs",
        "prune",
        "migrate up",
        "serve",
        &format!("replay {UNKNOWN}"),
    ] {
        fails(folder.path(), words, 3, "m29990101_000001_later");
    }
    assert!(text(&printed(folder.path(), "migrate status")).contains("m29990101_000001_later"));
}

#[test]
fn a_database_that_is_away_or_broken_is_exit_one_without_its_password() {
    let broken = folder_with("database: { url: sqlite://a.db }");
    std::fs::write(
        broken.path().join("a.db"),
        "no database at all. ".repeat(300),
    )
    .expect("a file");
    fails(broken.path(), "logs", 1, "sqlite://a.db");
    let away = folder_with("database: { url: \"postgres://u:canary@127.0.0.1:1/db\" }");
    let output = aiproxy(away.path(), "logs", &[]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("cannot open postgres://u:***") && !said.contains("canary"),
        "{said}"
    );
}
