//! Sessions stay with who answered, prompts that begin alike with one target, and what was said in a session is there to read.

use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{PROVIDER_KEY, TestGateway, Wanted, wait_until};
use crate::support::raw_client::RawResponse;
use crate::support::two_targets::{PRIORITY, answer, answering, ask, gateway, seen, well};

fn get(gateway: &TestGateway, path: &str) -> (u16, serde_json::Value) {
    let answer = gateway.get(path);
    (answer.status, answer.json())
}

/// Two targets of which the first fails once, so that a session of then is bound to the second.
fn bound_to_second(model: &str) -> (FakeUpstream, FakeUpstream, TestGateway) {
    let (no, yes) = (answer("500 No", ""), answer("200 OK", ""));
    let (a, b) = (answering(&[&no, &yes]), well());
    let gateway = gateway(&a, &b, model, "");
    assert_eq!(seen(&ask(&gateway, "s")), (200, Some("b"), Some("2")));
    (a, b, gateway)
}

#[test]
fn a_session_stays_with_who_answered() {
    let (_a, _b, gateway) = bound_to_second(PRIORITY);
    let long = "x".repeat(257);
    for (session, expected) in [
        ("s", "b"),
        ("other", "openai"),
        ("s", "b"),
        ("", "openai"),
        (&long, "openai"),
        (&long, "openai"),
    ] {
        let answer = ask(&gateway, session);
        assert_eq!(seen(&answer), (200, Some(expected), Some("1")), "{session}");
    }
}

#[test]
fn a_model_may_have_no_sessions() {
    let (_a, _b, gateway) = bound_to_second(&format!("{PRIORITY}    sticky: false\n"));
    assert_eq!(seen(&ask(&gateway, "s")), (200, Some("openai"), Some("1")));
    assert_eq!(get(&gateway, "/routing/sessions/s").0, 404);
}

#[test]
fn a_session_moves_when_its_target_fails() {
    let (no, yes) = (answer("500 No", ""), answer("200 OK", ""));
    let down = answer("503 No", "retry-after: 60\r\n");
    let (a, b) = (answering(&[&no, &yes]), answering(&[&yes, &down]));
    let gateway = gateway(&a, &b, PRIORITY, "");
    for expected in [
        (200, Some("b"), Some("2")),
        (200, Some("openai"), Some("2")),
        (200, Some("openai"), Some("1")),
    ] {
        assert_eq!(seen(&ask(&gateway, "s")), expected);
    }
    let (_, session) = get(&gateway, "/routing/sessions/s");
    assert_eq!(session["provider_id"], "openai");
}

#[test]
fn the_clients_own_errors_bind_nothing() {
    let (a, b) = (answering(&[&answer("400 No", "")]), well());
    let gateway = gateway(&a, &b, PRIORITY, "");
    assert_eq!(ask(&gateway, "s").status, 400);
    assert_eq!(get(&gateway, "/routing/sessions/s").0, 404);
}

#[test]
fn a_stream_binds_too() {
    let events = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let a = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send([head, events].concat().into_bytes()),
        Step::Fin,
        Step::ReadToEnd,
    ]]);
    let gateway = TestGateway::before(a.base_url());
    let body = r#"{"model":"m","stream":true,"messages":[]}"#;
    let headers = "x-session-id: s\r\ncontent-type: application/json\r\n";
    let path = "/v1/chat/completions";
    let answer = gateway.send("POST", path, headers, body.as_bytes());
    assert_eq!(answer.status, 200);
    wait_until("the session is bound", || {
        gateway.get("/routing/sessions/s").status == 200
    });
}

#[test]
fn a_session_is_shown_and_forgotten() {
    let (_a, _b, gateway) = bound_to_second(PRIORITY);
    let (status, session) = get(&gateway, "/routing/sessions/s");
    assert_eq!(status, 200);
    for (name, expected) in [
        ("conversation_id", "s"),
        ("logical_model", "fast"),
        ("provider_id", "b"),
        ("model_id", "model-b"),
    ] {
        assert_eq!(session[name], expected, "{name}");
    }
    let created = session["created_at"].as_f64().expect("a moment");
    let accessed = session["last_accessed"].as_f64().expect("a moment");
    assert!(1.7e9 < created && created <= accessed, "{session}");
    assert!(session["message_count"].is_null());
    let path = "/routing/sessions/s";
    let posted = gateway.send("POST", path, "", b"");
    assert_eq!(posted.status, 405);
    assert_eq!(posted.header("allow"), Some("GET, HEAD, DELETE"));
    let forgotten = gateway.send("DELETE", path, "", b"");
    assert_eq!((forgotten.status, forgotten.text()), (204, ""));
    for method in ["DELETE", "GET"] {
        let answer = gateway.send(method, path, "", b"");
        assert_eq!((answer.status, code(&answer)), (404, "not_found".into()));
    }
    assert_eq!(seen(&ask(&gateway, "s")).1, Some("openai"));
}

fn code(answer: &RawResponse) -> serde_json::Value {
    answer.json()["error"]["code"].clone()
}

#[test]
fn a_decision_knows_the_session() {
    let (_a, _b, gateway) = bound_to_second(PRIORITY);
    for (session, expected) in [("s", "b"), ("other", "openai")] {
        let body = format!(r#"{{"logical_model":"fast","conversation_id":"{session}"}}"#);
        let decided = gateway.post("/routing/decide", &body).json();
        let chosen = &decided["selected_upstream"]["provider_id"];
        assert_eq!(chosen, expected, "{decided}");
    }
}

#[test]
fn prompts_that_begin_alike_go_to_one_target() {
    let (a, b) = (well(), well());
    let gateway = gateway(&a, &b, "    prefix_affinity: true\n", "");
    let mut used = std::collections::BTreeSet::new();
    for prompt in 0..8 {
        let begins = format!("{prompt}").repeat(4_096);
        let providers: Vec<String> = (0..3)
            .map(|turn| {
                let text = format!("{begins} and then {turn}");
                let body = format!(
                    r#"{{"model":"fast","messages":[{{"role":"user","content":"{text}"}}]}}"#
                );
                let answer = gateway.post("/v1/chat/completions", &body);
                let provider = answer.header("x-aiproxy-provider");
                provider.expect("a provider").to_owned()
            })
            .collect();
        assert!(
            providers.iter().all(|one| *one == providers[0]),
            "{providers:?}"
        );
        used.extend(providers);
    }
    assert_eq!(used.len(), 2, "both targets have some");
}

/// Says something in a session.
fn say(gateway: &TestGateway, session: &str, text: &str) {
    let headers = format!("x-session-id: {session}\r\ncontent-type: application/json\r\n");
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#);
    let path = "/v1/chat/completions";
    let answer = gateway.send("POST", path, &headers, body.as_bytes());
    assert_eq!(answer.status, 200);
}

fn texts(page: &serde_json::Value) -> Vec<&str> {
    let turns = page["history"].as_array().expect("a list").iter();
    turns
        .map(|turn| turn["request_text"].as_str().expect("a text"))
        .collect()
}

#[test]
fn what_was_said_in_a_session_is_paged_newest_first() {
    let upstream = well();
    let gateway = TestGateway::before(upstream.base_url());
    for text in ["one", "two", "three", "four", "five"] {
        say(&gateway, "s/1", text);
        say(&gateway, "t", "of another");
    }
    gateway.settle();
    let (status, first) = get(&gateway, "/context/s%2F1?limit=2");
    assert_eq!((status, &first["session_id"]), (200, &"s/1".into()));
    assert_eq!(
        (texts(&first), &first["has_more"]),
        (vec!["five", "four"], &true.into())
    );
    let turn = &first["history"][0];
    for (name, expected) in [
        ("provider", "openai"),
        ("requested_model", "m"),
        ("outcome", "ok"),
        ("response_text", "hi"),
    ] {
        assert_eq!(turn[name], expected, "{name}");
    }
    let mut page = first;
    let mut all: Vec<String> = Vec::new();
    loop {
        all.extend(texts(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        page = get(&gateway, &format!("/context/s%2F1?limit=2&before={next}")).1;
    }
    assert_eq!(all, ["five", "four", "three", "two", "one"]);
    assert_eq!(page["has_more"], false);
    let whole = get(&gateway, "/context/s%2F1").1;
    assert_eq!(texts(&whole).len(), 5);
}

#[test]
fn a_session_that_nobody_knows_has_nothing() {
    let gateway = TestGateway::start();
    let (status, page) = get(&gateway, "/context/nobody");
    assert_eq!(
        (status, texts(&page).len(), page["next"].is_null()),
        (200, 0, true)
    );
    for query in ["limit=0", "limit=51", "limit=x", "before=5"] {
        let answer = gateway.get(&format!("/context/nobody?{query}"));
        assert_eq!(answer.status, 400, "{query}");
    }
    let posted = gateway.send("POST", "/context/nobody", "", b"");
    assert_eq!(posted.status, 405);
    assert_eq!(gateway.get("/context/").status, 404);
}

#[test]
fn s9_what_was_said_has_no_credentials_in_it() {
    let upstream = well();
    let gateway = TestGateway::before(upstream.base_url());
    say(&gateway, "s", &format!("my key is {PROVIDER_KEY}, keep it"));
    gateway.settle();
    let answer = gateway.get("/context/s");
    let page = answer.json();
    assert!(texts(&page)[0].ends_with(", keep it"), "{page}");
    assert!(!answer.text().contains(PROVIDER_KEY));
}

#[test]
fn long_texts_are_cut() {
    let upstream = well();
    let gateway = TestGateway::before(upstream.base_url());
    say(&gateway, "s", &"ä".repeat(32_768));
    say(&gateway, "s", &"ä".repeat(32_769));
    gateway.settle();
    let (_, page) = get(&gateway, "/context/s");
    let texts = texts(&page);
    for (place, is_cut) in [(0, true), (1, false)] {
        assert_eq!(texts[place].chars().count(), 32_768);
        assert_eq!(page["history"][place]["is_cut"], is_cut);
    }
}

#[test]
fn without_its_record_a_session_cannot_be_read() {
    let gateway = TestGateway::with(Wanted {
        database_url: Some("postgres://nobody:none@127.0.0.1:1/none".to_owned()),
        ..Wanted::default()
    });
    let answer = gateway.get("/context/s");
    assert_eq!(
        (answer.status, code(&answer)),
        (503, "log_unavailable".into())
    );
}
