//! A node of the Open Compute Framework: OpenAI's clients pass through it, others are translated, and what it says in the
//! place of an answer is told for what it is.

mod streams;

use aiproxy::access_log::record::{LogRecord, StoredBody};
use serde_json::{Value, json};

use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{PROVIDER_KEY, TestGateway, Wanted, chat_body};
use crate::support::raw_client::RawResponse;
use crate::support::records::tags_of;
use crate::support::wire::{
    DONE, FINISH, STREAM, STREAM_HEAD, TEXT, USAGE, WHOLE, json as json_answer, stream,
};

const KEY: &str = "sk-rc-canary-0123456789";
const CHAT: &str = "/node/v1/chat/completions";
const TABLE: &str = include_str!("../fixtures/ocf/table.json");
const NODE: &str = "x-computing-node: QmPeer\r\nocf-version: 1\r\n";

/// So that each request has a connection of its own.
const CLOSE: &str = "connection: close\r\n";

/// A node's answer when it does not reach a peer. (Go's server finds the type by the text.)
const UNREACHED: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 38\r\n\r\nERROR: failed to dial: context expired";

fn before(upstream: &FakeUpstream) -> TestGateway {
    TestGateway::with(Wanted {
        provider: format!(
            "  - name: node\n    kind: ocf\n    base_url: http://{}\n    \
             models: {{ allow: [\"acme/*\"] }}\n    api_keys: [{{ key: {KEY}, name: primary }}]\n",
            upstream.addr()
        ),
        ..Wanted::default()
    })
}

fn answering(wire: impl Into<Vec<u8>>) -> (FakeUpstream, TestGateway) {
    let upstream = FakeUpstream::answering(wire);
    let gateway = before(&upstream);
    (upstream, gateway)
}

fn last(gateway: &TestGateway) -> LogRecord {
    gateway.rows().pop().expect("a row").record
}

fn sent(upstream: &FakeUpstream) -> String {
    String::from_utf8(upstream.received(0)).expect("text")
}

fn stored(body: &Option<StoredBody>) -> &str {
    body.as_ref().and_then(StoredBody::as_text).unwrap_or("")
}

#[track_caller]
fn error(answer: &RawResponse) -> (u16, String) {
    let code = answer.json()["error"]["code"].clone();
    (answer.status, code.as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_chat_passes_to_the_service_and_names_its_node() {
    let (upstream, gateway) = answering(json_answer(200, NODE, WHOLE));
    let body = chat_body("acme/m-1", "");
    let headers =
        "content-type: application/json\r\nauthorization: Bearer theirs\r\nx-otela-fallback: 2\r\n";
    let answer = gateway.send("POST", CHAT, headers, body.as_bytes());
    assert_eq!((answer.status, answer.text()), (200, WHOLE));
    assert_eq!(answer.header("x-computing-node"), Some("QmPeer"));
    let sent = sent(&upstream);
    let path = "POST /v1/service/llm/v1/chat/completions HTTP/1.1\r\n";
    assert!(sent.starts_with(path), "{sent}");
    assert!(
        sent.contains(&format!("authorization: Bearer {KEY}\r\n")),
        "{sent}"
    );
    assert!(sent.contains("x-otela-fallback: 2\r\n"), "{sent}");
    assert!(sent.ends_with(&body), "{sent}");
    let row = last(&gateway);
    assert_eq!(tags_of(&row), json!({ "computing_node": "QmPeer" }));
    assert_eq!((&*row.outcome, row.prompt_tokens), ("ok", Some(7)));
    assert_eq!(row.provider.as_deref(), Some("node"));
}

#[test]
fn a_stream_passes_and_names_its_node() {
    let events = [TEXT, FINISH, USAGE, DONE].concat();
    let head = STREAM_HEAD.replacen("\r\n\r\n", &format!("\r\n{NODE}\r\n"), 1);
    let wire = String::from_utf8(stream(&events)).expect("text");
    let (_upstream, gateway) = answering(wire.replacen(STREAM_HEAD, &head, 1));
    let body = chat_body("acme/m-1", STREAM);
    let headers = "content-type: application/json\r\nx-aiproxy-tags: computing_node=mine,run=7\r\n";
    let answer = gateway.send("POST", CHAT, headers, body.as_bytes());
    assert_eq!(answer.text(), [TEXT, FINISH, DONE].concat());
    let row = last(&gateway);
    let tags = json!({ "computing_node": "QmPeer", "run": "7" });
    assert_eq!(tags_of(&row), tags, "the node's word counts");
    assert_eq!((&*row.outcome, row.completion_tokens), ("ok", Some(2)));
}

#[test]
fn a_peer_that_is_not_reached_is_an_unreachable_upstream() {
    for (more, path, dialect) in [
        ("", CHAT, "openai"),
        (STREAM, CHAT, "openai"),
        (r#","max_tokens":9"#, "/v1/messages", "anthropic"),
        (
            r#","max_tokens":9,"stream":true"#,
            "/v1/messages",
            "anthropic",
        ),
        ("", "/node/v1/tokenize", "openai"),
    ] {
        let (_upstream, gateway) = answering(UNREACHED);
        let model = match path {
            "/v1/messages" => "node/acme/m-1",
            _ => "acme/m-1",
        };
        let answer = gateway.post(path, &chat_body(model, more));
        assert_eq!(answer.status, 502, "{path} {more}: {}", answer.text());
        let told = answer.json();
        match dialect {
            "openai" => assert_eq!(told["error"]["code"], "upstream_unreachable"),
            _ => assert_eq!(
                (&told["type"], &told["error"]["type"]),
                (&json!("error"), &json!("api_error"))
            ),
        }
        assert!(!answer.text().contains("dial"), "{}", answer.text());
        let row = last(&gateway);
        let facts = (&*row.outcome, row.status_code, row.upstream_status);
        assert_eq!(facts, ("upstream_error", 502, Some(200)), "{path} {more}");
        let message = row.error_message.expect("a message");
        assert!(message.contains("ERROR: failed to dial"), "{message}");
        assert_eq!((row.prompt_tokens, row.completion_tokens), (None, None));
        assert_eq!(row.usage_source.as_deref(), Some("none"));
        let payload = row.payload.expect("bodies");
        assert!(
            stored(&payload.upstream_response_body).starts_with("ERROR: failed"),
            "{path} {more}"
        );
        let [only] = &*row.tries else {
            panic!("{:?}", row.tries)
        };
        let blamed = (only.outcome.as_str(), only.status_code, only.number);
        assert_eq!(blamed, ("upstream_error", Some(200), 1));
        assert!(only.first_byte_ms.is_some() && only.duration_ms >= 0.0);
    }
}

#[test]
fn the_mark_is_found_however_it_arrives_and_only_at_the_beginning() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n";
    for bytes in [1, 3, 200] {
        let wire = format!("{head}ERROR: no peer");
        let upstream = FakeUpstream::start(vec![vec![
            Step::ReadRequest,
            Step::SendSplit(wire.into_bytes(), bytes),
            Step::Fin,
        ]]);
        let gateway = before(&upstream);
        let answer = gateway.post(CHAT, &chat_body("acme/m-1", ""));
        assert_eq!(error(&answer), (502, "upstream_unreachable".to_owned()));
    }
    // What passes through may say the word, and may be short or empty.
    for text in ["", "ER", "no ERROR: here", "Error: small letters"] {
        let length = text.len();
        let wire = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{text}"
        );
        let (_upstream, gateway) = answering(wire);
        let answer = gateway.post("/node/v1/tokenize", &chat_body("acme/m-1", ""));
        assert_eq!((answer.status, answer.text()), (200, text));
        assert_eq!(last(&gateway).outcome, "ok");
    }
    // A body that breaks off behind its beginning is no whole one.
    let wire =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"id\":";
    let upstream = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send(wire.into()),
        Step::Fin,
    ]]);
    let gateway = before(&upstream);
    let answer = gateway.post(CHAT, &chat_body("acme/m-1", ""));
    assert!(
        answer.status == 502 || !answer.complete,
        "{}",
        answer.text()
    );
    assert_eq!(last(&gateway).outcome, "upstream_truncated");
}

#[test]
fn its_own_errors_pass_as_they_are() {
    for (status, body) in [
        (400, r#"{"error":"no providers found"}"#),
        (
            503,
            r#"{"error":"No provider found for the requested service."}"#,
        ),
    ] {
        let (_upstream, gateway) = answering(json_answer(status, CLOSE, body));
        let answer = gateway.post(CHAT, &chat_body("acme/m-1", ""));
        assert_eq!((answer.status, answer.text()), (status, body));
        let row = last(&gateway);
        assert_eq!(row.outcome, "upstream_error");
        let words: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(row.error_message.as_deref(), words["error"].as_str());
        // Another dialect's client reads the same words in its own shape.
        let answer = gateway.post(
            "/v1/messages",
            &chat_body("node/acme/m-1", r#","max_tokens":9"#),
        );
        let told = answer.json();
        assert_eq!(
            (answer.status, &told["error"]["message"]),
            (status, &words["error"])
        );
    }
    let html = "HTTP/1.1 502 Bad\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>";
    let (_upstream, gateway) = answering(html);
    let answer = gateway.post(CHAT, &chat_body("acme/m-1", ""));
    assert_eq!(error(&answer), (502, "upstream_error".to_owned()));
}

#[test]
fn messages_are_answered_by_a_node() {
    let (upstream, gateway) = answering(json_answer(200, NODE, WHOLE));
    let answer = gateway.post(
        "/v1/messages",
        &chat_body("node/acme/m-1", r#","max_tokens":9"#),
    );
    assert_eq!(
        answer.json()["content"][0]["text"],
        "hi",
        "{}",
        answer.text()
    );
    assert!(sent(&upstream).starts_with("POST /v1/service/llm/v1/chat/completions "));
    assert_eq!(
        tags_of(&last(&gateway)),
        json!({ "computing_node": "QmPeer" })
    );
}

#[test]
fn no_path_leads_to_a_door_of_the_node() {
    for (method, path) in [
        ("POST", "/node/v1/dnt/_node"),
        ("DELETE", "/node/v1/dnt/_node"),
        ("POST", "/node/v1/p2p/QmPeer/v1/chat/completions"),
        ("POST", "/node/p2p/QmPeer/x"),
        ("POST", "/v1/dnt/_node?x=1"),
    ] {
        let (upstream, gateway) = answering(json_answer(200, "", "{}"));
        gateway.send(method, path, "content-type: application/json\r\n", b"{}");
        if upstream.requests() != 0 {
            let sent = sent(&upstream);
            let target = sent.split(' ').nth(1).expect("a target");
            assert!(
                target.starts_with("/v1/service/llm/v1/"),
                "{path}: {target}"
            );
        }
    }
    for path in ["/node/../dnt/_node", "/node/v1/..%2F..%2F..%2Fdnt%2F_node"] {
        let (upstream, gateway) = answering(json_answer(200, "", "{}"));
        let answer = gateway.post(path, "{}");
        assert_eq!((answer.status, upstream.requests()), (400, 0), "{path}");
    }
}

#[test]
fn models_are_those_of_the_table() {
    let (upstream, gateway) = answering(json_answer(200, CLOSE, TABLE));
    // The provider takes what begins with `acme/` alone.
    let answer = gateway.get("/node/v1/models");
    assert_eq!(answer.json(), json!({ "object": "list", "data": [] }));
    assert!(sent(&upstream).starts_with("GET /v1/dnt/table HTTP/1.1\r\n"));
    let row = last(&gateway);
    assert_eq!((&*row.endpoint, &*row.outcome), ("models", "ok"));
    assert_eq!(row.provider.as_deref(), Some("node"));
    let payload = row.payload.expect("bodies");
    assert_eq!(stored(&payload.upstream_response_body), TABLE);

    let all = |upstream: &FakeUpstream| {
        TestGateway::with(Wanted {
            provider: format!(
                "  - name: node\n    kind: ocf\n    base_url: http://{}\n",
                upstream.addr()
            ),
            ..Wanted::default()
        })
    };
    let upstream = FakeUpstream::answering(json_answer(200, CLOSE, TABLE));
    let gateway = all(&upstream);
    let listed = gateway.get("/node/v1/models").json();
    let expected = json!({ "object": "list", "data": [
        { "id": "Qwen/Qwen2.5-7B-Instruct-1M", "object": "model", "created": 0, "owned_by": "ocf" },
        { "id": "Qwen/Qwen3-8B", "object": "model", "created": 0, "owned_by": "ocf" },
    ] });
    assert_eq!(listed, expected);
    // With OpenAI's in one list.
    let merged = gateway.get("/v1/models").json();
    let ids: Vec<&str> = merged["data"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|model| model["id"].as_str())
        .collect();
    assert!(
        ids.contains(&"mock") && ids.contains(&"Qwen/Qwen3-8B"),
        "{ids:?}"
    );
    // One of them, however its slash is written.
    for path in [
        "/node/v1/models/Qwen%2FQwen3-8B",
        "/node/v1/models/Qwen/Qwen3-8B",
        "/v1/models/node%2FQwen%2FQwen3-8B",
    ] {
        let answer = gateway.get(path);
        assert_eq!(
            (answer.status, &answer.json()["id"]),
            (200, &json!("Qwen/Qwen3-8B")),
            "{path}"
        );
    }
    assert_eq!(
        error(&gateway.get("/node/v1/models/gone")),
        (404, "model_not_found".to_owned())
    );
    assert_eq!(last(&gateway).outcome, "client_error");
}

#[test]
fn a_table_that_is_none_is_an_error() {
    for (wire, status, code) in [
        (UNREACHED.as_bytes().to_vec(), 502, "upstream_unreachable"),
        (json_answer(200, "", "null"), 502, "upstream_protocol"),
        (json_answer(200, "", "[]"), 502, "upstream_protocol"),
        (json_answer(200, "", r#"{"/a":"#), 502, "upstream_protocol"),
        (
            json_answer(500, "", r#"{"error":"x"}"#),
            500,
            "upstream_error",
        ),
        (
            json_answer(403, "", r#"{"error":"acl"}"#),
            502,
            "upstream_auth",
        ),
    ] {
        let (_upstream, gateway) = answering(wire);
        let answer = gateway.get("/node/v1/models");
        assert_eq!(error(&answer), (status, code.to_owned()));
        assert_eq!(last(&gateway).outcome, "upstream_error");
    }
}

#[test]
fn without_a_key_the_clients_own_travels() {
    let upstream = FakeUpstream::answering(json_answer(200, "", WHOLE));
    let gateway = TestGateway::with(Wanted {
        provider: format!(
            "  - name: node\n    kind: ocf\n    base_url: http://{}\n",
            upstream.addr()
        ),
        ..Wanted::default()
    });
    let headers = "content-type: application/json\r\nauthorization: Bearer test-token\r\n";
    let body = chat_body("node/acme/m", "");
    gateway.send("POST", "/v1/chat/completions", headers, body.as_bytes());
    let sent = sent(&upstream);
    assert!(
        sent.contains("authorization: Bearer test-token\r\n"),
        "{sent}"
    );
    assert!(sent.contains(r#""model":"acme/m""#), "{sent}");
    assert!(!sent.contains(PROVIDER_KEY));
}
