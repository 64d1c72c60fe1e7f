//! P6 and S9: unique secrets go in by every door; no sink may hold anything of them.

use crate::support::canary::{assert_clean, assert_clean_files};
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{PROVIDER_KEY, TestGateway, Wanted, chat_body, wait_until};
use crate::support::raw_client::{RawResponse, exchange, request};
use crate::support::served::Served;
use crate::support::wire::{DONE, FINISH, STREAM, TEXT, code, stream};
use aiproxy::cli::mock::Mock;

const BEARER: &str = "sk-cl1ent-bearer-2f7a1c9e8b3d";
const API_KEY: &str = "sk-cl1ent-apikey-6e5d4c3b2a19";
const COOKIE: &str = "cl1ent-cookie-77aa88bb99cc00dd";
const IN_QUERY: &str = "AIzaCl1entQuery5544332211ffee";
const DB_PASSWORD: &str = "db-passw0rd-19c8b7a6f5e4d3";
const ADMIN_TOKEN: &str = "adm1n-token-0a9b8c7d6e5f";
const FIXED_HEADER: &str = "f1xed-header-secret-31415926";

const OF_THE_CLIENT: [&str; 4] = [BEARER, API_KEY, COOKIE, IN_QUERY];

/// Requests that bring the client's secrets by every door; the answers.
fn knock(data: std::net::SocketAddr) -> Vec<RawResponse> {
    let headers = format!(
        "content-type: application/json\r\nauthorization: Bearer {BEARER}\r\nx-api-key: {BEARER}\r\napi-key: {BEARER}\r\n\
         x-goog-api-key: {BEARER}\r\nx-access-tokens: {API_KEY}\r\nx-auth-token: {API_KEY}\r\ncookie: session={COOKIE}\r\n\
         proxy-authorization: Basic {COOKIE}\r\nx-amz-security-token: {COOKIE}\r\n"
    );
    let path = format!("/v1/chat/completions?key={BEARER}&access_token={IN_QUERY}");
    let own_key_in_body = format!(r#","user":"{PROVIDER_KEY}""#);
    let send =
        |path: &str, body: &str| exchange(data, request("POST", path, &headers, body.as_bytes()));
    let mut answers = vec![
        send(&path, &chat_body("mock", "")),
        send(&path, &chat_body("mock-s3", r#","stream":true"#)),
        send(&path, &chat_body("mock-err-401-echo", "")),
        send(&path, &chat_body("mock-err-500-echo", "")),
        send(&path, &chat_body("mock-html", "")),
        send(&path, &chat_body("mock-reset", "")),
        send(&path, "}"),
        send("/v1/../x", ""),
        send("/nowhere", ""),
        send(&format!("/v1/models/{}", "x".repeat(9_000)), ""),
    ];
    for answer in &answers {
        for secret in [BEARER, API_KEY, COOKIE, IN_QUERY, PROVIDER_KEY] {
            assert_clean("an answer's head", answer.head.as_bytes(), secret);
            assert_clean("an answer", &answer.body, secret);
        }
    }
    // Below 400 what a provider echoes is the client's to see, but not the record's.
    answers.push(send(&path, &chat_body("mock-echo", "")));
    answers.push(send(&path, &chat_body("mock", &own_key_in_body)));
    answers
}

#[test]
fn p6_s9_no_secret_is_in_any_sink() {
    let gateway = TestGateway::with(Wanted {
        provider: format!("    headers: {{ x-fixed-token: {FIXED_HEADER} }}\n"),
        ..Wanted::default()
    });
    knock(gateway.data);
    gateway.settle();
    let metrics = gateway.admin_get("/metrics");
    let seen: Vec<usize> = OF_THE_CLIENT
        .into_iter()
        .chain([PROVIDER_KEY])
        .map(|secret| {
            assert_clean("metrics", &metrics.body, secret);
            // The database with its journal, and the spool; the configuration is where secrets belong.
            assert_clean_files(gateway.dir.path(), secret, &["aiproxy.yaml"])
        })
        .collect();
    assert!(10_000 < seen[0], "there was something to see: {seen:?}");
    for row in gateway.rows() {
        let headers = row
            .record
            .payload
            .and_then(|payload| payload.request_headers);
        let marked = headers
            .expect("headers")
            .contains("\"authorization\":\"***");
        assert!(marked, "two uses of one key can be told to be the same");
    }
}

#[test]
fn s9_a_key_that_is_passed_on_is_masked_in_echoes_too() {
    let gateway = TestGateway::with(Wanted {
        no_key: true,
        ..Wanted::default()
    });
    let headers = format!(
        "content-type: application/json\r\nauthorization: Bearer {BEARER}\r\nx-note: it is {BEARER}\r\n\
         x-request-id: {BEARER}\r\nx-aiproxy-tags: key={BEARER}\r\n"
    );
    for model in ["mock-echo", "mock-err-400-echo"] {
        let body = chat_body(model, "");
        let sent = request("POST", "/v1/chat/completions", &headers, body.as_bytes());
        exchange(gateway.data, sent);
    }
    gateway.settle();
    assert_clean_files(gateway.dir.path(), BEARER, &["aiproxy.yaml"]);
}

#[test]
fn s9_a_key_in_pieces_over_a_stream_is_not_kept() {
    for (no_key, secret) in [(false, PROVIDER_KEY), (true, BEARER)] {
        let mut events: String = secret
            .as_bytes()
            .chunks(9)
            .map(|piece| TEXT.replace("Hällo", &String::from_utf8_lossy(piece)))
            .collect();
        events.push_str(FINISH);
        events.push_str(DONE);
        let upstream = FakeUpstream::answering(stream(&events));
        let gateway = TestGateway::with(Wanted {
            upstream: Some(upstream.base_url()),
            no_key,
            ..Wanted::default()
        });
        let headers =
            format!("content-type: application/json\r\nauthorization: Bearer {BEARER}\r\n");
        let body = chat_body("m", STREAM);
        let sent = request("POST", "/v1/chat/completions", &headers, body.as_bytes());
        // The client gets what the provider sent.
        assert_eq!(exchange(gateway.data, sent).text(), events);
        let row = gateway.row().record;
        assert_eq!(
            (row.outcome.as_str(), row.body_state.as_str()),
            ("ok", "redacted")
        );
        let text = row.response_text.expect("a text");
        assert!(text.starts_with("***") && text.len() == 11, "{text}");
        assert_clean_files(gateway.dir.path(), secret, &["aiproxy.yaml"]);
        let id = row.request_id;
        let replay = gateway.admin_get(&format!("/api/exchanges/{id}/replay"));
        assert_eq!(
            (replay.status, code(&replay.body).as_str()),
            (409, "replay_body_unavailable")
        );
    }
}

/// A gateway whose database is away, so that everything stays in the spool.
fn without_database() -> (Served, aiproxy::cli::mock::MockHandle) {
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).expect("a mock");
    let served = Served::start(&format!(
        "server: {{ port: 0, workers: 1 }}\nadmin: {{ port: 0, token: {ADMIN_TOKEN} }}\n\
         database: {{ url: \"postgres://user:{DB_PASSWORD}@127.0.0.1:1/db\" }}\ntelemetry: {{ log_level: trace }}\n\
         providers:\n  - name: openai\n    kind: openai\n    base_url: http://{}/v1\n    \
         api_keys: [{{ key: {PROVIDER_KEY} }}]\n    headers: {{ x-fixed-token: {FIXED_HEADER} }}\n",
        mock.addr()
    ));
    (served, mock)
}

#[test]
fn p6_s9_no_secret_is_in_spool_log_or_shown_configuration() {
    let (served, _mock) = without_database();
    let answers = knock(served.data);
    let authorised = format!("authorization: Bearer {ADMIN_TOKEN}\r\n");
    let metrics = || exchange(served.admin, request("GET", "/metrics", &authorised, b""));
    wait_until("the records are in the spool", || {
        metrics().text().contains("aiproxy_log_db_up 0")
    });
    let id = answers[0].header("x-aiproxy-request-id").expect("an id");
    let replay = exchange(
        served.admin,
        request(
            "GET",
            &format!("/api/exchanges/{id}/replay"),
            &authorised,
            b"",
        ),
    );
    let shown = served.config_show();
    let secrets = [PROVIDER_KEY, DB_PASSWORD, ADMIN_TOKEN, FIXED_HEADER];
    for secret in OF_THE_CLIENT.into_iter().chain(secrets) {
        assert_clean("the log", served.log().as_bytes(), secret);
        assert_clean("metrics", &metrics().body, secret);
        assert_clean("config show", &shown, secret);
        assert_clean("an admin answer", &replay.body, secret);
        let seen = assert_clean_files(served.dir.path(), secret, &["aiproxy.yaml"]);
        assert!(5_000 < seen, "the spool is not empty: {seen}");
    }
}

#[test]
fn c11_one_event_of_the_log_is_one_line() {
    let (served, _mock) = without_database();
    for text in [
        "a\\nERROR forged",
        "\\u001b[31mred",
        "\\u202egnp.exe",
        "\\u2028line",
        "\\u0000",
    ] {
        for model in [
            format!("mock-{text}"),
            format!("mock-reset-{text}"),
            text.to_owned(),
        ] {
            let body = format!(r#"{{"model":"{model}","messages":[],"user":"{text}"}}"#);
            let headers = "content-type: application/json\r\nx-aiproxy-tags: a=b\r\nx-request-id: {\"level\":\"x\"}\r\n";
            exchange(
                served.data,
                request("POST", "/v1/chat/completions", headers, body.as_bytes()),
            );
        }
    }
    let log = served.log();
    for line in log.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("one event a line");
        assert!(
            event["timestamp"].is_string() && event["level"] != "x",
            "{line}"
        );
    }
    assert!(!log.contains(['\u{1b}', '\u{202e}', '\u{2028}', '\0']));
}

#[test]
fn s9_error_answers_name_no_upstream() {
    let upstream = FakeUpstream::start(vec![Vec::new()]);
    let host = upstream.addr().to_string();
    let gateway = TestGateway::before(format!("http://{host}/v1"));
    drop(upstream);
    let answer = gateway.chat("m", "");
    assert_eq!(answer.status, 502);
    assert!(
        !answer.text().contains(&host) && !answer.text().contains("127.0.0.1"),
        "{}",
        answer.text()
    );
}
