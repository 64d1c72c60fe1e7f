//! Rows that were only in the spool when the process died.

use std::fs;

use aiproxy::access_log::columns::{TABLES, Table};

use super::House;
use crate::support::db::{texts, with_database};
use crate::support::gateway::{get, wait_until};
use crate::support::process::{Proxy, configure};
use crate::support::raw_client::{exchange, request};
use crate::support::wire::STREAM;

/// Exchanges of many sorts, one after the other.
fn sorts_of_exchanges(proxy: &Proxy) {
    let long = format!(r#","user":"{}""#, "x".repeat(600_000));
    for (model, more) in [
        ("mock", ""),
        ("mock-s3", STREAM),
        ("mock-s3-usage-none", STREAM),
        ("mock-tools", STREAM),
        ("mock-err-500", ""),
        ("mock-s4-cut-2", STREAM),
        ("other-model", ""),
        ("mock-s9", STREAM),
        ("mock", &long),
    ] {
        proxy.chat(model, more);
    }
    let upload = vec![b'u'; 700_000];
    let headers = "content-type: application/octet-stream\r\n";
    exchange(proxy.data, request("POST", "/v1/files", headers, &upload));
    exchange(proxy.data, get("/v1/models"));
}

/// All that rows say but for names and times of their own.
fn what_rows_say(url: &str) -> Vec<String> {
    let own = [
        "request_id",
        "created_at",
        "finished_at",
        "instance",
        "config_version",
    ];
    let [exchanges, bodies, ..] = &TABLES;
    let names = |table: &Table, alias: &str| -> Vec<String> {
        let names = table.columns.iter().map(|column| column.name);
        let of_all = names.filter(|name| {
            let of_its_own =
                own.contains(name) || name.ends_with("_ms") || name.ends_with("_per_s");
            !of_its_own && *name != "chunk_times" && !name.ends_with("_headers")
        });
        of_all
            .map(|name| format!("'{name}=' || COALESCE(CAST({alias}.{name} AS text), '-')"))
            .collect()
    };
    let values = [names(exchanges, "e"), names(bodies, "b")]
        .concat()
        .join(" || '\n' || ");
    let sql = format!(
        "SELECT {values} FROM exchanges e LEFT JOIN exchange_bodies b ON b.request_id = e.request_id \
         ORDER BY e.created_at"
    );
    with_database(url, async |database| texts(database, &sql).await)
}

#[test]
fn p3_a_row_from_the_spool_says_what_any_other_says() {
    const MORE: &str = r#"filters:
  - { kind: tag, tags: { team: blue } }
  - { kind: model_override, model: mock, when: { models: ["other-*"] } }
  - { kind: block_patterns, patterns: ["w0+1"], action: mask, on: [response], when: { models: ["mock-s9"] } }
"#;
    // A mock each: it counts its answers.
    let (other, house) = (House::new(""), House::new(""));
    let live_url = format!("sqlite:///{}/live.db", other.dir.path().display());
    let proxy = Proxy::start(&configure(other.dir.path(), other.mock, &live_url, MORE));
    sorts_of_exchanges(&proxy);
    proxy.stop();

    let folder = house.dir.path().join("db");
    let url = format!("sqlite:///{}/test.db", folder.display());
    let config = configure(house.dir.path(), house.mock, &url, MORE);
    let mut proxy = Proxy::start(&config);
    sorts_of_exchanges(&proxy);
    wait_until("all are over", || proxy.metric("log_open") == 0.0);
    proxy.program.kill();
    fs::create_dir(&folder).expect("a folder");
    let proxy = Proxy::start(&config);
    proxy.settle();
    proxy.stop();

    let (live, recovered) = (what_rows_say(&live_url), what_rows_say(&url));
    assert_eq!((live.len(), recovered.len()), (11, 11));
    let changed = live
        .iter()
        .filter(|row| !row.contains("upstream_response_body=-"));
    assert_eq!(changed.count(), 1, "one answer was changed by a filter");
    for (live, recovered) in live.iter().zip(&recovered) {
        assert_eq!(live.lines().count(), recovered.lines().count());
        let short = |line: &str| line.chars().take(200).collect::<String>();
        let lines = live.lines().zip(recovered.lines());
        let differ: Vec<_> = lines
            .filter(|(live, recovered)| live != recovered)
            .map(|(live, recovered)| (short(live), short(recovered)))
            .collect();
        assert_eq!(differ, [], "{}", short(live));
    }
}
