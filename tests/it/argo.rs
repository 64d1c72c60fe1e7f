//! Clients before Argo's own API: what is sent, what comes back, and the notice under a good status.

mod calls;
mod prompts;
mod raw;

use aiproxy::access_log::record::{LogRecord, StoredBody};
use serde_json::{Value, json};

use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{TestGateway, Wanted, chat_body};
use crate::support::raw_client::RawResponse;
use crate::support::shouts::shouts;
use crate::support::signal::Signal;
use crate::support::wire::{LAST_CHUNK, STREAM, chunk, json as json_answer};

const CHAT: &str = r#"{"model":"argo:gpt-4o","messages":[{"role":"system","content":"Be terse."},{"role":"user","content":"Hello?"}],"user":"x"}"#;
const ASKED: &str = r#"{"model":"argo:claude-opus-4.1","max_tokens":20,"messages":[{"role":"user","content":"Hello?"}]}"#;
const TOOLS: &str =
    r#","tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]"#;
const TEXT_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
const NOTICE: &str = "*** AUTHENTICATION NOTICE FROM ARGO ***\nwho are you?";

fn wanted(upstream: &FakeUpstream, more: &str) -> Wanted {
    Wanted {
        provider: format!(
            "  - name: argo\n    kind: argo\n    base_url: http://{}/argoapi\n    \
             models: {{ allow: [\"argo:*\"] }}\n{more}",
            upstream.addr()
        ),
        ..Wanted::default()
    }
}

fn answering(wire: impl Into<Vec<u8>>) -> (FakeUpstream, TestGateway) {
    let upstream = FakeUpstream::answering(wire);
    let gateway = TestGateway::with(wanted(&upstream, "    user: alice\n"));
    (upstream, gateway)
}

fn chat(gateway: &TestGateway, body: &str) -> RawResponse {
    let headers = "content-type: application/json\r\nauthorization: Bearer bob\r\n";
    gateway.send("POST", "/v1/chat/completions", headers, body.as_bytes())
}

fn streamed(body: &str) -> String {
    body.replacen('{', r#"{"stream":true,"#, 1)
}

fn text_stream(pieces: &[&[u8]]) -> Vec<u8> {
    let mut wire = TEXT_HEAD.as_bytes().to_vec();
    for piece in pieces {
        wire.extend(chunk(piece));
    }
    wire.extend_from_slice(LAST_CHUNK.as_bytes());
    wire
}

fn sent(upstream: &FakeUpstream) -> (String, Value) {
    let sent = String::from_utf8(upstream.received(0)).expect("text");
    let (head, body) = sent.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), serde_json::from_str(body).expect("JSON"))
}

fn last(gateway: &TestGateway) -> LogRecord {
    gateway.rows().pop().expect("a row").record
}

fn stored(body: &Option<StoredBody>) -> &str {
    body.as_ref().and_then(StoredBody::as_text).unwrap_or("")
}

/// The texts of a chat's stream.
fn texts(stream: &str) -> String {
    let data = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .filter_map(|event| {
            event["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned)
        })
        .collect()
}

#[track_caller]
fn check_error(answer: &RawResponse, row: &LogRecord, status: u16, code: &str) {
    let told = answer.json()["error"]["code"].clone();
    assert_eq!(
        (answer.status, told.as_str()),
        (status, Some(code)),
        "{}",
        answer.text()
    );
    assert_eq!(
        (row.error_code.as_deref(), &*row.outcome),
        (Some(code), "upstream_error")
    );
}

#[test]
fn a_chat_is_asked_and_answered() {
    let (upstream, gateway) = answering(json_answer(200, "", r#"{"response":"Hällo"}"#));
    let answer = chat(&gateway, CHAT);
    let said = answer.json();
    assert_eq!(answer.status, 200, "{said}");
    assert_eq!(said["choices"][0]["message"]["content"], "Hällo");
    assert_eq!(
        (&said["model"], &said["choices"][0]["finish_reason"]),
        (&json!("argo:gpt-4o"), &json!("stop"))
    );
    assert!(said.get("usage").is_none(), "{said}");

    let (head, body) = sent(&upstream);
    assert!(
        head.starts_with("POST /argoapi/api/v1/resource/chat/ HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(!head.contains("bob"), "{head}");
    let expected = json!({
        "user": "alice", "model": "gpt4o",
        "messages": [{ "role": "system", "content": "Be terse." }, { "role": "user", "content": "Hello?" }],
    });
    assert_eq!(body, expected);

    let row = last(&gateway);
    let facts = (&*row.endpoint, &*row.dialect, &*row.outcome);
    assert_eq!(facts, ("chat.completions", "openai", "ok"));
    assert_eq!(row.response_text.as_deref(), Some("Hällo"));
    assert_eq!(row.dropped.as_deref(), Some(r#"["user"]"#));
    assert!(
        row.prompt_tokens.is_some_and(|tokens| 0 < tokens),
        "{row:?}"
    );
    assert!(
        matches!(row.usage_source.as_deref(), Some("counted" | "estimated")),
        "{row:?}"
    );
    let payload = row.payload.expect("bodies");
    assert_eq!(
        stored(&payload.upstream_response_body),
        r#"{"response":"Hällo"}"#
    );
}

#[test]
fn f31_a_stream_of_texts_is_a_stream_of_events_whatever_its_pieces() {
    let text = "Hällo \"you\",\n\n\tcafé 😀";
    for size in [1, 2, 3, 7, 100] {
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
        let (upstream, gateway) = answering(text_stream(&pieces));
        let answer = chat(&gateway, &streamed(CHAT));
        assert_eq!(
            answer.header("content-type"),
            Some("text/event-stream; charset=utf-8")
        );
        assert_eq!(texts(answer.text()), text, "{}", answer.text());
        assert!(
            answer.text().ends_with("data: [DONE]\n\n"),
            "{}",
            answer.text()
        );
        let (head, _) = sent(&upstream);
        assert!(
            head.starts_with("POST /argoapi/api/v1/resource/streamchat/ "),
            "{head}"
        );
        let row = last(&gateway);
        assert_eq!(
            (&*row.outcome, row.response_text.as_deref()),
            ("ok", Some(text))
        );
        assert_eq!(row.response_complete, Some(true));
        let payload = row.payload.expect("bodies");
        assert_eq!(stored(&payload.upstream_response_body), text);
    }
}

#[test]
fn the_first_text_goes_out_as_soon_as_it_is_in() {
    let signal = Signal::default();
    let upstream = FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send([TEXT_HEAD.as_bytes(), &chunk("first")].concat()),
        Step::Wait(signal.clone()),
        Step::Send([chunk(" second").as_slice(), LAST_CHUNK.as_bytes()].concat()),
        Step::ReadToEnd,
    ]]);
    let gateway = TestGateway::with(wanted(&upstream, "    user: alice\n"));
    let mut client = gateway.connect();
    client.send(crate::support::raw_client::post(
        "/v1/chat/completions",
        &streamed(CHAT),
    ));
    client.read_until(b"\"content\":\"first\"");
    signal.fire();
    client.read_until(b"[DONE]");
}

#[test]
fn a_claude_is_asked_by_anthropics_clients() {
    let (upstream, gateway) = answering(text_stream(&[b"Hi"]));
    let headers =
        "content-type: application/json\r\nx-api-key: bob\r\nanthropic-version: 2023-06-01\r\n";
    let answer = gateway.send("POST", "/v1/messages", headers, streamed(ASKED).as_bytes());
    assert!(answer.text().contains("message_stop"), "{}", answer.text());
    let (_, body) = sent(&upstream);
    assert_eq!(
        (&body["model"], &body["max_tokens"]),
        (&json!("claudeopus41"), &json!(20))
    );
    assert_eq!(last(&gateway).response_text.as_deref(), Some("Hi"));
}

#[test]
fn the_notice_is_no_answer() {
    let in_json = json!({ "response": NOTICE }).to_string();
    let notice = NOTICE.as_bytes();
    let as_text = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{NOTICE}",
        notice.len()
    );
    let (head, rest) = notice.split_at(11);
    for (wire, body) in [
        (json_answer(200, "", &in_json), CHAT.to_owned()),
        (json_answer(200, "", &in_json), streamed(CHAT)),
        (as_text.into_bytes(), CHAT.to_owned()),
        (text_stream(&[head, rest]), streamed(CHAT)),
    ] {
        let (_upstream, gateway) = answering(wire);
        let answer = chat(&gateway, &body);
        let row = last(&gateway);
        check_error(&answer, &row, 403, "upstream_auth");
        let payload = row.payload.expect("bodies");
        assert!(
            stored(&payload.upstream_response_body).contains("NOTICE"),
            "{payload:?}"
        );
    }
}

#[test]
fn a_completion_is_asked_and_answered() {
    let ask = r#"{"model":"argo:gpt-4o","prompt":["Once"],"best_of":2}"#;
    let headers = "content-type: application/json\r\n";
    for path in ["/v1/completions", "/argo/v1/completions"] {
        let (upstream, gateway) = answering(json_answer(200, "", r#"{"response":"Hällo"}"#));
        let said = gateway.send("POST", path, headers, ask.as_bytes()).json();
        assert_eq!(said["object"], "text_completion", "{said}");
        let expected =
            json!([{ "text": "Hällo", "index": 0, "logprobs": null, "finish_reason": "stop" }]);
        assert_eq!(
            (&said["choices"], &said["model"]),
            (&expected, &json!("argo:gpt-4o"))
        );
        let (_, body) = sent(&upstream);
        let messages = json!([{ "role": "user", "content": "Once" }]);
        assert_eq!(
            body,
            json!({ "user": "alice", "model": "gpt4o", "messages": messages })
        );
        let row = last(&gateway);
        assert_eq!((&*row.endpoint, &*row.outcome), ("completions", "ok"));
        let texts = (row.request_text.as_deref(), row.response_text.as_deref());
        assert_eq!(texts, (Some("Once"), Some("Hällo")));
        assert_eq!(row.dropped.as_deref(), Some(r#"["best_of"]"#));
        assert!(
            row.prompt_tokens.is_some_and(|tokens| 0 < tokens),
            "{row:?}"
        );
    }
    let (upstream, gateway) = answering(text_stream(&[b"H\xc3", b"\xa4llo"]));
    let answer = gateway.post("/v1/completions", &streamed(ask));
    assert!(
        answer.text().ends_with("data: [DONE]\n\n"),
        "{}",
        answer.text()
    );
    assert!(
        sent(&upstream)
            .0
            .starts_with("POST /argoapi/api/v1/resource/streamchat/ ")
    );
    let row = last(&gateway);
    assert_eq!(
        (row.response_text.as_deref(), row.response_complete),
        (Some("Hällo"), Some(true))
    );
    for (wire, status, code) in [
        (
            json_answer(200, "", &json!({ "response": NOTICE }).to_string()),
            403,
            "upstream_auth",
        ),
        (
            json_answer(200, "", r#"{"response":null}"#),
            502,
            "upstream_protocol",
        ),
    ] {
        let (_upstream, gateway) = answering(wire);
        check_error(
            &gateway.post("/v1/completions", ask),
            &last(&gateway),
            status,
            code,
        );
    }
    let two = ask.replace(r#"["Once"]"#, r#"["a",7]"#);
    let refused = gateway.post("/v1/completions", &two);
    let told = refused.json()["error"]["code"].clone();
    assert_eq!(
        (refused.status, told),
        (400, json!("unsupported_parameter"))
    );
    assert_eq!(upstream.requests(), 1);
}

#[test]
fn what_is_no_answer_is_an_error() {
    for (wire, status, code) in [
        (json_answer(200, "", r#"{"response":null}"#), 502, "upstream_protocol"),
        (json_answer(200, "", r#"{"response":"cut"#), 502, "upstream_protocol"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>".to_vec(), 502, "upstream_bad_content_type"),
        (b"HTTP/1.1 504 Gateway Timeout\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>".to_vec(), 504, "upstream_error"),
    ] {
        let (_upstream, gateway) = answering(wire);
        let answer = chat(&gateway, CHAT);
        check_error(&answer, &last(&gateway), status, code);
    }
    let told = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 12\r\n\r\nInvalid user";
    for body in [CHAT.to_owned(), streamed(CHAT)] {
        let (_upstream, gateway) = answering(*told);
        let answer = chat(&gateway, &body);
        check_error(&answer, &last(&gateway), 400, "upstream_error");
        assert_eq!(answer.json()["error"]["message"], "Invalid user");
    }
}

#[test]
fn f38_a_stream_that_breaks_never_looks_complete() {
    for pieces in [&b"Hal"[..], b"Caf\xc3"] {
        let upstream = FakeUpstream::start(vec![vec![
            Step::ReadRequest,
            Step::Send([TEXT_HEAD.as_bytes(), &chunk(pieces)].concat()),
            Step::Fin,
        ]]);
        let gateway = TestGateway::with(wanted(&upstream, "    user: alice\n"));
        let answer = chat(&gateway, &streamed(CHAT));
        assert!(!answer.text().contains("[DONE]"), "{}", answer.text());
        let row = last(&gateway);
        assert_eq!(
            (&*row.outcome, row.response_complete),
            ("upstream_truncated", Some(false))
        );
    }
    // A body that ends as it must, in the middle of a character.
    let (_upstream, gateway) = answering(text_stream(&[b"Caf\xc3"]));
    let answer = chat(&gateway, &streamed(CHAT));
    assert!(!answer.text().contains("[DONE]"), "{}", answer.text());
    assert_eq!(last(&gateway).response_complete, Some(false));
}

#[test]
fn a_users_name_may_be_the_clients_key() {
    let upstream = FakeUpstream::answering(json_answer(200, "", r#"{"response":"a"}"#));
    let gateway = TestGateway::with(wanted(&upstream, "    user_passthrough: true\n"));
    assert_eq!(chat(&gateway, CHAT).status, 200);
    let (head, body) = sent(&upstream);
    assert_eq!(body["user"], "bob");
    assert!(!head.contains("bob"), "{head}");
    let headers = "content-type: application/json\r\n";
    let nobody = gateway.send("POST", "/v1/chat/completions", headers, CHAT.as_bytes());
    assert_eq!(nobody.status, 400, "{}", nobody.text());
    assert!(nobody.text().contains("authorization"), "{}", nobody.text());
    assert_eq!(upstream.requests(), 1);
}

#[test]
fn each_call_may_have_a_url_of_its_own() {
    let upstream = FakeUpstream::answering(json_answer(200, "", r#"{"response":"a"}"#));
    let gateway = TestGateway::with(Wanted {
        provider: format!(
            "  - name: argo\n    kind: argo\n    chat_url: http://{}/own/chat/\n    user: alice\n    \
             models: {{ allow: [\"argo:*\"] }}\n",
            upstream.addr()
        ),
        ..Wanted::default()
    });
    assert_eq!(chat(&gateway, CHAT).status, 200);
    let (head, _) = sent(&upstream);
    assert!(head.starts_with("POST /own/chat/ HTTP/1.1\r\n"), "{head}");
}

#[test]
fn a_filter_reads_and_changes_its_stream() {
    let upstream = FakeUpstream::answering(text_stream(&[b"quiet ", b"words"]));
    let gateway = TestGateway::with(Wanted {
        extend: Some(Box::new(|gateway| gateway.with(shouts()))),
        ..wanted(&upstream, "    user: alice\n")
    });
    let answer = chat(&gateway, &streamed(CHAT));
    assert_eq!(texts(answer.text()), "QUIET WORDS", "{}", answer.text());
}

#[test]
fn embeddings_have_openais_shape() {
    let two = r#"{"embedding":[[0.5,-1.0],[1.0,2.0]]}"#;
    let (upstream, gateway) = answering(json_answer(200, "", two));
    let body = r#"{"model":"argo:text-embedding-3-small","input":["a","b"],"dimensions":2}"#;
    let answer = gateway.post("/v1/embeddings", body);
    let said = answer.json();
    assert_eq!(answer.status, 200, "{said}");
    assert_eq!(
        said["data"][1],
        json!({ "object": "embedding", "index": 1, "embedding": [1.0, 2.0] })
    );
    let (head, body) = sent(&upstream);
    assert!(
        head.starts_with("POST /argoapi/api/v1/resource/embed/ "),
        "{head}"
    );
    assert_eq!(
        body,
        json!({ "user": "alice", "model": "v3small", "prompt": ["a", "b"] })
    );
    let row = last(&gateway);
    assert_eq!((&*row.endpoint, &*row.outcome), ("embeddings", "ok"));
    assert_eq!(row.dropped.as_deref(), Some(r#"["dimensions"]"#));
    assert!(
        row.prompt_tokens.is_some_and(|tokens| 0 < tokens),
        "{row:?}"
    );
    for wrong in [
        r#"{"embedding":[[0.5]]}"#,
        r#"{"embedding":null}"#,
        r#"{"embedding":[["a"],[1]]}"#,
    ] {
        let (_upstream, gateway) = answering(json_answer(200, "", wrong));
        let body = r#"{"model":"argo:text-embedding-3-small","input":["a","b"]}"#;
        check_error(
            &gateway.post("/v1/embeddings", body),
            &last(&gateway),
            502,
            "upstream_protocol",
        );
    }
}

/// What the README of the proxy that its users had says: its port, paths and names of models.
#[test]
fn argo_proxy_readme_examples_are_answered() {
    let mock = TestGateway::start();
    let address = mock.mock().addr();
    let gateway = TestGateway::with(Wanted {
        provider: format!(
            "  - name: argo\n    kind: argo\n    base_url: http://{address}/argoapi\n    user: alice\n    \
             models: {{ allow: [\"argo:*\", \"mock*\"] }}\n",
        ),
        upstream: Some(format!("http://{address}/none/v1")),
        ..Wanted::default()
    });
    let listed = gateway.get("/argo/v1/models");
    let names: Vec<Value> = listed.json()["data"]
        .as_array()
        .map(|models| models.iter().map(|model| model["id"].clone()).collect())
        .unwrap_or_default();
    assert!(names.contains(&json!("argo:gpt-4o")), "{}", listed.text());
    let one = gateway.get("/argo/v1/models/argo:gpt-3.5-turbo").json();
    assert_eq!(
        (&one["id"], &one["internal_name"]),
        (&json!("argo:gpt-3.5-turbo"), &json!("gpt35"))
    );
    let whole = gateway.send(
        "POST",
        "/argo/v1/chat/completions",
        "content-type: application/json\r\n",
        chat_body("mock-s3", "").as_bytes(),
    );
    assert_eq!(
        whole.json()["object"],
        "chat.completion",
        "{}",
        whole.text()
    );
    let stream = gateway.send(
        "POST",
        "/argo/v1/chat/completions",
        "content-type: application/json\r\n",
        chat_body("mock-s3", STREAM).as_bytes(),
    );
    assert!(
        stream.text().ends_with("data: [DONE]\n\n"),
        "{}",
        stream.text()
    );
    for (path, object) in [
        ("/v1/chat/completions", "chat.completion"),
        ("/v1/completions", "text_completion"),
    ] {
        let body =
            r#"{"model":"argo:gpt-4o","prompt":"hi","messages":[{"role":"user","content":"hi"}]}"#;
        let said = gateway.post(path, body);
        assert_eq!(said.json()["object"], object, "{}", said.text());
    }
    let raw = |more: &str| {
        let body = format!(r#"{{"model":"mock-s3","prompt":"hello"{more}}}"#);
        gateway.post("/v1/chat", &body)
    };
    assert!(raw("").json()["response"].is_string());
    let stream = raw(STREAM);
    assert_eq!(
        stream.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert!(stream.text().starts_with("w000000"), "{}", stream.text());
    assert_eq!(gateway.get("/v1/status").status, 200);
    for (model, status) in [
        ("mock-denied", 403),
        ("mock-html", 502),
        ("mock-err-500", 500),
    ] {
        for more in ["", STREAM] {
            let refused = gateway.send(
                "POST",
                "/argo/v1/chat/completions",
                "content-type: application/json\r\n",
                chat_body(model, more).as_bytes(),
            );
            assert_eq!(refused.status, status, "{model}: {}", refused.text());
        }
    }
}
